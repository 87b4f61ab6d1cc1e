"""First places are worth what the true values at their places add up to, by users as much as they come."""

from __future__ import annotations

import numpy as np
import pytest

from bench.first_places import EXPONENT, PLACES, Evening


def evening(value: list[list[float]], weighs: list[float]) -> Evening:
    sizes = [len(mine) for mine in value]
    rows = np.repeat([3, 8], sizes)
    pairs = np.concatenate(value)
    numbers = np.arange(len(rows))
    return Evening(
        rows, np.zeros((len(rows), 1)), np.ones(len(rows)), pairs, np.repeat(weighs, sizes), rows, numbers
    )


def test_worth_by_hand() -> None:
    market = evening([[1.0, 4.0], [2.0]], [3.0, 1.0])
    second = 2**-EXPONENT
    assert market.worth(np.array([2.0, 1.0, 9.0])) == pytest.approx((3 * (1 + 4 * second) + 2) / 4)
    assert market.worth(np.array([1.0, 2.0, 0.0])) == pytest.approx((3 * (4 + second) + 2) / 4)


def test_what_stands_behind_the_first_places_is_worth_nothing() -> None:
    behind = evening([[0.0] * PLACES + [5.0], [0.0]], [1.0, 1.0])
    falling = -np.arange(PLACES + 2.0)
    assert behind.worth(falling) == 0
    assert behind.worth(-falling) > 0


def test_no_order_beats_the_true_one() -> None:
    rng = np.random.default_rng(1)
    market = evening([rng.random(40).tolist(), rng.random(30).tolist()], [1.0, 0.5])
    assert all(market.worth(rng.random(70)) < market.worth(market.value) for _ in range(50))
