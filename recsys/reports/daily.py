"""The report of one data day: what the arms earned, against the truth where it is known, and what was checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from recsys.experiments.checks import ALL, INTERFERENCE
from recsys.experiments.decision import standing
from recsys.experiments.definition import Experiment
from recsys.experiments.guardrails import Gain, decisive, gain_of
from recsys.experiments.looks import is_over, last_day
from recsys.reports.charts import Point, Series, interval_chart
from recsys.reports.experiment.evidence import ALPHA

TRUE = ("rpu", "conversion", "ctr")
"""Metrics whose truth a synthetic marketplace knows."""
DAY, CUMULATIVE = "day", "cumulative"
ROLES = ("primary", "secondary", "guardrail")
"""Of what a definition names, in the order of the report; what is measured besides is on the page of the experiment."""
CAVEATS = (
    INTERFERENCE,
    "± is that of a fixed horizon: what it says holds on one day set beforehand, not on the first that looks good.",
)


@dataclass(frozen=True)
class DailyReport:
    """What a report shows.

    Attributes:
        ds: the last data day it covers.
        currency: printed beside money.
        results: rows of ``experiments.results`` of all days up to ``ds``.
        decisions: rows of ``experiments.decisions`` of all days up to ``ds``.
        truth: rows of ``synthetic.truth`` of the same days; empty for a real marketplace.
        checks: rows of ``monitoring.check_results`` of ``ds``.
        examples: rows of ``marts.recommendations`` of ``ds`` for a few users, with their titles.
        rejected: columns reason, events; events of ``ds`` that were put aside.
        definitions: the experiments by id.
    """

    ds: date
    currency: str
    results: pd.DataFrame
    decisions: pd.DataFrame
    truth: pd.DataFrame
    checks: pd.DataFrame
    examples: pd.DataFrame
    rejected: pd.DataFrame
    definitions: Mapping[str, Experiment] = field(default_factory=dict)


def metrics_of(results: pd.DataFrame) -> dict[str, str]:
    """Label by name of the metrics that a definition names, the primary one first."""
    named = results[results["role"].isin(ROLES)].drop_duplicates("metric")
    order = named["role"].map(ROLES.index) if len(named) else named["role"]
    return {
        str(row["metric"]): str(row["label"])
        for row in named.assign(order=order).sort_values("order", kind="stable").to_dict("records")
    }


def estimates(results: pd.DataFrame, truth: pd.DataFrame, scope: str) -> pd.DataFrame:
    """One row per day, metric and arm of a scope, beside the truth of the arm's policy where it is known.

    Returns:
        Columns experiment_id, ds, metric, arm, control, users, mean, mean_low, mean_high, difference,
        difference_low, difference_high, p_value, srm_p_value, is_valid, truth; sorted by experiment, metric, day, arm.
        Units of all segments together.
    """
    rows = results[(results["scope"] == scope) & (results["segment"] == ALL)]
    if truth.empty or scope != DAY:
        rows = rows.assign(truth=float("nan"))
    else:
        known = truth.melt(["ds", "policy"], list(TRUE), "metric", "truth")
        rows = rows.merge(known, on=["ds", "metric", "policy"], how="left")
    order = {metric: i for i, metric in enumerate(metrics_of(results))}
    return rows.sort_values(
        ["experiment_id", "metric", "ds", "arm"], key=lambda c: c.map(order) if c.name == "metric" else c
    ).reset_index(drop=True)


def chart(rows: pd.DataFrame, unit: str) -> str:
    """Interval chart of the rows of one metric and scope."""
    series = []
    for arm, of_arm in rows.dropna(subset=["mean"]).groupby("arm", sort=False):
        points = [
            Point(
                str(pd.Timestamp(row["ds"]).strftime("%d %b")),
                row["mean"],
                row["mean_low"],
                row["mean_high"],
                None if pd.isna(row["truth"]) else row["truth"],
            )
            for row in of_arm.to_dict("records")
        ]
        series.append(Series(str(arm), points))
    return interval_chart(series, unit)


def verdict(cumulative: pd.DataFrame, definitions: Mapping[str, Experiment] | None = None) -> str:
    """One plain sentence on the primary metric of the newest experiment, of the arm that is furthest ahead of control.

    It says no more than the rules do (``guardrails.gain_of``): by the interval that the design decides on, adjusted for
    the number of arms, and of a fixed design not before its end. Days after the last look do not count. Without its
    definition (``definitions`` are by id) an experiment is read as under a fixed horizon.
    """
    rows = cumulative[(cumulative["role"] == "primary") & (cumulative["arm"] != cumulative["control"])]
    rows = rows.dropna(subset=["difference"]).assign(ds=lambda frame: pd.to_datetime(frame["ds"]))
    if rows.empty:
        return "No experiment has enough exposed users for a comparison yet."
    last = rows.sort_values("ds", kind="stable").iloc[-1]
    if not last["is_valid"]:
        return (
            "A check of the experiment has failed: no number below may be believed until the cause is found."
        )
    definition = (definitions or {}).get(last["experiment_id"])
    fixed = definition is None or definition.design.kind == "fixed"
    row, gain = _furthest(rows[rows["experiment_id"] == last["experiment_id"]], definition, fixed=fixed)
    verb, told = "cannot yet be told from", ""
    if fixed and definition is not None and not is_over(definition, pd.Timestamp(row["ds"]).date()):
        told = " The design decides once, at its end."
    elif gain is not None and (gain.wins or gain.loses):
        verb = "earns more than" if gain.wins else "earns less than"
    value, low, high = decisive(row, fixed=fixed) or (row["difference"], None, None)
    interval = "" if low is None else f" (interval {low:+.3f} to {high:+.3f})"
    return f"{row['arm']} {verb} {row['control']}: {value:+.3f} {row['label'].lower()} since the start{interval}.{told}"


def _furthest(
    rows: pd.DataFrame, definition: Experiment | None, *, fixed: bool
) -> tuple[Mapping[Any, Any], Gain | None]:
    """Of the ``rows`` of an experiment that of the best arm on the last day that counts, and what it has gained; None
    where nothing may decide, as after the last look."""
    newest, ended = rows["ds"].max(), last_day(definition) if definition else None
    day = newest if ended is None else min(newest, pd.Timestamp(ended))
    counted = rows[rows["ds"] == day].to_dict("records")
    if not counted:
        return rows[rows["ds"] == newest].iloc[-1].to_dict(), None
    alpha = definition.alpha if definition else ALPHA
    gains = [(row, gain_of(row, fixed=fixed, alpha=alpha)) for row in counted]
    return max(gains, key=lambda found: _ahead(found[1]))


def _ahead(gain: Gain | None) -> tuple[bool, float]:
    """Shown gains first, then the larger ones."""
    return (False, float("-inf")) if gain is None else (gain.wins, gain.value)


def decided(decisions: pd.DataFrame) -> list[str]:
    """What stands of each experiment, one sentence each: verdict, who or what gave it, and why."""
    return [
        " ".join(
            filter(
                None,
                (f"{row['experiment_id']}: {row['verdict']}.", str(row["reason"]), str(row["why"] or "")),
            )
        )
        for row in records(standing(decisions))
    ]


def truth_in_words(by_day: pd.DataFrame) -> str:
    """One plain sentence that holds the mean of the days' estimates against the truth; empty where nobody knows."""
    rows = by_day[by_day["metric"] == "rpu"].dropna(subset=["mean", "truth"])
    if rows.empty:
        return ""
    means = rows.groupby("arm")[["mean", "truth"]].mean().sort_values("truth", ascending=False)
    listed = "; ".join(f"{arm} {row['mean']:.3f}, truth {row['truth']:.3f}" for arm, row in means.iterrows())
    return f"Mean of the days, per user who saw a list that day: {listed}."


def sections(report: DailyReport) -> list[dict[str, object]]:
    """Title, chart and rows of each metric and scope, in reading order."""
    made: list[dict[str, object]] = []
    tables = {scope: estimates(report.results, report.truth, scope) for scope in (DAY, CUMULATIVE)}
    for metric, label in metrics_of(report.results).items():
        for scope, heading in ((DAY, "by day"), (CUMULATIVE, "since the start")):
            rows = tables[scope][tables[scope]["metric"] == metric]
            unit = _unit(metric, rows, report.currency)
            made.append(
                {
                    "title": f"{label}, {heading}",
                    "chart": chart(rows, unit),
                    "rows": records(rows),
                    "truth": scope == DAY and not report.truth.empty,
                }
            )
    return made


def _unit(metric: str, rows: pd.DataFrame, currency: str) -> str:
    known = {"rpu": f"{currency} per user", "ctr": "clicks per impression"}
    kind = "" if rows.empty else str(rows["kind"].iloc[0])
    return known.get(metric, "share of users" if kind == "proportion" else "")


def records(frame: pd.DataFrame) -> Sequence[dict[str, object]]:
    """Rows as plain dicts, with None for missing values, as a template wants them."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def render(report: DailyReport) -> str:
    """The whole report as one HTML page that needs no script and no other file."""
    environment = Environment(
        loader=PackageLoader("recsys.reports"),
        autoescape=select_autoescape(default_for_string=True),
        trim_blocks=True,
    )
    failed = report.checks[~report.checks["success"].astype(bool)] if len(report.checks) else report.checks
    return environment.get_template("daily.html").render(
        ds=report.ds,
        currency=report.currency,
        verdict=verdict(estimates(report.results, report.truth, CUMULATIVE), report.definitions),
        decided=decided(report.decisions),
        truth=truth_in_words(estimates(report.results, report.truth, DAY)),
        caveats=CAVEATS,
        sections=sections(report),
        checks=len(report.checks),
        failed=records(failed),
        rejected=records(report.rejected),
        examples=[
            {"user_id": user, "policy": rows["policy"].iloc[0], "rows": records(rows)}
            for user, rows in report.examples.groupby("user_id", sort=False)
        ],
    )
