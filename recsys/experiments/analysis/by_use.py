"""What using an offer did to the units that chose to use it, from a column that says who did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from recsys.errors import ExperimentError
from recsys.experiments.analysis.rows import powers_of_two
from recsys.experiments.analysis.units import Floats, Units
from recsys.experiments.analysis.values import Values
from recsys.experiments.statistics.instrument import Bounded, EffectOfUse, effect_of_use
from recsys.experiments.statistics.moments import Moments

Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class UseResult:
    """One metric of one arm that was offered something, by use; fields as in ``statistics.EffectOfUse``.

    ``effect`` is that of use on the units that used it because it was offered. ``naive`` compares those who used it
    with those who did not, and is no effect.
    """

    metric: str
    arm: str
    control: str
    used: float
    used_control: float
    strength: float
    weak: bool
    effect: float | None
    effect_ci: Ends
    relative: float | None
    relative_ci: Ends
    naive: float | None
    naive_ci: Ends
    p_value: float


def who_used(units: Units, column: str) -> tuple[Floats, tuple[str, ...]]:
    """1 for each unit that used the offer, else 0, shape (n,), and notes; a unit used it where any of its rows did.

    Raises:
        ExperimentError: the column holds something other than 0 and 1.
    """
    raw = units.raw(column)
    other = raw[~np.isnan(raw) & (raw != 0) & (raw != 1)]
    if len(other):
        raise ExperimentError(
            f"Column {column} says who used the offer and holds {other[0]:g}; write 1 for used and 0 for not."
        )
    used = units.highest(raw)
    absent = int(np.isnan(used).sum())
    notes = (f"{column}: {absent:,} units without a value count as not used",) if absent else ()
    return np.nan_to_num(used), notes


def by_use(
    pairs: Sequence[tuple[Values, tuple[str, str], tuple[int, int]]], used: Floats, alpha: float
) -> tuple[UseResult, ...]:
    """Effect of use on every metric in every arm; ratios, quantiles and arms with too few units are left out.

    Args:
        pairs: a metric, the names of an arm and of the control, and their places among the arms.
        used: 1 for each unit that used the offer, shape (all units,).
        alpha: error probability.
    """
    found = []
    for metric, names, places in pairs:
        if metric.kind not in {"mean", "proportion"}:
            continue
        kind = cast("Literal['mean', 'proportion']", metric.kind)
        power = powers_of_two(*(metric.of(place) for place in places))
        theirs, ours = (_moments(metric, used, place, power) for place in places)
        effect = effect_of_use(kind, ours, theirs, alpha=alpha, cuped=metric.cuped)
        if effect is not None:
            found.append(_result(metric.name, names, effect, int(power[0])))
    return tuple(found)


def _moments(metric: Values, used: Floats, place: int, power: npt.NDArray[np.int64]) -> Moments:
    rows = np.ldexp(metric.of(place), -power)
    mine = used[metric.unit[metric.arm == place]]
    return Moments.of(rows[:, 0], mine, rows[:, 0] * mine, *rows[:, 1:].T)


def _result(metric: str, names: tuple[str, str], found: EffectOfUse, power: int) -> UseResult:
    return UseResult(
        metric,
        *names,
        found.used,
        found.used_control,
        found.strength,
        found.weak,
        *_ends(found.effect, power),
        *_ends(found.relative),
        *_ends(found.naive, power),
        found.offer.p_value,
    )


def _ends(bounded: Bounded | None, power: int = 0) -> tuple[float | None, Ends]:
    """An estimate and its ends in the units of the metric, which is 2 to ``power`` times what was compared."""
    if bounded is None:
        return None, (None, None)
    value, low, high = (
        None if end is None else float(np.ldexp(end, power))
        for end in (bounded.value, bounded.low, bounded.high)
    )
    return value, (low, high)
