"""Compare every arm with the control on every metric asked, and hold the units against the planned shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from recsys.errors import ExperimentError
from recsys.experiments.analysis.arms import control_of, weights_of
from recsys.experiments.analysis.asked import Asked
from recsys.experiments.analysis.by_use import UseResult, by_use, who_used
from recsys.experiments.analysis.rows import compare_rows
from recsys.experiments.analysis.units import Floats, Repeats, gather
from recsys.experiments.analysis.values import Values, values
from recsys.experiments.statistics.srm import SRM_ALPHA, sample_ratio_p_value

Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Result:
    """One metric of one arm against the control; what cannot be estimated is None.

    ``n`` counts the arm's units that have the metric, ``mean`` is the arm's own value (a ratio, a quantile), intervals
    are two-sided at 1 - alpha.
    """

    metric: str
    arm: str
    control: str
    n: int
    mean: float | None
    difference: float | None
    difference_ci: Ends
    relative: float | None
    relative_ci: Ends
    p_value: float | None
    method: str


@dataclass(frozen=True)
class Analysis:
    """All that was found. ``blocked``: no result may be believed, and ``reasons`` tells why.

    ``alarms`` are those of the ``notes`` that block. ``by_use`` is None where no column said who used what an arm was
    offered.
    """

    control: str
    alpha: float
    counts: Mapping[str, int]
    srm_p_value: float | None
    results: tuple[Result, ...]
    notes: tuple[str, ...]
    by_use: tuple[UseResult, ...] | None = None
    alarms: tuple[str, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether the sample ratio (p < 0.001) or units in two arms forbid to believe any result."""
        return bool(self.reasons)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why no result may be believed; empty where they may."""
        p = self.srm_p_value
        if p is None or p >= SRM_ALPHA:
            return self.alarms
        return (f"the arms do not have their shares of the units (p = {p:.3g})", *self.alarms)

    def record(self) -> dict[str, object]:
        """Return what ``--json`` writes; None for a number that does not exist."""
        record: dict[str, object] = {
            "srm": {"p_value": self.srm_p_value, "blocked": self.blocked, "reasons": list(self.reasons)},
            "results": [asdict(result) for result in self.results],
            "notes": list(self.notes),
        }
        if self.by_use is not None:
            record["by_use"] = [asdict(result) for result in self.by_use]
        return record


def analyse(
    frame: pd.DataFrame,
    unit: str,
    arm: str,
    metrics: Sequence[Asked],
    *,
    covariate: tuple[str, ...] = (),
    control: str | None = None,
    weights: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    winsorise: float | None = None,
    repeats: Repeats = "auto",
    seed: int = 0,
    used: str | None = None,
) -> Analysis:
    """Compare the arms of ``frame`` on ``metrics``.

    Args:
        frame: any table; ``unit`` and ``arm`` name its columns. See ``units.gather`` for repeated units.
        metrics: what to compare, see ``asked.parse_metric``.
        covariate: a column known before the experiment (two for a ratio), used to reduce the variance (CUPED).
        control: the arm that the others are held against; without it one that is called so, see ``arms.CONTROLS``,
            else the first by name.
        weights: planned share of each arm, of any sum; equal by default.
        alpha: error rate of the two-sided intervals.
        winsorise: quantile over all arms above which a value counts as that quantile.
        repeats: what to do with a unit of several rows.
        seed: of the bootstrap of quantiles; every comparison starts from it, whatever else is asked.
        used: a column of 1 for units that used what their arm was offered: what using it did is told beside.

    Raises:
        ExperimentError: names what cannot be compared, and the remedy.
    """
    _check(alpha, winsorise)
    units = gather(frame, unit, arm, repeats)
    against = control_of(units.arms, control)
    shares = weights_of(units.arms, weights or dict.fromkeys(units.arms, 1.0))
    counts = dict.fromkeys(shares, 0) | units.counts()
    taken = [values(units, metric, covariate, winsorise) for metric in metrics]
    pairs = [
        (metric, (name, against), (place, units.arms.index(against)))
        for metric in taken
        for place, name in enumerate(units.arms)
        if name != against
    ]
    results = [_result(*pair, alpha, np.random.default_rng(seed)) for pair in pairs]
    users, use_notes = (None, ()) if used is None else who_used(units, used)
    return Analysis(
        against,
        alpha,
        counts,
        sample_ratio_p_value(counts, shares),
        tuple(results),
        (*units.notes, *(note for metric in taken for note in metric.notes), *_unlike(pairs), *use_notes),
        None if users is None else by_use(pairs, users, alpha),
        units.alarms,
    )


def _check(alpha: float, winsorise: float | None) -> None:
    if not 0 < alpha < 1:
        raise ExperimentError(f"alpha is {alpha:g}; it has to lie between 0 and 1, usually 0.05.")
    if winsorise is not None and not 0 < winsorise <= 1:
        raise ExperimentError(
            f"The winsorisation quantile is {winsorise:g}; it has to lie in 0..1, usually 0.99 or above."
        )


def _result(
    metric: Values, names: tuple[str, str], places: tuple[int, int], alpha: float, rng: np.random.Generator
) -> Result:
    """Compare an arm with the control; both by name and by place."""
    theirs, ours = (metric.of(place) for place in places)
    found = compare_rows(
        metric.kind, ours, theirs, alpha=alpha, cuped=metric.cuped, quantile=metric.quantile, rng=rng
    )
    if found is None:
        return _without_interval(metric, names, ours, theirs)
    return Result(
        metric.name,
        *names,
        found.n,
        _finite(found.mean),
        _finite(found.difference),
        (_finite(found.low), _finite(found.high)),
        _finite(found.relative),
        (_finite(found.relative_low), _finite(found.relative_high)),
        _finite(found.p_value),
        found.method,
    )


def _unlike(pairs: Sequence[tuple[Values, tuple[str, str], tuple[int, int]]]) -> list[str]:
    """Where arms differ in the covariate by more than chance: chance drew the arms, so it is not of the time before."""
    notes = []
    for metric, names, places in pairs:
        if not metric.cuped:
            continue
        before = metric.covariate
        theirs, ours = (before.of(place) for place in places)
        found = compare_rows(before.kind, ours, theirs, alpha=SRM_ALPHA)
        if found is not None and found.p_value < SRM_ALPHA:
            notes.append(
                f"{metric.name}: the covariate is {found.mean:.4g} in {names[0]} and {before.value(ours):.4g} in "
                f"{names[1]} (p {found.p_value:.1g}), and should be alike. Either it is not of the time before, or the "
                "arms were not drawn by chance; do not believe what is adjusted by it"
            )
    return notes


def _without_interval(metric: Values, names: tuple[str, str], ours: Floats, theirs: Floats) -> Result:
    """Tell what is known of arms whose spread is not: their values, without the covariate."""
    reason = _reason(metric, ours, theirs)
    old, new = (_finite(metric.value(rows)) for rows in (ours, theirs))
    difference = None if old is None or new is None else new - old
    relative = None if difference is None or not old else difference / old
    nothing: Ends = (None, None)
    return Result(metric.name, *names, len(theirs), new, difference, nothing, relative, nothing, None, reason)


def _reason(metric: Values, ours: Floats, theirs: Floats) -> str:
    if min(len(theirs), len(ours)) < 2:
        return "too few units"
    if metric.kind == "quantile":
        return f"too few units for the {metric.quantile:.10g} quantile"
    empty = any(metric.value(rows) is None for rows in (ours, theirs))
    return "empty denominator" if empty else "negative denominator"


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
