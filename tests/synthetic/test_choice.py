"""The second behaviour model: as lifelike as the first by public figures, and built differently where it says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import skew

from recsys.errors import SettingsError
from recsys.synthetic import State, compare, oracle_lists, preset, start, trending
from recsys.synthetic.behaviour import taste_of
from recsys.synthetic.draws import Draws
from recsys.synthetic.market import _best
from recsys.synthetic.taste import Clicks
from tests.synthetic.lived import Lived, everybody, live


@pytest.fixture(scope="module")
def world() -> Lived:
    return live(preset("small", users=800, seed=7, behaviour="choice"), 12)


@pytest.fixture(scope="module")
def morning(world: Lived) -> date:
    return world.state.ds + timedelta(days=1)


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        ("view", "impression", 0.03, 0.10),
        ("cart", "view", 0.05, 0.18),
        ("purchase", "view", 0.008, 0.05),
        ("purchase", "cart", 0.2, 0.5),
        ("cancel", "purchase", 0.01, 0.12),
    ],
)
def test_the_funnel_keeps_to_what_is_published(
    world: Lived, part: str, whole: str, low: float, high: float
) -> None:
    count = world.good["event_type"].value_counts()
    assert low < count[part] / count[whole] < high


def test_activity_has_a_power_tail_and_volumes_have_none(world: Lived, lived: Lived) -> None:
    assert skew(np.log(world.state.users["budget"])) > 1 > skew(np.log(lived.state.users["budget"]))
    assert skew(np.log(world.state.sellers["volume"])) < 0.7
    assert skew(np.log(lived.state.sellers["volume"])) > 0


def test_a_price_above_the_reference_hurts_more_than_one_below_pleases(world: Lived, morning: date) -> None:
    state, pairs = world.state, 400
    rng = np.random.default_rng(1)
    user = rng.integers(0, state.n_users, pairs)
    item = rng.choice(state.n_items, pairs, replace=False)
    level = taste_of(state, morning)._world.leaf_log_price[state.items["leaf"][item]]
    reference = np.exp(level + 0.8 * state.users["tier"][user])

    def desire(factor: float) -> np.ndarray:
        price = state.items["price"].copy()
        price[item] = factor * reference
        taste = taste_of(replace(state, items=state.items | {"price": price}), morning)
        return ndtri(taste.wish(user, item).click)

    middle, low, high = desire(1.0), desire(0.5), desire(2.0)
    np.testing.assert_allclose((middle - high) / (low - middle), 1.7, rtol=1e-6)


def test_the_chance_of_a_click_is_what_happens_when_nothing_competes(world: Lived, morning: date) -> None:
    state = world.state
    taste, rng = taste_of(state, morning), np.random.default_rng(2)
    user, item = rng.integers(0, state.n_users, 4_000), rng.integers(0, state.n_items, 4_000)
    wish = taste.wish(user, item)
    happened = [
        taste.clicks(Draws(1, morning, n), np.arange(4_000), user, item, wish).would.mean() for n in range(40)
    ]
    assert np.mean(happened) == pytest.approx(wish.click.mean(), abs=0.004)


def test_rows_of_a_page_compete() -> None:
    page = np.array([0, 0, 0, 1, 1])
    clicked = np.array([True, True, False, True, True])
    desire = np.array([1.0, 2.0, 3.0, 0.5, 0.4])
    best = _best(clicked, page, slice(0, 5), Clicks(clicked, desire, patience=np.array([1, 1, 1, 2, 2])))
    assert best.tolist() == [False, True, False, True, True]
    assert _best(clicked, page, slice(0, 5), Clicks(clicked)) is clicked


def test_reading_minds_pays_here_too(world: Lived, morning: date) -> None:
    popular = everybody(world.state, trending(world.state)["item_id"].to_numpy())
    lists = {"popularity": popular, "oracle": oracle_lists(world.state, morning)}
    truths = compare(world.state, morning, lists, 6)
    assert truths["oracle"].rpu.mean() > 2 * truths["popularity"].rpu.mean() > 0


def test_a_state_keeps_its_behaviour_and_the_first_one_is_not_named() -> None:
    other = start(preset("small", behaviour="choice"))
    assert State.from_bytes(other.to_bytes()).config.behaviour == "choice"
    first = start(preset("small"))
    assert b'"behaviour"' not in first.to_bytes()
    assert State.from_bytes(first.to_bytes()).config.behaviour == "logistic"


def test_an_unknown_behaviour_names_those_that_exist() -> None:
    with pytest.raises(SettingsError, match="logistic, choice"):
        preset("small", behaviour="rational")
