"""Who opens the app when, and what each page could show: the published list, search results, new listings.

A page has rows in order; which of them are still there and how far the user scrolls is settled in ``market``.
Sessions and organic pages do not depend on the lists, so every policy meets the same visitors.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from recsys.synthetic import adverts, queries, wording
from recsys.synthetic.draws import Array, Draws
from recsys.synthetic.state import DAY, NEVER, SECOND, Columns, State, day_start
from recsys.synthetic.taste import Taste
from recsys.synthetic.vocabulary import ATTRIBUTES, BRAND_NAMES, LEAVES
from recsys.synthetic.world import world_of

RECOMMENDATION, SEARCH, BROWSE = 0, 1, 2
SURFACES = ("recommendation", "search", "browse")
MAX_DEPTH = 40
BRAND_SHARE, ATTRIBUTE_SHARE = 0.35, 0.2
"""Shares of searches that name a brand, and an attribute."""
SLACK = 20
"""Rows a page asks for beyond twice its depth, in case listings are sold before it opens."""


def pages_of_day(state: State, ds: date, taste: Taste, draws: Draws) -> Columns:
    """Draw the pages opened on ``ds``, in order of time.

    Columns: ``user``, ``session``, ``time`` (microseconds), ``surface``, ``depth`` (rows the user scrolls to),
    ``query`` (-1 unless a search), ``leaf`` (-1 unless organic), ``wording`` (how the query is typed).
    """
    rng, users, config = draws.generator("sessions"), state.users, state.config
    start = day_start(ds)
    user = np.repeat(np.arange(state.n_users), rng.poisson(session_rate(state, ds)))
    n = len(user)
    hour = (users["hour"][user] + rng.normal(0, 3.0, n)) % 24
    time = start + (hour / 24 * (DAY - 900 * SECOND)).astype(np.int64)
    time = np.maximum(time, users["registered"][user] + 5 * SECOND)
    leaf = _wished_leaf(state, taste, rng, user)
    shares = (config.recommendation_share, config.search_share, config.browse_share)
    parts = []
    for surface, share in enumerate(shares):
        opens = rng.random(n) < share
        scroll = users["attention"][user] * np.exp(rng.normal(0, 0.4, n)) * (1.0, 0.75, 0.75)[surface]
        part = {
            "user": user,
            "session": np.arange(n),
            "time": time + (0, 90 * SECOND, 240 * SECOND)[surface],
            "surface": np.full(n, surface),
            "depth": np.clip(np.round(scroll), 3, MAX_DEPTH).astype(np.int64),
            "query": _queries(state, rng, user, leaf) if surface == SEARCH else np.full(n, -1),
            "leaf": leaf if surface else np.full(n, -1),
        }
        parts.append({name: values[opens] for name, values in part.items()})
    pages = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((pages["surface"], pages["session"], pages["time"]))
    pages = {name: values[order] for name, values in pages.items()}
    typing = wording.draw(draws.generator("wording"), len(order), config.query_noise)
    return pages | {"wording": np.where(pages["query"] >= 0, typing, 0)}


def session_rate(state: State, ds: date) -> Array:
    """Expected sessions of each user on a day (n_users,)."""
    users = state.users
    rate = users["activity"] * (1.15 if ds.weekday() >= 5 else 0.94)
    return np.where(users["registered"] >= day_start(ds), np.maximum(rate, 0.7), rate)


def _wished_leaf(state: State, taste: Taste, rng: np.random.Generator, user: Array) -> Array:
    wishes = state.users["interest"][user] + taste.climate.astype(np.float32)
    return (wishes + rng.gumbel(size=wishes.shape)).argmax(axis=1)


def _queries(state: State, rng: np.random.Generator, user: Array, leaf: Array) -> Array:
    n, nouns = len(user), np.array([len(item.nouns) for item in LEAVES])
    liked = brand_wishes(state, user, leaf)
    brand = (liked + rng.gumbel(size=liked.shape)).argmax(axis=1)
    attribute = rng.integers(0, len(ATTRIBUTES), n)
    kind = rng.random(n)
    modifier = np.where(kind < BRAND_SHARE, queries.brand_modifier(brand), 0)
    modifier = np.where(kind > 1 - ATTRIBUTE_SHARE, queries.attribute_modifier(attribute), modifier)
    return queries.encode(leaf, rng.integers(0, nouns[leaf]), modifier, local_speakers(user).astype(np.int64))


def brand_wishes(state: State, user: Array, leaf: Array) -> Array:
    """Log-odds of the brand a user names when searching in a leaf (n, brands); brands not sold there never."""
    world = world_of(state.config)
    sold_here = np.full((len(world.parent_brands), len(BRAND_NAMES)), -50.0)
    for parent, brands in enumerate(world.parent_brands):
        sold_here[parent, brands] = 0.0
    return state.users["brand_taste"][user] + sold_here[world.leaf_parent[leaf]]


def local_speakers(user: Array) -> Array:
    """Who searches in Japanese."""
    return user % 5 == 0


def organic_rows(state: State, pages: Columns, draws: Draws) -> Columns:
    """Rows of search and browse pages: listings of the wished leaf (and brand, if named), better ranks first."""
    rng, items = draws.generator("examine"), state.items
    open_ = np.flatnonzero(items["closed"] == NEVER)
    organic = np.flatnonzero(pages["surface"] != RECOMMENDATION)
    brand = queries.brand_of(pages["query"][organic])
    brand[pages["query"][organic] < 0] = -1
    leaf, width = pages["leaf"][organic], len(BRAND_NAMES) + 1
    # Two ways to look into the shelf: by leaf and brand, and by leaf alone where a brand has too few.
    by_brand = items["leaf"][open_] * width + items["brand"][open_] + 1
    score = np.log1p(items["heat"][open_]) + 0.6 * items["quality"][open_] + rng.gumbel(size=len(open_))
    newest = items["listed"][open_]
    take = np.minimum(pages["depth"][organic] + 6, MAX_DEPTH)
    row = np.repeat(np.arange(len(organic)), take)
    luck = rng.random(len(row))
    found = np.full(len(row), -1)
    browse = pages["surface"][organic] == BROWSE
    branded = brand >= 0
    for mask, keys, wanted, rank in (
        (~browse, items["leaf"][open_], leaf, score),
        (browse, items["leaf"][open_], leaf, newest),
        (branded, by_brand, leaf * width + brand + 1, score),
    ):
        _look_up(found, mask[row], open_, keys, wanted[row], rank=rank, luck=luck)
    keep = (found >= 0) & (state.sellers["user"][items["seller"][found]] != pages["user"][organic][row])
    page, item = organic[row[keep]], found[keep]
    _, first = np.unique(page * state.n_items + item, return_index=True)
    first.sort()
    n = len(first)
    return {
        "page": page[first],
        "item": item[first],
        "propensity": np.full(n, np.nan),
        "keyword": np.full(n, -1),
    }


def _look_up(
    found: Array,
    mask: Array,
    open_: Array,
    keys: Array,
    wanted: Array,
    *,
    rank: Array,
    luck: Array,
    few: int = 6,
) -> None:
    """Where ``mask``, put into ``found`` a listing whose key is wanted, more likely one of a high rank."""
    order = np.lexsort((-rank, keys))
    sorted_keys = keys[order]
    first = np.searchsorted(sorted_keys, wanted[mask], "left")
    count = np.searchsorted(sorted_keys, wanted[mask], "right") - first
    place = first + (count * luck[mask] ** 1.7).astype(np.int64)
    hit = np.where(count > 0, open_[order[np.minimum(place, len(order) - 1)]], -1)
    found[mask] = np.where(count >= few, hit, np.where(found[mask] >= 0, found[mask], hit))


def ad_rows(state: State, pages: Columns, draws: Draws) -> Columns:
    """Promoted listings on top of search pages whose phrase is a keyword of running campaigns."""
    return adverts.ad_rows(state, pages, np.flatnonzero(pages["surface"] == SEARCH), draws)


def list_rows(
    state: State, pages: Columns, lists: pd.DataFrame | None, fallback: pd.DataFrame | None
) -> Columns:
    """Rows of recommendation pages: the user's published list, else the fallback, without what is already gone."""
    users, items, propensity = known_rows(state, lists, "user_id")
    starts = np.searchsorted(users, np.arange(state.n_users + 1))
    page = np.flatnonzero(pages["surface"] == RECOMMENDATION)
    user = pages["user"][page]
    count, offset = starts[user + 1] - starts[user], starts[user]
    if fallback is not None:
        _, more, more_propensity = known_rows(state, fallback, None)
        offset = np.where(count > 0, offset, len(items))
        count = np.where(count > 0, count, len(more))
        items, propensity = np.concatenate([items, more]), np.concatenate([propensity, more_propensity])
    count = np.minimum(count, 2 * pages["depth"][page] + SLACK)
    ends = count.cumsum()
    place = (
        np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - count, count) + np.repeat(offset, count)
    )
    return {
        "page": np.repeat(page, count),
        "item": items[place],
        "propensity": propensity[place],
        "keyword": np.full(len(place), -1),
    }


def known_rows(state: State, lists: pd.DataFrame | None, by: str | None) -> tuple[Array, Array, Array]:
    """Read lists into (user, item, propensity) numbers by rank, without listings gone or unknown."""
    if lists is None or lists.empty:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
    user = numbers_of(lists[by]) if by else np.zeros(len(lists), dtype=np.int64)
    item = numbers_of(lists["item_id"])
    propensity = lists["propensity"].to_numpy(float) if "propensity" in lists else np.ones(len(lists))
    known = (user >= 0) & (user < state.n_users) & (item >= 0) & (item < state.n_items)
    known[known] = state.items["closed"][item[known]] == NEVER
    order = np.lexsort((lists["rank"].to_numpy(), user))
    order = order[known[order]]
    return user[order], item[order], propensity[order]


def numbers_of(ids: pd.Series) -> Array:
    """The numbers in ids like ``u000012`` and ``i0000345``; -1 for an id that is not one of ours."""
    codes, unique = pd.factorize(ids)
    numbers = [int(text[1:]) if str(text)[1:].isdecimal() else -1 for text in map(str, unique)]
    return np.array([*numbers, -1], dtype=np.int64)[codes]


def rows_of(parts: list[Columns]) -> Columns:
    """Put rows together, page by page, in the order the parts are given; a listing is on a page once."""
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(rows["page"], kind="stable")
    key = rows["page"][order] * np.int64(2**32) + rows["item"][order]
    _, first = np.unique(key, return_index=True)
    first.sort()
    return {name: values[order[first]] for name, values in rows.items()}
