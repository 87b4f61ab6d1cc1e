"""The whole chain on one machine: a synthetic marketplace, the real DAGs day by day, the arms against the truth."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from rich.console import Console

from recsys import schema
from recsys.errors import ModelError, WarehouseError
from recsys.jobs import airflow_run, build, check, demo_lists, evaluation, migrate, report, simulate, truth
from recsys.settings import Settings
from recsys.warehouse import BuildResult, open_warehouse

FIRST_DAY = date(2026, 1, 1)
HISTORY_DAYS = 40
FEATURE_DAYS = 10
"""Days before the first lists whose features are built: what the ranker learns from and is calibrated on."""
QUIET_SECONDS = 5.0
DAILY_DAGS = ("features_daily", "experiment_assignment_daily", "score_daily")


def run(settings: Settings, days: int, size: str, console: Console) -> None:
    """Play ``HISTORY_DAYS`` without lists, train, then ``days`` days in closed loop; print and write the report.

    Raises:
        WarehouseError: when the warehouse holds data that this command did not make.
    """
    started = time.perf_counter()
    step = _Steps(console)
    _make_room(settings)
    os.environ["RECSYS_WAREHOUSE"] = settings.warehouse  # what the tasks of the DAGs read
    os.environ["RECSYS_FILES"] = settings.files
    last_history = FIRST_DAY + timedelta(days=HISTORY_DAYS - 1)
    _play_history(settings, size, last_history, step)
    with step(f"Airflow: check, features, training, arms and first lists for {last_history}"):
        for dag_id in ("features_daily", "train_weekly", "experiment_assignment_daily", "score_daily"):
            airflow_run.run_dag(dag_id, last_history, progress=step.line)
    for day in (last_history + timedelta(days=n) for n in range(1, days + 1)):
        with step(f"{day}: users see their lists; the DAGs of the day"):
            _play_day(settings, day, step.line)
    last = last_history + timedelta(days=days)
    console.print()
    report.print_results(settings, last, console)
    with step("What the lists are worth beside single models: the evaluation report"):
        told = _evaluate(settings, last, step.line)
    with step("Airflow: keywords for sellers who advertise; sellers for buyers came with the lists"):
        airflow_run.run_dag("keywords_weekly", last, progress=step.line)
    demo_lists.print_examples(settings, last, console)
    console.print(f"\nReport: {report.run(settings, last)['report']}", soft_wrap=True)
    console.print(f"Evaluation: {told}", soft_wrap=True)
    console.print(f"Checks: {check.build_docs(settings)}", soft_wrap=True)
    console.print(
        f"Look around: recsys sql \"SELECT * FROM marts.recommendations WHERE ds = '{last}' LIMIT 10\""
    )
    console.print(f"Done in {time.perf_counter() - started:.0f} s.")


def _make_room(settings: Settings) -> None:
    """Clear away what an earlier demo made, and nothing that was made otherwise."""
    is_synthetic = simulate.state_folder(settings).exists()
    if settings.is_bigquery:
        migrate.run(settings)  # datasets and tables have to be there; no row is changed
    if not is_synthetic and _holds_data(settings):
        raise WarehouseError(
            f"{settings.warehouse} holds data that is not synthetic, and the demo would replace it. "
            "Name another warehouse: recsys demo --warehouse FOLDER."
        )
    if not is_synthetic:
        return
    if not settings.is_bigquery:
        shutil.rmtree(settings.warehouse)
        return
    with open_warehouse(settings) as warehouse:
        for table in schema.TABLES.values():
            for day in warehouse.partitions(table.name) if table.partition else [None]:
                warehouse.drop(table.name, day)
    for folder in (simulate.state_folder(settings), settings.models_dir):
        shutil.rmtree(folder, ignore_errors=True)


def _holds_data(settings: Settings) -> bool:
    if not settings.is_bigquery:
        return (Path(settings.warehouse) / "marketplace").exists()
    with open_warehouse(settings) as warehouse:
        return any(warehouse.exists(table.name) for table in schema.SOURCES)


def _play_history(settings: Settings, size: str, last: date, step: _Steps) -> None:
    with step(f"A marketplace lives through {HISTORY_DAYS} days without a recommender"):
        simulate.history(settings, FIRST_DAY, HISTORY_DAYS, size=size, progress=step.line)
    with step("Staging of these days, and features of the last ones"):
        build.history(settings, FIRST_DAY, last, ["staging"], progress=step.built)
        first = last - timedelta(days=FEATURE_DAYS)
        daily = [table.name for table in schema.FEATURES]
        build.history(settings, first, last - timedelta(days=1), daily, progress=step.built)


def _play_day(settings: Settings, day: date, progress: Callable[[str], None]) -> None:
    progress(str(simulate.run(settings, day)))
    truth.run(settings, day)
    for dag_id in (*DAILY_DAGS, "experiment_metrics_daily"):
        airflow_run.run_dag(dag_id, day, progress=progress)


def _evaluate(settings: Settings, last: date, progress: Callable[[str], None]) -> str:
    """Where the evaluation report lies; in a marketplace too small for one, why there is none."""
    try:
        return str(evaluation.run(settings, last, progress=progress)["evaluation"])
    except ModelError as error:
        return f"none. {error}"


class _Steps:
    """Numbered headings with their seconds; on a terminal, one changing line of detail below the current one."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.count = 0
        self.status = console.status("")
        self.last_line = 0.0

    @contextmanager
    def __call__(self, title: str) -> Iterator[None]:
        self.count += 1
        started = self.last_line = time.perf_counter()
        self.console.print(f"[bold]{self.count}. {title}[/]", highlight=False)
        with self.status:
            yield
        self.console.print(f"   {time.perf_counter() - started:.1f} s", style="dim", highlight=False)

    def line(self, message: str) -> None:
        """Show what is going on right now; where lines cannot be overwritten, one every few seconds."""
        if self.console.is_terminal:
            self.status.update(message)
        elif time.perf_counter() - self.last_line > QUIET_SECONDS:
            self.last_line = time.perf_counter()
            self.console.print(f"   {message}", markup=False, highlight=False)

    def built(self, result: BuildResult) -> None:
        """Show a partition that was built."""
        self.line(f"{result.table} of {result.ds}: {result.rows:,} rows")
