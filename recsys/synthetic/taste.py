"""What users truly want: the chance that a user clicks or buys, for any listing. Only the simulator knows.

A click is a logistic function of the match of taste (category, brand, style, a private part), the listing's quality,
its price against the user's level, its age, season and trend. Given a click, a user in the mood to buy buys with
another logistic chance in which price weighs more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from recsys.synthetic.draws import Array, Draws, lasting
from recsys.synthetic.state import DAY, State, day_start
from recsys.synthetic.world import World, world_of


@dataclass(frozen=True)
class Wish:
    """Chances for (user, listing) pairs: of a click once seen, and of a purchase once clicked, if in the mood."""

    match: Array
    click: Array
    buy: Array


@dataclass(frozen=True)
class Clicks:
    """Per row of a page: would the user open it once seen; where rows compete also how much they ``desire`` it, and
    how many rows of the page they have ``patience`` to open."""

    would: Array
    desire: Array | None = None
    patience: Array | None = None


class Taste:
    """The wishes of all users on one day, from the state in the morning of that day."""

    def __init__(self, state: State, ds: date) -> None:
        self._state, self._config = state, state.config
        self._world: World = world_of(state.config)
        users, items = state.users, state.items
        leaves = len(self._world.leaf_weight)
        self.climate = self._world.season_on(ds) + state.trend
        self._category = np.clip(users["interest"] + np.log(leaves), -2.0, 3.2).astype(np.float32)
        style = (
            self._world.attribute_style[items["first"]] + 0.6 * self._world.attribute_style[items["second"]]
        )
        self._style = style.astype(np.float32)
        self._log_price = np.log(items["price"])
        self._level = self._log_price - self._world.leaf_log_price[items["leaf"]]
        age = np.maximum(day_start(ds) - items["listed"], 0) / DAY
        deal = np.log(items["fair"]) - self._log_price
        self._appeal = items["quality"] + self.climate[items["leaf"]] - 0.015 * age
        self._deal = np.where(items["auction"], 0.5, deal)
        self._private = lasting(state.config.seed)

    def wish(self, user: Array, item: Array) -> Wish:
        """Chances for pairs: ``user`` and ``item`` are arrays of equal length (numbers, not ids)."""
        users, items, config = self._state.users, self._state.items, self._config
        leaf, brand = items["leaf"][item], items["brand"][item]
        branded = np.where(brand >= 0, users["brand_taste"][user, brand], 0.0)
        style = np.einsum("nd,nd->n", users["style_taste"][user], self._style[item])
        category = self._category[user, leaf]
        private = config.private_taste * self._private.normal("taste", user, item)
        match = 0.9 * category + 0.55 * branded + 0.3 * style + private
        over = self._level[item] - users["tier"][user]
        dear = np.where(over > 0, -0.9 * over**2, -0.25 * over**2)
        appeal, deal = self._appeal[item], self._deal[item]
        # Dear things are wanted less often, whatever they are: log of price over a typical 20.
        outlay = self._log_price[item] - 3.0
        click = config.click_base + 0.42 * match + 0.4 * appeal + 0.3 * dear + 0.2 * deal - 0.15 * outlay
        buy = config.buy_base + 0.28 * match + 0.25 * appeal + 0.6 * dear + 0.8 * deal - 0.45 * outlay
        return Wish(match, _logistic(click), _logistic(buy))

    def promise(self, user: int, item: Array) -> Array:
        """A quick ranking value of listings for one user, private taste left out; for preselection only."""
        users, items = self._state.users, self._state.items
        brand = items["brand"][item]
        match = 0.9 * self._category[user, items["leaf"][item]] + 0.3 * (
            self._style[item] @ users["style_taste"][user]
        )
        match += 0.55 * np.where(brand >= 0, users["brand_taste"][user, brand], 0.0)
        over = self._level[item] - users["tier"][user]
        dear = np.where(over > 0, -0.9 * over**2, -0.25 * over**2)
        total = 0.7 * match + 0.8 * self._appeal[item] + 0.9 * dear + self._deal[item]
        return total + 0.4 * self._log_price[item] + np.log(items["take"][item])

    def clicks(self, draws: Draws, page: Array, user: Array, item: Array, wish: Wish) -> Clicks:
        """Which rows each user would open, if seen: each on its own."""
        return Clicks(draws.uniform("click", user, item) < wish.click)

    def mood(self, draws: Draws) -> Array:
        """Whether each user is in the mood to buy on this day (n_users,)."""
        user = np.arange(self._state.n_users)
        return draws.uniform("mood", user) < self._state.users["mood"]


def _logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))
