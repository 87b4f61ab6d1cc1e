"""How many units an experiment needs, and what so many units can show, by arms and their shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np

from recsys.errors import ExperimentError
from recsys.experiments.analysis.arms import control_of
from recsys.experiments.analysis.values import Values
from recsys.experiments.limits import MOST_LOOKS
from recsys.experiments.statistics.compare import Kind
from recsys.experiments.statistics.history import History, MomentsHistory, QuantileHistory, ValuesHistory
from recsys.experiments.statistics.moments import Floats, Moments
from recsys.experiments.statistics.power import baseline_of, minimum_effect, power, units_needed
from recsys.experiments.statistics.quantile import Values as ValueCounts
from recsys.experiments.statistics.sequential import (
    Bounds,
    Spending,
    accrued_information,
    always_valid_critical,
    group_sequential,
)
from recsys.experiments.statistics.winsorise import pooled_cap

DESIGNS = ("fixed", *get_args(Spending), "always_valid")
_KNOWN_UNITS = 10**9
"""Units that a mean and a spread given by hand stand for: so many that they count as known."""


@dataclass(frozen=True)
class Terms:
    """What is asked of a plan.

    Attributes:
        weights: share of each arm, of any sum.
        control: name of the control.
        alpha: two-sided error of all arms together: each is planned with alpha over their number.
        target: power that is asked for.
        design: one of DESIGNS.
        looks: looks of a sequential design, evenly spread.
    """

    weights: Mapping[str, float]
    control: str
    alpha: float = 0.05
    target: float = 0.8
    design: str = "fixed"
    looks: int = 14

    @property
    def arms(self) -> list[str]:
        """Arms that are held against the control."""
        return [arm for arm, weight in self.weights.items() if arm != self.control and weight > 0]

    @property
    def alpha_of_one(self) -> float:
        """Error of one comparison (Bonferroni, which Holm never needs more units than)."""
        return self.alpha / len(self.arms)

    def bounds(self) -> Bounds | None:
        """Bounds of the looks; None for the fixed design."""
        if self.design == "fixed":
            return None
        fractions = tuple((look + 1) / self.looks for look in range(self.looks))
        if self.design == "always_valid":
            critical = tuple(always_valid_critical(at, alpha=self.alpha_of_one) for at in fractions)
            return Bounds(fractions, (self.alpha_of_one,) * self.looks, critical)
        return group_sequential(
            fractions,
            alpha=self.alpha_of_one,
            spending=cast("Spending", self.design),
            information=accrued_information(fractions),
        )


@dataclass(frozen=True)
class Planned:
    """Units of all arms together, and the smaller power over the arms to show the relative ``effect``."""

    units: int
    units_by_arm: Mapping[str, int]
    effect: float
    power: float


def terms(
    weights: Mapping[str, float] | None,
    control: str | None,
    *,
    alpha: float,
    target: float,
    design: str,
    looks: int,
) -> Terms:
    """Check what is asked; equal shares of ``control`` and ``treatment`` where no weights are given.

    Raises:
        ExperimentError: names what is wrong and what is allowed.
    """
    given = dict(weights) if weights else {"control": 1.0, "treatment": 1.0}
    against = control_of(tuple(given), control)
    if against not in given or given[against] <= 0 or sum(weight > 0 for weight in given.values()) < 2:
        raise ExperimentError(
            f"The control {against!r} and at least one other arm need a share; the shares are {given}."
        )
    if design not in DESIGNS:
        raise ExperimentError(f"The design {design!r} is unknown; choose one of {', '.join(DESIGNS)}.")
    for name, value in (("alpha", alpha), ("power", target)):
        if not 0 < value < 1:
            raise ExperimentError(f"{name} is {value:g}; it has to lie between 0 and 1.")
    if not 1 <= looks <= MOST_LOOKS:
        raise ExperimentError(f"A design with {looks} looks cannot be planned; give 1 to {MOST_LOOKS}.")
    return Terms(given, against, alpha, target, design, looks)


def history_of(taken: Values, winsorise: float | None = None) -> History:
    """Return what is known of a metric from the units of a table; ``winsorise`` as the test will do it.

    Raises:
        ExperimentError: fewer than two units have a value.
    """
    if len(taken.columns) < 2:
        raise ExperimentError(
            f"{len(taken.columns)} units of the past have a value; a plan needs at least two. Give a table that has it."
        )
    if taken.quantile is not None:
        return QuantileHistory(ValueCounts.of(taken.columns[:, 0]), taken.quantile)
    columns, kind = list(taken.columns.T), cast("Kind", taken.kind)
    if winsorise is not None and kind != "proportion":
        place = 2 if kind == "ratio" else 1
        if taken.cuped:
            columns[place] = np.minimum(columns[place], pooled_cap([columns[place]], winsorise))
        columns = columns if taken.cuped else columns[:place]
        return ValuesHistory(kind, tuple(columns), winsorise, taken.cuped)
    return MomentsHistory(kind, Moments.of(*columns), taken.cuped)


def check_effect(effect: float) -> None:
    """Refuse a relative effect that no treatment has: one that takes away all there is, or more.

    Raises:
        ExperimentError: names the effect and what it may be.
    """
    if not -1 < effect < math.inf:
        raise ExperimentError(
            f"The effect is {effect:g}, a relative lift of {effect:+.0%}; it has to lie above -1, like -0.02 for 2 % "
            "less."
        )


def known_mean(mean: float, spread: float) -> History:
    """History of a mean whose value and standard deviation are known; the latter is that of both arms.

    Raises:
        ExperimentError: the mean is 0, of which no effect is a share, or there is no spread.
    """
    if mean == 0 or not spread > 0 or not math.isfinite(mean + spread):
        raise ExperimentError(
            f"A mean of {mean:g} with standard deviation {spread:g} cannot be planned; both need a value above 0."
        )
    return MomentsHistory("mean", Moments(_KNOWN_UNITS, *_known(mean, spread * spread)), shifts=True)


def known_rate(rate: float) -> History:
    """History of a proportion.

    Raises:
        ExperimentError: the rate does not lie between 0 and 1.
    """
    if not 0 < rate < 1:
        raise ExperimentError(f"The rate is {rate:g}; it has to lie between 0 and 1.")
    return MomentsHistory("proportion", Moments(_KNOWN_UNITS, *_known(rate, rate * (1 - rate))))


def needed(history: History, effect: float, asked: Terms) -> Planned:
    """Fewest units of all arms that show ``effect`` in every arm with the power asked.

    Raises:
        ExperimentError: no number of units will do.
    """
    looks, total = asked.bounds(), sum(asked.weights.values())
    most = 0.0
    for arm in asked.arms:
        pair = asked.weights[asked.control] + asked.weights[arm]
        plan = units_needed(
            history,
            effect,
            alpha=asked.alpha_of_one,
            target=asked.target,
            share=asked.weights[arm] / pair,
            looks=looks,
        )
        most = max(most, (plan.control + plan.treatment) * total / pair)
    arms = {arm: math.ceil(most * weight / total - 1e-9) for arm, weight in asked.weights.items()}
    return _planned(history, effect, arms, asked)


def reached(history: History, effect: float, units: int, asked: Terms) -> Planned:
    """Power of so many units in all arms to show ``effect``, in the arm where it is smallest.

    Raises:
        ExperimentError: the units are too few, or the metric is 0 without treatment.
    """
    baseline_of(history)
    return _planned(history, effect, _split(units, asked), asked)


def smallest(history: History, units: int, asked: Terms) -> Planned:
    """Smallest relative gain that so many units in all arms show in every arm with the power asked.

    Raises:
        ExperimentError: the units show no gain of any reasonable size.
    """
    arms, looks = _split(units, asked), asked.bounds()
    effect = max(
        minimum_effect(
            history,
            arms[asked.control],
            arms[arm],
            alpha=asked.alpha_of_one,
            target=asked.target,
            looks=looks,
        ).effect
        for arm in asked.arms
    )
    return _planned(history, effect, arms, asked)


def _planned(history: History, effect: float, arms: Mapping[str, int], asked: Terms) -> Planned:
    looks, control = asked.bounds(), arms[asked.control]
    found = min(
        power(history, effect, control, arms[arm], alpha=asked.alpha_of_one, looks=looks)
        for arm in asked.arms
    )
    return Planned(sum(arms.values()), arms, effect, found)


def _split(units: int, asked: Terms) -> dict[str, int]:
    total = sum(asked.weights.values())
    return {arm: round(units * weight / total) for arm, weight in asked.weights.items()}


def _known(mean: float, variance: float) -> tuple[Floats, Floats]:
    return np.array([mean]), np.array([[variance * (_KNOWN_UNITS - 1)]])
