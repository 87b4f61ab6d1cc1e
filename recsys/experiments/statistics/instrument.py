"""What using an offer does, when arms were offered it and units chose: the offer as an instrument for the use.

Those who use an offer are not like those who do not, so "used against not used" compares kinds of units. The offer
itself was drawn by lot. With Z the arm, D whether a unit used it and Y its outcome, Angrist, Imbens and Rubin (1996),
"Identification of causal effects using instrumental variables", give the average effect of use among compliers, the
units that use the offer when it is made and not otherwise:

    (E[Y | Z = 1] - E[Y | Z = 0]) / (E[D | Z = 1] - E[D | Z = 0])

if the arms were drawn by lot, the offer acts on Y through use alone (exclusion), nobody uses it because it was not
offered (monotonicity; certain where it cannot be used without the offer), it moves use at all, and units do not
disturb each other. docs/keyword-experiments.md says what each means where sellers choose keywords.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics.compare import (
    Comparison,
    compare,
    fieller,
    student_quantile,
    welch_degrees,
)
from recsys.experiments.statistics.moments import Floats, Moments

WEAK = 10.0
"""A first stage below this F is weak (Staiger and Stock, 1997): trust Fieller's interval only."""
_OUTCOME, _USE, _BOTH, _COVARIATE = range(4)


@dataclass(frozen=True)
class Bounded:
    """An estimate and the ends of its interval; None for an end that does not exist."""

    value: float
    low: float | None
    high: float | None

    def holds(self, truth: float) -> bool:
        """Whether the interval holds ``truth``; one without ends holds everything."""
        return (self.low is None or self.low <= truth) and (self.high is None or truth <= self.high)


@dataclass(frozen=True)
class EffectOfUse:
    """Treatment, which was offered something, against control; by offer, by use, and naively.

    Attributes:
        offer: intention to treat, the effect of the offer on everybody it was made to; its p-value is that of no
            effect of use too.
        used: share of the treatment arm that used it; ``used_control`` that of control.
        compliers: share that uses it because of the offer: used - used_control, adjusted under CUPED.
        strength: F of the first stage, (compliers / its standard error)^2; weak below WEAK.
        effect: average effect of use on compliers, with the interval of Fieller (1954), here that of Anderson and
            Rubin (1949): it holds its level however weak the instrument is, and has no ends where use is not shown to
            rise. None where the offer does not raise use.
        delta: the same with the interval of the delta method, for a strong instrument.
        baseline: value of compliers without use (Abadie, 2002).
        relative: effect / baseline, with Fieller's ends.
        naive: those who used it minus those who did not, within the treatment arm: no effect of anything, but what
            they differ by and the effect together. None where all or none used it.
    """

    offer: Comparison
    used: float
    used_control: float
    compliers: float
    strength: float
    effect: Bounded | None
    delta: Bounded | None
    baseline: float | None
    relative: Bounded | None
    naive: Bounded | None

    @property
    def weak(self) -> bool:
        """Whether the offer moves use too little for the delta method."""
        return self.strength < WEAK


def effect_of_use(
    kind: Literal["mean", "proportion"],
    control: Moments,
    treatment: Moments,
    *,
    alpha: float,
    cuped: bool = False,
) -> EffectOfUse | None:
    """Effect of using what treatment was offered; None when an arm has fewer than two units.

    Args:
        kind: of the outcome.
        control: moments of control. Columns: outcome, use (0 or 1), outcome x use, and under CUPED a covariate.
        treatment: the same columns of the arm with the offer.
        alpha: error probability; intervals hold the truth with 1 - alpha.
        cuped: adjust outcome and use by the covariate.

    Raises:
        ExperimentError: other columns, a use that is not 0 or 1, or alpha is no probability.

    Example:
        >>> y, d = np.array([1.0, 2.0, 3.0, 4.0, 9.0, 9.5]), np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
        >>> arms = [Moments.of(y[rows], d[rows], y[rows] * d[rows]) for rows in ([0, 1, 2], [3, 4, 5])]
        >>> found = effect_of_use("mean", *arms, alpha=0.05)
        >>> round(found.compliers, 3), round(found.effect.value, 3), round(found.naive.value, 3)
        (0.667, 8.25, 5.25)
    """
    _check(control, treatment, cuped)
    chosen = [_OUTCOME, _COVARIATE] if cuped else [_OUTCOME]
    offer = compare(kind, _only(control, chosen), _only(treatment, chosen), alpha=alpha, cuped=cuped)
    if offer is None:
        return None
    steps, parts = _steps(control, treatment, cuped)
    known = offer, float(treatment.mean[_USE]), float(control.mean[_USE])
    naive, strength = _naive(treatment, alpha), _strength(steps, parts[0] + parts[1])
    compliers = float(steps[1])
    if compliers <= 0:
        return EffectOfUse(*known, compliers, strength, None, None, None, None, naive)
    effect, delta = _of_compliers(steps, parts, (control.units, treatment.units), alpha)
    without = -float(steps[2])  # the mean outcome without use falls by what compliers had
    joint = (parts[0] + parts[1])[np.ix_([2, 0], [2, 0])] * np.array([[1.0, -1.0], [-1.0, 1.0]])
    lift = fieller(without, float(steps[0]), joint, student_quantile(alpha, offer.degrees))
    relative = Bounded(lift[0], *lift[1:]) if lift[0] is not None and without > 0 else None
    return EffectOfUse(*known, compliers, strength, effect, delta, without / compliers, relative, naive)


def _check(control: Moments, treatment: Moments, cuped: bool) -> None:
    columns = 4 if cuped else 3
    if min(len(control.mean), len(treatment.mean)) < columns:
        raise ExperimentError(
            f"The arms have {len(control.mean)} and {len(treatment.mean)} columns; give outcome, use, outcome x use"
            f"{' and covariate' if cuped else ''}."
        )
    for name, arm in (("control", control), ("treatment", treatment)):
        share = float(arm.mean[_USE]) if arm.units else 0.0
        off = abs(float(arm.cross[_USE, _USE]) - arm.units * share * (1 - share))
        if off > 1e-6 * max(arm.units, 1) or not -1e-9 < share < 1 + 1e-9:
            raise ExperimentError(
                f"The use in {name}, with mean {share:g}, is not made of 0 and 1; mark who used the offer with 1."
            )


def _only(moments: Moments, columns: list[int]) -> Moments:
    return Moments(moments.units, moments.mean[columns], moments.cross[np.ix_(columns, columns)])


def _steps(control: Moments, treatment: Moments, cuped: bool) -> tuple[Floats, tuple[Floats, Floats]]:
    """Differences of outcome, use and outcome without use, shape (3,), and what each arm adds to their covariance."""
    of = np.zeros((3, len(control.mean)))
    of[0, _OUTCOME] = of[1, _USE] = of[2, _OUTCOME] = 1.0
    of[2, _BOTH] = -1.0
    if cuped:
        both = control + treatment
        # One that varies between the arms alone tells nothing of the outcome.
        if control.cross[_COVARIATE, _COVARIATE] + treatment.cross[_COVARIATE, _COVARIATE] > 0:
            of[:, _COVARIATE] = -(of @ both.cross)[:, _COVARIATE] / both.cross[_COVARIATE, _COVARIATE]
    old, new = (of @ arm.covariance @ of.T / arm.units for arm in (control, treatment))
    return of @ (treatment.mean - control.mean), (old, new)


def _strength(steps: Floats, spread: Floats) -> float:
    return float(steps[1] ** 2 / spread[1, 1]) if spread[1, 1] > 0 else math.inf * abs(float(steps[1]) or 0.0)


def _of_compliers(
    steps: Floats, parts: tuple[Floats, Floats], units: tuple[int, int], alpha: float
) -> tuple[Bounded, Bounded]:
    """The effect with Fieller's ends, and with those of the delta method."""
    gain, compliers = float(steps[0]), float(steps[1])
    effect = gain / compliers
    line = np.array([1.0, -effect, 0.0])
    each = [float(line @ part @ line) for part in parts]
    critical = student_quantile(alpha, welch_degrees(each, units))
    margin = critical * math.sqrt(max(sum(each), 0.0)) / compliers
    _, low, high = fieller(compliers, gain, (parts[0] + parts[1])[np.ix_([1, 0], [1, 0])], critical)
    return Bounded(effect, low, high), Bounded(effect, effect - margin, effect + margin)


def _naive(arm: Moments, alpha: float) -> Bounded | None:
    """Used against not used within one arm: a difference of two ratios, its error by the delta method."""
    outcome, share, both = (float(arm.mean[column]) for column in (_OUTCOME, _USE, _BOTH))
    if not 0 < share < 1:
        return None
    difference = both / share - (outcome - both) / (1 - share)
    by_share = -both / share**2 - (outcome - both) / (1 - share) ** 2
    gradient = np.zeros(len(arm.mean))
    gradient[[_OUTCOME, _USE, _BOTH]] = -1 / (1 - share), by_share, 1 / share + 1 / (1 - share)
    variance = float(gradient @ arm.covariance @ gradient) / arm.units
    margin = float(stats.norm.isf(alpha / 2)) * math.sqrt(max(variance, 0.0))
    return Bounded(difference, difference - margin, difference + margin)
