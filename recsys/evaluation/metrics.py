"""Ranking metrics of a whole table of lists against what was then bought. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.schema import ITEM_ID, RANK, USER_ID

REVENUE = "revenue"


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


def ranking_metrics(lists: pd.DataFrame, bought: pd.DataFrame, k: int) -> RankingMetrics:
    """Judge the first ``k`` places of each list; the mean is over every user in ``bought``, with a list or not.

    NDCG is binary, its ideal the DCG of min(k, distinct items bought) hits at the top; recall is hits divided by
    min(k, distinct items bought); revenue is the money the user then spent on the listed items.

    Args:
        lists: [user_id, item_id, rank], rank from 1, unique per user and item.
        bought: [user_id, item_id, revenue], unique per user and item.
        k: places that count.

    Example:
        >>> lists = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "b"], "rank": [1, 2]})
        >>> bought = pd.DataFrame({"user_id": ["u"], "item_id": ["b"], "revenue": [5.0]})
        >>> ranking_metrics(lists, bought, 2)
        RankingMetrics(ndcg=0.6309297535714575, recall=1.0, revenue=5.0, users=1)
    """
    wanted = bought.groupby(USER_ID)[ITEM_ID].size().clip(upper=k)
    if wanted.empty:
        return RankingMetrics(0.0, 0.0, 0.0, 0)
    hits = lists[lists[RANK] <= k].merge(bought, on=[USER_ID, ITEM_ID])
    gain = (
        (1.0 / np.log2(hits[RANK] + 1.0)).groupby(hits[USER_ID]).sum().reindex(wanted.index, fill_value=0.0)
    )
    count = hits.groupby(USER_ID)[ITEM_ID].size().reindex(wanted.index, fill_value=0)
    ideal = np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))[wanted.to_numpy() - 1]
    return RankingMetrics(
        ndcg=float(np.mean(gain.to_numpy() / ideal)),
        recall=float(np.mean(count.to_numpy() / wanted.to_numpy())),
        revenue=float(hits[REVENUE].astype(float).sum() / len(wanted)),
        users=len(wanted),
    )
