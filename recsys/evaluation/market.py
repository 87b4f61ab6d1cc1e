"""A marketplace of single goods on one evening: what each model would list of the shelf of the moment.

The hybrid and the popularity policy are the very pipeline that publishes lists. A single model names groups; they are
expanded to live listings, most in demand first, and lists that come out short are filled up from popularity, as one
would by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from recsys.errors import ModelError, did_you_mean, nearest
from recsys.evaluation.beyond import about_lists, exposure
from recsys.evaluation.compare import HYBRID, SEGMENT
from recsys.features.tables import Members
from recsys.models import MODELS, Recommender
from recsys.models.base import top
from recsys.ranking.pipeline import Ranker
from recsys.ranking.snapshot import Snapshot
from recsys.schema import ITEM_ID, RANK, USER_ID

POPULARITY = "popularity"
OTHERS = ("trending", "user_knn", "ease", "gf_cf", "bpr")
"""Models that a backtest judges beside the retrievers of the hybrid: those that learn from histories of groups alone,
in minutes."""
PER_GROUP = 3
NEW_SELLER_DAYS = 60
CELLS_AT_ONCE = 6_000_000


def make_models(names: Sequence[str], seed: int) -> dict[str, Recommender]:
    """The models of those names, unfitted, with the values that they have by default.

    Raises:
        ModelError: there is no such model.

    Example:
        >>> list(make_models(["ease", "bpr"], seed=1))
        ['ease', 'bpr']
    """
    for name in names:
        if name not in MODELS:
            told = (
                did_you_mean(nearest(name, sorted(MODELS))) or f" Known models: {', '.join(sorted(MODELS))}."
            )
            raise ModelError(f"No model {name!r}.{told}")
    made = {name: MODELS[name]() for name in names}
    return {n: replace(m, **({"seed": seed} if "seed" in m.parameters else {})) for n, m in made.items()}


def market_lists(
    ranker: Ranker,
    snapshot: Snapshot,
    users: np.ndarray,
    k: int,
    others: Mapping[str, Recommender] | None = None,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The lists of audience rows ``users`` (ascending) by every model, and how likely the ranker thinks each place.

    The models are the retrievers of the hybrid and ``others``, fitted, which know the histories of the same users.

    Returns:
        Lists [user_id, item_id, rank] of at least ``k`` places by model, popularity first, the hybrid last; and
        [user_id, item_id, p_purchase] of every place of the hybrid, reserve included.
    """
    whole = {name: ranker.rank(snapshot.audience, users, name) for name in (POPULARITY, HYBRID)}
    short = {name: frame.loc[frame[RANK] <= k, [USER_ID, ITEM_ID, RANK]] for name, frame in whole.items()}
    lists = {POPULARITY: short[POPULARITY]}
    for name, model in {**ranker.champion.retrievers, **(others or {})}.items():
        if name != POPULARITY:
            lists[name] = filled(expanded(model, snapshot, users, k), short[POPULARITY], k)
    lists[HYBRID] = short[HYBRID]
    return lists, whole[HYBRID][[USER_ID, ITEM_ID, "p_purchase"]]


def expanded(model: Recommender, snapshot: Snapshot, users: np.ndarray, k: int) -> pd.DataFrame:
    """The groups a single model names, as live listings: [user_id, item_id, rank], ``k`` places or fewer.

    Groups come in the order of the model, each with its PER_GROUP listings most in demand over the last week; a
    user's own listings and what they bought are left out before places are counted.
    """
    shelf, audience = snapshot.shelf, snapshot.audience
    demand = shelf.item_feature("popularity_7d") - 1e-3 * shelf.item_feature("log_age")
    by_group = Members.build(shelf.group_code, demand, len(shelf.group_ids), shelf.seller_code, PER_GROUP)
    group = shelf.group_ids.get_indexer(model.item_ids)
    parts = []
    for batch in np.array_split(users, max(1, len(users) * len(group) // CELLS_AT_ONCE)):
        scores = model.scores(audience.user_ids[batch])
        scores[:, group < 0] = -np.inf
        best, values = top(scores, 2 * k)
        row, place = np.nonzero(np.isfinite(values))
        owner, items = by_group.expand(group[best[row, place]], PER_GROUP)
        rows = batch[row[owner]]
        own = (audience.seller_code[rows] >= 0) & (audience.seller_code[rows] == shelf.seller_code[items])
        allowed = ~own & (audience.touched.find(rows, items)[0][:, 3] == 0)
        parts.append((rows[allowed], items[allowed]))
    rows, items = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows) + 1
    ids = (audience.user_ids.to_numpy(object)[rows], shelf.item_ids.to_numpy(object)[items])
    return pd.DataFrame(dict(zip((USER_ID, ITEM_ID, RANK), (*ids, rank), strict=True)))[rank <= k]


def filled(lists: pd.DataFrame, spare: pd.DataFrame, k: int) -> pd.DataFrame:
    """``lists`` with what is missing up to ``k`` places taken from ``spare``; both [user_id, item_id, rank]."""
    both = pd.concat([lists, spare.assign(**{RANK: spare[RANK] + k})])
    both = both.sort_values([USER_ID, RANK], kind="stable").drop_duplicates([USER_ID, ITEM_ID])
    both[RANK] = both.groupby(USER_ID, sort=False).cumcount() + 1
    return both[both[RANK] <= k].reset_index(drop=True)


def about_market(
    lists: Mapping[str, pd.DataFrame],
    snapshot: Snapshot,
    k: int,
    *,
    arrived: pd.Series,
    closed: pd.Series,
) -> dict[str, dict[str, float]]:
    """Coverage, Gini, novelty, diversity and ``sold_before_seen`` by model, over the shelf of the evening.

    A listing is known to those who had to do with its group. ``sold_before_seen`` is the share of first ``k`` places
    whose listing was sold or taken off by the time (``closed``, by item_id) that the user came (``arrived``, by
    user_id), over the users who came.
    """
    shelf, history = snapshot.shelf, snapshot.history
    known = np.bincount(history.matrix.indices, minlength=len(history.item_ids))
    column = history.item_ids.get_indexer(shelf.group_ids)
    by_group = np.where(column >= 0, known[column], 0) if len(known) else np.zeros(len(shelf.group_ids))
    traits = pd.DataFrame(
        {
            "category": shelf.category_code,
            "brand": np.where(shelf.brand_code >= 0, shelf.brand_code, np.nan),
            "seller": shelf.seller_code,
            "price_band": np.floor(np.log2(np.maximum(shelf.price, 0.01))),
        },
        index=shelf.item_ids,
    )
    known_to = pd.Series(by_group[shelf.group_code], index=shelf.item_ids)
    people = len(history.user_ids)
    return {
        name: about_lists(frame, shelf.item_ids, known_to=known_to, users=people, traits=traits, k=k)
        | {"sold_before_seen": sold_before_seen(frame, arrived, closed, k)}
        for name, frame in lists.items()
    }


def sold_before_seen(lists: pd.DataFrame, arrived: pd.Series, closed: pd.Series, k: int) -> float:
    """Share of the first ``k`` places, of users who came, that were off the shelf by then; see ``about_market``.

    NaN where nobody came, which is no figure: ``mean_of`` leaves such an occasion out.
    """
    seen = lists[(lists[RANK] <= k) & lists[USER_ID].isin(arrived.index)]
    if seen.empty:
        return float("nan")
    came, gone = seen[USER_ID].map(arrived).to_numpy(), seen[ITEM_ID].map(closed)
    return float((gone.notna() & (gone.to_numpy() < came)).mean())


def kinds(bought: pd.DataFrame, snapshot: Snapshot) -> pd.DataFrame:
    """``bought`` with its segment: ``warm``, ``cold`` (on the shelf, but listed within two days or never looked at),
    or ``unlisted`` in the evening, which no list could hold."""
    shelf = snapshot.shelf
    place = shelf.item_ids.get_indexer(pd.Index(bought[ITEM_ID]))
    new = shelf.item_feature("is_new")[place] > 0
    return bought.assign(**{SEGMENT: np.where(place < 0, "unlisted", np.where(new, "cold", "warm"))})


def seller_kinds(sellers: pd.DataFrame, shelf_sellers: pd.Index) -> np.ndarray:
    """``new`` (joined within NEW_SELLER_DAYS), ``unproven`` (older, no sale within 90 days) or ``established``.

    ``sellers``: [seller_id, tenure_days, sold_90d]; a seller who is not in it is new.
    """
    rows = sellers.set_index("seller_id").reindex(shelf_sellers)
    new = rows["tenure_days"].fillna(0).to_numpy() <= NEW_SELLER_DAYS
    return np.where(
        new, "new", np.where(rows["sold_90d"].fillna(0).to_numpy() > 0, "established", "unproven")
    )


def attention(
    lists: Mapping[str, pd.DataFrame],
    snapshot: Snapshot,
    outcome: pd.DataFrame,
    sellers: pd.DataFrame,
    k: int,
) -> pd.DataFrame:
    """Who is shown: one row per kind of seller and of listing, with its part of the shelf, of each model's exposure,
    of what was truly shown and of what was bought.

    Returns:
        [group, kind, listings, impressions, purchases, then exposure by model]; group ``seller`` or ``listing``,
        exposure summed as ``beyond.exposure``, impressions and purchases of pairs that were shown.
    """
    shelf = snapshot.shelf
    seller = seller_kinds(sellers, shelf.seller_ids)[shelf.seller_code]
    listing = np.where(shelf.item_feature("is_new") > 0, "new", "older")
    place = shelf.item_ids.get_indexer(pd.Index(outcome[ITEM_ID]))
    on_shelf = place >= 0
    shown = outcome["impressions"].to_numpy() > 0
    hits = {"impressions": shown, "purchases": shown & (outcome["purchases"].to_numpy() > 0)}
    counts = {name: np.bincount(place[on_shelf], hit[on_shelf], len(shelf)) for name, hit in hits.items()}
    frame = pd.DataFrame({"listings": 1.0, **counts}, index=np.arange(len(shelf)))
    for name, rows in lists.items():
        frame[name] = exposure(rows, shelf.item_ids, k)
    parts = []
    for group, kind in (("seller", seller), ("listing", listing)):
        sums = frame.groupby(kind).sum().rename_axis("kind").reset_index()
        parts.append(sums.assign(group=group))
    found = pd.concat(parts, ignore_index=True)
    return found[["group", "kind", *frame.columns]]
