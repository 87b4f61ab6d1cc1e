"""Looking at an experiment more than once without raising its error: group-sequential bounds, always-valid sequences.

A statistic Z_k with information I_k behaves like a Brownian motion B at time I_k: Z_k = B(I_k) / sqrt(I_k) (Lan and
Zucker, 1993). Group-sequential bounds spend the error alpha over looks by a function of the information fraction (Lan
and DeMets, 1983), each found by integrating the density of B over what the earlier looks left open (Armitage, McPherson
and Rowe, 1969). An always-valid sequence holds at all times at once, by the normal mixture of Robbins (1970); for means
it is asymptotic (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, 2024, "Time-uniform central limit theory and
asymptotic confidence sequences"). docs/experiments-statistics.md derives both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics.compare import Comparison
from recsys.experiments.statistics.moments import Floats

Spending = Literal["obrien_fleming", "pocock", "power"]
CLOSEST = 1e-3
"""A look that is nearer to the one before than this share of its own time is refused: the integration would need
thousands of points, and such a look adds nothing."""
_FAR = 10.0
_NOTHING = 1e-14
_PANEL, _PANEL_WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Bounds:
    """Two-sided bounds of a group-sequential design, one per look.

    Attributes:
        fractions: share of the planned information at each look.
        spent: error spent by the end of each look; the last is alpha where the last fraction is 1.
        critical: a look rejects where abs(Z) reaches this; inf where there is nothing to spend yet.
    """

    fractions: tuple[float, ...]
    spent: tuple[float, ...]
    critical: tuple[float, ...]


def error_spent(fraction: float, *, alpha: float, spending: Spending, rho: float = 2.0) -> float:
    """Two-sided error spent at an information fraction; past 1 it stays alpha.

    Each side spends alpha / 2: O'Brien-Fleming type 2 (1 - Phi(z / sqrt(t))) with z the upper alpha / 4 point, Pocock
    type alpha / 2 log(1 + (e - 1) t) (both Lan and DeMets, 1983), power family alpha / 2 t^rho (Kim and DeMets, 1987).

    Example:
        >>> round(error_spent(0.5, alpha=0.05, spending="pocock"), 4)
        0.031
    """
    t = min(fraction, 1.0)
    if spending == "obrien_fleming":
        return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / math.sqrt(t)))
    if spending == "pocock":
        return alpha * math.log1p((math.e - 1) * t)
    if spending == "power" and rho > 0:
        return float(alpha * t**rho)
    raise ExperimentError(
        f"Spending function {spending!r} with rho {rho}: choose obrien_fleming, pocock or power (rho above 0)."
    )


def group_sequential(
    fractions: Sequence[float],
    *,
    alpha: float,
    spending: Spending = "obrien_fleming",
    rho: float = 2.0,
    information: Sequence[float] | None = None,
) -> Bounds:
    """Bounds for looks at ``fractions`` of the planned information; looks may be added or moved as time goes on.

    Args:
        fractions: strictly increasing, above 0; what is spent follows them. Days since the start over planned days will
            do: what is spent need not follow the information (Lan and DeMets, 1989).
        alpha: error over all looks together, two-sided.
        spending: how the error is spread over the looks.
        rho: exponent of the power family.
        information: information at the looks, in any unit, which ties the looks to each other; fractions without.

    Raises:
        ExperimentError: the fractions do not increase, or are nearer to each other than CLOSEST.

    Example:
        >>> [round(c, 3) for c in group_sequential([0.5, 1.0], alpha=0.05).critical]
        [2.963, 1.969]
    """
    times = _times(fractions if information is None else information)
    _times(fractions)
    if len(times) != len(fractions):
        raise ExperimentError(f"{len(fractions)} fractions need as many informations, got {len(times)}.")
    spent = [error_spent(t, alpha=alpha, spending=spending, rho=rho) for t in fractions]
    critical: list[float] = []
    walk = _START
    for look, time in enumerate(times):
        allowed = (spent[look] - (spent[look - 1] if look else 0.0)) / 2
        critical.append(_critical(walk, time, allowed))
        walk = _advance(walk, time, critical[-1], times[look + 1] if look + 1 < len(times) else None)
    return Bounds(tuple(map(float, fractions)), tuple(spent), tuple(critical))


def accrued_information(fractions: Sequence[float], order: float = 2.0) -> tuple[float, ...]:
    """Information at looks, of units that go on adding to their total after they came: time to the power of ``order``.

    After k of K days, with as many units coming each day and all of them spending on every day since, the sum over
    units holds k (k + 1) / 2 unit-days. If these are independent, two looks are correlated by j / k, and not by
    sqrt(j / k). Units that come earlier, or spend alike from day to day, tie the looks closer, and bounds for a looser
    tie then spend less than alpha. Pass it to ``group_sequential`` for totals per unit.

    Args:
        fractions: looks, as shares of the planned time.
        order: 2 where a day's value varies far more between units than its mean (revenue, purchases). 3 where it hardly
            varies (sessions, impressions): the arms then differ most by when their units came, and that alone ties two
            looks by (j / k)^1.5.

    Example:
        >>> accrued_information([0.5, 1.0])
        (0.25, 1.0)
    """
    return tuple(fraction**order for fraction in fractions)


def crossing(
    times: Sequence[float],
    critical: Sequence[float],
    drift: float = 0.0,
    *,
    since: tuple[float, float] = (0.0, 0.0),
) -> tuple[Floats, Floats]:
    """Probabilities of first crossing the upper and the lower bound at each look, each of shape (looks,).

    Args:
        times: information fractions of the looks.
        critical: bounds of Z, two-sided; inf where a look cannot reject.
        drift: expected Z at information 1, effect / standard error; 0 gives the error, a planned effect the power.
        since: a fraction before the looks, and what B = Z sqrt(fraction) is there: gives the conditional power.

    Raises:
        ExperimentError: the fractions do not increase from above ``since``, or are nearer to each other than CLOSEST.
    """
    known = _times(times)
    if known[0] <= since[0]:
        raise ExperimentError(f"Looks at {list(times)} have to come after {since[0]}.")
    upper, lower = np.zeros(len(known)), np.zeros(len(known))
    walk = _Walk(since[0], np.array([since[1]]), np.ones(1))
    for look, (time, bound) in enumerate(zip(known, critical, strict=True)):
        if math.isfinite(bound):
            upper[look] = _beyond(walk, time, bound, drift)
            lower[look] = _beyond(_mirrored(walk), time, bound, -drift)
        walk = _advance(walk, time, bound, known[look + 1] if look + 1 < len(known) else None, drift)
    return upper, lower


def always_valid_critical(fraction: float, *, alpha: float, rho: float | None = None) -> float:
    """Bound of abs(Z) that holds at all times together, at ``fraction`` of the planned information.

    With r = rho * fraction it is sqrt((1 + r) / r * log((1 + r) / alpha^2)).

    Args:
        fraction: information over the planned information, above 0; may pass 1.
        alpha: error over all times together, two-sided.
        rho: variance of the mixture over the variance of the difference at fraction 1, fixed before the start; None
            takes the one for which the interval at fraction 1 is narrowest.

    Example:
        >>> round(always_valid_critical(1.0, alpha=0.05), 3)
        3.035
    """
    r = _mixture(alpha, rho) * _positive(fraction)
    return math.sqrt((1 + 1 / r) * math.log((1 + r) / alpha**2))


def always_valid(fractions: Sequence[float], *, alpha: float, rho: float | None = None) -> Bounds:
    """Bounds of an always-valid sequence that is looked at only at ``fractions``, and the error these looks spend.

    Raises:
        ExperimentError: the fractions do not increase, or are nearer to each other than CLOSEST.
    """
    times = _times(fractions)
    critical = [always_valid_critical(time, alpha=alpha, rho=rho) for time in times]
    upper, lower = crossing(times, critical)
    return Bounds(tuple(times), tuple((upper + lower).cumsum().tolist()), tuple(critical))


def always_valid_p_value(z: float, fraction: float, *, alpha: float, rho: float | None = None) -> float:
    """P-value that may be read at any time: 1 over the mixture's likelihood ratio (Johari, Pekelis and Walsh, 2015).

    It is at most alpha exactly where abs(z) reaches ``always_valid_critical``. The smallest of all days so far is valid
    too.
    """
    r = _mixture(alpha, rho) * _positive(fraction)
    return min(1.0, math.exp(0.5 * math.log1p(r) - z * z * r / (2 * (1 + r))))


def sequential_interval(found: Comparison, critical: float) -> tuple[float, float]:
    """Repeated confidence interval of a difference at a look with this bound (Jennison and Turnbull, 1989).

    The bound is one of a normal Z; with few degrees of freedom it is widened to the t quantile of the same tail.
    """
    if math.isinf(critical):
        return -math.inf, math.inf
    bound = (
        float(stats.t.isf(stats.norm.sf(critical), found.degrees))
        if math.isfinite(found.degrees)
        else critical
    )
    margin = bound * math.sqrt(found.variance)
    return found.difference - margin, found.difference + margin


@dataclass(frozen=True, eq=False)
class _Walk:
    """Density of B where no look has stopped yet, on the nodes of a quadrature; mass of each node in ``weights``."""

    time: float
    nodes: Floats
    weights: Floats


_START = _Walk(0.0, np.zeros(1), np.ones(1))


def _mirrored(walk: _Walk) -> _Walk:
    return _Walk(walk.time, -walk.nodes, walk.weights)


def _beyond(walk: _Walk, time: float, bound: float, drift: float = 0.0) -> float:
    """Probability of still being in, and above ``bound`` (of Z) at ``time``."""
    step = time - walk.time
    gaps = (bound * math.sqrt(time) - walk.nodes - drift * step) / math.sqrt(step)
    return float(walk.weights @ special.ndtr(-gaps))


def _critical(walk: _Walk, time: float, allowed: float) -> float:
    if allowed < _NOTHING:
        return math.inf
    return float(optimize.brentq(lambda z: _beyond(walk, time, z) - allowed, 0.0, _FAR, xtol=1e-13))


def _advance(walk: _Walk, time: float, bound: float, coming: float | None, drift: float = 0.0) -> _Walk:
    """Density at ``time`` within the bound. Panels are no wider than a step's standard deviation, on either side."""
    step = time - walk.time
    finest = math.sqrt(min(step, coming - time) if coming is not None else step)
    edge = min(bound, _FAR) * math.sqrt(time)
    low, high = -edge, edge
    if bound > _FAR:
        low, high = low + min(drift * time, 0.0), high + max(drift * time, 0.0)
    edges = np.linspace(low, high, max(math.ceil((high - low) / finest), 8) + 1)
    half = np.diff(edges) / 2
    nodes = (edges[:-1, None] + half[:, None] * (1 + _PANEL)).ravel()
    gaps = (nodes[:, None] - walk.nodes - drift * step) / math.sqrt(step)
    density = np.exp(-0.5 * gaps**2) @ walk.weights / math.sqrt(2 * math.pi * step)
    return _Walk(time, nodes, density * (half[:, None] * _PANEL_WEIGHTS).ravel())


def _times(values: Sequence[float]) -> list[float]:
    times: npt.NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    steps = np.diff(times, prepend=0.0)
    if times.ndim != 1 or not len(times) or not np.isfinite(times).all() or (steps <= 0).any():
        raise ExperimentError(f"Looks at {list(values)}: fractions have to increase from above 0.")
    if (steps < CLOSEST * times).any():
        raise ExperimentError(
            f"Looks at {list(values)} are nearer to each other than {CLOSEST:g} of their time."
        )
    return [float(time) for time in times]


def _mixture(alpha: float, rho: float | None) -> float:
    """Minimise (1 + 1 / r) log((1 + r) / alpha^2): its root r = log((1 + r) / alpha^2), by Lambert's W."""
    if rho is None:
        return float(-special.lambertw(-(alpha**2) / math.e, -1).real - 1)
    return _positive(rho)


def _positive(value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise ExperimentError(f"{value} has to be a number above 0.")
    return value
