"""Judge lists of sellers by whom buyers newly followed or bought from in the days after a cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.evaluation.bootstrap import intervals
from recsys.evaluation.metrics import REVENUE, user_metrics
from recsys.jobs.sellers_inputs import ACTS, evening_before, read_later, read_market
from recsys.jobs.sellers_train import LEAST_DAYS, MOST_DAYS, learned
from recsys.schema import ITEM_ID, RANK, SELLER_ID, USER_ID
from recsys.sellers.factors import NAMES, Factors
from recsys.sellers.market import Market
from recsys.sellers.recommend import most_popular, recommend
from recsys.sellers.weights import STATED, Weights, new_pairs
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from recsys.warehouse.files import replacing

FULL, POPULAR, CATEGORY = "sellers", "most popular", "category fit alone"
METRICS = ("ndcg", "recall", "mrr")
NEW_DAYS = 30
"""A seller is new for so long after they registered."""


@dataclass(frozen=True)
class Judged:
    """``table``: a row per method and buyers (all, warm, new), METRICS and their intervals. ``lead``: NDCG of the lists
    less that of the most popular, user by user, with its interval. ``exposure``: a row per method: what part of the
    places new and unknown sellers hold, and of the sellers how many are shown at all; and what part they are."""

    table: pd.DataFrame
    lead: Mapping[str, float]
    exposure: pd.DataFrame

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "methods": self.table.to_dict("records"),
            "lead": dict(self.lead),
            "exposure": self.exposure.to_dict("records"),
        }


def run(
    settings: Settings,
    cut: date,
    until: date,
    k: int = 10,
    *,
    json_path: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Judged:
    """Make lists of the evening before ``cut`` and judge them by the days from ``cut`` to the one before ``until``.

    The weights are learned from the days before ``cut`` alone, as ``sellers_train`` does.

    Raises:
        ModelError: the period has no day, or one that is not staged, or nobody turned to a new seller in it.
        WarehouseError: features of the evening are missing; names the command that builds them.
    """
    say = progress or (lambda _: None)
    evening = cut - timedelta(days=1)
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        _staged(warehouse, cut, until)
        market = read_market(warehouse, settings, evening)
        later = read_later(warehouse, evening, until - timedelta(days=1))
        start = evening_before(warehouse, evening, MOST_DAYS, LEAST_DAYS)
        try:
            weights = learned(warehouse, settings, start, evening) if start else STATED
        except ModelError as error:
            say(str(error))
            weights = STATED
    say(f"weights: learned from {weights.pairs} pairs after {start}" if weights.pairs else "weights: stated")
    found = judge(Factors(market, settings.seed), weights, later, k, seed=settings.seed)
    if json_path:
        facts = {"cut": cut.isoformat(), "until": until.isoformat(), "k": k, "pairs": weights.pairs}
        with replacing(json_path) as aside:
            aside.write_text(json.dumps(facts | found.as_dict(), indent=2) + "\n", encoding="utf-8")
    return found


def _staged(warehouse: Warehouse, cut: date, until: date) -> None:
    """Refuse a test period that is empty or not wholly staged: its figures would be those of fewer days."""
    if until <= cut:
        raise ModelError(f"The test period is from {cut} to the day before {until}; give a later --until.")
    staged, last = set(warehouse.partitions(ACTS)), until - timedelta(days=1)
    period = (cut + timedelta(days=n) for n in range((until - cut).days))
    missing = next((day for day in period if day not in staged), None)
    if missing:
        instead = "an earlier --cut and --until" if missing == cut else f"--until {missing}"
        raise ModelError(
            f"The test period is from {cut} to {last}, and {missing} is not staged (the last staged day is "
            f"{max(staged, default='none')}); give {instead}, or stage the days with "
            f"`recsys build staging --ds {missing} --until {last}`."
        )


def judge(factors: Factors, weights: Weights, later: pd.DataFrame, k: int, seed: int) -> Judged:
    """Judge the lists of a market by ``later`` [user_id, seller_id], who newly turned to whom.

    Warm buyers had something to do with a listing before, new ones had not.

    Raises:
        ModelError: none of ``later`` could have been recommended.
    """
    market = factors.market
    user, seller = new_pairs(market, later)
    if not len(user):
        raise ModelError(f"Nobody turned to a new seller after {market.ds}; take a longer period.")
    wanted = pd.DataFrame(
        {USER_ID: market.users[user], ITEM_ID: market.shelf.seller_ids[seller], REVENUE: 0.0}
    ).drop_duplicates()
    buyers = np.unique(user)
    alone = Weights(np.zeros(len(NAMES)), np.ones(len(NAMES)), (np.array(NAMES) == "category") * 1.0, 0)
    lists = {
        FULL: recommend(factors, weights, buyers, k),
        CATEGORY: recommend(factors, alone, buyers, k),
        POPULAR: most_popular(market, buyers, k),
    }
    values = {
        name: user_metrics(frame.rename(columns={SELLER_ID: ITEM_ID})[[USER_ID, ITEM_ID, RANK]], wanted, k)
        for name, frame in lists.items()
    }
    warm = pd.Series(np.diff(market.touched.indptr)[buyers] > 0, index=market.users[buyers])
    rows = [
        _row(name, circle, table[list(METRICS)][keep.reindex(table.index).to_numpy(bool)], seed)
        for circle, keep in (("all", warm | True), ("warm", warm), ("new", ~warm))
        for name, table in values.items()
    ]
    gap = (values[FULL]["ndcg"] - values[POPULAR]["ndcg"]).to_numpy()[:, None]
    lead = intervals(gap, seed)
    return Judged(
        pd.DataFrame([row for row in rows if row["buyers"]]),
        {"difference": float(lead.value[0]), "low": float(lead.low[0]), "high": float(lead.high[0])},
        pd.DataFrame([_exposure(name, frame, market) for name, frame in lists.items()]),
    )


def _row(method: str, circle: str, values: pd.DataFrame, seed: int) -> dict[str, object]:
    row: dict[str, object] = {"method": method, "circle": circle, "buyers": len(values)}
    if len(values):
        found = intervals(values.to_numpy(float), seed)
        for place, name in enumerate(METRICS):
            row |= {name: float(found.value[place])}
            row |= {f"{name}_low": float(found.low[place]), f"{name}_high": float(found.high[place])}
    return row


def _exposure(method: str, lists: pd.DataFrame, market: Market) -> dict[str, object]:
    """What part of the places goes to sellers who are new, or whom nobody follows or bought from."""
    sellers = market.shelf.seller_ids
    new = market.sellers["tenure_days"].to_numpy(float) <= NEW_DAYS
    unknown = np.asarray(market.bound.sum(axis=0)).reshape(-1)[market.offered] == 0
    shown = sellers.get_indexer(pd.Index(lists[SELLER_ID]))
    listings = np.bincount(market.shelf.seller_code, minlength=len(sellers))
    places = np.bincount(shown, minlength=len(sellers))
    row: dict[str, object] = {"method": method, "sellers_shown": float((places > 0).mean())}
    for name, mask in (("new", new), ("unknown", unknown)):
        row |= {
            f"{name}_places": float(places[mask].sum() / max(places.sum(), 1)),
            f"{name}_sellers": float(mask.mean()),
            f"{name}_listings": float(listings[mask].sum() / max(listings.sum(), 1)),
        }
    return row


def print_judged(found: Judged, k: int, console: Console) -> None:
    """Print what was judged."""
    grid = Table("method", "buyers", "of them", f"NDCG@{k}", "95 %", f"recall@{k}", "MRR", box=None)
    for row in found.table.to_dict("records"):
        grid.add_row(
            str(row["method"]),
            str(row["circle"]),
            f"{row['buyers']:,}",
            f"{row['ndcg']:.4f}",
            f"{row['ndcg_low']:.4f} to {row['ndcg_high']:.4f}",
            f"{row['recall']:.4f}",
            f"{row['mrr']:.4f}",
        )
    console.print(grid)
    lead = found.lead
    console.print(
        f"{FULL} against {POPULAR}, buyer by buyer: NDCG {lead['difference']:+.4f} "
        f"({lead['low']:+.4f} to {lead['high']:+.4f}).",
        highlight=False,
        soft_wrap=True,
    )
    for row in found.exposure.to_dict("records"):
        console.print(
            f"{row['method']}: {row['sellers_shown']:.0%} of the sellers are shown; sellers of up to {NEW_DAYS} days, "
            f"{row['new_sellers']:.1%} of all with {row['new_listings']:.1%} of the listings, hold "
            f"{row['new_places']:.1%} of the places; those whom nobody knows, {row['unknown_sellers']:.1%} with "
            f"{row['unknown_listings']:.1%}, hold {row['unknown_places']:.1%}.",
            highlight=False,
            soft_wrap=True,
        )
