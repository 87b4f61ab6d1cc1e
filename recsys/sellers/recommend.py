"""Lists of sellers, best first, with what made each score and why in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys.schema import RANK, SCORE, SELLER_ID, USER_ID
from recsys.sellers.factors import NAMES, Factors, popularity
from recsys.sellers.market import Market
from recsys.sellers.reasons import Reasons
from recsys.sellers.weights import Weights, blocks

COLUMNS = (USER_ID, RANK, SELLER_ID, SCORE, *(f"by_{name}" for name in NAMES), "live_listings", "reason")


def recommend(factors: Factors, weights: Weights, users: np.ndarray, k: int) -> pd.DataFrame:
    """At most ``k`` sellers for each of some users: COLUMNS, sorted by user and rank.

    Nobody is shown themselves, a seller without a live listing, or one they follow or bought from. ``score`` is the
    sum of the ``by_*`` columns, what each factor adds.

    Args:
        factors: of the market of the evening.
        weights: what each factor is worth.
        users: places in ``market.users``.
        k: length of a list; shorter where fewer sellers are left.
    """
    market, reasons = factors.market, Reasons(factors)
    if not market.n_sellers or not len(users):
        return _empty()
    size = np.asarray(factors.of_seller.sum(axis=1)).astype(np.int64).reshape(-1)
    parts = [_empty()]
    for block in blocks(market, users):
        values = factors.block(block)
        row, seller, rank = best(weights.score(values), market, block, k)
        added = weights.parts(values[row, seller].astype(np.float64))
        frame = pd.DataFrame(added, columns=[f"by_{name}" for name in NAMES])
        frame[USER_ID], frame[RANK] = market.users[block[row]], rank
        frame[SELLER_ID], frame["live_listings"] = market.shelf.seller_ids[seller], size[seller]
        frame[SCORE] = added.sum(axis=1)
        frame["reason"] = reasons.of(block[row], seller, added)
        parts.append(frame[list(COLUMNS)])
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def most_popular(market: Market, users: np.ndarray, k: int) -> pd.DataFrame:
    """The sellers whom most follow or bought from of late, for everybody: [user_id, rank, seller_id]."""
    parts = [_empty()[[USER_ID, RANK, SELLER_ID]]]
    score = popularity(market)
    for block in blocks(market, users):
        row, seller, rank = best(np.tile(score, (len(block), 1)), market, block, k)
        parts.append(
            pd.DataFrame(
                {USER_ID: market.users[block[row]], RANK: rank, SELLER_ID: market.shelf.seller_ids[seller]}
            )
        )
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def best(
    score: np.ndarray, market: Market, users: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ``k`` best sellers of each row of ``score`` [users x S] who may be shown: row, seller and rank of each.

    Equal scores are ordered by the seller's id.
    """
    score = np.where(market.barred(users).toarray() > 0, -np.inf, score)
    order = np.argsort(-score, axis=1, kind="stable")[:, :k]
    allowed = np.isfinite(np.take_along_axis(score, order, axis=1))
    row, place = np.nonzero(allowed)
    return row, order[row, place], place + 1


def _empty() -> pd.DataFrame:
    frame = pd.DataFrame({name: np.empty(0) for name in COLUMNS})
    kinds = {USER_ID: object, SELLER_ID: object, "reason": object, RANK: np.int64, "live_listings": np.int64}
    return frame.astype(kinds)
