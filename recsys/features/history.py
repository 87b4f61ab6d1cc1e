"""The feature frames of any past day out of one long table of daily actions.

A shop that sells the same items again and again needs months of history to learn when a customer comes back. Building
the feature tables of all those days only for that would be waste, so the few columns that matter are computed here, as
of any day, in training and in scoring alike. Definitions are those of ``include/sql/features``.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from recsys.features.shop_audience import PURCHASES
from recsys.schema import CATEGORY_ID, GROUP_ID, ITEM_ID, USER_ID

DAILY = (USER_ID, ITEM_ID, "event_date", "views", "likes", "carts", "purchases", "quantity", "revenue")
"""Columns of the long table; one row per user, item and day."""
HALF_LIFE_DAYS = 30.0


def frames_as_of(
    daily: pd.DataFrame, items: pd.DataFrame, users: pd.DataFrame, ds: date, audience: pd.Index | None = None
) -> dict[str, pd.DataFrame]:
    """Compute what ``Snapshot.from_frames`` reads, as of the end of ``ds``; later rows of ``daily`` are not looked at.

    Args:
        daily: columns DAILY, one row per user, item and day.
        items: item_id, seller_id, category_id, price, take_rate, listed_at and closed_on (dates); on the shelf on the
            days from the one until the day before the other, or for good where closed_on is missing.
        users: user_id, region.
        ds: the day.
        audience: users to describe; None for everyone who acted. Items, demand, purchases and what the retrievers
            learn from (``history``) come from everyone either way.
    """
    past = daily[daily["event_date"] <= pd.Timestamp(ds)]
    past = past.assign(
        age=(pd.Timestamp(ds) - past["event_date"]).dt.days,
        points=past["views"] + 3 * past["likes"] + 4 * past["carts"] + 8 * past["purchases"],
    )
    regions = users.set_index(USER_ID)["region"]
    mine = past if audience is None else past[past[USER_ID].isin(audience)]
    day = pd.Timestamp(ds)
    shelf = _items(past, items[(items["listed_at"] <= day) & ~(items["closed_on"] <= day)])
    interactions = _interactions(mine)
    touched = mine[(mine["age"] < 14) & (mine["views"] + mine["likes"] + mine["carts"] > 0)]
    return {
        "items": shelf,
        "users": _users(mine, shelf, regions, audience),
        "interactions": interactions,
        "history": _history(past),
        "purchases": past.loc[past["purchases"] > 0, list(PURCHASES)],
        "regions": users[[USER_ID, "region"]],
        "affinity": _affinity(interactions, items),
        "touched": _touched(touched),
        "demand": _demand(past[past["age"] < 28], regions),
        "brands": pd.DataFrame({GROUP_ID: pd.Series(dtype=object), "brand": pd.Series(dtype=object)}),
    }


def unit_prices(actions: pd.DataFrame) -> pd.Series:
    """Median price paid for one piece, by item_id; of items that were bought in ``actions`` (columns DAILY)."""
    bought = actions[actions["purchases"] > 0]
    return (bought["revenue"] / bought["quantity"].clip(lower=1)).groupby(bought[ITEM_ID]).median()


def _interactions(past: pd.DataFrame) -> pd.DataFrame:
    rows = past.assign(
        weight=past["points"] * np.exp2(-past["age"] / HALF_LIFE_DAYS),
        purchase_days=(past["purchases"] > 0).astype("int64"),
        bought_on=past["event_date"].where(past["purchases"] > 0),
    )
    grouped = rows.groupby([USER_ID, ITEM_ID], sort=True).agg(
        weight=("weight", "sum"),
        purchases=("purchases", "sum"),
        purchase_days=("purchase_days", "sum"),
        first_date=("event_date", "min"),
        last_date=("event_date", "max"),
        last_purchase_date=("bought_on", "max"),
        revenue=("revenue", "sum"),
    )
    return grouped.reset_index().rename(columns={ITEM_ID: GROUP_ID})


def _history(past: pd.DataFrame) -> pd.DataFrame:
    """What retrievers learn from: a day on which a user bought an item counts 1, one of looking only 0.1."""
    weight = np.where(past["purchases"] > 0, 1.0, 0.1)
    frame = past[[USER_ID, ITEM_ID, "event_date"]].rename(columns={"event_date": "timestamp"})
    return frame.assign(weight=weight)


def _users(
    past: pd.DataFrame, shelf: pd.DataFrame, regions: pd.Series, audience: pd.Index | None
) -> pd.DataFrame:
    price = np.log(shelf.set_index(ITEM_ID)["price"].clip(lower=0.01))
    bought = past["purchases"] > 0
    user = past[USER_ID]
    log_price = past[ITEM_ID].map(price).where(past["points"] > 0)
    known = past["points"].where(log_price.notna(), 0.0)
    frame = pd.DataFrame(
        {
            "days_since_active": past["age"].groupby(user).min(),
            "days_since_purchase": past["age"].where(bought).groupby(user).min(),
            "order_days": past["event_date"].where(bought).groupby(user).nunique(),
            "mean_log_price": (log_price * known).groupby(user).sum() / known.groupby(user).sum(),
        }
    )
    for name, column, days in (
        ("views_7d", "views", 7),
        ("views_30d", "views", 30),
        ("likes_30d", "likes", 30),
        ("purchases_7d", "purchases", 7),
        ("purchases_90d", "purchases", 90),
    ):
        frame[name] = past[column].where(past["age"] < days, 0).groupby(user).sum()
    if audience is not None:
        frame = frame.reindex(pd.Index(audience, name=USER_ID))
    counts = ["order_days", "views_7d", "views_30d", "likes_30d", "purchases_7d", "purchases_90d"]
    frame["is_new"] = frame["days_since_active"].isna()
    frame[counts] = frame[counts].fillna(0)
    frame["region"] = regions.reindex(frame.index)
    return frame.rename_axis(USER_ID).reset_index()


def _items(past: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    item = past[ITEM_ID]
    popularity = {
        f"popularity_{days}d": (past["points"] * np.exp2(-past["age"] / days)).groupby(item).sum()
        for days in (1, 7, 30)
    }
    shelf = items.set_index(ITEM_ID)
    for name, values in popularity.items():
        shelf[name] = values.reindex(shelf.index).fillna(0.0)
    first = past["age"].groupby(item).max()
    shelf["age_days"] = first.reindex(shelf.index).fillna(0.0).clip(upper=90)
    shelf[GROUP_ID] = shelf.index
    return shelf.reset_index()


def _affinity(interactions: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    category = interactions[GROUP_ID].map(items.set_index(ITEM_ID)[CATEGORY_ID])
    affinity = interactions["weight"].groupby([interactions[USER_ID], category.rename(CATEGORY_ID)]).sum()
    return affinity.rename("affinity").reset_index()


def _touched(rows: pd.DataFrame) -> pd.DataFrame:
    counts = rows.groupby([USER_ID, ITEM_ID], sort=True)[["views", "likes", "carts", "purchases"]].sum()
    counts["last_date"] = rows.groupby([USER_ID, ITEM_ID], sort=True)["event_date"].max()
    return counts.reset_index()


def _demand(past: pd.DataFrame, regions: pd.Series) -> pd.DataFrame:
    region = past[USER_ID].map(regions).astype(object)
    region = region.where(region.notna(), "").rename("region")
    weight = past["points"].astype(float).groupby([region, past[ITEM_ID], past["event_date"]]).sum()
    return weight.rename("weight").reset_index().rename(columns={"event_date": "timestamp"})
