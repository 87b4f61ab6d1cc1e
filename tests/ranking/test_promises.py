"""Probabilities are set right by what earlier lists promised and what came of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.ranking.promises import BANDS_PER_LOG, PRIOR, SEEN_ABOVE, Promises, Record, shape_of

CHANCES = st.floats(1e-6, 0.999)
PRICES = st.floats(0.01, 1e5)


def bands(*rows: tuple[int, float, int]) -> pd.DataFrame:
    found = pd.DataFrame(rows, columns=["price_band", "expected", "purchases"])
    return found.assign(expected_before=found["expected"], purchases_before=found["purchases"], model="m")


def promises_of(*rows: tuple[int, float, int]) -> Promises:
    return Promises.of(bands(*rows), shape_of(bands(*rows)))


def test_of_nothing_known_the_ranker_is_taken_at_its_word() -> None:
    for promises in (
        Promises(),
        promises_of(),
        Record.of(None).promises("hybrid", "m"),
        Record().promises("a", "b"),
    ):
        np.testing.assert_array_equal(promises.kept(np.array([0.2, 0.7]), np.array([1.0, 900.0])), [0.2, 0.7])


def test_a_kept_promise_changes_nothing_and_few_purchases_hardly_anything() -> None:
    kept = promises_of((3, 400, 400), (9, 250, 250))
    np.testing.assert_allclose(kept.ratio, 1.0)
    few = promises_of((3, 2, 0))
    assert 1 - 3 * 2 / PRIOR < few.ratio[0] < 1


def test_bands_of_much_are_set_right_by_themselves() -> None:
    promises = promises_of((3, 4000, 2000), (12, 3000, 6000))
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
    p = promises_of(*rows).kept(np.array([low, high]), np.array([price, price]))
    assert 0 < p[0] <= p[1] < 1


def test_every_policy_and_every_model_has_its_own() -> None:
    rows = bands((5, 100, 50), (5, 100, 100), (5, 100, 200)).assign(
        policy=["hybrid", "popularity", "hybrid"], model=["old", "old", "new"]
    )
    found = Record.of(rows)
    old, popular, new = (
        found.promises(*key).ratio[0] for key in (("hybrid", "old"), ("popularity", "old"), ("hybrid", "new"))
    )
    assert old < popular == 1.0 < new


def test_at_which_prices_promises_fail_is_learned_from_all_models_and_by_how_much_from_its_own() -> None:
    """Two models, one of which promises twice what the other does; both twice as much again of what is dear."""
    weeks = bands((3, 1000, 1000), (12, 1000, 500), (3, 2000, 1000), (12, 2000, 500))
    rows = weeks.assign(policy="hybrid", model=["a", "a", "b", "b"])
    rows[["expected", "purchases"]] = 0  # none of the last days
    record = Record.of(rows)
    fresh = record.promises("hybrid", "c")
    assert record.seen == {}
    assert fresh.ratio[0] / fresh.ratio[1] == pytest.approx(2.0, rel=0.02)
    assert fresh.ratio[0] == 1.0, "a new model is believed where nothing is dear"
    few = rows.iloc[:1].assign(
        model="c", expected=400.0, purchases=200, expected_before=400.0, purchases_before=200
    )
    known = Record.of(pd.concat([rows, few])).promises("hybrid", "c")
    assert known.ratio[1] < 0.6 * fresh.ratio[1], (
        "what its cheap listings brought says something of the dear ones"
    )


def test_the_fall_with_dearness_is_found_again() -> None:
    """Seven bands, and purchases as a fall of 0.15 of what is above the mean would make them."""
    band, expected = np.arange(4, 18, 2), np.array([500, 900, 800, 500, 250, 90, 30]) * 100.0
    log_price = (band + 0.5) / BANDS_PER_LOG
    true = np.exp(-0.15 * np.maximum(log_price - np.average(log_price, weights=expected), 0) ** 2)
    rows = bands(*zip(band.tolist(), expected.tolist(), (2 * expected * true).round().tolist(), strict=True))
    found = shape_of(rows)
    assert found.index.tolist() == band.tolist()
    np.testing.assert_allclose(found, true, atol=0.02)
    assert (found.diff().dropna() <= 0).all()


def test_what_one_model_promised_too_little_the_next_is_not_made_to_promise() -> None:
    """Cheap listings are a model's own affair, and dear ones that sold better than promised are too."""
    for ratio in ([3.0, 1.0, 1.0], [1.0, 1.0, 3.0]):
        shape = shape_of(
            bands(*((band, 1000.0, int(1000 * r)) for band, r in zip((3, 8, 13), ratio, strict=True)))
        )
        assert shape.max() == 1.0
        assert shape.iloc[1] > 0.9


def test_beyond_what_was_hardly_seen_a_price_says_no_more() -> None:
    seen = [(6, 1000.0, 1200), (12, 300.0, 150), (15, SEEN_ABOVE, 2)]
    known, beyond = shape_of(bands(*seen)), shape_of(bands(*seen, (40, SEEN_ABOVE / 50, 0)))
    assert beyond.loc[40] == beyond.loc[15]
    np.testing.assert_allclose(known, beyond.drop(40), rtol=0.01)


def test_where_nothing_was_bought_or_expected_no_price_is_dear() -> None:
    np.testing.assert_allclose(shape_of(bands((3, 0.0, 0), (9, 0.0, 0))), 1.0)
    assert shape_of(bands((3, 2.0, 0), (9, 1.0, 0))).between(0.99, 1.0).all()
    assert shape_of(bands()).empty
