"""What lists are worth beside accuracy: how much of the shelf they show, how evenly, how new and how varied."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys.schema import ITEM_ID, RANK, USER_ID

LISTS_AT_ONCE = 2_000


def about_lists(
    lists: pd.DataFrame,
    items: pd.Index,
    *,
    known_to: pd.Series,
    users: int,
    traits: pd.DataFrame,
    k: int,
) -> dict[str, float]:
    """{"coverage", "gini" (of exposure), "novelty", "diversity"}; arguments as of the functions below."""
    return {
        "coverage": coverage(lists, items, k),
        "gini": gini(exposure(lists, items, k)),
        "novelty": novelty(lists, known_to, users, k),
        "diversity": diversity(lists, traits, k),
    }


def exposure(lists: pd.DataFrame, items: pd.Index, k: int) -> np.ndarray:
    """How much each of ``items`` is seen: the sum of 1 / log2(1 + rank) over its first ``k`` places, [items].

    The discount is that of DCG, as in fairness of exposure (Singh and Joachims 2018). ``lists``: [item_id, rank].
    """
    shown = lists[lists[RANK] <= k]
    place = items.get_indexer(pd.Index(shown[ITEM_ID]))
    weight = 1.0 / np.log2(1.0 + shown[RANK].to_numpy(np.float64))
    return np.bincount(place[place >= 0], weight[place >= 0], len(items))


def coverage(lists: pd.DataFrame, items: pd.Index, k: int) -> float:
    """Share of ``items`` that stand in some list's first ``k`` places (catalogue coverage, Ge et al. 2010)."""
    return float(items.isin(lists.loc[lists[RANK] <= k, ITEM_ID]).mean()) if len(items) else 0.0


def gini(values: np.ndarray) -> float:
    """Gini coefficient of ``values`` of 0 or more: 0 where all are equal, (n - 1) / n where one has everything.

    With the values in rising order, G = sum((2 i - n - 1) x_i) / (n sum(x)) (Gini 1912; used of recommendations by
    Fleder and Hosanagar 2009). 0 where nothing is there to share.

    Example:
        >>> gini(np.array([0.0, 0.0, 0.0, 8.0]))
        0.75
    """
    rising = np.sort(values.astype(np.float64))
    n, total = len(rising), rising.sum()
    if total <= 0:
        return 0.0
    return float(((2 * np.arange(1, n + 1) - n - 1) * rising).sum() / (n * total))


def novelty(lists: pd.DataFrame, known_to: pd.Series, users: int, k: int) -> float:
    """Mean self-information, in bits, of the first ``k`` places: -log2((1 + users who know the item) / (1 + users)).

    Zhou et al. 2010, with one more user who knows everything, so that an item nobody knows counts log2(1 + users).

    Args:
        lists: [item_id, rank].
        known_to: users who had to do with an item before, by item_id; one that is missing is known to nobody.
        users: users there are.
        k: places that count.
    """
    shown = lists.loc[lists[RANK] <= k, ITEM_ID]
    if shown.empty:
        return 0.0
    known = known_to.reindex(shown).fillna(0.0).to_numpy(np.float64)
    return float(np.mean(-np.log2((1.0 + known) / (1.0 + users))))


def diversity(lists: pd.DataFrame, traits: pd.DataFrame, k: int) -> float:
    """Intra-list diversity: mean over lists of the mean over pairs of places of 1 - similarity.

    Two items are as similar as the share of traits they have in common (simple matching; the measure over a list is
    that of Smyth and McClave 2001, one minus the intra-list similarity of Ziegler et al. 2005). A missing trait is
    like no other. Lists of one place have no pair and do not count; 0 where there are no others.

    Args:
        lists: [user_id, item_id, rank].
        traits: one column per trait (category, brand ...), indexed by item_id.
        k: places that count.
    """
    shown = lists[lists[RANK] <= k]
    owners, place = np.unique(shown[USER_ID].to_numpy(object).astype(str), return_inverse=True)
    rank = shown[RANK].to_numpy(np.int64) - 1
    item = traits.index.get_indexer(pd.Index(shown[ITEM_ID]))
    codes = np.column_stack([pd.factorize(traits[name])[0] for name in traits.columns])
    grid = np.full((len(owners), k, codes.shape[1]), -1, np.int64)
    there = np.zeros((len(owners), k), bool)
    grid[place, rank] = np.where((item >= 0)[:, None], codes[item], -1)
    there[place, rank] = True
    apart, pairs = np.zeros(len(owners)), np.zeros(len(owners))
    for start in range(0, len(owners), LISTS_AT_ONCE):
        part = slice(start, start + LISTS_AT_ONCE)
        left, right = grid[part, :, None, :], grid[part, None, :, :]
        different = 1.0 - ((left == right) & (left >= 0)).mean(axis=3)
        both = np.triu(there[part, :, None] & there[part, None, :], 1)
        apart[part], pairs[part] = (different * both).sum(axis=(1, 2)), both.sum(axis=(1, 2))
    several = pairs > 0
    return float(np.mean(apart[several] / pairs[several])) if several.any() else 0.0
