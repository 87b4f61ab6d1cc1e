"""Fitting the models of ``ShopScorer`` on replayed evenings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import lightgbm as lgb
import numpy as np

from recsys.ranking.platt import logistic
from recsys.ranking.shop_evenings import Evening
from recsys.ranking.shop_scorer import BACK, BUYS, ORDERS, PAYS, Joined

PLACES = 10
"""A customer's items share the weight of what a perfect list of so many places would gain."""
LEAST_PAID = 0.1
SLOPE_ROWS = 200_000
HARDLY = 1e-6
"""Penalty on the weights that join two models: none to speak of, with two weights and thousands of customers."""

REGULAR: Mapping[str, object] = {
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
}
COMMON: Mapping[str, object] = {
    **REGULAR,
    "num_threads": 1,
    "force_col_wise": True,
    "deterministic": True,
    "verbose": -1,
}


@dataclass(frozen=True)
class Boost:
    """How one model is boosted: trees, leaves of each, learning rate, least examples in a leaf."""

    trees: int
    leaves: int
    rate: float
    least: int = 200

    def parameters(self, objective: str, seed: int) -> dict[str, object]:
        """For LightGBM."""
        own = {"num_leaves": self.leaves, "learning_rate": self.rate, "min_data_in_leaf": self.least}
        return {**COMMON, **own, "objective": objective, "seed": seed % 2**31}


@dataclass(frozen=True)
class Boosts:
    """The sizes of all models; chosen on the cuts of docs/evaluation.md."""

    buys: Boost = field(default_factory=lambda: Boost(250, 63, 0.04))
    orders: Boost = field(default_factory=lambda: Boost(240, 63, 0.05))
    pays: Boost = field(default_factory=lambda: Boost(150, 31, 0.06, 100))
    back: Boost = field(default_factory=lambda: Boost(100, 15, 0.05))


@dataclass(frozen=True)
class Lessons:
    """Pairs of customers who came back, of several evenings; arrays [pairs], ``groups`` pairs of each customer."""

    features: np.ndarray
    bought: np.ndarray
    paid: np.ndarray
    stands_for: np.ndarray
    ideal: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, evenings: Sequence[Evening], horizons: Sequence[int], kept: float) -> Lessons:
        """What was bought within each evening's horizon; ``kept`` is the share of the pairs never bought."""
        parts = []
        for evening, horizon in zip(evenings, horizons, strict=True):
            wanted = evening.wanted(horizon)
            of_these = np.flatnonzero(wanted > 0)
            days = evening.days[of_these]
            gains = np.cumsum(1 / np.log2(np.arange(2, PLACES + 2)))
            parts.append(
                (
                    evening.features[of_these],
                    days <= horizon,
                    evening.paid[of_these],
                    np.where(np.isfinite(days), 1.0, 1 / kept),
                    gains[np.minimum(wanted[of_these], PLACES) - 1],
                    np.unique(evening.rows[of_these], return_counts=True)[1],
                )
            )
        return cls(*(np.concatenate([part[n] for part in parts]) for n in range(6)))


def fit_buys(lessons: Lessons, size: Boost, seed: int) -> str:
    """P(a customer who comes back buys it), every customer weighing alike as in NDCG: LightGBM text."""
    weight = lessons.stands_for / lessons.ideal
    data = lgb.Dataset(lessons.features, lessons.bought.astype(np.float32), weight=weight)
    return _train(size.parameters("binary", seed), data, size.trees)


def fit_orders(lessons: Lessons, size: Boost, seed: int) -> dict[str, str]:
    """Two models of the order of each customer's items (LambdaMART), which differ by their seeds alone."""
    out = {}
    for number, name in enumerate(ORDERS):
        data = lgb.Dataset(lessons.features, lessons.bought.astype(np.float32), group=lessons.groups)
        parameters = size.parameters("lambdarank", seed + 1 + number) | {"lambdarank_truncation_level": 30}
        out[name] = _train(parameters, data, size.trees)
    return out


def fit_pays(lessons: Lessons, size: Boost, seed: int) -> tuple[str, float]:
    """Log of what is paid for what is bought; and the factor that makes its exponential right on average."""
    chosen = lessons.bought
    features, paid = lessons.features[chosen], np.maximum(lessons.paid[chosen], LEAST_PAID)
    text = _train(size.parameters("regression", seed + 3), lgb.Dataset(features, np.log(paid)), size.trees)
    guess = np.exp(np.asarray(lgb.Booster(model_str=text).predict(features, num_threads=1)))
    return text, float(paid.sum() / guess.sum())


def fit_back(customers: np.ndarray, back: np.ndarray, size: Boost, seed: int) -> str:
    """P(a customer comes back) by CUSTOMER features: LightGBM text."""
    data = lgb.Dataset(customers, back.astype(np.float32))
    return _train(size.parameters("binary", seed + 4) | {"feature_fraction": 0.7}, data, size.trees)


def returns(evenings: Sequence[Evening], horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Customers of evenings with a whole horizon behind them, and whether they came back within it."""
    whole = [e for e in evenings if e.known >= horizon]
    back = [e.outcome.distinct(len(e.user_ids), horizon) > 0 for e in whole]
    return np.concatenate([e.customers for e in whole]), np.concatenate(back)


def slope_of(models: Mapping[str, str], lessons: Lessons) -> float:
    """Log-odds per unit of the score of order, by least squares over the lessons, the pairs left out made up for."""
    few = np.linspace(0, len(lessons.bought) - 1, min(SLOPE_ROWS, len(lessons.bought))).astype(np.int64)
    features = lessons.features[few]

    def predict(name: str) -> np.ndarray:
        return np.asarray(
            lgb.Booster(model_str=models[name]).predict(features, raw_score=True, num_threads=1)
        )

    orders = np.mean([predict(name) for name in ORDERS], axis=0)
    slope = np.polyfit(orders, predict(BUYS), 1, w=np.sqrt(lessons.stands_for[few]))[0]
    return max(float(slope), 0.0)


def fit_joined(pair: np.ndarray, customer: np.ndarray, bought: np.ndarray) -> Joined:
    """Join the two log-odds on pairs of all customers of a later evening than both were fitted on."""
    weights, level = logistic(np.column_stack([pair, customer]), bought, HARDLY)
    return Joined(float(weights[0]), float(weights[1]), level)


def _train(parameters: dict[str, object], data: lgb.Dataset, trees: int) -> str:
    data.params = dict(parameters)
    booster = lgb.train(parameters, data, trees)
    return booster.model_to_string()


MODELS = (BUYS, *ORDERS, PAYS, BACK)
