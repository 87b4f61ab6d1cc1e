"""Bootstrap intervals: against known formulas, and how often they hold a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from recsys.errors import ModelError
from recsys.evaluation.bootstrap import intervals


def test_symmetric_values_give_about_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, (400, 1))
    half = 1.96 * values.std() / np.sqrt(400)
    for method in ("percentile", "bca"):
        found = intervals(values, seed=2, method=method)
        assert found.value[0] == pytest.approx(values.mean())
        assert found.low[0] == pytest.approx(values.mean() - half, abs=0.25 * half)
        assert found.high[0] == pytest.approx(values.mean() + half, abs=0.25 * half)


def test_bca_agrees_with_scipy_on_skewed_values() -> None:
    values = np.random.default_rng(3).lognormal(0.0, 1.2, 120)
    theirs = bootstrap((values,), np.mean, n_resamples=9_999, method="BCa", rng=np.random.default_rng(4))
    ours = intervals(values[:, None], seed=5, draws=9_999)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.low[0] == pytest.approx(theirs.confidence_interval.low, abs=0.05 * width)
    assert ours.high[0] == pytest.approx(theirs.confidence_interval.high, abs=0.05 * width)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_the_truth_lies_inside_at_about_the_stated_rate(method: str) -> None:
    rng, inside = np.random.default_rng(6), []
    for trial in range(300):
        found = intervals(rng.exponential(1.0, (60, 1)), seed=trial, draws=400, method=method)
        inside.append(found.low[0] <= 1.0 <= found.high[0])
    assert 0.89 <= np.mean(inside) <= 0.98


def test_rows_of_one_user_are_drawn_together() -> None:
    rng = np.random.default_rng(7)
    taste = rng.normal(size=(50, 1))
    alone = intervals(taste, seed=1)
    rows, users = np.repeat(taste, 20, axis=0), np.repeat(np.arange(50), 20)
    together = intervals(rows, seed=1, users=users)
    as_if_apart = intervals(rows, seed=1)
    assert together.high[0] - together.low[0] == pytest.approx(alone.high[0] - alone.low[0])
    assert as_if_apart.high[0] - as_if_apart.low[0] < 0.4 * (alone.high[0] - alone.low[0])


def test_weights_enter_the_mean() -> None:
    found = intervals(np.array([[1.0], [5.0]]), seed=1, weights=np.array([3.0, 1.0]))
    assert found.value[0] == 2.0


def test_metrics_are_drawn_alike_and_one_that_never_varies_has_no_width() -> None:
    values = np.random.default_rng(8).normal(size=(30, 1))
    both = intervals(np.hstack([values, 2 * values, np.full_like(values, 0.1)]), seed=9)
    assert both.low[1] == pytest.approx(2 * both.low[0])
    assert both.low[2] == both.high[2] == pytest.approx(0.1)
    again = intervals(values, seed=9)
    assert again.low[0] == both.low[0]
    assert intervals(values, seed=10).low[0] != both.low[0]


def test_one_user_and_none() -> None:
    assert intervals(np.array([[3.0]]), seed=1).low[0] == 3.0
    with pytest.raises(ModelError, match="at least one user"):
        intervals(np.empty((0, 2)), seed=1)
    with pytest.raises(ModelError, match="'jack'"):
        intervals(np.array([[3.0]]), seed=1, method="jack")
