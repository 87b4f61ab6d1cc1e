"""Keywords that sellers are offered for a listing, and who takes them: not everybody, and not anybody.

Careful sellers of dear and well-made listings take what is offered more often. So campaigns with recommended keywords
would do better, or worse, without them too: comparing them with the others measures who takes offers.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from recsys.errors import RecsysError
from recsys.synthetic import queries, wording
from recsys.synthetic.draws import Array, Draws, lasting
from recsys.synthetic.state import Columns, State
from recsys.synthetic.visits import numbers_of

_CARE, _QUALITY, _PRICE = 1.0, 0.8, 0.5
"""Log-odds of taking an offer for a standard deviation more of care, of quality and of log price: an assumption."""


def read_offers(offers: pd.DataFrame | None) -> Columns | None:
    """Offers as numbers, sorted by item and rank; texts that read like no phrase are left out.

    Args:
        offers: item_id, rank, keyword; rows of other columns are ignored.

    Raises:
        RecsysError: a column is missing.
    """
    if offers is None:
        return None
    absent = [name for name in ("item_id", "rank", "keyword") if name not in offers]
    if absent:
        raise RecsysError(f"Offered keywords lack {', '.join(absent)}; give item_id, rank and keyword.")
    item = numbers_of(offers["item_id"])
    codes, texts = pd.factorize(offers["keyword"])
    query = np.array([*map(wording.read, texts), wording.NO_PHRASE], dtype=np.int64)[codes]
    order = np.lexsort((offers["rank"].to_numpy(), item))
    order = order[(item[order] >= 0) & (query[order] >= 0)]
    return {"item": item[order], "query": query[order]}


def adoption_chance(state: State, item: Array) -> Array:
    """Chance that the seller of each listing takes what is offered for it; its mean is about ``adoption``."""
    items, seller = state.items, state.items["seller"][item]
    care = np.sqrt(12) * (lasting(state.config.seed).uniform("adverts", seller) - 0.5)
    quality = items["quality"][item] / 0.7
    price = np.log(items["price"][item]) - 2.9
    return expit(logit(state.config.adoption) + _CARE * care + _QUALITY * quality + _PRICE * price)


def would_take(state: State, ds: date, item: Array) -> Array:
    """Whether the sellers of listings whose campaigns start on ``ds`` take what they are offered, if anything is."""
    return Draws(state.config.seed, ds).uniform("adoption", item) < adoption_chance(state, item)


def adopt(state: State, ds: date, item: Array, typed: Columns, offers: Columns | None) -> Columns:
    """Put offered keywords in place of those that a seller would have typed, where they take the offer.

    Args:
        state: the world in the morning.
        ds: the day; its draws decide who takes offers.
        item: listing of each campaign that starts (n,).
        typed: query, wording, origin and owner of the keywords that sellers would type (m,), by owner, which is the
            place of their campaign in ``item``; not changed.
        offers: as ``read_offers`` makes them.

    Returns:
        The columns of ``typed``, of the keywords that are bid on.
    """
    if offers is None or not len(offers["item"]):
        return typed
    owner = typed["owner"]
    first, last = (np.searchsorted(offers["item"], item, side) for side in ("left", "right"))
    takes = (last > first) & would_take(state, ds, item)
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    taken = takes[owner] & (place < (last - first)[owner])
    offered = queries.canonical(offers["query"])[np.where(taken, first[owner] + place, 0)]
    # Whoever takes the offer keeps no keyword of their own; where fewer are offered, they bid on fewer.
    kept = taken | ~takes[owner]
    made = {
        "query": np.where(taken, offered, typed["query"]),
        "wording": np.where(taken, 0, typed["wording"]),
        "origin": np.where(taken, 1, typed["origin"]),
        "owner": owner,
    }
    return {name: values[kept] for name, values in made.items()}
