"""The daily report: what it says follows from the rows, and bad text cannot break the page."""

from __future__ import annotations

from datetime import date
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from recsys.experiments.definition import Experiment, parse_experiment
from recsys.reports.charts import Point, Series, interval_chart
from recsys.reports.daily import DailyReport, estimates, metrics_of, render, verdict

DAY = date(2026, 2, 10)


def result(arm: str, scope: str, difference: float | None = None, **changes: Any) -> dict[str, Any]:
    row = {
        "experiment_id": "e",
        "metric": "rpu",
        "scope": scope,
        "arm": arm,
        "policy": arm,
        "control": "popularity",
        "users": 1000,
        "mean": 0.5,
        "mean_low": 0.4,
        "mean_high": 0.6,
        "difference": difference,
        "difference_low": None if difference is None else difference - 0.1,
        "difference_high": None if difference is None else difference + 0.1,
        "p_value": None if difference is None else 0.01,
        "srm_p_value": 0.5,
        "is_valid": True,
        "ds": DAY,
        "segment": "all",
        "segment_value": "all",
        "role": "primary",
        "label": "Revenue per user",
        "kind": "mean",
        "direction": "up",
    }
    nothing = ("p_adjusted", "cuped_difference", "cuped_low", "cuped_high", "bound_low", "bound_high")
    return row | dict.fromkeys(nothing) | changes


def experiment(kind: str, end: date | None = DAY, **changes: Any) -> Experiment:
    content: dict[str, Any] = {
        "id": "e",
        "hypothesis": "It earns more.",
        "unit": "user",
        "salt": "e_1",
        "start": date(2026, 2, 1),
        "end": end,
        "control": "popularity",
        "arms": {
            "popularity": {"policy": "popularity", "weight": 0.5},
            "hybrid": {"policy": "hybrid", "weight": 0.5},
        },
        "design": {"kind": kind},
    }
    return parse_experiment(content | changes, "e.yaml")


def report(title: str = "A jacket", **changes: Any) -> DailyReport:
    rows = [
        result(a, s, d) for s in ("day", "cumulative") for a, d in (("popularity", None), ("hybrid", 0.2))
    ]
    parts: dict[str, Any] = {
        "ds": DAY,
        "currency": "EUR",
        "results": pd.DataFrame(rows),
        "decisions": pd.DataFrame(
            {
                "experiment_id": ["e"],
                "revision": [1],
                "verdict": ["ship"],
                "rule": ["win"],
                "reason": ["It earns more."],
                "decided_by": ["rule"],
                "why": [None],
                "ds": [DAY],
            }
        ),
        "truth": pd.DataFrame(
            {"ds": [DAY], "policy": ["hybrid"], "rpu": [0.55], "conversion": [0.1], "ctr": [0.02]}
        ),
        "checks": pd.DataFrame(
            {
                "table_name": ["marketplace.items"],
                "severity": ["warning"],
                "message": ["odd"],
                "success": [False],
            }
        ),
        "examples": pd.DataFrame(
            {
                "user_id": ["u1"],
                "policy": ["hybrid"],
                "rank": [1],
                "item_id": ["i1"],
                "title": [title],
                "source": ["als"],
                "p_purchase": [0.01],
                "price": [20.0],
                "take_rate": [0.1],
                "p_cancel": [0.05],
                "expected_revenue": [0.019],
            }
        ),
        "rejected": pd.DataFrame({"reason": ["late"], "events": [3]}),
    }
    return DailyReport(**(parts | changes))


def test_truth_stands_beside_the_arm_whose_policy_it_is() -> None:
    one = report()
    rows = estimates(one.results, one.truth, "day").set_index("arm")
    assert rows.loc["hybrid", "truth"] == 0.55
    assert pd.isna(rows.loc["popularity", "truth"])


@pytest.mark.parametrize(
    ("difference", "says"),
    [(0.2, "earns more than"), (-0.2, "earns less than"), (0.05, "cannot yet be told from")],
)
def test_the_verdict_follows_the_interval(difference: float, says: str) -> None:
    rows = pd.DataFrame([result("popularity", "cumulative"), result("hybrid", "cumulative", difference)])
    assert says in verdict(rows)


def test_the_verdict_is_that_of_the_design() -> None:
    def said(definition: Experiment, **changes: Any) -> str:
        return verdict(pd.DataFrame([result("hybrid", "cumulative", 0.2, **changes)]), {"e": definition})

    always = experiment("always_valid", end=None)
    assert "earns more than" in said(always, bound_low=0.05, bound_high=0.35)
    assert "interval +0.050 to +0.350" in said(always, bound_low=0.05, bound_high=0.35)
    assert "cannot yet be told from" in said(always, bound_low=-0.05, bound_high=0.45)
    fixed = experiment("fixed")
    assert "earns more than" in said(fixed, p_adjusted=0.04)
    assert "cannot yet be told from" in said(fixed, p_adjusted=0.06)  # one of several arms
    assert "cannot yet be told from" in said(fixed, cuped_difference=0.1, cuped_low=-0.1, cuped_high=0.3)
    early = said(experiment("fixed", end=date(2026, 2, 20)))
    assert "cannot yet be told from" in early and early.endswith("The design decides once, at its end.")


def test_the_verdict_is_of_the_last_look_and_of_the_best_arm() -> None:
    rows = [
        result("hybrid", "cumulative", 0.2),
        result("other", "cumulative", 0.3),
        result("other", "cumulative", -0.3, ds=date(2026, 2, 11)),  # what came late turns nothing
    ]
    assert verdict(pd.DataFrame(rows), {"e": experiment("fixed")}).startswith("other earns more than")
    assert "cannot yet be told from" in verdict(pd.DataFrame(rows[2:]), {"e": experiment("fixed")})


def test_segments_are_left_to_the_page_of_the_experiment() -> None:
    one = report()
    segment = one.results.assign(segment="region", segment_value="north", mean=9.0)
    other = one.results.assign(metric="aov", role="other")
    rows = estimates(pd.concat([one.results, segment, other]), one.truth, "day")
    assert rows.loc[rows["metric"] == "rpu", "mean"].tolist() == [0.5, 0.5]
    assert list(metrics_of(pd.concat([other, one.results]))) == ["rpu"]


def test_a_broken_split_silences_the_verdict() -> None:
    rows = pd.DataFrame([result("hybrid", "cumulative", 0.2, is_valid=False, srm_p_value=1e-9)])
    assert "no number below may be believed" in verdict(rows)


def test_no_comparison_yet_is_said_plainly() -> None:
    assert verdict(pd.DataFrame([result("popularity", "cumulative")])).startswith("No experiment has enough")


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in {"meta", "br", "line", "circle", "path", "rect"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"line", "circle", "path", "rect", "br"}:
            assert self.open.pop() == tag


def test_the_page_is_balanced_and_escapes_titles() -> None:
    page = render(report(title='<script>alert("1")</script> 革ジャン 🧥\n"new"'))
    assert "<script>" not in page
    assert "革ジャン 🧥" in page
    assert "hybrid earns more than popularity" in page
    assert "Decision on e: ship. It earns more." in page
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []


def test_a_day_without_anything_still_renders() -> None:
    one = report()
    empty = {
        name: getattr(one, name).iloc[:0]
        for name in ("results", "decisions", "truth", "checks", "examples", "rejected")
    }
    assert "No experiment has enough" in render(report(**empty))


def test_the_chart_names_its_unit_and_marks_every_point() -> None:
    points = [Point("10 Feb", 1.0, 0.5, 1.5, truth=1.1), Point("11 Feb", 1.2, 0.7, 1.7)]
    svg = interval_chart([Series("a<b", points)], "EUR per user")
    assert svg.count("<circle") == 2
    assert svg.count("truth 1.1") == 1
    assert "a&lt;b" in svg
    assert interval_chart([], "EUR") == "<p>No data yet.</p>"
