"""Switchbacks against a regression by statsmodels, and against a truth with effects of hours, regions and carry-over."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ExperimentError
from recsys.experiments.statistics import Cells, switchback

EFFECT = 0.5


def cells(
    rng: np.random.Generator,
    regions: int,
    windows: int,
    length: int = 4,
    *,
    effect: float = EFFECT,
    after: float = 0.0,
) -> Cells:
    """A switchback with a daily wave, regions of unlike level, and ``after`` of the effect one period past a change."""
    treated = np.repeat(rng.random((regions, windows)) < 0.5, length, axis=1)
    periods = treated.shape[1]
    late = np.roll(treated, 1, axis=1)
    late[:, 0] = treated[:, 0]
    felt = (1 - after) * treated + after * late
    level = rng.normal(10, 3, (regions, 1)) + 2 * np.sin(np.arange(periods) / 4)[None, :]
    units = rng.integers(5, 30, (regions, periods)).astype(float)
    noise = rng.normal(0, 1, (regions, periods)) + 0.5 * np.repeat(
        rng.normal(0, 1, (regions, windows)), length, axis=1
    )
    return Cells(
        treated,
        np.tile(np.repeat(np.arange(windows), length), (regions, 1)),
        units * (level + effect * felt + noise),
        units,
    )


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(3, 6), st.integers(4, 8), st.integers(0, 1))
def test_equal_a_weighted_regression_with_clustered_errors(
    seed: int, regions: int, windows: int, carryover: int
) -> None:
    given_cells = cells(np.random.default_rng(seed), regions, windows)
    found = switchback(given_cells, alpha=0.05, carryover=carryover)
    if found is None:  # by chance one arm may have no two windows
        return
    region, period = np.nonzero(given_cells.clean(carryover))
    units = given_cells.units[region, period]
    effects = [(region == r).astype(float) for r in np.unique(region)]
    effects += [(period == p).astype(float) for p in np.unique(period)[1:]]
    table = np.column_stack([given_cells.treated[region, period].astype(float), *effects])
    groups = region * 1000 + given_cells.window[region, period]
    fit = sm.WLS(given_cells.value[region, period] / units, table, weights=units).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    if (
        np.linalg.matrix_rank(table) < table.shape[1]
    ):  # statsmodels answers by a pseudo-inverse, and counts otherwise
        return
    assert found.difference == pytest.approx(fit.params[0], rel=1e-9, abs=1e-9)
    draws = len(np.unique(given_cells.window[region, period]))
    free = len(np.unique(groups)) - len(np.unique(region)) - draws
    assert found.degrees == free
    assert found.variance == pytest.approx(fit.bse[0] ** 2 * len(np.unique(groups)) / free, rel=1e-9)


def test_the_interval_covers_the_truth_over_draws() -> None:
    rng, found = np.random.default_rng(40), []
    for _ in range(600):
        one = switchback(cells(rng, 8, 14), alpha=0.05)
        assert one is not None
        found.append(one)
    assert 0.92 <= np.mean([one.low <= EFFECT <= one.high for one in found]) <= 0.98
    assert np.mean([one.difference for one in found]) == pytest.approx(EFFECT, abs=0.02)


def test_carry_over_biases_until_it_is_cut_away() -> None:
    rng, raw, cut = np.random.default_rng(41), [], []
    for _ in range(150):
        drawn = cells(rng, 8, 14, after=1.0)
        for carryover, kept in ((0, raw), (1, cut)):
            one = switchback(drawn, alpha=0.05, carryover=carryover)
            assert one is not None
            kept.append(one)
    assert np.mean([one.difference for one in raw]) < 0.9 * EFFECT
    assert np.mean([one.difference for one in cut]) == pytest.approx(EFFECT, abs=0.03)
    assert np.mean([one.low <= EFFECT <= one.high for one in cut]) > 0.9


def test_nothing_is_found_where_nothing_is() -> None:
    rng = np.random.default_rng(42)
    found = [switchback(cells(rng, 6, 12, effect=0.0), alpha=0.05) for _ in range(400)]
    assert np.mean([one is not None and one.p_value < 0.05 for one in found]) < 0.085


def test_relative_lift_is_against_the_level_of_control() -> None:
    given_cells = cells(np.random.default_rng(43), 8, 14)
    found = switchback(given_cells, alpha=0.05)
    assert found is not None and found.relative is not None
    assert found.relative_low is not None and found.relative_high is not None
    control = ~given_cells.treated
    level = given_cells.value[control].sum() / given_cells.units[control].sum()
    assert found.relative == pytest.approx(found.difference / level)
    assert found.relative_low < found.relative < found.relative_high


def test_cells_without_units_and_after_a_change_are_left_out() -> None:
    treated = np.array([[True, True, False, False], [False, False, False, False]])
    windows = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    units = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0]])
    given_cells = Cells(treated, windows, units, units)
    assert given_cells.clean(0).tolist() == [[True] * 4, [True, True, False, True]]
    assert given_cells.clean(1).tolist() == [[False, True, False, True], [False, True, False, True]]


def test_too_little_has_no_result() -> None:
    ones = np.ones((2, 4))
    one_arm = Cells(np.zeros((2, 4), dtype=bool), np.zeros((2, 4), dtype=int), ones, ones)
    assert switchback(one_arm, alpha=0.05) is None
    by_region = Cells(np.array([[True] * 4, [False] * 4]), np.tile(np.arange(4), (2, 1)), ones, ones)
    assert switchback(by_region, alpha=0.05) is None
    by_period = Cells(
        np.tile([True, False, True, False], (9, 1)),
        np.tile(np.arange(4), (9, 1)),
        np.ones((9, 4)),
        np.ones((9, 4)),
    )
    assert switchback(by_period, alpha=0.05) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": np.ones((2, 3))}, "regions x periods"),
        ({"value": np.full((2, 4), np.nan)}, "missing value"),
        ({"units": -np.ones((2, 4))}, "below 0"),
        ({"window": np.array([[1, 0, 0, 0]] * 2)}, "have to rise"),
        ({"treated": np.array([[True, False, True, False]] * 2)}, "inside of a window"),
    ],
)
def test_faulty_cells_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    fields = {
        "treated": np.zeros((2, 4), dtype=bool),
        "window": np.zeros((2, 4), dtype=int),
        "value": np.ones((2, 4)),
        "units": np.ones((2, 4)),
    }
    with pytest.raises(ExperimentError, match=message):
        Cells(**(fields | change))


def test_a_negative_carry_over_is_refused() -> None:
    with pytest.raises(ExperimentError, match="carryover is -1"):
        switchback(cells(np.random.default_rng(1), 3, 3), alpha=0.05, carryover=-1)
