"""What two arms are expected to show under an effect, judged by units of the past: the ground that a plan stands on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from recsys.errors import ExperimentError
from recsys.experiments.statistics.compare import Kind, compare
from recsys.experiments.statistics.moments import Floats, Moments
from recsys.experiments.statistics.quantile import Values
from recsys.experiments.statistics.winsorise import pooled_cap


@dataclass(frozen=True)
class Expected:
    """A difference as a test will see it.

    Attributes:
        difference: expected difference of the two arms, after winsorising.
        error: its standard error.
        tested: the standard error that the test holds it against; another for proportions, whose test pools the arms.
        degrees: degrees of freedom.
    """

    difference: float
    error: float
    tested: float
    degrees: float


class History(Protocol):
    """Units of the past, before any treatment."""

    @property
    def baseline(self) -> float:
        """Value of the metric without treatment, as the test will measure it."""
        ...

    def expected(self, effect: float, control: int, treatment: int) -> Expected:
        """Return what arms of so many units would show if the treatment changed the metric by a relative effect."""
        ...


@dataclass(frozen=True, eq=False)
class MomentsHistory:
    """Moments are all that is known. An effect scales every unit's value (of a ratio: its numerator).

    With ``shifts`` it adds the same to every unit's value instead, so that the spread is that of the control.

    Attributes:
        kind: of the metric.
        moments: of past units, columns as in ``compare``; clusters for a ratio over clusters.
        cuped: whether the covariate will be used.
        shifts: for a mean, whether both arms have one standard deviation.
    """

    kind: Kind
    moments: Moments
    cuped: bool = False
    shifts: bool = False

    @property
    def baseline(self) -> float:
        """Value of the metric without treatment."""
        value = float(self.moments.mean[0])
        return _over(value, float(self.moments.mean[1])) if self.kind == "ratio" else value

    def expected(self, effect: float, control: int, treatment: int) -> Expected:
        """Return what arms of so many units would show."""
        return _expected(self.kind, (self.moments, self._treated(effect)), (control, treatment), self.cuped)

    def _treated(self, effect: float) -> Moments:
        factor = np.ones(len(self.moments.mean))
        factor[0] += effect
        cross = self.moments.cross * (1.0 if self.shifts else np.outer(factor, factor))
        share = float(self.moments.mean[0]) * (1 + effect)
        if self.kind == "proportion":
            if not 0 <= share <= 1:
                raise ExperimentError(
                    f"A proportion of {float(self.moments.mean[0]):g} cannot change by {effect:+.0%}."
                )
            # Ones come at random among the zeros, or go among the ones: what they share with a covariate thins out.
            before = float(self.moments.mean[0])
            kept = min(1 + effect, (1 - share) / max(1 - before, 1e-12))
            cross[0, 1:] = cross[1:, 0] = self.moments.cross[0, 1:] * kept
            cross[0, 0] = self.moments.units * share * (1 - share)
        return Moments(self.moments.units, self.moments.mean * factor, cross)


@dataclass(frozen=True, eq=False)
class ValuesHistory:
    """Values of past units are known, so that winsorising is planned on their real distribution.

    An effect multiplies every value; the cap over both arms then takes a part of it away again, which moments alone
    cannot tell.

    Attributes:
        kind: "mean" or "ratio".
        columns: as in ``compare``, each of shape (units,).
        quantile: of the pooled cap of the first column.
        cuped: whether the covariate will be used.
    """

    kind: Kind
    columns: tuple[Floats, ...]
    quantile: float
    cuped: bool = False
    _known: dict[tuple[float, float], tuple[Moments, Moments]] = field(default_factory=dict, repr=False)

    @property
    def baseline(self) -> float:
        """Value of the metric without treatment, winsorised."""
        capped = np.minimum(self.columns[0], pooled_cap([self.columns[0]], self.quantile))
        value = float(capped.mean())
        return _over(value, float(self.columns[1].mean())) if self.kind == "ratio" else value

    def expected(self, effect: float, control: int, treatment: int) -> Expected:
        """Return what arms of so many units would show."""
        if self.kind == "proportion":
            raise ExperimentError("A proportion is not winsorised; plan it from its moments.")
        key = (effect, round(treatment / (control + treatment), 3))
        if key not in self._known:
            self._known[key] = self._arms(*key)
        return _expected(self.kind, self._known[key], (control, treatment), self.cuped)

    def _arms(self, effect: float, share: float) -> tuple[Moments, Moments]:
        old, new = self.columns[0], self.columns[0] * (1 + effect)
        cap = pooled_cap([old, new], self.quantile, None if share == 0.5 else [1 - share, share])
        before, after = (Moments.of(np.minimum(values, cap), *self.columns[1:]) for values in (old, new))
        return before, after


@dataclass(frozen=True, eq=False)
class QuantileHistory:
    """A quantile of the values of past units; an effect multiplies every value.

    Attributes:
        values: of past units, with their counts.
        q: which quantile.
    """

    values: Values
    q: float

    @property
    def baseline(self) -> float:
        """Value of the metric without treatment."""
        return self.values.quantile(self.q)

    def expected(self, effect: float, control: int, treatment: int) -> Expected:
        """Return what arms of so many units would show."""
        error = math.hypot(
            self.values.standard_error(self.q, control),
            (1 + effect) * self.values.standard_error(self.q, treatment),
        )
        if error == 0:
            raise ExperimentError(
                f"The {self.q:g} quantile of the past does not vary; plan another quantile."
            )
        return Expected(effect * self.baseline, error, error, math.inf)


def _over(value: float, below: float) -> float:
    if below <= 0:
        raise ExperimentError(
            f"The denominator has a mean of {below:g} in the past; a ratio needs one above 0."
        )
    return value / below


def _expected(kind: Kind, past: tuple[Moments, Moments], units: tuple[int, int], cuped: bool) -> Expected:
    arms = [moments.scaled(count) for moments, count in zip(past, units, strict=True)]
    found = compare("mean" if kind == "proportion" else kind, *arms, alpha=0.05, cuped=cuped)
    if found is None:
        raise ExperimentError("The denominator is not above 0 in the past; a ratio needs one that is.")
    if found.variance <= 0:
        raise ExperimentError("The past shows no spread of the metric; give units that differ.")
    error = tested = math.sqrt(found.variance)
    if kind == "proportion" and not cuped:
        pooled = float(np.average([moments.mean[0] for moments in arms], weights=units))
        tested = math.sqrt(pooled * (1 - pooled) * (1 / units[0] + 1 / units[1]))
    return Expected(found.difference, error, tested, found.degrees)
