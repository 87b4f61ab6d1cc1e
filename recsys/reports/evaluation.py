"""The evaluation report: what the lists are worth on past days, whether their promises hold, who is shown, what a
launch may bring, and what was given up for variety and rules. Frames in, one HTML page out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from recsys.evaluation.compare import HYBRID, Comparison, Figure
from recsys.evaluation.reliability import expected_calibration_error
from recsys.features.audience import FEW
from recsys.reports.charts import Point
from recsys.reports.daily import records
from recsys.reports.figures import interval_rows, predicted_and_observed, share_bars

NAMES = {
    "popularity": "popularity",
    "item_knn": "similar items",
    "als": "matrix factors",
    "ease": "item weights",
    "own_history": "own history",
    HYBRID: "hybrid",
}
"""What a reader calls the models; another one keeps its name."""
ABOUT = (
    ("coverage", "Share of the shelf that stands in some list"),
    ("gini", "Inequality of exposure (0 all alike, 1 one listing has it all)"),
    ("novelty", "Surprise, in bits (more: less known things)"),
    ("diversity", "Variety within a list (0 all alike, 1 nothing in common)"),
    ("sold_before_seen", "Places whose listing was gone when the user came"),
)
KINDS = {
    ("seller", "new"): "sellers new within 60 days",
    ("seller", "unproven"): "others without a sale in 90 days",
    ("seller", "established"): "established sellers",
    ("listing", "new"): "listings new or never seen",
    ("listing", "older"): "listings seen before",
}
NO_EXPERIMENT = (
    "No experiment has held the hybrid against a control yet, so there is nothing to project from."
)
STEP_COLUMNS = ("step", "position", "revenue_before", "revenue_after", "changed")


@dataclass(frozen=True)
class Projection:
    """What serving ``arm`` to everyone may bring over ``days`` days, beside ``control``; money of the marketplace.

    ``per_user`` is the difference of revenue per user over ``measured`` days of the experiment, ``users`` those who saw
    a list in them, in all arms. ``ended`` is the day of the last read-out, where it is before that of the report.
    """

    arm: str
    control: str
    per_user: Figure
    users: int
    measured: int
    days: int = 30
    ended: date | None = None

    @property
    def total(self) -> Figure:
        """The difference x users x days / days measured."""
        scale = self.users * self.days / max(1, self.measured)
        return Figure(self.per_user.value * scale, self.per_user.low * scale, self.per_user.high * scale)


@dataclass(frozen=True)
class EvaluationReport:
    """What the report shows.

    Attributes:
        ds: the last day judged.
        currency: printed beside money.
        comparison: the models, judged by purchases.
        segments: figures and intervals by kind of purchase and of user, as `recsys backtest` writes them.
        evenings: the evenings whose lists were judged.
        by_probability, by_price: rows of ``evaluation.reliability``; empty where nothing was shown.
        attention: rows of ``evaluation.market.attention``; empty for a shop.
        projection: a sentence that says why, where nothing can be projected.
        truth: what the hybrid truly brings over the same days, where only a simulator knows it.
        steps: STEP_COLUMNS by step between scores and lists; empty where it was not recorded.
    """

    ds: date
    currency: str
    comparison: Comparison
    segments: Mapping[str, Mapping[str, Mapping[str, object]]]
    evenings: Sequence[date]
    by_probability: pd.DataFrame
    by_price: pd.DataFrame
    attention: pd.DataFrame
    projection: Projection | str = NO_EXPERIMENT
    truth: float | None = None
    steps: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(STEP_COLUMNS)))


def name_of(model: str) -> str:
    """What a reader calls a model."""
    return NAMES.get(model, model.replace("_", " "))


def verdict(comparison: Comparison, currency: str) -> str:
    """One plain sentence: does the hybrid beat the best single model, in hits and in money?"""
    lead = comparison.paired.get(HYBRID)
    if lead is None:
        return "There is no hybrid to judge."
    money = lead["revenue"]
    best = name_of(comparison.against)
    told = (
        f"for each user who bought something, the first {comparison.k} places held {money.value:+.2f} {currency}, "
        f"against that model (95 % interval {money.low:+.2f} to {money.high:+.2f})"
    )
    if money.low > 0:
        return f"The hybrid lists hold more of what people then bought than the best single model, {best}: {told}."
    if money.high < 0:
        return f"The hybrid lists hold less of what people then bought than the best single model, {best}: {told}."
    return f"The hybrid cannot yet be told from the best single model, {best}: {told}."


def projection_in_words(projection: Projection | str, currency: str, truth: float | None = None) -> str:
    """The projection with its interval, or why there is none."""
    if isinstance(projection, str):
        return projection
    total = projection.total
    told = (
        f"Serving {name_of(projection.arm)} to everyone instead of {name_of(projection.control)} would bring "
        f"{total.value:+,.0f} {currency} in {projection.days} days (95 % interval {total.low:+,.0f} to "
        f"{total.high:+,.0f}): {projection.per_user.value:+.3f} {currency} per user in {projection.measured} days, "
        f"times {projection.users:,} users, times {projection.days} / {projection.measured}."
    )
    if projection.ended is not None:
        told += f" These figures are of {projection.ended}, the experiment's last read-out."
    if total.low <= 0 <= total.high:
        told += " The interval holds nought: the experiment has not yet shown a gain."
    if truth is not None:
        told += f" The simulator, which knows, says {truth:+,.0f} {currency}."
    return told


def calibration_in_words(bins: pd.DataFrame, by_price: pd.DataFrame) -> str:
    """How far the promised purchases are from those that came, over all and by price."""
    if bins.empty or not bins["positives"].sum():
        return "No shown place was bought yet, so nothing can be said of the promises."
    promised = float((bins["predicted"] * bins["pairs"]).sum())
    came = int(bins["positives"].sum())
    inside = int(
        ((by_price["low"] <= by_price["predicted"]) & (by_price["predicted"] <= by_price["high"])).sum()
    )
    return (
        f"The {int(bins['pairs'].sum()):,} places that people saw were to sell {promised:,.0f} times and sold {came:,} "
        f"times. In {inside} of {len(by_price)} price bands the promise lies inside the interval of what happened. "
        f"Expected calibration error: {1000 * expected_calibration_error(bins):.2f} purchases in a thousand."
    )


def shares(attention: pd.DataFrame, models: Sequence[str] = ("popularity", HYBRID)) -> list[dict[str, Any]]:
    """Per kind of seller and listing: its share of the shelf and of each model's exposure, what was shown and sold."""
    rows: list[dict[str, Any]] = []
    for group, part in attention.groupby("group", sort=False):
        whole = part[["listings", *models]].sum()
        for row in part.to_dict("records"):
            shown, sold = float(row["impressions"]), float(row["purchases"])
            rows.append(
                {
                    "label": KINDS.get((str(group), str(row["kind"])), f"{group}: {row['kind']}"),
                    "shelf": row["listings"] / whole["listings"],
                    "shares": [row[m] / max(whole[m], 1e-12) for m in models],
                    "impressions": int(shown),
                    "sold": int(sold),
                    "per_thousand": 1000 * sold / shown if shown else None,
                }
            )
    return rows


def steps_table(steps: pd.DataFrame) -> list[dict[str, object]]:
    """What each step between scores and lists cost, in money and as a share of the expected revenue before it."""
    if steps.empty:
        return []
    columns = ["revenue_before", "revenue_after", "changed"]
    sums = steps.groupby(["position", "step"], sort=True)[columns].sum().reset_index()
    given = sums["revenue_before"] - sums["revenue_after"]
    share = given / sums["revenue_before"].where(sums["revenue_before"] > 0)
    return list(records(sums.assign(given_up=given, share=share)))


def _points(figures: Mapping[str, Mapping[str, Figure]], metric: str) -> list[Point]:
    rows = [(name_of(model), row[metric]) for model, row in figures.items()]
    return [Point(name, f.value, f.low, f.high) for name, f in rows]


def _bins(frame: pd.DataFrame, unit: str, pattern: str) -> str:
    rows: list[Mapping[str, float]] = [
        {str(n): v for n, v in row.items()} for row in frame.to_dict("records")
    ]
    return predicted_and_observed(rows, [pattern.format(row["end"]) for row in rows], unit)


def render(report: EvaluationReport) -> str:
    """The whole report as one HTML page that needs no script and no other file."""
    one, money = report.comparison, report.currency
    environment = Environment(
        loader=PackageLoader("recsys.reports"),
        autoescape=select_autoescape(default_for_string=True),
        trim_blocks=True,
    )
    kinds: list[dict[str, Any]] = shares(report.attention) if len(report.attention) else []
    bars = [(str(r["label"]), [r["shelf"], *r["shares"]]) for r in kinds]
    hybrid, k = name_of(HYBRID), one.k
    charts = {
        "ndcg": interval_rows(_points(one.figures, "ndcg"), f"NDCG@{k}: 1 = a perfect list", marked=hybrid),
        "revenue": interval_rows(
            _points(one.figures, "revenue"),
            f"{money} bought out of the first {k} places, per buyer",
            marked=hybrid,
        ),
        "paired": interval_rows(
            _points(one.paired, "ndcg"),
            f"NDCG@{k} more than {name_of(one.against)}",
            marked=hybrid,
            zero=True,
        ),
        "paired_money": interval_rows(
            _points(one.paired, "revenue"),
            f"{money} more than {name_of(one.against)}",
            marked=hybrid,
            zero=True,
        ),
        "by_probability": _bins(report.by_probability, "purchases per thousand places seen", "≤{:.2%}"),
        "by_price": _bins(report.by_price, "purchases per thousand places seen", "≤{:,.0f}"),
        "shares": share_bars(bars, ["of the shelf", "of popularity's exposure", "of the hybrid's exposure"]),
    }
    return environment.get_template("evaluation.html").render(
        report=report,
        one=one,
        hybrid=HYBRID,
        name_of=name_of,
        verdict=verdict(one, money),
        calibrated=calibration_in_words(report.by_probability, report.by_price),
        projected=projection_in_words(report.projection, money, report.truth),
        about=ABOUT,
        kinds=kinds,
        few=FEW,
        steps=steps_table(report.steps),
        charts=charts,
    )
