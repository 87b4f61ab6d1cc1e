"""What never changes in a world: how categories, brands and attributes relate, and the people who come to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from recsys.synthetic.config import MarketplaceConfig
from recsys.synthetic.draws import Array, Draws, lasting
from recsys.synthetic.state import Columns
from recsys.synthetic.vocabulary import (
    ATTRIBUTES,
    BRAND_NAMES,
    BRANDS,
    LEAVES,
    PARENTS,
    REGIONS,
)

STYLE_DIM = 6


@dataclass(frozen=True)
class World:
    """Fixed facts. L leaves, P parents, B brands, A attributes, D = STYLE_DIM.

    ``leaf_parent`` (L,); ``leaf_log_price`` (L,); ``leaf_weight`` (L,), sums to 1; ``season_peak`` and ``season``
    (L,); ``parent_brands`` per parent: brand numbers; ``brand_log_price`` (B,); ``attribute_style`` (A, D);
    ``leaf_attributes`` (L, A), sums to 1 per leaf; ``gender_bias`` (3, P), ``age_bias`` (4, P), ``region_bias`` (R, L).
    """

    leaf_parent: Array
    leaf_log_price: Array
    leaf_weight: Array
    season_peak: Array
    season: Array
    parent_brands: tuple[Array, ...]
    brand_log_price: Array
    attribute_style: Array
    leaf_attributes: Array
    gender_bias: Array
    age_bias: Array
    region_bias: Array

    def season_on(self, ds: date) -> Array:
        """Annual season of each leaf on a day, in log demand (L,)."""
        day = ds.timetuple().tm_yday
        return self.season * np.cos(2 * np.pi * (day - self.season_peak) / 365.25)


@lru_cache(maxsize=4)
def world_of(config: MarketplaceConfig) -> World:
    """The fixed facts of the world with this seed."""
    rng = lasting(config.seed).generator("world")
    leaves, parents = len(LEAVES), len(PARENTS)
    style = rng.normal(size=(len(ATTRIBUTES), STYLE_DIM))
    weight = np.array([leaf.weight for leaf in LEAVES]) * rng.uniform(0.8, 1.25, leaves)
    gender = rng.normal(0, 0.35, (3, parents))
    gender[0, :2] += (0.9, -0.9)
    gender[1, :2] += (-1.1, 0.8)
    return World(
        leaf_parent=np.array([PARENTS.index(leaf.parent) for leaf in LEAVES]),
        leaf_log_price=np.log([leaf.price for leaf in LEAVES]),
        leaf_weight=weight / weight.sum(),
        season_peak=np.array([leaf.peak_day for leaf in LEAVES], dtype=float),
        season=np.array([leaf.season for leaf in LEAVES]),
        parent_brands=tuple(np.array([BRAND_NAMES.index(b) for b in BRANDS[p]]) for p in PARENTS),
        brand_log_price=rng.normal(0, 0.3, len(BRAND_NAMES)),
        attribute_style=style / np.linalg.norm(style, axis=1, keepdims=True),
        leaf_attributes=rng.dirichlet(np.full(len(ATTRIBUTES), 0.5), leaves),
        gender_bias=gender,
        age_bias=rng.normal(0, 0.4, (4, parents)),
        region_bias=rng.normal(0, 0.3, (len(REGIONS), leaves)),
    )


def new_users(config: MarketplaceConfig, rng: np.random.Generator, registered: Array, ds: date) -> Columns:
    """Draw users who registered at the given times (microseconds).

    Taste is the user's own and only partly given by gender, age and region: ``interest`` (n, L) log share of wishes,
    ``brand_taste`` (n, B), ``style_taste`` (n, D), ``tier`` log price level, ``budget`` money a month.
    """
    n, world = len(registered), world_of(config)
    gender = rng.choice(3, n, p=[0.54, 0.42, 0.04])
    age = np.clip(rng.gamma(5.0, 5.0, n) + 15, 16, 85).astype(np.int64)
    region = rng.choice(len(REGIONS), n, p=np.array([9, 8, 24, 6, 7, 14, 6, 4]) / 78)
    tier = rng.normal(0, 0.45, n)
    budget = np.exp(np.log(170.0) + rng.normal(0, 0.75, n) + 0.7 * tier)
    activity = np.exp(rng.normal(0, config.activity_sigma, n) - config.activity_sigma**2 / 2)
    return {
        "registered": registered,
        "birth_year": np.where(rng.random(n) < 0.12, -1, ds.year - age),
        "gender": np.where(rng.random(n) < 0.06, -1, gender),
        "region": region,
        "interest": _interests(world, rng, gender, np.digitize(age, [25, 35, 50]), region),
        "brand_taste": _brand_tastes(rng, n),
        "style_taste": rng.normal(0, 1, (n, STYLE_DIM)).astype(np.float32),
        "tier": tier,
        "budget": budget,
        "wallet": budget * rng.uniform(0.3, 1.2, n),
        "activity": np.minimum(config.sessions_per_user * activity, 8.0),
        "attention": config.attention * np.exp(rng.normal(0, 0.3, n)),
        "mood": rng.beta(2.0, 2.0 / config.mood_mean - 2.0, n),
        "hour": (rng.choice([8, 13, 21], n, p=[0.2, 0.25, 0.55]) + rng.normal(0, 2, n)) % 24,
        "device": rng.choice(3, n, p=[0.47, 0.41, 0.12]),
    }


def _interests(
    world: World, rng: np.random.Generator, gender: Array, age_band: Array, region: Array
) -> Array:
    n, leaves = len(gender), len(world.leaf_weight)
    interest = np.log(world.leaf_weight) + world.region_bias[region]
    interest += (world.gender_bias[gender] + world.age_bias[age_band])[:, world.leaf_parent]
    interest += rng.normal(0, 0.6, (n, leaves))
    interest += rng.normal(0, 0.7, (n, len(PARENTS)))[:, world.leaf_parent]
    # Favourites: two to five leaves that a user comes back to.
    chance = np.exp(interest - interest.max(axis=1, keepdims=True))
    keys = rng.exponential(size=(n, leaves)) / chance
    rank = keys.argsort(axis=1).argsort(axis=1)
    favourite = rank < rng.integers(2, 6, (n, 1))
    interest = np.where(favourite, interest + rng.uniform(1.8, 3.2, (n, leaves)), interest)
    interest -= np.log(np.exp(interest).sum(axis=1, keepdims=True))
    return interest.astype(np.float32)


def _brand_tastes(rng: np.random.Generator, n: int) -> Array:
    brands = len(BRAND_NAMES)
    liked = rng.random((n, brands)) < 0.22
    taste = np.where(liked, rng.uniform(0.8, 2.4, (n, brands)), rng.normal(-0.35, 0.3, (n, brands)))
    return taste.astype(np.float32)


def new_sellers(config: MarketplaceConfig, rng: np.random.Generator, users: Columns) -> Columns:
    """Make some of the first users sellers: heavy-tailed volume, two or three leaves each, and a reliability."""
    n, world = config.sellers, world_of(config)
    user = np.sort(rng.choice(len(users["registered"]), n, replace=False))
    cancel = rng.beta(0.8, 0.8 / config.cancel_mean - 0.8, n)
    sales = rng.negative_binomial(1, 0.03, n)
    return {
        "user": user,
        "registered": users["registered"][user],
        "volume": rng.pareto(1.6, n) + 0.25,
        "cancel": cancel,
        "quality": rng.normal(0, 0.45, n),
        "flexible": rng.beta(3, 5, n),
        "leaves": rng.choice(len(LEAVES), (n, 3), p=world.leaf_weight),
        "verified": rng.random(n) < np.clip(0.55 - 2.5 * cancel, 0.05, 1),
        "ships": 1 + rng.poisson(0.8 + 12 * cancel),
        "rating_sum": sales * (4.9 - 4.0 * cancel),
        "rating_count": sales,
    }


def user_draws(config: MarketplaceConfig, ds: date) -> np.random.Generator:
    """The generator that registers people on a day."""
    return Draws(config.seed, ds).generator("people")
