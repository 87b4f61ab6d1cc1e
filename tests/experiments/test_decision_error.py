"""Read out and decide day by day on experiments whose truth is known: how often is a difference found that is not there?"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from recsys.experiments.decision import decide
from recsys.experiments.definition import Design, Experiment
from recsys.experiments.metrics import load_metrics
from recsys.experiments.readout import COLUMNS, read_out
from recsys.settings import Settings
from tests.experiments.test_decision import START, experiment
from tests.experiments.test_decision import checks as passed

METRICS = load_metrics(Settings.load({}).metrics_path)
NONE = pd.DataFrame(columns=["metric", "scope", "arm", "value", "units"])
DAYS, RUNS, UNITS = 4, 26, 250
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
    one = experiment(design, alpha=0.1, end=START + timedelta(days=DAYS - 1), guardrails={})
    rng = np.random.default_rng(11)
    nothing = Counter(played(one, rng, 0.0) for _ in range(RUNS))
    assert nothing["win"] + nothing["loss"] <= 0.1 * RUNS + 3 * (0.1 * 0.9 * RUNS) ** 0.5
    assert nothing["inconclusive"] > 0
    much = Counter(played(one, rng, 0.8) for _ in range(RUNS // 2))
    assert much["win"] >= 0.8 * RUNS / 2
