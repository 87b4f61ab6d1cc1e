"""What is known of each keyword in each leaf category: how it is searched, and what advertising with it brought."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import pandas as pd

from recsys.schema import CATEGORY_ID, ITEM_ID

KEYWORD: Final = "keyword"
REACH: Final = ("searches_7d", "searchers_7d", "searches_28d", "searchers_28d")
BOUGHT: Final = ("clicks_28d", "purchases_28d", "revenue_28d")
ADVERTISED: Final = {"ad_impressions": "impressions", "ad_clicks": "clicks", "ad_purchases": "purchases"}
COLUMNS: Final = (KEYWORD, CATEGORY_ID, *REACH, *BOUGHT, "share", "campaigns", *ADVERTISED, "mean_ad_rate")
_ROW = [KEYWORD, CATEGORY_ID]


def catalogue(
    demand: pd.DataFrame, history: pd.DataFrame, variants: pd.DataFrame, ds: date, timezone: str = "UTC"
) -> pd.DataFrame:
    """One row per (keyword, category_id), in that order: searches and campaigns under the canonical text.

    Searches and searchers are those of the phrase wherever its clicks went (its page shows to all who search it), so
    each row of a keyword repeats them: never add them up over categories. Searchers of variants are added up, which
    counts a person who typed two of them twice. Clicks, purchases, revenue and the ``ad_`` columns are of the category
    alone. ``share`` is the part of the keyword's clicks that are in the category; a keyword without clicks is shared
    evenly. ``campaigns`` and ``mean_ad_rate`` (NaN where there are none) are of the campaigns in any category that bid
    on the keyword at the end of ``ds``.

    Args:
        demand: [query, category_id, searches_7d, searchers_7d, searches_28d, searchers_28d, clicks_28d, purchases_28d,
            revenue_28d], the first four of the whole query.
        history: [campaign_id, category_id, ad_rate, started_at, ended_at, keyword, impressions, clicks, purchases].
        variants: [raw, keyword]; a text that is missing here, or rejected (keyword null), is left out.
        ds: the day at whose end a campaign has to run to count.
        timezone: whose midnight ends a day.
    """
    forms = canonical(variants)
    searched = demand.assign(keyword=demand["query"].map(forms)).dropna(subset=_ROW)
    bid = history.assign(keyword=history[KEYWORD].map(forms)).dropna(subset=_ROW)
    clicked = searched.groupby(_ROW)[list(BOUGHT)].sum()
    advertised = bid.groupby(_ROW)[list(ADVERTISED.values())].sum()
    advertised.columns = pd.Index(list(ADVERTISED))
    table = clicked.join(advertised, how="outer").astype("float64").fillna(0.0).reset_index()
    table = table.join(_reach(searched), on=KEYWORD).join(_competition(bid, end_of(ds, timezone)), on=KEYWORD)
    counts = [*REACH, "campaigns"]
    table[counts] = table[counts].astype("float64").fillna(0.0)
    by_keyword = table.groupby(KEYWORD)["clicks_28d"]
    clicks, rows = by_keyword.transform("sum"), by_keyword.transform("size")
    table["share"] = (table["clicks_28d"] / clicks.where(clicks > 0)).fillna(1.0 / rows)
    whole = [name for name in COLUMNS if name not in (*_ROW, "share", "mean_ad_rate", "revenue_28d")]
    table[whole] = table[whole].round().astype("int64")
    return table.sort_values(_ROW, ignore_index=True)[list(COLUMNS)]


def engagement(engaged: pd.DataFrame, variants: pd.DataFrame) -> pd.DataFrame:
    """Clicks and purchases by (keyword, item_id) in that order, from [query, item_id, clicks, purchases]."""
    forms = canonical(variants)
    mapped = engaged.assign(keyword=engaged["query"].map(forms)).dropna(subset=[KEYWORD])
    return mapped.groupby([KEYWORD, ITEM_ID], as_index=False)[["clicks", "purchases"]].sum()


def end_of(ds: date, timezone: str = "UTC") -> pd.Timestamp:
    """The moment at which ``ds`` ends in ``timezone``; where clocks skip midnight, the first one after it.

    Example:
        >>> end_of(date(2026, 3, 1), "Asia/Tokyo").tz_convert("UTC")
        Timestamp('2026-03-01 15:00:00+0000', tz='UTC')
    """
    midnight = pd.Timestamp(ds + timedelta(days=1))
    return midnight.tz_localize(timezone, ambiguous=True, nonexistent="shift_forward")


def canonical(variants: pd.DataFrame) -> pd.Series:
    """Raw text to keyword, without what was rejected."""
    return variants.dropna(subset=[KEYWORD]).drop_duplicates("raw").set_index("raw")[KEYWORD]


def renamed(lists: pd.DataFrame, forms: pd.Series) -> pd.DataFrame:
    """Lists of an earlier day with the keywords that ``forms`` has for their texts; what is not there stays.

    Example:
        >>> lists = pd.DataFrame({"item_id": "i1", "keyword": ["levis", "coat"]})
        >>> renamed(lists, pd.Series({"levis": "levi"}))["keyword"].tolist()
        ['levi', 'coat']
    """
    return lists.assign(**{KEYWORD: lists[KEYWORD].map(forms).fillna(lists[KEYWORD])})


def _reach(searched: pd.DataFrame) -> pd.DataFrame:
    """Searches and searchers by keyword: each query once, whatever its categories."""
    once = searched.groupby([KEYWORD, "query"])[list(REACH)].max().astype("float64")
    return once.groupby(level=KEYWORD).sum()


def _competition(bid: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
    """How many campaigns bid on a keyword at ``end``, and the mean of their rates."""
    started, ended = (pd.to_datetime(bid[column], utc=True) for column in ("started_at", "ended_at"))
    live = bid[(started < end) & (ended.isna() | (ended >= end))]
    each = live.drop_duplicates([KEYWORD, "campaign_id"]).astype({"ad_rate": "float64"})
    by_keyword = each.groupby(KEYWORD)["ad_rate"]
    return pd.DataFrame({"campaigns": by_keyword.size(), "mean_ad_rate": by_keyword.mean()})
