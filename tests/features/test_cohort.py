"""Who is alike: cohorts are spelled as the SQL spells them, and say most of users of whom little is known."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.features import pairs
from recsys.features.audience import FEW
from recsys.features.cohort import OF_SHELF, names
from recsys.features.tables import Members
from recsys.ranking.candidates import CODE, Quotas, _cohort_pairs
from recsys.ranking.snapshot import Snapshot
from tests.ranking.test_pipeline import DS, frames
from tests.sql.test_features import built

LIKED = pd.DataFrame(
    [
        ("everybody", "books", 0.5, 0.0),
        ("everybody", "toys", 0.5, 0.0),
        ("f/30", "toys", 0.6, 0.5),
        ("f/30/north", "shoes", 0.9, 0.1),
    ],
    columns=["cohort", "category_id", "share", "drawn"],
)


def world(cohorts: pd.DataFrame | None = LIKED) -> dict[str, Any]:
    """The pipeline's: users of an even number live in the north; u23 is new, and of the cohort f/30/south."""
    made: dict[str, Any] = frames()
    made["users"] = made["users"].assign(gender="f", birth_year=DS.year - 34)
    if cohorts is not None:
        made["cohorts"] = cohorts
    return made


def lift(snapshot: Snapshot, user: str) -> np.ndarray:
    """category_lift of every listing."""
    row = np.full(len(snapshot.shelf), snapshot.audience.user_ids.get_loc(user))
    return pairs._crossed(snapshot.shelf, snapshot.audience, row, np.arange(len(row)))["category_lift"]


def test_what_a_cohort_lacks_comes_from_the_wider_circles() -> None:
    snapshot = Snapshot.from_frames(world(), DS)
    shelf, cohorts = snapshot.shelf, snapshot.audience.cohorts
    share = dict(zip(shelf.category_ids, (cohorts.share - OF_SHELF * shelf.category_share).T, strict=True))
    north, south = cohorts.code[:2]
    assert share["shoes"][north] == pytest.approx((1 - OF_SHELF) * 0.9)
    assert share["toys"][north] == pytest.approx((1 - OF_SHELF) * 0.1 * 0.6)
    assert share["books"][north] == pytest.approx((1 - OF_SHELF) * 0.1 * 0.5 * 0.5)
    assert share["toys"][south] == pytest.approx((1 - OF_SHELF) * 0.6)
    assert share["shoes"][south] == pytest.approx(0, abs=1e-12)


def test_the_lift_of_a_new_user_is_that_of_the_cohort() -> None:
    snapshot = Snapshot.from_frames(world(), DS)
    everything = np.arange(len(snapshot.shelf))
    row = np.full(len(everything), snapshot.audience.user_ids.get_loc("u23"))
    expected = np.log(snapshot.audience.cohorts.lift(snapshot.shelf, row, everything))
    np.testing.assert_allclose(lift(snapshot, "u23"), expected)
    assert np.ptp(expected) > 1


def test_much_history_outweighs_the_cohort() -> None:
    made = world()
    made["affinity"] = made["affinity"].assign(affinity=5000.0)
    known, plain = Snapshot.from_frames(made, DS), Snapshot.from_frames({**made, "cohorts": None}, DS)
    mine = known.shelf.category_ids[known.shelf.category_code] == made["affinity"]["category_id"][0]
    liked = lift(known, "u00")[mine], lift(plain, "u00")[mine]
    np.testing.assert_allclose(*liked, atol=0.01)


@pytest.mark.parametrize("cohorts", [None, LIKED.iloc[:0]])
def test_without_cohorts_everything_is_as_it_was(cohorts: pd.DataFrame | None) -> None:
    snapshot = Snapshot.from_frames(world(cohorts), DS)
    assert (snapshot.audience.cohorts.code == -1).all()
    assert (lift(snapshot, "u23") == 0).all()
    assert len(named(snapshot)[0]) == 0


def test_users_without_gender_or_age_columns_have_no_cohort() -> None:
    snapshot = Snapshot.from_frames({**frames(), "cohorts": LIKED}, DS)
    assert (snapshot.audience.cohorts.code == -1).all()


def named(snapshot: Snapshot) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shelf = snapshot.shelf
    members = Members.build(
        shelf.category_code, np.zeros(len(shelf)), len(shelf.category_ids), shelf.seller_code, 60
    )
    users = np.arange(len(snapshot.audience))
    return _cohort_pairs(snapshot.audience, users, members, Quotas(categories=1))[:3]


def test_the_cohort_names_listings_for_users_hardly_known() -> None:
    made = world()
    group = [f"more|{number}" for number in range(FEW)]
    made["interactions"] = pd.concat(
        [made["interactions"], made["interactions"].iloc[[0] * FEW].assign(group_id=group)]
    )
    snapshot = Snapshot.from_frames(made, DS)
    rows, items, source = named(snapshot)
    ids = snapshot.audience.user_ids
    assert set(ids[rows]) == set(ids) - {"u00"}, "u00 is known well"
    category = snapshot.shelf.category_ids[snapshot.shelf.category_code[items]]
    north = snapshot.audience.regions[rows] == "north"
    assert set(category[north]) == {"shoes"}
    assert set(category[~north]) == {"toys"}
    assert set(source) == {CODE["cohort"]}


def test_the_user_finds_the_cohort_that_the_warehouse_built(tmp_path: Path) -> None:
    """Ages at the edges of their ten years, values unknown, and a birth year ahead of ds."""
    people = [
        ("u0", "female", 1987, "north"),
        ("u1", "female", 1986, "north"),
        ("u2", "male", None, "south"),
        ("u3", None, 2020, None),
        ("u4", "female", 2030, ""),
    ]
    users = pd.DataFrame(people, columns=["user_id", "gender", "birth_year", "region"])
    given: dict[str, list[dict[str, Any]]] = {
        "staging.users": [dict(zip(users.columns, row, strict=True)) for row in people],
        "features.user_category_affinity": [
            {"user_id": user, "category_id": user, "affinity": 1.0} for user in users["user_id"]
        ],
    }
    rows = built(tmp_path, "features.cohort_affinity", given)
    found = {(row["cohort"], row["category_id"]) for row in rows}
    bands, cohorts = names(users, date(2026, 1, 14).year)
    spelled = {*zip(bands, users["user_id"], strict=True), *zip(cohorts, users["user_id"], strict=True)}
    assert found - {("everybody", user) for user in users["user_id"]} == spelled
    assert (bands[0], bands[1]) == ("female/30", "female/40")
