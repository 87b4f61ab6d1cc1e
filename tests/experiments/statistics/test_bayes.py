"""Posterior integrals against their closed form, exact fractions, adaptive quadrature and draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

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
    assert found["b"].expected_loss == pytest.approx(loss, rel=1e-9, abs=1e-14)  # the closed form cancels
    assert found["a"].expected_loss == pytest.approx(loss + gap, rel=1e-9, abs=1e-14)


COUNTS = st.integers(1, 80).flatmap(lambda units: st.tuples(st.just(units), st.integers(0, units)))
FEW = st.integers(1, 12).flatmap(lambda units: st.tuples(st.just(units), st.integers(0, units)))
DIRECTIONS = st.sampled_from(["up", "down"])


def shares(counts: list[tuple[int, int]]) -> dict[str, Estimate]:
    return {str(place): arm(x / units, 0, n=units) for place, (units, x) in enumerate(counts)}


def beta(a: int, b: int) -> Fraction:
    return Fraction(math.factorial(a - 1) * math.factorial(b - 1), math.factorial(a + b - 1))


def exceeds(first: tuple[int, int], second: tuple[int, int]) -> Fraction:
    """Chance that the second Beta variable is above the first: one expanded as the other's binomial tail."""
    (a, b), (c, d) = first, second
    total = sum(beta(a + i, b + d) / ((d + i) * beta(1 + i, d)) for i in range(c))
    return Fraction(total) / beta(a, b)


@settings(max_examples=40)
@given(COUNTS, COUNTS)
def test_two_proportions_equal_exact_sums(old: tuple[int, int], new: tuple[int, int]) -> None:
    (a, b), (c, d) = ((1 + x, 1 + units - x) for units, x in (old, new))
    chance = exceeds((a, b), (c, d))
    gained = Fraction(c, c + d) * exceeds((a, b), (c + 1, d)) - Fraction(a, a + b) * exceeds(
        (a + 1, b), (c, d)
    )
    lost = gained - Fraction(c, c + d) + Fraction(a, a + b)
    found = best_arm("proportion", shares([old, new]))
    assert found["1"].probability_best == pytest.approx(float(chance), rel=1e-9, abs=1e-18)
    assert found["0"].probability_best == pytest.approx(float(1 - chance), rel=1e-9, abs=1e-18)
    assert found["0"].expected_loss == pytest.approx(float(gained), rel=1e-9, abs=1e-18)
    assert found["1"].expected_loss == pytest.approx(float(lost), rel=1e-9, abs=1e-18)
    down = best_arm("proportion", shares([old, new]), direction="down")
    assert down["0"].expected_loss == pytest.approx(float(lost), rel=1e-9, abs=1e-18)
    assert down["1"].expected_loss == pytest.approx(float(gained), rel=1e-9, abs=1e-18)


Polynomial = list[Fraction]


def times(first: Polynomial, second: Polynomial) -> Polynomial:
    product = [Fraction(0)] * (len(first) + len(second) - 1)
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            product[i + j] += one * other
    return product


def integral(terms: Polynomial) -> Polynomial:
    return [Fraction(0), *(term / (power + 1) for power, term in enumerate(terms))]


def density(a: int, b: int) -> Polynomial:
    tail = [Fraction((-1) ** k * math.comb(b - 1, k)) / beta(a, b) for k in range(b)]
    return [Fraction(0)] * (a - 1) + tail


@settings(max_examples=30)
@given(st.lists(FEW, min_size=2, max_size=4), DIRECTIONS)
def test_several_proportions_equal_exact_polynomials(counts: list[tuple[int, int]], direction: str) -> None:
    """Beta densities of whole counts are polynomials; the least of shares is the most of what is left of 1."""
    ends = [(1 + x, 1 + units - x) for units, x in counts]
    ends = ends if direction == "up" else [(b, a) for a, b in ends]
    densities = [density(a, b) for a, b in ends]
    below = [integral(terms) for terms in densities]
    top = below[0]
    for terms in below[1:]:
        top = times(top, terms)
    most = 1 - sum(integral(top))
    found = best_arm("proportion", shares(counts), direction=direction)  # type: ignore[arg-type]
    for place, (a, b) in enumerate(ends):
        product = densities[place]
        for other, terms in enumerate(below):
            product = times(product, terms) if other != place else product
        arm_found = found[str(place)]
        assert arm_found.probability_best == pytest.approx(float(sum(integral(product))), rel=1e-9)
        assert arm_found.expected_loss == pytest.approx(float(most - Fraction(a, a + b)), rel=1e-9)


Arm = tuple[float, float, float]
STUDENTS = st.tuples(
    st.floats(-3, 3), st.floats(0.1, 3), st.one_of(st.floats(1, 60), st.sampled_from([3.0, 400.0]))
)


def student(x: float, mean: float, scale: float, degrees: float) -> tuple[float, float, float]:
    """Density, and chance below and above, with no fewer than 3 degrees of freedom."""
    v, z = max(degrees, 3.0), (x - mean) / scale
    constant = math.lgamma((v + 1) / 2) - math.lgamma(v / 2) - math.log(v * math.pi) / 2
    height = math.exp(constant - (v + 1) / 2 * math.log1p(z * z / v)) / scale
    return height, float(special.stdtr(v, z)), float(special.stdtr(v, -z))


def over_the_line(value: Callable[[float], float], arms: list[Arm]) -> float:
    """Adaptive quadrature of x = tan(u), in pieces about every arm."""
    near = {math.atan(mean + k * scale) for mean, scale, _ in arms for k in (-8, -3, -1, 0, 1, 3, 8)}
    ends = [-math.pi / 2, *sorted(near), math.pi / 2]
    return math.fsum(
        integrate.quad(
            lambda u: value(math.tan(u)) / math.cos(u) ** 2, low, high, epsabs=1e-17, epsrel=1e-11, limit=200
        )[0]
        for low, high in itertools.pairwise(ends)
    )


@settings(max_examples=20)
@given(st.lists(STUDENTS, min_size=2, max_size=3), DIRECTIONS)
def test_students_equal_adaptive_quadrature(arms: list[Arm], direction: str) -> None:
    known = {str(place): arm(m, s * s, v) for place, (m, s, v) in enumerate(arms)}
    found = best_arm("mean", known, direction=direction)  # type: ignore[arg-type]
    behind, ahead = (1, 2) if direction == "up" else (2, 1)
    for place, own in enumerate(arms):
        others = arms[:place] + arms[place + 1 :]

        def first(x: float, own: Arm = own, others: list[Arm] = others) -> float:
            return student(x, *own)[0] * math.prod(student(x, *other)[behind] for other in others)

        def missed(x: float, own: Arm = own, others: list[Arm] = others) -> float:
            """Chance that this arm is short of x and the best of the others is not."""
            one, *rest = [student(x, *other) for other in others]
            passed = one[ahead] + (one[behind] * rest[0][ahead] if rest else 0.0)
            return student(x, *own)[behind] * passed

        arm_found = found[str(place)]
        assert arm_found.probability_best == pytest.approx(over_the_line(first, arms), rel=1e-9, abs=1e-13)
        assert arm_found.expected_loss == pytest.approx(over_the_line(missed, arms), rel=1e-9, abs=1e-13)


def test_a_small_loss_keeps_its_digits() -> None:
    """A loss of 1e-12 beside means of 0.1 to 0.5, which a difference of expectations would lose."""
    counts = [(179, 7), (31, 15)]
    (a, b), (c, d) = ((1 + x, 1 + units - x) for units, x in counts)
    exact = Fraction(a, a + b) * exceeds((c, d), (a + 1, b)) - Fraction(c, c + d) * exceeds(
        (c + 1, d), (a, b)
    )
    found = best_arm("proportion", shares(counts))["1"].expected_loss
    assert 1e-13 < float(exact) < 1e-11
    assert found == pytest.approx(float(exact), rel=1e-9, abs=0)


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
