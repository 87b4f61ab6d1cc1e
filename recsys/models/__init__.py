"""Recommenders: one algorithm per file, one contract (``base.Recommender``), all in the space that repeats.

That space is item groups for one-off listings and the items themselves for a shop; a model does not know which.
"""

from __future__ import annotations

from pathlib import Path

from recsys.errors import ModelError
from recsys.models.als import ALS
from recsys.models.base import Recommender
from recsys.models.ease import EASE
from recsys.models.item_knn import ItemKNN
from recsys.models.own_history import OwnHistory
from recsys.models.popularity import Popularity

MODELS: dict[str, type[Recommender]] = {
    model.name: model for model in (Popularity, ItemKNN, ALS, EASE, OwnHistory)
}


def load_model(name: str, folder: Path) -> Recommender:
    """Load a saved model by its name.

    Raises:
        ModelError: for an unknown name, or a missing or damaged folder.
    """
    if name not in MODELS:
        raise ModelError(f"No model {name!r}. Known models: {', '.join(sorted(MODELS))}.")
    return MODELS[name].load(folder)


__all__ = ["ALS", "EASE", "MODELS", "ItemKNN", "OwnHistory", "Popularity", "Recommender", "load_model"]
