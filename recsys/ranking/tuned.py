"""The hyper-parameters that a search has chosen: ``include/tuned/<item_unit>.yaml``, written by ``recsys tune``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import yaml

from recsys.errors import ModelError, did_you_mean, nearest
from recsys.models import Recommender
from recsys.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "include" / "tuned"


def tuned_file(item_unit: str) -> Path:
    """Where the values for this kind of marketplace stand."""
    return FOLDER / f"{item_unit}.yaml"


def tuned(models: Mapping[str, Recommender], item_unit: str) -> dict[str, Recommender]:
    """The unfitted ``models`` with the values chosen for them; unchanged where nothing was chosen.

    Raises:
        ModelError: the file names a model or a field that there is not.
    """
    path = tuned_file(item_unit)
    if not path.is_file():
        return dict(models)
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    chosen = {name: entry.get("values", {}) for name, entry in content.get("models", {}).items()}
    for name, values in chosen.items():
        if name not in models:
            raise ModelError(f"{path} names no retriever: {name!r}.{did_you_mean(nearest(name, models))}")
        known = {field.name for field in fields(models[name])}
        for field in set(values) - known:
            raise ModelError(f"{path}: {name} has no field {field!r}.{did_you_mean(nearest(field, known))}")
    return {
        name: replace(model, **chosen[name]) if chosen.get(name) else model for name, model in models.items()
    }


def tuned_until(item_unit: str) -> date | None:
    """The last day that the values in place were chosen on; None where none were."""
    path = tuned_file(item_unit)
    content = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None) or {}
    entries = content.get("models", {}).values()
    days = [str(entry["read_until"]) for entry in entries if entry.get("values") and "read_until" in entry]
    return date.fromisoformat(max(days)) if days else None
