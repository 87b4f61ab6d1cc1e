"""Read out and decide day by day on experiments whose truth is known: how often is a difference found that is not there?"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recsys.experiments.decision import decide
from recsys.experiments.definition import Design, Experiment
from recsys.experiments.looks import critical
from recsys.experiments.metrics import load_metrics
from recsys.experiments.readout import COLUMNS, read_out
from recsys.schema import table
from recsys.settings import Settings
from tests.experiments.test_decision import START, experiment
from tests.experiments.test_decision import checks as passed
from tests.experiments.test_decision import row as result

METRICS = load_metrics(Settings.load({}).metrics_path)
NONE = pd.DataFrame(columns=table("experiments.value_counts").column_names)
DAYS, RUNS, UNITS = 4, 26, 250
ALPHA, LATE, MANY = 0.1, 2, 300
MOST = ALPHA * MANY + 3 * (ALPHA * (1 - ALPHA) * MANY) ** 0.5
"""Errors in MANY runs that a test of this alpha may make; one that is repeated on each of the days makes more."""
DESIGNS = (
    Design(),
    Design("always_valid"),
    Design("group_sequential", (2, 4), "pocock"),
)


def totals(rng: np.random.Generator, lift: float) -> np.ndarray:
    """Revenue since the first day, shape (days, units): most buy nothing, and what is bought has a long tail."""
    bought = rng.random((DAYS, UNITS)) < 0.3
    return (bought * rng.lognormal(1, 1, (DAYS, UNITS)) * (1 + lift)).cumsum(axis=0)


def row(arm: str, values: np.ndarray) -> dict[str, object]:
    made: dict[str, object] = {
        "metric": "rpu",
        "arm": arm,
        "units": UNITS,
        "cap": None,
        "scope": "cumulative",
    }
    made |= {"segment": "all", "segment_value": "all"}
    made |= dict.fromkeys([*COLUMNS, *(f"{a}_{b}" for i, a in enumerate(COLUMNS) for b in COLUMNS[i:])], 0.0)
    return made | {"num": float(values.sum()), "num_num": float(values @ values)}


def played(one: Experiment, rng: np.random.Generator, lift: float) -> str:
    """The first rule that ends the experiment, and its verdict, when it is decided on at the end of every day."""
    arms, seen = {"old": totals(rng, 0.0), "new": totals(rng, lift)}, dict[date, pd.DataFrame]()
    for number in range(DAYS):
        day = START + timedelta(days=number)
        daily = pd.DataFrame([row(arm, values[number]) for arm, values in arms.items()])
        seen[day] = read_out(one, METRICS, daily, NONE, ds=day, rng=rng)
        found = decide(one, day, seen, passed())
        if found.verdict != "continue":
            return found.rule
    raise AssertionError("an experiment that never ends")


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.kind)
def test_looking_every_day_finds_what_is_there_and_little_else(design: Design) -> None:
    one = experiment(design, alpha=ALPHA, end=START + timedelta(days=DAYS - 1), guardrails={})
    rng = np.random.default_rng(11)
    nothing = Counter(played(one, rng, 0.0) for _ in range(RUNS))
    assert nothing["inconclusive"] > 0.6 * RUNS
    much = Counter(played(one, rng, 0.8) for _ in range(RUNS // 2))
    assert much["win"] >= 0.8 * RUNS / 2


def paths(rng: np.random.Generator) -> np.ndarray:
    """Z at the end of each day where there is nothing, and of the days on which figures come late; (MANY, days)."""
    steps = rng.normal(size=(MANY, DAYS + LATE)) * np.sqrt([1.0] * DAYS + [0.1] * LATE)
    return steps.cumsum(axis=1) / np.sqrt(
        [*range(1, DAYS + 1), *(DAYS + 0.1 * n for n in range(1, LATE + 1))]
    )


def told(one: Experiment, day: date, z: float) -> pd.DataFrame:
    """The read-out of a day with this Z: a difference with a standard error of 1."""
    half, p = stats.norm.isf(ALPHA / 2), 2 * stats.norm.sf(abs(z))
    bound = critical(one, day, guards=False) if one.design.kind != "fixed" else None
    bounds = {"bound_low": bound and z - bound, "bound_high": bound and z + bound}
    made = result("rpu", "new", z, half, p_value=p, p_adjusted=p, **bounds)
    return pd.DataFrame([result("rpu", "old", difference=np.nan), made])


def verdicts(one: Experiment, z: np.ndarray) -> list[str]:
    """What is written down on each day, those after the end included."""
    seen, found = dict[date, pd.DataFrame](), []
    for number, value in enumerate(z):
        day = START + timedelta(days=number)
        seen[day] = told(one, day, value)
        found.append(decide(one, day, seen, passed()).rule)
    return found


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.kind)
def test_no_design_errs_more_often_than_it_says_whatever_day_is_read(design: Design) -> None:
    end = START + timedelta(days=DAYS - 1)
    one = experiment(design, alpha=ALPHA, end=end, guardrails={}, minimum_effect=None)
    moved = [
        z for z in paths(np.random.default_rng(5)) if np.abs(z).max() > 1.5
    ]  # no rule errs on the others
    found = [verdicts(one, z) for z in moved]
    wrong = sum(bool({"win", "loss"} & set(rules)) for rules in found)
    assert 0 < wrong <= MOST
    assert {len(set(rules[DAYS - 1 :])) for rules in found} == {1}, "no day after the end says anything else"


def test_a_test_that_is_repeated_every_day_errs_more_often() -> None:
    """The limit above is one that peeking passes."""
    z = np.abs(paths(np.random.default_rng(5))[:, :DAYS])
    assert (z >= stats.norm.isf(ALPHA / 2)).any(axis=1).sum() > 1.2 * MOST
