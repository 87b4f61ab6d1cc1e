"""The customers of a shop with repeats, with all that their purchases and everybody's say."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pandas as pd

from recsys.features.audience import Audience
from recsys.features.shelf import Shelf
from recsys.features.shop_customers import customer_features, own_items
from recsys.features.shop_items import regional_sales, shop_item_features
from recsys.features.shop_ledger import Ledger
from recsys.features.tables import PairTable
from recsys.schema import ITEM_ID, USER_ID

PURCHASES = (USER_ID, ITEM_ID, "event_date", "quantity", "revenue")
"""Columns of the purchases that ``ShopAudience.of`` reads."""


@dataclass(frozen=True)
class ShopAudience(Audience):
    """An audience that remembers every purchase.

    ``sold`` is float32 [listings, SHOP_ITEM], ``customers`` float32 [users, CUSTOMER], ``bought`` OWN_ITEM by (user,
    listing). ``region_row`` says which row of ``region_share`` [regions] and ``item_region_share`` [regions, listings]
    is that of each user. ``log_paid`` is the mean log of what one line of an order costs.
    """

    sold: np.ndarray
    customers: np.ndarray
    bought: PairTable
    region_row: np.ndarray
    region_share: np.ndarray
    item_region_share: np.ndarray
    log_paid: float

    @classmethod
    def of(cls, audience: Audience, shelf: Shelf, purchases: pd.DataFrame, regions: pd.Series) -> Self:
        """Add what ``purchases`` say, those of everybody up to the end of the audience's day.

        Args:
            audience: the users.
            shelf: the listings.
            purchases: [user_id, item_id, event_date, quantity, revenue], one row per user, item and day.
            regions: region by user_id, of everybody.
        """
        ledger = Ledger.from_frame(purchases, shelf.item_ids, audience.as_of)
        where = regions.reindex(ledger.customers).fillna("").to_numpy(object)
        names, share, of_items = regional_sales(ledger, where)
        row = names.get_indexer(pd.Index(audience.regions, dtype=object))
        mine = ledger.of(audience.user_ids)
        return cls(
            **{field.name: getattr(audience, field.name) for field in fields(Audience)},
            sold=shop_item_features(ledger),
            customers=customer_features(mine),
            bought=own_items(mine),
            region_row=np.where(row < 0, len(names), row),
            region_share=share,
            item_region_share=of_items,
            log_paid=float(ledger.log_revenue.mean()) if len(ledger) else 0.0,
        )
