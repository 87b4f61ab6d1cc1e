"""From a small shelf to lists: what may be shown, in which order, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.features.pairs import PAIR_FEATURES
from recsys.features.shelf import Shelf
from recsys.ranking.candidates import SOURCES, Quotas
from recsys.ranking.champion import Champion, newest_champion
from recsys.ranking.exploration import Exploration
from recsys.ranking.fit import Fit
from recsys.ranking.pipeline import Ranker
from recsys.ranking.rerank import Variety
from recsys.ranking.revenue import Money
from recsys.ranking.rules import Rule, Rules
from recsys.ranking.scorer import PairScorer
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.training import fit_retrievers, make_retrievers

DS = date(2026, 1, 31)
CATEGORIES = ["shoes", "books", "toys", "bikes"]


def frames(listings: int = 240, users: int = 24) -> dict[str, pd.DataFrame]:
    """Users like one category each; 'seller-00' is user u00; u23 is new; u00 bought listing i000."""
    number = np.arange(listings)
    items = pd.DataFrame(
        {
            "item_id": [f"i{n:03d}" for n in number],
            "category_id": [CATEGORIES[n % 4] for n in number],
            "seller_id": [f"u{n % 12:02d}" for n in number],
            "price": 10.0 + (number * 7) % 90,
            "take_rate": 0.1,
            "cancel_rate": 0.05,
            "popularity_7d": number % 17,
            "brand": [["acme", None][n % 2] for n in number],
        }
    )
    items["group_id"] = items["category_id"] + "|" + (items["price"] // 30).astype(int).astype(str)
    ids = [f"u{n:02d}" for n in range(users)]
    people = pd.DataFrame({"user_id": ids, "region": [["north", "south"][n % 2] for n in range(users)]})
    for name in ("views_7d", "views_30d", "likes_30d", "purchases_7d", "purchases_90d"):
        people[name] = 1
    people = people.assign(is_new=False, days_since_active=1, days_since_purchase=9.0, mean_log_price=3.5)
    rows = [(u, f"{CATEGORIES[n % 4]}|{band}") for n, u in enumerate(ids[:-1]) for band in range(3)]
    interactions = pd.DataFrame(rows, columns=["user_id", "group_id"]).assign(
        weight=2.0, purchases=1, purchase_days=1, revenue=20.0
    )
    for name in ("first_date", "last_date", "last_purchase_date"):
        interactions[name] = pd.Timestamp("2026-01-20")
    affinity = pd.DataFrame(
        {"user_id": ids[:-1], "category_id": [CATEGORIES[n % 4] for n in range(users - 1)], "affinity": 2.0}
    )
    touched = pd.DataFrame(
        {
            "user_id": ["u00", "u01"],
            "item_id": ["i001", "i005"],
            "views": [1, 3],
            "likes": [0, 1],
            "carts": [0, 0],
        }
    ).assign(purchases=[1, 0], last_date=pd.Timestamp("2026-01-30"))
    demand = pd.DataFrame(
        {
            "region": np.repeat(["north", "south"], listings),
            "item_id": np.tile(items["item_id"], 2),
            "timestamp": pd.Timestamp("2026-01-30"),
            "weight": np.concatenate([number + 1.0, listings - number + 0.0]),
        }
    )
    brands = items[["group_id", "brand"]].dropna().drop_duplicates("group_id")
    return {
        "items": items,
        "users": people,
        "interactions": interactions,
        "affinity": affinity,
        "touched": touched,
        "demand": demand,
        "brands": brands,
    }


def scorer() -> PairScorer:
    """Likes the user's category, and otherwise what is popular."""
    weights = np.zeros(len(PAIR_FEATURES))
    weights[PAIR_FEATURES.index("category_share")] = 2.0
    weights[PAIR_FEATURES.index("popularity_7d")] = 0.2
    n = len(PAIR_FEATURES)
    return PairScorer(PAIR_FEATURES, np.zeros(n), np.ones(n), weights, -4.0)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return Snapshot.from_frames(frames(), DS)


@pytest.fixture(scope="module")
def champion(snapshot: Snapshot) -> Champion:
    retrievers = fit_retrievers(make_retrievers("group", 1), snapshot.history)
    return Champion(retrievers, scorer(), {"ds": str(DS)})


def ranker(snapshot: Snapshot, champion: Champion, **options: object) -> Ranker:
    given = {"list_size": 10, "reserve_size": 5} | options
    return Ranker(champion.with_history(snapshot.history), snapshot.shelf, snapshot.trending, **given)  # type: ignore[arg-type]


def everyone(snapshot: Snapshot) -> np.ndarray:
    return np.arange(len(snapshot.audience))


@pytest.mark.parametrize("policy", ["hybrid", "popularity"])
def test_lists_are_whole_and_allowed(snapshot: Snapshot, champion: Champion, policy: str) -> None:
    lists = ranker(snapshot, champion).rank(snapshot.audience, everyone(snapshot), policy)
    assert lists.groupby("user_id").size().eq(15).all()
    assert lists.groupby("user_id")["rank"].apply(list).map(lambda r: r == list(range(1, 16))).all()
    assert lists["is_reserve"].tolist() == [False] * 10 + [True] * 5 + lists["is_reserve"].tolist()[15:]
    assert not lists.duplicated(["user_id", "item_id"]).any()
    assert (lists["user_id"] != lists["seller_id"]).all()
    assert "i001" not in set(lists.loc[lists["user_id"] == "u00", "item_id"])
    assert set(lists["source"]) <= set(SOURCES)
    assert lists["p_purchase"].between(0, 1, inclusive="neither").all()


def test_every_factor_is_stored_and_their_product_is_the_score(
    snapshot: Snapshot, champion: Champion
) -> None:
    lists = ranker(snapshot, champion, money=Money(cap=60.0)).rank(
        snapshot.audience, everyone(snapshot), "hybrid"
    )
    product = lists["p_purchase"] * lists["price_capped"] * lists["take_rate"] * (1 - lists["p_cancel"])
    np.testing.assert_allclose(lists["expected_revenue"], product, rtol=1e-12)
    np.testing.assert_allclose(lists["score"], product, rtol=1e-12)
    assert lists["price_capped"].max() == 60.0
    assert lists.groupby("user_id")["score"].apply(lambda s: s.is_monotonic_decreasing).all()


def test_an_exponent_of_zero_ranks_by_probability(snapshot: Snapshot, champion: Champion) -> None:
    lists = ranker(snapshot, champion, money=Money(exponent=0.0)).rank(
        snapshot.audience, everyone(snapshot), "hybrid"
    )
    assert lists.groupby("user_id")["p_purchase"].apply(lambda s: s.is_monotonic_decreasing).all()
    product = lists["p_purchase"] * lists["price_capped"] * lists["take_rate"] * (1 - lists["p_cancel"])
    np.testing.assert_allclose(lists["expected_revenue"], product, rtol=1e-12)


def test_the_hybrid_follows_the_user_and_popularity_the_region(
    snapshot: Snapshot, champion: Champion
) -> None:
    made = ranker(snapshot, champion, money=Money(exponent=0.0))
    hybrid = made.rank(snapshot.audience, np.array([1]), "hybrid")
    assert set(hybrid.loc[hybrid["rank"] <= 10, "category_id"]) == {"books"}
    popular = made.rank(snapshot.audience, everyone(snapshot), "popularity")
    first = popular[popular["rank"] == 1].set_index("user_id")["item_id"]
    assert first["u02"] == "i239"
    assert first["u01"] == "i000"


def test_a_new_user_gets_what_trends_in_the_region(snapshot: Snapshot, champion: Champion) -> None:
    lists = ranker(snapshot, champion).rank(snapshot.audience, np.array([23]), "hybrid")
    assert len(lists) == 15
    assert set(lists["source"]) <= {"trending", "popularity", "content", "fresh"}


def test_a_shop_may_repeat_what_was_bought(snapshot: Snapshot, champion: Champion) -> None:
    shop = ranker(snapshot, champion, item_unit="item", list_size=240).rank(
        snapshot.audience, np.array([0]), "hybrid"
    )
    assert "i001" in set(shop["item_id"])


def test_who_else_is_asked_does_not_matter(snapshot: Snapshot, champion: Champion) -> None:
    made = ranker(snapshot, champion)
    together = made.rank(snapshot.audience, everyone(snapshot), "hybrid")
    alone = pd.concat([made.rank(snapshot.audience, np.array([n]), "hybrid") for n in everyone(snapshot)])
    pd.testing.assert_frame_equal(together, alone.reset_index(drop=True), rtol=1e-5)


def test_one_seller_does_not_fill_a_group(snapshot: Snapshot, champion: Champion) -> None:
    made = ranker(snapshot, champion, quotas=Quotas(per_seller=1, trending=0))
    lists = made.rank(snapshot.audience, np.array([1]), "hybrid")
    grouped = lists[lists["source"] != "revisit"].groupby(["group_id", "seller_id"]).size()
    assert grouped.max() <= 2  # once through the group, once through its category


def test_an_unknown_policy_and_nobody_to_rank(snapshot: Snapshot, champion: Champion) -> None:
    made = ranker(snapshot, champion)
    with pytest.raises(ModelError, match="'magic'"):
        made.rank(snapshot.audience, everyone(snapshot), "magic")
    empty = made.rank(snapshot.audience, np.empty(0, int), "hybrid")
    assert empty.empty
    assert "expected_revenue" in empty


def test_a_champion_survives_the_disk(snapshot: Snapshot, champion: Champion, tmp_path: Path) -> None:
    champion.save(tmp_path, DS)
    loaded = newest_champion(tmp_path, date(2026, 2, 3))
    assert loaded.label == "hybrid@2026-01-31"
    one, other = (
        ranker(snapshot, c).rank(snapshot.audience, everyone(snapshot), "hybrid") for c in (champion, loaded)
    )
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    with pytest.raises(ModelError, match="up to 2026-01-30"):
        newest_champion(tmp_path, date(2026, 1, 30))
    (tmp_path / "hybrid" / f"ds={DS}" / "als" / "arrays.npz").write_bytes(b"")
    with pytest.raises(ModelError, match="damaged"):
        newest_champion(tmp_path, DS)


def full(snapshot: Snapshot, champion: Champion, *rules: Rule, **options: object) -> Ranker:
    """A ranker that does everything that can be done to a list."""
    given = {
        "rules": Rules(rules),
        "variety": Variety(diversity=0.2, per_seller=2, per_category=6, popularity=0.1),
        "exploration": Exploration((2, 7), breadth=20),
        "seed": 3,
    } | options
    return ranker(snapshot, champion, **given)


BOOST = Rule("up", "boost", {"category_id": ("toys",)}, factor=50.0)
BLOCK = Rule("out", "block", {"category_id": ("books",)})
PIN = Rule("first", "pin", {"item_id": ("i003",)}, position=1)
NORTH = Rule("north", "block", {"brand": ("acme",)}, regions=("north",))


@pytest.mark.parametrize("position", [1, 2])  # 2 is drawn where nothing is pinned
def test_who_else_is_asked_does_not_matter_whatever_is_done_to_the_lists(
    snapshot: Snapshot, champion: Champion, position: int
) -> None:
    pin = replace(PIN, position=position)
    made = full(snapshot, champion, BOOST, pin, NORTH)
    together = made.rank(snapshot.audience, everyone(snapshot), "hybrid")
    alone = pd.concat([made.rank(snapshot.audience, np.array([n]), "hybrid") for n in everyone(snapshot)])
    pd.testing.assert_frame_equal(together, alone.reset_index(drop=True), rtol=1e-5)
    again = full(snapshot, champion, BOOST, pin, NORTH).rank(snapshot.audience, everyone(snapshot), "hybrid")
    pd.testing.assert_frame_equal(together, again, check_exact=True)
    other = full(snapshot, champion, BOOST, pin, NORTH, seed=4).rank(
        snapshot.audience, everyone(snapshot), "hybrid"
    )
    assert (together["item_id"] != other["item_id"]).any()


def test_what_is_blocked_is_in_no_list_and_lists_stay_full(snapshot: Snapshot, champion: Champion) -> None:
    made = full(snapshot, champion, BLOCK, NORTH, PIN)
    for policy in ("hybrid", "popularity"):
        lists = made.rank(snapshot.audience, everyone(snapshot), policy)
        assert lists.groupby("user_id").size().eq(15).all()
        assert "books" not in set(lists["category_id"])
        region = dict(zip(snapshot.audience.user_ids, snapshot.audience.regions, strict=True))
        code = snapshot.shelf.item_ids.get_indexer(lists["item_id"])
        north = lists["user_id"].map(region) == "north"
        assert (snapshot.shelf.brand_code[code[north]] == -1).all()
        assert (snapshot.shelf.brand_code[code[~north]] >= 0).any()


def test_a_pin_stands_at_its_place_but_for_its_seller(snapshot: Snapshot, champion: Champion) -> None:
    lists = full(snapshot, champion, PIN).rank(snapshot.audience, everyone(snapshot), "hybrid")
    first = lists[lists["rank"] == 1].set_index("user_id")
    seller = lists.loc[lists["item_id"] == "i003", "seller_id"].iloc[0]
    assert (first.drop(seller)["item_id"] == "i003").all()
    assert (first.drop(seller)["slot"] == "pinned").all()
    assert set(first["source"]) & {"rule"}
    assert first.loc[seller, "slot"] == "ranked"
    popular = full(snapshot, champion, PIN).rank(snapshot.audience, everyone(snapshot), "popularity")
    assert "rule" in set(popular["source"]), "a rule that names its policies acts on those"


def test_a_boost_brings_its_listings_up(snapshot: Snapshot, champion: Champion) -> None:
    options = {"variety": None, "exploration": None}
    lists = full(snapshot, champion, BOOST, **options).rank(snapshot.audience, everyone(snapshot), "hybrid")
    shown = lists[~lists["is_reserve"]]
    assert (shown["slot"] == np.where(shown["category_id"] == "toys", "boosted", "ranked")).all()
    plain = full(snapshot, champion, **options).rank(snapshot.audience, everyone(snapshot), "hybrid")
    assert (shown["category_id"] == "toys").mean() > 2 * (plain["category_id"] == "toys").mean()
    assert lists.groupby("user_id")["score"].apply(lambda s: s.is_monotonic_decreasing).all()


def test_every_step_says_what_it_cost(snapshot: Snapshot, champion: Champion) -> None:
    made = full(snapshot, champion, BOOST)
    lists = made.rank(snapshot.audience, everyone(snapshot), "hybrid")
    steps = made.steps
    assert steps["step"].tolist() == ["rules", "popularity", "caps", "diversity", "exploration"]
    assert (steps["policy"] == "hybrid").all()
    plain = ranker(snapshot, champion).rank(snapshot.audience, everyone(snapshot), "hybrid")
    for frame, column, number in ((plain, "before", 0), (lists, "after", 4)):
        shown = frame[~frame["is_reserve"]]["expected_revenue"].sum()
        assert steps[column].iloc[number] == pytest.approx(shown)
    np.testing.assert_allclose(steps["before"].iloc[1:], steps["after"].iloc[:-1])
    assert steps["after"].iloc[-1] < steps["before"].iloc[0]
    assert (steps.set_index("step")["changed"].drop("popularity") > 0).all()
    made.rank(snapshot.audience, everyone(snapshot), "popularity")
    popular = made.steps[made.steps["policy"] == "popularity"]
    assert popular["step"].tolist() == ["rules"], "nothing else is done to the popular lists"


def test_a_pin_outside_the_list_is_refused(snapshot: Snapshot, champion: Champion) -> None:
    with pytest.raises(ModelError, match="rule 'far' pins place 11 of 10"):
        full(snapshot, champion, Rule("far", "pin", {"item_id": ("i003",)}, position=11))


def test_what_the_shelf_is_asked_for_is_counted_once_for_all_regions(
    snapshot: Snapshot, champion: Champion, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []
    honest = Fit.build

    def build(shelf: Shelf) -> Fit:
        built.append(len(shelf))
        return honest(shelf)

    monkeypatch.setattr(Fit, "build", build)
    made = ranker(snapshot, champion, rules=Rules((NORTH, replace(NORTH, id="south", regions=("south",)))))
    made.rank(snapshot.audience, everyone(snapshot), "hybrid")
    assert len(made._showcases) == 2 and built == [len(snapshot.shelf)]
