"""Train the retrievers and the ranker, and make them champion if they pass the gate."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.jobs import register
from recsys.jobs.gate import hold_against_champion
from recsys.jobs.inputs import ALL_USERS, days_back, has_features, read_shop, read_snapshot
from recsys.models import Recommender
from recsys.ranking.champion import CHALLENGER, Champion, champion_before, first_day
from recsys.ranking.judge import Scorer
from recsys.ranking.replay import replay_pairs
from recsys.ranking.scorer import MEMORY
from recsys.ranking.shop import train_shop
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.training import (
    Examples,
    fit_retrievers,
    label_pairs,
    make_retrievers,
    ranker_parameters,
    train_scorer,
)
from recsys.ranking.tuned import Tuned
from recsys.schema import ITEM_ID, SURFACE_RECOMMENDATION, USER_ID
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

TRAIN_DAYS = 14
SETTLED_DAYS = 7
"""With fewer days than this whose outcome has arrived as a whole, the last days before the data day train too."""
CALIBRATION_SHARE = 0.3
MOST_USERS = 50_000
"""Users that training learns from; of more, a part is drawn by hash, the same users on every day."""
MOST_OFF_LISTS = 1_000_000
"""Pairs off lists that training learns from; of more, those of a part of these users."""
LEAST_PURCHASES = 10
"""Fewer purchases out of shown lists than this, and the ranker learns from replayed candidates instead."""

SHOWN = """
WITH pairs AS (
  SELECT user_id, item_id, event_date, MIN(first_position) AS position, SUM(clicks) AS clicks, SUM(views) AS views,
    SUM(impressions) AS impressions, SUM(purchases) AS purchases
  FROM staging.user_item_daily
  WHERE ds BETWEEN @day AND @ds AND event_date BETWEEN @day AND DATE_ADD(@day, INTERVAL 1 DAY)
    AND ABS(MOD(FARM_FINGERPRINT(CONCAT('train:', user_id)), 1000000)) < @most
  GROUP BY user_id, item_id, event_date
)
SELECT today.user_id, today.item_id, today.position, today.clicks, today.views, today.impressions,
  today.purchases + IF(
    today.impressions > 0 AND COALESCE(next_day.impressions, 0) = 0, COALESCE(next_day.purchases, 0), 0
  ) AS purchases
FROM pairs AS today
LEFT JOIN pairs AS next_day ON next_day.user_id = today.user_id AND next_day.item_id = today.item_id
  AND next_day.event_date = DATE_ADD(@day, INTERVAL 1 DAY)
WHERE today.event_date = @day
ORDER BY today.user_id, today.item_id
"""
"""What became of each pair on a day; a purchase of the day after counts for the list shown last before it. Of users as
``inputs.DRAWN`` has it."""
OFF_LISTS = """
WITH pairs AS (
  SELECT user_id, item_id, surface, event_date, MIN(IF(event_type = 'impression', events.position, NULL)) AS position,
    COUNTIF(event_type = 'view') AS clicked, COUNTIF(event_type = 'purchase') AS purchased
  FROM staging.events AS events
  WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @oldest DAY) AND @ds
    AND event_date BETWEEN DATE_SUB(@ds, INTERVAL @oldest DAY) AND DATE_SUB(@ds, INTERVAL @latest DAY)
    AND surface <> @lists AND event_type IN ('impression', 'view', 'purchase')
    AND ABS(MOD(FARM_FINGERPRINT(CONCAT('train:', user_id)), 1000000)) < @most
  GROUP BY user_id, item_id, surface, event_date
  HAVING COUNTIF(event_type = 'impression' AND events.position IS NOT NULL) > 0
),
counted AS (
  SELECT COUNT(*) AS found FROM pairs
)
SELECT pairs.user_id, pairs.item_id, pairs.surface, pairs.event_date, pairs.position, pairs.clicked, pairs.purchased
FROM pairs
CROSS JOIN counted
WHERE ABS(MOD(FARM_FINGERPRINT(CONCAT('train:', pairs.user_id)), 1000000)) * counted.found < @most * @most_pairs
ORDER BY pairs.event_date, pairs.user_id, pairs.item_id, pairs.surface
"""
"""What became of each pair on pages of search and of browsing, on the page that showed it. If more than ``most_pairs``
were found, of so many fewer users by the same hash."""
USERS = """
SELECT COUNT(DISTINCT user_id) AS users
FROM staging.user_item_daily
WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @days - 1 DAY) AND @ds
"""


def run(settings: Settings, ds: date, *, progress: Callable[[str], None] | None = None) -> dict[str, object]:
    """Train on what was known by the end of ``ds`` and write the champion of ``ds``.

    Learns from the lists that were shown, if enough of them sold something, and from what searches and browsing showed
    beside them; else from replay: what users did on a day with the candidates that the evening before would have named.
    Every feature comes from the day before the outcome.
    A shop that restocks learns from replays of past months (``ranking.shop``), which tells ``progress``.

    What was tried is in the manifest and, by ``register``, in the registry. A model that the champion gate refused is
    kept beside the champions, as challenger.

    Raises:
        ModelError: too little data, or the gate refused; the old champion stays.
        WarehouseError: the features of ``ds`` are missing.
    """
    shutil.rmtree(settings.models_dir / CHALLENGER / f"ds={ds}", ignore_errors=True)  # of an earlier attempt
    try:
        champion = _train(settings, ds, progress)
    except ModelError as error:
        register.refused(settings, ds, str(error))
        raise
    folder = champion.save(settings.models_dir, ds)
    told = {name: fact for name, fact in champion.facts.items() if name != "parameters"}
    return {"model": champion.label, "folder": str(folder), **told}


def _train(settings: Settings, ds: date, progress: Callable[[str], None] | None) -> Champion:
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):

        def trained(day: date) -> Champion:
            if settings.item_unit == "group":
                return train_market(warehouse, settings, day)
            in_place = champion_before(settings.models_dir, day)
            return train_shop(
                read_shop(warehouse, settings, day),
                day,
                settings.seed,
                progress,
                champion=in_place.scorer if in_place else None,
                chosen=Tuned.read(settings.tuned_path),
            )

        champion = _with_parameters(settings, trained(ds))
        if not settings.champion_gate:
            return champion
        try:
            held = hold_against_champion(warehouse, settings, ds, champion, trained)
        except ModelError as error:
            refused = replace(champion, facts={**champion.facts, "refused": str(error)})
            refused.save(settings.models_dir, ds, CHALLENGER)
            raise
        return replace(champion, facts={**champion.facts, "gate": held})


def _with_parameters(settings: Settings, champion: Champion) -> Champion:
    """``champion`` with what it was made with in its facts: each retriever's values, the tuned ones, price and cap."""
    known = champion.facts["parameters"]
    assert isinstance(known, dict)
    told: dict[str, object] = {"price_exponent": settings.price_exponent, "price_cap": settings.price_cap}
    chosen = Tuned.read(settings.tuned_path)
    if chosen.values:
        told["tuned"] = {"until": str(chosen.until), "models": sorted(chosen.values)}
    retrievers = {name: model.parameters for name, model in champion.retrievers.items()}
    return replace(
        champion, facts={**champion.facts, "parameters": {**known, **told, "retrievers": retrievers}}
    )


def train_market(warehouse: Warehouse, settings: Settings, ds: date) -> Champion:
    """The champion of a marketplace as of the end of ``ds``, not saved; errors as of ``run``."""
    days = _training_days(warehouse, settings, ds)
    if len(days) < 2:
        raise ModelError(
            f"Training for {ds} needs the features of 2 of the {TRAIN_DAYS} days before; found {len(days)}. "
            "Run the DAG features_daily for these days first."
        )
    most = most_users(warehouse, ds)
    outcomes = {day: outcome_of(warehouse, day, ds, most) for day in days}
    shown = sum(int(o.loc[o["impressions"] > 0, "purchases"].sum()) for o in outcomes.values())
    source = "impressions" if shown >= LEAST_PURCHASES else "replay"
    pages = off_lists(warehouse, days, ds, most) if source == "impressions" else None
    scorer, facts = _learn(settings, ds, _examples(warehouse, settings, outcomes, pages, most), source)
    history = read_snapshot(warehouse, settings, ds).history
    retrievers = fit_retrievers(_retrievers(settings), history)
    return Champion(retrievers, scorer, {**facts, "ds": str(ds), "learned_from": source})


def _retrievers(settings: Settings) -> dict[str, Recommender]:
    return make_retrievers(settings.item_unit, settings.seed, Tuned.read(settings.tuned_path))


def _training_days(warehouse: Warehouse, settings: Settings, ds: date) -> list[date]:
    """Days with features of the evening before, up to the last whose late events are in; if too few, up to ``ds``."""
    days: list[date] = []
    for last in (ds - timedelta(days=settings.late_days), ds):
        days = [d for d in days_back(last, TRAIN_DAYS) if has_features(warehouse, d - timedelta(days=1))]
        if len(days) >= SETTLED_DAYS:
            break
    return days


def outcome_of(warehouse: Warehouse, day: date, ds: date, most: int = ALL_USERS) -> pd.DataFrame:
    """What became of each pair on ``day``, as it is known at the end of ``ds``; of so many of a million users.

    Returns:
        [user_id, item_id, position, clicks, views, impressions, purchases], see SHOWN.
    """
    return warehouse.query(SHOWN, {"day": day, "most": most}, ds=ds).to_pandas()


def off_lists(warehouse: Warehouse, days: Collection[date], ds: date, most: int = ALL_USERS) -> pd.DataFrame:
    """What became of pairs on pages of search and of browsing of ``days``, as known at the end of ``ds``.

    Returns:
        [user_id, item_id, surface, event_date, position, clicked, purchased], by ``event_date``; see OFF_LISTS.
    """
    oldest, latest = ((ds - day).days for day in (min(days), max(days)))
    return warehouse.query(OFF_LISTS, off_lists_of(oldest, latest, most), ds=ds).to_pandas()


def off_lists_of(oldest: int, latest: int = 0, most: int = ALL_USERS) -> dict[str, object]:
    """The parameters of OFF_LISTS but @ds: days from ``oldest`` to ``latest`` days before it."""
    known = {"oldest": oldest, "latest": latest, "most": most}
    return known | {"lists": SURFACE_RECOMMENDATION, "most_pairs": MOST_OFF_LISTS}


def most_users(warehouse: Warehouse, ds: date) -> int:
    """How many of a million users to learn from, so that about MOST_USERS of the last TRAIN_DAYS days are."""
    users = int(warehouse.query(USERS, {"days": TRAIN_DAYS}, ds=ds).column("users")[0].as_py())
    return ALL_USERS if users <= MOST_USERS else max(1, ALL_USERS * MOST_USERS // users)


def _examples(
    warehouse: Warehouse,
    settings: Settings,
    outcomes: dict[date, pd.DataFrame],
    pages: pd.DataFrame | None,
    most: int = ALL_USERS,
) -> dict[date, Examples]:
    """Labelled pairs by day: of lists and of ``pages`` off them; replayed ones where there are no ``pages``."""
    retrievers, examples = None, {}
    for day, outcome in outcomes.items():
        evening = day - timedelta(days=1)
        if retrievers is None:  # fitted once, before the first outcome, on what everybody did
            snapshot = read_snapshot(warehouse, settings, evening)
            retrievers = fit_retrievers(_retrievers(settings), snapshot.history)
        else:
            snapshot = read_snapshot(warehouse, settings, evening, most=most)
        known = {name: model.with_history(snapshot.history) for name, model in retrievers.items()}
        if pages is None:
            pairs = replay_pairs(snapshot, known, outcome, item_unit=settings.item_unit, seed=settings.seed)
        else:
            shown = outcome[outcome["impressions"] > 0].rename(
                columns={"clicks": "clicked", "purchases": "purchased"}
            )
            asked = pages[pd.to_datetime(pages["event_date"]) == pd.Timestamp(day)]
            pairs = pd.concat([shown.assign(off_list=False), asked.assign(off_list=True)], join="inner")
        examples[day] = _label(snapshot, known, pairs)
    return {day: part for day, part in examples.items() if len(part.listed.purchased)}


def _label(snapshot: Snapshot, retrievers: dict, pairs: pd.DataFrame) -> Examples:
    rows = snapshot.audience.user_ids.get_indexer(pd.Index(pairs[USER_ID]))
    items = snapshot.shelf.item_ids.get_indexer(pd.Index(pairs[ITEM_ID]))
    keep = (rows >= 0) & (items >= 0)
    order = rows[keep].argsort(kind="stable")
    purchased, clicked = (pairs[n].to_numpy()[keep][order] > 0 for n in ("purchased", "clicked"))
    position, off_list = None, None
    if "position" in pairs:
        position = pairs["position"].fillna(1).to_numpy(np.float64)[keep][order]
        off_list = pairs["off_list"].to_numpy(bool)[keep][order]
    return label_pairs(
        snapshot,
        retrievers,
        rows[keep][order],
        items[keep][order],
        purchased=purchased,
        clicked=clicked,
        position=position,
        off_list=off_list,
    )


def _calibration_cut(purchases: list[int]) -> int:
    """First of the days to calibrate on: the fewest last days that hold CALIBRATION_SHARE of the purchases."""
    last = np.cumsum(purchases[::-1])
    days = int(np.searchsorted(last, max(1.0, CALIBRATION_SHARE * last[-1]))) + 1
    return max(1, len(purchases) - days)


def _worth_remembering(champion: Champion, judged_from: date) -> bool:
    """Whether it learned from lists of a ranker, and from none of the days that will judge what remembers it."""
    return bool(champion.facts.get("ranked_days")) and champion.saw < judged_from


def _learn(
    settings: Settings, ds: date, examples: dict[date, Examples], source: str
) -> tuple[Scorer, dict[str, object]]:
    days = sorted(examples)
    if len(days) < 2:
        raise ModelError(
            "Only one day has pairs to learn from; the ranker is calibrated on a later day. Wait a day."
        )
    cut = _calibration_cut([int(examples[day].listed.purchased.sum()) for day in days])
    train = Examples.join([examples[day] for day in days[:cut]])
    later = Examples.join([examples[day] for day in days[cut:]])
    before = champion_before(settings.models_dir, ds)
    memory = MEMORY if before and _worth_remembering(before, days[cut]) else 0.0
    scorer, metrics = train_scorer(
        train,
        later,
        settings.seed,
        champion=before.scorer if before else None,
        champion_saw=before.saw.toordinal() - 1 if before else 0,  # pairs are of the evening before
        memory=memory,
    )
    every = Examples.join([train, later])
    first = first_day(settings.models_dir, ds) if source == "impressions" else None
    facts: dict[str, object] = {
        "ranked_days": sum(day > first for day in days) if first else 0,
        "ranker": scorer.kind,
        "metrics": metrics,
        "training_days": [str(day) for day in days[:cut]],
        "calibration_days": [str(day) for day in days[cut:]],
        "pairs": len(every.listed.purchased),
        "purchases": int(every.listed.purchased.sum()),
        "pairs_off_lists": len(every.purchased) - len(every.listed.purchased),
        "parameters": {
            "seed": settings.seed,
            "item_unit": settings.item_unit,
            "ranker": ranker_parameters(scorer, memory),
        },
    }
    return scorer, facts
