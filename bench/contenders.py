"""The rankers that ``rankers.py`` compares, behind one interface: fit on a ``Split``, answer for its test pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np

from recsys.errors import ModelError
from recsys.features.pairs import PAIR_FEATURES
from recsys.ranking.boosted import POSITION, Growth, fit_boosted
from recsys.ranking.platt import fit_platt, sigmoid
from recsys.ranking.revenue import Money
from recsys.ranking.training import Examples, calibrate, fit_logistic

K, LEVELS = 10, 10
MONEY = Money()


@dataclass(frozen=True)
class Answer:
    """What a ranker says of the test pairs: the probability of a purchase, and what orders by chance and by money."""

    p: np.ndarray
    by_chance: np.ndarray
    by_money: np.ndarray


@dataclass(frozen=True)
class Split:
    """Pairs to learn from, to calibrate on, and to be judged by; ``seed`` of everything drawn."""

    learn: Examples
    later: Examples
    test: Examples
    seed: int

    def answer(self, later: np.ndarray, test: np.ndarray, by_money: np.ndarray | None = None) -> Answer:
        """Scores of ``later`` and ``test`` pairs, calibrated on the former; ordered by p x price if not told else."""
        try:
            platt = fit_platt(later, np.log(self.later.price), self.later.purchased)
            p = np.minimum(sigmoid(platt.logit(test, np.log(self.test.price)).astype(np.float64)), platt.most)
        except ModelError:  # it orders those days backwards: as a probability it says nothing
            p = np.full(len(test), self.later.purchased.mean())
        return Answer(p, test, p * MONEY.capped(self.test.price) if by_money is None else by_money)


def split(pairs: Examples, seed: int) -> Split:
    """The last fifth of the days judges, the fifth before calibrates, and the rest is learned from."""
    assert pairs.day is not None
    days = np.unique(pairs.day)
    fifth = max(1, len(days) // 5)
    calibrates, judges = days[-2 * fifth], days[-fifth]
    parts = (pairs.day < calibrates, (pairs.day >= calibrates) & (pairs.day < judges), pairs.day >= judges)
    return Split(*(pairs.take(part) for part in parts), seed)


def one_rate(data: Split) -> Answer:
    """The purchase rate of the days before for all."""
    rate = np.full(len(data.test.purchased), data.later.purchased.mean())
    return Answer(rate, np.zeros(len(rate)), MONEY.capped(data.test.price))


def popularity(data: Split) -> Answer:
    """By recent interest in the listing."""
    place = PAIR_FEATURES.index("popularity_7d")
    scores = (part.features[:, place].astype(np.float64) for part in (data.later, data.test))
    later, test = scores
    return data.answer(later, test, test)


def logistic(data: Split) -> Answer:
    """The logistic regression of training."""
    raw = fit_logistic(data.learn, data.seed)
    return _by_probability(calibrate(raw, data.later).predict(data.test.features), data)


def click_x_buy(data: Split) -> Answer:
    """The boosted trees of training."""
    learn = data.learn
    known = {"position": learn.position, "late": learn.late, "names": PAIR_FEATURES, "seed": data.seed}
    raw = fit_boosted(learn.features, learn.purchased, learn.clicked, **known)
    return _by_probability(calibrate(raw, data.later).predict(data.test.features), data)


def _by_probability(p: np.ndarray, data: Split) -> Answer:
    return Answer(p, p, p * MONEY.capped(data.test.price))


def direct(data: Split) -> Answer:
    """Trees on purchases alone."""
    place = np.log1p(data.learn.position[:, None])
    features = np.hstack([data.learn.features, place]).astype(np.float32)
    names = [*PAIR_FEATURES, POSITION]
    booster = _grow(features, data.learn, data, {"objective": "binary"}, names=names)

    def scores(part: Examples) -> np.ndarray:
        fixed = np.full((len(part.features), 1), place.mean())
        return booster.predict(np.hstack([part.features, fixed]), raw_score=True)

    return data.answer(scores(data.later), scores(data.test))


def lambdamart(data: Split) -> Answer:
    """Trees that order the list of one user and day, purchases weighing what they cost."""
    order = np.lexsort((data.learn.users, data.learn.day))
    learn = data.learn.take(order)
    paid = MONEY.capped(learn.price)
    edges = np.quantile(paid[learn.purchased > 0], np.linspace(0, 1, LEVELS + 1)[1:-1])
    level = np.where(learn.purchased > 0, 1 + np.searchsorted(edges, paid), 0)
    sums, counts = (np.bincount(level, weights, LEVELS + 1) for weights in (paid, np.ones(len(paid))))
    gains = [0.0, *(sums[1:] / np.maximum(counts[1:], 1))]
    ordering = {"objective": "lambdarank", "label_gain": gains, "eval_at": [K], "metric": "ndcg"}
    booster = _grow(learn.features, learn, data, ordering, label=level, names=list(PAIR_FEATURES))
    later, test = (booster.predict(part.features, raw_score=True) for part in (data.later, data.test))
    return data.answer(later, test, test)


def _grow(
    features: np.ndarray,
    learn: Examples,
    data: Split,
    wanted: dict[str, Any],
    *,
    names: list[str],
    label: np.ndarray | None = None,
) -> lgb.Booster:
    """Trees of the shape that training grows, stopped by the last of the days learned from."""
    growth, late = Growth(), learn.late
    label = learn.purchased if label is None else label
    ordering = wanted["objective"] == "lambdarank"
    parameters = growth.parameters(growth.click_leaves, data.seed) | {"boost_from_average": True} | wanted

    def dataset(part: np.ndarray, reference: lgb.Dataset | None) -> lgb.Dataset:
        groups = list_sizes(learn.take(part)) if ordering else None
        place = learn.position[part].astype(np.int32) if ordering and reference is None else None
        known = {"group": groups, "position": place, "reference": reference, "feature_name": names}
        return lgb.Dataset(features[part], label[part], params=parameters, **known)

    early = dataset(~late, None)
    stop = lgb.early_stopping(growth.patience, verbose=False)
    return lgb.train(parameters, early, growth.rounds, valid_sets=[dataset(late, early)], callbacks=[stop])


def list_sizes(pairs: Examples) -> np.ndarray:
    """Pairs of each list, one of a user and a day, where they stand together."""
    change = (pairs.day[1:] != pairs.day[:-1]) | (pairs.users[1:] != pairs.users[:-1])
    return np.diff(np.concatenate([[0], np.flatnonzero(change) + 1, [len(pairs.users)]]))


RANKERS: dict[str, Callable[[Split], Answer]] = {
    "one rate": one_rate,
    "popularity": popularity,
    "logistic": logistic,
    "direct": direct,
    "click x buy": click_x_buy,
    "lambdamart": lambdamart,
}
