"""Posterior integrals against their closed form and against draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics import Estimate, best_arm

INF = float("inf")


def arm(mean: float, variance: float, degrees: float = INF, n: int = 1000) -> Estimate:
    return Estimate(n, mean, mean, mean, variance, degrees)


@given(st.floats(-5, 5), st.floats(0.01, 4), st.floats(0.01, 4))
def test_two_normals_equal_the_closed_form(gap: float, first: float, second: float) -> None:
    found = best_arm("mean", {"a": arm(1.0, first), "b": arm(1.0 + gap, second)})
    spread = np.sqrt(first + second)
    chance = stats.norm.cdf(gap / spread)
    loss = spread * stats.norm.pdf(gap / spread) - gap * (1 - chance)
    assert found["b"].probability_best == pytest.approx(chance, rel=1e-9)
    assert found["b"].expected_loss == pytest.approx(loss, rel=1e-9, abs=1e-9)
    assert found["a"].expected_loss == pytest.approx(loss + gap, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize(
    ("kind", "arms"),
    [
        ("mean", {"a": arm(1, 0.0025, 50), "b": arm(1.1, 1e-8, 50), "c": arm(1.05, 0.09, 5)}),
        ("proportion", {"a": arm(0.05, 0, n=1000), "b": arm(0.06, 0, n=3000), "c": arm(0.0, 0, n=20)}),
    ],
)
def test_three_arms_equal_draws(kind: str, arms: dict[str, Estimate], direction: str) -> None:
    rng, sign, size = np.random.default_rng(12), 1 if direction == "up" else -1, 400_000
    if kind == "mean":
        drawn = [a.mean + a.variance**0.5 * rng.standard_t(a.degrees, size) for a in arms.values()]
    else:
        drawn = [rng.beta(1 + a.mean * a.n, 1 + a.n - a.mean * a.n, size) for a in arms.values()]
    values = sign * np.array(drawn)
    found = best_arm(kind, arms, direction=direction)  # type: ignore[arg-type]
    chances = np.bincount(values.argmax(axis=0), minlength=3) / size
    losses = (values.max(axis=0) - values).mean(axis=1)
    assert [f.probability_best for f in found.values()] == pytest.approx(chances, abs=0.003)
    assert [f.expected_loss for f in found.values()] == pytest.approx(losses, abs=0.003)


def test_arms_without_variance_are_points() -> None:
    found = best_arm("mean", {"a": arm(1.0, 0.0), "b": arm(2.0, 0.0)})
    assert found["b"].probability_best == pytest.approx(1.0)
    assert found["a"].expected_loss == pytest.approx(1.0)
    assert best_arm("mean", {"a": arm(1.0, 0.1, 1)})["a"].probability_best == pytest.approx(1.0)


def test_no_arm_is_refused() -> None:
    with pytest.raises(ExperimentError, match="at least one"):
        best_arm("mean", {})
