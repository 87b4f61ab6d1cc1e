"""Replayed candidates: what would have been named on a past day, and what users then did with it.

Needed where no list was ever shown: a new marketplace, or a shop whose history holds only purchases.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from recsys.features.tables import Members
from recsys.models import Recommender
from recsys.ranking.candidates import Candidates, Quotas, hybrid_candidates
from recsys.ranking.snapshot import Snapshot
from recsys.schema import ITEM_ID, USER_ID

MOST_USERS = 4_000
USERS_AT_ONCE = 500


def replay_pairs(
    snapshot: Snapshot,
    retrievers: Mapping[str, Recommender],
    outcome: pd.DataFrame,
    item_unit: str,
    seed: int,
    quotas: Quotas | None = None,
) -> pd.DataFrame:
    """Candidates of (a sample of) the snapshot's users with what they then did: [user_id, item_id, clicked, purchased].

    ``outcome``: [user_id, item_id, views, purchases] of the days after the snapshot. A view counts as a click.
    """
    audience, shelf = snapshot.audience, snapshot.shelf
    users = np.arange(len(audience))
    if len(users) > MOST_USERS:
        rng = np.random.default_rng((seed, audience.as_of))
        users = np.sort(rng.choice(users, MOST_USERS, replace=False))
    parts = [
        blank_candidates(
            snapshot, retrievers, users[start : start + USERS_AT_ONCE], item_unit, quotas or Quotas()
        )
        for start in range(0, len(users), USERS_AT_ONCE)
    ]
    rows, items = np.concatenate([p.rows for p in parts]), np.concatenate([p.items for p in parts])
    key = rows * len(shelf) + items
    user = audience.user_ids.get_indexer(pd.Index(outcome[USER_ID]))
    item = shelf.item_ids.get_indexer(pd.Index(outcome[ITEM_ID]))
    known = (user >= 0) & (item >= 0)
    acted = user[known].astype(np.int64) * len(shelf) + item[known]
    labels = {}
    for name, column in (("clicked", "views"), ("purchased", "purchases")):
        labels[name] = np.isin(key, acted[outcome[column].to_numpy()[known] > 0])
    ids = {USER_ID: audience.user_ids.to_numpy(object)[rows], ITEM_ID: shelf.item_ids.to_numpy(object)[items]}
    return pd.DataFrame({**ids, **labels})


def blank_candidates(
    snapshot: Snapshot,
    retrievers: Mapping[str, Recommender],
    users: np.ndarray,
    item_unit: str,
    quotas: Quotas,
) -> Candidates:
    """Candidates without a scorer: listings of a group or category ordered by a random draw, so that the scorer
    learns what sets them apart. The draw is the same for equal listings."""
    shelf, audience = snapshot.shelf, snapshot.audience
    luck = np.random.default_rng(audience.as_of).random(len(shelf))
    by_group = Members.build(
        shelf.group_code, luck, len(shelf.group_ids), shelf.seller_code, quotas.per_seller
    )
    by_category = Members.build(
        shelf.category_code, luck, len(shelf.category_ids), shelf.seller_code, quotas.per_seller
    )
    catalogue = next(iter(retrievers.values())).item_ids
    column = catalogue.get_indexer(shelf.group_ids)
    scores = {}
    for name, model in retrievers.items():
        table = model.scores(audience.user_ids[users])
        scores[name] = np.where(column >= 0, table[:, column], np.float32(-np.inf))
    return hybrid_candidates(
        shelf,
        audience,
        users,
        group_scores=scores,
        by_group=by_group,
        by_category=by_category,
        shelf_trending=snapshot.trending,
        quotas=quotas,
        item_unit=item_unit,
    )
