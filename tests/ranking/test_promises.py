"""Probabilities are set right by what earlier lists promised and what came of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.ranking.promises import BANDS_PER_LOG, PRIOR, Promises, promises_of

CHANCES = st.floats(1e-6, 0.999)
PRICES = st.floats(0.01, 1e5)


def bands(*rows: tuple[int, float, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["price_band", "expected", "purchases"])


def test_of_nothing_known_the_ranker_is_taken_at_its_word() -> None:
    for promises in (Promises(), Promises.of(bands()), promises_of(None).get(("hybrid", "m"), Promises())):
        np.testing.assert_array_equal(promises.kept(np.array([0.2, 0.7]), np.array([1.0, 900.0])), [0.2, 0.7])


def test_a_kept_promise_changes_nothing_and_few_purchases_hardly_anything() -> None:
    kept = Promises.of(bands((3, 400, 400), (9, 250, 250)))
    np.testing.assert_allclose(kept.ratio, 1.0)
    few = Promises.of(bands((3, 2, 0)))
    assert 1 - 2 * 2 / PRIOR < few.ratio[0] < 1


def test_bands_of_much_are_set_right_by_themselves() -> None:
    promises = Promises.of(bands((3, 4000, 2000), (12, 3000, 6000)))
    np.testing.assert_allclose(promises.ratio, [0.5, 2.0], rtol=0.01)
    middles = np.exp((np.array([3, 12]) + 0.5) / BANDS_PER_LOG)
    small = np.array([1e-4, 1e-4])
    np.testing.assert_allclose(promises.kept(small, middles), small * [0.5, 2.0], rtol=0.01)
    between = promises.at(np.array([np.sqrt(middles.prod())]))
    assert between[0] == pytest.approx(1.0, rel=0.02), "straight in log between the bands"
    np.testing.assert_allclose(promises.at(np.array([0.01, 1e6])), promises.ratio)


@given(
    CHANCES, CHANCES, PRICES, st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1e4), st.integers(0, 9000)))
)
def test_it_stays_a_probability_and_keeps_the_order_at_a_price(
    one: float, other: float, price: float, rows: list[tuple[int, float, int]]
) -> None:
    low, high = sorted((one, other))
    p = Promises.of(bands(*rows)).kept(np.array([low, high]), np.array([price, price]))
    assert 0 < p[0] <= p[1] < 1


def test_every_policy_and_every_model_has_its_own() -> None:
    rows = bands((5, 100, 50), (5, 100, 100), (5, 100, 200)).assign(
        policy=["hybrid", "popularity", "hybrid"], model=["old", "old", "new"]
    )
    found = promises_of(rows)
    old, popular, new = (
        found[key].ratio[0] for key in (("hybrid", "old"), ("popularity", "old"), ("hybrid", "new"))
    )
    assert old < popular == 1.0 < new
