"""Decide on every experiment that was read out, and write it down; a person may overrule, by name and with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date

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
        before = _decisions(warehouse, ds)
        rows = before
        for experiment in load_experiments(settings.experiments_dir):
            if (found["experiment_id"] == experiment.id).any():
                read_outs = _read_outs(settings, warehouse, _days(warehouse, experiment, ds))
                rows = _decided(experiment, ds, rows, read_outs, checks)
        if len(rows) > len(before) or not warehouse.exists(TABLE, ds):
            warehouse.write(TABLE, rows.assign(ds=ds), ds)
        now = standing(_log(warehouse, ds))
    now = now[now["experiment_id"].isin(set(rows["experiment_id"]))]
    verdicts = dict(zip(now["experiment_id"], now["verdict"], strict=True))
    return {"added": len(rows) - len(before), "verdicts": verdicts}


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
        rows = _decisions(warehouse, ds)
        mine = rows[rows["experiment_id"] == experiment_id]
        if mine.empty:
            known = ", ".join(sorted(set(rows["experiment_id"]))) or "none"
            raise ExperimentError(
                f"Experiment {experiment_id!r} was not decided on {ds}; decided were: {known}. Name a day on which "
                "the DAG experiment_metrics_daily read it out."
            )
        of_rules = mine[mine["decided_by"] == BY_RULE].iloc[-1]
        if verdict is None and not _overruled(warehouse, ds, experiment_id):
            raise ExperimentError(f"Nobody has overruled the rules on {experiment_id!r} up to {ds}.")
        rule = OVERRIDE if verdict else WITHDRAWN
        told = f"{by} decides on {verdict}." if verdict else f"{by} leaves it to the rules again."
        decision = Decision(verdict or str(of_rules["verdict"]), rule, told, of_rules["power_left"])
        made_of = str(of_rules["inputs_hash"])
        rows = _append(rows, decision, ds, experiment_id, inputs_hash=made_of, decided_by=by, why=why)
        warehouse.write(TABLE, rows.assign(ds=ds), ds)
    added = rows.iloc[-1]
    return {"experiment": experiment_id, "verdict": added["verdict"], "revision": int(added["revision"])}


def _check_override(by: str, why: str, verdict: str | None) -> None:
    if verdict is not None and verdict not in VERDICTS:
        raise ExperimentError(f"{verdict!r} is no verdict; choose one of {', '.join(VERDICTS)}.")
    if not by.strip() or by.strip() == BY_RULE:
        raise ExperimentError(f"--by is {by!r}; give the id of the person who decides.")
    if not why.strip():
        raise ExperimentError("--why is empty; say what the rules do not know.")


def _decisions(warehouse: Warehouse, ds: date) -> pd.DataFrame:
    if warehouse.exists(TABLE, ds):
        return warehouse.read(TABLE, ds).sort_values(list(table(TABLE).key), ignore_index=True)
    return pd.DataFrame(columns=table(TABLE).column_names)


def _overruled(warehouse: Warehouse, ds: date, experiment_id: str) -> bool:
    now = standing(_log(warehouse, ds))
    return bool(((now["experiment_id"] == experiment_id) & (now["rule"] == OVERRIDE)).any())


def _log(warehouse: Warehouse, ds: date) -> pd.DataFrame:
    """Every decision of the days up to ``ds``."""
    return warehouse.read(TABLE, ds, start=warehouse.partitions(TABLE)[0])


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
) -> pd.DataFrame:
    read_outs = {day: found[found["experiment_id"] == experiment.id] for day, found in read_outs.items()}
    checks = checks[checks["experiment_id"] == experiment.id]
    made_of = inputs_hash(experiment, ds, read_outs, checks)
    mine = rows[(rows["experiment_id"] == experiment.id) & (rows["decided_by"] == BY_RULE)]
    if len(mine) and mine.iloc[-1]["inputs_hash"] == made_of:
        return rows
    decision = decide(experiment, ds, read_outs, checks)
    return _append(rows, decision, ds, experiment.id, inputs_hash=made_of, decided_by=BY_RULE, why=None)


def _append(
    rows: pd.DataFrame, decision: Decision, ds: date, experiment_id: str, **by: str | None
) -> pd.DataFrame:
    """Add a revision; ``by`` gives inputs_hash, decided_by and why."""
    row = {
        "experiment_id": experiment_id,
        "revision": int((rows["experiment_id"] == experiment_id).sum()) + 1,
        **asdict(decision),
        **by,
        "ds": pd.Timestamp(ds),
    }
    return pd.concat([rows, pd.DataFrame([row])], ignore_index=True) if len(rows) else pd.DataFrame([row])
