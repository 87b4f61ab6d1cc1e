"""Ship, stop, continue or invalid: each rule on read-outs made for it, and what a decision is tied to."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.decision import decide, inputs_hash, standing
from recsys.experiments.definition import Arm, Design, Experiment
from recsys.experiments.guardrails import guardrail_state
from recsys.experiments.looks import critical

START = date(2026, 2, 1)
END = START + timedelta(days=13)
ARMS = (Arm("old", "popularity", 0.5), Arm("new", "hybrid", 0.5))
FIXED, ANY_DAY = Design(), Design("always_valid")
TWO_LOOKS = Design("group_sequential", (7, 14), "obrien_fleming")
THREE = (Arm("old", "popularity", 0.4), Arm("new", "hybrid", 0.3), Arm("bold", "hybrid", 0.3))


def experiment(design: Design = FIXED, **changes: Any) -> Experiment:
    given: dict[str, Any] = {
        "end": END,
        "arms": ARMS,
        "guardrails": {"bounce_rate": 0.05},
        "minimum_effect": 0.02,
    }
    fields = {"id": "e", "hypothesis": "h", "unit": "user", "salt": "s", "start": START, "control": "old"}
    return Experiment(**(fields | given | changes), design=design)


def row(metric: str, arm: str, difference: float = 0.0, half: float = 0.02, **changes: Any) -> dict[str, Any]:
    """A row of results: control stands at 1, the fixed interval is +- half, the sequential one a half wider."""
    p = float(2 * stats.norm.sf(abs(difference) / half * stats.norm.isf(0.025)))
    made: dict[str, Any] = {
        "metric": metric, "scope": "cumulative", "segment": "all", "segment_value": "all", "arm": arm, "users": 1000,
        "mean": 1 + difference, "difference": difference, "difference_low": difference - half,
        "difference_high": difference + half, "p_value": p, "p_adjusted": p, "bound_low": difference - 1.5 * half,
        "bound_high": difference + 1.5 * half, "relative_low": difference - half, "relative_high": difference + half,
        "cuped_difference": None, "cuped_low": None, "cuped_high": None, "role": "primary", "label": metric, "direction": "down" if metric == "bounce_rate" else "up",
    }  # fmt: skip
    return made | changes


def read_out(lift: float, bounce: float = 0.0, half: float = 0.02, **changes: Any) -> pd.DataFrame:
    control = {"difference": None, "difference_low": None, "difference_high": None, "bound_low": None}
    rows = [
        row(metric, "old", mean=1.0) | control | {"bound_high": None} for metric in ("rpu", "bounce_rate")
    ]
    rows += [row("rpu", "new", lift, half, **changes), row("bounce_rate", "new", bounce)]
    return pd.DataFrame(rows)


def checks(success: bool = True, blocks: bool = True) -> pd.DataFrame:
    one = {
        "check_id": "sample_ratio",
        "segment": "all",
        "segment_value": "all",
        "p_value": 0.5,
        "observed": "x",
    }
    return pd.DataFrame([one | {"success": success, "blocks": blocks, "message": "The split is off."}])


def decided(
    lift: float, ds: date = END, design: Design = FIXED, bounce: float = 0.0, **changes: Any
) -> tuple[str, str]:
    found = decide(experiment(design, **changes), ds, {ds: read_out(lift, bounce)}, checks())
    return found.verdict, found.rule


@pytest.mark.parametrize(
    ("lift", "expected"),
    [(0.05, ("ship", "win")), (-0.05, ("stop", "loss")), (0.01, ("stop", "inconclusive"))],
)
def test_a_fixed_design_decides_at_its_end_and_not_before(lift: float, expected: tuple[str, str]) -> None:
    assert decided(lift) == expected
    assert decided(lift, END - timedelta(days=1)) == ("continue", "not_yet")
    assert decided(lift, end=None) == ("continue", "not_yet")


def test_what_blocks_comes_before_everything_and_what_warns_does_not() -> None:
    found = decide(experiment(), END, {END: read_out(0.05)}, checks(success=False))
    assert (found.verdict, found.rule) == ("invalid", "check")
    assert "sample_ratio: The split is off." in found.reason
    assert decide(experiment(), END, {END: read_out(0.05)}, checks(False, blocks=False)).verdict == "ship"


@pytest.mark.parametrize(
    ("bounce", "expected"),
    [
        (-0.05, ("ship", "win")),  # fewer bounces are better
        (0.02, ("ship", "win")),  # at worst 0.04 more, and 0.05 is tolerated
        (0.04, ("stop", "guardrail_open")),  # 0.06 is not excluded
        (0.09, ("stop", "guardrail")),  # even the sequential interval begins at 0.06
    ],
)
def test_nothing_is_shipped_until_its_guardrails_are_shown_to_hold(
    bounce: float, expected: tuple[str, str]
) -> None:
    assert decided(0.05, bounce=bounce) == expected


def test_a_breached_guardrail_stops_before_the_end() -> None:
    assert decided(0.05, START, bounce=0.09) == ("stop", "guardrail")


def test_a_guardrail_that_was_not_measured_does_not_hold() -> None:
    rows = read_out(0.05)
    found = decide(experiment(), END, {END: rows[rows["metric"] == "rpu"]}, checks())
    assert (found.verdict, found.rule) == ("stop", "guardrail_open")
    assert "bounce_rate is not measured" in found.reason


def test_several_arms_are_judged_by_the_adjusted_p_value() -> None:
    rows = read_out(0.03, p_adjusted=0.06)
    assert decide(experiment(), END, {END: rows}, checks()).rule == "inconclusive"


def test_a_sequential_design_decides_by_its_bounds() -> None:
    middle = START + timedelta(days=8)
    assert decided(0.025, middle, ANY_DAY) == ("continue", "undecided"), (
        "fixed 0.005..0.045, bound -0.005..0.055"
    )
    assert decided(0.05, middle, ANY_DAY) == ("ship", "win")
    assert decided(-0.05, middle, ANY_DAY) == ("stop", "loss")
    assert decided(0.025, END, ANY_DAY) == ("stop", "inconclusive")


def test_a_declared_covariate_decides() -> None:
    sharper = {"cuped_difference": 0.012, "cuped_low": 0.002, "cuped_high": 0.022, "p_adjusted": 0.02}
    assert decide(experiment(), END, {END: read_out(0.01)}, checks()).rule == "inconclusive"
    assert decide(experiment(), END, {END: read_out(0.01, **sharper)}, checks()).rule == "win"


def test_a_day_without_a_look_has_no_bounds_and_still_a_comparison() -> None:
    rows = read_out(0.05, bound_low=None, bound_high=None)
    assert decide(experiment(TWO_LOOKS), START, {START: rows}, checks()).rule == "not_yet"


def test_a_look_that_ended_the_experiment_is_not_undone_by_later_days() -> None:
    first, later = START + timedelta(days=6), START + timedelta(days=9)
    two = experiment(TWO_LOOKS)
    looks = {first: read_out(0.05), later: read_out(0.0), END: read_out(0.0)}
    assert decide(two, first, {first: looks[first]}, checks()).verdict == "ship"
    assert decide(two, later, {d: looks[d] for d in (first, later)}, checks()).reason.count(str(first)) == 1
    assert decide(two, END, looks, checks()).verdict == "ship"
    with pytest.raises(ExperimentError, match=f"needs the read-outs of {first}"):
        decide(two, later, {later: looks[later]}, checks())


def test_between_looks_nothing_is_decided_and_an_open_guardrail_waits_for_the_next() -> None:
    first, later = START + timedelta(days=6), START + timedelta(days=9)
    two = experiment(TWO_LOOKS)
    assert decide(two, START, {START: read_out(0.5)}, checks()).rule == "not_yet"
    looks = {first: read_out(0.05, bounce=0.04), later: read_out(0.05), END: read_out(0.05)}
    assert decide(two, later, {d: looks[d] for d in (first, later)}, checks()).rule == "guardrail_open"
    assert decide(two, END, looks, checks()).verdict == "ship"


@pytest.mark.parametrize(("lift", "late"), [(0.05, 0.01), (0.05, -0.05), (0.01, 0.05), (-0.05, 0.0)])
@pytest.mark.parametrize("design", [FIXED, ANY_DAY, TWO_LOOKS], ids=lambda design: design.kind)
def test_figures_that_come_late_turn_no_verdict(design: Design, lift: float, late: float) -> None:
    one, days = experiment(design), [END + timedelta(days=n) for n in range(3)]
    seen = {day: read_out(0.0) for day in one.looks} | {END: read_out(lift)}
    seen |= {day: read_out(late, bounce=0.09) for day in days[1:]}
    first, *later = (decide(one, day, {d: seen[d] for d in seen if d <= day}, checks()) for day in days)
    for told in later:
        assert (told.verdict, told.rule, told.power_left) == (first.verdict, first.rule, first.power_left)
        assert told.reason == f"{first.reason} Decided on {END}."
    assert decide(one, days[2], seen, checks(success=False)).verdict == "invalid"
    with pytest.raises(ExperimentError, match=f"needs the read-outs of.* {END}"):
        decide(one, days[1], {days[1]: seen[days[1]]}, checks())


@pytest.mark.parametrize(
    ("lift", "bounce", "rule"), [(0.05, 0.0, "win"), (-0.05, 0.0, "loss"), (0, 0.09, "guardrail")]
)
def test_a_bound_that_may_be_read_on_any_day_is_crossed_once_for_all(
    lift: float, bounce: float, rule: str
) -> None:
    one, first, later = experiment(ANY_DAY), START + timedelta(days=3), START + timedelta(days=5)
    seen = {START: read_out(0.0), first: read_out(lift, bounce), later: read_out(0.0)}
    crossed = decide(one, first, {d: seen[d] for d in (START, first)}, checks())
    found = decide(one, later, seen, checks())
    assert (found.verdict, found.rule, found.reason) == (
        crossed.verdict,
        rule,
        f"{crossed.reason} Decided on {first}.",
    )
    assert decide(one, later, seen, checks(success=False)).verdict == "invalid"
    seen[first] = seen[first].assign(is_valid=False)
    assert decide(one, later, seen, checks()).rule == "undecided", "what could not be believed ended nothing"


def test_a_last_look_that_could_not_be_believed_decides_nothing_later() -> None:
    seen = {END: read_out(0.05).assign(is_valid=False), END + timedelta(days=1): read_out(0.05)}
    found = decide(experiment(), END + timedelta(days=1), seen, checks())
    assert (found.verdict, found.rule) == ("invalid", "check")


def three_arms(new: tuple[float, float], bold: tuple[float, float]) -> pd.DataFrame:
    """Lift and bounces of two arms beside the control."""
    rows = [read_out(*new)]
    rows += [pd.DataFrame([row("rpu", "bold", bold[0]), row("bounce_rate", "bold", bold[1])])]
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize(
    ("new", "bold", "expected"),
    [
        ((0.05, 0.0), (0.08, 0.09), ("ship", "win")),  # the better one harms
        ((0.05, 0.09), (0.08, 0.09), ("stop", "guardrail")),
        ((0.01, 0.0), (0.08, 0.09), ("stop", "inconclusive")),
        ((-0.05, 0.0), (0.08, 0.09), ("stop", "loss")),
        ((-0.05, 0.0), (0.08, 0.0), ("ship", "win")),
    ],
)
def test_a_breached_guardrail_takes_its_arm_out_and_no_other(
    new: tuple[float, float], bold: tuple[float, float], expected: tuple[str, str]
) -> None:
    found = decide(experiment(arms=THREE), END, {END: three_arms(new, bold)}, checks())
    assert (found.verdict, found.rule) == expected
    assert ("bounce_rate of bold +0.09" in found.reason) == (bold[1] > 0)
    assert not (expected[0] == "ship" and bold[1] and "rpu of bold" in found.reason)


def test_an_arm_that_was_harmed_once_stays_out() -> None:
    first = START + timedelta(days=3)
    seen = {START: three_arms((0.0, 0.0), (0.0, 0.09)), first: three_arms((0.01, 0.0), (0.08, 0.0))}
    found = decide(experiment(ANY_DAY, arms=THREE), first, seen, checks())
    assert (found.verdict, found.rule) == ("continue", "undecided")
    assert "Not to be shipped, a guardrail is breached: bounce_rate of bold" in found.reason


def test_without_a_comparison_the_experiment_goes_on() -> None:
    rows = read_out(0.05)
    found = decide(experiment(), END, {END: rows[rows["arm"] == "old"]}, checks())
    assert (found.verdict, found.rule, found.power_left) == ("continue", "no_data", None)


def test_power_left_is_the_conditional_power_of_a_simulation() -> None:
    """Half way, with an estimate of 0.01 +- 0.02: paths that go on with the minimum effect, counted at the end."""
    middle = START + timedelta(days=6)
    found = decide(experiment(), middle, {middle: read_out(0.01)}, checks())
    error = 0.02 / stats.norm.isf(0.025)
    end = 0.01 / 2 + stats.norm(0.02, error).rvs(200_000, random_state=7) / 2
    shown = (end / (error / 2**0.5) > stats.norm.isf(0.025)).mean()
    assert found.power_left == pytest.approx(shown, abs=0.005)


@pytest.mark.parametrize("design", [ANY_DAY, TWO_LOOKS, FIXED], ids=lambda design: design.kind)
def test_power_left_is_that_of_the_bounds_to_come(design: Design) -> None:
    """From the sixth day on with three arms: paths with the minimum effect, held daily against what decides then."""
    one, today = experiment(design, arms=THREE), START + timedelta(days=5)
    rows = pd.concat([read_out(0.005), pd.DataFrame([row("rpu", "bold", -0.03)])])
    found = decide(one, today, {START: read_out(0.0), today: rows}, checks())
    error = 0.02 / stats.norm.isf(0.025)
    times = np.arange(6, 15) / 14
    steps = np.random.default_rng(5).normal(size=(100_000, 8)) / 14**0.5
    drift = 0.02 / (error * times[0] ** 0.5)
    b = 0.005 / error * times[0] ** 0.5 + (steps + drift / 14).cumsum(axis=1)
    days = [START + timedelta(days=n) for n in range(6, 14)]
    if design is FIXED:
        bounds = [np.inf] * 7 + [stats.norm.isf(0.025 / 2)]
    else:
        bounds = [critical(one, day, guards=False, tests=2) or np.inf for day in days]
    z = b / times[1:] ** 0.5
    won = [np.flatnonzero(path >= bounds) for path in z]
    lost = [np.flatnonzero(path <= -np.array(bounds)) for path in z]
    shown = np.mean([len(w) > 0 and not (len(x) and x[0] < w[0]) for w, x in zip(won, lost, strict=True)])
    assert found.power_left == pytest.approx(shown, abs=0.006)


def test_power_left_at_the_end_is_what_was_found() -> None:
    for lift, power in ((0.05, 1.0), (0.01, 0.0)):
        assert decide(experiment(), END, {END: read_out(lift)}, checks()).power_left == power
    adjusted = read_out(0.03, p_adjusted=0.06)
    assert decide(experiment(), END, {END: adjusted}, checks()).power_left == 0.0
    assert decide(experiment(ANY_DAY), START, {START: read_out(0.05)}, checks()).power_left == 1.0


def test_guardrails_are_told_on_either_side_and_where_nothing_is_known() -> None:
    for fixed in (True, False):
        assert guardrail_state(row("rpu", "new", 0.0), 0.05, fixed=fixed) == "holds"
        assert guardrail_state(row("rpu", "new", -0.09), 0.05, fixed=fixed) == "breached"
    assert guardrail_state(row("rpu", "new", -0.025), 0.05, fixed=True) == "holds"
    assert guardrail_state(row("rpu", "new", -0.025), 0.05, fixed=False) == "open"
    unknown = dict.fromkeys(("difference_low", "difference_high", "bound_low", "bound_high"))
    assert guardrail_state(row("rpu", "new") | unknown, 0.05, fixed=True) == "open"


def test_the_hash_follows_every_input_and_no_order_of_rows() -> None:
    one, rows = experiment(), read_out(0.05)
    first = inputs_hash(one, END, {END: rows}, checks())
    assert inputs_hash(one, END, {END: rows.iloc[::-1]}, checks()) == first
    others = [
        inputs_hash(experiment(alpha=0.01), END, {END: rows}, checks()),
        inputs_hash(one, END, {END: read_out(0.0500001)}, checks()),
        inputs_hash(one, END, {END: rows}, checks(False)),
        inputs_hash(one, END, {START: rows, END: rows}, checks()),
    ]
    assert len({first, *others}) == 5


def log(*entries: tuple[str, str, str]) -> pd.DataFrame:
    rows = [
        {"experiment_id": "e", "ds": START, "revision": n, "verdict": verdict, "rule": rule, "decided_by": by}
        for n, (verdict, rule, by) in enumerate(entries, 1)
    ]
    return pd.DataFrame(rows)


def test_what_a_person_decided_stands_until_it_is_withdrawn() -> None:
    entries = [("ship", "win", "rule"), ("stop", "override", "p-1"), ("invalid", "check", "rule")]
    assert standing(log(*entries))["verdict"].tolist() == ["stop"]
    entries.append(("invalid", "withdrawn", "p-2"))
    assert standing(log(*entries))["rule"].tolist() == ["check"]
    entries += [("ship", "override", "p-2")]
    assert standing(log(*entries))["decided_by"].tolist() == ["p-2"]
