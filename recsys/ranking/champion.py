"""What training leaves behind and scoring picks up: the retrievers, the pair scorer and one manifest over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from recsys.errors import ModelError
from recsys.features.interactions import Interactions
from recsys.models import Recommender, load_model, store
from recsys.ranking.boosted import BoostedScorer
from recsys.ranking.judge import Scorer
from recsys.ranking.scorer import PairScorer
from recsys.ranking.shop_scorer import ShopScorer

NAME, CHALLENGER = "hybrid", "challenger"
"""Folders of models: those that scoring reads, and those that the champion gate refused."""
SCORERS: dict[str, type[Scorer]] = {s.kind: s for s in (PairScorer, BoostedScorer, ShopScorer)}
"""Scorers by the kind that their manifest names."""


@dataclass(frozen=True)
class Champion:
    """Retrievers over one catalogue of groups, and the scorer of pairs. ``facts``: data day, metrics, parameters."""

    retrievers: Mapping[str, Recommender]
    scorer: Scorer
    facts: Mapping[str, object]

    @property
    def label(self) -> str:
        """Name and data day, as stored beside each recommendation."""
        return f"{NAME}@{self.facts['ds']}"

    @property
    def catalogue(self) -> pd.Index:
        """The groups that the retrievers know."""
        return next(iter(self.retrievers.values())).item_ids

    @property
    def saw(self) -> date:
        """The last day that its ranker has learned from, by its facts; long ago where they do not say."""
        told = [self.facts.get(name, []) for name in ("training_days", "calibration_days")]
        return max(
            (date.fromisoformat(str(day)) for days in told if isinstance(days, list) for day in days),
            default=date.min,
        )

    def with_history(self, interactions: Interactions) -> Champion:
        """The same champion for the users of ``interactions``."""
        inside = interactions.onto(self.catalogue)  # once for all of them
        retrievers = {name: model.with_history(inside) for name, model in self.retrievers.items()}
        return replace(self, retrievers=retrievers)

    def save(self, models_dir: Path, ds: date, kind: str = NAME) -> Path:
        """Write the champion of data day ``ds``; a reader sees all of it or none. Holds no user.

        One that was refused is written as ``kind`` CHALLENGER, where scoring does not look.

        Raises:
            ModelError: the disk is full or not writable; the champion before stays.
        """
        folder = models_dir / kind / f"ds={ds}"
        with store.replacing(folder) as aside:
            for name, model in self.retrievers.items():
                model.save(aside / name, with_history=False)
            self.scorer.save(aside / "scorer")
            store.seal(aside, {**self.facts, "retrievers": list(self.retrievers)})
        return folder


def champion_before(models_dir: Path, ds: date) -> Champion | None:
    """The newest champion of a day before ``ds``: what a new one has to match.

    None if there is none, or none that this version could score with.
    """
    try:
        return newest_champion(models_dir, ds - timedelta(days=1))
    except ModelError:
        return None


def first_day(models_dir: Path, before: date) -> date | None:
    """Data day of the first champion, whether or not this version could load it; None if there is none ``before``."""
    return next((day for day in _days(models_dir) if day < before), None)


def newest_champion(models_dir: Path, ds: date) -> Champion:
    """Load the champion with the newest data day up to ``ds``.

    Raises:
        ModelError: when there is none, or a file of it is damaged.
    """
    return load_champion(models_dir, newest_day(models_dir, ds))


def newest_day(models_dir: Path, ds: date) -> date:
    """Return the data day of the newest champion up to ``ds``.

    Raises:
        ModelError: when there is none.
    """
    known = [day for day in _days(models_dir) if day <= ds]
    if not known:
        raise ModelError(
            f"No model in {models_dir / NAME} with data up to {ds}. Train one with `recsys train --ds {ds}`."
        )
    return known[-1]


def _days(models_dir: Path) -> list[date]:
    """Data days of all champions, rising."""
    folders = (models_dir / NAME).glob("ds=????-??-??")
    return sorted(date.fromisoformat(folder.name.removeprefix("ds=")) for folder in folders)


def load_champion(models_dir: Path, day: date) -> Champion:
    """Load the champion of data day ``day``.

    Raises:
        ModelError: when there is none, or a file of it is damaged.
    """
    folder = models_dir / NAME / f"ds={day}"
    facts = store.read_manifest(folder)
    names = facts["retrievers"]
    assert isinstance(names, list)
    kinds = {name: str(store.read_manifest(folder / name)["model"]) for name in names}
    retrievers = {name: load_model(kind, folder / name) for name, kind in kinds.items()}
    return Champion(retrievers, load_scorer(folder / "scorer"), facts)


def load_scorer(folder: Path) -> Scorer:
    """Load a scorer of whichever kind its manifest names.

    Raises:
        ModelError: an unknown kind, or a damaged folder.
    """
    kind = store.read_manifest(folder)["model"]
    if kind not in SCORERS:
        raise ModelError(f"{folder} holds a scorer {kind!r}. Known scorers: {', '.join(sorted(SCORERS))}.")
    return SCORERS[str(kind)].load(folder)
