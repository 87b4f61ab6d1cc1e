"""Sellers who promote a listing: campaigns, the keywords they type, and what a day brought them."""

from __future__ import annotations

from datetime import date

import numpy as np

from recsys.synthetic import offers, queries, wording
from recsys.synthetic.draws import Array, Draws, lasting
from recsys.synthetic.market import Outcome
from recsys.synthetic.state import DAY, NEVER, Columns, State, append, day_start
from recsys.synthetic.vocabulary import ATTRIBUTES
from recsys.synthetic.world import world_of

ORIGINS = ("seller", "recommended")
_OLDER = 0.3
"""Share of campaigns for listings that have stood for longer than a day."""
_DAYS = (7, 14, 30)
LEAST_KEYWORDS, MOST_KEYWORDS = 2, 6


def start_campaigns(state: State, ds: date, offered: Columns | None = None) -> None:
    """Promote some listings, most of them put up on the day before, with two to six keywords each.

    ``offered`` are keywords that sellers may take instead of their own, as ``offers.read_offers`` makes them.
    """
    rng, start = Draws(state.config.seed, ds).generator("campaigns"), day_start(ds)
    chosen = _promoted(state, rng, start)
    n, first = len(chosen), len(state.campaigns["item"]) if state.campaigns else 0
    state.campaigns = append(
        state.campaigns,
        {
            "item": chosen,
            "ad_rate": np.round(rng.uniform(0.02, 0.12, n), 3),
            "started": np.full(n, start),
            "until": start + rng.choice(_DAYS, n) * DAY,
            "ended": np.full(n, NEVER),
        },
    )
    many = rng.integers(LEAST_KEYWORDS, MOST_KEYWORDS + 1, n)
    owner = np.repeat(np.arange(n), many)
    typed = draw_keywords(state, rng, chosen[owner]) | {"owner": owner}
    typed = offers.adopt(state, ds, chosen, typed, offered)
    owner = typed.pop("owner")
    # A campaign holds each text once, whichever phrase it was meant for.
    texts = [
        f"{o} {wording.typed(q, w)}" for o, q, w in zip(owner, typed["query"], typed["wording"], strict=True)
    ]
    once = np.sort(np.unique(np.array(texts, dtype=str), return_index=True)[1])
    state.keywords = append(
        state.keywords,
        {
            "campaign": first + owner[once],
            **{name: values[once] for name, values in typed.items()},
            "added": np.full(len(once), start),
        },
    )


def _promoted(state: State, rng: np.random.Generator, start: int) -> Array:
    """Open listings at a fixed price that have no campaign; dear and well-made ones more often."""
    config, items = state.config, state.items
    free = (items["closed"] == NEVER) & ~items["auction"] & (items["listed"] < start)
    if state.campaigns:
        free[state.campaigns["item"][state.campaigns["ended"] == NEVER]] = False
    new = items["listed"] >= start - DAY
    parts = []
    for shelf, share in ((np.flatnonzero(free & new), 1 - _OLDER), (np.flatnonzero(free & ~new), _OLDER)):
        weight = np.exp(0.3 * np.log(items["price"][shelf]) + 0.5 * items["quality"][shelf])
        n = min(rng.poisson(share * config.campaign_share * config.listings_per_day), len(shelf))
        parts.append(rng.choice(shelf, n, replace=False, p=weight / weight.sum()) if n else shelf[:0])
    return np.concatenate(parts)


def draw_keywords(state: State, rng: np.random.Generator, item: Array) -> Columns:
    """One keyword for each entry of ``item``: mostly what it is, but some sellers choose badly or type nonsense.

    ``origin`` 1 comes from the box that proposes what many search in the category, whatever the listing is.
    """
    config, n = state.config, len(item)
    # Care belongs to a seller: the mean of 3 (1 - care)^2 is 1, so that the shares of the configuration hold.
    care = lasting(config.seed).uniform("adverts", state.items["seller"][item])
    lax = 3 * (1 - care) ** 2
    luck = rng.random(n)
    suggested = luck < config.suggested_keywords
    own = (luck - config.suggested_keywords) / (1 - config.suggested_keywords)
    junk = ~suggested & (own < lax * config.junk_keywords)
    bad = ~suggested & ~junk & (own < lax * (config.junk_keywords + config.irrelevant_keywords))
    query = np.where(bad, _unfit(state, rng, item), _fitting(state, rng, item))
    query = np.where(suggested, _popular(state, rng, item), query)
    how = wording.draw(rng, n, config.keyword_noise, config.keyword_slips)
    return {
        "query": queries.canonical(np.where(junk, wording.NO_PHRASE, query)),
        "wording": np.where(junk, rng.integers(0, wording.WAYS, n), np.where(suggested, 0, how)),
        "origin": suggested.astype(np.int64),
    }


def _fitting(state: State, rng: np.random.Generator, item: Array) -> Array:
    """Phrases that say what the listing is: its noun, alone or with its brand or one of its attributes."""
    items, n = state.items, len(item)
    brand = np.where(items["brand"][item] >= 0, queries.brand_modifier(items["brand"][item]), 0)
    modifiers = (
        np.zeros(n, dtype=np.int64),
        brand,
        queries.attribute_modifier(items["first"][item]),
        queries.attribute_modifier(items["second"][item]),
    )
    kind = rng.choice(4, n, p=[0.25, 0.35, 0.25, 0.15])
    local = rng.random(n) < np.where(items["wording"][item] % 5 == 0, 0.85, 0.12)
    return queries.encode(items["leaf"][item], items["noun"][item], np.choose(kind, modifiers), local * 1)


def _unfit(state: State, rng: np.random.Generator, item: Array) -> Array:
    """Phrases that say something else: another noun or brand of the leaf, or what much is sought elsewhere."""
    world, items, n = world_of(state.config), state.items, len(item)
    elsewhere = rng.choice(len(world.leaf_weight), n, p=world.leaf_weight)
    leaf = np.where(rng.random(n) < 0.65, items["leaf"][item], elsewhere)
    brands = np.array([names[0] for names in world.parent_brands])[world.leaf_parent[leaf]]
    attribute = queries.attribute_modifier(rng.integers(0, len(ATTRIBUTES), n))
    modifier = np.choose(rng.integers(0, 3, n), (0 * leaf, queries.brand_modifier(brands), attribute))
    return queries.encode(leaf, rng.integers(0, 3, n), modifier, (rng.random(n) < 0.1) * 1)


def _popular(state: State, rng: np.random.Generator, item: Array) -> Array:
    """What many search in the listing's leaf: any of its nouns, alone."""
    leaf, zeros = state.items["leaf"][item], np.zeros(len(item), dtype=np.int64)
    return queries.encode(leaf, rng.integers(0, queries.nouns_in(leaf, zeros)), zeros, zeros)


def end_campaigns(state: State) -> None:
    """A campaign ends when its time is over or its listing has left the shelf."""
    campaigns = state.campaigns
    if len(campaigns["item"]):
        closed = state.items["closed"][campaigns["item"]]
        campaigns["ended"] = np.minimum(campaigns["ended"], closed)
        over = campaigns["until"] <= day_start(state.ds) + DAY
        campaigns["ended"][over] = np.minimum(campaigns["ended"], campaigns["until"])[over]


def report(state: State, rows: Columns, outcome: Outcome) -> Columns:
    """What each keyword got on the day: impressions, clicks, purchases, revenue and what it cost."""
    ad = np.flatnonzero((rows["keyword"] >= 0) & (outcome.position > 0))
    keyword, group = np.unique(rows["keyword"][ad], return_inverse=True)
    paid = np.zeros(len(rows["page"]))
    paid[np.array(outcome.sales.row, dtype=np.int64)] = outcome.sales.price

    def total(values: Array) -> Array:
        return np.bincount(group, weights=values, minlength=len(keyword))

    revenue = total(paid[ad])
    rate = state.campaigns["ad_rate"][state.keywords["campaign"][keyword]] if len(keyword) else 0.0
    return {
        "keyword": keyword,
        "impressions": total(np.ones(len(ad))).astype(np.int64),
        "clicks": total(outcome.click[ad].astype(float)).astype(np.int64),
        "purchases": total((paid[ad] > 0).astype(float)).astype(np.int64),
        "revenue": revenue,
        "spend": np.round(revenue * rate, 2),
    }
