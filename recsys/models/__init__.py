"""Recommenders: one algorithm per file, one contract (``base.Recommender``), all in the space that repeats.

That space is item groups for one-off listings and the items themselves for a shop; a model does not know which.
"""

from __future__ import annotations

from pathlib import Path

from recsys.errors import ModelError
from recsys.models.als import ALS
from recsys.models.base import Recommender
from recsys.models.basket_ease import BasketEASE
from recsys.models.bpr import BPR
from recsys.models.content_based import ContentBased
from recsys.models.ease import EASE
from recsys.models.gf_cf import GFCF
from recsys.models.item_knn import ItemKNN
from recsys.models.neu_mf import NeuMF
from recsys.models.own_history import OwnHistory
from recsys.models.popularity import Popularity
from recsys.models.sasrec import SASRec
from recsys.models.transition import Transition
from recsys.models.trending import Trending
from recsys.models.two_tower import TwoTower
from recsys.models.user_knn import UserKNN

NEURAL: dict[str, type[Recommender]] = {model.name: model for model in (TwoTower, NeuMF, SASRec)}
"""Those that need PyTorch, an optional extra; they are imported without it, and fitted and loaded with it."""

MODELS: dict[str, type[Recommender]] = {
    model.name: model
    for model in (
        Popularity,
        Trending,
        OwnHistory,
        ItemKNN,
        UserKNN,
        ContentBased,
        ALS,
        BPR,
        EASE,
        BasketEASE,
        Transition,
        GFCF,
    )
} | NEURAL


def load_model(name: str, folder: Path) -> Recommender:
    """Load a saved model by its name.

    Raises:
        ModelError: for an unknown name, or a missing or damaged folder.
    """
    if name not in MODELS:
        raise ModelError(f"No model {name!r}. Known models: {', '.join(sorted(MODELS))}.")
    return MODELS[name].load(folder)


__all__ = [
    "ALS",
    "BPR",
    "EASE",
    "GFCF",
    "MODELS",
    "NEURAL",
    "BasketEASE",
    "ContentBased",
    "ItemKNN",
    "NeuMF",
    "OwnHistory",
    "Popularity",
    "Recommender",
    "SASRec",
    "Transition",
    "Trending",
    "TwoTower",
    "UserKNN",
    "load_model",
]
