from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import TTestIndPower

from recsys.errors import ExperimentError
from recsys.experiments.analysis.values import Values
from recsys.experiments.planning import (
    Terms,
    history_of,
    known_mean,
    known_rate,
    needed,
    reached,
    smallest,
    terms,
)
from recsys.experiments.simulation import Setting, play, resample

FIXED = terms(None, None, alpha=0.05, target=0.8, design="fixed", looks=1)
ROWS = np.random.default_rng(1).lognormal(0, 1.5, (4000, 1))


def asked(**changes: object) -> Terms:
    return terms(
        **(
            {"weights": None, "control": None, "alpha": 0.05, "target": 0.8, "design": "fixed", "looks": 7}
            | changes
        )
    )  # type: ignore[arg-type]


def of_mean(
    rows: np.ndarray, kind: str = "mean", quantile: float | None = None, cuped: bool = False
) -> Values:
    return Values("x", kind, rows, np.zeros(len(rows), dtype=np.int64), cuped, quantile, ())


def test_a_mean_needs_the_units_of_a_two_sample_t_test() -> None:
    # The standard deviation that is given is that of both arms.
    plan = needed(known_mean(10.0, 20.0), 0.02, FIXED)
    textbook = 2 * TTestIndPower().solve_power(0.2 / 20.0, alpha=0.05, power=0.8)
    assert plan.units == pytest.approx(textbook, rel=1e-5)
    assert needed(known_mean(3.2, 12.0), 0.02, FIXED).units == pytest.approx(1_103_748, abs=4)
    assert plan.power >= 0.8 > reached(known_mean(10.0, 20.0), 0.02, int(plan.units * 0.99), FIXED).power


def test_the_control_is_found_as_in_a_comparison() -> None:
    assert asked(weights={"new": 1.0, "Control": 3.0}).control == "Control"
    assert asked(weights={"0": 1.0, "1": 1.0}, control="1.0").control == "1"
    assert asked(weights={"x": 1.0, "y": 1.0}).control == "x"


def test_units_and_effect_answer_each_other() -> None:
    history = known_rate(0.04)
    plan = needed(history, 0.1, FIXED)
    assert smallest(history, plan.units, FIXED).effect == pytest.approx(0.1, rel=1e-3)


def test_more_arms_and_more_looks_need_more_units() -> None:
    history = known_mean(3.0, 9.0)
    two = needed(history, 0.05, FIXED).units
    three = needed(history, 0.05, asked(weights={"c": 1, "a": 1, "b": 1}))
    assert three.units > 1.5 * two and set(three.units_by_arm) == {"c", "a", "b"}
    assert sum(three.units_by_arm.values()) == pytest.approx(three.units, abs=2)
    small = needed(history, 0.05, asked(weights={"c": 9, "a": 1}))
    assert small.units == pytest.approx(two * 0.25 / 0.09, rel=0.1)
    looks = {
        design: needed(history, 0.05, asked(design=design)).units
        for design in ("obrien_fleming", "pocock", "always_valid")
    }
    assert two < looks["obrien_fleming"] < looks["pocock"] < looks["always_valid"]


def test_the_power_promised_is_the_power_found() -> None:
    """A heavy tail, a quantile and a winsorised mean, each played on the units it was planned on."""
    rng = np.random.default_rng(2)
    for kind, quantile, cap, effect in (("mean", None, 0.98, 0.35), ("quantile", 0.5, None, 0.4)):
        plan = needed(history_of(of_mean(ROWS, kind, quantile), cap), effect, FIXED)
        arms = plan.units_by_arm["control"], plan.units_by_arm["treatment"]
        setting = Setting(kind, arms, effect, winsorise=cap, quantile=quantile)
        played = play(resample(ROWS), setting, 200, rng)
        assert played.rejected == pytest.approx(0.8, abs=4 * played.monte_carlo_error(0.8)), kind


def test_a_covariate_saves_the_units_that_its_correlation_says() -> None:
    before = np.random.default_rng(3).normal(10, 1, 50_000)
    rows = np.column_stack([before + np.random.default_rng(4).normal(0, 1, 50_000), before])
    plain, adjusted = (needed(history_of(of_mean(rows, cuped=on)), 0.01, FIXED).units for on in (False, True))
    assert adjusted / plain == pytest.approx(1 - np.corrcoef(rows.T)[0, 1] ** 2, rel=0.02)


def test_a_covariate_is_winsorised_in_the_plan_as_in_the_test() -> None:
    rng = np.random.default_rng(5)
    taste = rng.normal(size=20_000)
    rows = np.column_stack([np.exp(taste + rng.normal(0, 1.2, 20_000)) for _ in range(2)])
    capped = np.minimum(rows, np.quantile(rows, 0.95, axis=0, method="inverted_cdf"))
    planned = history_of(of_mean(rows, cuped=True), 0.95).expected(0.0, 500, 500).error
    assert planned == pytest.approx(history_of(of_mean(capped, cuped=True)).expected(0.0, 500, 500).error)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weights": {"a": 1.0}}, "at least one other arm need a share"),
        ({"weights": {"a": 1.0, "b": 0.0}}, "at least one other arm"),
        ({"control": "x"}, "The control 'x'"),
        ({"design": "daily"}, "The design 'daily' is unknown; choose one of fixed"),
        ({"alpha": 0.0}, "alpha is 0"),
        ({"target": 1.0}, "power is 1"),
        ({"looks": 0}, "0 looks"),
        ({"looks": 101, "design": "pocock"}, "101 looks cannot be planned; give 1 to 100"),
    ],
)
def test_terms_that_cannot_be_kept(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        asked(**changes)


def test_figures_that_cannot_be_planned() -> None:
    for mean, spread in ((0.0, 1.0), (1.0, 0.0), (1.0, -1.0), (float("nan"), 1.0)):
        with pytest.raises(ExperimentError, match="cannot be planned"):
            known_mean(mean, spread)
    for rate in (0.0, 1.0, 1.2):
        with pytest.raises(ExperimentError, match="lie between 0 and 1"):
            known_rate(rate)
