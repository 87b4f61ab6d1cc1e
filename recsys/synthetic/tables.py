"""The source tables, as frames that meet their contracts: numbers become ids, words and timestamps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd

from recsys.schema import EVENT_TYPES
from recsys.synthetic import wording
from recsys.synthetic.campaigns import ORIGINS
from recsys.synthetic.draws import Array
from recsys.synthetic.happenings import NOWHERE, PER_DAY, UNKNOWN
from recsys.synthetic.listings import CLOSE_REASONS
from recsys.synthetic.state import NEVER, Columns, State, as_date, day_of
from recsys.synthetic.titles import write_descriptions, write_titles
from recsys.synthetic.visits import SURFACES
from recsys.synthetic.vocabulary import (
    BRAND_NAMES,
    CONDITIONS,
    DEVICES,
    GENDERS,
    LEAVES,
    PARENTS,
    REGIONS,
    SIZED_PARENTS,
    SIZES,
)

_TYPES = (*EVENT_TYPES, "teleport")


def user_ids(numbers: Array) -> Array:
    """Ids of users (and of sellers, who are users): ``u000012``."""
    return _ids(numbers, "u{:06d}")


def item_ids(numbers: Array) -> Array:
    """Ids of listings: ``i0000345``."""
    return _ids(numbers, "i{:07d}")


def seller_ids(state: State, items: Array) -> Array:
    """Ids of those who sell the listings; None where the listing is not known."""
    known = np.maximum(items, 0)
    return user_ids(np.where(items >= 0, state.sellers["user"][state.items["seller"][known]], NOWHERE))


def source_tables(state: State) -> dict[str, pd.DataFrame]:
    """Every whole source table as known at the end of the day; keys are table names."""
    return {
        "marketplace.users": _users(state),
        "marketplace.sellers": _sellers(state),
        "marketplace.item_category": _categories(),
        "marketplace.items": _items(state),
        "marketplace.price_changes": pd.DataFrame(
            {
                "item_id": item_ids(state.prices["item"]),
                "changed_at": _moments(state.prices["changed"]),
                "price": state.prices["price"],
            }
        ),
        "marketplace.campaigns": _campaigns(state),
        "marketplace.campaign_keywords": pd.DataFrame(
            {
                "campaign_id": _ids(state.keywords["campaign"], "c{:05d}"),
                "keyword": _typed(state.keywords["query"], state.keywords["wording"]),
                "origin": _words(state.keywords["origin"], ORIGINS),
                "added_at": _moments(state.keywords["added"]),
            }
        ),
    }


def event_table(state: State, delivered: Columns) -> pd.DataFrame:
    """Events as rows of ``marketplace.events``; sorted as delivered."""
    day, number, item = delivered["day"], delivered["number"], delivered["item"]
    stamps = {value: as_date(value).strftime("%Y%m%d") for value in np.unique(day).tolist()}
    ids = [f"e{stamps[d]}-{n:07d}" for d, n in zip(day.tolist(), number.tolist(), strict=True)]
    user = delivered["user"]
    device = np.where(user >= 0, state.users["device"][np.maximum(user, 0)], NOWHERE)
    return pd.DataFrame(
        {
            "event_id": ids,
            "event_ts": _moments(delivered["time"]),
            "event_date": (day_of(delivered["time"]) * 86_400).astype("datetime64[s]"),
            "ingested_at": _moments(delivered["arrives"]),
            "user_id": user_ids(user),
            "session_id": _numbered(delivered["session"], "s"),
            "event_type": _words(delivered["type"], _TYPES),
            "item_id": item_ids(item),
            "seller_id": seller_ids(state, item),
            "query": _typed(delivered["query"], delivered["wording"], no_phrase=False),
            "amount": np.round(delivered["amount"], 2),
            "quantity": _integers(delivered["quantity"]),
            "surface": _words(delivered["surface"], SURFACES),
            "device": _words(device, DEVICES),
            "request_id": _numbered(delivered["request"], "r"),
            "position": _integers(delivered["position"]),
            "propensity": delivered["propensity"],
        }
    )


def campaign_table(state: State, reported: Columns, ds: date) -> pd.DataFrame:
    """What campaigns got on ``ds`` as rows of ``marketplace.campaign_daily``."""
    keyword = reported["keyword"]
    return pd.DataFrame(
        {
            "campaign_id": _ids(state.keywords["campaign"][keyword], "c{:05d}"),
            "keyword": _typed(state.keywords["query"][keyword], state.keywords["wording"][keyword]),
            "report_date": np.full(len(keyword), np.datetime64(ds, "s")),
            **{name: reported[name] for name in ("impressions", "clicks", "purchases", "revenue", "spend")},
        }
    )


def _users(state: State) -> pd.DataFrame:
    users = state.users
    return pd.DataFrame(
        {
            "user_id": user_ids(np.arange(state.n_users)),
            "registered_at": _moments(users["registered"]),
            "birth_year": _integers(users["birth_year"]),
            "gender": _words(users["gender"], GENDERS),
            "region": _words(users["region"], REGIONS),
        }
    )


def _sellers(state: State) -> pd.DataFrame:
    sellers = state.sellers
    count = sellers["rating_count"]
    rating = np.where(count > 0, np.round(sellers["rating_sum"] / np.maximum(count, 1), 2), np.nan)
    return pd.DataFrame(
        {
            "seller_id": user_ids(sellers["user"]),
            "registered_at": _moments(sellers["registered"]),
            "rating": np.clip(rating, 1, 5),
            "rating_count": count.astype(np.int64),
            "is_verified": sellers["verified"],
            "ships_within_days": sellers["ships"],
        }
    )


def _categories() -> pd.DataFrame:
    parents = [(f"p{i:02d}", None, name, 1) for i, name in enumerate(PARENTS)]
    leaves = [
        (f"l{i:02d}", f"p{PARENTS.index(leaf.parent):02d}", leaf.name, 2) for i, leaf in enumerate(LEAVES)
    ]
    return pd.DataFrame([*parents, *leaves], columns=["category_id", "parent_id", "name", "level"])


def _items(state: State) -> pd.DataFrame:
    items = state.items
    sized = np.array([leaf.parent in SIZED_PARENTS for leaf in LEAVES])[items["leaf"]]
    return pd.DataFrame(
        {
            "item_id": item_ids(np.arange(state.n_items)),
            "seller_id": user_ids(state.sellers["user"][items["seller"]]),
            "category_id": _ids(items["leaf"], "l{:02d}"),
            "title": write_titles(items),
            "description": write_descriptions(items),
            "brand": _words(items["brand"], BRAND_NAMES),
            "size": _words(np.where(sized, items["size"], NOWHERE), SIZES),
            "condition": _words(items["condition"], CONDITIONS),
            "price": items["price"],
            "take_rate": items["take"],
            "shipping_payer": np.where(items["buyer_pays_shipping"], "buyer", "seller"),
            "stock": items["stock"].astype(np.int64),
            "sale_type": np.where(items["auction"], "auction", "fixed"),
            "listed_at": _moments(items["listed"]),
            "auction_ends_at": _moments(np.where(items["auction"], items["ends"], NEVER)),
            "closed_at": _moments(items["closed"]),
            "close_reason": _words(items["reason"], CLOSE_REASONS),
        }
    )


def _campaigns(state: State) -> pd.DataFrame:
    campaigns, item = state.campaigns, state.campaigns["item"]
    return pd.DataFrame(
        {
            "campaign_id": _ids(np.arange(len(item)), "c{:05d}"),
            "seller_id": seller_ids(state, item),
            "item_id": item_ids(item),
            "category_id": _ids(state.items["leaf"][item], "l{:02d}"),
            "ad_rate": campaigns["ad_rate"],
            "started_at": _moments(campaigns["started"]),
            "ended_at": _moments(campaigns["ended"]),
        }
    )


def _ids(numbers: Array, pattern: str) -> Array:
    """Write numbers as ids: None for NOWHERE, an id nobody has for UNKNOWN."""
    unique, where = np.unique(numbers, return_inverse=True)
    special: Mapping[int, str | None] = {NOWHERE: None, UNKNOWN: pattern[0] + "-unknown"}
    words = [special[n] if n in special else pattern.format(n) for n in unique.tolist()]
    return np.array(words, dtype=object)[where]


def _numbered(numbers: Array, letter: str) -> Array:
    unique, where = np.unique(numbers, return_inverse=True)
    days = {
        day: as_date(day).strftime("%Y%m%d") for day in np.unique(unique[unique >= 0] // PER_DAY).tolist()
    }
    words = [f"{letter}{days[n // PER_DAY]}-{n % PER_DAY:06d}" if n >= 0 else None for n in unique.tolist()]
    return np.array(words, dtype=object)[where]


def _words(numbers: Array, words: Sequence[str]) -> Array:
    return np.array([*words, None], dtype=object)[numbers]


def _typed(query: Array, how: Array, *, no_phrase: bool = True) -> Array:
    """Texts of phrases as typed; a query number below 0 is a keyword that is no phrase, or nothing."""
    unique, where = np.unique(query * wording.WAYS + how, return_inverse=True)
    pairs = [divmod(number, wording.WAYS) for number in unique.tolist()]
    texts = [wording.typed(q, w) if q >= 0 or no_phrase else None for q, w in pairs]
    return np.array(texts, dtype=object)[where]


def _integers(numbers: Array) -> pd.Series:
    return pd.Series(pd.arrays.IntegerArray(numbers.astype(np.int64), numbers == NOWHERE))


def _moments(times: Array) -> pd.Series:
    moments = times.astype("datetime64[us]")
    moments[times == NEVER] = np.datetime64("NaT")
    return pd.Series(moments).dt.tz_localize("UTC")
