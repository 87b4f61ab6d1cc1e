from __future__ import annotations

import unicodedata

import numpy as np
import pandas as pd
import pytest

from recsys.schema import EVENT_TYPES, table
from recsys.synthetic import queries
from recsys.synthetic.tables import source_tables
from recsys.warehouse.frames import to_contract
from tests.synthetic.lived import Lived


@pytest.fixture(scope="module")
def tables(lived: Lived) -> dict[str, pd.DataFrame]:
    return source_tables(lived.state)


def test_every_table_meets_its_contract(lived: Lived, tables: dict[str, pd.DataFrame]) -> None:
    for name, frame in tables.items():
        contract = table(name)
        assert to_contract(contract, frame, None).num_rows == len(frame) > 0
        assert not frame.duplicated(list(contract.key)).any(), name
    to_contract(table("marketplace.events"), lived.events, None)
    to_contract(table("marketplace.campaign_daily"), lived.campaign_daily, None)


def test_references_resolve(tables: dict[str, pd.DataFrame]) -> None:
    items, users = tables["marketplace.items"], set(tables["marketplace.users"]["user_id"])
    sellers = set(tables["marketplace.sellers"]["seller_id"])
    assert sellers <= users
    assert set(items["seller_id"]) <= sellers
    categories = tables["marketplace.item_category"].set_index("category_id")
    assert (categories.loc[items["category_id"].unique(), "level"] == 2).all()
    assert set(categories["parent_id"].dropna()) <= set(categories.index)
    campaigns = tables["marketplace.campaigns"]
    assert set(campaigns["item_id"]) <= set(items["item_id"])
    assert set(tables["marketplace.campaign_keywords"]["campaign_id"]) <= set(campaigns["campaign_id"])


def test_a_closed_listing_says_why_and_an_open_one_does_not(tables: dict[str, pd.DataFrame]) -> None:
    items = tables["marketplace.items"]
    closed = items["closed_at"].notna()
    assert items.loc[closed, "close_reason"].isin(["sold", "withdrawn", "expired"]).all()
    assert items.loc[~closed, "close_reason"].isna().all()
    assert set(items["close_reason"].dropna()) == {"sold", "withdrawn", "expired"}
    assert (items.loc[closed, "closed_at"] >= items.loc[closed, "listed_at"]).all()
    assert (items["auction_ends_at"].notna() == (items["sale_type"] == "auction")).all()
    sold = items["close_reason"] == "sold"
    assert (items.loc[sold, "stock"] == 0).all()
    assert (items.loc[~sold, "stock"] > 0).all()


def test_price_changes_begin_with_the_first_price_and_end_with_the_present_one(
    tables: dict[str, pd.DataFrame],
) -> None:
    items = tables["marketplace.items"].set_index("item_id")
    changes = tables["marketplace.price_changes"].sort_values("changed_at", kind="stable")
    first, last = changes.groupby("item_id").first(), changes.groupby("item_id").last()
    assert (first["changed_at"] == items["listed_at"].reindex(first.index)).all()
    assert (last["price"] == items["price"].reindex(last.index)).all()
    assert (changes.groupby("item_id")["price"].diff().dropna() < 0).all()
    assert len(changes) > len(items)


def test_titles_are_as_odd_as_people_write_them(tables: dict[str, pd.DataFrame]) -> None:
    titles = tables["marketplace.items"]["title"]
    japanese = titles.map(lambda text: any("CJK" in unicodedata.name(c, "") for c in text))
    emoji = titles.map(lambda text: any(unicodedata.category(c) == "So" for c in text))
    assert 0.05 < japanese.mean() < 0.3
    assert 0.01 < emoji.mean() < 0.15
    assert titles.str.contains('"').any()
    assert titles.str.contains("'").any()
    assert tables["marketplace.items"]["description"].str.contains("\n").any()


def test_every_kind_of_event_and_of_fault_occurs(lived: Lived) -> None:
    events = lived.events
    assert set(events["event_type"]) == {*EVENT_TYPES, "teleport"}
    lateness = (events["ingested_at"].dt.normalize().dt.tz_localize(None) - events["event_date"]).dt.days
    assert {0, 1, 2} <= set(lateness)
    assert (lateness > 2).any()
    assert (lateness < 0).any()
    assert events["event_id"].duplicated().any()
    assert (events["user_id"] == "u-unknown").any()
    assert (events["item_id"] == "i-unknown").any()
    assert (events["amount"] < 0).any()
    assert (events["item_id"].isna() & (events["event_type"] == "view")).any()
    share = 1 - len(lived.good) / len(events)
    assert 0.001 < share < 0.02


def test_events_lie_inside_their_day_and_after_registration(
    lived: Lived, tables: dict[str, pd.DataFrame]
) -> None:
    good = lived.good
    assert (good["event_ts"].dt.tz_localize(None).dt.normalize() == good["event_date"]).all()
    registered = tables["marketplace.users"].set_index("user_id")["registered_at"]
    assert (good["event_ts"].to_numpy() >= registered.loc[good["user_id"]].to_numpy()).all()


def test_amounts_are_what_the_contract_says(lived: Lived, tables: dict[str, pd.DataFrame]) -> None:
    good = lived.good
    price = tables["marketplace.items"].set_index("item_id")["price"]
    bought = good[good["event_type"] == "purchase"]
    assert (bought["quantity"] == 1).all()
    offers = good[good["event_type"] == "offer"]
    # An offer stays below the price asked on that day, and prices only fall.
    first = tables["marketplace.price_changes"].groupby("item_id")["price"].max()
    assert (offers["amount"] < first.loc[offers["item_id"]].to_numpy()).all()
    cancels = good[good["event_type"] == "cancel"].merge(
        bought, on=["user_id", "item_id"], suffixes=("", "_bought")
    )
    assert len(cancels) > 5
    assert (cancels["amount"] == cancels["amount_bought"]).all()
    assert (cancels["event_ts"] >= cancels["event_ts_bought"]).all()
    assert (price > 0).all()


def test_bids_rise_and_the_highest_wins(lived: Lived, tables: dict[str, pd.DataFrame]) -> None:
    good = lived.good
    items = tables["marketplace.items"].set_index("item_id")
    bids = good[good["event_type"] == "bid"].sort_values(["item_id", "event_ts"], kind="stable")
    assert (bids.groupby("item_id")["amount"].diff().dropna() > 0).all()
    assert (bids["amount"].to_numpy() >= items.loc[bids["item_id"], "price"].to_numpy()).all()
    top = bids.groupby("item_id").last()
    won = good[(good["event_type"] == "purchase") & good["item_id"].isin(top.index)].set_index("item_id")
    sold = items.loc[top.index, "close_reason"] == "sold"
    assert set(won.index) <= set(top.index[sold])
    both = won.join(top, rsuffix="_bid")
    # A few bids are late, so the top one known may not be the last.
    assert (both["amount"] >= both["amount_bid"]).all()
    assert (both["user_id"] == both["user_id_bid"]).mean() > 0.9


def test_campaigns_get_clicks_through_their_keywords(lived: Lived, tables: dict[str, pd.DataFrame]) -> None:
    daily, keywords = lived.campaign_daily, tables["marketplace.campaign_keywords"]
    assert (daily["impressions"] >= daily["clicks"]).all()
    assert (daily["clicks"] >= daily["purchases"]).all()
    assert daily["impressions"].sum() > 100
    known = set(zip(keywords["campaign_id"], keywords["keyword"], strict=True))
    assert set(zip(daily["campaign_id"], daily["keyword"], strict=True)) <= known
    searched = set(lived.good.loc[lived.good["event_type"] == "search", "query"])
    assert len(searched & set(keywords["keyword"])) > 5
    assert np.allclose(daily.loc[daily["purchases"] == 0, "spend"], 0)


def test_a_phrase_reads_back() -> None:
    code = queries.encode(np.array([3]), np.array([1]), queries.brand_modifier(np.array([2])), np.array([0]))
    assert queries.leaf_of(code) == 3
    assert queries.brand_of(code) == 2
    assert queries.text(int(code[0])).endswith("shoulder bag")
