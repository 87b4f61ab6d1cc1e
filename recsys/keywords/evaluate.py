"""Are the keywords of successful campaigns in the lists? And how relevant, far-reaching, varied and steady lists are.

A campaign succeeded when an ad of it sold. What it should have been offered are its keywords that were clicked; one
that sold counts more. Whose keywords, the seller's own or any, is for the caller to say (see ``trial.Trial``).
Campaigns of several such keywords are judged by NDCG, those of one by the reciprocal rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pandas as pd

from recsys.keywords.overlap import Overlap
from recsys.schema import CATEGORY_ID, ITEM_ID, RANK

CAMPAIGN_ID: Final = "campaign_id"
CLICKED, SOLD = 1.0, 3.0
"""Gains 2**grade - 1 (Burges et al. 2005) of a keyword that was clicked (grade 1), and of one that sold (grade 2)."""
AGES: Final = (1.0, 3.0, 7.0)
"""Ages of listings, in days, at which bands end."""
FACTS: Final = (CAMPAIGN_ID, ITEM_ID, CATEGORY_ID, "age_days")


@dataclass(frozen=True)
class ListMetrics:
    """Means over campaigns, and how many there are of each sort.

    ``ndcg`` and ``several``: campaigns with two keywords to find or more. ``mrr`` and ``single``: with one.
    ``recall`` over both, and so are ``ndcg_all`` and ``mrr_all``. NaN where there is no campaign.
    """

    ndcg: float
    mrr: float
    recall: float
    ndcg_all: float
    mrr_all: float
    several: int
    single: int

    def as_dict(self, k: int) -> dict[str, float]:
        """As {"ndcg@k": .., "mrr@k": .., "recall@k": .., ...}."""
        return {
            f"ndcg@{k}": self.ndcg,
            f"mrr@{k}": self.mrr,
            f"recall@{k}": self.recall,
            f"ndcg_all@{k}": self.ndcg_all,
            f"mrr_all@{k}": self.mrr_all,
            "several": self.several,
            "single": self.single,
        }


def targets(outcome: pd.DataFrame) -> pd.DataFrame:
    """The keywords that lists should have held: [*FACTS, keyword, gain], of campaigns that sold.

    Args:
        outcome: [*FACTS, keyword, clicks, purchases] of the test period, keywords canonical (missing: rejected);
            several rows of a keyword are added up.
    """
    known = outcome.dropna(subset=["keyword"])
    total = known.groupby([*FACTS, "keyword"], dropna=False, as_index=False)[["clicks", "purchases"]].sum()
    sold = total.groupby(CAMPAIGN_ID)["purchases"].transform("sum") > 0
    found = total[sold & ((total["clicks"] > 0) | (total["purchases"] > 0))]
    gain = np.where(found["purchases"] > 0, SOLD, CLICKED)
    return found.drop(columns=["clicks", "purchases"]).assign(gain=gain).reset_index(drop=True)


def campaign_metrics(lists: pd.DataFrame, wanted: pd.DataFrame, k: int) -> pd.DataFrame:
    """Judge the first ``k`` keywords of each campaign: one row per campaign, [keywords, ndcg, mrr, recall].

    ``ndcg`` is graded (Järvelin and Kekäläinen 2002), its ideal the gains in falling order, cut at ``k``; ``mrr`` is
    one over the place of the first keyword found, 0 without; ``recall`` is found / min(k, keywords). An item without
    a list counts 0.

    Args:
        lists: [item_id, keyword, rank], rank from 1; [campaign_id, ...] in place of item_id where lists were made anew
            for each campaign.
        wanted: as of ``targets``.
        k: places that count.

    Example:
        >>> lists = pd.DataFrame({"item_id": "i1", "keyword": ["coat", "red coat"], "rank": [1, 2]})
        >>> wanted = pd.DataFrame({"campaign_id": "c1", "item_id": "i1", "keyword": ["red coat"], "gain": [1.0]})
        >>> campaign_metrics(lists, wanted, 10).round(2).to_dict("records")
        [{'keywords': 1, 'ndcg': 0.63, 'mrr': 0.5, 'recall': 1.0}]
    """
    by = CAMPAIGN_ID if CAMPAIGN_ID in lists else ITEM_ID
    ordered = wanted.sort_values([CAMPAIGN_ID, "gain", "keyword"], ascending=[True, False, True])
    ideal_place = ordered.groupby(CAMPAIGN_ID).cumcount() + 1
    ideal: pd.Series = (ordered["gain"] / np.log2(ideal_place + 1)).where(ideal_place <= k, 0.0)
    hits = ordered.merge(lists.loc[lists[RANK] <= k, [by, "keyword", RANK]], on=[by, "keyword"])
    hits = hits.assign(worth=hits["gain"] / np.log2(hits[RANK] + 1.0), inverse=1.0 / hits[RANK])
    found = hits.groupby(CAMPAIGN_ID).agg(
        worth=("worth", "sum"), mrr=("inverse", "max"), hits=("worth", "size")
    )
    table = ordered.groupby(CAMPAIGN_ID).size().rename("keywords").to_frame()
    table = table.join(ideal.groupby(ordered[CAMPAIGN_ID]).sum().rename("ideal")).join(found)
    table[["worth", "mrr", "hits"]] = table[["worth", "mrr", "hits"]].astype("float64").fillna(0.0)
    table["ndcg"] = table["worth"] / table["ideal"]
    table["recall"] = table["hits"] / table["keywords"].clip(upper=k)
    return table[["keywords", "ndcg", "mrr", "recall"]]


def summary(table: pd.DataFrame) -> ListMetrics:
    """Means of ``campaign_metrics``: NDCG where there are several keywords, MRR where there is one."""
    several = table["keywords"] > 1
    return ListMetrics(
        _mean(table.loc[several, "ndcg"]),
        _mean(table.loc[~several, "mrr"]),
        _mean(table["recall"]),
        _mean(table["ndcg"]),
        _mean(table["mrr"]),
        int(several.sum()),
        int((~several).sum()),
    )


def slices(table: pd.DataFrame, wanted: pd.DataFrame) -> pd.DataFrame:
    """``summary`` by age of the item at the start of its campaign and by category: [slice, value, ndcg, ...].

    Without a campaign no row, and the same columns. One whose listing has no known age is in no band of ages.
    """
    facts = wanted.drop_duplicates(CAMPAIGN_ID).set_index(CAMPAIGN_ID).loc[table.index]
    rows = []
    for name, values in (("age", age_bands(facts["age_days"])), ("category", facts[CATEGORY_ID])):
        for value, part in table.groupby(values, sort=True):
            rows.append({"slice": name, "value": value, **vars(summary(part))})
    return pd.DataFrame(rows, columns=["slice", "value", *(field.name for field in fields(ListMetrics))])


def age_bands(days: pd.Series) -> pd.Series:
    """Names of the bands of AGES that ages in days fall into; the names sort by age. An unknown age has none.

    Example:
        >>> age_bands(pd.Series([0.2, 5.0, 40.0])).tolist()
        ['0-1 days', '3-7 days', '7 days or more']
    """
    edges = (0.0, *AGES)
    names = [f"{low:g}-{high:g} days" for low, high in zip(edges, AGES, strict=False)] + [
        f"{AGES[-1]:g} days or more"
    ]
    age = days.to_numpy(np.float64, na_value=np.nan)
    band = np.array(names, dtype=object)[np.searchsorted(AGES, age, side="right")]
    return pd.Series(band, index=days.index, dtype="str").mask(np.isnan(age))


def about_lists(
    lists: pd.DataFrame, catalogue: pd.DataFrame, k: int, previous: pd.DataFrame | None = None
) -> dict[str, float]:
    """What the first ``k`` keywords of lists are like, beside whether they were right.

    ``phrases``: keywords per item, each counted for what it does not share in words with the one before it that it is
    most like. ``reach``: mean searchers of a keyword in the last 7 days. ``distinct``: different keywords over all
    lists. ``relevance``: mean of the column of that name, where there is one. ``stability``: see ``stability``.

    Args:
        lists: [item_id, keyword, rank] and perhaps ``relevance``.
        catalogue: [keyword, searchers_7d], the same for all rows of a keyword.
        k: places that count.
        previous: [item_id, keyword, rank] of the week before.
    """
    shown = lists[lists[RANK] <= k].sort_values([ITEM_ID, RANK], ignore_index=True)
    if shown.empty:
        return {}
    searchers = catalogue.drop_duplicates("keyword").set_index("keyword")["searchers_7d"]
    facts = {
        "keywords": len(shown) / shown[ITEM_ID].nunique(),
        "phrases": float(_own_part(shown).sum() / shown[ITEM_ID].nunique()),
        "reach": float(shown["keyword"].map(searchers).fillna(0).mean()),
        "distinct": float(shown["keyword"].nunique()),
    }
    if "relevance" in shown:
        facts["relevance"] = float(shown["relevance"].mean())
    if previous is not None:
        facts["stability"] = stability(lists, previous, k)
    return facts


def stability(lists: pd.DataFrame, previous: pd.DataFrame, k: int) -> float:
    """Mean over items with two lists of common keywords / keywords of either (Jaccard), first ``k`` places; else NaN.

    Example:
        >>> old = pd.DataFrame({"item_id": "i1", "keyword": ["coat", "hat"], "rank": [1, 2]})
        >>> stability(old.assign(keyword=["coat", "scarf"]), old, 2)
        0.3333333333333333
    """
    now, before = (frame.loc[frame[RANK] <= k, [ITEM_ID, "keyword"]] for frame in (lists, previous))
    both = now.merge(before, on=[ITEM_ID, "keyword"]).groupby(ITEM_ID).size()
    sizes = (
        now.groupby(ITEM_ID)
        .size()
        .rename("now")
        .to_frame()
        .join(before.groupby(ITEM_ID).size().rename("before"), how="inner")
    )
    shared = both.reindex(sizes.index).fillna(0)
    return _mean(shared / (sizes["now"] + sizes["before"] - shared))


def _own_part(shown: pd.DataFrame) -> np.ndarray:
    """1 less the greatest likeness to a keyword that stands before it in its list, [rows]; rows in order."""
    overlap = Overlap.of(pd.Index(shown["keyword"].unique(), dtype=object))
    code = overlap.keywords.get_indexer(pd.Index(shown["keyword"]))
    place = shown.groupby(ITEM_ID).cumcount().to_numpy()
    most = np.zeros(len(shown))
    for back in range(1, int(place.max(initial=0)) + 1):
        later = np.flatnonzero(place >= back)
        most[later] = np.maximum(most[later], overlap.alike(code[later], code[later - back]))
    return 1.0 - most


def _mean(values: pd.Series | Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
