from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from recsys.synthetic import State, play
from recsys.synthetic.draws import Draws
from recsys.synthetic.follows import chance, fans, follower_rows, shelves_of, suit
from recsys.synthetic.state import NEVER
from recsys.synthetic.visits import BROWSE
from recsys.synthetic.visits import numbers_of as numbers
from tests.synthetic.lived import Lived


def test_the_state_and_the_events_tell_of_the_same_follows_each_once(lived: Lived) -> None:
    follows, state = lived.state.follows, lived.state
    pairs = set(zip(follows["user"].tolist(), state.sellers["user"][follows["seller"]].tolist(), strict=True))
    assert len(pairs) == len(follows["user"]) > 40
    assert all(user != seller for user, seller in pairs)
    events = lived.good[lived.good["event_type"] == "follow"]
    told = list(zip(numbers(events["user_id"]), numbers(events["seller_id"]), strict=True))
    assert len(told) == len(set(told)) and set(told) <= pairs
    assert len(told) > 0.9 * len(pairs)


def test_who_follows_a_seller_likes_the_shelf_better_than_who_only_looked(lived: Lived) -> None:
    state, good = lived.state, lived.good
    shelves = shelves_of(state)
    mean = {}
    for kind in ("follow", "like"):
        events = good[good["event_type"] == kind]
        user, item = numbers(events["user_id"]), numbers(events["item_id"])
        seller = state.items["seller"][item]
        shown = shelves.count[seller] > 0
        mean[kind] = suit(state, shelves, user[shown], seller[shown]).mean()
    assert mean["follow"] > mean["like"] + 0.1


def test_the_chance_rises_with_suit_and_falls_with_cancellations(lived: Lived) -> None:
    state, shelves = lived.state, shelves_of(lived.state)
    sellers = np.arange(len(state.sellers["user"]))
    user = np.full(len(sellers), 3)
    honest = replace(state, sellers=state.sellers | {"cancel": np.zeros(len(sellers))})
    order = np.argsort(suit(state, shelves, user, sellers), kind="stable")
    assert (np.diff(chance(honest, shelves, user, sellers)[order]) >= 0).all()
    assert (chance(state, shelves, user, sellers) < chance(honest, shelves, user, sellers)).all()


def test_a_shelf_of_one_listing_is_drawn_to_the_market(lived: Lived) -> None:
    shelves = shelves_of(lived.state)
    leaves = shelves.leaves[:-1]
    assert np.allclose(leaves.sum(axis=1), 1)
    one = np.flatnonzero(shelves.count[:-1] == 1)
    assert np.allclose(leaves[one].max(axis=1), 0.25, atol=0.15)
    none = np.flatnonzero(shelves.count[:-1] == 0)
    assert np.allclose(leaves[none], shelves.leaves[-1])


def test_who_follows_already_is_no_new_fan(lived: Lived, tomorrow: date) -> None:
    state = lived.state
    item = np.flatnonzero(state.items["closed"] == NEVER)[:400]
    user = np.arange(len(item)) % state.n_users
    draws = Draws(1, tomorrow)
    new = fans(state, user, item, draws)
    assert len(new)
    known = {"user": user[new], "seller": state.items["seller"][item[new]], "since": new}
    assert not len(fans(replace(state, follows=known), user, item, draws))


def test_followed_sellers_are_seen_more_where_the_world_says_so(lived: Lived, tomorrow: date) -> None:
    state = lived.state
    pages = {"user": np.arange(state.n_users), "surface": np.full(state.n_users, BROWSE)}
    draws = Draws(1, tomorrow)
    assert follower_rows(state, pages, BROWSE, draws) == []
    reached = replace(state, config=replace(state.config, follow_reach=1.0))
    (rows,) = follower_rows(reached, pages, BROWSE, draws)
    follows = set(zip(state.follows["user"].tolist(), state.follows["seller"].tolist(), strict=True))
    shown = zip(rows["page"].tolist(), state.items["seller"][rows["item"]].tolist(), strict=True)
    assert len(rows["page"]) > 20 and set(shown) <= follows
    assert np.bincount(rows["page"]).max() <= 4
    _, day = play(reached, tomorrow)
    assert len(day.events)


def test_a_saved_state_keeps_its_follows(lived: Lived, tomorrow: date) -> None:
    saved = State.from_bytes(lived.state.to_bytes())
    assert all(np.array_equal(saved.follows[name], values) for name, values in lived.state.follows.items())
    evening, _ = play(saved, tomorrow)
    assert len(evening.follows["user"]) > len(saved.follows["user"])
