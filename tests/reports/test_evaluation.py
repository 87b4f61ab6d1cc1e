"""The evaluation report: what it says follows from the figures, and it renders with parts missing."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import pytest

from recsys.evaluation.compare import Comparison, Figure
from recsys.evaluation.metrics import METRICS
from recsys.reports.charts import Point
from recsys.reports.evaluation import (
    NO_EXPERIMENT,
    EvaluationReport,
    Projection,
    calibration_in_words,
    projection_in_words,
    render,
    shares,
    steps_table,
    verdict,
)
from recsys.reports.figures import interval_rows, predicted_and_observed, share_bars, ticks
from tests.reports.test_daily import _Balance


def comparison(low: float = 1.0, high: float = 3.0) -> Comparison:
    row = {name: Figure(0.2, 0.1, 0.3) for name in METRICS}
    lead = {name: Figure((low + high) / 2, low, high) for name in METRICS}
    about = {"coverage": 0.123, "gini": 0.9}
    return Comparison(
        k=10,
        figures={"als": row, "hybrid": row},
        paired={"hybrid": lead},
        against="als",
        users=321,
        about_lists={"als": about, "hybrid": about},
    )


BINS = pd.DataFrame(
    {
        "start": [0.0, 0.1],
        "end": [0.1, 0.2],
        "pairs": [1000, 1000],
        "positives": [5, 20],
        "predicted": [0.004, 0.04],
        "observed": [0.005, 0.02],
        "low": [0.001, 0.01],
        "high": [0.009, 0.03],
    }
)
ATTENTION = pd.DataFrame(
    {
        "group": ["seller", "seller"],
        "kind": ["new", "established"],
        "listings": [20.0, 80.0],
        "impressions": [100, 900],
        "purchases": [1, 9],
        "popularity": [5.0, 15.0],
        "hybrid": [1.0, 9.0],
    }
)


def report(**changes: Any) -> EvaluationReport:
    parts: dict[str, Any] = {
        "ds": date(2026, 2, 14),
        "currency": "EUR",
        "comparison": comparison(),
        "segments": {
            "listing": {
                "warm": {
                    "purchases": 12,
                    "users": 11,
                    "models": {"als": {"recall@10": 0.111}, "hybrid": {"recall@10": 0.222}},
                    "intervals": {"als": {"recall@10": [0.1, 0.12]}, "hybrid": {"recall@10": [0.201, 0.243]}},
                }
            }
        },
        "evenings": [date(2026, 2, 12), date(2026, 2, 13)],
        "by_probability": BINS,
        "by_price": BINS,
        "attention": ATTENTION,
        "projection": Projection("hybrid", "popularity", Figure(0.25, 0.1, 0.4), users=4000, measured=5),
    }
    return EvaluationReport(**(parts | changes))


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(1.0, 3.0, "hold more"), (-3.0, -1.0, "hold less"), (-1.0, 1.0, "cannot yet be told from")],
)
def test_the_verdict_follows_the_interval(low: float, high: float, says: str) -> None:
    assert says in verdict(comparison(low, high), "EUR")


def test_the_projection_by_hand() -> None:
    projection = report().projection
    assert isinstance(projection, Projection)
    assert projection.total == Figure(0.25 * 4000 * 6, 0.1 * 4000 * 6, 0.4 * 4000 * 6)
    told = projection_in_words(projection, "EUR", truth=5500.0)
    assert "+6,000 EUR in 30 days" in told and "+2,400 to +9,600" in told and "+5,500 EUR" in told
    assert "not yet shown a gain" not in told
    open_ = Projection("hybrid", "popularity", Figure(0.1, -0.1, 0.3), users=10, measured=5)
    assert "not yet shown a gain" in projection_in_words(open_, "EUR")
    assert projection_in_words("A check has failed.", "EUR") == "A check has failed."


def test_promises_are_counted() -> None:
    told = calibration_in_words(BINS, BINS)
    assert "2,000 places" in told and "44 times and sold 25" in told and "In 1 of 2 price bands" in told
    assert "nothing can be said" in calibration_in_words(BINS.iloc[:0], BINS.iloc[:0])


def test_shares_by_hand() -> None:
    new, old = shares(ATTENTION)
    assert (new["shelf"], new["shares"], new["per_thousand"]) == (0.2, [0.25, 0.1], 10.0)
    assert (old["shelf"], old["shares"]) == (0.8, [0.75, 0.9])


def test_steps_add_up_over_shards() -> None:
    steps = pd.DataFrame(
        {
            "step": ["rules", "mmr", "rules"],
            "position": [1, 2, 1],
            "revenue_before": [60.0, 90.0, 40.0],
            "revenue_after": [54.0, 81.0, 36.0],
            "changed": [3, 4, 5],
        }
    )
    rules, mmr = steps_table(steps)
    assert (rules["step"], rules["changed"], rules["given_up"], rules["share"]) == ("rules", 8, 10.0, 0.1)
    assert mmr["given_up"] == 9.0
    assert "mmr" in render(report(steps=steps))
    assert "No such step was recorded" in render(report())


def test_the_page_is_balanced_whole_and_needs_nothing_else() -> None:
    page = render(report())
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    assert "<script" not in page and "http" not in page
    for text in ("321 buyers", "2026-02-12 to 2026-02-13", "0.222", "0.201 to 0.243", "0.123", "20.0 %"):
        assert text in page


def test_a_shop_without_experiment_logs_or_sellers_still_renders() -> None:
    page = render(
        report(
            projection=NO_EXPERIMENT,
            by_probability=BINS.iloc[:0],
            by_price=BINS.iloc[:0],
            attention=ATTENTION.iloc[:0],
            segments={},
        )
    )
    assert "nothing to project" in page and "Not judged for a shop" in page


def test_charts_escape_mark_and_survive_nothing() -> None:
    svg = interval_rows(
        [Point("a<b", 1.0, 0.5, 1.5), Point("us", -1.0, -2.0, 0.0)], "EUR", marked="us", zero=True
    )
    assert "a&lt;b" in svg and svg.count("<circle") == 2 and svg.count('font-weight="700"') == 2
    assert interval_rows([], "EUR") == predicted_and_observed([], [], "") == share_bars([], [])
    assert share_bars([("new", [0.2, 0.5])], ["shelf", "lists"]).count("<rect") == 4


def test_ticks_are_round_and_inside() -> None:
    assert ticks(-0.08, 0.065) == [-0.08, -0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06]
    assert ticks(0.0, 22.2) == [0, 5, 10, 15, 20]
    assert ticks(0.0, 0.0) == [0.0]
