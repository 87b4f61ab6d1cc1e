"""Train the retrievers and the ranker, and make them champion if they pass the gate."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.evaluation.metrics import calibration
from recsys.jobs.inputs import days_back, has_features, read_snapshot
from recsys.ranking.champion import NAME, Champion
from recsys.ranking.replay import replay_pairs
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.training import (
    Examples,
    fit_retrievers,
    gate,
    label_pairs,
    make_retrievers,
    train_scorer,
)
from recsys.schema import ITEM_ID, USER_ID
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

TRAIN_DAYS = 14
CALIBRATION_SHARE = 1 / 3
LEAST_PURCHASES = 40
"""Fewer purchases out of shown lists than this, and the ranker learns from replayed candidates instead."""

_SHOWN = """
SELECT user_id, item_id, MIN(first_position) AS position, SUM(clicks) AS clicks, SUM(views) AS views,
  SUM(impressions) AS impressions, SUM(purchases) AS purchases
FROM staging.user_item_daily
WHERE ds BETWEEN @day AND @ds AND event_date = @day
GROUP BY user_id, item_id
ORDER BY user_id, item_id
"""


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Train on what was known by the end of ``ds`` and write the champion of ``ds``.

    Learns from the lists that were shown, if enough of them sold something; else from replay: what users did on a day
    with the candidates that the evening before would have named. Every feature comes from the day before the outcome.

    Raises:
        ModelError: too little data, or the gate refused; the old champion stays.
        WarehouseError: the features of ``ds`` are missing.
    """
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        days = [d for d in days_back(ds, TRAIN_DAYS) if has_features(warehouse, d - timedelta(days=1))]
        if len(days) < 2:
            raise ModelError(
                f"Training for {ds} needs the features of 2 of the {TRAIN_DAYS} days before; found {len(days)}. "
                f"Build them: recsys build features --from {ds - timedelta(days=3)} --to {ds}."
            )
        outcomes = {day: _outcomes(warehouse, day, ds) for day in days}
        shown = sum(int(o.loc[o["impressions"] > 0, "purchases"].sum()) for o in outcomes.values())
        source = "impressions" if shown >= LEAST_PURCHASES else "replay"
        examples = _examples(warehouse, settings, outcomes, source)
        champion = _champion(settings, examples, source)
        history = read_snapshot(warehouse, settings, ds).history
        retrievers = fit_retrievers(make_retrievers(settings.item_unit, settings.seed), history)
        facts = {**champion.facts, "ds": str(ds)}
        folder = Champion(retrievers, champion.scorer, facts).save(settings.models_dir, ds)
    return {"model": f"{NAME}@{ds}", "folder": str(folder), **facts}


def _outcomes(warehouse: Warehouse, day: date, ds: date) -> pd.DataFrame:
    return warehouse.query(_SHOWN, {"day": day}, ds=ds).to_pandas()


def _examples(
    warehouse: Warehouse, settings: Settings, outcomes: dict[date, pd.DataFrame], source: str
) -> dict[date, Examples]:
    retrievers, examples = None, {}
    for day, outcome in outcomes.items():
        snapshot = read_snapshot(warehouse, settings, day - timedelta(days=1))
        if retrievers is None:  # fitted once, before the first outcome
            retrievers = fit_retrievers(make_retrievers(settings.item_unit, settings.seed), snapshot.history)
        known = {name: model.with_history(snapshot.history) for name, model in retrievers.items()}
        if source == "replay":
            pairs = replay_pairs(snapshot, known, outcome, settings.item_unit, settings.seed)
        else:
            pairs = outcome[outcome["impressions"] > 0].rename(
                columns={"clicks": "clicked", "purchases": "purchased"}
            )
        examples[day] = _label(snapshot, known, pairs)
    return {day: part for day, part in examples.items() if len(part.purchased)}


def _label(snapshot: Snapshot, retrievers: dict, pairs: pd.DataFrame) -> Examples:
    rows = snapshot.audience.user_ids.get_indexer(pd.Index(pairs[USER_ID]))
    items = snapshot.shelf.item_ids.get_indexer(pd.Index(pairs[ITEM_ID]))
    keep = (rows >= 0) & (items >= 0)
    order = rows[keep].argsort(kind="stable")
    purchased, clicked = (pairs[n].to_numpy()[keep][order] > 0 for n in ("purchased", "clicked"))
    return label_pairs(snapshot, retrievers, rows[keep][order], items[keep][order], purchased, clicked)


def _champion(settings: Settings, examples: dict[date, Examples], source: str) -> Champion:
    days = sorted(examples)
    if len(days) < 2:
        raise ModelError(
            "Only one day has pairs to learn from; the ranker is calibrated on a later day. Wait a day."
        )
    cut = min(len(days) - 1, round(len(days) * (1 - CALIBRATION_SHARE)))
    train = Examples.join([examples[day] for day in days[:cut]])
    later = Examples.join([examples[day] for day in days[cut:]])
    scorer = train_scorer(train, later, settings.seed)
    fit = calibration(scorer.predict(later.features), later.purchased)
    base_rate = fit.positives / fit.rows
    gate(scorer, fit.log_loss, fit.prior_log_loss, fit.ece, base_rate)
    metrics = {
        "log_loss": fit.log_loss,
        "prior_log_loss": fit.prior_log_loss,
        "ece": fit.ece,
        "purchase_rate": base_rate,
    }
    facts: dict[str, object] = {
        "metrics": {name: round(value, 8) for name, value in metrics.items()},
        "learned_from": source,
        "training_days": [str(day) for day in days[:cut]],
        "calibration_days": [str(day) for day in days[cut:]],
        "pairs": len(train.purchased) + fit.rows,
        "purchases": int(train.purchased.sum()) + fit.positives,
        "parameters": {"seed": settings.seed, "item_unit": settings.item_unit},
    }
    return Champion({}, scorer, facts)
