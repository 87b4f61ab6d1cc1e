"""Coverage, Gini, novelty and diversity worked out by hand."""

from __future__ import annotations

from math import log2

import numpy as np
import pandas as pd
import pytest

from recsys.evaluation.beyond import coverage, diversity, exposure, gini, novelty
from tests.evaluation.test_metrics import lists


def test_exposure_is_discounted_by_place_and_stops_at_k() -> None:
    shown = exposure(lists(u=["a", "b", "c"], v=["b", "x"]), pd.Index(["a", "b", "c", "d"]), k=2)
    np.testing.assert_allclose(shown, [1.0, 1.0 / log2(3) + 1.0, 0.0, 0.0])


def test_coverage_counts_what_is_on_the_shelf() -> None:
    assert coverage(lists(u=["a", "b"], v=["a", "gone"]), pd.Index(["a", "b", "c", "d"]), k=2) == 0.5
    assert coverage(lists(u=["a", "b"]), pd.Index(["a", "b", "c", "d"]), k=1) == 0.25
    assert coverage(lists(u=["a"]), pd.Index([]), k=1) == 0.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3, 3, 3], 0.0), ([0, 0, 0, 1], 0.75), ([1, 2, 3], 2 / 9), ([0, 0], 0.0), ([], 0.0)],
)
def test_gini_by_hand(values: list[float], expected: float) -> None:
    assert gini(np.array(values, dtype=float)) == pytest.approx(expected)


def test_gini_is_half_of_the_relative_mean_difference() -> None:
    values = np.random.default_rng(1).lognormal(size=50)
    differences = np.abs(values[:, None] - values[None, :]).mean()
    assert gini(values) == pytest.approx(differences / (2 * values.mean()))


def test_novelty_is_the_mean_self_information() -> None:
    found = novelty(lists(u=["common", "rare"]), pd.Series({"common": 3.0}), users=3, k=2)
    assert found == pytest.approx((0.0 + 2.0) / 2)  # -log2(4/4) and -log2(1/4)


def test_diversity_by_hand() -> None:
    traits = pd.DataFrame(
        {"category": ["x", "x", "y"], "brand": ["m", "n", None]}, index=pd.Index(["a", "b", "c"])
    )
    # a-b share the category of two traits; c shares nothing with either, its missing brand least of all
    assert diversity(lists(u=["a", "b", "c"]), traits, k=3) == pytest.approx((0.5 + 1.0 + 1.0) / 3)
    assert diversity(lists(u=["a", "b", "c"]), traits, k=2) == pytest.approx(0.5)
    assert diversity(lists(u=["a", "b"], v=["a", "c"]), traits, k=2) == pytest.approx(0.75)
    assert diversity(lists(u=["a"]), traits, k=2) == 0.0


def test_two_items_without_a_brand_are_not_alike() -> None:
    traits = pd.DataFrame({"brand": [None, None]}, index=pd.Index(["a", "b"]))
    assert diversity(lists(u=["a", "b"]), traits, k=2) == 1.0
