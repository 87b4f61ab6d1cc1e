"""Reasons: the one that fits best is given, and whatever is said is true of the user's own acts."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.ranking.candidates import SOURCES
from recsys.ranking.explain import TEXTS, reasons
from recsys.ranking.snapshot import Snapshot
from recsys.settings import PROJECT_ROOT
from tests.ranking.test_pipeline import DS, frames

ACTS = ("views", "likes", "carts", "purchases")
VERB = {"liked": "likes", "bought": "purchases", "looked at": "views"}


def market(touched: pd.DataFrame | None = None) -> Snapshot:
    """The shelf of the pipeline's tests with names; i000 to i003 are new, i010 and i011 in demand, i022 less so."""
    made = frames()
    items = made["items"].assign(category_name=made["items"]["category_id"].str.title(), popularity_7d=0.0)
    items["brand"] = items["brand"].str.title()
    items["age_days"] = np.where(np.arange(len(items)) < 4, 1.0, 30.0)
    items.loc[[10, 11], "popularity_7d"] = 50.0
    items.loc[22, "popularity_7d"] = 5.0
    made["items"] = items
    if touched is not None:
        made["touched"] = touched
    return Snapshot.from_frames(made, DS)


def acts(*rows: tuple[str, str, str], **columns: str | float) -> pd.DataFrame:
    """Rows (user, listing, act) as ``touched``."""
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "act"])
    for name in ACTS:
        frame[name] = (frame["act"] == name).astype(int)
    return frame.drop(columns="act").assign(last_date=pd.Timestamp("2026-01-30"), **columns)


def reason(snapshot: Snapshot, user: str, item: str, source: str = "trending", slot: str = "ranked") -> str:
    return said(snapshot, user, item, source, slot)[0]


def said(
    snapshot: Snapshot, user: str, item: str, source: str = "trending", slot: str = "ranked"
) -> tuple[str, str | None]:
    row = snapshot.audience.user_ids.get_indexer([user])
    place = snapshot.shelf.item_ids.get_indexer([item])
    text, refers = reasons(
        snapshot.shelf,
        snapshot.audience,
        row,
        place,
        np.array([SOURCES.index(source)]),
        trending=snapshot.trending,
        slot=np.array([slot], object),
    )
    return text[0], refers[0]


@pytest.mark.parametrize(
    ("act", "text"),
    [
        ("likes", "You liked this"),
        ("views", "You looked at this"),
        ("carts", "You showed interest in buying this"),
        ("purchases", "You bought this before"),
    ],
)
def test_what_was_done_with_the_very_listing_comes_first(act: str, text: str) -> None:
    assert said(market(acts(("u05", "i123", act))), "u05", "i123") == (text, None)


@pytest.mark.parametrize(("item", "text"), [("i123", "You may like this"), ("i010", "Popular right now")])
def test_what_people_alike_like_is_not_called_the_taste_of_its_reader(item: str, text: str) -> None:
    made = market()
    assert reason(made, "u23", item, "cohort") in (text, "Popular in south", "Popular in north")


def test_the_listing_that_it_is_like_is_named() -> None:
    snapshot = market(acts(("u05", "i120", "likes"), ("u05", "i121", "views"), ("u05", "i122", "purchases")))
    assert said(snapshot, "u05", "i160") == ("Similar to something you liked in Shoes", "i120")
    assert said(snapshot, "u05", "i161") == ("Similar to something you looked at in Books", "i121")
    assert said(snapshot, "u05", "i162") == ("Similar to something you bought in Toys", "i122")


def test_far_apart_in_price_and_brand_is_not_alike() -> None:
    snapshot = market(acts(("u05", "i121", "likes")))
    price = dict(zip(snapshot.shelf.item_ids, snapshot.shelf.price, strict=True))
    assert price["i121"] / price["i129"] > 1.5
    assert reason(snapshot, "u05", "i129") == "From Books, your favourite category"


def test_a_liked_listing_that_is_sold_by_now_is_remembered() -> None:
    known = {"group_id": "toys|1", "category_id": "toys", "seller_id": "u09", "price": 45.0}
    snapshot = market(acts(("u05", "sold-1", "likes"), **known))
    shelf = snapshot.shelf
    toys = [
        i for i, g in zip(shelf.item_ids, shelf.group_code, strict=True) if shelf.group_ids[g] == "toys|1"
    ]
    assert said(snapshot, "u05", toys[0]) == ("Similar to something you liked in Toys", "sold-1")
    forgotten = market(acts(("u05", "sold-1", "likes")))
    assert said(forgotten, "u05", toys[0])[1] is None


def test_the_seller_of_something_bought_is_one_the_user_knows() -> None:
    known = {"group_id": "gone|0", "category_id": "gone", "seller_id": "u09", "price": 45.0}
    snapshot = market(acts(("u05", "sold-1", "purchases"), **known))
    assert reason(snapshot, "u05", "i009") == "You bought from this seller"
    assert reason(snapshot, "u06", "i009") != "You bought from this seller"


def test_tastes_and_news() -> None:
    snapshot = market(acts())
    assert reason(snapshot, "u05", "i001") == "New in Books, your favourite category"
    assert reason(snapshot, "u05", "i021") == "From Books, your favourite category"
    assert reason(snapshot, "u04", "i022") == "From Acme, a brand you go for"
    assert reason(snapshot, "u05", "i023", "als") == "Chosen from what you and people like you go for"
    assert reason(snapshot, "u05", "i023") == "You may like this"


def test_what_was_searched_for_is_said_after_what_was_done() -> None:
    searched = [
        ("u04", "brand", "acme", 0.6),
        ("u05", "brand", "acme", 0.4),
        ("u23", "category", "books", 1.0),
    ]
    made = frames()
    made["items"]["category_name"] = made["items"]["category_id"].str.title()
    made["items"]["popularity_7d"], made["touched"] = 0.0, acts(("u06", "i022", "likes"))
    made["searches"] = pd.DataFrame(
        [*searched, ("u06", "brand", "acme", 3.0)], columns=["user_id", "topic", "topic_id", "searches"]
    )
    snapshot = Snapshot.from_frames(made, DS)
    assert reason(snapshot, "u04", "i022") == "From acme, which you searched for"
    assert "searched" not in reason(snapshot, "u05", "i022"), "a search of more than a month ago"
    assert reason(snapshot, "u06", "i022") == "You liked this"
    assert reason(snapshot, "u23", "i021") == "Fits what you searched for"


def test_what_is_said_to_someone_nothing_is_known_of() -> None:
    snapshot = market(acts())
    assert reason(snapshot, "u23", "i010") == "Popular in south"
    assert reason(snapshot, "u23", "i000") == "Just listed"
    assert reason(snapshot, "u23", "i022") == "Others showed interest lately"
    assert reason(snapshot, "u23", "i020", "als") == "You may like this"
    assert reason(snapshot, "u23", "i020", slot="explored") == "Something else to discover"
    assert reason(snapshot, "u23", "i020", slot="pinned") == "Featured by the marketplace"


def test_popular_where_the_user_lives() -> None:
    made = frames()
    made["items"]["popularity_7d"] = 50.0
    made["interactions"], made["affinity"] = made["interactions"].iloc[:0], made["affinity"].iloc[:0]
    made["touched"] = acts()
    snapshot = Snapshot.from_frames(made, DS)
    assert reason(snapshot, "u02", "i239") == "Popular in north"
    assert reason(snapshot, "u01", "i239") == "Popular right now"
    assert reason(snapshot, "u01", "i000") == "Popular in south"


def test_in_a_shop_that_restocks() -> None:
    made = frames()
    made["items"]["group_id"] = made["items"]["item_id"]
    own = made["interactions"].iloc[:2].assign(user_id="u05", group_id=["i100", "i101"], purchase_days=[3, 1])
    made["interactions"], made["touched"] = own, acts()
    snapshot = Snapshot.from_frames(made, DS)
    assert reason(snapshot, "u05", "i100") == "You buy this regularly"
    assert reason(snapshot, "u05", "i101") == "You bought this before"


PAIRS = st.tuples(st.integers(0, 23), st.integers(0, 239), st.sampled_from(ACTS))


@settings(max_examples=25, deadline=None)
@given(st.lists(PAIRS, max_size=40, unique_by=lambda p: p[:2]), st.integers(0, 2**32 - 1))
def test_a_reason_names_only_what_the_user_did(done: list[tuple[int, int, str]], seed: int) -> None:
    touched = acts(*((f"u{u:02d}", f"i{i:03d}", act) for u, i, act in done))
    snapshot = market(touched)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.integers(0, 24, 300))
    items = rng.integers(0, 240, 300)
    source = rng.integers(0, len(SOURCES), 300)
    shelf, audience = snapshot.shelf, snapshot.audience
    text, refers = reasons(shelf, audience, rows, items, source, trending=snapshot.trending)
    did = {
        act: set(touched.loc[touched[act] > 0, ["user_id", "item_id"]].itertuples(index=False, name=None))
        for act in ACTS
    }
    seller_of = dict(zip(shelf.item_ids, shelf.seller_ids[shelf.seller_code], strict=True))
    category_of = dict(zip(shelf.item_ids, shelf.category_ids[shelf.category_code], strict=True))
    for row, item, words, other in zip(rows, items, text, refers, strict=True):
        user, listing = audience.user_ids[row], shelf.item_ids[item]
        if words.startswith("Similar to something you "):
            verb = words.removeprefix("Similar to something you ").split(" in ")[0]
            assert (user, other) in did[VERB[verb]] and other != listing
            assert category_of[other] == category_of[listing]
            continue
        assert other is None
        if words == "You bought from this seller":
            assert any(u == user and seller_of[i] == seller_of[listing] for u, i in did["purchases"])
        elif words.startswith("You "):
            act = {
                "You liked this": "likes",
                "You looked at this": "views",
                "You bought this before": "purchases",
                "You showed interest in buying this": "carts",
            }
            assert words == "You may like this" or (user, listing) in did[act[words]]


def test_who_else_is_asked_does_not_matter() -> None:
    snapshot = market(acts(("u05", "i120", "likes"), ("u07", "i121", "purchases")))
    rows, items = np.divmod(np.arange(24 * 240), 240)
    source = (rows + items) % len(SOURCES)

    def asked(part: slice) -> tuple[np.ndarray, np.ndarray]:
        return reasons(
            snapshot.shelf,
            snapshot.audience,
            rows[part],
            items[part],
            source[part],
            trending=snapshot.trending,
        )

    whole = asked(slice(None))
    parts = [asked(slice(start, start + 480)) for start in range(0, len(rows), 480)]
    for n in range(2):
        assert np.concatenate([part[n] for part in parts]).tolist() == whole[n].tolist()
    assert all(text for text in whole[0])


def test_a_list_that_was_not_made_for_the_user_names_none_of_their_acts() -> None:
    snapshot = market(acts(("u05", "i120", "likes"), ("u05", "i010", "views")))
    row, items = np.array([5, 5, 5, 5]), np.array([10, 120, 160, 1])
    text, refers = reasons(
        snapshot.shelf, snapshot.audience, row, items, row, trending=snapshot.trending, personal=False
    )
    assert text.tolist() == ["Popular in south", "You may like this", "You may like this", "Just listed"]
    assert refers.tolist() == [None] * 4


def test_nothing_placed_is_no_error() -> None:
    snapshot, none = market(acts()), np.empty(0, np.int64)
    text, refers = reasons(snapshot.shelf, snapshot.audience, none, none, none, trending=snapshot.trending)
    assert len(text) == len(refers) == 0


def test_the_page_on_explanations_lists_every_reason() -> None:
    page = (PROJECT_ROOT / "docs" / "explanations.md").read_text(encoding="utf-8")
    for named, plain in TEXTS.values():
        parts = map(re.escape, (named or plain).split("{}"))
        assert re.search(rf"^\| {'[A-Z][a-z]+'.join(parts)} \|", page, re.MULTILINE), plain


def test_each_reason_can_be_said_without_a_name() -> None:
    assert all(plain and "{" not in plain for _, plain in TEXTS.values())
