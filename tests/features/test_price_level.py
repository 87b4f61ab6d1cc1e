"""The price level of listings within their category, the level that a user looks at, and lifts of interest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.features.audience import TIER_WEIGHT
from recsys.features.pairs import LIFT_POINTS, PAIR_FEATURES, pair_features
from recsys.features.shelf import LEVEL_WEIGHT, Shelf
from recsys.ranking.snapshot import Snapshot
from tests.ranking.test_pipeline import DS, frames

SHELF = pd.DataFrame(
    {
        "item_id": ["i1", "i2", "i3", "i4"],
        "group_id": ["g1", "g2", "g3", "g3"],
        "seller_id": ["s1", "s1", "s2", "s2"],
        "category_id": ["shoes", "shoes", "bikes", "bikes"],
        "price": [10.0, 40.0, 100.0, 100.0],
        "brand": ["acme", None, "acme", None],
        "click_rate": [0.1 - 1e-4, 0.1 - 1e-4, 0.2 - 1e-4, 0.05 - 1e-4],
    }
)


def test_a_level_is_against_the_category_and_the_brand() -> None:
    shelf = Shelf.from_frame(SHELF)
    half = np.log(2.0)
    np.testing.assert_allclose(shelf.item_feature("level"), [-half, half, 0, 0], rtol=1e-6)
    acme = -half / (2 + LEVEL_WEIGHT)  # of i1 and i3
    np.testing.assert_allclose(shelf.item_feature("brand_level"), [-half - acme, half, -acme, 0], atol=1e-6)


def test_a_level_is_against_the_condition_too_where_it_is_known() -> None:
    plain, known = (
        Shelf.from_frame(SHELF),
        Shelf.from_frame(SHELF.assign(condition=["new", "new", None, "used"])),
    )
    level = plain.item_feature("brand_level")
    np.testing.assert_array_equal(plain.item_feature("condition_level"), level)
    new, used = (level[0] + level[1]) / (2 + LEVEL_WEIGHT), level[3] / (1 + LEVEL_WEIGHT)
    np.testing.assert_allclose(known.item_feature("condition_level"), level - [new, new, 0, used], atol=1e-6)


def test_a_listing_and_its_seller_appeal_to_nobody_in_particular_until_something_is_known() -> None:
    known = SHELF.assign(appeal=[0.5, -0.25, None, 0.0], seller_appeal=[1.0, 1.0, None, None])
    shelf = Shelf.from_frame(known)
    np.testing.assert_array_equal(shelf.item_feature("appeal"), np.float32([0.5, -0.25, 0, 0]))
    np.testing.assert_array_equal(shelf.item_feature("seller_appeal"), [1, 1, 0, 0])
    for name in ("appeal", "seller_appeal"):
        np.testing.assert_array_equal(Shelf.from_frame(SHELF).item_feature(name), np.zeros(4))


def test_a_tier_follows_what_a_user_had_to_do_with() -> None:
    worlds = frames()
    dear = worlds["items"].groupby("group_id")["price"].mean().idxmax()
    worlds["interactions"] = worlds["interactions"].assign(group_id=dear).drop_duplicates("user_id")
    snapshot = Snapshot.from_frames(worlds, DS)
    shelf, audience = snapshot.shelf, snapshot.audience
    of_group = shelf.group_ids.get_loc(dear)
    level = shelf.item_feature("level")[shelf.group_code == of_group].mean()
    assert audience.tier[0] == pytest.approx(2.0 * level / (2.0 + TIER_WEIGHT), rel=1e-5)
    assert audience.tier[-1] == 0.0, "a user nothing is known of stands at the mean"
    rows, items = np.array([0, 0]), np.array([0, 1])
    pairs = pair_features(shelf, audience, rows, items, {})
    gap = shelf.item_feature("level")[items] - audience.tier[0]
    np.testing.assert_allclose(pairs[:, PAIR_FEATURES.index("tier_gap")], gap, rtol=1e-5)
    both = pairs[:, PAIR_FEATURES.index("tier_over")] + pairs[:, PAIR_FEATURES.index("tier_under")]
    np.testing.assert_allclose(both, gap**2, rtol=1e-5)


def test_a_lift_is_drawn_to_the_shelf_by_the_points_behind_it() -> None:
    snapshot = Snapshot.from_frames(frames(), DS)
    shelf, audience = snapshot.shelf, snapshot.audience
    new = len(audience) - 1
    rows, items = (
        np.array([0, 0, new]),
        np.array([0, 1, 0]),
    )  # u00 likes the category of i000, two points of interest
    lift = pair_features(shelf, audience, rows, items, {})[:, PAIR_FEATURES.index("category_lift")]
    likes = (1 / 0.25 * 2.0 + LIFT_POINTS) / (2.0 + LIFT_POINTS)
    np.testing.assert_allclose(
        lift, [np.log(likes), np.log(LIFT_POINTS / (2.0 + LIFT_POINTS)), 0.0], rtol=1e-5
    )
    brand = pair_features(shelf, audience, rows, items, {})[:, PAIR_FEATURES.index("brand_lift")]
    assert brand[1] == 0.0, "no brand, no lift"
