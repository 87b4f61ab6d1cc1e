"""When a unit may be exposed at the earliest, by what is drawn."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from recsys.experiments.definition import Experiment, parse_experiment
from recsys.jobs import experiment_checks
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

START = date(2026, 3, 2)


def drawing(unit: str) -> Experiment:
    fields = {
        "id": "e",
        "hypothesis": "It helps.",
        "unit": unit,
        "salt": "e_1",
        "start": START,
        "control": "without",
        "arms": {"without": {"weight": 0.5}, "with": {"weight": 0.5}},
    }
    return parse_experiment(fields, "here")


@pytest.mark.parametrize(("unit", "on_time"), [("campaign", True), ("seller", False)])
def test_a_campaign_may_be_exposed_on_the_day_it_is_assigned(
    unit: str, on_time: bool, tmp_path: Path
) -> None:
    """Lists of an arm are served from the day after; what a campaign is offered, it is offered when it begins."""
    units = pd.DataFrame({"experiment_id": "e", "unit_id": [f"p{n}" for n in range(40)], "ds": START})
    units["arm"] = ["with" if n % 2 else "without" for n in range(len(units))]
    assigned = units.assign(unit=unit, policy=None, bucket=0, started_on=START, first_assigned_on=START)
    exposed = units.assign(first_exposed_at=pd.Timestamp(START, tz="UTC"), impressions=0)
    with open_warehouse(Settings(warehouse=str(tmp_path / "warehouse"))) as warehouse:
        for day in (START - timedelta(days=1), START):
            warehouse.write("experiments.assignments", assigned.assign(ds=day), day)
        warehouse.write("experiments.exposures", exposed, START)
        found = {
            check.check_id: check for check in experiment_checks.of_exposure(warehouse, drawing(unit), START)
        }
    assert found["early_exposure"].success is on_time
    assert found["two_arms"].success
    assert found["missing_days"].success


@pytest.mark.parametrize("days", [1, 2, 3])
def test_campaigns_of_an_experiment_that_is_over_were_assigned_while_it_ran(
    days: int, tmp_path: Path
) -> None:
    """Nobody is assigned on the evening of the last day, nor after it."""
    ended = replace(drawing("campaign"), end=START + timedelta(days=1))
    units = pd.DataFrame({"experiment_id": "e", "unit_id": ["p1", "p2"], "arm": ["with", "without"]})
    fields = {
        "unit": "campaign",
        "policy": None,
        "bucket": 0,
        "started_on": START,
        "first_assigned_on": START,
    }
    exposed = units.assign(first_exposed_at=pd.Timestamp(START, tz="UTC"), impressions=0, ds=START)
    with open_warehouse(Settings(warehouse=str(tmp_path / "warehouse"))) as warehouse:
        for back in (-1, 0, 1):
            day = START + timedelta(days=back)
            there = units.assign(**fields, ds=day)
            warehouse.write("experiments.assignments", there if ended.is_assigned_on(day) else there[:0], day)
        warehouse.write("experiments.exposures", exposed, START)
        found = experiment_checks.of_exposure(warehouse, ended, START + timedelta(days=days - 1))
    assert next(check for check in found if check.check_id == "early_exposure").success
