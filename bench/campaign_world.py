"""Sellers who are offered keywords, in a world so simple that every effect in it is known by integration.

A seller has skill s and a price level v, both standard normal, and 1 + Poisson(1) campaigns. An offer is used with
chance logistic(logit(adoption) + s + v / 2): better sellers and dearer listings use more of what is offered. Ads sell
Poisson(k exp(-2 + 0.6 s - 0.3 v)) pieces in k campaigns, and (1 + lift) times as many where the offer is used. A piece
costs exp(3 + 0.6 v) times noise of mean 1. Clicks and purchases of the time before are known, and depend on s, v and k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats
from scipy.special import expit, logit

OUTCOMES = ("purchase rate", "purchases", "revenue")
KINDS: dict[str, Literal["mean", "proportion"]] = {
    "purchase rate": "proportion",
    "purchases": "mean",
    "revenue": "mean",
}
_NODES = 60


@dataclass(frozen=True)
class World:
    """``lift``: of the rate of purchases by use; ``adoption``: chance of use of a middling seller; ``fewer``: share
    of campaigns that sellers with the offer do not start."""

    lift: float = 0.15
    adoption: float = 0.4
    fewer: float = 0.0


@dataclass(frozen=True)
class Sellers:
    """One value per seller of one arm (n,); ``before`` holds purchases of the four weeks before."""

    used: np.ndarray
    campaigns: np.ndarray
    clicks: np.ndarray
    purchases: np.ndarray
    revenue: np.ndarray
    before: np.ndarray

    def outcome(self, name: str) -> np.ndarray:
        """An outcome of OUTCOMES per seller."""
        if name == "purchase rate":
            return (self.purchases > 0).astype(np.float64)
        return {"purchases": self.purchases, "revenue": self.revenue}[name].astype(np.float64)


def draw(world: World, n: int, offered: bool, rng: np.random.Generator) -> Sellers:
    """Draw the sellers of one arm and what the experiment sees of them."""
    skill, level = rng.standard_normal((2, n))
    campaigns = 1 + rng.poisson(1, n)
    used = (rng.random(n) < _adopts(world, skill, level)) & offered
    if offered and world.fewer:
        campaigns = campaigns - (rng.random(n) < world.fewer * campaigns)
    rate = campaigns * np.exp(_log_rate(skill, level))
    purchases = rng.poisson(rate * (1 + world.lift * used))
    noise = rng.lognormal(-0.08, 0.4, n)
    return Sellers(
        used.astype(np.float64),
        campaigns,
        rng.poisson(20 * campaigns * np.exp(0.3 * skill)),
        purchases,
        purchases * np.exp(3 + 0.6 * level) * noise,
        rng.poisson(2 * rate),
    )


@dataclass(frozen=True)
class Truth:
    """What an infinite experiment would show: effect of the offer on all, of use on those who use it, their value
    without it, the share that uses it, what the naive comparison would show, and the mean without any offer."""

    offer: float
    use: float
    baseline: float
    share: float
    naive: float
    mean: float

    @property
    def relative(self) -> float:
        """Effect of use over what its users would have had."""
        return self.use / self.baseline


def truth(world: World, outcome: str) -> Truth:
    """Integrate a world over skill, level and campaigns; ``fewer`` is 0."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    skill, level = (grid.ravel() for grid in np.meshgrid(nodes, nodes))
    mass = (weights[:, None] * weights).ravel() / weights.sum() ** 2
    uses = _adopts(world, skill, level)
    without, with_use = np.zeros_like(skill), np.zeros_like(skill)
    for more in range(16):
        rate = (1 + more) * np.exp(_log_rate(skill, level))
        chance = stats.poisson.pmf(more, 1)
        without += chance * _value(outcome, rate, level)
        with_use += chance * _value(outcome, rate * (1 + world.lift), level)
    share = float(mass @ uses)
    offer, baseline = float(mass @ (uses * (with_use - without))), float(mass @ (uses * without)) / share
    not_used = float(mass @ ((1 - uses) * without)) / (1 - share)
    use = offer / share
    return Truth(offer, use, baseline, share, baseline + use - not_used, float(mass @ without))


def _value(outcome: str, rate: np.ndarray, level: np.ndarray) -> np.ndarray:
    if outcome == "purchase rate":
        return -np.expm1(-rate)
    return rate if outcome == "purchases" else rate * np.exp(3 + 0.6 * level)


def _adopts(world: World, skill: np.ndarray, level: np.ndarray) -> np.ndarray:
    return expit(logit(world.adoption) + skill + 0.5 * level)


def _log_rate(skill: np.ndarray, level: np.ndarray) -> np.ndarray:
    return -2 + 0.6 * skill - 0.3 * level
