"""What the factors are worth: a logistic regression on who was newly followed or bought from after a cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from recsys.errors import ModelError
from recsys.schema import SELLER_ID, USER_ID
from recsys.sellers.factors import NAMES, Factors
from recsys.sellers.market import Market, values_at

NEGATIVES = 60
"""Sellers drawn at random per buyer that something new was seen of."""
BLOCK_CELLS = 4_000_000
"""Pairs of a buyer and a seller, and of a buyer and a category, that are held at once."""
LEAST_PAIRS = 30


@dataclass(frozen=True)
class Weights:
    """``score`` = sum over factors of ``weight`` x (value - ``mean``) / ``scale``; ``pairs`` it was learned from."""

    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    pairs: int

    def parts(self, values: np.ndarray) -> np.ndarray:
        """What each factor adds to the score: like ``values`` [..., NAMES]."""
        return np.asarray((values - self.mean) / self.scale * self.weight)

    def score(self, values: np.ndarray) -> np.ndarray:
        """Scores of factors [..., NAMES] -> [...]."""
        slope = (self.weight / self.scale).astype(np.float32)
        return np.asarray(values @ slope - float(self.mean @ (self.weight / self.scale)))

    def to_frame(self) -> pd.DataFrame:
        """[factor, mean, scale, weight, pairs], one row per factor."""
        return pd.DataFrame(
            {
                "factor": NAMES,
                "mean": self.mean,
                "scale": self.scale,
                "weight": self.weight,
                "pairs": self.pairs,
            }
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Weights:
        """Read what ``to_frame`` gave.

        Raises:
            ModelError: when the factors are not those of today.
        """
        rows = frame.set_index("factor")
        if sorted(rows.index) != sorted(NAMES):
            raise ModelError(
                f"The weights are of the factors {', '.join(sorted(rows.index))}; this version has "
                f"{', '.join(sorted(NAMES))}. Run train_weekly (or recsys sellers train) again."
            )
        rows = rows.loc[list(NAMES)]
        mean, scale, weight = (rows[name].to_numpy(np.float64) for name in ("mean", "scale", "weight"))
        return cls(mean, scale, weight, int(rows["pairs"].iloc[0]))


STATED = Weights(
    mean=np.array([-7.9, -8.7, 0.0, 0.1, 0.03, 3.2, -0.17, 4.5, 0.95]),
    scale=np.array([1.6, 2.0, 0.026, 0.2, 0.22, 1.7, 0.14, 0.5, 0.05]),
    weight=np.array([0.8, 0.45, 0.2, 0.1, 0.07, 0.15, 0.03, 0.02, 0.02]),
    pairs=0,
)
"""What stands in until there is enough to learn from: rounded from a week of a synthetic marketplace."""


def learn(factors: Factors, later: pd.DataFrame, rng: np.random.Generator, penalty: float = 1.0) -> Weights:
    """Learn from what users did in the days after the market's.

    Args:
        factors: of the market of the cut.
        later: [user_id, seller_id], who newly followed or bought from whom after it; others than the market's users
            and sellers are left out.
        rng: draws the sellers that stand for all the others.
        penalty: inverse of the strength of the L2 penalty.

    Raises:
        ModelError: when fewer than LEAST_PAIRS are left, or no seller that they could be told from.
    """
    values, label = samples(factors, later, rng)
    if label.sum() < LEAST_PAIRS:
        raise ModelError(
            f"{int(label.sum())} pairs of a buyer and a new seller after {factors.market.ds}; {LEAST_PAIRS} are needed "
            "to learn from. Take a longer period after the cut, or a later cut."
        )
    if label.all():
        raise ModelError(
            f"Buyers turned to every seller they could have been shown after {factors.market.ds}, of "
            f"{factors.market.n_sellers} with a live listing; there is nothing to tell them from. Import more sellers."
        )
    mean, scale = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
    model = LogisticRegression(C=penalty, max_iter=500).fit((values - mean) / scale, label)
    return Weights(mean, scale, np.asarray(model.coef_[0], np.float64), int(label.sum()))


def samples(factors: Factors, later: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Factors and labels of the new pairs, and of NEGATIVES random sellers for each user who has any."""
    market = factors.market
    user, seller = new_pairs(market, later)
    found, labels = [np.empty((0, len(NAMES)))], [np.empty(0)]
    for users in blocks(market, np.unique(user)):
        block, barred = factors.block(users), market.barred(users).toarray() > 0
        chosen = np.zeros(block.shape[:2], bool)
        mine = np.isin(user, users)
        chosen[np.searchsorted(users, user[mine]), seller[mine]] = True
        drawn = rng.random(chosen.shape) < NEGATIVES / market.n_sellers
        keep = (chosen | drawn) & ~barred
        found.append(block[keep].astype(np.float64))
        labels.append(chosen[keep].astype(np.float64))
    return np.concatenate(found), np.concatenate(labels)


def new_pairs(market: Market, later: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Places of the users and sellers of ``later`` that could have been recommended: known, offered and new."""
    user = market.users.get_indexer(pd.Index(later[USER_ID]))
    seller = market.shelf.seller_ids.get_indexer(pd.Index(later[SELLER_ID]))
    known = (user >= 0) & (seller >= 0)
    user, seller = user[known], seller[known]
    barred = market.barred(np.arange(len(market.users)))
    new = values_at(barred, user, seller) == 0
    return user[new], seller[new]


def blocks(market: Market, users: np.ndarray) -> list[np.ndarray]:
    """The users in parts of which the factors of all sellers fit into memory."""
    size = max(1, BLOCK_CELLS // max(market.n_sellers, len(market.shelf.category_ids), 1))
    return [users[start : start + size] for start in range(0, len(users), size)]
