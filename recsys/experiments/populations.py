"""Units of a marketplace whose distribution is known, for experiments that are played; see simulation.py.

Every unit has a taste, normal over the units, that both its past and its present follow: so a covariate says something,
and nothing of the treatment. Rows have the columns that ``recsys.experiments.statistics.compare`` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.experiments.simulation import Draw

Floats = npt.NDArray[np.float64]


def revenue(units: int, rng: np.random.Generator) -> Floats:
    """Lognormal revenue with zeros (most units buy nothing), and the same of the time before; shape (units, 2)."""
    taste = rng.normal(size=units)
    return np.column_stack([_spent(taste, rng), _spent(taste, rng)])


def bought(units: int, rng: np.random.Generator) -> Floats:
    """Whether a unit bought, and whether it had bought before; shape (units, 2), of 0 and 1."""
    return (revenue(units, rng) > 0).astype(np.float64)


def clicks(units: int, rng: np.random.Generator) -> Floats:
    """Clicks and impressions, and both of the time before: numbers of visits vary much; shape (units, 4)."""
    taste, visits = rng.normal(size=units), rng.lognormal(2.0, 1.0, units)
    chance = 1 / (1 + np.exp(2.5 - 0.8 * taste))
    columns: list[Floats] = []
    for _ in range(2):
        impressions: Floats = (1 + rng.poisson(visits)).astype(np.float64)
        clicked: Floats = rng.binomial(impressions.astype(np.int64), chance).astype(np.float64)
        columns += [clicked, impressions]
    return np.column_stack(columns)


def hours(units: int, rng: np.random.Generator) -> Floats:
    """Hours until a listing sold, lognormal; shape (units, 1)."""
    return rng.lognormal(3.0, 1.2, (units, 1))


def spending_days(units: int, days: int, rng: np.random.Generator, spread: float = 1.0) -> Floats:
    """Revenue of units on each of ``days``, by a taste of their own, which is ``spread`` wide; shape (units, days)."""
    taste = spread * rng.normal(size=(units, 1))
    buys: Floats = (rng.random((units, days)) < np.minimum(0.04 * np.exp(0.7 * taste), 1)).astype(np.float64)
    return buys * np.exp(2.5 + 0.4 * taste + 0.9 * rng.normal(size=(units, days)))


def _spent(taste: Floats, rng: np.random.Generator) -> Floats:
    buys: Floats = (rng.random(len(taste)) < 1 / (1 + np.exp(1.4 - 2.0 * taste))).astype(np.float64)
    return buys * np.exp(2.5 + 0.7 * taste + 0.6 * rng.normal(size=len(taste)))


@dataclass(frozen=True)
class Population:
    """Units to draw from and the kind of their metric."""

    kind: str
    draw: Draw
    quantile: float | None = None

    @property
    def has_covariate(self) -> bool:
        """Whether the units bring one."""
        return self.kind != "quantile"


POPULATIONS: Mapping[str, Population] = {
    "revenue": Population("mean", revenue),
    "conversion": Population("proportion", bought),
    "click-through": Population("ratio", clicks),
    "median hours": Population("quantile", hours, 0.5),
    "p90 of hours": Population("quantile", hours, 0.9),
}
