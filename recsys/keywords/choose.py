"""From scored keywords to the set a campaign should bid on: greedy expected profit, overlap of reach discounted.

A campaign pays ``ad_rate`` of the price, and only when its ad sells. So a keyword brings in a week
    sales = searches x P(win the slot) x P(click) x P(purchase | click)
and a sale earns price x (margin - take rate - ad_rate). What a set sells is a Poisson number cut at the pieces there
are to sell, and at the sales whose fee the budget covers: the budget is never overspent.

A searcher of one keyword who searches another of the set has been reached already, if the slot was won there. The set
counts each keyword without what it shares with the one before it that it shares most with: by Hunter's bound (1976, An
upper bound for the probability of a union), the union of events is at most the sum of their chances less the overlaps
along a tree. Gains only fall as a set grows, which is what greedy choice needs (Nemhauser, Wolsey, Fisher 1978).

A proposal that the seller does not take up sells nothing: where the chance that it is taken is known (``p_adopt``),
keywords are compared by gain times that chance. What is told of a keyword is what it sells once it is bid on.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import pdtr, pdtrc

from recsys.errors import KeywordError
from recsys.keywords.overlap import Overlap
from recsys.schema import ITEM_ID, RANK, SELLER_ID

ITEMS_AT_ONCE = 20_000
OWN_ITEM: Final = "own_item:"
CHANCES: Final = ("p_click", "p_purchase", "p_win")
SHOWN: Final = ("sources", *CHANCES, "searches_7d", "searchers_7d")
CHOSEN: Final = (
    ITEM_ID,
    SELLER_ID,
    RANK,
    "keyword",
    *SHOWN,
    "expected_sales",
    "expected_profit",
    "marginal_profit",
    "warning",
)
_TINY = 1e-12


@dataclass(frozen=True)
class SetRules:
    """How sets are chosen.

    Attributes:
        size: keywords of a set, at most.
        margin: share of the price that a sale leaves the seller before the marketplace's and the campaign's fees.
        weeks: how long the campaign is expected to run.
        overlap: how much of a shared reach is discounted, 0 (none) to 1 (all).
        own_bid: share of a keyword's sales that are new to a seller whose other campaign bids on it already.
        diversity: what sharing all words with a chosen keyword takes off a keyword's worth when it is compared.
        loyalty: by how much a newcomer has to beat a keyword of the last list, as a share of its worth.
        least_relevance: keywords below it are left out, however many search them.
        steadiness: how many weeks' worth the mean week of the last four counts beside the last week, where it is known.
    """

    size: int = 10
    margin: float = 0.6
    weeks: float = 1.0
    overlap: float = 1.0
    own_bid: float = 0.5
    diversity: float = 0.1
    loyalty: float = 0.15
    least_relevance: float = 0.1
    steadiness: float = 3.0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for field in fields(self):
            value = getattr(self, field.name)
            least, most = (1, np.inf) if field.name == "size" else (0, _MOST.get(field.name, np.inf))
            if not least <= value <= most:
                raise KeywordError(
                    f"{field.name} of the set is {value}; it has to lie between {least} and {most}."
                )


_MOST = {"margin": 1.0, "overlap": 1.0, "own_bid": 1.0, "diversity": 1.0, "least_relevance": 1.0}


def choose(
    scored: pd.DataFrame,
    items: pd.DataFrame,
    rules: SetRules | None = None,
    *,
    previous: pd.DataFrame | None = None,
    bids: pd.DataFrame | None = None,
    co_search: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The set of each item, best keyword first: columns CHOSEN.

    An item whose fees eat its margin, or whose budget does not cover the fee of one sale, gets no keyword.
    ``expected_sales`` and ``expected_profit`` are of the keyword alone, ``marginal_profit`` is what it adds to those
    before it: the sum is the profit of the set. ``warning`` names another item with which the seller bids already; all
    three are then of the sales that are new to the seller.

    Args:
        scored: [item_id, keyword, sources, p_click, p_purchase, p_win, relevance, searches_7d, searchers_7d] and, where
            they are known, ``p_adopt`` and ``searches_28d``.
        items: [item_id, seller_id, price, take_rate, stock, ad_rate] and, if there is one, ``budget`` in money for the
            whole campaign (missing: as much as it takes); one row per item.
        rules: how to choose.
        previous: [item_id, keyword], the last list.
        bids: [seller_id, keyword, item_id], the keywords of running campaigns, canonical.
        co_search: see ``Overlap.of``.

    Raises:
        KeywordError: an item that is scored is missing in ``items``, or is there twice.
    """
    rules = rules or SetRules()
    pool = _pool(scored, items, rules)
    if pool.empty:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in CHOSEN})
    pool["warning"] = _warnings(pool, bids)
    pool["new_sales"] = pool["sales"] * np.where(pool["warning"].isna(), 1.0, rules.own_bid)
    pool["kept"] = _kept(pool, previous)
    overlap = Overlap.of(pd.Index(pool["keyword"].unique(), dtype=object), co_search)
    pool["code"] = overlap.keywords.get_indexer(pd.Index(pool["keyword"]))
    first = np.flatnonzero(np.diff(pool["row"].to_numpy(), prepend=-1))
    parts = [_greedy(pool.iloc[low:high], overlap, rules) for low, high in _blocks(first, len(pool))]
    chosen = pool.iloc[np.concatenate([part[0] for part in parts])].copy()
    chosen[RANK] = np.concatenate([part[1] for part in parts])
    chosen["marginal_profit"] = np.concatenate([part[2] for part in parts]) * chosen["earned"]
    chosen["expected_sales"] = capped_sales(chosen["new_sales"].to_numpy(), chosen["cap"].to_numpy())
    chosen["expected_profit"] = chosen["expected_sales"] * chosen["earned"]
    return chosen.sort_values(["row", RANK])[list(CHOSEN)].reset_index(drop=True)


def capped_sales(expected: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """E[min(N, cap)] of a Poisson number N of mean ``expected``; ``cap`` holds whole numbers, infinity for none.

    The sum over n <= cap of n P(n) is the mean times P(N <= cap - 1); what lies above counts as cap.

    Example:
        >>> capped_sales(np.array([1.0, 1.0]), np.array([1.0, np.inf])).round(3).tolist()
        [0.632, 1.0]
    """
    whole = np.where(np.isfinite(cap), cap, 1.0)
    below = np.where(whole >= 1, expected * pdtr(np.maximum(whole - 1, 0), expected), 0.0)
    return np.where(np.isfinite(cap), below + whole * pdtrc(whole, expected), expected)


def wished_sales(scored: pd.DataFrame, rules: SetRules) -> np.ndarray:
    """Sales of each keyword by itself, however many pieces there are: float64 [scored]."""
    weekly = scored["searches_7d"].to_numpy(np.float64)
    if "searches_28d" in scored:
        usual = scored["searches_28d"].to_numpy(np.float64) / 4
        weekly = (weekly + rules.steadiness * usual) / (1 + rules.steadiness)
    return np.asarray(rules.weeks * weekly * scored[list(CHANCES)].to_numpy(np.float64).prod(axis=1))


def _pool(scored: pd.DataFrame, items: pd.DataFrame, rules: SetRules) -> pd.DataFrame:
    """The candidates that may be chosen, item by item, with what a sale earns and how many there can be."""
    known = pd.Index(items[ITEM_ID])
    if not known.is_unique:
        raise KeywordError(f"Item {known[known.duplicated()][0]!r} is there twice; give one row per item.")
    row = known.get_indexer(pd.Index(scored[ITEM_ID]))
    if (row < 0).any():
        raise KeywordError(
            f"Item {scored[ITEM_ID].iloc[int((row < 0).argmax())]!r} has keywords and no facts; give its row of items."
        )
    facts = {name: items[name].to_numpy(np.float64) for name in ("price", "take_rate", "stock", "ad_rate")}
    fee = facts["price"] * facts["ad_rate"]
    budget = items["budget"].to_numpy(np.float64) if "budget" in items else np.full(len(items), np.nan)
    paid = np.where(np.isnan(budget) | (fee <= 0), np.inf, np.floor(budget / np.maximum(fee, _TINY) + 1e-9))
    earned = facts["price"] * (rules.margin - facts["take_rate"] - facts["ad_rate"])
    cap = np.minimum(facts["stock"], paid)
    sales = wished_sales(scored, rules)
    good = (sales > _TINY) & (scored["relevance"].to_numpy(np.float64) >= rules.least_relevance)
    taken = scored["p_adopt"].to_numpy(np.float64) if "p_adopt" in scored else 1.0
    pool = scored[[ITEM_ID, "keyword", *SHOWN]].assign(
        taken=taken,
        row=row,
        sales=sales,
        earned=earned[row],
        cap=cap[row],
        seller_id=items[SELLER_ID].to_numpy(object)[row],
    )
    pool = pool[good & (pool["earned"] > 0).to_numpy() & (pool["cap"] >= 1).to_numpy()]
    return pool.sort_values(["row", "sales", "keyword"], ascending=[True, False, True], ignore_index=True)


def _warnings(pool: pd.DataFrame, bids: pd.DataFrame | None) -> pd.Series:
    """``own_item:<item>`` where another item of the seller bids on the keyword, else None: object [pool]."""
    warnings = pd.Series(np.full(len(pool), None, dtype=object), index=pool.index)
    if bids is None or bids.empty:
        return warnings
    others = bids[[SELLER_ID, "keyword", ITEM_ID]].drop_duplicates().rename(columns={ITEM_ID: "other"})
    found = pool[[SELLER_ID, "keyword", ITEM_ID]].reset_index().merge(others, on=[SELLER_ID, "keyword"])
    first = found[found["other"] != found[ITEM_ID]].groupby("index")["other"].min()
    warnings.loc[first.index] = (OWN_ITEM + first.astype(str)).to_numpy(object)
    return warnings


def _kept(pool: pd.DataFrame, previous: pd.DataFrame | None) -> np.ndarray:
    """Whether a keyword stood in the item's last list: bool [pool]."""
    if previous is None or previous.empty:
        return np.zeros(len(pool), bool)
    pairs = pd.MultiIndex.from_frame(previous[[ITEM_ID, "keyword"]])
    return np.asarray(pd.MultiIndex.from_frame(pool[[ITEM_ID, "keyword"]]).isin(pairs))


def _blocks(first: np.ndarray, size: int) -> list[tuple[int, int]]:
    edges = [*first[::ITEMS_AT_ONCE].tolist(), size]
    return list(pairwise(edges))


def _greedy(
    pool: pd.DataFrame, overlap: Overlap, rules: SetRules
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places in the whole pool, ranks, and the sales that each adds to those before it."""
    _, item, count = np.unique(pool["row"].to_numpy(), return_inverse=True, return_counts=True)
    place = np.arange(len(pool)) - np.repeat(count.cumsum() - count, count)
    grid = _Grid.of(pool, item, place, rules)
    chosen = [grid.step(overlap, rules) for _ in range(min(rules.size, int(count.max())))]
    rows = np.concatenate([step[0] for step in chosen])
    ranks = np.concatenate([np.full(len(step[0]), rank) for rank, step in enumerate(chosen, 1)])
    return pool.index.to_numpy()[rows], ranks, np.concatenate([step[1] for step in chosen])


@dataclass
class _Grid:
    """Candidates of a block of items, [items, places], and what is chosen so far.

    ``worth`` is what a keyword sells that is new to the seller, 0 where there is none; ``favour`` the chance that it is
    taken, more for one of the last list; ``seen`` the part of its searchers that the set has reached; ``alike`` its
    likeness to the set; ``total`` [items] the sales of the set.
    """

    at: np.ndarray
    code: np.ndarray
    worth: np.ndarray
    favour: np.ndarray
    win: np.ndarray
    cap: np.ndarray
    seen: np.ndarray
    alike: np.ndarray
    total: np.ndarray

    @classmethod
    def of(cls, pool: pd.DataFrame, item: np.ndarray, place: np.ndarray, rules: SetRules) -> _Grid:
        shape = (int(item.max()) + 1, int(place.max()) + 1)

        def spread(values: np.ndarray, dtype: type) -> np.ndarray:
            made: np.ndarray = np.zeros(shape, dtype)
            made[item, place] = values
            return made

        cap = pool["cap"].to_numpy(np.float64)[np.flatnonzero(place == 0)]
        return cls(
            spread(np.arange(len(pool)), np.int64),
            spread(pool["code"].to_numpy(), np.int64),
            spread(pool["new_sales"].to_numpy(), np.float64),
            spread(pool["taken"].to_numpy() * (1.0 + rules.loyalty * pool["kept"].to_numpy()), np.float64),
            spread(pool["p_win"].to_numpy(np.float64), np.float64),
            cap,
            np.zeros(shape),
            np.zeros(shape),
            np.zeros(shape[0]),
        )

    def step(self, overlap: Overlap, rules: SetRules) -> tuple[np.ndarray, np.ndarray]:
        """Choose one more keyword for each item that still gains: rows of the pool, and the sales they add."""
        gain = self.worth * (1.0 - rules.overlap * self.seen)
        best = (gain * self.favour * (1.0 - rules.diversity * self.alike)).argmax(axis=1)
        items = np.arange(len(best))
        added = capped_sales(self.total + gain[items, best], self.cap) - capped_sales(self.total, self.cap)
        gains = np.flatnonzero(added > _TINY)
        best, added = best[gains], added[gains]
        self.total[gains] += gain[gains, best]
        self.worth[gains, best] = 0.0
        last = np.broadcast_to(self.code[gains, best][:, None], self.code[gains].shape)
        reached = overlap.reached(self.code[gains], last) * self.win[gains, best][:, None]
        self.seen[gains] = np.maximum(self.seen[gains], reached)
        self.alike[gains] = np.maximum(self.alike[gains], overlap.alike(self.code[gains], last))
        return self.at[gains, best], added
