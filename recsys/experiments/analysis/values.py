"""The numbers of one metric, one row per unit, in the order that the statistics ask for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from recsys.errors import ExperimentError
from recsys.experiments.analysis.asked import Asked
from recsys.experiments.analysis.units import Floats, Units
from recsys.experiments.statistics.quantile import Values as Counted
from recsys.experiments.statistics.winsorise import pooled_cap

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Values:
    """A metric's numbers of the units that have them.

    ``columns`` has shape (n, k): the value, or numerator and denominator of a ratio; then the covariate in the same
    form where ``cuped``. ``arm`` has shape (n,), and so has ``unit``, the numbers of the units where they are known.
    """

    name: str
    kind: str
    columns: Floats
    arm: npt.NDArray[np.int64]
    cuped: bool
    quantile: float | None
    notes: tuple[str, ...]
    unit: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def of(self, arm: int) -> Floats:
        """Rows of one arm."""
        return self.columns[self.arm == arm]

    @property
    def covariate(self) -> Values:
        """The covariate as a metric of its own: what units did before; for a metric that has one."""
        kind, own = ("ratio", 2) if self.kind == "ratio" else ("mean", 1)
        return replace(self, kind=kind, columns=self.columns[:, own:], cuped=False)

    def value(self, rows: Floats) -> float | None:
        """Mean, ratio or quantile of some rows, shape (n, k); None without a row or with an empty denominator."""
        if not len(rows):
            return None
        if self.kind == "quantile":
            return float(np.quantile(rows[:, 0], self.quantile or 0.5))
        over = float(rows[:, 1].sum()) if self.kind == "ratio" else float(len(rows))
        return float(rows[:, 0].sum()) / over if over else None


def values(units: Units, asked: Asked, covariate: tuple[str, ...], winsorise: float | None) -> Values:
    """Take one metric out of the table.

    Units where it is missing are left out of it, with a note. A missing covariate counts as the mean over all arms,
    so that the unit is kept and moves nothing. Values above the quantile ``winsorise`` of all arms together are
    counted as that quantile, for a mean and for the numerator of a ratio.

    Raises:
        ExperimentError: a column holds text, or a proportion holds something other than 0 and 1.
    """
    raw = units.raw(asked.numerator)
    kind = asked.kind or ("proportion" if _is_binary(raw) else "mean")
    other = raw[~np.isnan(raw) & (raw != 0) & (raw != 1)]
    if kind == "proportion" and len(other):
        raise ExperimentError(
            f"Metric {asked.name} is asked for as a proportion, but column {asked.numerator} holds {other[0]:g}; a "
            "proportion holds 0 and 1 only. Ask for a mean, or correct the column."
        )
    if asked.denominator is not None:
        below = units.raw(asked.denominator)
        raw, below = (np.where(np.isnan(raw) | np.isnan(below), np.nan, part) for part in (raw, below))
    columns = [units.highest(raw) if kind == "proportion" else units.total(raw)]
    columns += [units.total(below)] if asked.denominator is not None else []
    there: Flags = ~np.logical_or.reduce([np.isnan(column) for column in columns])
    columns = [column[there] for column in columns]
    notes = _missing_note(units, asked.name, there)
    if winsorise is not None and kind in {"mean", "ratio"} and there.any():
        cap = pooled_cap([columns[0]], winsorise)
        notes += [f"{asked.name}: {np.sum(columns[0] > cap):,} values above {cap:g} count as {cap:g}"]
        columns[0] = np.minimum(columns[0], cap)
    if kind == "quantile" and _is_lumpy(columns[0], units.arm[there], asked.quantile or 0.5):
        notes += [
            f"{asked.name}: few different values lie about the {asked.quantile or 0.5:.10g} quantile, like whole hours "
            "or pieces, so it jumps from one to the next: the interval is wide and the p-value large. Give finer "
            "values, or compare the mean or the share above a limit"
        ]
    cuped = bool(covariate) and kind != "quantile"
    if covariate and not cuped:
        notes += [f"{asked.name}: a quantile is compared without the covariate"]
    if cuped:
        _refuse_itself(asked, covariate)
        columns += _covariate(units, covariate, kind, there, winsorise)
    return Values(
        asked.name,
        kind,
        np.column_stack(columns),
        units.arm[there],
        cuped,
        asked.quantile,
        tuple(notes),
        np.flatnonzero(there),
    )


def _is_lumpy(column: Floats, arm: npt.NDArray[np.int64], quantile: float) -> bool:
    arms = (Counted.of(column[arm == place]) for place in np.unique(arm))
    return any(values.can_tell(quantile) and values.is_lumpy(quantile) for values in arms)


def _is_binary(raw: Floats) -> bool:
    present = raw[~np.isnan(raw)]
    return len(present) > 0 and bool(np.isin(present, (0.0, 1.0)).all())


def _missing_note(units: Units, name: str, there: Flags) -> list[str]:
    absent = units.arm[~there]
    if not len(absent):
        return []
    shares = np.bincount(absent, minlength=len(units.arms)) / np.maximum(
        np.bincount(units.arm, minlength=len(units.arms)), 1
    )
    told = ", ".join(f"{arm} {share:.2%}" for arm, share in zip(units.arms, shares, strict=True))
    return [f"{name}: {len(absent):,} unit{'s' if len(absent) > 1 else ''} without a value left out ({told})"]


def _refuse_itself(asked: Asked, covariate: tuple[str, ...]) -> None:
    own = {asked.numerator, asked.denominator} & set(covariate)
    if own:
        raise ExperimentError(
            f"The covariate {min(own, key=str)} is part of the metric {asked.name}, and would take its effect away. "
            "Name a column of the time before the experiment."
        )


def _covariate(
    units: Units, names: tuple[str, ...], kind: str, there: Flags, winsorise: float | None
) -> list[Floats]:
    columns = []
    for place, name in enumerate(names):
        column = units.trait(units.raw(name))[there]
        present = ~np.isnan(column)
        if not present.any():
            raise ExperimentError(f"The covariate {name} has no value at all. Leave it out, or name another.")
        if winsorise is not None and place == 0:
            column = np.minimum(column, pooled_cap([column[present]], winsorise))
        columns.append(np.where(present, column, column[present].mean()))
    if kind == "ratio" and len(columns) == 1:
        columns.append(np.ones(len(columns[0])))
    if kind != "ratio" and len(columns) == 2:
        raise ExperimentError(
            f"The covariate {'/'.join(names)} is a ratio, which a {kind} cannot take; name one column."
        )
    return columns
