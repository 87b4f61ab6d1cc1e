"""Which of the behaviour models a marketplace follows: ``logistic`` (``taste``, ``world``) or ``choice``."""

from __future__ import annotations

from datetime import date

import numpy as np

from recsys.synthetic import choice, world
from recsys.synthetic.config import MarketplaceConfig
from recsys.synthetic.draws import Array
from recsys.synthetic.state import Columns, State
from recsys.synthetic.taste import Taste


def taste_of(state: State, ds: date) -> Taste:
    """The wishes of all users on a day."""
    return choice.Choice(state, ds) if state.config.behaviour == "choice" else Taste(state, ds)


def new_users(config: MarketplaceConfig, rng: np.random.Generator, registered: Array, ds: date) -> Columns:
    """Draw users who registered at the given times (microseconds)."""
    users = world.new_users(config, rng, registered, ds)
    return choice.people(config, rng, users) if config.behaviour == "choice" else users


def new_sellers(config: MarketplaceConfig, rng: np.random.Generator, users: Columns) -> Columns:
    """Make some of the first users sellers."""
    made = world.new_sellers(config, rng, users)
    return choice.sellers(rng, made) if config.behaviour == "choice" else made
