"""Ads with a known truth: an ad is clicked and bought by a rule that the features can see."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd

from recsys.keywords.labels import Frames, Week, week
from recsys.ranking.platt import sigmoid

NOUNS, COLOURS, BRANDS = ("coat", "shirt", "boots", "scarf"), ("red", "blue", "green"), ("Astra", "Borea")
FIRST = date(2026, 1, 4)


def world(weeks: int = 4, items: int = 240, seed: int = 0, shown: int = 40) -> list[Frames]:
    """Frames of ``weeks`` + 1 days, a week apart: each item has a campaign for a fitting keyword and another one.

    An ad is clicked with log-odds -2 + 2 for a keyword all of whose words are in the title, bought after a click with
    log-odds -1.5, and has the slot in half of the searches.
    """
    rng = np.random.default_rng(seed)
    noun, colour = rng.integers(0, 4, items), rng.integers(0, 3, items)
    titles = [f"{COLOURS[c]} {NOUNS[n]} size M" for n, c in zip(noun, colour, strict=True)]
    table = pd.DataFrame(
        {
            "item_id": [f"i{number:04d}" for number in range(items)],
            "seller_id": [f"u{number % 40:03d}" for number in range(items)],
            "category_id": [f"c{n}" for n in noun],
            "parent_category_id": "p0",
            "title": titles,
            "brand": np.where(rng.random(items) < 0.5, rng.choice(BRANDS, items), None),
            "size": "M",
            "condition": rng.choice(["new", "good"], items),
            "price": np.round(rng.uniform(5, 80, items), 2),
            "take_rate": 0.1,
            "shipping_payer": "buyer",
            "stock": 1,
            "sale_type": "fixed",
            "age_days": 3.0,
            "views_30d": rng.poisson(20, items),
            "likes_30d": rng.poisson(3, items),
            "purchases_30d": 0,
            "impressions_30d": 100,
            "live_in_category": 60,
            "is_live": True,
        }
    )
    keywords = [f"{c} {n}" for n in NOUNS for c in COLOURS]
    fits = [f"{COLOURS[c]} {NOUNS[n]}" for n, c in zip(noun, colour, strict=True)]
    other = rng.choice(keywords, items)
    pairs = pd.DataFrame({"item": np.tile(np.arange(items), 2), "keyword": [*fits, *other]})
    pairs = pairs.drop_duplicates(ignore_index=True)
    return _frames(table, pairs, fits, weeks, shown=shown, rng=rng)


def _frames(
    items: pd.DataFrame,
    pairs: pd.DataFrame,
    fits: list[str],
    weeks: int,
    *,
    shown: int,
    rng: np.random.Generator,
) -> list[Frames]:
    ids = items["item_id"].to_numpy(object)[pairs["item"]]
    history = pd.DataFrame(
        {
            "campaign_id": [f"c{number:04d}" for number in pairs["item"]],
            "seller_id": items["seller_id"].to_numpy(object)[pairs["item"]],
            "item_id": ids,
            "category_id": items["category_id"].to_numpy(object)[pairs["item"]],
            "ad_rate": rng.uniform(0.02, 0.12, len(pairs)),
            "started_at": pd.Timestamp(FIRST, tz="UTC"),
            "ended_at": pd.NaT,
            "keyword": pairs["keyword"],
            "origin": "seller",
        }
    )
    history["ad_rate"] = history.groupby("campaign_id")["ad_rate"].transform("first")
    demand = pd.DataFrame(
        [(f"{c} {n}", f"c{place}", 2 * shown) for place, n in enumerate(NOUNS) for c in COLOURS],
        columns=["query", "category_id", "searches_7d"],
    )
    demand = demand.assign(searchers_7d=demand["searches_7d"] // 2, searches_28d=4 * demand["searches_7d"])
    demand = demand.assign(
        searchers_28d=2 * demand["searches_7d"], clicks_28d=100, purchases_28d=5, revenue_28d=200.0
    )
    fitting = pairs["keyword"].to_numpy(object) == np.array(fits, dtype=object)[pairs["item"]]
    made, counts = [], np.zeros((3, len(pairs)))
    chosen = np.flatnonzero(fitting)
    for number in range(weeks + 1):
        known = rng.choice(chosen, 20 * (number + 1))
        engaged = pd.DataFrame({"query": pairs["keyword"].to_numpy(object)[known], "item_id": ids[known]})
        engaged = engaged.assign(clicks=number + 1, purchases=0).drop_duplicates(["query", "item_id"])
        variants = pd.DataFrame({"raw": demand["query"], "keyword": demand["query"]})
        day = FIRST + timedelta(days=7 * number)
        so_far = history.assign(
            impressions=counts[0], clicks=counts[1], purchases=counts[2], revenue=0.0, spend=0.0
        )
        made.append(
            Frames.of(day, items=items, demand=demand, history=so_far, engaged=engaged, variants=variants)
        )
        impressions = rng.binomial(2 * shown, 0.5, len(pairs))
        clicks = rng.binomial(impressions, sigmoid(-2 + 2 * fitting))
        counts = counts + np.array([impressions, clicks, rng.binomial(clicks, sigmoid(np.array(-1.5)))])
    return made


def weeks_of(frames: list[Frames]) -> list[Week]:
    return [week(eve, later) for eve, later in pairwise(frames)]
