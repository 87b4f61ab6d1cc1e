"""A real scheduler, workers and a triggerer over BigQuery, in one run with everything that may go wrong on the way.

Rate limits, a broken backend, a job that fails, an answer that is lost after its job was made; then scheduler, workers
and triggerer are killed (SIGKILL) while one task is deferred and another waits for the answer to its job, and are
started again. No partition may be written twice, none may be lost.
"""

from __future__ import annotations

import signal
import threading
from datetime import date, timedelta

import psutil
import pytest

from recsys.jobs import build, migrate, simulate
from recsys.jobs.airflow_local import LocalAirflow
from recsys.warehouse import open_warehouse, order
from tests.bigquery import mode
from tests.dags.test_backfill import Api, _free_ports, _until
from tests.endpoint.faults import LOST

pytestmark = pytest.mark.airflow

FIRST = date(2026, 1, 1)
DAY = FIRST + timedelta(days=2)
PART = f"{DAY:%Y%m%d}"
SLOW, CUT = "staging.arrivals", "staging.sellers"
"""Deferred, and in the middle of sending its job, when everything is killed."""
TABLES = (
    "staging.items",
    "staging.users",
    "staging.item_category",
    "staging.sellers",
    "staging.arrivals",
    "staging.events",
    "staging.rejected_events",
)
DAG = f"""
from datetime import timedelta
from airflow.sdk import dag
from recsys_tasks import sql, wire

@dag(schedule=None, default_args={{"retries": 2, "retry_delay": timedelta(seconds=2)}})
def faults():
    wire([sql(table) for table in {TABLES!r}])

faults()
"""
FASTER = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "OMP_NUM_THREADS": "1",
}
SECONDS = 400


def writes(table):
    """Whether the body of jobs.insert, or a job, writes this table."""

    def of(what):
        configuration = what["configuration"] if isinstance(what, dict) else what.configuration
        target = configuration.get("query", {}).get("destinationTable", {})
        return f"{target.get('datasetId')}.{target.get('tableId')}" == f"demo_{table}${PART}"

    return of


@pytest.fixture(scope="module")
def settings(endpoint, folder):
    """A few days of a small marketplace in BigQuery; nothing is built yet."""
    settings = mode.cloud(folder)
    migrate.run(settings)
    simulate.history(settings, FIRST, 3, users=150)
    return settings


@pytest.fixture(scope="module")
def faults(endpoint, settings):
    """What will go wrong, by name; each once, but the rate limit twice."""
    held = threading.Event()
    plan = endpoint.faults
    found = {
        "rate limit": plan.http("rateLimitExceeded", "jobs.insert", 2, writes("staging.users")),
        "backend": plan.http("backendError", "jobs.insert", 1, writes("staging.events")),
        "lost": plan.http(LOST, "jobs.insert", 1, writes("staging.items")),
        "cut": plan.http(LOST, "jobs.insert", 1, writes(CUT), hold=held),
        "job": plan.job("backendError", 1, writes("staging.item_category")),
    }
    yield found
    held.set()


@pytest.fixture(scope="module")
def run(endpoint, settings, faults, tmp_path_factory):
    """Tasks of the run once it is over, and what was deferred when everything was killed."""
    folder = tmp_path_factory.mktemp("dags")
    (folder / "faults.py").write_text(DAG)
    extra = FASTER | {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
    }
    is_slow = writes(SLOW)
    endpoint.delay(lambda job: 25.0 if is_slow(job) else 0.0)
    with LocalAirflow(settings, _free_ports(), extra) as airflow:
        api = Api(airflow)
        _until(lambda: any(dag["dag_id"] == "faults" for dag in api.get("dags")["dags"]), 60)
        api.post("dags/faults/dagRuns", logical_date=f"{DAY}T00:00:00Z")
        _until(lambda: states(api).get(SLOW) == "deferred" and faults["cut"].met, SECONDS)
        before = states(api)
        for name in ("scheduler", "triggerer"):
            kill(airflow.processes[name].pid)
            airflow.processes[name].wait()
            airflow.processes[name] = airflow._start(name)
        _until(lambda: run_state(api) in ("success", "failed"), SECONDS)
        yield run_state(api), api.tasks("faults"), before


def kill(pid):
    """SIGKILL to a process and all below it, workers in the midst of their tasks included."""
    parent = psutil.Process(pid)
    for process in (parent, *parent.children(recursive=True)):
        process.send_signal(signal.SIGKILL)


def states(api):
    return {task["task_id"]: task["state"] for task in api.tasks("faults")}


def run_state(api):
    return api.get("dags/faults/dagRuns")["dag_runs"][0]["state"]


def test_the_run_succeeds(run):
    state, tasks, before = run
    assert {task["task_id"]: task["state"] for task in tasks} == dict.fromkeys(TABLES, "success")
    assert state == "success"
    assert (before[SLOW], before[CUT]) == ("deferred", "running")


def test_every_fault_struck(run, faults):
    assert {name: len(fault.met) for name, fault in faults.items()} == {
        "rate limit": 2,
        "backend": 1,
        "lost": 1,
        "cut": 1,
        "job": 1,
    }


def test_every_partition_was_written_once(run, endpoint):
    written = {key: times for key, times in endpoint.writes.items() if key[0].startswith("demo_staging.")}
    assert written == {(f"demo_{table}", PART): 1 for table in TABLES}


def test_only_the_job_that_failed_was_followed_by_another(run, endpoint):
    jobs = {table: [job for job in endpoint.jobs if writes(table)(job)] for table in TABLES}
    errors = {table: [job.error and job.error["reason"] for job in made] for table, made in jobs.items()}
    assert errors == {table: [None] for table in TABLES} | {"staging.item_category": ["backendError", None]}


def test_the_rows_are_those_of_a_calm_day(run, settings, tmp_path):
    calm = mode.local(tmp_path / "w")
    simulate.history(calm, FIRST, 3, users=150)
    with open_warehouse(calm) as warehouse:
        for table in order(TABLES, calm.sql_dir):
            build.run(calm, DAY, table)
            assert warehouse.partitions(table) == [DAY]
    told, rows = mode.differences(calm, settings)
    assert told == []
    assert all(rows[table] for table in TABLES)


def test_the_ledger_notes_each_partition_once(run, settings):
    noted = "SELECT table_name, ds FROM `test-project`.`demo_monitoring`.`builds` WHERE STARTS_WITH(table_name, 'staging.')"
    with open_warehouse(settings) as warehouse:
        found = [tuple(row) for row in warehouse.connection.client.query_and_wait(noted)]
    assert sorted(found) == sorted((table, DAY) for table in TABLES)
