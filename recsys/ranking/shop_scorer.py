"""The ranker of a shop with repeats: boosted trees over what a customer bought, when, and for how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import lightgbm as lgb
import numpy as np

from recsys.errors import ModelError
from recsys.features.audience import Audience
from recsys.features.shelf import Shelf
from recsys.features.shop_audience import ShopAudience
from recsys.features.shop_pairs import SHOP_FEATURES, shop_pair_features
from recsys.models import store
from recsys.ranking.judge import Contributions, Judged, refuse_other_features
from recsys.ranking.platt import sigmoid

BUYS, BACK, PAYS = "buys", "comes_back", "pays"
"""Boosters by name: does a customer who comes back buy it, does the customer come back, log of what they then pay."""
ORDERS = ("orders_1", "orders_2")
"""Boosters by name that learned the order alone."""
STEEPEST = 30.0
DECIMALS = 6
"""Of amounts, fewer than money is stored with, so that a stored list holds the very numbers of the ranker."""


@dataclass(frozen=True)
class Joined:
    """Two models' log-odds joined by a logistic regression over both (stacking, Wolpert, 1992).

    P = sigmoid(pair x logit of the pair + customer x logit that the customer comes back + level).
    """

    pair: float = 1.0
    customer: float = 1.0
    level: float = 0.0

    def p(self, pair: np.ndarray, customer: np.ndarray) -> np.ndarray:
        """Probabilities of pairs, float64."""
        return sigmoid(self.pair * pair + self.customer * customer + self.level)


@dataclass(frozen=True)
class Heads:
    """What the boosters say of pairs, float64 [pairs]: log-odds, score of order, log amount, log-odds of return."""

    buys: np.ndarray
    orders: np.ndarray
    pays: np.ndarray
    back: np.ndarray


@dataclass(frozen=True)
class ShopScorer:
    """Five LightGBM models (Ke et al., 2017) and what joins them.

    - *p_purchase*: the log-odds of the pair among customers who come back, and those that the customer comes back
      within ``horizon`` days, joined by ``joined``, which was fitted on all customers of a later evening.
    - *order*: exp of (log-odds + 2 x ``slope`` x mean of two LambdaMART scores (Burges, 2010)) / 3. A list is not
      ordered by p alone, because a model that learns the order of one customer's items makes better lists than one that
      also has to learn levels. ``slope`` brings the scores to the scale of log-odds; it was fixed in training.
    - *amount*: exp of the expected log of what is paid if it is bought, times ``smear``, which makes the mean right
      (Duan, 1983). Prices say little where cheap things go by the gross.

    ``models`` holds LightGBM text by name.
    """

    kind: ClassVar[str] = "shop_scorer"

    models: Mapping[str, str]
    slope: float
    joined: Joined
    smear: float
    horizon: int

    def __post_init__(self) -> None:
        """Parse the models once."""
        boosters = {name: lgb.Booster(model_str=text) for name, text in self.models.items()}
        object.__setattr__(self, "boosters", boosters)

    def heads(self, audience: ShopAudience, rows: np.ndarray, features: np.ndarray) -> Heads:
        """What the boosters say of the pairs with ``features`` [pairs, SHOP_FEATURES]."""
        users, place = np.unique(rows, return_inverse=True)
        back = self._predict(BACK, audience.customers[users])[place]
        orders = np.mean([self._predict(name, features) for name in ORDERS], axis=0)
        return Heads(self._predict(BUYS, features), orders, self._predict(PAYS, features), back)

    def judge(
        self,
        shelf: Shelf,
        audience: Audience,
        rows: np.ndarray,
        items: np.ndarray,
        retrieved: Mapping[str, np.ndarray],
    ) -> Judged:
        """Judge pairs, see ``judge.Scorer``; ``rows`` hold all candidates of each customer.

        Raises:
            ModelError: the audience is not that of a shop.
        """
        shop = of_shop(audience)
        heads = self.heads(shop, rows, shop_pair_features(shop, rows, items, retrieved))
        mixed = (heads.buys + 2 * self.slope * heads.orders) / 3
        return Judged(
            self.joined.p(heads.buys, heads.back),
            amount=np.round(np.exp(np.clip(heads.pays, -STEEPEST, STEEPEST)) * self.smear, DECIMALS),
            order=np.exp(np.clip(mixed, -STEEPEST, STEEPEST)),
        )

    def contributions(
        self,
        shelf: Shelf,
        audience: Audience,
        rows: np.ndarray,
        items: np.ndarray,
        retrieved: Mapping[str, np.ndarray],
    ) -> Contributions:
        """What each feature adds to the log-odds (TreeSHAP, Lundberg et al., 2020); the customer's own is the base."""
        shop = of_shop(audience)
        features = shop_pair_features(shop, rows, items, retrieved)
        booster = self.boosters[BUYS]  # type: ignore[attr-defined]
        parts = np.asarray(booster.predict(features, pred_contrib=True, num_threads=1))
        users, place = np.unique(rows, return_inverse=True)
        back = self._predict(BACK, shop.customers[users])[place]
        base = self.joined.pair * parts[:, -1] + self.joined.customer * back + self.joined.level
        return Contributions(SHOP_FEATURES, self.joined.pair * parts[:, :-1], base)

    def quality(self, shelf: Shelf) -> np.ndarray:
        """Log of how often each listing was bought or looked at lately: what stands for it where nothing is known."""
        return np.log(np.expm1(shelf.item_feature("popularity_30d").astype(np.float64)) + 0.1)

    def save(self, folder: Path) -> None:
        """Write the scorer into ``folder``: the models as LightGBM text, the numbers in the manifest."""
        joined = {"pair": self.joined.pair, "customer": self.joined.customer, "level": self.joined.level}
        numbers = {"slope": self.slope, "smear": self.smear, "horizon": self.horizon, "platt": joined}
        with store.replacing(folder) as aside:
            for name, text in self.models.items():
                (aside / f"{name}.txt").write_text(text, encoding="utf-8")
            store.seal(aside, {"model": self.kind, "features": list(SHOP_FEATURES), **numbers})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a scorer back.

        Raises:
            ModelError: the folder is damaged, or it was trained on other features than this version computes.
        """
        facts = store.read_manifest(folder)
        refuse_other_features(tuple(facts["features"]), SHOP_FEATURES)  # type: ignore[arg-type]
        models = {
            name: (folder / f"{name}.txt").read_text(encoding="utf-8") for name in (BUYS, *ORDERS, PAYS, BACK)
        }
        slope, smear, horizon = (float(str(facts[name])) for name in ("slope", "smear", "horizon"))
        joined = facts["platt"]  # as they were named when the first models were stored
        assert isinstance(joined, dict)
        return cls(models, slope, Joined(**joined), smear, int(horizon))

    def _predict(self, name: str, features: np.ndarray) -> np.ndarray:
        """Raw scores, one number per row, float64."""
        if not len(features):
            return np.empty(0, np.float64)
        booster = self.boosters[name]  # type: ignore[attr-defined]
        return np.asarray(booster.predict(features, raw_score=True, num_threads=1), np.float64)


def of_shop(audience: Audience) -> ShopAudience:
    """The audience as that of a shop.

    Raises:
        ModelError: it is none.
    """
    if not isinstance(audience, ShopAudience):
        raise ModelError(
            "The ranker is that of a shop (item_unit: item), the audience is not. Train again with this setting."
        )
    return audience
