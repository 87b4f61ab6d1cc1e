"""What is true of keywords: what phrase was meant, how well it fits, and what it would sell at an ad rate.

Only the simulator knows. Expected figures are sums over all users of their rate of searching, the chance that they
search just this phrase, and their chances to click and buy the listing; the auction for slots is played with fresh
noise against the campaigns that run. They are exact for the ``logistic`` behaviour up to that noise, for users who
search a phrase once a day. In ``choice`` rows of a page compete too, so there they are too high.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import numpy as np
import pandas as pd
from scipy.stats import poisson

from recsys.errors import RecsysError
from recsys.synthetic import adverts, campaigns, queries, tables, wording
from recsys.synthetic.behaviour import taste_of
from recsys.synthetic.draws import Array
from recsys.synthetic.state import State
from recsys.synthetic.visits import ATTRIBUTE_SHARE, BRAND_SHARE, brand_wishes, local_speakers, session_rate

_ROUNDS = 400


def phrase_of(texts: Iterable[str]) -> list[str | None]:
    """The phrase that each text reads like, whatever its case, width, order or plural; None for none, or after a slip.

    Example:
        >>> phrase_of(["Dresses, RED", "call me"])
        ['red dress', None]
    """
    numbers = map(wording.read, texts)
    return [queries.text(number) if number >= 0 else None for number in numbers]


def typed_keywords(state: State) -> pd.DataFrame:
    """Every keyword of every campaign with what was meant by it.

    Returns:
        campaign_id, item_id, ``keyword`` as typed, ``phrase`` (None for what is no phrase), ``slip`` (typed so that no
        search finds it), ``relevance`` of the listing to the phrase (0 to 1), origin.
    """
    typed = tables.source_tables(state)["marketplace.campaign_keywords"]
    query, item = state.keywords["query"], state.campaigns["item"][state.keywords["campaign"]]
    return pd.DataFrame(
        {
            "campaign_id": typed["campaign_id"],
            "item_id": tables.item_ids(item),
            "keyword": typed["keyword"],
            "phrase": [queries.text(q) if q >= 0 else None for q in query.tolist()],
            "slip": wording.slipped(state.keywords["wording"]) & (query >= 0),
            "relevance": adverts.relevance(state.items, item, query),
            "origin": typed["origin"],
        }
    )


class KeywordTruth:
    """Expected figures of keywords on one day, from the world as that day begins (``play.dawn``)."""

    def __init__(self, morning: State, ds: date, rng: np.random.Generator) -> None:
        self._state, self._rng, self._ds = morning, rng, ds
        self._taste = taste_of(morning, ds)
        self._user = np.arange(morning.n_users)
        wishes = morning.users["interest"] + self._taste.climate
        chance = np.exp(wishes - wishes.max(axis=1, keepdims=True))
        self._leaf = chance / chance.sum(axis=1, keepdims=True)
        self._rate = session_rate(morning, ds) * morning.config.search_share
        self._field = adverts.competing(morning) if morning.keywords else None

    def searches(self, query: Array) -> Array:
        """Expected searches of phrases on the day, by everybody (n,)."""
        return self._searches(np.asarray(query)).sum(axis=0)

    def phrases(self, leaf: int) -> Array:
        """The numbers of all phrases about a leaf."""
        known = queries.all_phrases()
        return known[queries.leaf_of(known) == leaf]

    def of_item(self, item: int, query: Array, ad_rate: float, days: float = 1.0) -> pd.DataFrame:
        """What keywords would do for one listing at an ad rate, were each its only one.

        Args:
            item: the number of an open listing.
            query: numbers of phrases.
            ad_rate: the share of the price the seller pays after a sale through the ad.
            days: as many days like this one.

        Returns:
            query, keyword, relevance, searches, p_win (chance of a slot per search), p_click (per impression),
            p_purchase (per click), ``wishes`` (purchases wanted, whatever the stock), ``sales`` (with the stock).
        """
        state, query = self._state, np.asarray(query, dtype=np.int64)
        if not 0 < ad_rate < 1:
            raise RecsysError(f"An ad rate is a share between 0 and 1, not {ad_rate}.")
        fit = adverts.relevance(state.items, np.full(len(query), item), query)
        win, look = self._slots(item, query, ad_rate)
        searches = self._searches(query)
        searches[state.sellers["user"][state.items["seller"][item]]] = 0.0
        click, buy = self._chances(item, fit)
        total = searches.sum(axis=0)
        clicks, wishes = (searches * click).sum(axis=0) * look, (searches * click * buy).sum(axis=0) * look
        shown = total * win
        with np.errstate(invalid="ignore", divide="ignore"):
            return pd.DataFrame(
                {
                    "query": query,
                    "keyword": [queries.text(q) for q in query.tolist()],
                    "relevance": fit,
                    "searches": total * days,
                    "p_win": win,
                    "p_click": clicks / shown,
                    "p_purchase": wishes / clicks,
                    "wishes": wishes * days,
                    "sales": sold(wishes * days, int(state.items["stock"][item])),
                }
            )

    def typed(
        self, item: int, draws: int = 2_000, least: float = 0.005, *, own: bool = False
    ) -> pd.DataFrame:
        """What sellers who promote a listing type, each with the chance that a campaign of it holds the phrase.

        Counted over ``draws`` keywords; slips, what is no phrase, and phrases rarer than ``least`` are left out; with
        ``own`` what the box proposes is, too.

        Returns:
            query (number of the phrase), chance; most likely first.
        """
        drawn = campaigns.draw_keywords(self._state, self._rng, np.full(draws, item))
        readable = (drawn["query"] >= 0) & ~wording.slipped(drawn["wording"])
        if own:
            readable &= drawn["origin"] == 0
        query, count = np.unique(drawn["query"][readable], return_counts=True)
        query, count = query[count >= least * draws], count[count >= least * draws]
        many = np.arange(campaigns.LEAST_KEYWORDS, campaigns.MOST_KEYWORDS + 1)
        chance = (1 - (1 - count[:, None] / draws) ** many).mean(axis=1)
        found = pd.DataFrame({"query": query, "chance": chance})
        return found.sort_values(["chance", "query"], ascending=[False, True], ignore_index=True)

    def best_set(self, item: int, ad_rate: float, k: int = 10, days: float = 7.0) -> pd.DataFrame:
        """The ``k`` phrases that sell a listing best together: one search is for one phrase, so wishes add up."""
        found = self.of_item(item, self.phrases(int(self._state.items["leaf"][item])), ad_rate, days)
        return found.sort_values(["wishes", "query"], ascending=[False, True]).head(k).reset_index(drop=True)

    def set_profit(
        self, item: int, query: Array, ad_rate: float, *, margin: float = 1.0, days: float = 7.0
    ) -> float:
        """Expected profit of bidding on several phrases: price x (margin - ad rate) x sales, capped by the stock."""
        wishes = self.of_item(item, np.unique(queries.canonical(query)), ad_rate, days)["wishes"].sum()
        items = self._state.items
        sales = sold(np.array([wishes]), int(items["stock"][item]))[0]
        return float(items["price"][item] * (margin - ad_rate) * sales)

    def _searches(self, query: Array) -> Array:
        """Expected searches (users, phrases)."""
        state, leaf, local = self._state, queries.leaf_of(query), queries.local_of(query)
        brand, attribute = queries.brand_of(query), queries.attribute_of(query)
        # The noun is drawn among the English ones; several of them may share a Japanese word.
        nouns, words = queries.nouns_in(leaf, np.zeros_like(local)), queries.nouns_in(leaf, local)
        same = np.ceil((nouns - queries.noun_of(query)) / words)
        chance = np.full((state.n_users, len(query)), 1 - BRAND_SHARE - ATTRIBUTE_SHARE)
        chance[:, attribute >= 0] = ATTRIBUTE_SHARE / queries.n_attributes()
        for number in np.unique(leaf[brand >= 0]):
            columns = np.flatnonzero((leaf == number) & (brand >= 0))
            wish = brand_wishes(state, self._user, np.full(state.n_users, number))
            wish = np.exp(wish - wish.max(axis=1, keepdims=True))
            chance[:, columns] = BRAND_SHARE * (wish / wish.sum(axis=1, keepdims=True))[:, brand[columns]]
        speaks = local_speakers(self._user)[:, None] == (local == 1)
        return self._rate[:, None] * self._leaf[:, leaf] * speaks * (same / nouns) * chance

    def _chances(self, item: int, fit: Array) -> tuple[Array, Array]:
        """Chances to click the ad once looked at, and to buy once clicked (users, phrases)."""
        state, item_of = self._state, np.full(self._state.n_users, item)
        wish, price = self._taste.wish(self._user, item_of), state.items["price"][item]
        click, buy = adverts.searched(wish.click[:, None], wish.buy[:, None], fit)
        haggled = 0.7 * state.sellers["flexible"][state.items["seller"][item]] * (price >= 5)
        able = state.users["mood"] * (state.users["wallet"] >= price)
        return click, np.minimum(buy * (1 + haggled), 1.0) * able[:, None]

    def _slots(self, item: int, query: Array, ad_rate: float) -> tuple[Array, Array]:
        """Chance of a slot per search, and expected chance to be looked at per search (phrases,)."""
        state, config = self._state, self._state.config
        own = adverts.bid(state, np.full(len(query), item), query, ad_rate)
        noise = self._rng.normal(0, config.ad_exploration, (_ROUNDS, len(query)))
        score, floor = own + noise, np.log(config.ad_reserve)
        ahead = np.zeros((_ROUNDS, len(query)), dtype=np.int64)
        for column, phrase in enumerate(query.tolist()):
            rivals = self._rivals(item, phrase)
            if len(rivals):
                theirs = rivals + self._rng.normal(0, config.ad_exploration, (_ROUNDS, len(rivals)))
                ahead[:, column] = ((theirs > score[:, [column]]) & (theirs >= floor)).sum(axis=1)
        # Slots are 1 to ad_slots, each as likely, so place r exists with chance (ad_slots - r) / ad_slots, r from 0.
        there = np.clip(1 - ahead / config.ad_slots, 0, 1) * (score >= floor)
        look = there * (ahead + 1.0) ** -config.position_exponent
        return there.mean(axis=0), look.mean(axis=0)

    def _rivals(self, item: int, query: int) -> Array:
        if self._field is None:
            return np.empty(0)
        first, last = np.searchsorted(self._field["query"], [query, query + 1])
        rivals, once = np.unique(self._field["item"][first:last], return_index=True)
        return self._field["bid"][first:last][once[rivals != item]]


def sold(wishes: Array, stock: int) -> Array:
    """Expected sales of ``stock`` pieces when ``wishes`` purchases are wanted on average (Poisson)."""
    pieces = np.arange(stock)
    return poisson.sf(pieces[:, None], np.asarray(wishes)[None, :]).sum(axis=0)
