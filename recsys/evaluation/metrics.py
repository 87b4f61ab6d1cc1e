"""Ranking metrics of a whole table of lists against what was then bought. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.schema import ITEM_ID, RANK, USER_ID

REVENUE = "revenue"
METRICS = ("ndcg", "recall", "hit_rate", "mrr", "map", REVENUE)
"""Columns of ``user_metrics``, in the order in which they are shown."""


@dataclass(frozen=True)
class RankingMetrics:
    """Means over users: NDCG and recall between 0 and 1, revenue in money, and the number of users."""

    ndcg: float
    recall: float
    revenue: float
    users: int

    def as_dict(self, k: int) -> dict[str, float]:
        """As {"ndcg@k": .., "recall@k": .., "revenue@k": .., "users": ..}."""
        return {
            f"ndcg@{k}": self.ndcg,
            f"recall@{k}": self.recall,
            f"revenue@{k}": self.revenue,
            "users": self.users,
        }


def user_metrics(lists: pd.DataFrame, bought: pd.DataFrame, k: int) -> pd.DataFrame:
    """Judge the first ``k`` places of each list: one row per user in ``bought``, with a list or not, columns METRICS.

    With n distinct items bought and m = min(k, n): ``ndcg`` is binary, its ideal the DCG of m hits at the top
    (Järvelin and Kekäläinen 2002); ``recall`` is hits / m; ``hit_rate`` is 1 where there is a hit; ``mrr`` is one over
    the place of the first hit, 0 without (Voorhees 1999, TREC-8 question answering); ``map`` is the sum over the hits
    of the precision at their place, divided by m (average precision, Manning et al. 2008, section 8.4, cut at k);
    ``revenue`` is the money the user then spent on the listed items.

    Args:
        lists: [user_id, item_id, rank], rank from 1, unique per user and item.
        bought: [user_id, item_id, revenue], unique per user and item.
        k: places that count.

    Example:
        >>> lists = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "b"], "rank": [1, 2]})
        >>> bought = pd.DataFrame({"user_id": ["u"], "item_id": ["b"], "revenue": [5.0]})
        >>> user_metrics(lists, bought, 2).round(2).to_dict("records")
        [{'ndcg': 0.63, 'recall': 1.0, 'hit_rate': 1.0, 'mrr': 0.5, 'map': 0.5, 'revenue': 5.0}]
    """
    wanted = bought.groupby(USER_ID)[ITEM_ID].size().clip(upper=k)
    hits = lists[lists[RANK] <= k].merge(bought, on=[USER_ID, ITEM_ID])
    row = wanted.index.get_indexer(pd.Index(hits[USER_ID]))
    place = hits[RANK].to_numpy(np.float64)
    order = np.lexsort((place, row))
    row, place, users = row[order], place[order], len(wanted)
    nth = np.arange(len(row)) - np.searchsorted(row, row) + 1

    def total(weights: np.ndarray) -> np.ndarray:
        return np.bincount(row, weights, users)

    most = wanted.to_numpy()
    ideal = np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))[most - 1]
    columns = {
        "ndcg": total(1.0 / np.log2(place + 1.0)) / ideal,
        "recall": total(np.ones(len(row))) / most,
        "hit_rate": total((nth == 1).astype(float)),
        "mrr": total(np.where(nth == 1, 1.0 / place, 0.0)),
        "map": total(nth / place) / most,
        REVENUE: total(hits[REVENUE].to_numpy(np.float64)[order]),
    }
    return pd.DataFrame(columns, index=wanted.index)[list(METRICS)]


def ranking_metrics(lists: pd.DataFrame, bought: pd.DataFrame, k: int) -> RankingMetrics:
    """Means of ``user_metrics`` over every user in ``bought``, with a list or not; zeros where nobody bought.

    Example:
        >>> lists = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "b"], "rank": [1, 2]})
        >>> bought = pd.DataFrame({"user_id": ["u"], "item_id": ["b"], "revenue": [5.0]})
        >>> ranking_metrics(lists, bought, 2)
        RankingMetrics(ndcg=0.6309297535714575, recall=1.0, revenue=5.0, users=1)
    """
    table = user_metrics(lists, bought, k)
    if table.empty:
        return RankingMetrics(0.0, 0.0, 0.0, 0)
    means = table.mean()
    return RankingMetrics(float(means["ndcg"]), float(means["recall"]), float(means[REVENUE]), len(table))
