"""Buckets and arms: published fingerprints, weights, stability."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from scipy import stats

from recsys.experiments.assignment import BUCKETS, assign, buckets
from recsys.experiments.definition import Arm, Experiment
from recsys.warehouse.functions import farm_fingerprint

UNITS = [f"u{i:06d}" for i in range(20_000)]


def experiment(*weights: float, salt: str = "salt_1") -> Experiment:
    arms = tuple(Arm(f"arm{i}", "hybrid", weight) for i, weight in enumerate(weights))
    return Experiment("e", "h", "user", salt, date(2026, 1, 1), None, "arm0", arms, 0.05)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1footrue", -1541654101129638711),
        ("2applefalse", 2794438866806483259),
        ("3true", -4880158226897771312),
    ],
)
def test_fingerprint_gives_the_published_values(text: str, value: int) -> None:
    assert farm_fingerprint(text) == value


def test_bucket_takes_mod_before_abs() -> None:
    value = farm_fingerprint("s:u1")
    expected = abs(value) % BUCKETS  # Python's abs has no overflow, and |x| mod n = |x mod_sql n|
    assert buckets("s", ["u1"]).tolist() == [expected]


def test_buckets_are_uniform() -> None:
    counts = np.bincount(buckets("salt_1", UNITS) // 100, minlength=100)
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.1, 0.9), (0.2, 0.3, 0.5), (0.0, 1.0)])
def test_arms_get_their_weights(weights: tuple[float, ...]) -> None:
    arms, bucket = assign(experiment(*weights), UNITS)
    for i, weight in enumerate(weights):
        assert (arms == f"arm{i}").mean() == pytest.approx(weight, abs=0.015)
    assert bucket.min() >= 0
    assert bucket.max() < BUCKETS


def test_two_experiments_are_independent() -> None:
    one, _ = assign(experiment(0.5, 0.5, salt="a"), UNITS)
    two, _ = assign(experiment(0.5, 0.5, salt="b"), UNITS)
    table = [[int(((one == x) & (two == y)).sum()) for y in ("arm0", "arm1")] for x in ("arm0", "arm1")]
    assert stats.chi2_contingency(table).pvalue > 0.001


def test_arm_does_not_depend_on_who_else_is_there() -> None:
    alone, _ = assign(experiment(0.5, 0.5), [UNITS[7]])
    together, _ = assign(experiment(0.5, 0.5), UNITS)
    assert alone[0] == together[7]
