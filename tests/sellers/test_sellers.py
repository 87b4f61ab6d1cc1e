from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.sellers import weights as weights_module
from recsys.sellers.factors import NAMES, Factors, popularity
from recsys.sellers.market import Market
from recsys.sellers.recommend import most_popular, recommend
from recsys.sellers.weights import Weights, learn
from tests.sellers.planted import BUYERS, CATEGORIES, DS, SELLERS, frames, later


@pytest.fixture(scope="module")
def market() -> Market:
    return Market.from_frames(frames(), DS)


@pytest.fixture(scope="module")
def factors(market: Market) -> Factors:
    return Factors(market)


@pytest.fixture(scope="module")
def learned(factors: Factors) -> Weights:
    return learn(factors, later(), np.random.default_rng(0))


@pytest.fixture(scope="module")
def lists(factors: Factors, learned: Weights) -> pd.DataFrame:
    return recommend(factors, learned, np.arange(len(factors.market.users)), 4)


def test_buyers_are_led_to_the_sellers_of_what_they_look_for(lists: pd.DataFrame) -> None:
    buyers = lists[lists["user_id"].str.match(r"u\d")]
    wanted = buyers["user_id"].str[1:].astype(int) % CATEGORIES
    sold = buyers["seller_id"].str[1:].astype(int) % CATEGORIES
    first = buyers["rank"] == 1
    assert (wanted == sold)[first].mean() > 0.95


def test_nobody_meets_themselves_whom_they_know_or_who_has_nothing(
    market: Market, factors: Factors, learned: Weights
) -> None:
    everything = recommend(factors, learned, np.arange(len(market.users)), SELLERS)
    shown = set(zip(everything["user_id"], everything["seller_id"], strict=True))
    ties = frames()["ties"]
    known = ties[ties["purchases"] > 0]
    assert not shown & set(zip(known["user_id"], known["seller_id"], strict=True))
    assert ("s00", "s00") not in shown and ("s00", "s01") in shown
    assert f"s{SELLERS - 1:02d}" not in set(everything["seller_id"])
    # All the others are there.
    left = (SELLERS - 1) * len(market.users) - 1
    left -= len(known[known["seller_id"] != f"s{SELLERS - 1:02d}"].drop_duplicates(["user_id", "seller_id"]))
    assert len(everything) == left


def test_a_follow_bars_as_a_purchase_does() -> None:
    given = frames()
    row = pd.DataFrame(
        {"user_id": ["u_new"], "seller_id": ["s05"], "weight": [5.0], "follows": [1], "purchases": [0]}
    )
    given["ties"] = pd.concat([given["ties"], row], ignore_index=True)
    followed = Market.from_frames(given, DS)
    place = followed.users.get_indexer(pd.Index(["u_new"]))
    assert "s05" not in set(most_popular(followed, place, SELLERS)["seller_id"])


def test_a_score_is_the_sum_of_what_the_factors_add(lists: pd.DataFrame) -> None:
    total = lists[[f"by_{name}" for name in NAMES]].sum(axis=1)
    assert np.allclose(total, lists["score"])
    assert (lists.groupby("user_id")["score"].diff().dropna() <= 1e-5).all()
    assert (lists.groupby("user_id")["rank"].agg(list).map(lambda r: r == [1, 2, 3, 4])).all()


def test_parts_of_the_users_give_the_same_lists(
    factors: Factors, learned: Weights, lists: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_module, "BLOCK_CELLS", 7 * SELLERS)
    again = recommend(factors, learned, np.arange(len(factors.market.users)), 4)
    pd.testing.assert_frame_equal(again, lists)


def test_memory_does_not_grow_with_users_times_categories(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 buyers and 1,000 categories are 160 MB as one array of doubles; a block of buyers holds its own part."""
    given = frames()
    kinds = [f"k{n:04d}" for n in range(1_000)]
    shelf = given["listings"].iloc[:1].drop(columns=["item_id", "category_id"])
    more = shelf.merge(pd.DataFrame({"item_id": kinds, "category_id": kinds}), how="cross")
    crowd = given["users"].iloc[-1:].drop(columns="user_id")
    crowd = crowd.merge(pd.DataFrame({"user_id": [f"v{n:05d}" for n in range(20_000)]}), how="cross")
    given["listings"] = pd.concat([given["listings"], more])
    given["users"] = pd.concat([given["users"], crowd])
    market = Market.from_frames(given, DS)
    monkeypatch.setattr(weights_module, "BLOCK_CELLS", 500 * 1_000)
    (block, *others) = weights_module.blocks(market, np.arange(len(market.users)))
    assert len(block) < 500 and others
    tracemalloc.start()
    made = recommend(Factors(market), weights_module.STATED, block, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(made) == 3 * len(block)
    assert peak < 100e6


def test_reasons_are_true(lists: pd.DataFrame) -> None:
    listings, touched = frames()["listings"], frames()["touched"]
    live = listings[listings["is_live"]].groupby("seller_id").size()
    assert (lists["live_listings"] == lists["seller_id"].map(live)).all()
    told = lists[lists["reason"].str.contains("listings in Kind")]
    assert len(told) > BUYERS
    kinds = touched.merge(listings)[["user_id", "category_name"]].drop_duplicates()
    looked = set(zip(kinds["user_id"], kinds["category_name"], strict=True))
    for user, seller, reason in told[["user_id", "seller_id", "reason"]].itertuples(index=False):
        kind = f"Kind {int(seller[1:]) % CATEGORIES}"
        assert reason.startswith(f"They have 3 listings in {kind}")
        assert reason.endswith("where you have looked around.") == ((user, kind) in looked)


def test_few_people_are_not_counted_aloud() -> None:
    given = frames()
    given["touched"] = given["touched"].iloc[:0]
    given["ties"] = pd.DataFrame(
        {
            "user_id": ["u00", "u01", "u02", "u03", "u04"],
            "seller_id": ["s01", "s01", "s01", "s02", "s02"],
            "weight": 5.0,
            "follows": 1,
            "purchases": 0,
        }
    )
    crowd = Market.from_frames(given, DS)
    only = Weights(np.zeros(len(NAMES)), np.ones(len(NAMES)), (np.array(NAMES) == "popular") * 1.0, 1)
    place = crowd.users.get_indexer(pd.Index(["u_new"]))
    lists = recommend(Factors(crowd), only, place, 2)
    assert lists["seller_id"].tolist() == ["s01", "s02"]
    assert lists["reason"].tolist() == [
        "3 people follow them or bought from them.",
        "They have 3 listings to look at.",
    ]


def test_a_small_shelf_and_an_old_one_say_less() -> None:
    given = frames()
    listings = given["listings"]
    # s01 and s05 sell the same; s05 has one listing of it, and that is old.
    listings.loc[(listings["seller_id"] == "s05") & (listings.index % 3 > 0), "is_live"] = False
    listings.loc[listings["seller_id"] == "s05", "listed_on"] = pd.Timestamp(DS) - pd.Timedelta(days=90)
    listings.loc[listings["seller_id"] == "s01", "listed_on"] = pd.Timestamp(DS)
    thin = Factors(Market.from_frames(given, DS))
    place = thin.market.users.get_indexer(pd.Index(["u01"]))
    values = thin.block(place)[0, :, NAMES.index("content")]
    sellers = list(thin.market.shelf.seller_ids)
    assert values[sellers.index("s01")] > 2 * values[sellers.index("s05")] > 0


def test_popularity_counts_who_follows_or_bought(market: Market) -> None:
    ties = frames()["ties"]
    bought = ties[ties["purchases"] > 0].groupby("seller_id")["weight"].sum()
    expected = bought.reindex(market.shelf.seller_ids).fillna(0).to_numpy()
    assert np.allclose(popularity(market), expected)
    new = market.users.get_indexer(pd.Index(["u_new"]))
    order = market.shelf.seller_ids[np.argsort(-expected, kind="stable")[:5]]
    assert most_popular(market, new, 5)["seller_id"].tolist() == list(order)


def test_weights_survive_a_table(learned: Weights) -> None:
    again = Weights.from_frame(learned.to_frame().sample(frac=1, random_state=0))
    assert np.array_equal(again.weight, learned.weight) and again.pairs == learned.pairs
    with pytest.raises(ModelError, match="Run train_weekly"):
        Weights.from_frame(learned.to_frame().iloc[1:])


def test_too_little_to_learn_from_is_told(factors: Factors) -> None:
    with pytest.raises(ModelError, match="30 are needed"):
        learn(factors, later().head(3), np.random.default_rng(0))


def test_a_market_without_people_gives_no_lists(factors: Factors, learned: Weights) -> None:
    lists = recommend(factors, learned, np.empty(0, int), 4)
    assert lists.empty and "reason" in lists


def test_a_seller_whom_nobody_rated_is_not_said_to_be_rated() -> None:
    """In a market where most are rated 4.8, who has no rating is drawn there too: that is not what buyers said."""
    given = frames()
    given["sellers"] = given["sellers"].assign(rating=4.8, own_rating=4.9, ratings=50)
    facts = {"s01": (np.nan, 0), "s02": (5.0, 2), "s03": (4.2, 3)}
    for seller, (own, count) in facts.items():
        given["sellers"].loc[given["sellers"]["seller_id"] == seller, ["own_rating", "ratings"]] = own, count
    rated = Market.from_frames(given, DS)
    only = Weights(np.zeros(len(NAMES)), np.ones(len(NAMES)), (np.array(NAMES) == "rating") * 1.0, 1)
    lists = recommend(Factors(rated), only, rated.users.get_indexer(pd.Index(["u_new"])), SELLERS)
    told = lists.set_index("seller_id")["reason"]
    assert (told[["s01", "s02", "s03"]] == "They have 3 listings to look at.").all()
    assert (told.drop(["s01", "s02", "s03"]) == "Buyers rate them 4.9 of 5.").all()


def test_with_one_seller_there_is_nothing_to_learn() -> None:
    given = frames()
    given["listings"] = given["listings"].assign(seller_id="s00")
    given["ties"] = given["ties"].head(0)
    with pytest.raises(ModelError, match="of 1 with a live listing"):
        learn(
            Factors(Market.from_frames(given, DS)), later().assign(seller_id="s00"), np.random.default_rng(0)
        )


def test_of_several_categories_the_one_that_fits_most_is_told() -> None:
    """It is the one with most of the buyer's interest times the seller's listings."""
    given = frames()
    given["listings"].loc[1, ["category_id", "category_name"]] = (
        "c3",
        "Kind 3",
    )  # s00: two of Kind 0, one of Kind 3
    market = Market.from_frames(given, DS)
    factors = Factors(market)
    only = Weights(np.full(len(NAMES), -20.0), np.ones(len(NAMES)), (np.array(NAMES) == "category") * 1.0, 1)
    place = market.users.get_indexer(pd.Index(["u00", "u03"]))
    reasons = recommend(factors, only, place, SELLERS).set_index(["user_id", "seller_id"])["reason"]
    fit = factors.interest(place) * np.array([2, 0, 0, 1])
    assert fit.argmax(axis=1).tolist() == [0, 3]
    kept = reasons[reasons.index.get_level_values("seller_id") == "s00"].to_dict()
    assert all(f"in Kind {user[-1]}" in reason for (user, _), reason in kept.items()) and kept
