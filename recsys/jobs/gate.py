"""Hold a new model against the champion in place, on days that neither has learned from.

What is sold leans to what was shown, and shown were the lists of the champion itself. So only those users judge who had
no list of it: they saw what is popular, which favours neither, or nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.evaluation.gate import MARGIN, Verdict, compare_with_champion, refuse_worse
from recsys.evaluation.metrics import user_metrics
from recsys.jobs.inputs import has_features, read_shop, read_snapshot
from recsys.jobs.score import DEFAULT_POLICY, ranker_of
from recsys.ranking.champion import Champion, load_champion, newest_day
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.training import FeatureScorer
from recsys.schema import ITEM_ID, RANK, USER_ID
from recsys.settings import Settings
from recsys.warehouse import Warehouse

JUDGED_DAYS = {"group": 3, "item": 14}
"""Last days that judge, by ``item_unit``, at most; and at most half of those since the champion was trained."""
PLACES = 10
METRICS = ("revenue", "ndcg")
CONFIDENCE = 0.975
"""Of each interval: two metrics may refuse."""
LEAST_BUYERS = 50
MOST_BUYERS = 2_000
"""Who judge an evening; of more, a part is drawn."""
MOST_PROMISED = 3.0
"""Times the purchases that the champion's lists promise. Nobody knows yet what a new model overestimates, and it may
well promise half as many again as come true; one that goes beyond this is wrong of what no list held."""
PROMISED_TO = 500
"""Users, drawn, whose lists tell what a model promises."""
LISTS, POPULAR = "marts.recommendations", "popularity"

BOUGHT = """
SELECT user_id, item_id, CAST(SUM(revenue) AS FLOAT64) AS revenue
FROM staging.user_item_daily
WHERE ds BETWEEN @day AND @ds AND event_date = @day AND purchases > 0
GROUP BY user_id, item_id
ORDER BY user_id, item_id
"""
SERVED = """
SELECT DISTINCT user_id FROM marts.recommendations
WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @days - 1 DAY) AND @ds AND policy != @policy
ORDER BY user_id
"""

Evenings = list[tuple[date, pd.DataFrame]]
"""Evenings, and what was bought after each: [user_id, item_id, revenue]."""


def hold_against_champion(
    warehouse: Warehouse, settings: Settings, ds: date, model: Champion, rehearse: Callable[[date], Champion]
) -> dict[str, object]:
    """Refuse a new model that proves worse than the champion by more than MARGIN, in revenue or NDCG of PLACES places.

    One whose own lists promise more than MOST_PROMISED times what the champion's do is refused before: what it knows of
    listings that were shown cannot tell what it makes of those that were not. The ``model`` of ``ds`` has learned from
    all days up to it. So ``rehearse`` trains one in the same way as of a few days earlier, and that one is judged with
    the champion by what users bought on the days since.

    Returns:
        What the manifest says of it: "against" (data day of the champion), "days" (first and last), "buyers", and by
        metric the difference of the means over buyers, its interval and the margin; or "unjudged", and why. That there
        is a champion to serve on, and nobody could judge, is warned of; with RECSYS_UNJUDGED=refuse it refuses.
        "promised" says how many times the purchases of the champion's lists its own promise, where they were seen.

    Raises:
        ModelError: it is refused; the champion stays.
    """
    try:
        before = newest_day(settings.models_dir, ds - timedelta(days=1))
    except ModelError:
        return {"unjudged": "there is no champion of an earlier day"}
    try:
        champion = load_champion(settings.models_dir, before)
    except ModelError as error:
        return {"against": str(before), "unjudged": str(error)}
    days = min(JUDGED_DAYS[settings.item_unit], ((ds - before).days + 1) // 2)
    cut = ds - timedelta(days=days)
    evenings = _evenings(warehouse, settings, cut, ds)
    buyers = sum(bought[USER_ID].nunique() for _, bought in evenings)
    about: dict[str, object] = {"against": str(before), "days": [str(cut + timedelta(days=1)), str(ds)]}
    times = promised(warehouse, settings, ds, model, champion)
    if times is not None:
        about["promised"] = round(times, 4)
        if times > MOST_PROMISED:
            raise ModelError(
                f"Gate: its own lists promise {times:.1f} times the purchases of the champion's, more than "
                f"{MOST_PROMISED:g} times. The old champion stays."
            )
    if buyers < LEAST_BUYERS:
        few = f"{buyers} buyers of these days had no list of a champion, fewer than {LEAST_BUYERS}"
        return about | _unjudged(settings, ds, few)
    try:
        challenger = rehearse(cut)
    except ModelError as error:
        return about | _unjudged(settings, ds, f"As of {cut} there is no model to judge: {error}")
    found = held_against(warehouse, settings, challenger, champion, evenings)
    for metric, verdict in found.items():
        refuse_worse(verdict, metric)
    told = {
        metric: {"difference": v.difference, "low": v.low, "high": v.high, "margin": v.margin}
        for metric, v in found.items()
    }
    return about | {"buyers": buyers} | told


def promised(
    warehouse: Warehouse, settings: Settings, ds: date, model: Champion, champion: Champion
) -> float | None:
    """Purchases that the first PLACES of the lists of ``model`` promise per purchase that those of ``champion`` do.

    Both make the lists of the same PROMISED_TO users of ``ds``, and promise all that they order by. The champion's
    promises are set right by what came of its lists; None where none was seen yet, as in a shop.
    """
    if settings.item_unit == "item":
        return None
    snapshot = read_snapshot(warehouse, settings, ds)
    if (DEFAULT_POLICY, champion.label) not in snapshot.record.seen:
        return None
    everybody = len(snapshot.audience)
    rng = np.random.default_rng((settings.seed, ds.toordinal()))
    rows = np.sort(rng.choice(everybody, min(everybody, PROMISED_TO), replace=False))
    sums = []
    for one in (_unbounded(model), _unbounded(champion)):
        lists = ranker_of(settings, snapshot, one).rank(snapshot.audience, rows, DEFAULT_POLICY)
        sums.append(float(lists.loc[lists[RANK] <= PLACES, "p_purchase"].sum()))
    return sums[0] / max(sums[1], 1e-9)


def _unbounded(model: Champion) -> Champion:
    """``model`` with every chance that it orders by promised: a bound would hide by how much it errs above it."""
    scorer = model.scorer
    if not isinstance(scorer, FeatureScorer):
        return model
    return replace(model, scorer=replace(scorer, platt=replace(scorer.platt, most=1.0)))


def _unjudged(settings: Settings, ds: date, why: str) -> dict[str, object]:
    if settings.unjudged == "refuse":
        raise ModelError(
            f"Gate: the model of {ds} could not be judged, and RECSYS_UNJUDGED is refuse: {why}. "
            "The old champion stays."
        )
    logging.getLogger(__name__).warning(
        "The model of %s was not held against the champion, and is served: %s", ds, why
    )
    return {"unjudged": why}


def held_against(
    warehouse: Warehouse, settings: Settings, challenger: Champion, champion: Champion, evenings: Evenings
) -> dict[str, Verdict]:
    """Verdict by metric ("revenue@10", "ndcg@10") over the buyers of all ``evenings``; a user is drawn whole."""
    parts = []
    for evening, bought in evenings:
        snapshot = _snapshot(warehouse, settings, evening)
        parts.append([_judged(settings, model, snapshot, bought) for model in (challenger, champion)])
    ours, theirs = (pd.concat(tables) for tables in zip(*parts, strict=True))
    return {
        f"{metric}@{PLACES}": compare_with_champion(
            ours[metric].to_numpy(),
            theirs[metric].to_numpy(),
            settings.seed,
            margin=MARGIN,
            users=ours.index.to_numpy(object),
            confidence=CONFIDENCE,
        )
        for metric in METRICS
    }


def _snapshot(warehouse: Warehouse, settings: Settings, evening: date) -> Snapshot:
    if settings.item_unit == "item":
        return read_shop(warehouse, settings, evening).snapshot(evening)
    return read_snapshot(warehouse, settings, evening)


def _judged(settings: Settings, model: Champion, snapshot: Snapshot, bought: pd.DataFrame) -> pd.DataFrame:
    """Metrics of each buyer by the lists of ``model``, without what is rationed or drawn by chance.

    Who is not in the audience of that evening has no list, and gains nothing by either model.
    """
    ranker = ranker_of(settings, snapshot, model)
    ranker.rationing, ranker.exploration = None, None
    rows = np.unique(snapshot.audience.user_ids.get_indexer(pd.Index(bought[USER_ID])))
    lists = ranker.rank(snapshot.audience, rows[rows >= 0], DEFAULT_POLICY)
    return user_metrics(lists.loc[lists[RANK] <= PLACES, [USER_ID, ITEM_ID, RANK]], bought, PLACES)


def _evenings(warehouse: Warehouse, settings: Settings, cut: date, ds: date) -> Evenings:
    """What was bought after ``cut``, as it is known at the end of ``ds``, by users who had no list of a champion."""
    served = pd.Index([], dtype=object)
    if any(cut <= day < ds for day in warehouse.partitions(LISTS)):
        params = {"days": (ds - cut).days, "policy": POPULAR}
        found = warehouse.query(SERVED, params, ds=ds - timedelta(days=1)).to_pandas()
        served = pd.Index(found[USER_ID], dtype=object)
    kept = []
    for evening, bought in _purchases(warehouse, settings, cut, ds):
        others = bought[~bought[USER_ID].isin(served)]
        users = np.sort(others[USER_ID].unique().astype(object))
        if len(users) > MOST_BUYERS:
            rng = np.random.default_rng((settings.seed, evening.toordinal()))
            users = rng.choice(users, MOST_BUYERS, replace=False)
        if len(users):
            kept.append((evening, others[others[USER_ID].isin(users)]))
    return kept


def _purchases(
    warehouse: Warehouse, settings: Settings, cut: date, ds: date
) -> Iterator[tuple[date, pd.DataFrame]]:
    """Each evening from ``cut`` on and what was bought the day after; of a shop ``cut`` alone, and all bought since."""
    if settings.item_unit == "item":
        bought = read_shop(warehouse, settings, ds).paid_between(cut, ds)
        yield cut, bought.groupby([USER_ID, ITEM_ID], as_index=False).agg(revenue=("revenue", "sum"))
        return
    for evening in (cut + timedelta(days=n) for n in range((ds - cut).days)):
        if has_features(warehouse, evening):
            day = {"day": evening + timedelta(days=1)}
            yield evening, warehouse.query(BOUGHT, day, ds=ds).to_pandas()
