"""What a shop's purchases say of its items, its customers and both together; by hand, and never from later days."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from recsys.features.history import DAILY
from recsys.features.shop_audience import ShopAudience
from recsys.features.shop_customers import COUNTED, CUSTOMER, OWN_ITEM, customer_features, own_items
from recsys.features.shop_items import NEVER, SHOP_ITEM, regional_sales, shop_item_features
from recsys.features.shop_ledger import Ledger
from recsys.features.shop_pairs import SHOP_FEATURES, SHOP_RETRIEVED, Within, shop_pair_features
from recsys.ranking.shop_data import ShopData

DS = date(2026, 3, 31)
AS_OF = int((np.datetime64(DS) - np.datetime64("1970-01-01")).astype(int))
SHELF = pd.Index(["cup", "mug", "pan", "pot"], dtype=object)


def bought(rows: list[tuple[str, str, int, float, float]]) -> pd.DataFrame:
    """From (user, item, days ago, quantity, revenue)."""
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "ago", "quantity", "revenue"])
    frame["event_date"] = pd.Timestamp(DS) - pd.to_timedelta(frame["ago"], unit="D")
    return frame


ROWS = [
    ("ann", "cup", 60, 2.0, 4.0),
    ("ann", "pan", 60, 1.0, 20.0),
    ("ann", "cup", 20, 6.0, 12.0),
    ("ann", "gone", 20, 1.0, 5.0),
    ("bob", "cup", 10, 10.0, 10.0),
    ("bob", "pan", 5, 1.0, 30.0),
]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger.from_frame(bought(ROWS), SHELF, AS_OF)


def test_the_ledger_is_in_order_and_keeps_what_left_the_shelf(ledger: Ledger) -> None:
    assert ledger.customers.tolist() == ["ann", "bob"]
    assert ledger.columns.tolist() == [0, 0, 2, 4, 0, 2]
    assert ledger.age.tolist() == [61, 21, 61, 21, 11, 6]
    assert ledger.first.tolist() == [True, False, True, True, True, True]
    assert ledger.days == 61
    orders = ledger.orders()
    assert orders.count.tolist() == [2, 2]
    assert orders.since.tolist() == [1, 0, 1, 0, 1, 0]
    assert orders.age.tolist() == [61, 21, 11, 6]


def test_items_by_hand(ledger: Ledger) -> None:
    found = pd.DataFrame(shop_item_features(ledger), columns=SHOP_ITEM, index=SHELF)
    cup = found.loc["cup"]
    assert cup["item_sold_14"] == pytest.approx(1 / 2)
    assert cup["item_sold_28"] == pytest.approx(2 / 4)
    assert cup["item_sold_400"] == pytest.approx(3 / (61 / 7))  # no more days than there are
    assert cup["item_last"] == 11 and cup["item_first"] == 61
    assert cup["item_buyers"] == 2
    assert cup["item_again"] == pytest.approx(1 / 3)
    assert cup["item_gap"] == 40
    assert cup["item_price"] == 2.0  # of 2, 2 and 1
    assert cup["item_price_change"] == pytest.approx(1.5 / 2)
    assert cup["item_paid"] == pytest.approx(26 / 3)
    assert cup["item_new_buyers"] == 1
    mug = found.loc["mug"]
    assert mug["item_last"] == NEVER and np.isnan(mug["item_price"]) and mug["item_sold_400"] == 0


def test_customers_by_hand(ledger: Ledger) -> None:
    mine = ledger.of(pd.Index(["ann", "bob", "cid"], dtype=object))
    found = pd.DataFrame(customer_features(mine), columns=CUSTOMER, index=["ann", "bob", "cid"])
    ann = found.loc["ann"]
    assert ann["customer_orders"] == 2 and ann["customer_gap"] == 40
    assert ann["customer_last"] == 21 and ann["customer_due"] == pytest.approx(21 / 40)
    assert ann["customer_lines"] == 4 and ann["customer_items"] == 3 and ann["customer_variety"] == 0.75
    assert ann["customer_again"] == 0.25 and ann["customer_spend"] == 41 and ann["customer_spend_90"] == 41
    assert ann["customer_last_basket"] == 2 and ann["customer_orders_30"] == 1
    assert found.loc["cid"].isna().all()


def test_own_items_by_hand(ledger: Ledger) -> None:
    own = own_items(ledger.of(pd.Index(["ann"], dtype=object)))
    values, had = own.find(np.array([0, 0]), np.array([0, 1]))
    assert had.tolist() == [True, False]
    cup = dict(zip(OWN_ITEM, values[0], strict=True))
    assert cup["own_n"] == 2 and cup["own_30"] == 1 and cup["own_180"] == 2
    assert cup["own_last"] == 21 and cup["own_first"] == 61 and cup["own_gap"] == cup["own_last_gap"] == 40
    assert cup["own_due"] == pytest.approx(21 / 40)
    assert cup["own_share"] == 1 and cup["own_share_shrunk"] == pytest.approx(2.3 / 5)
    assert cup["own_decay_30"] == pytest.approx(2 ** (-61 / 30) + 2 ** (-21 / 30))
    assert cup["own_paid"] == 16 and cup["own_paid_last"] == 12 and cup["own_price_last"] == 2
    assert cup["own_quantity_ratio"] == pytest.approx(6 / 4)


def test_regions_count_as_much_as_they_buy(ledger: Ledger) -> None:
    names, share, of_items = regional_sales(ledger, np.array(["north", "south"], dtype=object))
    assert names.tolist() == ["north", "south"]
    assert share.sum() == pytest.approx(1)
    assert share.tolist() == pytest.approx(
        [3 / 7, 3 / 7, 1 / 7]
    )  # two sales each within 56 days, one more for all
    assert of_items[:, 2].tolist() == pytest.approx([3 / 14, (1 + 3 / 7) / 2, 1 / 14])


def test_ranks_and_shares_are_within_one_customer() -> None:
    within = Within(np.array([0, 0, 0, 7, 7]))
    values = np.array([1.0, 3.0, 3.0, 5.0, 6.0])
    assert within.rank(values).tolist() == [2, 0, 1, 1, 0]
    assert within.total(values).tolist() == [7, 7, 7, 11, 11]
    assert within.most(values).tolist() == [3, 3, 3, 6, 6]
    assert within.z(values)[3:].tolist() == [-1, 1]
    assert Within(np.empty(0, np.int64)).rank(np.empty(0)).tolist() == []


def shop(seed: int = 0, users: int = 20, items: int = 8) -> ShopData:
    rng = np.random.default_rng(seed)
    rows = [
        (f"u{u:02d}", f"i{i}", int(ago))
        for u in range(users)
        for i in range(items)
        for ago in rng.integers(0, 300, 2)
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "ago"]).drop_duplicates()
    frame["event_date"] = pd.Timestamp(DS) - pd.to_timedelta(frame["ago"] - 100, unit="D")
    frame = frame.assign(views=0, likes=0, carts=0, purchases=1)
    frame["quantity"] = rng.integers(1, 9, len(frame)).astype(float)
    frame["revenue"] = frame["quantity"] * 2.5
    catalogue = pd.DataFrame(
        {"item_id": [f"i{i}" for i in range(items)], "seller_id": "", "category_id": "all"}
    )
    catalogue = catalogue.assign(
        price=2.5, take_rate=1.0, listed_at=pd.Timestamp("2020-01-01"), closed_on=pd.NaT
    )
    regions = pd.DataFrame(
        {"user_id": [f"u{u:02d}" for u in range(users)], "region": ["n", "s"] * (users // 2)}
    )
    return ShopData(frame[list(DAILY)], catalogue, regions)


def features_of(data: ShopData, users: list[str] | None = None) -> np.ndarray:
    snapshot = data.snapshot(DS, None if users is None else pd.Index(users, dtype=object))
    audience = snapshot.audience
    assert isinstance(audience, ShopAudience)
    rows = np.repeat(np.arange(len(audience)), len(snapshot.shelf))
    items = np.tile(np.arange(len(snapshot.shelf)), len(audience))
    place = np.array([int(u[1:]) for u in audience.user_ids])[rows] * len(snapshot.shelf) + items
    scores = {name: np.cos(place + n).astype(np.float32) for n, name in enumerate(SHOP_RETRIEVED)}
    return shop_pair_features(audience, rows, items, scores)


def test_features_of_an_evening_do_not_change_by_what_comes_later() -> None:
    data = shop()
    later = data.daily["event_date"] > pd.Timestamp(DS)
    assert 50 < later.sum() < len(later) - 50
    poisoned = data.daily.copy()
    poisoned.loc[later, ["quantity", "revenue", "purchases"]] = 1e9
    poisoned.loc[later, "item_id"] = "i0"
    before = features_of(data)
    np.testing.assert_array_equal(before, features_of(ShopData(poisoned, data.items, data.users)))
    np.testing.assert_array_equal(before, features_of(ShopData(data.daily[~later], data.items, data.users)))
    sooner = data.daily.copy()
    sooner.loc[~later, "revenue"] *= 2
    assert not np.array_equal(before, features_of(ShopData(sooner, data.items, data.users)), equal_nan=True)


def test_features_do_not_depend_on_who_else_is_asked_for() -> None:
    data = shop()
    few = ["u03", "u11", "u12"]
    whole, part = features_of(data), features_of(data, few)
    of_few = np.isin(np.repeat(np.arange(20), 8), [3, 11, 12])
    np.testing.assert_array_equal(whole[of_few], part)
    assert part.shape[1] == len(SHOP_FEATURES) == len(set(SHOP_FEATURES))


def test_a_customer_who_bought_nothing_has_features_that_say_so() -> None:
    table = features_of(shop(), ["u03", "u99"])
    unknown = pd.DataFrame(table[8:], columns=SHOP_FEATURES)
    assert (unknown[list(COUNTED)] == 0).all(axis=None)
    assert unknown["own_last"].isna().all() and unknown["customer_orders"].isna().all()
    assert unknown["item_sold_28"].notna().all()
