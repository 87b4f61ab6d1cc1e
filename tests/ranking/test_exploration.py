"""Drawn places: the logged propensity is the frequency, and nothing but the user decides the draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ModelError
from recsys.ranking.exploration import EXPLORED, PINNED, RANKED, Exploration, Placed, chances, place
from recsys.ranking.rerank import NONE

LIST, RESERVE, POOL = 6, 5, 14
SCORE = np.array([10.0, 9, 8, 7, 6, 5, 4, 3, 3, 2, 2, 1, 0, 0])
SETTINGS = Exploration(places=(2, 5), breadth=8, greed=0.5)
NO_PINS = np.full(LIST, NONE)


def lists(users: int, pins: np.ndarray = NO_PINS, *, there: int = POOL, reserve: int = RESERVE) -> Placed:
    """``users`` who differ by nothing but their luck."""
    order = np.array([n for n in range(there) if n not in pins] + [NONE] * (POOL - there))
    return place(
        np.tile(order, (users, 1)),
        np.tile(SCORE, (users, 1)),
        chances(np.array([f"u{n}" for n in range(users)]), 2, 1, 20_000),
        np.tile(pins, (users, 1)),
        reserve_size=reserve,
        exploration=SETTINGS,
    )


def test_propensities_are_the_frequencies_of_a_simulation() -> None:
    users = 60_000
    found = lists(users)
    for at in range(LIST):
        shown, first, counts = np.unique(found.order[:, at], return_index=True, return_counts=True)
        logged = found.propensity[first, at]
        error = np.sqrt(logged * (1 - logged) / users)
        assert logged.sum() == pytest.approx(1.0)
        assert (np.abs(counts / users - logged) <= 4.5 * error + 1e-12).all(), (at, shown)
        for item, chance in zip(shown, logged, strict=True):  # one listing, one figure
            assert (found.propensity[found.order[:, at] == item, at] == chance).all()


def test_the_propensity_of_the_reserve_is_that_of_not_being_drawn() -> None:
    users = 60_000
    found = lists(users)
    shown, behind, odds = found.order[:, :LIST], found.order[:, LIST:], found.propensity[:, LIST:]
    for item in np.unique(behind):
        share = (shown != item).all(axis=1).mean()
        (logged,) = np.unique(odds[behind == item])
        assert abs(share - logged) <= 4.5 * np.sqrt(logged * (1 - logged) / users) + 1e-12


def test_only_the_places_named_are_drawn_and_the_others_keep_their_order() -> None:
    found = lists(500)
    assert (found.kind[:, [1, 4]] == EXPLORED).all()
    assert (np.delete(found.kind, [1, 4], axis=1) == RANKED).all()
    assert (found.order[:, [0, 2, 3, 5]] == [0, 1, 2, 3]).all()
    assert (found.propensity[:, [0, 2, 3, 5]] == 1).all()
    assert all(len(set(row)) == LIST + RESERVE for row in found.order)
    assert (np.diff(found.order[:, LIST:], axis=1) > 0).all()


def test_the_draw_hangs_on_the_user_and_the_day_and_on_nobody_else() -> None:
    ids = np.array(["a", "b", "c"])
    together = chances(ids, 10, 5, 20_000)
    np.testing.assert_array_equal(chances(ids[[1]], 10, 5, 20_000)[0], together[1])
    assert len(np.unique(together)) == 30
    assert not (chances(ids, 10, 5, 20_001) == together).any()
    assert not (chances(ids, 10, 6, 20_000) == together).any()
    assert ((together >= 0) & (together < 1)).all()


def test_what_a_rule_pins_stays_and_its_place_is_not_drawn() -> None:
    found = lists(200, np.array([NONE, 12, NONE, 3, NONE, NONE]))
    assert (found.order[:, 1] == 12).all()
    assert (found.order[:, 3] == 3).all()
    assert (found.kind[:, [1, 3]] == PINNED).all()
    assert (found.propensity[:, [1, 3]] == 1).all()
    assert (found.kind[:, 4] == EXPLORED).all()
    assert (found.order[:, [0, 2, 5]] == [0, 1, 2]).all()


@settings(deadline=None, max_examples=40)
@given(there=st.integers(0, POOL), reserve=st.integers(0, 8))
def test_a_list_has_no_gap_and_no_listing_twice(there: int, reserve: int) -> None:
    found = lists(20, np.array([NONE, NONE, 0, NONE, NONE, NONE]), there=there or 1, reserve=reserve)
    assert found.order.shape == (20, LIST + reserve)
    for row, kind, odds in zip(found.order, found.kind, found.propensity, strict=True):
        held = row[row != NONE]
        assert len(held) == len(set(held)) == min(max(there, 1), LIST + reserve)
        assert (row[: len(held)] != NONE).all()
        assert ((odds > 0) & (odds <= 1))[: len(held)].all()
        assert (EXPLORED in kind) == (there >= LIST)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"places": (3, 3)}, r"\(3, 3\)"),
        ({"places": (0,)}, r"\(0,\)"),
        ({"places": (1, 2), "breadth": 1}, "1 listings cannot fill 2"),
        ({"places": (1,), "greed": 1.0}, "greed is 1.0"),
    ],
)
def test_values_without_meaning_are_refused(values: dict[str, object], named: str) -> None:
    with pytest.raises(ModelError, match=named):
        Exploration(**values)  # type: ignore[arg-type]
