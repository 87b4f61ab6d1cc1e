"""Ad slots: which promoted listings stand on top of a search page, and how much what was searched decides on them.

A search page has one slot or more. Running campaigns with a keyword that reads like the phrase compete for them: rank
by ad rate x predicted quality, with noise so that each is tried now and then. A listing that does not fit the phrase
is predicted to disappoint and seldom gets a slot, so what is seen of bad keywords is a selection. One that fits what
the buyer had in mind is clicked and bought more than the same listing elsewhere; one that does not, less.
"""

from __future__ import annotations

import numpy as np

from recsys.synthetic import queries, wording
from recsys.synthetic.draws import Array, Draws, lasting
from recsys.synthetic.state import NEVER, Columns, State
from recsys.synthetic.taste import Wish
from recsys.synthetic.vocabulary import LEAVES, PARENTS

OTHER_LEAF, OTHER_NOUN, OTHER_BRAND, OTHER_ATTRIBUTE = 0.02, 0.3, 0.3, 0.45
"""What is left of a relevance of 1 when leaf, noun, brand or attribute of the listing are not those of the phrase."""
_PARENT = np.array([PARENTS.index(leaf.parent) for leaf in LEAVES])
_CLICK_SHIFT = (-2.2, 0.3)
_BUY_SHIFT = (-1.5, 0.7)
"""Log-odds added to click and purchase at relevance 0 and 1: an assumption, see docs/synthetic.md."""


def relevance(items: Columns, item: Array, query: Array) -> Array:
    """How well listings fit phrases, 0 to 1: each thing the phrase names has to be the listing's.

    Args:
        items: the listings of a state.
        item: numbers of listings (n,).
        query: numbers of phrases (n,); NO_PHRASE fits nothing.
    """
    asked = np.maximum(query, 0)
    leaf, local = queries.leaf_of(asked), queries.local_of(asked)
    noun = items["noun"][item] % queries.nouns_in(items["leaf"][item], local)
    brand, attribute = queries.brand_of(asked), queries.attribute_of(asked)
    fit = np.where(noun == queries.noun_of(asked), 1.0, OTHER_NOUN)
    fit *= np.where((brand < 0) | (brand == items["brand"][item]), 1.0, OTHER_BRAND)
    has = (attribute == items["first"][item]) | (attribute == items["second"][item])
    fit *= np.where((attribute < 0) | has, 1.0, OTHER_ATTRIBUTE)
    near = np.where(_PARENT[leaf] == _PARENT[items["leaf"][item]], 2 * OTHER_LEAF, OTHER_LEAF)
    fit = np.where(leaf == items["leaf"][item], fit, near)
    return np.where(query < 0, 0.0, fit)


def predicted_quality(state: State, item: Array, query: Array) -> Array:
    """What the auction believes of listings under phrases: fit and photos, with an error that stays with each pair."""
    error = lasting(state.config.seed).normal("auction", item, np.maximum(query, 0))
    return (0.05 + relevance(state.items, item, query)) * np.exp(
        0.35 * state.items["quality"][item] + 0.3 * error
    )


def competing(state: State) -> Columns:
    """The keywords that take part in auctions, by phrase: ``row`` of ``state.keywords``, ``query``, ``item``, ``bid``.

    A keyword with a slip reads like no phrase, nor does one that never was one. ``bid`` is the log of rate x quality.
    """
    keywords, campaigns = state.keywords, state.campaigns
    item = campaigns["item"][keywords["campaign"]]
    running = (campaigns["ended"][keywords["campaign"]] == NEVER) & (state.items["closed"][item] == NEVER)
    running &= (keywords["query"] >= 0) & ~wording.slipped(keywords["wording"])
    row = np.flatnonzero(running)
    query = queries.canonical(keywords["query"][row])
    order = np.argsort(query, kind="stable")
    row, query = row[order], query[order]
    item, rate = item[row], campaigns["ad_rate"][keywords["campaign"][row]]
    return {"row": row, "query": query, "item": item, "bid": bid(state, item, query, rate)}


def bid(state: State, item: Array, query: Array, ad_rate: Array | float) -> Array:
    """The log of ad rate x predicted quality, by which slots are given before noise."""
    return np.log(ad_rate) + np.log(predicted_quality(state, item, query))


def slots(state: State, page: Array, draws: Draws) -> Array:
    """How many slots search pages have: 1 to ``ad_slots``, each as likely."""
    return 1 + (draws.uniform("slots", page) * state.config.ad_slots).astype(np.int64)


def ad_rows(state: State, pages: Columns, search: Array, draws: Draws) -> Columns:
    """The promoted listings on top of the pages ``search``, best first.

    Columns as other rows of pages have them; ``keyword`` is the row of ``state.keywords``, -1 for what is no ad.
    """
    if not state.keywords or not len(state.keywords["query"]) or not len(search):
        return _rows(search[:0], search[:0], search[:0])
    field = competing(state)
    query = queries.canonical(pages["query"][search])
    first = np.searchsorted(field["query"], query, "left")
    count = np.searchsorted(field["query"], query, "right") - first
    page = np.repeat(search, count)
    place = np.arange(len(page)) - np.repeat(count.cumsum() - count - first, count)
    row, item = field["row"][place], field["item"][place]
    noise = state.config.ad_exploration * draws.normal("auction", page, row)
    score = field["bid"][place] + noise
    score[score < np.log(state.config.ad_reserve)] = -np.inf
    other = state.sellers["user"][state.items["seller"][item]] != pages["user"][page]
    kept = other & np.isfinite(score)
    page, row, item, score = page[kept], row[kept], item[kept], score[kept]
    order = np.lexsort((row, -score, page))
    page, row, item = page[order], row[order], item[order]
    _, once = np.unique(page * np.int64(state.n_items) + item, return_index=True)
    once.sort()
    page, row, item = page[once], row[once], item[once]
    ahead = np.arange(len(page)) - np.searchsorted(page, page)
    won = ahead < slots(state, page, draws)
    return _rows(page[won], item[won], row[won])


def _rows(page: Array, item: Array, keyword: Array) -> Columns:
    return {"page": page, "item": item, "propensity": np.full(len(page), np.nan), "keyword": keyword}


def meant(state: State, pages: Columns, rows: Columns, wish: Wish) -> Wish:
    """The wishes of those who look at rows, where ads are judged by what was searched too."""
    ad = np.flatnonzero(rows["keyword"] >= 0)
    if not len(ad):
        return wish
    fit = relevance(state.items, rows["item"][ad], pages["query"][rows["page"][ad]])
    click, buy = wish.click.copy(), wish.buy.copy()
    click[ad], buy[ad] = searched(wish.click[ad], wish.buy[ad], fit)
    return Wish(wish.match, click, buy)


def searched(click: Array, buy: Array, fit: Array) -> tuple[Array, Array]:
    """Chances to click and to buy of somebody who searched a phrase that the listing fits so well (0 to 1)."""
    return _shifted(click, fit, _CLICK_SHIFT), _shifted(buy, fit, _BUY_SHIFT)


def _shifted(chance: Array, fit: Array, shift: tuple[float, float]) -> Array:
    odds = chance / np.maximum(1 - chance, 1e-12) * np.exp(shift[0] + (shift[1] - shift[0]) * fit)
    return odds / (1 + odds)
