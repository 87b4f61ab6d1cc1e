"""Candidates by content: what fits a user, whoever else had it and however young it is."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.features.tables import Members
from recsys.ranking.candidates import CODE, ContentSearch, Quotas
from recsys.ranking.fit import Fit
from recsys.ranking.snapshot import Snapshot
from tests.ranking.test_pipeline import DS, frames

YOUNG = [f"i{n:03d}" for n in range(200, 240)]


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    made = frames()
    made["items"]["age_days"] = np.where(made["items"]["item_id"].isin(YOUNG), 0.2, 9.0)
    return Snapshot.from_frames(made, DS)


def search(snapshot: Snapshot, allowed: np.ndarray | None = None) -> ContentSearch:
    shelf = snapshot.shelf
    category = shelf.category_code if allowed is None else np.where(allowed, shelf.category_code, -1)
    quality = np.zeros(len(shelf))
    members = Members.build(category, quality, len(shelf.category_ids), shelf.seller_code, 60)
    return ContentSearch.build(Fit.build(shelf), members, quality)


def named(
    snapshot: Snapshot, users: list[int], allowed: np.ndarray | None = None, **quotas: int
) -> dict[str, list[tuple[int, str]]]:
    parts = search(snapshot, allowed).pairs(snapshot.audience, np.array(users), Quotas(**quotas))
    ids = snapshot.shelf.item_ids
    return {
        name: [(int(row), str(ids[item])) for row, item in zip(rows, items, strict=True)]
        for name in ("content", "fresh")
        for rows, items, source, _ in parts
        if len(source) and source[0] == CODE[name]
    }


def test_listings_fit_the_category_of_the_user(snapshot: Snapshot) -> None:
    found = named(snapshot, [1, 2], content=20)["content"]
    category = dict(zip(snapshot.shelf.item_ids, snapshot.shelf.category_code, strict=True))
    names = snapshot.shelf.category_ids
    assert {names[category[item]] for row, item in found if row == 1} == {"books"}
    assert {names[category[item]] for row, item in found if row == 2} == {"toys"}
    assert [row for row, _ in found] == [1] * 20 + [2] * 20


def test_young_listings_have_a_source_of_their_own(snapshot: Snapshot) -> None:
    found = named(snapshot, [1], content=5, fresh=8)["fresh"]
    assert len(found) == 8
    assert {item for _, item in found} <= set(YOUNG)


def test_what_may_not_be_shown_is_not_looked_through(snapshot: Snapshot) -> None:
    allowed = np.arange(len(snapshot.shelf)) % 3 > 0
    found = named(snapshot, [0, 1, 23], allowed)
    shown = set(snapshot.shelf.item_ids[allowed])
    assert {item for part in found.values() for _, item in part} <= shown
    assert found["content"]


def test_a_user_of_whom_nothing_is_known_gets_what_the_shelf_is_asked_for(snapshot: Snapshot) -> None:
    found = named(snapshot, [23], wanted=4, content=200)["content"]
    category = dict(zip(snapshot.shelf.item_ids, snapshot.shelf.category_code, strict=True))
    assert len({category[item] for _, item in found}) == 4


def test_a_price_near_the_level_of_the_user_comes_first(snapshot: Snapshot) -> None:
    found = [item for _, item in named(snapshot, [1], content=40)["content"]]
    shelf, audience = snapshot.shelf, snapshot.audience
    level = search(snapshot).fit.level[shelf.item_ids.get_indexer(found)]
    brand = shelf.brand_code[shelf.item_ids.get_indexer(found)]
    mine = search(snapshot).fit._levels(audience, np.array([1]))[0]
    for known in set(brand):
        off = np.abs(level[brand == known] - mine)
        assert (np.diff(off) >= -1e-6).all()


def test_who_else_is_asked_changes_nothing(snapshot: Snapshot) -> None:
    together = named(snapshot, [0, 1, 5, 23])
    alone = [named(snapshot, [user]) for user in (0, 1, 5, 23)]
    for name, pairs in together.items():
        assert pairs == [pair for part in alone for pair in part.get(name, [])]
