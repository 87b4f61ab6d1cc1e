"""The three task factories that every DAG is wired from: ``sql``, ``check`` and ``job``.

A task names one job of ``recsys.jobs`` and its options; the job runs in the worker, which is the only place where
pandas, DuckDB or a model is imported. This module has to stay light: Airflow imports it whenever it reads a DAG.

``RecsysOperator.execute`` is where a job meets its machine. Heavy jobs run in a container where the settings say so:
another operator behind ``job``; building tables inside BigQuery means the provider's own operator behind ``sql``. No
DAG would change.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator, CronDataIntervalTimetable, CronTriggerTimetable, XComArg
from airflow.sdk.exceptions import AirflowFailException

from recsys.errors import RecsysError, SettingsError
from recsys.settings import Settings

ZONE = Settings.load().timezone
DAILY = CronDataIntervalTimetable("0 0 * * *", timezone=ZONE)
WEEKLY = CronTriggerTimetable("0 0 * * 1", timezone=ZONE, interval=timedelta(hours=12))
"""Mondays at midnight, for the Sunday that has just ended. The run is dated Sunday noon, not midnight: a Sunday of 23
or 25 hours would otherwise shift the date to another day."""

DEFAULTS: dict[str, Any] = {
    "catchup": False,
    "default_args": {
        "owner": "recsys",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
    },
}


class RecsysOperator(BaseOperator):
    """Run ``recsys.jobs.<job>.run(settings, ds, **options)`` in the worker.

    The job's summary becomes the task's XCom, or only its entry ``returns`` if that is named.
    """

    template_fields = ("job", "options")
    ui_color = "#dfefe6"

    def __init__(
        self, *, job: str, options: Mapping[str, Any] | None = None, returns: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.options = options or {}
        self.returns = returns

    def execute(self, context: Any) -> Any:
        """Run the job. What only a person can mend (any ``RecsysError``) fails at once, without retries."""
        try:
            settings = Settings.load()
            ds = data_day(context["dag_run"].logical_date, settings.timezone)
            run = importlib.import_module(f"recsys.jobs.{self.job}").run
            summary = run(settings, ds, **self.options)
        except RecsysError as error:
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error
        self.log.info("%s of %s: %s", self.job, ds, summary)
        return summary[self.returns] if self.returns else summary


def data_day(logical_date: datetime | None, timezone: str) -> date:
    """Return the data day a run is about: the date of its logical date in the marketplace's time zone.

    Raises:
        SettingsError: when the run has no logical date, as a run triggered without one in the UI.
    """
    if logical_date is None:
        raise SettingsError(
            "This run has no logical date, so it names no data day. Trigger it again with a logical date "
            "(the day to compute), or use: airflow backfill create --dag-id DAG --from-date DS --to-date DS."
        )
    return logical_date.astimezone(ZoneInfo(timezone)).date()


def sql(table: str) -> BaseOperator:
    """Build the partition ds of ``table`` from its SELECT under ``include/sql``, where the warehouse is."""
    if Settings.load().is_bigquery:
        from recsys_bigquery import BigQueryBuild

        return BigQueryBuild(task_id=table, table=table)
    return RecsysOperator(task_id=table, job="build", options={"table": table})


def check(stage: str, tables: Iterable[str]) -> RecsysOperator:
    """Check the partition ds of ``tables``; a critical failure stops everything downstream."""
    return RecsysOperator(
        task_id=f"check_{stage}", job="check", options={"stage": stage, "tables": list(tables)}
    )


def job(
    name: str, *, returns: str | None = None, each: XComArg | None = None, heavy: bool = False, **options: Any
) -> Any:
    """Run ``recsys.jobs.<name>``; ``returns`` names the entry of its summary that later tasks read.

    ``each``, the output of another task, is a list of further options: one task per element, side by side.
    ``heavy``: the setting of that name says whether it runs in the worker or as ``recsys <name>`` in a container.
    """
    if heavy and returns:
        raise SettingsError(f"The job {name} is heavy, and returns {returns!r}: a container returns nothing.")
    operator = _heavy_operator() if heavy else RecsysOperator
    fixed: dict[str, Any] = {"task_id": name, "job": name} | ({"returns": returns} if returns else {})
    if each is None:
        return operator(**fixed, options=options)
    # The ends of a shard are ids of people: they are not for display.
    shown = "task.options.items() | rejectattr(0, 'in', ['first_user', 'last_user'])"
    label = "{{ " + shown + " | map('join', ' ') | join(', ') }}"
    mapped = operator.partial(**fixed, map_index_template=label)
    return mapped.expand(options=each.map(lambda more: {**options, **more}))


def _heavy_operator() -> type[BaseOperator]:
    """Import a provider only where the settings ask for it."""
    where = Settings.load().heavy
    if where == "cloud_run":
        from recsys_cloud_run import CloudRunJob

        return CloudRunJob
    if where == "kubernetes":
        from recsys_kubernetes import KubernetesJob

        return KubernetesJob
    return RecsysOperator


def wire(tasks: Iterable[BaseOperator]) -> None:
    """Order ``sql`` tasks as the ``upstream`` lines of their SQL headers say."""
    from recsys.warehouse.tables import load_spec

    by_table = {task.task_id: task for task in tasks}
    sql_dir = Settings.load().sql_dir
    for table, task in by_table.items():
        for upstream in load_spec(sql_dir, table).upstream:
            if upstream in by_table:
                by_table[upstream] >> task
