"""Power, the units that are needed for it, and the smallest effect that so many units can show.

All three ask a history what two arms would show, so they hold for means, proportions, ratios, quantiles, clusters, with
CUPED, and for revenue with its heavy tail, winsorised as the test will be. Sequential designs are planned by the
probability of crossing their bounds under the drift effect / standard error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scipy import optimize, stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics.history import History
from recsys.experiments.statistics.sequential import Bounds, crossing

MOST_UNITS = 10**12
LARGEST_EFFECT = 10.0
_NORMAL_FROM = 1e5


@dataclass(frozen=True)
class Plan:
    """Units of each arm, and their power to show the relative ``effect``, which is ``difference`` in absolute."""

    control: int
    treatment: int
    effect: float
    difference: float
    power: float


def power(
    history: History,
    effect: float,
    control: int,
    treatment: int,
    *,
    alpha: float,
    looks: Bounds | None = None,
) -> float:
    """Probability that a two-sided test finds a relative ``effect`` with so many units in the arms.

    Args:
        history: units of the past.
        effect: relative; below 0 for a loss.
        control: units of control at the end.
        treatment: units of the treatment arm at the end.
        alpha: two-sided error of this comparison; alpha / m plans for the first of m that Holm adjusts.
        looks: bounds of a sequential design (its own alpha counts then), None for one look at the end.

    Raises:
        ExperimentError: fewer than two units, no spread in the past, or an impossible proportion.

    Example:
        >>> from recsys.experiments.statistics import Moments, MomentsHistory
        >>> past = MomentsHistory("mean", Moments.of([0.0, 1.0, 2.0, 3.0]))
        >>> round(power(past, 0.1, 1000, 1000, alpha=0.05), 3)
        0.695
    """
    if min(control, treatment) < 2:
        raise ExperimentError(
            f"Arms of {control} and {treatment} units cannot be compared; give at least two each."
        )
    expected = history.expected(effect, control, treatment)
    drift = expected.difference / expected.error
    if looks is not None:
        return float(sum(side.sum() for side in crossing(looks.fractions, looks.critical, drift)))
    ratio = expected.tested / expected.error
    if expected.degrees > _NORMAL_FROM or ratio != 1:
        limit = float(stats.norm.isf(alpha / 2)) * ratio
        return float(stats.norm.sf(limit - drift) + stats.norm.sf(limit + drift))
    bound = float(stats.t.isf(alpha / 2, expected.degrees))
    spread: Any = stats.nct(expected.degrees, abs(drift))
    upper, lower = float(spread.sf(bound)), float(spread.cdf(-bound))
    # Far out the noncentral t is not computed any more, and is a normal to all digits that count.
    far = float(stats.norm.sf(bound - abs(drift)))
    return (far if math.isnan(upper) else upper) + (0.0 if math.isnan(lower) else lower)


def units_needed(
    history: History,
    effect: float,
    *,
    alpha: float,
    target: float,
    share: float = 0.5,
    looks: Bounds | None = None,
) -> Plan:
    """Fewest units of both arms together that show a relative ``effect`` with the ``target`` power.

    Args:
        history: units of the past.
        effect: relative, not 0.
        alpha: as in ``power``.
        target: power that is asked for.
        share: treatment's share of the units of both arms.
        looks: as in ``power``; the units are those at the last look.

    Raises:
        ExperimentError: the effect or the baseline is 0, the share or the target is no probability, or no number of
            units will do.
    """
    if effect == 0:
        raise ExperimentError("No number of units shows an effect of 0; give the smallest one that matters.")
    _check(target=target, share=share)
    baseline_of(history)

    def reached(units: int) -> float:
        return power(history, effect, *_split(units, share), alpha=alpha, looks=looks)

    low, high = 1, max(math.ceil(2 / min(share, 1 - share)), 4)
    while reached(high) < target:
        low, high = high, 2 * high
        if high > MOST_UNITS:
            raise ExperimentError(
                f"Even {MOST_UNITS:.0e} units do not show {effect:+.2%} with power {target:g}."
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= target else (middle, high)
    return _plan(history, effect, _split(high, share), reached(high))


def minimum_effect(
    history: History,
    control: int,
    treatment: int,
    *,
    alpha: float,
    target: float,
    looks: Bounds | None = None,
) -> Plan:
    """Smallest relative gain that so many units show with the ``target`` power.

    Raises:
        ExperimentError: the baseline is 0, or even a gain of LARGEST_EFFECT, or to a proportion of 1, is not shown.
    """
    _check(target=target)
    most, baseline = LARGEST_EFFECT, baseline_of(history)
    if getattr(history, "kind", None) == "proportion":
        most = min(most, (1 - baseline) / baseline * (1 - 1e-9))

    def short(effect: float) -> float:
        return power(history, effect, control, treatment, alpha=alpha, looks=looks) - target

    if short(most) < 0:
        raise ExperimentError(
            f"{control + treatment} units do not even show {most:+.0%} with power {target:g}; add units or days."
        )
    effect = _root(short, most)
    return _plan(history, effect, (control, treatment), short(effect) + target)


def baseline_of(history: History) -> float:
    """Value of the metric without treatment, of which an effect is a share.

    Raises:
        ExperimentError: it is 0.
    """
    baseline = history.baseline
    if baseline == 0:
        raise ExperimentError(
            "Its value in the past is 0, of which no lift is a share; give a past in which it is not 0, or plan "
            "another metric."
        )
    return baseline


def _root(short: Callable[[float], float], most: float) -> float:
    low = most
    while short(low) >= 0:
        low /= 4
        if low < 1e-12:
            return low
    return float(optimize.brentq(short, low, min(4 * low, most), rtol=1e-9))


def _plan(history: History, effect: float, arms: tuple[int, int], reached: float) -> Plan:
    return Plan(*arms, effect, history.expected(effect, *arms).difference, reached)


def _split(units: int, share: float) -> tuple[int, int]:
    treatment = min(max(round(units * share), 2), units - 2)
    return units - treatment, treatment


def _check(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ExperimentError(f"{name} is {value}; it has to lie between 0 and 1.")
