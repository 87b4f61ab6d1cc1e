"""Propose keywords for the live listings of one shard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd
from threadpoolctl import threadpool_limits

from recsys.jobs.keywords_inputs import (
    PUBLISHED,
    WEEK,
    read_catalogue,
    read_history,
    read_shelf,
    read_variants,
    running,
)
from recsys.jobs.keywords_plan import TABLE
from recsys.jobs.plan_shards import NOBODY
from recsys.keywords.catalogue import canonical, renamed
from recsys.keywords.champion import KeywordModel
from recsys.keywords.choose import SetRules, choose
from recsys.keywords.explain import explain
from recsys.schema import ITEM_ID, table
from recsys.settings import Settings, parse_ds
from recsys.warehouse import Warehouse, open_warehouse

AT_ONCE = 20_000
"""Listings that are scored at once: about a million pairs."""
USUAL_RATE = 0.05
"""The ad rate of a listing without a campaign, as long as no campaign runs at all."""

PREVIOUS = """
SELECT item_id, keyword
FROM marts.keyword_recommendations
WHERE ds = @day AND item_id BETWEEN @first_item AND @last_item
ORDER BY item_id, rank
"""


@dataclass(frozen=True)
class Market:
    """What lists are made from, beside the listings: the keywords of ``ds`` and the campaigns that run.

    ``campaigns`` is as of ``keywords_inputs.running``; ``bids`` are [seller_id, keyword, item_id]; ``usual_rate`` is
    the median ad rate of what runs; ``forms`` are the keywords of ``ds`` by text.
    """

    catalogue: pd.DataFrame
    campaigns: pd.DataFrame
    bids: pd.DataFrame
    usual_rate: float
    forms: pd.Series


def run(
    settings: Settings,
    ds: date,
    shard: int = 0,
    champion: str = "",
    *,
    first_item: str = "",
    last_item: str = "",
) -> dict[str, object]:
    """Write the part ``shard`` of ``scoring.keyword_lists``: a set of keywords per live listing of a range of ids.

    A listing with a running campaign is judged at its ad rate, another at the median rate of what runs. The lists of
    the week before, where they were published, are changed only for what is clearly better. Without a ``champion``
    (the data day of a model, as ``keywords_plan`` names it) the part is empty.

    Raises:
        ModelError: the model is missing or damaged.
        WarehouseError: features or cleaned keywords of ``ds`` are missing.
    """
    mine, lists, label = (first_item, last_item), [], None
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        if champion and mine != NOBODY:
            model, market = (
                KeywordModel.load(settings.models_dir, parse_ds(champion)),
                read_market(warehouse, ds),
            )
            shelf, label = read_shelf(warehouse, ds, *mine), model.label
            previous = read_previous(warehouse, ds, *mine)
            lists = [
                propose(model, market, shelf[at : at + AT_ONCE], set_rules(settings), previous)
                for at in range(0, len(shelf), AT_ONCE)
            ]
        columns = table(TABLE).column_names
        rows = pd.concat(lists) if lists else pd.DataFrame(columns=columns)
        written = warehouse.write(TABLE, rows.assign(ds=ds)[columns], ds, part=f"{shard:03d}")
    return {"shard": shard, "items": rows[ITEM_ID].nunique(), "rows": written, "model": label}


def read_market(warehouse: Warehouse, ds: date) -> Market:
    """The keywords and campaigns of ``ds``.

    Raises:
        WarehouseError: features or cleaned keywords of the day are missing.
    """
    variants, history = read_variants(warehouse, ds), read_history(warehouse, ds)
    catalogue = read_catalogue(warehouse, ds, history, variants)
    campaigns = running(history)
    forms = canonical(variants)
    bids = history[history["ended_at"].isna()].assign(keyword=lambda rows: rows["keyword"].map(forms))
    rate = campaigns["ad_rate"].median() if len(campaigns) else USUAL_RATE
    return Market(catalogue, campaigns, bids.dropna(subset=["keyword"]), float(rate), forms)


def read_previous(warehouse: Warehouse, ds: date, first_item: str, last_item: str) -> pd.DataFrame | None:
    """The lists of the week before, in its texts, None where nothing was published: [item_id, keyword]."""
    if not warehouse.exists(PUBLISHED, ds - WEEK):
        return None
    asked = {"day": ds - WEEK, "first_item": first_item, "last_item": last_item}
    return warehouse.query(PREVIOUS, asked, ds=ds).to_pandas()


def set_rules(settings: Settings) -> SetRules:
    """How sets are chosen in this installation."""
    return SetRules(
        size=settings.keywords, margin=settings.keyword_margin, least_relevance=settings.keyword_relevance
    )


def propose(
    model: KeywordModel,
    market: Market,
    shelf: pd.DataFrame,
    rules: SetRules,
    previous: pd.DataFrame | None = None,
    *,
    ad_rate: float | None = None,
) -> pd.DataFrame:
    """The keywords of each listing of ``shelf``, with what is expected of them and why, as of ``TABLE`` without ds.

    ``shelf`` is as of ``read_shelf``, and may have a column ``budget``, see ``choose``. ``previous`` is as of
    ``read_previous``: a keyword whose cluster goes by another text now is the same. ``ad_rate`` stands for what the
    campaigns pay.
    """
    items = shelf.merge(market.campaigns[[ITEM_ID, "campaign_id", "ad_rate"]], on=ITEM_ID, how="left")
    items["ad_rate"] = items["ad_rate"].fillna(market.usual_rate) if ad_rate is None else ad_rate
    rates = items.set_index(ITEM_ID)["ad_rate"]
    scored = model.system.scored(items, market.catalogue, rates)
    previous = None if previous is None else renamed(previous, market.forms)
    chosen = choose(scored, items, rules, previous=previous, bids=market.bids)
    chosen["reason"] = explain(chosen, scored, rules.weeks)
    facts = items.set_index(ITEM_ID)[["campaign_id", "ad_rate"]]
    return chosen.join(facts, on=ITEM_ID).assign(model=model.label)
