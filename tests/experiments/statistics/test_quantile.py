"""Quantiles against numpy, and their bootstrap against one that really resamples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics.quantile import Values, compare_quantiles

QUANTILES = st.sampled_from([0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), QUANTILES)
def test_quantiles_equal_numpy(values: list[float], q: float) -> None:
    assert Values.of(values).quantile(q) == pytest.approx(np.quantile(values, q), rel=1e-9, abs=1e-9)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5]), st.integers(0, 5)), min_size=1, max_size=9),
    QUANTILES,
)
def test_counts_serve_as_values_do(rows: list[tuple[float, int]], q: float) -> None:
    values, counts = zip(*rows, strict=True)
    if sum(counts):
        found = Values.from_counts(values, counts)
        assert found.units == sum(counts)
        assert found.quantile(q) == pytest.approx(np.quantile(np.repeat(values, counts), q))


@pytest.mark.parametrize("q", [0.05, 0.5, 0.9])
def test_it_resamples_without_resampling(q: float) -> None:
    rng = np.random.default_rng(8)
    values = rng.lognormal(0, 1, 301)
    found = Values.of(values).resampled(q, rng, 4_000)
    resampled = np.quantile(rng.choice(values, (4_000, 301)), q, axis=1)
    assert stats.ks_2samp(found, resampled).pvalue > 0.001
    assert found.std() == pytest.approx(resampled.std(), rel=0.08)


def smallest_reaching(ordered: list[float], share: float) -> float:
    """The quantile function of plain values: the first of them that so large a share does not pass."""
    return next((x for place, x in enumerate(ordered, 1) if place / len(ordered) >= share), ordered[-1])


def slow_quantile(ordered: list[float], q: float) -> float:
    place = (len(ordered) - 1) * q
    low = ordered[math.floor(place)]
    return low + (ordered[math.ceil(place)] - low) * (place - math.floor(place))


def slow_shrinkage(ordered: list[float], q: float, units: int) -> float:
    """What deviations are divided by, for ``units`` units: the root of 1 + 1 / (sqrt(pi) n s), or 1 for lumps.

    Values are smooth where the quantile function leaves ten or more of them for the next within s of q.
    """
    n, s = len(ordered), math.sqrt(q * (1 - q) / units)
    left_at = [
        place / n for place, (x, y) in enumerate(itertools.pairwise(ordered), 1) if x != y
    ]  # a value's place is the share of the units up to it
    smooth = sum(q - s <= share < q + s for share in left_at) >= 10
    return math.sqrt(1 + 1 / (math.sqrt(math.pi) * n * s)) if smooth else 1.0


def slow_replicates(values: np.ndarray, q: float, rng: np.random.Generator, count: int) -> list[float]:
    """Order statistics of n uniforms by Beta variables: the upper, and the lower as a share of the upper."""
    ordered = sorted(values.tolist())
    n, centre = len(ordered), slow_quantile(ordered, q)
    place = (n - 1) * q
    rank = math.floor(place) + 1
    if rank < n:
        uppers = rng.beta(rank + 1, n - rank, count).tolist()
        lowers = [upper * part for upper, part in zip(uppers, rng.beta(rank, 1, count).tolist(), strict=True)]
    else:
        uppers = lowers = rng.beta(n, 1, count).tolist()
    shrink, found = slow_shrinkage(ordered, q, n), []
    for lower, upper in zip(lowers, uppers, strict=True):
        low, high = smallest_reaching(ordered, lower), smallest_reaching(ordered, upper)
        found.append(centre + (low + (high - low) * (place - math.floor(place)) - centre) / shrink)
    return found


KINDS = st.sampled_from(["smooth", "lumps", "zeros"])


def drawn(kind: str, rng: np.random.Generator, units: int) -> np.ndarray:
    values = rng.lognormal(1, 1, units)
    return {"smooth": values, "lumps": np.ceil(values), "zeros": values * (rng.random(units) < 0.7)}[kind]


@settings(max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    KINDS,
    st.tuples(st.integers(2, 400), st.integers(2, 400)),
    st.sampled_from([0.01, 0.25, 0.5, 0.9, 0.99]) | st.floats(0.02, 0.98),
    st.sampled_from([0.05, 0.2]),
)
def test_the_bootstrap_equals_a_slow_one_of_the_same_draws(
    seed: int, kind: str, sizes: tuple[int, int], q: float, alpha: float
) -> None:
    rng, count = np.random.default_rng(seed), 60
    old, new = drawn(kind, rng, sizes[0]), 1.2 * drawn(kind, rng, sizes[1])
    found = compare_quantiles(
        Values.of(old), Values.of(new), q, alpha=alpha, rng=np.random.default_rng(seed), replicates=count
    )
    if min(sizes) * min(q, 1 - q) < 2:
        assert found is None
        return
    again = np.random.default_rng(seed)
    before, after = (slow_replicates(values, q, again, count) for values in (old, new))
    steps = sorted(second - first for first, second in zip(before, after, strict=True))
    low, high = (slow_quantile(steps, share) for share in (alpha / 2, 1 - alpha / 2))
    scale, middle = max(map(abs, before + after)), math.fsum(steps) / count
    assert found is not None
    assert found.method == f"bootstrap of the {q:.10g} quantile, percentile"
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-13 * scale)
    assert found.difference == pytest.approx(
        slow_quantile(sorted(new), q) - slow_quantile(sorted(old), q), rel=1e-9, abs=1e-13 * scale
    )
    spread = math.fsum((step - middle) ** 2 for step in steps) / (count - 1)
    assert found.variance == pytest.approx(spread, rel=1e-9, abs=1e-26 * scale**2)
    if all(abs(step) > 1e-12 * scale for step in steps):
        tail = min(sum(step < 0 for step in steps), sum(step > 0 for step in steps))
        assert found.p_value == pytest.approx(min(1.0, 2 * (tail + 1) / (count + 1)), rel=1e-9)
    if all(value > 0 for value in before):
        lifts = sorted(second / first for first, second in zip(before, after, strict=True))
        ends = [slow_quantile(lifts, share) - 1 for share in (alpha / 2, 1 - alpha / 2)]
        assert [found.relative_low, found.relative_high] == pytest.approx(ends, rel=1e-9, abs=1e-12)


def test_the_slow_bootstrap_meets_smooth_values_and_lumps() -> None:
    rng = np.random.default_rng(14)
    smooth, lumps = (sorted(drawn(kind, rng, 400).tolist()) for kind in ("smooth", "lumps"))
    spread = math.sqrt(0.25 / 400)
    expected = math.sqrt(1 + 1 / (math.sqrt(math.pi) * 400 * spread))
    assert slow_shrinkage(smooth, 0.5, 400) == pytest.approx(expected, rel=1e-12)
    assert slow_shrinkage(lumps, 0.5, 400) == 1.0


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), KINDS, st.integers(2, 200), st.floats(0.05, 0.95), st.integers(2, 2000))
def test_standard_errors_equal_slow_ones(seed: int, kind: str, n: int, q: float, units: int) -> None:
    """Over 2,000 evenly spaced points of the order statistic's distribution, by the inverse incomplete beta."""
    values = drawn(kind, np.random.default_rng(seed), n)
    ordered = sorted(values.tolist())
    rank = min(math.floor((units - 1) * q + 0.5) + 1, units)
    points = special.betaincinv(rank, units - rank + 1, (np.arange(2_000) + 0.5) / 2_000).tolist()
    reached = [smallest_reaching(ordered, point) for point in points]
    middle = math.fsum(reached) / 2_000
    rough = math.sqrt(math.fsum((x - middle) ** 2 for x in reached) / 2_000)
    found = Values.of(values).standard_error(q, units)
    expected = rough / slow_shrinkage(ordered, q, units)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-13 * max(ordered))


@pytest.mark.parametrize(("q", "units"), [(0.5, 400), (0.9, 1_000)])
def test_replicates_spread_as_quantiles_of_samples_do(q: float, units: int) -> None:
    rng = np.random.default_rng(10)
    samples = [Values.of(rng.lognormal(3, 1, units)) for _ in range(2_500)]
    found = np.mean([sample.replicates(q, rng, 200).var(ddof=1) for sample in samples])
    rough = np.mean([sample.resampled(q, rng, 200).var(ddof=1) for sample in samples])
    true = np.concatenate(
        [np.quantile(rng.lognormal(3, 1, (1_000, units)), q, axis=1) for _ in range(20)]
    ).var()
    assert abs(found - true) < 0.6 * abs(rough - true)
    assert found == pytest.approx(true, rel=0.04)


def test_lumps_stay_where_they_are() -> None:
    values = Values.of(np.random.default_rng(11).poisson(4, 4_001))
    assert set(values.replicates(0.5, np.random.default_rng(12))) <= set(values.values)


def test_the_interval_covers_and_the_test_holds_its_level() -> None:
    rng, covered, rejected = np.random.default_rng(9), 0, 0
    true = np.exp(stats.norm.ppf(0.9)) * 0.2
    for _ in range(400):
        old, new = rng.lognormal(0, 1, 400), 1.2 * rng.lognormal(0, 1, 300)
        found = compare_quantiles(Values.of(old), Values.of(new), 0.9, alpha=0.05, rng=rng, replicates=1_000)
        same = compare_quantiles(
            Values.of(old), Values.of(new / 1.2), 0.9, alpha=0.05, rng=rng, replicates=1_000
        )
        assert found is not None and same is not None
        covered += found.low <= true <= found.high
        rejected += same.p_value < 0.05
    assert 0.92 <= covered / 400 <= 0.98
    assert 0.02 <= rejected / 400 <= 0.08


def test_relative_lift_has_its_interval() -> None:
    rng = np.random.default_rng(10)
    old, new = Values.of(rng.lognormal(0, 1, 2_000)), Values.of(1.3 * rng.lognormal(0, 1, 2_000))
    found = compare_quantiles(old, new, 0.5, alpha=0.05, rng=rng)
    assert found is not None and found.relative_low is not None and found.relative_high is not None
    assert found.relative_low < 0.3 < found.relative_high
    assert found.relative == pytest.approx(new.quantile(0.5) / old.quantile(0.5) - 1)
    assert (found.low > 0) == (found.relative_low > 0)


def test_the_same_seed_gives_the_same_result() -> None:
    arms = Values.of([1.0, 2.0, 5.0]), Values.of([2.0, 2.0, 9.0])
    first, again = (compare_quantiles(*arms, 0.5, alpha=0.05, rng=np.random.default_rng(1)) for _ in range(2))
    assert first == again


def test_most_zeros_have_no_relative_lift() -> None:
    arms = Values.of([0.0] * 9 + [1.0]), Values.of([0.0] * 9 + [2.0])
    found = compare_quantiles(*arms, 0.5, alpha=0.05, rng=np.random.default_rng(1))
    assert found is not None
    assert (found.difference, found.p_value, found.relative) == (0.0, 1.0, None)


def test_what_cannot_be_compared_is_named() -> None:
    rng = np.random.default_rng(1)
    assert compare_quantiles(Values.of([1.0]), Values.of([1.0, 2.0]), 0.5, alpha=0.05, rng=rng) is None
    with pytest.raises(ExperimentError, match="quantile is 90"):
        compare_quantiles(Values.of([1.0, 2.0]), Values.of([1.0, 2.0]), 90, alpha=0.05, rng=rng)
    with pytest.raises(ExperimentError, match="missing or infinite"):
        Values.of([1.0, np.nan])
    with pytest.raises(ExperimentError, match="-1 units"):
        Values.from_counts([1.0], [-1])
    for nothing in (Values.of([]), Values.from_counts([1.0], [0])):
        for ask in (
            lambda values: values.quantile(0.9),
            lambda values: values.replicates(0.9, rng),
            lambda values: values.standard_error(0.9, 100),
        ):
            with pytest.raises(ExperimentError, match="No unit has a value"):
                ask(nothing)


@pytest.mark.parametrize(("q", "least"), [(0.5, 4), (0.9, 20), (0.99, 200), (0.999, 2_000), (0.1, 20)])
def test_no_interval_is_given_where_hardly_a_unit_lies_beyond_the_quantile(q: float, least: int) -> None:
    enough, too_few = Values.of(range(least)), Values.of(range(least - 1))
    rng = np.random.default_rng(1)
    assert compare_quantiles(enough, enough, q, alpha=0.05, rng=rng) is not None
    for pair in ((enough, too_few), (too_few, enough)):
        assert compare_quantiles(*pair, q, alpha=0.05, rng=rng) is None


@pytest.mark.parametrize(("q", "units"), [(0.5, 4), (0.9, 20), (0.99, 200), (0.999, 2_000)])
def test_the_fewest_units_that_get_an_interval_keep_the_error_rate(q: float, units: int) -> None:
    rng, runs = np.random.default_rng(3), 1_000
    found = [
        compare_quantiles(
            *(Values.of(rng.lognormal(1, 1, units)) for _ in range(2)),
            q,
            alpha=0.05,
            rng=rng,
            replicates=1_000,
        )
        for _ in range(runs)
    ]
    assert (
        np.mean([one is not None and one.p_value < 0.05 for one in found])
        < 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
    )


@pytest.mark.parametrize(("kind", "lumpy"), [("smooth", False), ("lumps", True)])
def test_whole_hours_are_lumps(kind: str, lumpy: bool) -> None:
    assert Values.of(drawn(kind, np.random.default_rng(2), 4_000)).is_lumpy(0.5) is lumpy
