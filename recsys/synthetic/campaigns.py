"""Sellers who promote a listing: campaigns, their keywords, and what a day brought them."""

from __future__ import annotations

from datetime import date

import numpy as np

from recsys.synthetic import queries
from recsys.synthetic.draws import Array, Draws
from recsys.synthetic.market import Outcome
from recsys.synthetic.state import DAY, NEVER, Columns, State, append, day_start

ORIGINS = ("seller", "recommended")


def start_campaigns(state: State, ds: date) -> None:
    """Promote some of the listings put up on the day before, with two to five keywords each."""
    rng, start, items = Draws(state.config.seed, ds).generator("campaigns"), day_start(ds), state.items
    fresh = np.flatnonzero(
        (items["closed"] == NEVER) & (items["listed"] >= start - DAY) & (items["listed"] < start)
    )
    # Sellers promote dear and well-made listings more often.
    weight = np.exp(0.3 * np.log(items["price"][fresh]) + 0.5 * items["quality"][fresh])
    n = min(rng.poisson(state.config.campaign_share * state.config.listings_per_day), len(fresh))
    chosen = rng.choice(fresh, n, replace=False, p=weight / weight.sum()) if n else fresh[:0]
    first = len(state.campaigns["item"]) if state.campaigns else 0
    state.campaigns = append(
        state.campaigns,
        {
            "item": chosen,
            "ad_rate": np.round(rng.uniform(0.02, 0.12, n), 3),
            "started": np.full(n, start),
            "ended": np.full(n, NEVER),
        },
    )
    campaign = np.repeat(first + np.arange(n), 5)
    query = _phrases(state, rng, chosen)
    keep = np.arange(5 * n) % 5 < np.repeat(rng.integers(2, 6, n), 5)
    campaign, query = campaign[keep], query[keep]
    # Two ways to put a phrase together can read the same; a campaign holds each text once.
    typed = [f"{owner} {queries.text(int(phrase))}" for owner, phrase in zip(campaign, query, strict=True)]
    once = np.unique(np.array(typed, dtype=str), return_index=True)[1]
    state.keywords = append(
        state.keywords,
        {
            "campaign": campaign[once],
            "query": query[once],
            "origin": (rng.random(len(once)) < 0.3).astype(np.int64),
            "added": np.full(len(once), start),
        },
    )


def _phrases(state: State, rng: np.random.Generator, item: Array) -> Array:
    items, n = state.items, len(item)
    leaf, noun, zeros = items["leaf"][item], items["noun"][item], np.zeros(n, dtype=np.int64)
    brand = np.where(items["brand"][item] >= 0, queries.brand_modifier(items["brand"][item]), 0)
    attribute = queries.attribute_modifier(items["first"][item])
    columns = [
        queries.encode(leaf, noun, zeros, zeros),
        queries.encode(leaf, noun, brand, zeros),
        queries.encode(leaf, noun, zeros, zeros + 1),
        queries.encode(leaf, noun, attribute, zeros),
        queries.encode(leaf, rng.integers(0, 2, n), brand, zeros + 1),
    ]
    return np.stack(columns, axis=1).ravel() if n else zeros


def end_campaigns(state: State) -> None:
    """A campaign ends when its listing has left the shelf."""
    if len(state.campaigns["item"]):
        closed = state.items["closed"][state.campaigns["item"]]
        state.campaigns["ended"] = np.minimum(state.campaigns["ended"], closed)


def report(state: State, pages: Columns, rows: Columns, outcome: Outcome) -> Columns:
    """What each (campaign, keyword) got on the day: impressions, clicks, purchases, revenue and what it cost."""
    ad = np.flatnonzero((rows["campaign"] >= 0) & (outcome.position > 0))
    key = rows["campaign"][ad] * 10_000_000 + pages["query"][rows["page"][ad]]
    unique, group = np.unique(key, return_inverse=True)
    paid = np.zeros(len(rows["page"]))
    paid[np.array(outcome.sales.row, dtype=np.int64)] = outcome.sales.price

    def total(values: Array) -> Array:
        return np.bincount(group, weights=values, minlength=len(unique))

    revenue, campaign = total(paid[ad]), unique // 10_000_000
    return {
        "campaign": campaign,
        "query": unique % 10_000_000,
        "impressions": total(np.ones(len(ad))).astype(np.int64),
        "clicks": total(outcome.click[ad].astype(float)).astype(np.int64),
        "purchases": total((paid[ad] > 0).astype(float)).astype(np.int64),
        "revenue": revenue,
        "spend": np.round(revenue * (state.campaigns["ad_rate"][campaign] if len(campaign) else 0.0), 2),
    }
