"""Both arms alike, looked at every day: how often some look rejects, by design."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import numpy.typing as npt
from scipy import special

from recsys.experiments.populations import bought, revenue, spending_days
from recsys.experiments.simulation import Draw
from recsys.experiments.statistics.peeking import Peeking, rejections
from recsys.experiments.statistics.sequential import (
    Spending,
    accrued_information,
    always_valid_critical,
    group_sequential,
)

DAYS, UNITS_A_DAY = 28, 200
Floats = npt.NDArray[np.float64]


def looks(runs: int, seed: int) -> list[dict[str, object]]:
    """Share of runs in which a design rejects; at most alpha = 0.05 is right.

    ``entering`` units are measured once, on the day they enter. ``returning`` ones go on to spend on later days, by a
    taste of their own or by chance alone, so that what is known of a unit changes from look to look; their bounds are
    those for totals that grow, as the read-out has them.
    """
    rng = np.random.default_rng(seed)
    rows = [
        _row("revenue, entering", rejections(rng, _first(revenue), runs=runs, looks=DAYS, units=UNITS_A_DAY)),
        _row(
            "conversion, entering", rejections(rng, _first(bought), runs=runs, looks=DAYS, units=UNITS_A_DAY)
        ),
    ]
    for name, spread in (("revenue, returning, by chance", 0.0), ("revenue, returning, by taste", 1.0)):
        rows.append(_row(name, _rejected(np.array([_returning(rng, spread) for _ in range(runs)]), 0.05)))
    return rows


def _first(draw: Draw) -> Callable[[np.random.Generator, tuple[int, ...]], Floats]:
    """Draw the metric alone, in any shape."""
    return lambda g, shape: draw(int(np.prod(shape)), g)[:, 0].reshape(shape)


def _row(name: str, found: Peeking) -> dict[str, object]:
    return {"metric": name, "fixed, one look": found.fixed, "fixed, looked at daily": found.peeking} | dict(
        found.sequential
    )


def _rejected(z: Floats, alpha: float) -> Peeking:
    fractions = [(day + 1) / DAYS for day in range(DAYS)]
    information = accrued_information(fractions)
    limit = float(special.ndtri(1 - alpha / 2))
    bounds = {
        name: np.array(
            group_sequential(fractions, alpha=alpha, spending=name, information=information).critical
        )
        for name in get_args(Spending)
    } | {"always_valid": np.array([always_valid_critical(t, alpha=alpha) for t in fractions])}
    return Peeking(
        float((z[:, -1] >= limit).mean()),
        float((z >= limit).any(axis=1).mean()),
        {name: float((z >= bound).any(axis=1).mean()) for name, bound in bounds.items()},
        len(z),
    )


def _returning(rng: np.random.Generator, spread: float) -> Floats:
    """Z of revenue per unit seen so far, after each day; shape (days,).

    As many units enter an arm on a day as chance has it: equal numbers would balance the arms by day of entry, which
    the test does not know of, and would err less than it says.
    """
    days = np.arange(DAYS)
    means, errors = [], []
    for _ in range(2):
        entering = rng.poisson(UNITS_A_DAY, DAYS)
        entered, seen = np.repeat(days, entering)[:, None], entering.cumsum()
        so_far = (spending_days(len(entered), DAYS, rng, spread) * (days >= entered)).cumsum(axis=1)
        mean = so_far.sum(axis=0) / seen
        means.append(mean)
        errors.append(((so_far**2).sum(axis=0) - seen * mean**2) / (seen - 1) / seen)
    return np.abs(means[1] - means[0]) / np.sqrt(errors[0] + errors[1])
