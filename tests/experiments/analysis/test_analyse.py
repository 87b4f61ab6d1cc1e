"""Comparisons of a table against scipy, and against the formulas written out once more here."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.analysis.analyse import Analysis, Result, analyse
from recsys.experiments.analysis.asked import parse_metrics


def table(units: int = 900, seed: int = 7, arms: Sequence[str] = ("control", "treatment")) -> pd.DataFrame:
    """Revenue with zeros, correlated with what was paid before; clicks that vary by user."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=units)
    revenue = np.where(rng.random(units) < 0.4, np.exp(1 + taste + rng.normal(size=units)), 0.0)
    views = 1 + rng.poisson(6, units)
    return pd.DataFrame(
        {
            "id": [f"u{n}" for n in range(units)],
            "arm": rng.choice(list(arms), units),
            "revenue": revenue,
            "before": np.exp(taste),
            "bought": (revenue > 0).astype(int),
            "views": views,
            "clicks": rng.binomial(views, 1 / (1 + np.exp(1 - taste))),
        }
    )


def of(frame: pd.DataFrame, *metrics: str, **options: object) -> Analysis:
    return analyse(frame, "id", "arm", parse_metrics(metrics, list(frame.columns)), **options)  # type: ignore[arg-type]


def only(found: Analysis) -> Result:
    (result,) = found.results
    return result


def arms(frame: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    return tuple(frame.loc[frame["arm"] == arm, column].to_numpy() for arm in ("control", "treatment"))  # type: ignore[return-value]


def test_a_mean_is_welchs_test() -> None:
    frame = table()
    control, treatment = arms(frame, "revenue")
    expected = stats.ttest_ind(treatment, control, equal_var=False)
    found = only(of(frame, "revenue"))
    assert (found.arm, found.control, found.n) == ("treatment", "control", len(treatment))
    assert found.mean == pytest.approx(treatment.mean(), rel=1e-12)
    assert found.difference == pytest.approx(treatment.mean() - control.mean(), rel=1e-9)
    assert found.difference_ci == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.relative == pytest.approx(treatment.mean() / control.mean() - 1, rel=1e-9)


def test_zeros_and_ones_are_a_proportion() -> None:
    frame = table()
    control, treatment = arms(frame, "bought")
    pooled = np.concatenate([control, treatment]).mean()
    error = np.sqrt(pooled * (1 - pooled) * (1 / len(control) + 1 / len(treatment)))
    z = (treatment.mean() - control.mean()) / error
    found = only(of(frame, "bought"))
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)
    assert "score" in found.method and "welch" not in found.method
    assert "welch" in only(of(frame, "bought:mean")).method


def test_a_ratio_takes_the_unit_as_the_draw() -> None:
    frame = table()
    value, variance = {}, {}
    for arm, rows in frame.groupby("arm"):
        ratio = rows["clicks"].sum() / rows["views"].sum()
        spread = (rows["clicks"] - ratio * rows["views"]).var(ddof=1) / rows["views"].mean() ** 2
        value[arm], variance[arm] = ratio, spread / len(rows)
    found = only(of(frame, "clicks/views"))
    assert found.difference == pytest.approx(value["treatment"] - value["control"], rel=1e-9)
    assert found.difference_ci[1] is not None and found.difference is not None
    margin = found.difference_ci[1] - found.difference
    assert margin == pytest.approx(1.96 * np.sqrt(sum(variance.values())), rel=0.01)


def test_sessions_of_a_unit_give_what_the_units_give() -> None:
    """A table by session, each unit in several rows, is read by unit: the rows are no independent draws."""
    frame = table()
    parts = [
        frame.assign(session=n, clicks=frame["clicks"] // 2 + n * (frame["clicks"] % 2), views=frame["views"] / 2,
                     revenue=frame["revenue"] * (1 - n))
        for n in (0, 1)
    ]  # fmt: skip
    sessions = pd.concat(parts, ignore_index=True)
    whole = of(frame, "clicks/views", "revenue", "bought", covariate=("before",))
    assert _close(of(sessions, "clicks/views", "revenue", "bought", covariate=("before",)), whole)


def test_a_row_that_lacks_one_side_of_a_ratio_counts_on_neither() -> None:
    rows = [
        ("u1", "a", 1.0, 2.0),
        ("u1", "a", 9.0, None),
        ("u2", "a", 2.0, 3.0),
        ("u3", "b", 1.0, 1.0),
        ("u4", "b", 2.0, 5.0),
    ]
    frame = pd.DataFrame(rows, columns=["id", "arm", "x", "y"])
    assert only(of(frame, "x/y")) == only(of(frame.drop(1), "x/y"))


def test_a_covariate_narrows_the_interval_and_a_constant_one_changes_nothing() -> None:
    frame = table()
    plain, adjusted = only(of(frame, "revenue")), only(of(frame, "revenue", covariate=("before",)))
    assert _width(adjusted) < 0.97 * _width(plain)
    assert adjusted.mean == plain.mean and "cuped" in adjusted.method
    constant = only(of(frame.assign(before=5.0), "revenue", covariate=("before",)))
    assert constant.difference == pytest.approx(plain.difference, rel=1e-12)
    assert _width(constant) == pytest.approx(_width(plain), rel=1e-9)


def test_a_ratio_takes_a_covariate_of_one_column_or_two() -> None:
    frame = table().assign(
        views_before=lambda t: 1 + t["views"] // 2, clicks_before=lambda t: t["clicks"] // 2
    )
    plain = _width(only(of(frame, "clicks/views")))
    assert _width(only(of(frame, "clicks/views", covariate=("clicks_before", "views_before")))) < 0.8 * plain
    assert _width(only(of(frame, "clicks/views", covariate=("before",)))) < 0.97 * plain
    with pytest.raises(ExperimentError, match="is a ratio, which a mean cannot take"):
        of(frame, "revenue", covariate=("clicks_before", "views_before"))


@pytest.mark.parametrize(("metric", "covariate"), [("revenue", "before"), ("clicks/views", "before")])
def test_a_covariate_that_sets_the_arms_apart_is_told(metric: str, covariate: str) -> None:
    frame = table()
    assert not any("the covariate is" in note for note in of(frame, metric, covariate=(covariate,)).notes)
    apart = frame.assign(before=frame["before"] + frame["before"].std() * (frame["arm"] == "treatment"))
    told = [note for note in of(apart, metric, covariate=(covariate,)).notes if "the covariate is" in note]
    assert len(told) == 1
    assert "do not believe" in told[0]


@pytest.mark.parametrize(("metric", "covariate"), [("revenue", "revenue"), ("clicks/views", "views")])
def test_a_metric_is_no_covariate_of_itself(metric: str, covariate: str) -> None:
    with pytest.raises(ExperimentError, match=f"The covariate {covariate} is part of the metric"):
        of(table(), metric, covariate=(covariate,))


def test_a_quantile_of_whole_hours_is_told_and_one_of_few_units_has_no_interval() -> None:
    frame = table()
    assert not any("few different values" in note for note in of(frame, "before:p50").notes)
    hours = frame.assign(hours=frame["before"].mod(3).round())
    assert any("few different values" in note for note in of(hours, "hours:p50").notes)
    found = only(of(frame.groupby("arm").head(10), "before:p90"))
    assert (found.method, found.difference_ci, found.p_value) == (
        "too few units for the 0.9 quantile",
        (None, None),
        None,
    )


def test_a_missing_covariate_keeps_the_unit() -> None:
    frame = table()
    gaps = frame.assign(before=frame["before"].where(frame.index % 3 > 0))
    found = only(of(gaps, "revenue", covariate=("before",)))
    filled = only(of(gaps.fillna({"before": gaps["before"].mean()}), "revenue", covariate=("before",)))
    assert found == filled and found.n == (frame["arm"] == "treatment").sum()


def test_a_missing_value_leaves_the_unit_out_of_that_metric_only_and_the_shares_are_told() -> None:
    frame = table()
    frame.loc[frame["arm"].eq("treatment") & (frame.index % 10 == 0), "revenue"] = np.nan
    found = of(frame, "revenue", "bought")
    there = frame.dropna(subset="revenue")
    assert found.results[0] == only(of(there, "revenue"))
    assert found.results[1].n == (frame["arm"] == "treatment").sum()
    assert found.counts["treatment"] == found.results[1].n
    assert any("without a value" in note and "control 0.00%" in note for note in found.notes)


def test_three_arms_are_each_held_against_the_control() -> None:
    frame = table(arms=("b", "a", "c"))
    found = of(frame, "revenue", "bought")
    assert [(r.metric, r.arm, r.control) for r in found.results] == [
        ("revenue", "b", "a"), ("revenue", "c", "a"), ("bought", "b", "a"), ("bought", "c", "a")
    ]  # fmt: skip
    pair = of(frame[frame["arm"].isin(["b", "c"])], "revenue", control="c")
    chosen = of(frame, "revenue", control="c")
    assert next(r for r in chosen.results if r.arm == "b") == only(pair)
    assert of(frame.replace({"arm": {"b": "Control"}}), "revenue").control == "Control"
    with pytest.raises(ExperimentError, match="'x' is no arm of the table; arms are a, b, c"):
        of(frame, "revenue", control="x")


def test_the_sample_ratio_is_held_against_the_planned_shares() -> None:
    frame = pd.DataFrame({"id": range(3000), "arm": ["a"] * 2000 + ["b"] * 1000, "x": np.arange(3000) % 7})
    equal, planned = of(frame, "x"), of(frame, "x", weights={"a": 2, "b": 1})
    assert equal.blocked and equal.srm_p_value == pytest.approx(stats.chisquare([2000, 1000]).pvalue)
    assert not planned.blocked and planned.srm_p_value == pytest.approx(1)
    assert len(equal.results) == 1, "the figures are told, with the warning"
    empty = of(frame, "x", weights={"a": 2, "b": 1, "c": 1})
    assert empty.blocked and empty.counts["c"] == 0
    with pytest.raises(ExperimentError, match=r"Arm\(s\) b of the table have no weight"):
        of(frame, "x", weights={"a": 1})


@pytest.mark.parametrize(("crossed", "blocks"), [(0, False), (2, False), (3, True), (600, True)])
def test_units_in_two_arms_block_above_one_in_a_thousand(crossed: int, blocks: bool) -> None:
    frame = table(2000, arms=("a", "b"))
    frame["arm"] = ["a", "b"] * 1000
    again = frame[:crossed].replace({"arm": {"a": "b", "b": "a"}})
    found = of(pd.concat([frame, again], ignore_index=True), "revenue")
    record = found.record()["srm"]
    assert record["p_value"] == pytest.approx(1, abs=0.1) and record["blocked"] is found.blocked is blocks
    assert len(record["reasons"]) == blocks and len(found.results) == 1
    if blocks:
        assert f"{crossed} units seen in more than one arm" in record["reasons"][0]
        assert set(record["reasons"]) <= set(found.notes)


def test_every_reason_that_blocks_is_told() -> None:
    frame = pd.DataFrame({"id": range(3000), "arm": ["a"] * 2000 + ["b"] * 1000, "x": np.arange(3000) % 7})
    found = of(pd.concat([frame, frame[:100].assign(arm="b")], ignore_index=True), "x")
    assert [text.partition(" ")[0] for text in found.reasons] == ["the", "100"]


def test_a_quantile_is_compared_by_the_bootstrap_of_its_seed() -> None:
    frame = table()
    control, treatment = arms(frame, "before")
    found = only(of(frame, "before:p90", seed=3))
    assert found.mean == pytest.approx(np.quantile(treatment, 0.9))
    assert found.difference == pytest.approx(np.quantile(treatment, 0.9) - np.quantile(control, 0.9))
    rng = np.random.default_rng(11)
    draws = [np.quantile(rng.choice(rows, (2000, len(rows))), 0.9, axis=1) for rows in (treatment, control)]
    expected = np.quantile(draws[0] - draws[1], [0.025, 0.975])
    assert found.difference_ci == pytest.approx(tuple(expected), abs=0.1 * float(np.ptp(expected)))
    assert found == only(of(frame, "before:p90", seed=3)) != only(of(frame, "before:p90", seed=4))
    adjusted = of(frame, "before:p90", covariate=("before",), seed=3)
    assert only(adjusted) == found and any("without the covariate" in note for note in adjusted.notes)


def test_a_quantile_does_not_depend_on_what_else_is_asked() -> None:
    frame = table(arms=("control", "treatment", "other"))
    several = of(frame, "revenue:p75", "before:p90").results
    pair = of(frame[frame["arm"] != "other"], "before:p90").results
    assert [row for row in several if row.metric == "before"] == list(of(frame, "before:p90").results)
    assert [row for row in several if (row.metric, row.arm) == ("before", "treatment")] == list(pair)


def test_winsorising_uses_one_cap_of_all_arms() -> None:
    frame = table()
    cap = np.sort(frame["revenue"])[int(np.ceil(0.98 * len(frame))) - 1]
    found = only(of(frame, "revenue", winsorise=0.98))
    assert found == only(of(frame.assign(revenue=frame["revenue"].clip(upper=cap)), "revenue"))


@pytest.mark.parametrize("power", [-1000, -600, 260, 500, 1000])
def test_the_size_of_values_does_not_matter(power: int) -> None:
    frame = table()
    frame["large"], frame["views_large"] = np.ldexp(frame["revenue"], power), np.ldexp(frame["views"], power)
    for plain, scaled in (("revenue", "large"), ("clicks/views", "clicks/views_large")):
        one, other = (only(of(frame, metric)) for metric in (plain, scaled))
        assert other.p_value == one.p_value and other.relative_ci == one.relative_ci
        factor = power if plain == "revenue" else -power
        assert other.difference == np.ldexp(one.difference, factor)
        assert other.difference_ci == tuple(np.ldexp(one.difference_ci, factor))


@pytest.mark.parametrize(
    ("a", "b", "mean", "difference", "relative"),
    [
        ((1.0, 2.0), (2.0,), 2.0, 0.5, 1 / 3),
        ((2.0,), (1.0, 2.0), 1.5, -0.5, -0.25),
        ((0.0,), (1.0, 2.0), 1.5, 1.5, None),
        ((None, None), (2.0, 3.0), 2.5, None, None),
        ((2.0, 3.0), (None, None), None, None, None),
    ],
)
@pytest.mark.parametrize("metric", ["x:mean", "x/y", "x:p50"])
def test_what_cannot_be_estimated_is_null_and_what_is_known_is_told(
    a: tuple[float | None, ...],
    b: tuple[float | None, ...],
    mean: float | None,
    difference: float | None,
    relative: float | None,
    *,
    metric: str,
) -> None:
    rows = [(f"{arm}{n}", arm, x, 1) for arm, part in (("a", a), ("b", b)) for n, x in enumerate(part)]
    found = only(of(pd.DataFrame(rows, columns=["id", "arm", "x", "y"]), metric))
    assert (found.mean, found.difference) == (mean, difference)
    assert found.relative == (None if relative is None else pytest.approx(relative))
    assert (found.method, found.p_value, found.n) == (
        "too few units",
        None,
        len([x for x in b if x is not None]),
    )
    assert found.difference_ci == found.relative_ci == (None, None)


def test_a_metric_without_a_value_is_still_valid_json() -> None:
    frame = pd.DataFrame({"id": range(4), "arm": ["a", "b"] * 2, "x": [None, 1.0] * 2})
    record = json.loads(json.dumps(of(frame, "x:mean").record(), allow_nan=False))
    assert record["results"][0]["difference_ci"] == [None, None]


@pytest.mark.parametrize("metric", ["x", "x:mean", "x:proportion", "x:p90"])
def test_a_column_without_any_value_is_told_whatever_its_kind(metric: str) -> None:
    frame = pd.DataFrame({"id": range(4), "arm": ["a", "b"] * 2, "x": [None] * 4})
    found = of(frame, metric)
    assert (only(found).n, only(found).mean, only(found).method) == (0, None, "too few units")
    assert found.notes == ("x: 4 units without a value left out (a 100.00%, b 100.00%)",)


def test_an_empty_denominator_is_null_and_the_other_arm_is_told() -> None:
    frame = table(40)
    assert only(of(frame.assign(views=0), "clicks/views")).method == "empty denominator"
    control_only = frame.assign(views=frame["views"].where(frame["arm"] == "treatment", 0))
    found = only(of(control_only, "clicks/views"))
    _, clicks = arms(frame, "clicks")
    assert found.mean == pytest.approx(clicks.sum() / arms(frame, "views")[1].sum())
    assert found.difference is None and found.p_value is None


def test_a_denominator_below_0_is_called_so_and_the_values_are_told() -> None:
    frame = table(40)
    for below in (frame["views"], frame["views"].where(frame["arm"] == "treatment", -frame["views"])):
        found = only(of(frame.assign(views=-below), "clicks/views"))
        assert (found.method, found.p_value, found.difference_ci) == (
            "negative denominator",
            None,
            (None, None),
        )
        assert found.mean is not None and found.difference is not None
    half_empty = frame["views"].where(frame["arm"] == "treatment", 0)
    assert only(of(frame.assign(views=-half_empty), "clicks/views")).method == "empty denominator"


def test_arms_without_any_spread() -> None:
    frame = pd.DataFrame({"id": range(8), "arm": ["a", "b"] * 4, "x": [3.0, 4.0] * 4})
    found = only(of(frame, "x"))
    assert (found.difference, found.difference_ci, found.p_value) == (1, (1, 1), 0)


def test_a_proportion_that_is_none_says_so() -> None:
    with pytest.raises(ExperimentError, match=r"column views holds \d+; a proportion holds 0 and 1 only"):
        of(table(), "views:proportion")


@pytest.mark.parametrize("option", [{"alpha": 0.0}, {"alpha": 1.0}, {"winsorise": 0.0}, {"winsorise": 1.5}])
def test_rates_outside_their_range(option: dict[str, float]) -> None:
    with pytest.raises(ExperimentError, match="it has to lie"):
        of(table(50), "revenue", **option)


def _width(result: Result) -> float:
    low, high = result.difference_ci
    assert low is not None and high is not None
    return high - low


def _close(one: Analysis, other: Analysis) -> bool:
    return all(
        (a.n, a.difference, a.p_value, *a.difference_ci)
        == pytest.approx((b.n, b.difference, b.p_value, *b.difference_ci))
        for a, b in zip(one.results, other.results, strict=True)
    )
