"""What is still to be hoped for of an experiment that runs."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pandas as pd
from scipy import stats

from recsys.experiments.definition import Experiment
from recsys.experiments.guardrails import gain_of
from recsys.experiments.looks import critical, decides_on, elapsed, last_day
from recsys.experiments.statistics.sequential import crossing


def power_left(experiment: Experiment, ds: date, rows: pd.DataFrame) -> float | None:
    """Chance that a coming look shows a gain if the minimum effect is the true one, of the arm that does best.

    From the B-value B(t) = Z sqrt(t) of Lan and Wittes (1988), "The B-value: a tool for monitoring data", on, with the
    drift effect / standard error at the end, it is the probability of crossing the bounds of the looks to come
    (conditional power). The information fraction t is ``looks.elapsed``; a fixed design has one bound, at its end.
    Several arms share alpha. 1 where a gain is shown on ``ds``; None where no end, no minimum effect or no comparison
    is known.

    Args:
        experiment: its definition.
        ds: the data day.
        rows: the rows of ``experiments.results`` of ``ds`` that decide: scope cumulative, segment all.
    """
    mine = rows[rows["metric"] == experiment.primary]
    control = mine.loc[mine["arm"] == experiment.control, "mean"].dropna()
    fraction = min(elapsed(experiment, ds), 1.0)
    if last_day(experiment) is None or experiment.minimum_effect is None or control.empty or fraction <= 0:
        return None
    effect = experiment.minimum_effect * abs(float(control.iloc[0]))
    times, bounds = _coming(experiment, ds)
    fixed, found = experiment.design.kind == "fixed", []
    for row in mine.to_dict("records"):
        plain, now = (gain_of(row, fixed=of, alpha=experiment.alpha) for of in (True, fixed))
        error = (plain.high - plain.low) / 2 / float(stats.norm.isf(experiment.alpha / 2)) if plain else 0.0
        if plain is None or error <= 0:
            continue
        wins = now is not None and now.wins
        if not times or (decides_on(experiment, ds) and wins):
            found.append(float(wins))
            continue
        drift = effect / (error * math.sqrt(fraction))
        upper, _ = crossing(times, bounds, drift, since=(fraction, plain.value / error * math.sqrt(fraction)))
        found.append(float(upper.sum()))
    return max(found, default=None)


def _coming(experiment: Experiment, ds: date) -> tuple[list[float], list[float]]:
    """Information fractions of the looks after ``ds``, and their bounds."""
    tests, last = max(len(experiment.arms) - 1, 1), last_day(experiment) or ds
    days = [ds + timedelta(days=n) for n in range(1, (last - ds).days + 1)]
    looks = [day for day in days if decides_on(experiment, day)]
    if experiment.design.kind == "fixed":
        bounds = [float(stats.norm.isf(experiment.alpha / tests / 2)) for _ in looks]
    else:
        found = [critical(experiment, day, guards=False, tests=tests) for day in looks]
        bounds = [math.inf if bound is None else bound for bound in found]
    return [elapsed(experiment, day) for day in looks], bounds
