"""Why a listing is on a list, in words that its reader understands.

A reason says only what is true, and only what the reader did or can see: their own likes, looks, purchases and
searches, the age of the listing, demand where they live. Of several that hold, the one nearest to their own acts is
given. Of others only sums are told, and in which region from POPULAR_POINTS on.
"""

from __future__ import annotations

import numpy as np

from recsys.features.audience import Audience
from recsys.features.shelf import Shelf
from recsys.ranking.candidates import SOURCES, Trending

NEW_DAYS = 2.0
"""A listing of at most this age counts as new."""
NEAR_PRICE = 1.5
"""Of one category, listings are alike if neither price is more than this many times the other."""
LEAST_SHARE = 0.15
"""A brand or category is named if it takes up at least this much of a user's interest."""
LEAST_VARIETY = 3
"""Nothing is said of the tastes of a user who had to do with fewer groups of listings than this."""
SEARCHED = 0.5
"""Searches, halved every month, from which a brand or category is one that the user searched for."""
POPULAR_POINTS = 10.0
"""Points of demand (a view 1, a like 3, a purchase 8; halved every week) from which a listing is called popular."""
SOUGHT_POINTS = 3.0
"""Points of demand from which it is said that others showed interest."""
REGULAR_DAYS = 3
"""Days of purchase from which a user buys something regularly."""
COMPARING = ("als", "bpr", "ease", "gf_cf", "item_knn", "user_knn", "neu_mf", "sasrec", "two_tower")
"""Sources that learn from what users have in common."""

TEXTS: dict[str, tuple[str, str]] = {
    "pinned": ("", "Featured by the marketplace"),
    "wanted": ("", "You showed interest in buying this"),
    "liked": ("", "You liked this"),
    "regular": ("", "You buy this regularly"),
    "bought": ("", "You bought this before"),
    "viewed": ("", "You looked at this"),
    "seller": ("", "You bought from this seller"),
    "like_liked": ("Similar to something you liked in {}", "Similar to something you liked"),
    "like_bought": ("Similar to something you bought in {}", "Similar to something you bought"),
    "like_viewed": ("Similar to something you looked at in {}", "Similar to something you looked at"),
    "brand_searched": ("From {}, which you searched for", "From a brand you searched for"),
    "new_favourite": ("New in {}, your favourite category", "New in your favourite category"),
    "brand": ("From {}, a brand you go for", "From a brand you go for"),
    "favourite": ("From {}, your favourite category", "From your favourite category"),
    "category": ("From {}, a category you go for", "From a category you go for"),
    "searched": ("", "Fits what you searched for"),
    "popular_near": ("Popular in {}", "Popular where you live"),
    "popular": ("", "Popular right now"),
    "taste": ("", "Chosen from what you and people like you go for"),
    "new": ("", "Just listed"),
    "sought": ("", "Others showed interest lately"),
    "explored": ("", "Something else to discover"),
    "fits": ("", "You may like this"),
}
"""Reason by name: the text where category, brand or region has a name, and where it has none. The first that holds is
given."""
IMPERSONAL = ("pinned", "popular_near", "popular", "sought", "explored", "new", "fits")
ALIKE = {"like_liked": "likes", "like_bought": "purchases", "like_viewed": "views"}


def reasons(
    shelf: Shelf,
    audience: Audience,
    rows: np.ndarray,
    items: np.ndarray,
    source: np.ndarray,
    *,
    trending: Trending | None = None,
    slot: np.ndarray | None = None,
    personal: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """The reason of each placed item, and the listing it refers to: two object arrays [pairs], of str and str | None.

    A pair's reason does not depend on the other pairs.

    Args:
        shelf: the live listings.
        audience: the users.
        rows: audience row of each pair.
        items: shelf position of each pair.
        source: code of the source that named it, as in ``candidates.SOURCES``.
        trending: demand by region; without it nothing is called popular in a region.
        slot: how it got its place: 'ranked', 'pinned', 'boosted', 'explored' or 'reserve'.
        personal: whether the list was made for the user; of one that was not, their acts are no reason.
    """
    rows, items = rows.astype(np.int64), items.astype(np.int64)
    alike = {name: _alike(shelf, audience, rows, items, act) for name, act in ALIKE.items()}
    holds = {
        **_acts(shelf, audience, rows, items),
        **{name: found >= 0 for name, found in alike.items()},
        **_tastes(shelf, audience, rows, items),
        **_demand(shelf, audience, rows, items, trending),
        "taste": np.isin(source, _codes(COMPARING)) & (audience.variety[rows] > 0),
        "pinned": _slot(slot, "pinned", len(rows)),
        "explored": _slot(slot, "explored", len(rows)),
        "new": shelf.item_feature("log_age")[items] <= np.log1p(NEW_DAYS),
        "fits": np.ones(len(rows), bool),
    }
    said = [name for name in TEXTS if personal or name in IMPERSONAL]
    first = np.argmax(np.vstack([holds[name] for name in said]), axis=0)
    text, refers = np.empty(len(rows), object), np.full(len(rows), None, object)
    for code, name in enumerate(said):
        given = np.flatnonzero(first == code)
        text[given] = _texts(name, *_label(name, shelf, audience, rows[given], items[given]))
        if name in alike:
            refers[given] = audience.memory.item_ids[alike[name][given]]
    return text, refers


def _codes(names: tuple[str, ...]) -> list[int]:
    return [code for code, name in enumerate(SOURCES) if name in names]


def _slot(slot: np.ndarray | None, name: str, pairs: int) -> np.ndarray:
    return np.zeros(pairs, bool) if slot is None else np.asarray(slot == name)


def _acts(shelf: Shelf, audience: Audience, rows: np.ndarray, items: np.ndarray) -> dict[str, np.ndarray]:
    """What the user did with the very listing, or bought from its seller."""
    memory = audience.memory
    listing = np.where(memory.items >= 0, memory.rows * len(shelf) + memory.items, -1)
    seller = np.where(memory.seller >= 0, memory.rows * len(shelf.seller_ids) + memory.seller, -1)

    def found(act: str, key: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return memory.latest(key, memory.did(act), wanted) >= 0

    this = rows * len(shelf) + items
    code = shelf.seller_code[items].astype(np.int64)
    named = (shelf.seller_ids.to_numpy(object) != "")[code]
    days = audience.own.find(rows, shelf.group_code[items])[0][:, 0]
    is_group = (
        shelf.group_ids.to_numpy(object)[shelf.group_code[items]] == shelf.item_ids.to_numpy(object)[items]
    )
    return {
        "wanted": found("carts", listing, this),
        "liked": found("likes", listing, this),
        "regular": is_group & (days >= REGULAR_DAYS),
        "bought": found("purchases", listing, this) | (is_group & (days > 0)),
        "viewed": found("views", listing, this),
        "seller": named
        & (len(shelf.seller_ids) > 1)
        & found("purchases", seller, rows * len(shelf.seller_ids) + code),
    }


def _alike(shelf: Shelf, audience: Audience, rows: np.ndarray, items: np.ndarray, act: str) -> np.ndarray:
    """A listing that the user did ``act`` with and that is like the pair's: index into the memory, else -1.

    It is of the same group; else of the same category and brand; else of the same category at a near price.
    """
    memory, kept = audience.memory, audience.memory.did(act)

    def look(of_memory: np.ndarray, of_shelf: np.ndarray, width: int) -> np.ndarray:
        wanted = of_shelf[items].astype(np.int64)
        return memory.latest(
            np.where(of_memory >= 0, memory.rows * width + of_memory, -1),
            kept,
            np.where(wanted >= 0, rows * width + wanted, -1),
        )

    def branded(category: np.ndarray, brand: np.ndarray) -> np.ndarray:
        both = (category >= 0) & (brand >= 0)
        return np.where(both, category.astype(np.int64) * len(shelf.brands) + brand, -1)

    found = look(memory.group, shelf.group_code, len(shelf.group_ids))
    if len(shelf.category_ids) > 1:
        of_brand = look(
            branded(memory.category, memory.brand),
            branded(shelf.category_code, shelf.brand_code),
            len(shelf.category_ids) * len(shelf.brands),
        )
        of_category = look(memory.category, shelf.category_code, len(shelf.category_ids))
        apart = np.abs(
            np.log(np.maximum(shelf.price[items], 0.01)) - np.append(memory.log_price, np.nan)[of_category]
        )
        of_category = np.where(apart <= np.log(NEAR_PRICE), of_category, -1)
        found = np.where(found >= 0, found, np.where(of_brand >= 0, of_brand, of_category))
    return np.where(np.append(memory.items, -1)[found] == items, -1, found)


def _tastes(shelf: Shelf, audience: Audience, rows: np.ndarray, items: np.ndarray) -> dict[str, np.ndarray]:
    """What is said of the user's interest in the category and brand of the listing."""
    enough = audience.variety[rows] >= LEAST_VARIETY
    category = shelf.category_code[items]
    share = audience.category_share.find(rows, category)[0][:, 0]
    goes_for = enough & (share >= LEAST_SHARE) & (len(shelf.category_ids) > 1)
    favourite = goes_for & (_favourites(audience)[rows] == category)
    brand = audience.brand_share.find(rows, shelf.brand_code[items])[0][:, 0]
    searched = audience.searches
    return {
        "brand_searched": searched.by_brand.find(rows, shelf.brand_code[items])[0][:, 0] >= SEARCHED,
        "searched": (searched.by_category.find(rows, category)[0][:, 0] >= SEARCHED)
        & (len(shelf.category_ids) > 1),
        "category": goes_for,
        "favourite": favourite,
        "new_favourite": favourite & (shelf.item_feature("log_age")[items] <= np.log1p(NEW_DAYS)),
        "brand": enough & (brand >= LEAST_SHARE),
    }


def _favourites(audience: Audience) -> np.ndarray:
    """The category that takes up most of each user's interest, -1 for none: [audience]."""
    rows, categories, share = audience.category_share.between(0, len(audience))
    best = np.full(len(audience), -1)
    order = np.lexsort((-categories, share[:, 0], rows))
    best[rows[order]] = categories[order]  # the last one of a user stays: the largest share
    return best


def _demand(
    shelf: Shelf, audience: Audience, rows: np.ndarray, items: np.ndarray, trending: Trending | None
) -> dict[str, np.ndarray]:
    """Whether the listing is in demand, and more so where the user lives."""
    points = shelf.item_feature("popularity_7d")[items]
    popular, sought = points >= np.log1p(POPULAR_POINTS), points >= np.log1p(SOUGHT_POINTS)
    near = np.zeros(len(rows), bool)
    if trending is not None and len(trending.regions):
        region = trending.rows(audience.regions[rows])
        here, everywhere = (
            _share(trending, len(shelf), at, items) for at in (region, np.full(len(rows), -1))
        )
        near = popular & (region < len(trending.regions)) & (here > 0) & (here >= everywhere)
        near &= audience.regions[rows] != ""
    return {"popular": popular, "popular_near": near, "sought": sought}


def _share(trending: Trending, width: int, region: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Share of the demand of a region, a row of ``trending``, that went to each item."""
    region = np.where(region < 0, len(trending.items) - 1, region)
    at, place = np.nonzero(trending.items >= 0)
    key = at * width + trending.items[at, place]
    order = np.argsort(key, kind="stable")
    key, share = key[order], trending.shares[at, place][order]
    wanted = region * width + items
    found = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return np.where(key[found] == wanted, share[found], 0.0)


def _label(
    name: str, shelf: Shelf, audience: Audience, rows: np.ndarray, items: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Names to put into the text of a reason, and which of them each pair takes."""
    if name == "popular_near":
        names, codes = np.unique(audience.regions[rows].astype(str), return_inverse=True)
        return names, codes
    if name in {"brand", "brand_searched"}:
        return shelf.brand_names, shelf.brand_code[items]
    return shelf.category_names, shelf.category_code[items]


def _texts(name: str, names: np.ndarray, codes: np.ndarray) -> np.ndarray:
    named, plain = TEXTS[name]
    if not named or not len(codes):
        return np.full(len(codes), plain, object)
    used, place = np.unique(codes, return_inverse=True)
    labels = [names[code] if code >= 0 else "" for code in used]
    return np.array([named.format(label) if label else plain for label in labels], object)[place]
