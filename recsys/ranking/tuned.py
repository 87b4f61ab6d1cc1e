"""The hyper-parameters that a search has chosen: ``include/tuned/<item_unit>.yaml``, written by ``recsys tune``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from recsys.errors import ModelError, did_you_mean, nearest
from recsys.models import Recommender
from recsys.yaml_files import read_yaml

RANKER = "ranker"
"""The name that the ranker's values stand under, beside the retrievers'."""


@dataclass(frozen=True)
class Tuned:
    """``values`` by model and field, none where those in place stay; ``until`` is the last day they were chosen on.

    ``source`` names the file in errors.
    """

    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    until: date | None = None
    source: str = ""

    @classmethod
    def read(cls, path: Path) -> Tuned:
        """Read the file; one that is not there has chosen nothing.

        Raises:
            ModelError: as ``read_entries``.
        """
        chosen = {name: entry for name, entry in read_entries(path).items() if entry.get("values")}
        days = [str(entry["read_until"]) for entry in chosen.values() if "read_until" in entry]
        return cls(
            {name: entry["values"] for name, entry in chosen.items()},
            date.fromisoformat(max(days)) if days else None,
            str(path),
        )

    def of(self, models: Mapping[str, Recommender]) -> dict[str, Recommender]:
        """The unfitted ``models`` with the values chosen for them.

        Raises:
            ModelError: values are chosen for a model or a field that there is not.
        """
        for name, values in self.values.items():
            if name == RANKER:
                continue
            if name not in models:
                told = did_you_mean(nearest(name, models))
                raise ModelError(f"{self.source} names no retriever: {name!r}.{told}")
            self.refuse_unknown(name, values, {field.name for field in fields(models[name])})
        return {
            name: replace(model, **self.values[name]) if name in self.values else model
            for name, model in models.items()
        }

    def refuse_unknown(self, name: str, values: Mapping[str, object], known: set[str]) -> None:
        """Raise ModelError for a field of ``values`` that is not ``known``."""
        for odd in sorted(set(values) - known):
            raise ModelError(
                f"{self.source}: {name} has no field {odd!r}.{did_you_mean(nearest(odd, sorted(known)))}"
            )


def read_entries(path: Path) -> dict[str, dict[str, Any]]:
    """What a file says of each model: its values, and the figures behind them; nothing of a file that is not there.

    Raises:
        ModelError: it is no YAML, or not of the form that ``recsys tune`` writes; names the file and what to do.
    """
    if not path.is_file():
        return {}
    try:
        content = read_yaml(path, ModelError) or {}
        entries = content.get("models") or {}
        for name, entry in entries.items():
            values = entry.get("values") or {}
            if not isinstance(values, dict):
                raise TypeError(f"the values of {name} are {values!r}")
            date.fromisoformat(str(entry.get("read_until", date.min)))
        return dict(entries)
    except (ModelError, AttributeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{path} is not of the form models: {{NAME: {{values: {{FIELD: VALUE}}, read_until: DAY}}}}: {reason}. Put "
            "it right, write it again with `recsys tune`, or remove it to keep the values in place."
        ) from error


UNTUNED = Tuned()
