"""When a design may look, and how far from 0 a difference has to be on that day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import cast

from recsys.experiments.definition import Experiment
from recsys.experiments.statistics import (
    Spending,
    accrued_information,
    always_valid_critical,
    group_sequential,
)

PLANNED_DAYS = 28
"""What an always-valid design without an end is planned for: its interval is narrowest around that day."""
POWER_FAMILY = 2.0


def last_day(experiment: Experiment) -> date | None:
    """The day on which the experiment is over: its last look, or its end."""
    return experiment.looks[-1] if experiment.looks else experiment.end


def is_over(experiment: Experiment, day: date) -> bool:
    """Whether ``day`` is the last one, or after it."""
    last = last_day(experiment)
    return last is not None and day >= last


def decides_on(experiment: Experiment, day: date) -> bool:
    """Whether the design looks at the primary metric on ``day``: its looks, or any day of an always-valid one."""
    return experiment.design.kind == "always_valid" or day in experiment.looks


def elapsed(experiment: Experiment, day: date) -> float:
    """Share of the planned information there is at the end of ``day``: days since the start, weighed by the ramp.

    A unit's total grows by the day, and what the days bring is nearly independent, so the evidence grows with the days
    and not with the units, of whom most come early. May pass 1; 0 before the start.
    """
    last = last_day(experiment) or experiment.start + timedelta(days=PLANNED_DAYS - 1)
    return _days(experiment, day) / max(_days(experiment, last), 1e-9)


def _days(experiment: Experiment, until: date) -> float:
    days = (until - experiment.start).days + 1
    return sum(experiment.share_on(experiment.start + timedelta(days=n)) for n in range(days))


def critical(
    experiment: Experiment, day: date, *, guards: bool, tests: int = 1, order: float = 2.0
) -> float | None:
    """Bound of |Z| at the end of ``day``; None where the design does not look on it.

    Only a group-sequential design has days of its own, and bounds that hold over these; every other interval that is
    looked at daily is always-valid: of a fixed design too, for who looks before its end, and of guardrails, which may
    stop an experiment on any day.

    Args:
        experiment: whose design and alpha count.
        day: the data day.
        guards: whether the metric is a guardrail.
        tests: arms that are held against the control, which share alpha (Bonferroni).
        order: of ``accrued_information``: 3 for what most units add to on every day, 2 for what few do.
    """
    alpha, design = experiment.alpha / tests, experiment.design
    if design.kind == "group_sequential" and not guards:
        if day not in experiment.looks:
            return None
        fractions = [elapsed(experiment, look) for look in experiment.looks if look <= day]
        bounds = group_sequential(
            fractions,
            alpha=alpha,
            spending=cast(Spending, design.spending),
            rho=design.rho or POWER_FAMILY,
            information=accrued_information(fractions, order),
        )
        return bounds.critical[-1]
    rho = design.rho if design.kind == "always_valid" else None
    fraction = elapsed(experiment, day)
    return always_valid_critical(fraction, alpha=alpha, rho=rho) if fraction > 0 else None
