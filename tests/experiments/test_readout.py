"""From sums of units to a read-out, held against the same figures taken from the units themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recsys.experiments.decision import decide
from recsys.experiments.definition import Arm, Experiment, parse_experiment
from recsys.experiments.metrics import Metric, load_metrics
from recsys.experiments.readout import COLUMNS, read_out
from recsys.experiments.statistics import always_valid_critical, group_sequential
from recsys.experiments.suspicions import beside, of_read_out
from recsys.schema import table
from recsys.settings import Settings
from tests.experiments.test_decision import ANY_DAY, END, START, TWO_LOOKS, experiment
from tests.experiments.test_decision import checks as passed

METRICS: dict[str, Metric] = load_metrics(Settings.load({}).metrics_path)
NONE = pd.DataFrame(columns=table("experiments.value_counts").column_names)
GUARDED = {"guardrails": {"bounce_rate": 0.05}}


def units(seed: int, n: int = 4000, lift: float = 0.0) -> dict[str, np.ndarray]:
    """A covariate, and totals of the experiment that go with it."""
    rng = np.random.default_rng(seed)
    taste = rng.lognormal(0, 1, n)
    return {
        "num": taste * rng.lognormal(0, 0.5, n) * (1 + lift),
        "den": 1.0 + rng.poisson(5, n),
        "cov_num": taste,
        "cov_den": 1.0 + rng.poisson(5, n),
    }


def sums(metric: str, arm: str, of: dict[str, np.ndarray], **place: str) -> dict[str, Any]:
    """A row of metrics_daily, as SQL sums it."""
    if METRICS[metric].kind == "proportion":
        of = {name: (values > 1).astype(float) for name, values in of.items()}
    row: dict[str, Any] = {"metric": metric, "arm": arm, "units": len(of["num"]), "cap": None}
    row |= {"scope": "cumulative", "segment": "all", "segment_value": "all"} | place
    row |= {name: float(of[name].sum()) for name in COLUMNS}
    pairs = [(a, b) for i, a in enumerate(COLUMNS) for b in COLUMNS[i:]]
    return row | {f"{a}_{b}": float(of[a] @ of[b]) for a, b in pairs}


OLD, NEW = units(1), units(2, lift=0.1)


def daily(*metrics: str, **place: str) -> pd.DataFrame:
    return pd.DataFrame(
        [sums(metric, arm, of, **place) for metric in metrics for arm, of in (("old", OLD), ("new", NEW))]
    )


def made(
    rows: pd.DataFrame, one: Experiment | None = None, values: pd.DataFrame = NONE, day: Any = END
) -> pd.DataFrame:
    return read_out(one or experiment(), METRICS, rows, values, ds=day, rng=np.random.default_rng(1))


def of(results: pd.DataFrame, metric: str, arm: str = "new") -> dict[str, Any]:
    (row,) = results[(results["metric"] == metric) & (results["arm"] == arm)].to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_a_mean_is_welch_on_the_units() -> None:
    row = of(made(daily("rpu")), "rpu")
    test = stats.ttest_ind(NEW["num"], OLD["num"], equal_var=False)
    ends = test.confidence_interval(0.95)
    assert row["mean"] == pytest.approx(NEW["num"].mean())
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((ends.low, ends.high))
    assert (row["p_value"], row["p_adjusted"]) == pytest.approx((test.pvalue, test.pvalue))
    assert (row["role"], row["label"], row["kind"], row["users"]) == (
        "primary",
        "Revenue per user",
        "mean",
        4000,
    )
    assert pd.isna(of(made(daily("rpu")), "rpu", "old")["difference"])


@pytest.mark.parametrize(("unit", "label"), [("cluster", "per cluster"), ("seller", "per seller")])
def test_a_mean_is_labelled_by_the_unit_it_is_a_mean_over(unit: str, label: str) -> None:
    arms = tuple(Arm(arm.name, None, arm.weight) for arm in experiment().arms)
    one = experiment(unit=unit, arms=arms, covariate_days=14)
    rows = daily("rpu", "gmv_per_user")
    results = made(rows, one)
    assert set(results["label"]) == {f"Revenue {label}", f"Sales {label}"}
    told = {check.check_id: check.message for check in of_read_out(one, METRICS, rows, results)}
    assert f"Revenue {label} of new" in told["pre_period:rpu:new"]


def test_a_ratio_and_a_proportion_are_those_of_the_units() -> None:
    results = made(daily("ctr", "conversion"))
    assert of(results, "ctr")["mean"] == pytest.approx(NEW["num"].sum() / NEW["den"].sum())
    assert of(results, "conversion")["mean"] == pytest.approx((NEW["num"] > 1).mean())


def test_a_covariate_is_used_where_it_is_declared_and_decides() -> None:
    plain, adjusted = (
        of(made(daily("rpu")), "rpu"),
        of(made(daily("rpu"), experiment(covariate_days=14)), "rpu"),
    )
    assert pd.isna(plain.get("cuped_difference"))
    assert adjusted["difference"] == plain["difference"]
    correlation = np.corrcoef(np.r_[OLD["num"], NEW["num"]], np.r_[OLD["cov_num"], NEW["cov_num"]])[0, 1]
    assert adjusted["variance_reduction"] == pytest.approx(correlation**2, abs=0.02)
    widths = [row["bound_high"] - row["bound_low"] for row in (plain, adjusted)]
    assert (widths[1] / widths[0]) ** 2 == pytest.approx(1 - adjusted["variance_reduction"], rel=0.01)
    assert adjusted["p_adjusted"] < plain["p_adjusted"]
    assert "cuped" in adjusted["method"]


def test_bounds_are_those_of_the_design() -> None:
    def half(one: Experiment, day: Any) -> float:
        row = of(made(daily("rpu"), one, day=day), "rpu")
        error = (row["difference_high"] - row["difference_low"]) / 2 / stats.norm.isf(0.025)
        return float((row.get("bound_high", np.nan) - row["difference"]) / error)

    first = START + timedelta(days=6)
    planned = group_sequential(
        [0.5, 1.0], alpha=0.05, spending="obrien_fleming", information=[0.25, 1]
    ).critical
    assert half(experiment(TWO_LOOKS), first) == pytest.approx(planned[0], rel=2e-3)
    assert half(experiment(TWO_LOOKS), END) == pytest.approx(planned[1], rel=2e-3)
    assert np.isnan(half(experiment(TWO_LOOKS), START)), "no look, no bound"
    for design in (experiment(ANY_DAY), experiment()):
        assert half(design, first) == pytest.approx(always_valid_critical(0.5, alpha=0.05), rel=2e-3)


def test_looks_at_what_most_users_do_every_day_are_tied_more_loosely() -> None:
    row = of(made(daily("sessions_per_user")), "sessions_per_user")
    two = of(made(daily("sessions_per_user"), experiment(TWO_LOOKS)), "sessions_per_user")
    error = (row["difference_high"] - row["difference_low"]) / 2 / stats.norm.isf(0.025)
    planned = group_sequential([0.5, 1.0], alpha=0.05, spending="obrien_fleming", information=[0.125, 1])
    assert (two["bound_high"] - two["difference"]) / error == pytest.approx(planned.critical[1], rel=5e-4)


def test_arms_share_the_error_and_guardrails_do_not() -> None:
    third = (*experiment().arms[:1], *(Arm(name, "hybrid", 0.25) for name in ("new", "other")))
    rows = daily("rpu", "bounce_rate")
    rows = pd.concat([rows, *(pd.DataFrame([sums(m, "other", units(3))]) for m in ("rpu", "bounce_rate"))])
    results = made(rows, experiment(arms=third))
    p = [of(results, "rpu", arm)["p_value"] for arm in ("new", "other")]
    assert of(results, "rpu")["p_adjusted"] == pytest.approx(min(2 * p[0], 1)), (
        "Holm: the smaller counts twice"
    )
    assert of(results, "rpu", "other")["p_adjusted"] == pytest.approx(max(2 * p[0], p[1]))
    guard = of(results, "bounce_rate")
    assert (guard["role"], guard["margin"], guard["direction"]) == ("guardrail", 0.05, "down")
    assert guard["p_adjusted"] == guard["p_value"]


def test_secondary_metrics_share_a_false_discovery_rate_and_days_are_not_tested() -> None:
    results = made(pd.concat([daily("conversion", "ctr", "rpu"), daily("rpu", scope="day")]))
    family = [of(results, name) for name in ("conversion", "ctr")]
    expected = stats.false_discovery_control([row["p_value"] for row in family])
    assert [row["p_adjusted"] for row in family] == pytest.approx(expected.tolist())
    of_day = results[results["scope"] == "day"].dropna(subset="difference").iloc[0]
    assert pd.isna(of_day["p_adjusted"])
    assert pd.isna(of_day["bound_low"])


def test_chances_follow_the_direction() -> None:
    results = made(daily("rpu", "bounce_rate"))
    assert of(results, "rpu")["probability_best"] > 0.95
    assert of(results, "bounce_rate", "old")["probability_best"] == pytest.approx(
        1 - of(results, "bounce_rate")["probability_best"]
    )


def test_quantiles_are_drawn_from_counted_values() -> None:
    values = pd.DataFrame(
        [
            {"metric": "buyer_spend_p90", "scope": "cumulative", "arm": arm, "value": v, "units": int(n)}
            for arm, shift in (("old", 0), ("new", 20))
            for v, n in zip(range(shift, 101 + shift), np.full(101, 30), strict=True)
        ]
    ).assign(segment="all", segment_value="all")
    north = values.assign(segment="region", segment_value="north", units=values["units"] // 3)
    today = values.assign(scope="day", value=2 * values["value"])
    found = made(daily("rpu").iloc[:0], values=pd.concat([values, north, today]))
    places = found[found["arm"] == "new"].set_index(["scope", "segment_value"])
    assert places["users"].to_dict() == {
        ("cumulative", "all"): 3030,
        ("cumulative", "north"): 1010,
        ("day", "all"): 3030,
    }
    assert places["difference"].to_dict() == {
        ("cumulative", "all"): 20.0,
        ("cumulative", "north"): 20.0,
        ("day", "all"): 40.0,
    }
    assert places["p_adjusted"].isna().to_dict()["day", "all"]
    row = of(found[(found["segment"] == "all") & (found["scope"] == "cumulative")], "buyer_spend_p90")
    assert (row["mean"], row["difference"]) == (110.0, 20.0)
    assert row["difference_low"] < 20 < row["difference_high"]
    assert row["mean_low"] <= 110 <= row["mean_high"]
    assert row["method"] == "bootstrap of the 0.9 quantile, percentile"


def test_the_read_out_decides() -> None:
    found = decide(experiment(), END, {END: made(daily("rpu", "bounce_rate"))}, passed())
    assert found.verdict in {"ship", "stop"}
    assert made(daily("rpu").iloc[:0]).empty


def test_what_differed_before_the_start_is_told() -> None:
    rows = daily("rpu", "conversion")
    one = experiment(covariate_days=14)
    told = {check.check_id: check for check in of_read_out(one, METRICS, rows, made(rows, one))}
    assert told["pre_period:rpu:new"].success
    other = {**units(2), "cov_num": 1.5 * units(2)["cov_num"]}
    rows = pd.DataFrame([sums("rpu", "old", OLD), sums("rpu", "new", other)])
    told = {check.check_id: check for check in of_read_out(one, METRICS, rows, made(rows, one))}
    assert (told["pre_period:rpu:new"].success, told["pre_period:rpu:new"].blocks) == (False, True)
    told = {check.check_id: check for check in of_read_out(experiment(), METRICS, rows, made(rows))}
    (unasked,) = [name for name in told if name.startswith("pre_period")]
    assert (told[unasked].success, told[unasked].blocks, told[unasked].observed) == (
        False,
        False,
        "not checked",
    )
    assert "covariate_days" in told[unasked].message


def test_segments_out_of_their_shares_and_guardrails_are_told() -> None:
    segment = {"segment": "region", "segment_value": "north"}
    north = pd.DataFrame(
        [sums("rpu", "old", OLD, **segment), sums("rpu", "new", units(2, n=4600), **segment)]
    )
    rows = pd.concat([daily("rpu", "bounce_rate"), north])
    told = of_read_out(experiment(), METRICS, rows, made(rows))
    (ratio,) = [check for check in told if check.check_id == "sample_ratio"]
    assert (ratio.segment, ratio.segment_value, ratio.success, ratio.blocks) == (
        "region",
        "north",
        False,
        True,
    )
    assert [c.observed for c in told if c.check_id == "guardrail:bounce_rate:new"] == ["open"]


BY_USER = {
    "id": "e",
    "hypothesis": "h",
    "unit": "user",
    "salt": "1",
    "start": START,
    "end": END,
    "control": "old",
    "arms": {"old": {"policy": "popularity", "weight": 0.5}, "new": {"policy": "hybrid", "weight": 0.5}},
    "beside": ["by_cluster"],
}
BY_CLUSTER = BY_USER | {
    "id": "by_cluster",
    "unit": "cluster",
    "salt": "2",
    "arms": {"old": {"weight": 0.5}, "new": {"weight": 0.5}},
    "beside": [],
}


def told_beside(mine: Experiment, running: list[Experiment], *blocked: str, metric: str = "rpu") -> list[str]:
    read_outs = {one.id: made(daily("conversion", metric), one) for one in running}
    return beside(mine, METRICS, running, read_outs, blocked)


def test_a_split_by_cluster_that_is_named_stands_beside_with_relative_lifts_of_both() -> None:
    mine, other = (parse_experiment(content, "x") for content in (BY_USER, BY_CLUSTER))
    row = of(made(daily("rpu")), "rpu")
    ends = [f"{100 * row[name]:+.1f} %" for name in ("relative", "relative_low", "relative_high")]
    lift = f"{ends[0]} ({ends[1]} to {ends[2]})"
    own, told = told_beside(mine, [mine, other])
    assert own == f"e, split by user: Revenue per user of new {lift}"
    assert told == f"by_cluster, split by cluster: Revenue per cluster of new {lift}"
    unlinked = parse_experiment(BY_USER | {"beside": []}, "x")
    assert told_beside(unlinked, [unlinked, other]) == []


def test_money_that_is_not_named_stands_beside_too() -> None:
    mine, other = (parse_experiment(c | {"primary": "ctr"}, "x") for c in (BY_USER, BY_CLUSTER))
    assert "Sales per user of new" in told_beside(mine, [mine, other], metric="gmv_per_user")[0]


def test_what_cannot_be_set_beside_is_told_without_a_figure() -> None:
    mine, other = (parse_experiment(content, "x") for content in (BY_USER, BY_CLUSTER))
    assert told_beside(mine, [mine]) == ["by_cluster: not read out on this day"]
    (told,) = told_beside(mine, [mine, other], "by_cluster")
    assert told == "by_cluster, split by cluster: a check blocks it, so no number of it may be believed"
    assert told_beside(mine, [mine, other], "e") == []
    nothing = {"e": made(daily("rpu")), "by_cluster": made(daily("rpu").iloc[:0], other)}
    assert beside(mine, METRICS, [mine, other], nothing) == [
        "by_cluster, split by cluster: nothing to compare yet"
    ]


def test_a_split_by_cluster_is_told_how_many_clusters_it_has() -> None:
    for content, expected in ((BY_USER, 0), (BY_CLUSTER, 1)):
        mine = parse_experiment(content, "x")
        rows = daily("rpu")
        found = of_read_out(mine, METRICS, rows, made(rows, mine))
        assert sum(check.check_id == "few_clusters" for check in found) == expected
