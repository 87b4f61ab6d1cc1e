"""What is known of the items of a shop: how they sell, to whom again, at what price."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys.features.shop_ledger import Ledger

SOLD_WINDOWS = (7, 14, 28, 56, 112, 400)
SHOP_ITEM = (
    *(f"item_sold_{days}" for days in SOLD_WINDOWS),
    "item_trend_7",
    "item_trend_14",
    "item_trend_28",
    "item_trend_112",
    "item_last",
    "item_first",
    "item_fading",
    "item_buyers",
    "item_again",
    "item_again_56",
    "item_gap",
    "item_log_paid",
    "item_paid",
    "item_price",
    "item_price_change",
    "item_quantity",
    "item_new_buyers",
)
NEVER = 999.0
MOST_REGIONS = 50


def shop_item_features(ledger: Ledger) -> np.ndarray:
    """Features of every listing, from the purchases of all customers: float32 [listings, SHOP_ITEM].

    ``item_sold_N`` is sales per week of the last N days (of as many as there are); trends are ratios of them; ages and
    the mean gap between two purchases of one customer are in days; ``item_again`` is the share of sales to customers
    who had bought it before. NaN where it is not known.
    """
    n, column, age, first = ledger.listings + 1, ledger.columns, ledger.age, ledger.first

    def count(chosen: np.ndarray) -> np.ndarray:
        return np.bincount(column[chosen], minlength=n).astype(np.float64)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(column, values, n)

    every = np.ones(len(ledger), bool)
    sold, buyers = count(every), count(first)
    week = {days: count(age <= days) / (min(days, ledger.days) / 7) for days in SOLD_WINDOWS}
    last, start = np.full(n, NEVER), np.zeros(n)
    np.minimum.at(last, column, age)
    np.maximum.at(start, column, age)
    before = np.concatenate([[0.0], age[:-1]]) if len(age) else age
    out = {f"item_sold_{days}": values for days, values in week.items()}
    for name, (short, long) in {"7": (7, 28), "14": (14, 56), "28": (28, 112), "112": (28, 400)}.items():
        out[f"item_trend_{name}"] = (week[short] + 0.3) / (week[long] + 0.3)
    recent = age <= 56
    price = _median(ledger, every)
    out |= {
        "item_last": last,
        "item_first": start,
        "item_fading": last * week[28],
        "item_buyers": buyers,
        "item_again": count(~first) / np.maximum(sold, 1),
        "item_again_56": (count(recent & ~first) + 1) / (count(recent) + 3),
        "item_gap": total(np.where(first, 0.0, before - age)) / np.maximum(sold - buyers, 1),
        "item_log_paid": total(ledger.log_revenue) / np.maximum(sold, 1),
        "item_paid": total(ledger.revenue) / np.maximum(sold, 1),
        "item_price": price,
        "item_price_change": _median(ledger, age <= 28) / price,
        "item_quantity": total(ledger.quantity) / np.maximum(sold, 1),
        "item_new_buyers": count(first & (age <= 28)),
    }
    return np.column_stack([out[name][:-1] for name in SHOP_ITEM]).astype(np.float32)


def _median(ledger: Ledger, chosen: np.ndarray) -> np.ndarray:
    """Median price paid per piece, by column; NaN where nothing was."""
    price = np.maximum(ledger.revenue[chosen] / ledger.quantity[chosen], 1e-9)
    medians = pd.Series(price).groupby(ledger.columns[chosen]).median()
    return medians.reindex(range(ledger.listings + 1)).to_numpy(np.float64)


def regional_sales(ledger: Ledger, regions: np.ndarray) -> tuple[pd.Index, np.ndarray, np.ndarray]:
    """How much of what was sold in 56 days went where: names, share of all sales [regions + 1], of each item's.

    ``regions`` are those of the ledger's customers. Shares of an item, float32 [regions + 1, listings], are shrunk
    towards those of all sales by one sale. The MOST_REGIONS largest regions are told apart; the last row is the rest.
    """
    counts = pd.Series(regions).value_counts(sort=False).sort_index(kind="stable")
    largest = counts.sort_values(ascending=False, kind="stable").index[:MOST_REGIONS]
    names = pd.Index(sorted(map(str, largest)), dtype=object)
    place = names.get_indexer(pd.Index(regions, dtype=object))
    place = np.where(place < 0, len(names), place)
    recent = ledger.age <= 56
    shape = (len(names) + 1, ledger.listings + 1)
    cell = place[ledger.rows[recent]] * shape[1] + ledger.columns[recent]
    sold = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    everywhere = (sold.sum(axis=1) + 1.0) / (sold.sum() + shape[0])
    shares = (sold + everywhere[:, None]) / (sold.sum(axis=0) + 1.0)
    return names, everywhere.astype(np.float32), shares[:, :-1].astype(np.float32)
