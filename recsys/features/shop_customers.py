"""What is known of the customers of a shop: how often, how much, how varied; and each customer with each own item."""

from __future__ import annotations

import numpy as np

from recsys.features.shop_ledger import Ledger
from recsys.features.tables import PairTable

CUSTOMER = (
    "customer_orders",
    "customer_last",
    "customer_first",
    "customer_gap",
    "customer_due",
    "customer_lines",
    "customer_basket",
    "customer_items",
    "customer_variety",
    "customer_last_basket",
    "customer_again_3",
    "customer_again",
    "customer_spend",
    "customer_paid",
    "customer_spend_90",
    "customer_log_paid",
    "customer_log_paid_sd",
    "customer_log_price",
    "customer_quantity",
    "customer_orders_30",
    "customer_orders_90",
    "customer_orders_180",
)
COUNTED = (
    "own_n",
    "own_30",
    "own_60",
    "own_90",
    "own_180",
    "own_decay_30",
    "own_decay_90",
    "own_decay_180",
    "own_order_decay",
    "own_last_3",
    "own_last_5",
    "own_share",
    "own_share_since",
    "own_share_shrunk",
    "own_paid",
)
"""These are 0 for an item that the customer never bought; the others are then unknown."""
TIMED = (
    "own_last",
    "own_first",
    "own_gap",
    "own_due",
    "own_last_gap",
    "own_orders_since",
    "own_paid_mean",
    "own_paid_last",
    "own_paid_most",
    "own_quantity",
    "own_quantity_last",
    "own_price_last",
    "own_quantity_ratio",
)
OWN_ITEM = (*COUNTED, *TIMED)


def customer_features(ledger: Ledger) -> np.ndarray:
    """Features of each customer of ``ledger``: float32 [customers, CUSTOMER]; NaN for who bought nothing.

    Ages and gaps are in days; a gap is the mean time between orders, and due is the age of the last one by it.
    """
    n, row, age, orders = len(ledger.customers), ledger.rows, ledger.age, ledger.orders()

    def total(values: np.ndarray, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        return np.bincount(row[chosen], values[chosen].astype(np.float64), n)

    lines, again, one = total(np.ones(len(row))), ~ledger.first, np.ones(len(row))
    last, start = np.full(n, np.inf), np.zeros(n)
    np.minimum.at(last, row, age)
    np.maximum.at(start, row, age)
    latest, log_paid = orders.since < 3, ledger.log_revenue
    log_price = np.log(np.maximum(ledger.revenue / ledger.quantity, 1e-9))
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.where(orders.count > 1, (start - last) / np.maximum(orders.count - 1, 1), np.nan)
        mean = total(log_paid) / lines
        out = {
            "customer_orders": orders.count,
            "customer_last": last,
            "customer_first": start,
            "customer_gap": gap,
            "customer_due": last / np.maximum(gap, 1),
            "customer_lines": lines,
            "customer_basket": lines / orders.count,
            "customer_items": total(ledger.first),
            "customer_variety": total(ledger.first) / lines,
            "customer_last_basket": total(one, orders.since == 0),
            "customer_again_3": total(again, latest) / total(one, latest),
            "customer_again": total(again) / lines,
            "customer_spend": total(ledger.revenue),
            "customer_paid": total(ledger.revenue) / lines,
            "customer_spend_90": total(ledger.revenue, age <= 90),
            "customer_log_paid": mean,
            "customer_log_paid_sd": np.sqrt(np.maximum(total(log_paid**2) / lines - mean**2, 0)),
            "customer_log_price": total(log_price) / lines,
            "customer_quantity": total(ledger.quantity) / lines,
        }
    for days in (30, 90, 180):
        out[f"customer_orders_{days}"] = np.bincount(orders.rows[orders.age <= days], minlength=n)
    table = np.column_stack([out[name] for name in CUSTOMER]).astype(np.float32)
    table[lines == 0] = np.nan
    return table


def own_items(ledger: Ledger) -> PairTable:
    """What each customer did with each item that they bought and that is on the shelf: OWN_ITEM by (row, listing)."""
    width = ledger.listings
    if not len(ledger):
        none = np.empty(0, np.int64)
        return PairTable(none, np.empty((0, len(OWN_ITEM)), np.float32), width)
    start = np.flatnonzero(ledger.first)
    end = np.concatenate([start[1:], [len(ledger)]]) - 1
    values = _own(ledger, start, end)
    row, column = ledger.rows[start], ledger.columns[start]
    live = column < width
    table = np.column_stack([values[name][live] for name in OWN_ITEM])
    return PairTable.build(row[live], column[live], table, width)


def _own(ledger: Ledger, start: np.ndarray, end: np.ndarray) -> dict[str, np.ndarray]:
    """The fields of the pairs whose purchases run from ``start`` to ``end``, oldest first."""
    age, paid, quantity, orders = ledger.age, ledger.revenue, ledger.quantity, ledger.orders()
    since, placed = orders.since, orders.count[ledger.rows[start]]

    def total(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values.astype(np.float64), start)

    n = total(np.ones(len(age)))
    gap = np.where(n > 1, (age[start] - age[end]) / np.maximum(n - 1, 1), np.nan)
    known = since[start] + 1.0
    out = {f"own_{days}": total(age <= days) for days in (30, 60, 90, 180)}
    out |= {f"own_decay_{days}": total(np.exp2(-age / days)) for days in (30, 90, 180)}
    return out | {
        "own_n": n,
        "own_order_decay": total(np.exp2(-since / 3)),
        "own_last_3": total(since < 3) / np.minimum(placed, 3),
        "own_last_5": total(since < 5) / np.minimum(placed, 5),
        "own_share": n / placed,
        "own_share_since": n / known,
        "own_share_shrunk": (n + 0.3) / (known + 3),
        "own_paid": total(paid),
        "own_last": age[end],
        "own_first": age[start],
        "own_gap": gap,
        "own_due": age[end] / np.maximum(gap, 1),
        "own_last_gap": np.where(n > 1, age[np.maximum(end - 1, 0)] - age[end], np.nan),
        "own_orders_since": since[end],
        "own_paid_mean": total(paid) / n,
        "own_paid_last": paid[end],
        "own_paid_most": np.maximum.reduceat(paid, start),
        "own_quantity": total(quantity) / n,
        "own_quantity_last": quantity[end],
        "own_price_last": paid[end] / quantity[end],
        "own_quantity_ratio": quantity[end] / (total(quantity) / n),
    }
