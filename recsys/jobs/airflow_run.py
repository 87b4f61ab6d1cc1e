"""Run one DAG for one data day in this process, through Airflow's own ``DAG.test``: no scheduler, no server.

The code that runs is the DAG file, the factories and the jobs, exactly as under a scheduler.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from recsys.errors import DagError
from recsys.settings import Settings


def environment(settings: Settings) -> dict[str, str]:
    """Environment variables under which Airflow finds the DAGs, the plugins and this warehouse.

    AIRFLOW_HOME is kept if it is set, and is ``var/airflow`` of the project otherwise.
    """
    home = Path(settings.home).resolve()
    is_folder = "://" not in settings.warehouse
    return {
        "AIRFLOW_HOME": os.environ.get("AIRFLOW_HOME") or str(home / "var" / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": settings.timezone,
        "RECSYS_HOME": str(home),
        "RECSYS_WAREHOUSE": str(Path(settings.warehouse).resolve()) if is_folder else settings.warehouse,
        **({"RECSYS_FILES": str(Path(settings.files).resolve())} if settings.files else {}),
    }


def run_dag(dag_id: str, ds: date, progress: Callable[[str], None] | None = None) -> dict[str, object]:
    """Run every task of ``dag_id`` for ``ds``, over the warehouse that the environment names.

    ``progress`` is told the DAG, the day and the task as each begins. Returns the number of tasks and their seconds.
    The first call in a process takes about five seconds to start Airflow; a task costs a tenth of a second on top
    of its own work.

    Raises:
        DagError: a task failed; the message names it and says why. What it stands before has not run.
    """
    settings = Settings.load()
    _start(settings)
    dag = _load(dag_id, Path(settings.home) / "dags")
    failures: list[str] = []
    done: list[str] = []
    for task in dag.tasks:
        _listen(
            task,
            on_execute=lambda context: progress and progress(f"{dag_id} {ds}: {context['ti'].task_id}"),
            on_success=lambda context: done.append(context["ti"].task_id),
            on_failure=lambda context: failures.append(
                f"{context['ti'].task_id}: {context.get('exception')}"
            ),
        )
    started = datetime.now()
    result = dag.test(logical_date=datetime(ds.year, ds.month, ds.day, tzinfo=ZoneInfo(settings.timezone)))
    if failures or result.state != "success":
        raise DagError(f"{dag_id} of {ds} is {result.state}. {' '.join(failures) or 'See the log above.'}")
    seconds = (datetime.now() - started).total_seconds()
    return {"dag": dag_id, "ds": ds.isoformat(), "tasks": len(done), "seconds": round(seconds, 2)}


@cache
def _start(settings: Settings) -> None:
    """Point Airflow at this project, once, before it is imported, and see to its database."""
    os.environ.update(environment(settings))
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    # A BigQuery task that kept its snapshot has no job to link to; Airflow would log that as an error.
    os.environ.setdefault("AIRFLOW__LOGGING__NAMESPACE_LEVELS", "airflow.sdk.api.client=CRITICAL")
    home = Path(os.environ["AIRFLOW_HOME"])
    home.mkdir(parents=True, exist_ok=True, mode=0o700)

    from airflow.utils import db  # noqa: PLC0415  (Airflow reads its environment when imported)

    db.initdb()


def _load(dag_id: str, folder: Path) -> Any:
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415

    bag = DagBag(dag_folder=folder / f"{dag_id}.py")
    if bag.import_errors:
        raise DagError(f"{dag_id} cannot be loaded: {' '.join(bag.import_errors.values())}")
    if dag_id not in bag.dags:
        known = ", ".join(sorted(path.stem for path in folder.glob("*.py")))
        raise DagError(f"There is no DAG {dag_id!r} in {folder}. Known: {known}.")
    return bag.dags[dag_id]


def _listen(task: Any, **callbacks: Callable[[Any], object]) -> None:
    """Attach callbacks to a task and switch its retries off: a person is watching."""
    task.retries = 0
    for name, callback in callbacks.items():
        setattr(task, f"{name}_callback", [callback])
