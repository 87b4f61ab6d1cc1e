"""Read what is known of experiments: for the page in Airflow, and for a read-out that can be mailed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from recsys.errors import ExperimentError, did_you_mean, nearest
from recsys.experiments.definition import Experiment, load_experiments
from recsys.experiments.metrics import load_metrics
from recsys.reports.experiment import Evidence, ReadOut, read, render_letter, render_markdown
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

RESULTS, CHECKS, DECISIONS = "experiments.results", "experiments.checks", "experiments.decisions"
MOST_DAYS = 400
"""How far back a read-out is looked for."""

_NEWEST = """
SELECT * FROM experiments.results
WHERE ds BETWEEN @first AND @ds AND scope = 'cumulative' AND segment = 'all'
QUALIFY ds = MAX(ds) OVER (PARTITION BY experiment_id)
ORDER BY experiment_id, metric, arm
"""
_DAYS = """
SELECT DISTINCT ds FROM experiments.results
WHERE ds BETWEEN @first AND @ds AND experiment_id = @experiment
ORDER BY ds
"""
_ONE = """
SELECT * FROM experiments.results
WHERE ds BETWEEN @first AND @ds AND experiment_id = @experiment AND scope = 'cumulative'
  AND (segment = 'all' OR ds = @ds)
ORDER BY ds, metric, segment, segment_value, arm
"""
_CHECKS = "SELECT * FROM experiments.checks WHERE ds BETWEEN @first AND @ds ORDER BY ds, check_id"
_DECISIONS = "SELECT * FROM experiments.decisions WHERE ds BETWEEN @first AND @ds ORDER BY ds, revision"


def run(settings: Settings, ds: date, experiment: str | None = None) -> dict[str, object]:
    """Write the read-out of an experiment (None: of all that were read out on ``ds``) as HTML and Markdown.

    They are ``<files>/_reports/experiments/<experiment>_ds=<ds>.html`` and ``.md``; the summary names both kinds.

    Raises:
        ExperimentError: nothing was read out on ``ds``, or not this experiment; names those that were.
    """
    known = [one.id for one in overview(settings, ds) if one.primary and one.primary[0].day == ds]
    if experiment is not None and experiment not in known:
        told = did_you_mean(nearest(experiment, known)) or f" Read out were: {', '.join(known) or 'none'}."
        raise ExperimentError(f"Experiment {experiment!r} has no read-out of {ds}.{told}")
    if not known:
        raise ExperimentError(
            f"No experiment has a read-out of {ds}. Run the DAG experiment_metrics_daily for a day on which one of "
            f"{settings.experiments_dir} serves lists."
        )
    folder = settings.files_dir / "_reports" / "experiments"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [experiment] if experiment else known
    files = []
    for name in chosen:
        one = read_out(settings, name, ds)
        path = folder / f"{quote(name, safe='')}_ds={ds}"
        for end, told in ((".html", render_letter(one)), (".md", render_markdown(one))):
            files.append(str(_write(path.with_name(path.name + end), told)))
    return {"experiments": ", ".join(chosen), "files": ", ".join(files)}


def overview(settings: Settings, ds: date | None = None) -> list[ReadOut]:
    """Every experiment that is defined or was read out, by its newest read-out up to ``ds`` (None: up to the last)."""
    definitions = {one.id: one for one in load_experiments(settings.experiments_dir)}
    with open_warehouse(settings) as warehouse:
        day = ds or _newest(warehouse)
        results = _rows(warehouse, RESULTS, _NEWEST, day)
        checks = _rows(warehouse, CHECKS, _CHECKS, day)
        decisions = _rows(warehouse, DECISIONS, _DECISIONS, day)
    made = []
    for name in dict.fromkeys([*definitions, *results["experiment_id"]]):
        mine = results[results["experiment_id"] == name]
        made.append(read(_evidence(settings, name, definitions, day, (mine, checks, decisions))))
    return made


def read_out(settings: Settings, experiment_id: str, ds: date | None = None) -> ReadOut:
    """One experiment with its history, as it was known on ``ds`` (None: by its newest read-out).

    Raises:
        ExperimentError: it is neither defined nor was it ever read out; names the nearest.
    """
    definitions = {one.id: one for one in load_experiments(settings.experiments_dir)}
    with open_warehouse(settings) as warehouse:
        newest = _newest(warehouse)
        found = _rows(warehouse, RESULTS, _DAYS, newest, experiment_id)
        days = tuple(pd.Timestamp(day).date() for day in found["ds"])
        if not days and experiment_id not in definitions:
            known = [*definitions]
            told = (
                did_you_mean(nearest(experiment_id, known)) or f" Defined are: {', '.join(known) or 'none'}."
            )
            raise ExperimentError(f"There is no experiment {experiment_id!r}.{told}")
        day = ds or (days[-1] if days else newest)
        frames = (
            _rows(warehouse, RESULTS, _ONE, day, experiment_id),
            _rows(warehouse, CHECKS, _CHECKS, day),
            _rows(warehouse, DECISIONS, _DECISIONS, day),
        )
    return read(_evidence(settings, experiment_id, definitions, day, frames, days=days))


def _evidence(
    settings: Settings,
    name: str,
    definitions: Mapping[str, Experiment],
    day: date | None,
    frames: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    *,
    days: tuple[date, ...] = (),
) -> Evidence:
    results, checks, decisions = (frame[frame["experiment_id"] == name] for frame in frames)
    last = max((pd.Timestamp(day).date() for day in results["ds"]), default=day)
    of_last = checks[[pd.Timestamp(found).date() == last for found in checks["ds"]]]
    return Evidence(
        experiment_id=name,
        definition=definitions.get(name),
        day=day or date.min,
        results=results,
        checks=of_last,
        decisions=decisions,
        currency=settings.currency,
        money=frozenset(
            metric.name for metric in load_metrics(settings.metrics_path).values() if metric.money
        ),
        days=days,
    )


def _newest(warehouse: Warehouse) -> date | None:
    return max(warehouse.partitions(RESULTS), default=None)


def _rows(
    warehouse: Warehouse, name: str, sql: str, day: date | None, experiment_id: str | None = None
) -> pd.DataFrame:
    """Rows of a query up to ``day``; none where the table has no such partition."""
    first = day - timedelta(days=MOST_DAYS) if day else None
    if day is None or first is None or not any(first <= found <= day for found in warehouse.partitions(name)):
        return pd.DataFrame(columns=table(name).column_names)
    bound: dict[str, object] = {"first": first}
    bound |= {"experiment": experiment_id} if experiment_id is not None else {}
    return warehouse.query(sql, bound, ds=day).to_pandas()


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
