"""Make the lists of one shard of the active users."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.jobs import plan_shards
from recsys.jobs.inputs import Range, range_params, read_snapshot
from recsys.ranking.candidates import Quotas
from recsys.ranking.champion import Champion, load_champion, newest_day
from recsys.ranking.exploration import Exploration
from recsys.ranking.pipeline import Ranker
from recsys.ranking.rationing import Rationing
from recsys.ranking.rerank import Variety
from recsys.ranking.revenue import Money
from recsys.ranking.rules import load_rules
from recsys.ranking.shop import SHOP_QUOTAS
from recsys.ranking.snapshot import Snapshot
from recsys.schema import USER_ID, table
from recsys.settings import Settings, parse_ds
from recsys.warehouse import Warehouse, open_warehouse

TABLE, STEPS = "scoring.lists", "scoring.steps"
STEP_COLUMNS = {"before": "revenue_before", "after": "revenue_after"}
DEFAULT_POLICY = "hybrid"

ASSIGNMENTS = """
SELECT unit_id AS user_id, experiment_id, arm, policy
FROM experiments.assignments
WHERE ds = @ds AND unit_id BETWEEN @first_user AND @last_user AND policy IS NOT NULL
  AND COALESCE(unit, 'user') = 'user'
QUALIFY ROW_NUMBER() OVER (PARTITION BY unit_id ORDER BY experiment_id) = 1
ORDER BY user_id
"""


def run(
    settings: Settings,
    ds: date,
    shard: int = 0,
    champion: str | None = None,
    *,
    first_user: str | None = None,
    last_user: str | None = None,
) -> dict[str, object]:
    """Write the part ``shard`` of ``scoring.lists`` for ``ds``: a list per active user of the shard.

    What each step of the ranking cost goes into ``scoring.steps``.

    A user in an experiment gets the policy of their arm; everyone else the hybrid. A user in several experiments is
    served, and later counted, by the first of them in order of id.

    ``champion`` is the data day of the model, and the shard holds the users from ``first_user`` to ``last_user``, as
    ``plan_shards`` names them; by default the newest up to ``ds``, and the range that ``plan_shards`` would name.

    Raises:
        ModelError: there is no such shard or champion, or no champion with data up to ``ds``.
        WarehouseError: the features of ``ds`` are missing.
    """
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        mine = shard_range(warehouse, settings, ds, shard, (first_user, last_user))
        snapshot = read_snapshot(warehouse, settings, ds, mine)
        assigned = warehouse.query(ASSIGNMENTS, range_params(mine), ds=ds).to_pandas().set_index(USER_ID)
        day = parse_ds(champion) if champion else None
        ranker = make_ranker(settings, snapshot, day, share=1.0 / settings.shards)
        users = snapshot.audience.user_ids
        arms = assigned.reindex(users)
        policy = arms["policy"].astype(object).where(arms["policy"].notna(), DEFAULT_POLICY).to_numpy(object)
        parts = [
            ranker.rank(snapshot.audience, np.flatnonzero(policy == name), name)
            for name in sorted(set(policy))
        ]
        lists = (
            pd.concat(parts, ignore_index=True)
            if parts
            else ranker.rank(snapshot.audience, np.empty(0, int), DEFAULT_POLICY)
        )
        place = users.get_indexer(pd.Index(lists[USER_ID]))
        for name in ("experiment_id", "arm"):
            values = arms[name].astype(object)
            lists[name] = values.where(values.notna(), None).to_numpy(object)[place]
        lists["ds"] = ds
        part = f"{shard:03d}"
        steps = ranker.steps.rename(columns=STEP_COLUMNS).assign(shard=part, ds=ds)
        warehouse.write(STEPS, steps[table(STEPS).column_names], ds, part=part)
        rows = warehouse.write(TABLE, lists[table(TABLE).column_names], ds, part=part)
    return {"shard": shard, "users": len(users), "rows": rows, "model": ranker.champion.label}


def shard_range(
    warehouse: Warehouse, settings: Settings, ds: date, shard: int, named: tuple[str | None, str | None]
) -> Range:
    """The users of a shard: those ``named``, first and last, or where both are None those of the plan.

    Raises:
        ModelError: one end of two, or no such shard.
    """
    first, last = named
    if (first is None) != (last is None):
        raise ModelError(f"A range of users has two ends; got first_user={first!r} and last_user={last!r}.")
    if first is None or last is None:
        planned = plan_shards.ranges(warehouse, settings, ds)
        if 0 <= shard < len(planned):
            return planned[shard]
        raise ModelError(
            f"Shard {shard} is out of range; the users of {ds} make {len(planned)} (0 to {len(planned) - 1})."
        )
    if not 0 <= shard < settings.shards:
        raise ModelError(
            f"Shard {shard} is out of range; there are {settings.shards} (0 to {settings.shards - 1})."
        )
    return first, last


def score_users(settings: Settings, ds: date, users: Sequence[str] | None, policy: str) -> pd.DataFrame:
    """Lists of ``users`` (None: all active ones) of ``ds`` by one ``policy``, not written anywhere.

    Columns as in ``pipeline.Ranker.rank``; an unknown or inactive user gets no rows.
    """
    with open_warehouse(settings) as warehouse:
        snapshot = read_snapshot(warehouse, settings, ds)
    return rank_users(make_ranker(settings, snapshot), snapshot, users, policy)


def rank_users(ranker: Ranker, snapshot: Snapshot, users: Sequence[str] | None, policy: str) -> pd.DataFrame:
    """Like ``score_users`` over a snapshot at hand, so that a second policy costs no second reading."""
    audience = snapshot.audience
    wanted = (
        np.arange(len(audience))
        if users is None
        else np.unique(audience.user_ids.get_indexer(pd.Index(users)))
    )
    return ranker.rank(audience, wanted[wanted >= 0], policy)


def make_ranker(
    settings: Settings, snapshot: Snapshot, day: date | None = None, *, share: float = 1.0
) -> Ranker:
    """The champion of data day ``day`` (None: the newest up to the snapshot's), with the histories of its users.

    ``share`` of all users is in the snapshot: less than 1 of a shard.
    """
    champion = load_champion(settings.models_dir, day or newest_day(settings.models_dir, snapshot.ds))
    return ranker_of(settings, snapshot, champion, share=share)


def ranker_of(settings: Settings, snapshot: Snapshot, champion: Champion, *, share: float = 1.0) -> Ranker:
    """A champion at hand, saved or not, over the shelf and the histories of a snapshot."""
    rations = settings.ration > 0 and settings.item_unit == "group"
    return Ranker(
        champion.with_history(snapshot.history),
        snapshot.shelf,
        snapshot.trending,
        money=Money(settings.price_cap, settings.price_exponent),
        quotas=SHOP_QUOTAS if settings.item_unit == "item" else Quotas(),
        item_unit=settings.item_unit,
        list_size=settings.list_size,
        reserve_size=settings.reserve_size,
        rules=load_rules(settings.rules_dir),
        variety=Variety(
            settings.diversity, settings.per_seller, settings.per_category, settings.popularity_penalty
        )
        if settings.item_unit == "group"
        else None,  # a shop is one seller, and what its customers buy again is alike on purpose
        exploration=Exploration(settings.explored_places) if settings.explored_places else None,
        rationing=Rationing(sales=settings.ration) if rations else None,
        share=share,
        seed=settings.seed,
        record=snapshot.record,
    )
