"""Play experiments whose truth is known, and count how often their statistics are right.

An A/A draws both arms from the same units: every rejection is an error. An A/B gives the treatment a known lift: every
interval should hold it, and it should be found as often as the power promised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.analysis.rows import compare_rows
from recsys.experiments.statistics.compare import Comparison
from recsys.experiments.statistics.winsorise import pooled_cap

Floats = npt.NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], Floats]
"""(units, rng) -> the rows of so many units, shape (units, k), columns as ``statistics.compare`` takes them."""
Compare = Callable[[Floats, Floats], Comparison | None]
"""(rows of control, rows of treatment) -> their comparison."""
SHARE_UNITS = 200_000
"""Units drawn once to learn the true share of a proportion, good to 0.1 points."""


@dataclass(frozen=True)
class Setting:
    """One kind of experiment to play. ``units`` are those of control and treatment; ``effect`` is a relative lift."""

    kind: str
    units: tuple[int, int]
    effect: float = 0.0
    alpha: float = 0.05
    cuped: bool = False
    winsorise: float | None = None
    quantile: float | None = None


@dataclass(frozen=True)
class Played:
    """What every run found, each array of shape (runs,). A run without an estimate is left out."""

    setting: Setting
    p_values: Floats
    differences: Floats
    lows: Floats
    highs: Floats
    relative_lows: Floats
    relative_highs: Floats

    @property
    def runs(self) -> int:
        """Runs that gave an estimate."""
        return len(self.p_values)

    @property
    def rejected(self) -> float:
        """Share of the runs with p below alpha: the error rate of an A/A, the power of an A/B."""
        return float((self.p_values < self.setting.alpha).mean())

    @property
    def ks_p_value(self) -> float:
        """Kolmogorov-Smirnov test of the p-values against the uniform; only an A/A should pass it."""
        return float(stats.kstest(self.p_values, "uniform").pvalue)

    @property
    def width(self) -> float:
        """Mean width of the interval of the difference."""
        return float((self.highs - self.lows).mean())

    def coverage(self, truth: float) -> float:
        """Share of the runs whose interval holds the true difference."""
        return float(((self.lows <= truth) & (truth <= self.highs)).mean())

    def relative_coverage(self, truth: float) -> float:
        """Share of the runs whose interval of the relative lift holds the true one; an unbounded one does."""
        return float((~(truth < self.relative_lows) & ~(truth > self.relative_highs)).mean())

    def monte_carlo_error(self, share: float) -> float:
        """Standard error of a share counted over the runs, if the true one is ``share``."""
        return math.sqrt(share * (1 - share) / self.runs)


def resample(rows: Floats) -> Draw:
    """Draw units with replacement from those of a table, shape (n, k).

    Raises:
        ExperimentError: there are fewer than two units to draw from.
    """
    if len(rows) < 2:
        raise ExperimentError(
            f"{len(rows)} units cannot be drawn from; give a table with more that have the metric."
        )
    return lambda units, rng: rows[rng.integers(0, len(rows), units)]


def play(draw: Draw, setting: Setting, runs: int, rng: np.random.Generator) -> Played:
    """Play ``runs`` experiments.

    Raises:
        ExperimentError: no run gave an estimate.
    """
    found = []
    share = float(draw(SHARE_UNITS, rng)[:, 0].mean()) if setting.kind == "proportion" else 0.0
    for _ in range(runs):
        control = draw(setting.units[0], rng)
        treatment = lifted(draw(setting.units[1], rng), setting.kind, setting.effect, share, rng)
        one = compare_rows(
            setting.kind,
            control,
            treatment,
            alpha=setting.alpha,
            cuped=setting.cuped,
            winsorise=setting.winsorise,
            quantile=setting.quantile,
            rng=rng,
        )
        if one is not None:
            found.append(
                (one.p_value, one.difference, one.low, one.high, one.relative_low, one.relative_high)
            )
    if not found:
        raise ExperimentError(
            f"None of {runs} runs of {sum(setting.units)} units gave an estimate; play more units."
        )
    return Played(setting, *np.array(found, dtype=np.float64).T)


def lift_as_tested(rows: Floats, setting: Setting) -> float:
    """Relative lift of the metric as it is tested, over all units that could be drawn, shape (n, k).

    It is the lift that is given, but of a winsorised metric: the cap over both arms takes a part of it away again.

    Raises:
        ExperimentError: winsorised, the metric is 0.

    Example:
        >>> rows = np.array([[1.0], [1.0], [1.0], [1.0], [100.0]])
        >>> round(lift_as_tested(rows, Setting("mean", (50, 50), 0.5, winsorise=0.8)), 3)
        0.364
    """
    if not setting.effect or setting.winsorise is None or setting.kind not in {"mean", "ratio"}:
        return setting.effect
    old, new = rows[:, 0], rows[:, 0] * (1 + setting.effect)
    cap = pooled_cap([old, new], setting.winsorise, setting.units)
    before, after = (float(np.minimum(values, cap).sum()) for values in (old, new))
    if before == 0:
        raise ExperimentError(
            "Its winsorised value is 0, of which no lift is a share; winsorise at a higher quantile, or not at all."
        )
    return after / before - 1


def lifted(rows: Floats, kind: str, effect: float, share: float, rng: np.random.Generator) -> Floats:
    """Give units a relative lift of their metric, in the mean over all that could be drawn.

    Values (of a ratio: numerators) are multiplied by 1 + effect. Of a proportion, whose true ``share`` is given, ones
    are added or taken away at random.

    Raises:
        ExperimentError: a proportion cannot be raised so far, or be lowered below 0.
    """
    if effect == 0:
        return rows
    if kind == "proportion" and not -1 <= effect <= (1 - share) / max(share, 1e-12):
        raise ExperimentError(f"A proportion of {share:.3g} cannot change by {effect:+.3g} of itself.")
    changed = rows.copy()
    if kind != "proportion":
        changed[:, 0] *= 1 + effect
    elif effect < 0:
        changed[:, 0] *= rng.random(len(rows)) >= -effect
    else:
        turned = rng.random(len(rows)) < share * effect / max(1 - share, 1e-12)
        changed[:, 0] = np.maximum(changed[:, 0], turned)
    return changed
