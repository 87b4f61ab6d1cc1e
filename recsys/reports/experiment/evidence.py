"""What the tables hold of one experiment up to a day: frames in, frozen values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from recsys.experiments.definition import Experiment
from recsys.experiments.guardrails import decisive, guardrail_state, is_shown

ALL = "all"
CUMULATIVE = "cumulative"
BETTER, WORSE, UNCLEAR, INVALID = "better", "worse", "unclear", "invalid"
ALPHA = 0.05
"""Error rate where the definition is gone."""


@dataclass(frozen=True)
class Evidence:
    """What a read-out is made from.

    Attributes:
        experiment_id: as in the tables.
        definition: None where the file of the experiment is gone.
        day: the last data day that counts; every frame ends there. The state of the experiment is that of its end.
        results: rows of ``experiments.results`` of this experiment, scope cumulative, of all days up to ``day``.
        checks: rows of ``experiments.checks`` of the last day with results.
        decisions: rows of ``experiments.decisions`` up to ``day``.
        currency: printed beside money.
        money: names of the metrics that are money.
        days: data days that have a read-out, for a reader who wants an earlier one.
    """

    experiment_id: str
    definition: Experiment | None
    day: date
    results: pd.DataFrame
    checks: pd.DataFrame
    decisions: pd.DataFrame
    currency: str
    money: frozenset[str] = frozenset({"rpu"})
    days: tuple[date, ...] = ()


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Use:
    """What using an offer did, of units that used it because it was offered; ``low`` and ``high`` are None where the
    interval has no such end. ``naive`` compares those who used it with those who did not, and is no effect."""

    used: float
    used_control: float
    strength: float | None
    effect: float | None
    low: float | None
    high: float | None
    naive: Interval | None


@dataclass(frozen=True)
class Lift:
    """One metric of one arm on one day, beside the control: a row of ``experiments.results``.

    ``difference`` and what follows is None for the control; ``cuped`` is the difference adjusted by what was known of
    the units before, None where no covariate is declared. ``relative`` and ``bound`` follow the adjusted one. ``bound``
    is the interval that holds however often one looks, ``decisive`` the one that the design decides on; ``is_shown``
    tells whether it may decide for the number of arms and metrics tested. ``guarded`` is "holds", "open" or "breached",
    None where the metric is no guardrail; ``margin`` the relative loss it may have. ``use`` is None where nothing is
    known of who used an offer.
    """

    day: date
    metric: str
    label: str
    kind: str
    role: str
    direction: str
    segment: str
    segment_value: str
    arm: str
    policy: str | None
    control: str
    users: int
    mean: Interval | None
    control_mean: float | None
    difference: Interval | None
    relative: Interval | None
    bound: Interval | None
    cuped: Interval | None
    p_value: float | None
    p_adjusted: float | None
    variance_reduction: float | None
    probability_best: float | None
    expected_loss: float | None
    cap: float | None
    method: str | None
    is_valid: bool
    decisive: Interval | None
    is_shown: bool
    margin: float | None
    guarded: str | None
    use: Use | None = None

    @property
    def is_control(self) -> bool:
        """Whether the row is of the control itself."""
        return self.arm == self.control

    @property
    def effect(self) -> Interval | None:
        """The difference that counts: the adjusted one where a covariate is declared."""
        return self.cuped or self.difference

    @property
    def says(self) -> str:
        """BETTER, WORSE, UNCLEAR or INVALID: where the decisive interval lies, seen from what the metric is for.

        It says no more than the rules: of a fixed design the p-value adjusted over the arms has to be small as well.
        """
        if not self.is_valid:
            return INVALID
        interval = self.decisive
        if interval is None or not self.is_shown or interval.low <= 0 <= interval.high:
            return UNCLEAR
        return BETTER if (interval.low > 0) == (self.direction != "down") else WORSE


def lifts(results: pd.DataFrame, definition: Experiment | None) -> list[Lift]:
    """Rows of ``experiments.results`` as values, by day, in the order of the table; each knows the control's mean.

    The definition says which interval decides and what a guardrail may lose; without it, as under a fixed horizon.
    """
    rows = [{str(name): value for name, value in row.items()} for row in results.to_dict("records")]
    rows.sort(key=lambda row: pd.Timestamp(row["ds"]))
    means = {_place(row): number(row["mean"]) for row in rows if row["arm"] == row["control"]}
    return [_lift(row, means.get(_place(row)), definition) for row in rows]


def number(value: object) -> float | None:
    """Return a float, or None for what is missing or not finite."""
    if value is None or pd.isna(value):
        return None
    found = float(value)  # type: ignore[arg-type]
    return found if abs(found) != float("inf") else None


def text(value: object) -> str | None:
    """Return a text, or None for what is missing or empty."""
    return None if value is None or pd.isna(value) or not str(value) else str(value)


def _place(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("ds", "metric", "segment", "segment_value"))


def _interval(row: Mapping[str, Any], value: str, low: str, high: str) -> Interval | None:
    ends = number(row[value]), number(row[low]), number(row[high])
    return None if None in ends else Interval(*ends)  # type: ignore[arg-type]


def _lift(row: Mapping[str, Any], control_mean: float | None, definition: Experiment | None) -> Lift:
    numbers = ("p_value", "p_adjusted", "variance_reduction", "probability_best", "expected_loss", "cap")
    difference = _interval(row, "difference", "difference_low", "difference_high")
    cuped = _interval(row, "cuped_difference", "cuped_low", "cuped_high")
    fixed = definition is None or definition.design.kind == "fixed"
    margin = definition.guardrails.get(str(row["metric"])) if definition else None
    deciding = decisive(row, fixed=fixed)
    guarded = None
    if margin is not None and difference is not None:
        guarded = guardrail_state(row, margin * abs(control_mean or 0.0), fixed=fixed)
    return Lift(
        day=pd.Timestamp(row["ds"]).date(),
        metric=str(row["metric"]),
        label=str(row["label"]),
        kind=str(row["kind"]),
        role=str(row["role"]),
        direction=str(row["direction"]),
        segment=str(row["segment"]),
        segment_value=str(row["segment_value"]),
        arm=str(row["arm"]),
        policy=text(row["policy"]),
        control=str(row["control"]),
        users=int(row["users"]),
        mean=_interval(row, "mean", "mean_low", "mean_high"),
        control_mean=control_mean,
        difference=difference,
        relative=_interval(row, "relative", "relative_low", "relative_high"),
        bound=_interval(row, "cuped_difference" if cuped else "difference", "bound_low", "bound_high"),
        cuped=cuped,
        **{name: number(row[name]) for name in numbers},
        method=text(row["method"]),
        is_valid=bool(row["is_valid"]),
        decisive=Interval(*deciding) if deciding else None,
        is_shown=is_shown(row, fixed=fixed, alpha=definition.alpha if definition else ALPHA),
        margin=margin,
        guarded=guarded,
        use=_use(row),
    )


def _use(row: Mapping[str, Any]) -> Use | None:
    used, used_control = number(row["used"]), number(row["used_control"])
    if used is None or used_control is None:
        return None
    strength, effect, low, high = (
        number(row[name]) for name in ("use_strength", "use_effect", "use_low", "use_high")
    )
    naive = _interval(row, "naive_difference", "naive_low", "naive_high")
    return Use(used, used_control, strength, effect, low, high, naive)
