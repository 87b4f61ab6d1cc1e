"""Replayed candidates: what would have been named on a past day, and what users then did with it.

Needed where no list was ever shown: a new marketplace, or a shop whose history holds only purchases.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from recsys.features.tables import Members
from recsys.models import Recommender
from recsys.ranking.candidates import Candidates, ContentSearch, Quotas, hybrid_candidates
from recsys.ranking.fit import Fit
from recsys.ranking.snapshot import Snapshot
from recsys.schema import ITEM_ID, USER_ID

MOST_USERS = 500
USERS_AT_ONCE = 500


def replay_pairs(
    snapshot: Snapshot,
    retrievers: Mapping[str, Recommender],
    outcome: pd.DataFrame,
    *,
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
    found = blank_candidates(snapshot, retrievers, users, item_unit, quotas or Quotas())
    return pd.DataFrame(
        {
            USER_ID: audience.user_ids.to_numpy(object)[found.rows],
            ITEM_ID: shelf.item_ids.to_numpy(object)[found.items],
            "clicked": found.are_in(audience, shelf, outcome[outcome["views"] > 0]),
            "purchased": found.are_in(audience, shelf, outcome[outcome["purchases"] > 0]),
        }
    )


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
    content = ContentSearch.build(Fit.build(shelf), by_category, np.zeros(len(shelf)))
    catalogue = next(iter(retrievers.values())).item_ids
    column = catalogue.get_indexer(shelf.group_ids)
    parts = []
    for start in range(0, len(users), USERS_AT_ONCE):
        batch = users[start : start + USERS_AT_ONCE]
        scores = {}
        for name, model in retrievers.items():
            table = model.scores(audience.user_ids[batch])
            scores[name] = np.where(column >= 0, table[:, column], np.float32(-np.inf))
        parts.append(
            hybrid_candidates(
                shelf,
                audience,
                batch,
                group_scores=scores,
                by_group=by_group,
                by_category=by_category,
                shelf_trending=snapshot.trending,
                quotas=quotas,
                item_unit=item_unit,
                content=content,
            )
        )
    return Candidates.join(parts)
