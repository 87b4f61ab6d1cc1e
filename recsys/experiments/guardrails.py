"""What decides on a metric of an arm, and whether a guardrail holds; from rows of ``experiments.results``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from recsys.experiments.definition import Experiment

BREACHED, HOLDS, OPEN = "breached", "holds", "open"


@dataclass(frozen=True)
class Guard:
    """A guardrail of one arm, what is told of it, and its state: BREACHED, HOLDS or OPEN. ``arm`` is "" for none."""

    metric: str
    label: str
    arm: str
    state: str
    told: str


def decisive(row: Mapping[Any, Any], *, fixed: bool) -> tuple[float, float, float] | None:
    """Difference, low and high that a design decides on, from a row of ``experiments.results``; None without them.

    A fixed design decides on its interval, adjusted by the covariate where one is declared; a sequential one on its
    bounds, which are those of the adjusted estimate then.
    """
    value = row["difference"] if pd.isna(row["cuped_difference"]) else row["cuped_difference"]
    if not fixed:
        found = (value, row["bound_low"], row["bound_high"])
    elif pd.isna(row["cuped_low"]):
        found = (value, row["difference_low"], row["difference_high"])
    else:
        found = (value, row["cuped_low"], row["cuped_high"])
    return (
        None if any(pd.isna(part) for part in found) else (float(found[0]), float(found[1]), float(found[2]))
    )


def is_shown(row: Mapping[Any, Any], *, fixed: bool, alpha: float) -> bool:
    """Whether a difference may be called shown for the number of arms and metrics that were tested with it.

    Bounds of a sequential design are made for its arms; the interval of a fixed one is not, so there the adjusted
    p-value decides with it.
    """
    return not fixed or bool((row["p_value"] if pd.isna(row["p_adjusted"]) else row["p_adjusted"]) <= alpha)


@dataclass(frozen=True)
class Gain:
    """A difference to the control and its interval, counted in the direction that is better."""

    value: float
    low: float
    high: float
    is_shown: bool

    @property
    def wins(self) -> bool:
        """Whether the arm is shown to be better."""
        return self.is_shown and self.low > 0

    @property
    def loses(self) -> bool:
        """Whether the arm is shown to be worse."""
        return self.is_shown and self.high < 0


def gain_of(row: Mapping[Any, Any], *, fixed: bool, alpha: float) -> Gain | None:
    """What the design decides on of a row of ``experiments.results``; None where ``decisive`` has nothing."""
    interval = decisive(row, fixed=fixed)
    if interval is None:
        return None
    sign = 1 if row["direction"] == "up" else -1
    value, *ends = (sign * number for number in interval)
    return Gain(value, min(ends), max(ends), is_shown(row, fixed=fixed, alpha=alpha))


def guardrails(experiment: Experiment, rows: pd.DataFrame, arm: str | None = None) -> list[Guard]:
    """Every guardrail of every arm (of ``arm`` only). One that was not measured is OPEN.

    Args:
        experiment: its margins are relative to the control's mean.
        rows: the rows of ``experiments.results`` that decide: scope cumulative, segment all.
        arm: name of an arm.
    """
    if not experiment.guardrails:
        return []
    chosen = rows[rows["metric"].isin(list(experiment.guardrails)) & (rows["arm"] != experiment.control)]
    chosen = chosen if arm is None else chosen[chosen["arm"] == arm]
    means = rows[rows["arm"] == experiment.control].set_index("metric")["mean"]
    fixed = experiment.design.kind == "fixed"
    found = []
    for row in chosen.to_dict("records"):
        margin = experiment.guardrails[row["metric"]] * abs(means.get(row["metric"], math.nan))
        told = f"{row['label']} of {row['arm']} {row['difference']:+.4g} (may lose {margin:.4g})"
        state = guardrail_state(row, margin, fixed=fixed)
        found.append(Guard(row["metric"], row["label"], row["arm"], state, told))
    seen = set(chosen["metric"])
    absent = [name for name in experiment.guardrails if name not in seen]
    return found + [Guard(name, name, arm or "", OPEN, f"{name} is not measured") for name in absent]


def guardrail_state(row: Mapping[Any, Any], margin: float, *, fixed: bool) -> str:
    """Whether a guardrail is BREACHED, HOLDS or is OPEN, from one row of ``experiments.results``.

    Breached: its confidence sequence, which is valid on every day, lies wholly beyond the margin. Holds: the interval
    that the design decides on excludes a loss of the margin. ``margin`` is absolute, in units of the metric.
    """
    sign = 1 if row["direction"] == "up" else -1
    sequence, interval = decisive(row, fixed=False), decisive(row, fixed=fixed)
    if sequence is not None and max(sign * sequence[1], sign * sequence[2]) < -margin:
        return BREACHED
    holds = interval is not None and min(sign * interval[1], sign * interval[2]) > -margin
    return HOLDS if holds else OPEN
