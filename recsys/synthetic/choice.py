"""A second world of buyers, built differently, so that an order of algorithms that holds in both owes it to no formula.

What differs from ``taste`` and ``world``, with the source of each part (docs/synthetic.md has the list):

- A listing has to fit in every respect: category, brand and style enter through a CES aggregate with an elasticity
  below 1 (Arrow, Chenery, Minhas, Solow 1961), so one that fails in one is not saved by another. No respect adds up.
- Rows of a page compete. Those looked at have correlated normal utilities (multinomial probit, Hausman and Wise 1978)
  against one outside option of the page, and the user opens only the best few.
- Price is felt against a reference, losses felt more than gains (Hardie, Johnson, Fader 1993), and as
  log(purse - price) (Berry, Levinsohn, Pakes 1995): a purchase close to the end of the purse hardly happens.
- Tastes lie in few dimensions; love of brands is gamma distributed (Goodhardt, Ehrenberg, Chatfield 1984).
- Tails: activity and budgets are Pareto and not lognormal (Wilkinson 2008; Gabaix 2009), prices have Pareto tails on
  both sides (Reed 2003), the volume of sellers is lognormal and not Pareto (Gibrat's law).
"""

from __future__ import annotations

from datetime import date

import numpy as np
from scipy.special import ndtr, ndtri

from recsys.synthetic.config import MarketplaceConfig
from recsys.synthetic.draws import Array, Draws, lasting
from recsys.synthetic.state import Columns, State
from recsys.synthetic.taste import Clicks, Taste, Wish
from recsys.synthetic.world import world_of

TASTE_DIM = 5
_CES = -0.6
_SHARES = (0.55, 0.2, 0.25)
_LOSS = 1.7
_ACTIVITY_TAIL = 1.8
_BUDGET_TAIL = 2.2


def people(config: MarketplaceConfig, rng: np.random.Generator, users: Columns) -> Columns:
    """``world.new_users`` with other tastes, activity and money; the rest of each user stays."""
    n, world = len(users["registered"]), world_of(config)
    fixed = lasting(config.seed).generator("choice")
    leaves = fixed.normal(size=(TASTE_DIM, len(world.leaf_weight)))
    interest = np.log(world.leaf_weight) + world.region_bias[users["region"]]
    interest = interest + 0.75 * rng.normal(size=(n, TASTE_DIM)) @ leaves
    interest -= np.log(np.exp(interest).sum(axis=1, keepdims=True))
    brands = users["brand_taste"].shape[1]
    loved = np.log(rng.gamma(0.7, 1 / 0.7, (n, brands)) + 0.05)
    # Lomax with the mean of the other world; the budget keeps its median.
    activity = config.sessions_per_user * (_ACTIVITY_TAIL - 1) * rng.pareto(_ACTIVITY_TAIL, n)
    budget = 170 / 2 ** (1 / _BUDGET_TAIL) * (1 + rng.pareto(_BUDGET_TAIL, n))
    tier = 0.5 * np.log(budget / np.median(budget)) + rng.normal(0, 0.3, n) if n else users["tier"]
    return users | {
        "interest": interest.astype(np.float32),
        "brand_taste": loved.astype(np.float32),
        "activity": np.clip(activity, 0.02, 8.0),
        "budget": budget,
        "wallet": budget * rng.uniform(0.3, 1.2, n),
        "tier": tier,
    }


def sellers(rng: np.random.Generator, made: Columns) -> Columns:
    """``world.new_sellers`` with lognormal volumes."""
    return made | {"volume": np.exp(rng.normal(0, 1.2, len(made["user"])))}


class Choice(Taste):
    """The wishes of all users on one day, where listings compete and prices are felt against a reference."""

    def __init__(self, state: State, ds: date) -> None:
        super().__init__(state, ds)
        self._purse = np.maximum(state.users["wallet"], 1.0)

    def wish(self, user: Array, item: Array) -> Wish:
        """Chances for pairs; ``click`` is that of beating the outside option, competition left aside."""
        private = self._config.private_taste * self._private.normal("taste", user, item)
        return self._wish(self._fit(user, item) + private, user, item)

    def promise(self, user: int, item: Array) -> Array:
        """The log of expected revenue, private taste left out."""
        users = np.full(len(item), user)
        wish = self._wish(self._fit(users, item), users, item)
        items = self._state.items
        return np.log(wish.click * wish.buy + 1e-12) + self._log_price[item] + np.log(items["take"][item])

    def clicks(self, draws: Draws, page: Array, user: Array, item: Array, wish: Wish) -> Clicks:
        """Rows better than the page's outside option, and of these only as many as the user has patience for."""
        # One normal draw per pair and one per page; wish.click is the chance that the difference is positive.
        desire = np.sqrt(2.0) * ndtri(np.clip(wish.click, 1e-12, 1 - 1e-12))
        desire = desire + draws.normal("click", user, item)
        outside = draws.normal("page", page)
        patience = 1 - np.log(draws.uniform("page", page, 1)) / np.log(2.5)
        return Clicks(desire > outside, desire, patience.astype(np.int64))

    def _fit(self, user: Array, item: Array) -> Array:
        """CES aggregate of how well category, brand and style fit, in logs."""
        users, items = self._state.users, self._state.items
        brand = items["brand"][item]
        parts = (
            self._category[user, items["leaf"][item]],
            np.where(brand >= 0, users["brand_taste"][user, brand], -0.2),
            0.6 * np.einsum("nd,nd->n", users["style_taste"][user], self._style[item]),
        )
        total = sum(share * np.exp(_CES * part) for share, part in zip(_SHARES, parts, strict=True))
        return np.asarray(np.log(total) / _CES, dtype=np.float64)

    def _wish(self, fit: Array, user: Array, item: Array) -> Wish:
        users = self._state.users
        over = self._level[item] - 0.8 * users["tier"][user]
        felt = -np.where(over > 0, _LOSS * over, over)
        price = self._state.items["price"][item]
        left = np.log(np.clip(1 - price / self._purse[user], 0.02, 1.0))
        click = -1.4 + 0.42 * fit + 0.3 * self._appeal[item] + 0.22 * felt
        buy = -1.5 + 0.22 * fit + 0.2 * self._appeal[item] + 0.3 * felt + 0.35 * self._deal[item]
        buy = buy + 0.45 * left - 0.25 * (self._log_price[item] - 3.0)
        return Wish(fit, ndtr(click / np.sqrt(2.0)), ndtr(buy))
