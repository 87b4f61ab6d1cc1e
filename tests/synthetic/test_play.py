from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from recsys.errors import RecsysError
from recsys.synthetic import State, play, preset, start, trending
from recsys.synthetic.state import NEVER
from recsys.synthetic.tables import item_ids, source_tables
from tests.synthetic.lived import Lived, everybody, live

SMALL = preset("small", seed=3)
EAGER = preset("small", seed=3, users=120, click_base=9.0, buy_base=9.0, mood_mean=0.95)


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = live(SMALL, 3), live(SMALL, 3)
    assert first.state.to_bytes() == second.state.to_bytes()
    pd.testing.assert_frame_equal(first.events, second.events)


def test_another_seed_gives_another_world() -> None:
    assert live(preset("small", seed=4), 1).state.to_bytes() != live(SMALL, 1).state.to_bytes()


def test_a_day_does_not_change_the_state_it_starts_from() -> None:
    state = live(SMALL, 2).state
    before = state.to_bytes()
    play(state, state.ds + timedelta(days=1), None, trending(state))
    assert state.to_bytes() == before


def test_a_replication_has_other_luck_with_the_same_people_and_listings() -> None:
    state = live(SMALL, 2).state
    ds = state.ds + timedelta(days=1)
    happened, again, other = (play(state, ds, None, trending(state), replication=r)[0] for r in (0, 0, 1))
    assert again.to_bytes() == happened.to_bytes()
    assert other.to_bytes() != happened.to_bytes()
    for name in ("listed", "seller", "quality"):
        np.testing.assert_array_equal(other.items[name], happened.items[name])
    np.testing.assert_array_equal(other.users["interest"], happened.users["interest"])


def test_a_saved_state_goes_on_as_the_live_one_does() -> None:
    state = live(SMALL, 2).state
    loaded = State.from_bytes(state.to_bytes())
    ds = state.ds + timedelta(days=1)
    assert play(loaded, ds)[0].to_bytes() == play(state, ds)[0].to_bytes()


def test_a_state_from_before_ways_of_typing_goes_on() -> None:
    state = live(preset("small", seed=3, campaign_share=0.5), 2).state
    old = state.copy()
    for part, name in ((old.keywords, "wording"), (old.waiting, "wording"), (old.campaigns, "until")):
        del part[name]
    read = State.from_bytes(old.to_bytes())
    evening, day = play(read, read.ds + timedelta(days=1))
    assert len(day.campaign_daily) > 0
    assert (read.keywords["wording"] == 0).all()
    assert len(evening.campaigns["until"]) == len(evening.campaigns["item"])


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 damaged"])
def test_a_damaged_state_is_refused(content: bytes) -> None:
    with pytest.raises(RecsysError, match="cannot be read"):
        State.from_bytes(content)


def test_days_are_played_in_order() -> None:
    state = start(SMALL)
    with pytest.raises(RecsysError, match="play 2026-01-01 next, not 2026-01-03"):
        play(state, SMALL.first_day + timedelta(days=2))


def test_nothing_is_shown_after_it_is_gone_or_before_it_is_listed(lived: Lived) -> None:
    items = source_tables(lived.state)["marketplace.items"].set_index("item_id")
    shown = lived.good[lived.good["event_type"] == "impression"]
    shelf = items.loc[shown["item_id"]].set_index(shown.index)
    # The page opened up to 0.2 s per position before the impression.
    opened = shown["event_ts"] - pd.to_timedelta(0.2 * shown["position"].astype(float) + 0.001, "s")
    assert (shelf["closed_at"].isna() | (opened < shelf["closed_at"])).all()
    assert (shelf["listed_at"] <= shown["event_ts"]).all()


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_stock_of_one_is_sold_once_however_many_want_it(seed: int) -> None:
    config = preset("small", seed=seed, users=120, click_base=9.0, buy_base=9.0, mood_mean=0.95)
    state = start(config)
    open_ = np.flatnonzero((state.items["closed"] == NEVER) & ~state.items["auction"])[:10]
    evening, day = play(state, config.first_day, everybody(state, item_ids(open_)))
    bought = day.events.drop_duplicates("event_id").query("event_type == 'purchase' and amount > 0")
    stock = pd.Series(state.items["stock"], index=item_ids(np.arange(state.n_items)))
    sold = bought["item_id"].value_counts()
    assert (sold <= stock.reindex(sold.index).fillna(1)).all()
    gone = open_[evening.items["closed"][open_] != NEVER]
    assert len(gone) >= 5
    assert (evening.items["reason"][gone] >= 0).all()


def test_a_sale_moves_the_next_listing_up_for_those_who_come_later() -> None:
    state = start(EAGER)
    open_ = np.flatnonzero((state.items["stock"] == 1) & ~state.items["auction"])[:30]
    _, day = play(state, EAGER.first_day, everybody(state, item_ids(open_)))
    shown = day.events.drop_duplicates("event_id").query(
        "event_type == 'impression' and surface == 'recommendation'"
    )
    pages = shown.sort_values("event_ts").groupby("request_id", sort=False)
    # Positions have no holes, and the order of the list is kept.
    rank = {item: place for place, item in enumerate(item_ids(open_))}
    for _, page in pages:
        assert page.sort_values("position")["item_id"].map(rank).is_monotonic_increasing
    top = shown[shown["position"] == 1].sort_values("event_ts")
    assert top["item_id"].nunique() > 1


def test_users_neither_see_their_own_listings_in_search_nor_click_them(lived: Lived) -> None:
    own = lived.good[lived.good["user_id"] == lived.good["seller_id"]]
    assert set(own["event_type"]) <= {"impression"}
    assert set(own["surface"].dropna()) <= {"recommendation"}


def test_a_recommendation_is_logged_with_request_position_and_propensity(lived: Lived) -> None:
    good = lived.good
    shown = good[(good["event_type"] == "impression") & (good["surface"] == "recommendation")]
    assert len(shown) > 1_000
    assert shown[["request_id", "position", "propensity"]].notna().all().all()
    assert shown["position"].between(1, 40).all()
    clicks = good[(good["event_type"] == "view") & good["request_id"].notna()]
    pairs = set(zip(shown["request_id"], shown["item_id"], strict=True))
    # A click may have arrived before a late impression, never without one that was sent.
    found = [pair in pairs for pair in zip(clicks["request_id"], clicks["item_id"], strict=True)]
    assert np.mean(found) > 0.95
    organic = good[good["surface"].isin(["search", "browse"])]
    assert organic["request_id"].isna().all()


def test_without_list_and_fallback_there_is_no_recommendation(lived: Lived) -> None:
    _, day = play(lived.state, lived.state.ds + timedelta(days=1))
    today = day.events[day.events["event_date"] == pd.Timestamp(day.ds)]
    shown = today[today["event_type"] == "impression"]
    assert set(shown["surface"]) == {"search", "browse"}


def test_only_users_without_a_list_see_the_fallback(lived: Lived) -> None:
    state = lived.state
    hot = trending(state, 60)
    lists = everybody(state, hot["item_id"].to_numpy()[30:])
    lists = lists[lists["user_id"].str.slice(1).astype(int) % 2 == 0]
    _, day = play(state, state.ds + timedelta(days=1), lists, hot.head(30))
    shown = day.events.query("surface == 'recommendation' and event_type == 'impression'")
    shown = shown[
        (shown["event_date"] == pd.Timestamp(day.ds)) & shown["user_id"].str.match(r"u\d+$").fillna(False)
    ]
    number = shown["user_id"].str.slice(1).astype(int)
    even = (number % 2 == 0) & (number < state.n_users)  # those of today have no list yet
    known = shown["item_id"].str.match(r"i\d+$").fillna(False)
    assert set(shown.loc[even & known, "item_id"]) <= set(lists["item_id"])
    assert set(shown.loc[~even & known, "item_id"]) <= set(hot["item_id"].head(30))


def test_unknown_and_sold_listings_in_a_list_are_skipped(lived: Lived) -> None:
    state = lived.state
    sold = item_ids(np.flatnonzero(state.items["closed"] != NEVER)[:5])
    hot = trending(state, 5)["item_id"].to_numpy()
    lists = everybody(
        state, np.array(["i9999999", "x", "'; DROP TABLE items; --", *sold, *hot], dtype=object)
    )
    _, day = play(state, state.ds + timedelta(days=1), lists)
    shown = day.events.query("surface == 'recommendation' and event_type == 'impression'")
    shown = shown[(shown["event_date"] == pd.Timestamp(day.ds)) & (shown["event_ts"] <= shown["ingested_at"])]
    assert set(shown["item_id"]) - {"i-unknown"} == set(hot)
    assert shown["position"].max() <= 5
