"""What keyword training leaves behind and the lists are made by, with one manifest over all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

from recsys.errors import KeywordError
from recsys.keywords.adoption import Adoption
from recsys.keywords.backtest import System
from recsys.keywords.ranker import KeywordRanker
from recsys.keywords.retrieve import Retrieval
from recsys.models import store

NAME = "keywords"
PARTS: Final[Mapping[str, Any]] = {"retrieval": Retrieval, "ranker": KeywordRanker, "adoption": Adoption}
"""Parts of a ``System`` by the name of their field and folder."""


@dataclass(frozen=True)
class KeywordModel:
    """What was learned together. ``facts``: data day ``ds``, metrics, parameters."""

    system: System
    facts: Mapping[str, object]

    @property
    def label(self) -> str:
        """Name and data day, as stored beside each recommendation."""
        return f"{NAME}@{self.facts['ds']}"

    def save(self, models_dir: Path, ds: date) -> Path:
        """Write the model of data day ``ds``; a reader sees all of it or none.

        Raises:
            ModelError: the disk is full or not writable; the model before stays.
        """
        folder = models_dir / NAME / f"ds={ds}"
        with store.replacing(folder) as aside:
            for name in PARTS:
                getattr(self.system, name).save(aside / name)
            store.seal(aside, {**self.facts, "model": NAME})
        return folder

    @classmethod
    def load(cls, models_dir: Path, day: date) -> Self:
        """Read the model of data day ``day``.

        Raises:
            ModelError: there is none, or it is damaged.
        """
        folder = models_dir / NAME / f"ds={day}"
        facts = store.read_manifest(folder)
        return cls(System(**{name: kind.load(folder / name) for name, kind in PARTS.items()}), facts)


def newest_day(models_dir: Path, ds: date) -> date | None:
    """The data day of the newest keyword model up to ``ds``, None where there is none."""
    folders = sorted((models_dir / NAME).glob("ds=????-??-??"))
    known = [folder.name for folder in folders if folder.name <= f"ds={ds}"]
    return date.fromisoformat(known[-1].removeprefix("ds=")) if known else None


def newest_model(models_dir: Path, ds: date) -> KeywordModel:
    """The newest keyword model up to ``ds``.

    Raises:
        KeywordError: there is none.
        ModelError: it is damaged.
    """
    day = newest_day(models_dir, ds)
    if day is None:
        raise KeywordError(
            f"No keyword model in {models_dir / NAME} with data up to {ds}. Once campaigns have run for three "
            f"weeks, train one with `recsys keywords train --ds {ds}`."
        )
    return KeywordModel.load(models_dir, day)
