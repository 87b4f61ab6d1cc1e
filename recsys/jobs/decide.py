"""Decide on every experiment that was read out, and write it down; a person may overrule, by name and with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import pandas as pd

from recsys.errors import ExperimentError
from recsys.experiments.decision import (
    BY_RULE,
    OVERRIDE,
    VERDICTS,
    WITHDRAWN,
    Decision,
    decide,
    inputs_hash,
    needed_days,
    standing,
)
from recsys.experiments.definition import Experiment, load_experiments
from recsys.experiments.looks import last_day
from recsys.jobs import declare, fill, results
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

TABLE, RESULTS, CHECKS = "experiments.decisions", "experiments.results", "experiments.checks"
EXPOSURES = "experiments.exposures"
MEASURED = tuple(f"experiments.{name}" for name in ("unit_totals", "metrics_daily", "value_counts"))


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Add to ``experiments.decisions`` of ``ds`` what the rules say of each experiment read out on ``ds``.

    A row is added only where the inputs are not those of the rules' last row: run again on the same read-out it writes
    nothing, on another it adds a revision, and what was decided before stays.

    Raises:
        WarehouseError: the read-out of ``ds`` is not there.
    """
    with open_warehouse(settings) as warehouse:
        found, checks = warehouse.read(RESULTS, ds), warehouse.read(CHECKS, ds)
        read_outs = []
        for experiment in load_experiments(settings.experiments_dir):
            if (found["experiment_id"] == experiment.id).any():
                days = _days(warehouse, experiment, ds)
                read_outs.append((experiment, _read_outs(settings, warehouse, days)))

        def of_rules(rows: pd.DataFrame) -> pd.DataFrame:
            new = [_decided(experiment, ds, rows, known, checks) for experiment, known in read_outs]
            return pd.DataFrame([row for row in new if row], columns=table(TABLE).column_names)

        added = warehouse.append(TABLE, of_rules, ds)
        log = _log(warehouse, ds)
    now = standing(log)
    now = now[now["experiment_id"].isin(set(log.loc[log["ds"] == pd.Timestamp(ds), "experiment_id"]))]
    verdicts = dict(zip(now["experiment_id"], now["verdict"], strict=True))
    return {"added": len(added), "verdicts": verdicts}


def override(
    settings: Settings, ds: date, experiment_id: str, *, by: str, why: str, verdict: str | None = None
) -> dict[str, object]:
    """Overrule the rules on ``ds`` and after it, until it is withdrawn: ``verdict`` None withdraws.

    Args:
        settings: names the warehouse.
        ds: a data day on which the experiment was decided.
        experiment_id: as in its definition.
        by: id of the person who answers for it.
        why: their reason.
        verdict: one of ``VERDICTS``.

    Raises:
        ExperimentError: no such verdict, nobody or no reason named, nothing decided on ``ds``, or nothing to withdraw.
    """
    _check_override(by, why, verdict)
    with open_warehouse(settings) as warehouse:

        def of_person(rows: pd.DataFrame) -> pd.DataFrame:
            of_rules = _of_rules(rows, ds, experiment_id)
            if verdict is None and not _overruled(warehouse, ds, experiment_id):
                raise ExperimentError(f"Nobody has overruled the rules on {experiment_id!r} up to {ds}.")
            rule = OVERRIDE if verdict else WITHDRAWN
            told = f"{by} decides on {verdict}." if verdict else f"{by} leaves it to the rules again."
            decision = Decision(verdict or str(of_rules["verdict"]), rule, told, of_rules["power_left"])
            made_of = str(of_rules["inputs_hash"])
            row = _revision(rows, decision, ds, experiment_id, inputs_hash=made_of, decided_by=by, why=why)
            return pd.DataFrame([row])

        added = warehouse.append(TABLE, of_person, ds).iloc[0]
    return {"experiment": experiment_id, "verdict": added["verdict"], "revision": int(added["revision"])}


def _check_override(by: str, why: str, verdict: str | None) -> None:
    if verdict is not None and verdict not in VERDICTS:
        raise ExperimentError(f"{verdict!r} is no verdict; choose one of {', '.join(VERDICTS)}.")
    if not by.strip() or by.strip() == BY_RULE:
        raise ExperimentError(f"--by is {by!r}; give the id of the person who decides.")
    if not why.strip():
        raise ExperimentError("--why is empty; say what the rules do not know.")


def _of_rules(rows: pd.DataFrame, ds: date, experiment_id: str) -> pd.Series[Any]:
    """What the rules said last of an experiment, of the rows of ``ds``."""
    mine = rows[rows["experiment_id"] == experiment_id]
    if mine.empty:
        known = ", ".join(sorted(set(rows["experiment_id"]))) or "none"
        raise ExperimentError(
            f"Experiment {experiment_id!r} was not decided on {ds}; decided were: {known}. Name a day on which "
            "the DAG experiment_metrics_daily read it out."
        )
    return mine[mine["decided_by"] == BY_RULE].iloc[-1]


def _overruled(warehouse: Warehouse, ds: date, experiment_id: str) -> bool:
    now = standing(_log(warehouse, ds))
    return bool(((now["experiment_id"] == experiment_id) & (now["rule"] == OVERRIDE)).any())


def _log(warehouse: Warehouse, ds: date) -> pd.DataFrame:
    """Every decision of the days up to ``ds``."""
    return warehouse.read(TABLE, ds, start=min([ds, *warehouse.partitions(TABLE)]))


def _days(warehouse: Warehouse, experiment: Experiment, ds: date) -> list[date]:
    """Days that a decision of ``ds`` rests on: those it cannot do without, and every other with exposures."""
    last = min(ds, last_day(experiment) or ds)
    exposed = {day for day in warehouse.partitions(EXPOSURES) if experiment.start <= day <= last}
    return sorted({*needed_days(experiment, ds), *exposed})


def _read_outs(settings: Settings, warehouse: Warehouse, days: Sequence[date]) -> dict[date, pd.DataFrame]:
    """Results by day; made where no run of its day has made them yet, so that days may be run in any order."""
    there = set(warehouse.partitions(RESULTS))
    for day in days:
        if day not in there:
            declare.run(settings, day)
            fill.run(settings, day)
            for name in MEASURED:
                warehouse.build(name, day)
            results.run(settings, day)
    found = warehouse.read(RESULTS, days[-1], start=days[0])
    of_day = pd.to_datetime(found["ds"]).dt.date
    return {day: found[of_day == day] for day in days}


def _decided(
    experiment: Experiment,
    ds: date,
    rows: pd.DataFrame,
    read_outs: Mapping[date, pd.DataFrame],
    checks: pd.DataFrame,
) -> dict[str, object] | None:
    """The row that the rules add to ``rows``; None where their last one rests on the same inputs."""
    read_outs = {day: found[found["experiment_id"] == experiment.id] for day, found in read_outs.items()}
    checks = checks[checks["experiment_id"] == experiment.id]
    made_of = inputs_hash(experiment, ds, read_outs, checks)
    mine = rows[(rows["experiment_id"] == experiment.id) & (rows["decided_by"] == BY_RULE)]
    if len(mine) and mine.iloc[-1]["inputs_hash"] == made_of:
        return None
    decision = decide(experiment, ds, read_outs, checks)
    return _revision(rows, decision, ds, experiment.id, inputs_hash=made_of, decided_by=BY_RULE, why=None)


def _revision(
    rows: pd.DataFrame, decision: Decision, ds: date, experiment_id: str, **by: str | None
) -> dict[str, object]:
    """The row that follows ``rows``; ``by`` gives inputs_hash, decided_by and why."""
    return {
        "experiment_id": experiment_id,
        "revision": int((rows["experiment_id"] == experiment_id).sum()) + 1,
        **asdict(decision),
        **by,
        "ds": pd.Timestamp(ds),
    }
