"""What is known of an item beside a keyword before an ad is shown: how they fit, how the keyword is searched, the item.

Every feature is of the end of the day that the frames are of: nothing in here looks at what the ad brought afterwards.
What is not known stays NaN, and each model handles it in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.features.content import words
from recsys.keywords.affinity import Affinity
from recsys.keywords.association import Association
from recsys.keywords.pairs import COUNTED, Pairs
from recsys.keywords.text import pack, unpack
from recsys.schema import CATEGORY_ID

FIT: Final = (
    "covered",
    "title_share",
    "graph",
    "all_covered",
    "own_brand",
    "other_brand",
    "affinity",
    "borne",
    "weakest",
    "share",
)
DEMAND: Final = (
    "keyword_words",
    "log_searches",
    "log_searches_per_searcher",
    "trend",
    "log_clicks_per_search",
    "log_odds_purchase",
    "log_odds_ad_click",
    "log_odds_ad_purchase",
    "log_price_ratio",
)
COMPETITION: Final = ("log_campaigns", "log_live")
ITEM: Final = (
    "log_price",
    "log_price_in_category",
    "condition",
    "seller_pays_shipping",
    "auction",
    "branded",
    "log_age",
    "log_views",
    "log_likes",
    "log_likes_per_view",
    "log_bought",
    "log_title_words",
)
FEATURES: Final = (*FIT, *DEMAND, *COMPETITION, *ITEM)
FIT_COLUMNS: Final = [FEATURES.index(name) for name in FIT]

CONDITIONS: Final = {"new": 0.0, "like_new": 1.0, "good": 2.0, "fair": 3.0}
"""Steps of wear; a condition of another name is not known."""
PRIOR_CLICKS: Final = 20.0
"""Clicks, and impressions of ads, that the mean of all keywords is worth beside a keyword's own."""
BLOCK: Final = 200_000
"""Pairs whose words are compared at once."""


@dataclass(frozen=True)
class Known:
    """What features need beside the frames, learned once and kept with the ranker.

    One item alone does not tell what words are brands, nor what is dear in its category. ``brands`` are in lower case,
    their words parted by single spaces; ``log_price`` is the median by category; ``rates`` are of all keywords:
    purchases per click of a search, clicks per impression of an ad, purchases per click of an ad.
    """

    brands: frozenset[str]
    log_price: Mapping[str, float]
    rates: tuple[float, float, float]
    affinity: Affinity
    association: Association

    @classmethod
    def learn(
        cls, items: pd.DataFrame, catalogue: pd.DataFrame, engaged: pd.DataFrame, ads: pd.DataFrame
    ) -> Known:
        """From one day's items and keywords, ``engaged`` [keyword, item_id, clicks, purchases] and ``ads`` alike."""
        price = pd.Series(_log(items["price"].to_numpy(np.float64), 0.01), index=items.index)
        by_category = price.groupby(items[CATEGORY_ID].to_numpy(object)).median()
        usual = dict(zip(map(str, by_category.index), by_category.tolist(), strict=True))
        totals = catalogue[list(COUNTED)].astype("float64").sum()
        rates = tuple(
            float((totals[good] + 1) / (totals[tried] + 1 / usual)) for good, tried, usual in _RATES.values()
        )
        brands = frozenset(" ".join(words(brand)) for brand in items["brand"].dropna().unique()) - {""}
        affinity = Affinity.learn(items, engaged)
        return cls(brands, usual, (rates[0], rates[1], rates[2]), affinity, Association.learn(items, ads))

    def arrays(self) -> dict[str, np.ndarray]:
        """For saving."""
        kept = self.affinity.arrays() | self.association.arrays() | {"known.rates": np.array(self.rates)}
        kept["known.prices"] = np.array(list(self.log_price.values()), np.float64)
        return kept | pack("known.brands", sorted(self.brands)) | pack("known.categories", self.log_price)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Known:
        """What was saved."""
        brands, categories = unpack("known.brands", arrays), unpack("known.categories", arrays)
        prices = dict(zip(categories, arrays["known.prices"].tolist(), strict=True))
        association = Association.from_arrays(arrays)
        first, second, third = arrays["known.rates"].tolist()
        return cls(
            frozenset(brands), prices, (first, second, third), Affinity.from_arrays(arrays), association
        )


_RATES: Final = {
    "log_odds_purchase": ("purchases_28d", "clicks_28d", 0.05),
    "log_odds_ad_click": ("ad_clicks", "ad_impressions", 0.1),
    "log_odds_ad_purchase": ("ad_purchases", "ad_clicks", 0.05),
}
"""What is good, out of what, and what is usual where nothing is known yet."""


def pair_features(pairs: Pairs, known: Known) -> np.ndarray:
    """``FEATURES`` of each pair: float32 [pairs, features], NaN where something is not known."""
    columns = {**word_counts(pairs)} | _demand(pairs, known) | _item(pairs, known)
    columns |= brands(pairs, known) | {
        "affinity": known.affinity.of(pairs.items, pairs.keywords.index, pairs)
    }
    columns |= known.association.of(pairs) | {"share": _share(pairs)}
    return np.column_stack([columns[name] for name in FEATURES]).astype(np.float32)


def word_counts(pairs: Pairs) -> dict[str, np.ndarray]:
    """How the words of the keyword lie in the title, brand and size of the item: float64 [pairs] each.

    ``graph`` is c / (len - c + 1) of GraphEx (eBay, 2024), c the words shared and len those of the keyword;
    ``shared`` is c itself.
    """
    titles, phrases = pairs.titles, pairs.phrases
    columns = phrases.columns_in(titles.words)
    rows = np.repeat(np.arange(len(pairs.keywords)), np.diff(phrases.has.indptr))
    found = columns >= 0
    shape = (len(pairs.keywords), max(1, len(titles.words)))
    inside = sparse.csr_array((np.ones(found.sum(), np.int16), (rows[found], columns[found])), shape=shape)
    shared = np.zeros(len(pairs))
    for start in range(0, len(pairs), BLOCK):
        part = slice(start, start + BLOCK)
        both = titles.has[pairs.item[part]].multiply(inside[pairs.keyword[part]])
        shared[part] = np.asarray(both.sum(axis=1)).ravel()
    of_phrase = np.diff(phrases.has.indptr)[pairs.keyword].astype(np.float64)
    of_title = np.diff(titles.has.indptr)[pairs.item].astype(np.float64)
    return {
        "shared": shared,
        "covered": shared / np.maximum(of_phrase, 1),
        "title_share": shared / np.maximum(of_title, 1),
        "graph": shared / (of_phrase - shared + 1),
        "all_covered": ((shared == of_phrase) & (of_phrase > 0)).astype(np.float64),
        "keyword_words": of_phrase,
        "log_title_words": np.log1p(of_title),
        "title_words": of_title,
    }


def brands(pairs: Pairs, known: Known) -> dict[str, np.ndarray]:
    """Whether the keyword names the item's own brand, or another: 0 or 1, NaN for the own of an item without one."""
    named = [_brand_in(text, known.brands) for text in pairs.keywords.index]
    own = [" ".join(words(brand)) if isinstance(brand, str) else "" for brand in pairs.items["brand"]]
    codes = pd.factorize(np.array([*named, *own], dtype=object))[0]
    of_keyword, of_item = codes[: len(named)][pairs.keyword], codes[len(named) :][pairs.item]
    names = np.array([bool(text) for text in named], bool)[pairs.keyword]
    has = np.array([bool(text) for text in own], bool)[pairs.item]
    same = names & has & (of_keyword == of_item)
    return {
        "own_brand": np.where(has, same.astype(np.float64), np.nan),
        "other_brand": (names & ~same).astype(np.float64),
        "branded": has.astype(np.float64),
    }


def _brand_in(text: str, known: frozenset[str], longest: int = 4) -> str:
    """The longest brand whose words stand in the text, '' for none."""
    found = words(text)
    for length in range(min(longest, len(found)), 0, -1):
        for start in range(len(found) - length + 1):
            phrase = " ".join(found[start : start + length])
            if phrase in known:
                return phrase
    return ""


def _share(pairs: Pairs) -> np.ndarray:
    """The part of the keyword's clicks that are in the item's category; NaN for a keyword nobody searched."""
    return np.where(pairs.of_keyword("searches_28d") > 0, pairs.in_category("share"), np.nan)


def _demand(pairs: Pairs, known: Known) -> dict[str, np.ndarray]:
    """How the keyword is searched and what it led to, by pair."""
    columns = {
        "log_searches": np.log1p(pairs.table("searches_28d")),
        "log_searches_per_searcher": np.log1p(pairs.table("searches_28d"))
        - np.log1p(pairs.table("searchers_28d")),
        "trend": np.log1p(pairs.table("searches_7d")) - np.log1p(pairs.table("searches_28d") / 4),
        "log_clicks_per_search": np.log1p(pairs.table("clicks_28d")) - np.log1p(pairs.table("searches_28d")),
        "log_campaigns": np.log1p(pairs.table("campaigns")),
    }
    for rate, (name, (good, tried, _)) in zip(known.rates, _RATES.items(), strict=True):
        p = shrunk(pairs.table(good), pairs.table(tried), rate)
        columns[name] = np.log(p / (1 - p))
    revenue, bought = pairs.table("revenue_28d"), pairs.table("purchases_28d")
    with np.errstate(divide="ignore", invalid="ignore"):
        spent = np.where((bought > 0) & (revenue > 0), np.log(revenue / bought), np.nan)
    by_pair = {name: values[pairs.keyword] for name, values in columns.items()}
    return by_pair | {"log_price_ratio": _log(pairs.of_item("price"), 0.01) - spent[pairs.keyword]}


def shrunk(good: np.ndarray, tried: np.ndarray, rate: float) -> np.ndarray:
    """``good`` out of ``tried``, shrunk to ``rate`` as if PRIOR_CLICKS more had been tried: in (0, 1)."""
    p = (good + PRIOR_CLICKS * rate) / (np.maximum(tried, good) + PRIOR_CLICKS)
    return np.asarray(np.clip(p, 1e-6, 1 - 1e-6))


def _item(pairs: Pairs, known: Known) -> dict[str, np.ndarray]:
    """The item, by pair."""
    price = _log(pairs.of_item("price"), 0.01)
    usual = pairs.items[CATEGORY_ID].map(known.log_price).to_numpy(np.float64)
    views, likes = pairs.of_item("views_30d"), pairs.of_item("likes_30d")
    worn = pairs.items["condition"].map(CONDITIONS).to_numpy(np.float64)
    shipping, sale = (pairs.items[name].to_numpy(object) for name in ("shipping_payer", "sale_type"))
    return {
        "log_price": price,
        "log_price_in_category": price - usual[pairs.item],
        "condition": worn[pairs.item],
        "seller_pays_shipping": (shipping == "seller").astype(np.float64)[pairs.item],
        "auction": (sale == "auction").astype(np.float64)[pairs.item],
        "log_age": np.log1p(np.maximum(pairs.of_item("age_days"), 0)),
        "log_views": np.log1p(views),
        "log_likes": np.log1p(likes),
        "log_likes_per_view": np.log1p(likes) - np.log1p(views),
        "log_bought": np.log1p(pairs.of_item("purchases_30d")),
        "log_live": np.log1p(pairs.of_item("live_in_category")),
    }


def _log(values: np.ndarray, least: float) -> np.ndarray:
    return np.log(np.maximum(values, least))
