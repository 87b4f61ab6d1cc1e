"""The probability that a user who is shown a listing buys it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from recsys.errors import ModelError
from recsys.features.audience import Audience
from recsys.features.pairs import PAIR_FEATURES, pair_features
from recsys.features.shelf import ITEM_FEATURES, Shelf
from recsys.models import store
from recsys.ranking.judge import Contributions, Judged, refuse_other_features
from recsys.ranking.platt import PRICE, Platt, fit_platt, log_price_of, logistic, sigmoid

MOST_NEGATIVES = 300_000
CLICK_PENALTY = 1.0
PURCHASE_PENALTY = 10.0
CLICK_SCALE = 30.0
"""The log-odds of a click enter the purchase model this much enlarged, so that the penalty hardly touches them."""
USUAL, USUAL_OF_LISTINGS = (0.001, 0.999), (0.01, 0.99)
"""Features are clipped to these quantiles of the pairs learned from: a straight line says nothing beyond them. What
hardly a list held, like auctions where the ranker before had none, gets no weight from the few that it did hold; what a
user did with a listing is rare, and counts."""

INTEREST = (
    "item_knn",
    "als",
    "own_history",
    "category_share",
    "category_known",
    "category_lift",
    "category_searched",
    "brand_share",
    "brand_lift",
    "brand_searched",
)
"""Features that say what a user cares for. A search page holds nothing but what was asked for, so there they tell less
than in a list."""
MEMORY = 2 / 3
"""Share that the scorer before has in the weights of a new one."""


@dataclass(frozen=True)
class PairScorer:
    """Logistic regression on standardised pair features, corrected for sampling and calibrated on later days.

    logit p' = intercept + coefficients . (clip(x, low, high) - mean) / scale; then p = p' / (p' + (1 - p') / kept),
    where ``kept`` is the share of negatives that were trained on; then ``platt``. What was never seen, like the bids on
    a listing where no auction was shown, is taken for the nearest that was.
    """

    kind: ClassVar[str] = "pair_scorer"

    names: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercept: float
    kept: float = 1.0
    platt: Platt = field(default_factory=Platt)
    low: np.ndarray = field(default_factory=lambda: np.array([-np.inf], np.float32))
    high: np.ndarray = field(default_factory=lambda: np.array([np.inf], np.float32))

    def logit(self, features: np.ndarray) -> np.ndarray:
        """Calibrated log-odds of the pairs, float32 [pairs]."""
        weights = (self.coefficients / self.scale).astype(np.float32)
        constant = self.intercept - float(self.mean @ (self.coefficients / self.scale))
        # einsum and not @: BLAS rounds the last rows of a matrix otherwise, and a list would depend on its batch.
        usual = np.clip(features, self.low, self.high)
        raw = np.einsum("ij,j->i", usual, weights) + np.float32(constant + np.log(self.kept))
        return self.platt.logit(raw, log_price_of(self.names, features))

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Promised probability of a purchase for each row of ``features`` [pairs, names]: float64 in (0, 1)."""
        return np.minimum(sigmoid(self.logit(features).astype(np.float64)), self.platt.most)

    def judge(
        self,
        shelf: Shelf,
        audience: Audience,
        rows: np.ndarray,
        items: np.ndarray,
        retrieved: Mapping[str, np.ndarray],
    ) -> Judged:
        """Judge pairs, see ``judge.Scorer``."""
        logit = self.logit(pair_features(shelf, audience, rows, items, retrieved))
        return Judged(sigmoid(logit.astype(np.float64)), most=self.platt.most)

    def contributions(
        self,
        shelf: Shelf,
        audience: Audience,
        rows: np.ndarray,
        items: np.ndarray,
        retrieved: Mapping[str, np.ndarray],
    ) -> Contributions:
        """What each feature, against its mean, adds to the log-odds of the pairs."""
        features = pair_features(shelf, audience, rows, items, retrieved)
        usual = np.clip(features, self.low, self.high)
        values = self.platt.slope * (usual - self.mean) / self.scale * self.coefficients
        if PRICE in self.names:
            values[:, self.names.index(PRICE)] += self.platt.tilt * log_price_of(self.names, features)
        base = self.platt.slope * (self.intercept + np.log(self.kept)) + self.platt.offset
        return Contributions(self.names, values, np.full(len(rows), base))

    def quality(self, shelf: Shelf) -> np.ndarray:
        """Log-odds of each listing by what is known of it alone, see ``judge.Scorer``."""
        first = self.names.index(ITEM_FEATURES[0])
        part = slice(first, first + len(ITEM_FEATURES))
        low, high = (np.broadcast_to(edge, len(self.names))[part] for edge in (self.low, self.high))
        usual = np.clip(shelf.features, low, high)
        logit = ((usual - self.mean[part]) / self.scale[part]) @ self.coefficients[part]
        return np.asarray(self.platt.logit(logit, log_price_of(ITEM_FEATURES, shelf.features)), np.float64)

    def save(self, folder: Path) -> None:
        """Write the scorer into ``folder``."""
        numbers = np.array([self.intercept, self.kept, *astuple(self.platt)])
        arrays = {
            "names": np.array(self.names, dtype=object),
            "mean": self.mean,
            "scale": self.scale,
            "coefficients": self.coefficients,
            "low": self.low,
            "high": self.high,
            "numbers": numbers,
        }
        store.save(folder, arrays, {"model": self.kind})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a scorer back.

        Raises:
            ModelError: when it is damaged, or was trained on other features than this version computes.
        """
        arrays = store.read_arrays(folder)
        names = tuple(arrays["names"])
        refuse_other_features(names, PAIR_FEATURES)
        intercept, kept, *platt = (float(x) for x in arrays["numbers"])
        mean, scale, coefficients = (arrays[name] for name in ("mean", "scale", "coefficients"))
        edges = arrays["low"], arrays["high"]
        return cls(names, mean, scale, coefficients, intercept, kept, Platt(*platt), *edges)


def fit_scorer(
    features: np.ndarray,
    purchased: np.ndarray,
    *,
    names: tuple[str, ...],
    rng: np.random.Generator,
    clicked: np.ndarray | None = None,
    position: np.ndarray | None = None,
    off_list: np.ndarray | None = None,
    kept: float = 1.0,
) -> PairScorer:
    """Fit on pairs that were shown: ``features`` [pairs, names], ``purchased`` 0/1.

    With ``clicked`` the click is learned first, and its log-odds enter the purchase model as one nearly unpenalised
    feature, over *all* pairs shown and not only the clicked ones (entire-space modelling, Ma et al. 2018): clicks are
    many and say what draws a user, purchases are few and only correct them. What is far down a list is clicked less for
    being there: with ``position`` both models carry log(1 + position) too, and it is dropped afterwards, which leaves
    the features what they say at a mean position. Pairs ``off_list`` stood on a page that the user asked for: level,
    position and INTEREST of these have weights of their own, dropped as well; what listings and prices are worth is
    learned from both (Daume, Frustratingly Easy Domain Adaptation, 2007). Pairs without a click or purchase beyond
    MOST_NEGATIVES are sampled with ``rng``, and each one drawn weighs as much as all it stands for: clicked ones are
    all kept, so that no one factor on the odds would set the others right. ``kept`` is the share of the pairs without a
    purchase that was given in the first place.

    Raises:
        ModelError: when all pairs have the same outcome.
    """
    if not 0 < purchased.sum() < len(purchased):
        raise ModelError(
            f"The ranker needs pairs with and without a purchase; {int(purchased.sum())} of {len(purchased)} have one. "
            "Train on more days."
        )
    keep, weight = _sample(purchased, clicked, rng)
    low, high = _usual(features[keep], names)
    features, purchased = np.clip(features[keep], low, high).astype(np.float64), purchased[keep]
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    x = (features - mean) / scale
    base, place = np.zeros(x.shape[1]), np.zeros((len(keep), 0))
    if position is not None:
        interest = x[:, np.isin(names, INTEREST)]
        place = _seen_where(position[keep], None if off_list is None else off_list[keep], interest)
    if clicked is not None and 0 < clicked[keep].sum() < len(keep):
        base = logistic(np.hstack([x, place]), clicked[keep], CLICK_PENALTY, weight)[0][: x.shape[1]]
    strong = CLICK_SCALE * (x @ base)[:, None]
    weights, intercept = logistic(np.hstack([x, strong, place]), purchased, PURCHASE_PENALTY, weight)
    weights, click_weight = weights[: x.shape[1]], weights[x.shape[1]]
    weights += CLICK_SCALE * click_weight * base
    return PairScorer(names, mean, scale, weights, intercept, kept, low=low, high=high)


def _seen_where(position: np.ndarray, off_list: np.ndarray | None, interest: np.ndarray) -> np.ndarray:
    """What depends on where a pair was seen, and not on the pair: columns of mean 0, dropped after the fit."""
    place = np.log1p(position)
    if off_list is None or off_list.all() or not off_list.any():
        return np.asarray((place - place.mean())[:, None])
    columns = [np.where(part, place - place[part].mean(), 0.0) for part in (~off_list, off_list)]
    seen = np.column_stack([*columns, off_list, interest * off_list[:, None]])
    return np.asarray(seen - seen.mean(axis=0))


def _usual(features: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest usual value of each feature."""
    low, high = np.quantile(features, USUAL, axis=0)
    of_listings = np.isin(names, ITEM_FEATURES)
    low[of_listings], high[of_listings] = np.quantile(features[:, of_listings], USUAL_OF_LISTINGS, axis=0)
    return low.astype(np.float32), high.astype(np.float32)


def remembering(new: PairScorer, before: PairScorer, memory: float = MEMORY) -> PairScorer:
    """``new`` with ``memory`` of its weights those of the calibrated scorer ``before``; still to be calibrated.

    The pairs of each training are those that the scorer before chose, and a straight line fits one choice by other
    weights than the next: what a list was full of looks worse than it is, what it held little of looks better, and
    lists swing from one to the other. Weights averaged over trainings (Polyak and Juditsky, 1992) fit what all of them
    showed. Features keep the range that either has seen, and over it no more effect than either found over its own:
    what hardly a list of the last days held has a narrow range there and, however little it does, a steep slope.
    """
    weights = before.platt.slope * before.coefficients / before.scale
    if PRICE in before.names:
        weights[before.names.index(PRICE)] += before.platt.tilt
    low, high = np.minimum(new.low, before.low), np.maximum(new.high, before.high)
    own, theirs = (_part_of_range(scorer, low, high) for scorer in (new, before))
    mixed = (1 - memory) * new.coefficients * own + memory * weights * new.scale * theirs
    return replace(new, coefficients=mixed, low=low, high=high)


def _part_of_range(scorer: PairScorer, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How much of the range from ``low`` to ``high`` a scorer has seen, by feature; 1 of one that has no end."""
    span, seen = (np.asarray(b, np.float64) - a for a, b in ((low, high), (scorer.low, scorer.high)))
    bounded = np.isfinite(span) & (span > 0)
    return np.divide(seen, span, out=np.ones(np.broadcast(seen, span).shape), where=bounded)


def calibrated(scorer: PairScorer, features: np.ndarray, purchased: np.ndarray) -> PairScorer:
    """``scorer``, calibrated on pairs of *later* days than it was trained on, see ``platt.fit_platt``.

    Raises:
        ModelError: when these days have no purchase, or the scorer orders them backwards.
    """
    raw = replace(scorer, platt=Platt()).logit(features)
    return replace(scorer, platt=fit_platt(raw, log_price_of(scorer.names, features), purchased))


def _sample(
    purchased: np.ndarray, clicked: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the pairs to fit on, and how many each stands for."""
    positive = purchased > 0 if clicked is None else (purchased > 0) | (clicked > 0)
    negatives = np.flatnonzero(~positive)
    if len(negatives) <= MOST_NEGATIVES:
        return np.arange(len(purchased)), np.ones(len(purchased))
    chosen = rng.choice(negatives, MOST_NEGATIVES, replace=False)
    keep = np.sort(np.concatenate([np.flatnonzero(positive), chosen]))
    return keep, np.where(positive[keep], 1.0, len(negatives) / MOST_NEGATIVES)
