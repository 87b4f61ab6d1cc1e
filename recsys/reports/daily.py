"""The report of one data day: what the arms earned, against the truth where it is known, and what was checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from recsys.reports.charts import Point, Series, interval_chart

METRICS = {"rpu": "Revenue per user", "conversion": "Conversion", "ctr": "Click-through"}
DAY, CUMULATIVE = "day", "cumulative"
CAVEATS = (
    "Users are split by buyer and a listing has a stock of one, so a sale in one arm can be a sale taken from the "
    "other: the difference tends to overstate what a launch for everybody would bring.",
    "The interval is that of a fixed horizon. Decide on the day set beforehand, not on the first day that looks good.",
)


@dataclass(frozen=True)
class DailyReport:
    """What a report shows.

    Attributes:
        ds: the last data day it covers.
        currency: printed beside money.
        results: rows of ``experiments.results`` of all days up to ``ds``.
        truth: rows of ``synthetic.truth`` of the same days; empty for a real marketplace.
        checks: rows of ``monitoring.check_results`` of ``ds``.
        examples: rows of ``marts.recommendations`` of ``ds`` for a few users, with their titles.
        rejected: columns reason, events; events of ``ds`` that were put aside.
    """

    ds: date
    currency: str
    results: pd.DataFrame
    truth: pd.DataFrame
    checks: pd.DataFrame
    examples: pd.DataFrame
    rejected: pd.DataFrame


def estimates(results: pd.DataFrame, truth: pd.DataFrame, scope: str) -> pd.DataFrame:
    """One row per day, metric and arm of a scope, beside the truth of the arm's policy where it is known.

    Returns:
        Columns experiment_id, ds, metric, arm, control, users, mean, mean_low, mean_high, difference,
        difference_low, difference_high, p_value, srm_p_value, is_valid, truth; sorted by experiment, metric, day, arm.
    """
    rows = results[results["scope"] == scope]
    if truth.empty or scope != DAY:
        rows = rows.assign(truth=float("nan"))
    else:
        metrics = [metric for metric in METRICS if metric in truth.columns]
        known = truth.melt(["ds", "policy"], metrics, "metric", "truth")
        rows = rows.merge(known, on=["ds", "metric", "policy"], how="left")
    order = {metric: i for i, metric in enumerate(METRICS)}
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


def verdict(cumulative: pd.DataFrame) -> str:
    """One plain sentence on the last cumulative revenue per user of the arm that is not control."""
    rows = cumulative[(cumulative["metric"] == "rpu") & (cumulative["arm"] != cumulative["control"])]
    rows = rows.dropna(subset=["difference"])
    if rows.empty:
        return "No experiment has enough exposed users for a comparison yet."
    last = rows.sort_values("ds").iloc[-1]
    if not last["is_valid"]:
        return (
            f"The split of users is not the configured one (p = {last['srm_p_value']:.2g}): "
            "no number below may be believed until the cause is found."
        )
    low, high = last["difference_low"], last["difference_high"]
    if low > 0:
        verb = "earns more than"
    elif high < 0:
        verb = "earns less than"
    else:
        verb = "cannot yet be told from"
    return (
        f"{last['arm']} {verb} {last['control']}: {last['difference']:+.3f} revenue per user since the start "
        f"(interval {low:+.3f} to {high:+.3f})."
    )


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
    for metric, label in METRICS.items():
        for scope, heading in ((DAY, "by day"), (CUMULATIVE, "since the start")):
            rows = tables[scope][tables[scope]["metric"] == metric]
            unit = f"{report.currency} per user" if metric == "rpu" else "share of users"
            unit = "clicks per impression" if metric == "ctr" else unit
            made.append(
                {
                    "title": f"{label}, {heading}",
                    "chart": chart(rows, unit),
                    "rows": records(rows),
                    "truth": scope == DAY and not report.truth.empty,
                }
            )
    return made


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
        verdict=verdict(estimates(report.results, report.truth, CUMULATIVE)),
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
