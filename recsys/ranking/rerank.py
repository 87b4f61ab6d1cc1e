"""From a pool ordered by what it earns to a list that is also varied: caps, and maximal marginal relevance.

Carbonell and Goldstein, The Use of MMR, Diversity-Based Reranking (SIGIR 1998).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from recsys.errors import ModelError
from recsys.features.shelf import Shelf

TRAITS = ("group", "category", "brand", "seller", "price_band")
NONE = -1
"""Code of a trait that a listing does not have, and place in the pool of a listing that is not there."""
NO_CAP = 10**6
LATE = np.float32(2)
"""Taken off the marginal relevance, above -1 and at most 1, of a listing that a cap holds back: it comes when nothing
else is left. Not more, or single precision would not tell those that are held back apart."""


@dataclass(frozen=True)
class Variety:
    """How a list is spread.

    Attributes:
        diversity: weight of being unlike what is placed, against 1 - ``diversity`` for revenue; 0 is none.
        per_seller: places of one seller in a list, until nothing else is left; without a number as many as you like.
        per_category: places of one category, likewise.
        popularity: exponent g of the factor (1 + popularity_7d) ** -g on the score; 0 is none.
        group, category, brand, seller, price_band: what each shared trait adds to a similarity.
    """

    diversity: float = 0.0
    per_seller: int = NO_CAP
    per_category: int = NO_CAP
    popularity: float = 0.0
    group: float = 0.3
    category: float = 0.25
    brand: float = 0.15
    seller: float = 0.2
    price_band: float = 0.1

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not 0 <= self.diversity < 1:
            raise ModelError(f"diversity is {self.diversity}; it has to be at least 0 and below 1.")
        for field in fields(self):
            least = 1 if field.name.startswith("per_") else 0
            if getattr(self, field.name) < least:
                raise ModelError(
                    f"{field.name} is {getattr(self, field.name)}; it has to be {least} or more."
                )
        if not self.weights.sum() > 0:
            raise ModelError(f"The weights of {', '.join(TRAITS)} are all 0; give one of them a weight.")

    @property
    def weights(self) -> np.ndarray:
        """Weights of TRAITS, summing to 1, float32."""
        given = np.array([getattr(self, name) for name in TRAITS])
        return np.asarray(given / max(given.sum(), 1e-12), np.float32)


def traits(shelf: Shelf) -> np.ndarray:
    """Codes of TRAITS by listing, int32 [traits, listings]. A price band spans a doubling of the price."""
    band = np.round(np.log2(np.maximum(shelf.price, 0.01))).astype(np.int32)
    codes = (
        shelf.group_code,
        shelf.category_code,
        shelf.brand_code,
        shelf.seller_code,
        band - band.min(initial=0),
    )
    return np.stack(codes).astype(np.int32)


def best_places(score: np.ndarray, size: int) -> np.ndarray:
    """Places in the pool by falling ``score`` [users, pool], the first of equals first; NONE behind the last.

    A listing that is not there scores -inf.

    Returns:
        int64 [users, size].
    """
    order = np.argsort(-score, axis=1, kind="stable")[:, :size]
    order = np.where(np.take_along_axis(score, order, 1) > -np.inf, order, NONE)
    return np.pad(order, ((0, 0), (0, size - order.shape[1])), constant_values=NONE)


def spread(score: np.ndarray, codes: np.ndarray, size: int, variety: Variety) -> np.ndarray:
    """Fill ``size`` places one by one, each with the listing of the highest marginal relevance.

    Relevance is (1 - d) x score / the user's highest score - d x the highest similarity to a listing placed before,
    d = ``variety.diversity``; a similarity is the sum of the weights of the traits that two listings share. A listing
    whose seller or category has all its places waits until no other is left. Of equals the first in the pool is taken.

    Args:
        score: what a listing is worth, float [users, pool], -inf where there is none; 0 or more elsewhere.
        codes: TRAITS of the pool, int32 [traits, users, pool]; NONE shares nothing.
        size: places to fill.
        variety: caps and weights.

    Returns:
        Places in the pool, int64 [users, size], NONE behind the last.
    """
    users = np.arange(len(score))
    value = _relevance(score, variety)
    likeness, late = np.zeros_like(value), np.zeros(value.shape, bool)
    out = np.full((len(score), size), NONE, np.int64)
    placed = np.full((len(TRAITS), len(score), size), NONE, np.int32)
    worth, alike = np.empty_like(value), np.empty_like(value)
    weights = variety.weights * np.float32(variety.diversity)
    for place in range(min(size, score.shape[1])):
        np.subtract(value, likeness, out=worth)
        np.subtract(worth, LATE, out=worth, where=late)
        pick = worth.argmax(axis=1)
        found = worth[users, pick] > -np.inf
        out[:, place] = np.where(found, pick, NONE)
        value[users, pick] = -np.inf
        picked = np.where(found, codes[:, users, pick], NONE)
        placed[:, :, place] = picked
        _compare(codes, picked, weights, alike)
        np.maximum(likeness, alike, out=likeness)
        for trait, most in (("seller", variety.per_seller), ("category", variety.per_category)):
            if place + 1 >= most:
                number = TRAITS.index(trait)
                _hold(codes[number], placed[number, :, : place + 1], most, late)
    return out


def _relevance(score: np.ndarray, variety: Variety) -> np.ndarray:
    best = np.max(score, axis=1, keepdims=True, initial=0.0, where=np.isfinite(score))
    return np.asarray((1 - variety.diversity) * score / np.where(best > 0, best, 1.0), np.float32)


def _compare(codes: np.ndarray, picked: np.ndarray, weights: np.ndarray, alike: np.ndarray) -> None:
    """Write the weighted similarity of every listing to the one picked into ``alike`` [users, pool]."""
    alike.fill(0)
    for code, mine, weight in zip(codes, picked, weights, strict=True):
        if weight > 0:
            shared = np.where(mine == NONE, NONE - 1, mine)[:, None]  # what has no brand shares none
            alike += (code == shared) * weight


def _hold(codes: np.ndarray, placed: np.ndarray, most: int, late: np.ndarray) -> None:
    """Hold back the listings that share a trait with ``most`` placed ones; only the last one can have added one."""
    last = placed[:, -1]
    full = np.flatnonzero(((placed == last[:, None]).sum(axis=1) >= most) & (last != NONE))
    if len(full):
        late[full] |= codes[full] == last[full, None]
