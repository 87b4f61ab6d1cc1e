"""Judge the champions of the last days on what then happened, and write the evaluation report."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.evaluation.compare import Figure
from recsys.evaluation.reliability import reliability
from recsys.experiments.decision import total
from recsys.jobs.inputs import has_features
from recsys.jobs.market import MarketRun, run_market
from recsys.jobs.train import outcome_of
from recsys.ranking.champion import Champion, load_champion, newest_day
from recsys.reports.evaluation import (
    NO_EXPERIMENT,
    STEP_COLUMNS,
    EvaluationReport,
    Projection,
    render,
)
from recsys.schema import ITEM_ID, USER_ID, table
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

DAYS, USERS, K = 5, 1_000, 10
POLICY, CONTROL = "hybrid", "popularity"
STEPS = "scoring.steps"
MOST_DAYS = 400
"""Days of read-outs that are looked back on for the beginning of an experiment."""

_PUBLISHED = """
SELECT user_id, item_id, p_purchase AS p, CAST(price AS FLOAT64) AS price FROM marts.recommendations
WHERE ds = @ds AND policy = @policy ORDER BY user_id, item_id
"""


def run(
    settings: Settings,
    ds: date,
    *,
    days: int = DAYS,
    users: int = USERS,
    k: int = K,
    progress: Callable[[str], None] | None = None,
) -> dict[str, object]:
    """Write ``<files>/_reports/evaluation_ds=<ds>.html``, and the figures as JSON beside it; return both paths.

    Judged are the lists of the evenings before the last ``days`` days up to ``ds``, each made anew by the newest
    champion of that evening; nothing is trained. ``users`` a day are drawn, and every buyer is judged.

    Raises:
        ModelError: no evening in that time has features and a champion, or nobody bought anything.
    """
    if settings.item_unit != "group":
        raise ModelError(
            "The evaluation report is about lists of one-off listings (item_unit: group). Of a shop that restocks, "
            "`recsys backtest --cut DAY --until DAY` says what the lists are worth."
        )
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        first_days = _judged_days(warehouse, settings, ds, days)
        slices = [(day, day + timedelta(days=1)) for day in first_days]
        say = progress or (lambda message: None)
        found = run_market(
            warehouse, settings, slices, k, champion=_stored(settings), most_users=users, say=say
        )
        report = _report(warehouse, settings, ds, found, first_days)
    folder = settings.files_dir / "_reports"
    page = _write(folder / f"evaluation_ds={ds}.html", render(report))
    figures = json.dumps(found.as_dict(settings.seed), indent=2) + "\n"
    return {"evaluation": str(page), "figures": str(_write(page.with_suffix(".json"), figures))}


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _stored(settings: Settings) -> Callable[[date], Champion]:
    @cache
    def load(day: date) -> Champion:
        return load_champion(settings.models_dir, day)

    return lambda evening: load(newest_day(settings.models_dir, evening))


def _judged_days(warehouse: Warehouse, settings: Settings, ds: date, days: int) -> list[date]:
    """Days up to ``ds`` whose outcome is staged and whose evening before has features and a champion."""
    staged = set(warehouse.partitions("staging.user_item_daily"))
    found = []
    for day in (ds - timedelta(days=back) for back in range(days - 1, -1, -1)):
        evening = day - timedelta(days=1)
        try:
            newest_day(settings.models_dir, evening)
        except ModelError:
            continue
        if day in staged and has_features(warehouse, evening):
            found.append(day)
    if not found:
        raise ModelError(
            f"None of the {days} days up to {ds} has features and a champion of the evening before. Run the DAGs "
            "features_daily and train_weekly for an earlier day, or evaluate a later one."
        )
    return found


def _report(
    warehouse: Warehouse, settings: Settings, ds: date, found: MarketRun, days: list[date]
) -> EvaluationReport:
    settled = [
        day for day in days if day < ds
    ] or days  # of the last day the purchases of the next are not known
    parts = [_shown(warehouse, day, ds) for day in settled]
    shown = pd.concat(parts, ignore_index=True)
    projection = project(_past(warehouse, "experiments.results", ds), ds)
    return EvaluationReport(
        ds=ds,
        currency=settings.currency,
        comparison=found.bought,
        segments=found.segments,
        evenings=found.evenings,
        by_probability=reliability(shown, "p", settings.seed),
        by_price=reliability(shown, "price", settings.seed),
        attention=found.attention,
        projection=projection,
        truth=None
        if isinstance(projection, str)
        else true_total(_past(warehouse, "synthetic.truth", ds), projection),
        steps=_steps(warehouse, days[-1] - timedelta(days=1)),
    )


def _shown(warehouse: Warehouse, day: date, ds: date) -> pd.DataFrame:
    """Published places of POLICY that were seen on ``day``: [user_id, item_id, p, price, outcome], p their promise.

    The outcome is the one that training learns from.
    """
    evening = day - timedelta(days=1)
    outcome = outcome_of(warehouse, day, ds)
    published = pd.DataFrame(columns=[USER_ID, ITEM_ID, "p", "price"])
    if warehouse.exists("marts.recommendations", evening):
        published = warehouse.query(_PUBLISHED, {"policy": POLICY}, ds=evening).to_pandas()
    rows = outcome[outcome["impressions"] > 0].merge(published, on=[USER_ID, ITEM_ID])
    return rows.assign(outcome=(rows["purchases"] > 0).astype("int64"))[
        [USER_ID, ITEM_ID, "p", "price", "outcome"]
    ]


def _past(warehouse: Warehouse, name: str, ds: date) -> pd.DataFrame:
    """The rows of the MOST_DAYS days up to ``ds``, with no rows where there are none."""
    start = ds - timedelta(days=MOST_DAYS - 1)
    if not any(start <= day <= ds for day in warehouse.partitions(name)):
        return pd.DataFrame(columns=table(name).column_names)
    return warehouse.read(name, ds, start=start)


def project(results: pd.DataFrame, ds: date) -> Projection | str:
    """What the cumulative revenue per user means, by the newest read-out up to ``ds`` of an experiment that holds the
    hybrid against a control; of several the first by id whose numbers may be believed.

    Args:
        results: rows of ``experiments.results`` of all their days.
        ds: the day of the report; an experiment that was not read out on it has ended.

    Returns:
        The projection, or a sentence that says why there is none: no such experiment, or a check has failed.
    """
    rows = total(results[results["metric"] == "rpu"])
    rows = rows.assign(ds=pd.to_datetime(rows["ds"]))
    ours = rows[(rows["policy"] == POLICY) & (rows["arm"] != rows["control"]) & rows["difference"].notna()]
    ours = ours[ours["ds"] <= pd.Timestamp(ds)]
    if ours.empty:
        return NO_EXPERIMENT
    newest = ours["ds"].max()
    ours = ours[ours["ds"] == newest].sort_values("experiment_id")
    believed = ours[ours["is_valid"].astype(bool)]
    if believed.empty:
        named = ", ".join(ours["experiment_id"].unique())
        return (
            f"A check of the experiment {named} has failed, so no number of it may be believed and nothing is "
            "projected. Its page says which, and what to look for."
        )
    one = believed.iloc[0]
    mine = rows[rows["experiment_id"] == one["experiment_id"]]
    return Projection(
        arm=str(one["arm"]),
        control=str(one["control"]),
        per_user=Figure(*(float(one[n]) for n in ("difference", "difference_low", "difference_high"))),
        users=int(mine.loc[mine["ds"] == newest, "users"].sum()),
        measured=(newest - mine["ds"].min()).days + 1,
        ended=newest.date() if newest < pd.Timestamp(ds) else None,
    )


def true_total(truth: pd.DataFrame, projection: Projection) -> float | None:
    """What the simulator says of the same days, stretched to the days projected; None where it says nothing."""
    if projection.ended is not None:
        truth = truth[pd.to_datetime(truth["ds"]) <= pd.Timestamp(projection.ended)]
    if truth.empty:
        return None
    newest = truth.sort_values("ds").groupby("policy").tail(projection.measured)
    brought = (newest["rpu"] * newest["users"]).groupby(newest["policy"]).sum()
    if not {POLICY, CONTROL} <= set(brought.index):
        return None
    days = newest["ds"].nunique()
    return float(brought[POLICY] - brought[CONTROL]) * projection.days / days


def _steps(warehouse: Warehouse, evening: date) -> pd.DataFrame:
    if not warehouse.exists(STEPS, evening):
        return pd.DataFrame(columns=list(STEP_COLUMNS))
    steps = warehouse.read(STEPS, evening)
    return steps[steps["policy"] == POLICY]
