"""The services of docker-compose.yaml, run natively: PostgreSQL as metadata database, a scheduled day and a backfill."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys.jobs import build, simulate
from recsys.schema import EXPERIMENTS, FEATURES, STAGING
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.dags.compose_file import ROOT
from tests.dags.natively import Services, missing

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

HISTORY_DAYS = 4
DAGS = ("features_daily", "experiment_assignment_daily")
DEADLINE_SECONDS = 600


@pytest.fixture(scope="module")
def folder():
    """A folder that the user of PostgreSQL may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="recsys-compose-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def warehouse(folder):
    """A small marketplace up to today, so that the scheduler's yesterday is in it, whenever this runs."""
    settings = Settings.load({}, warehouse=str(folder / "var/lib/recsys/warehouse"))
    today = datetime.now(UTC).date()
    simulate.history(settings, today - timedelta(days=HISTORY_DAYS), HISTORY_DAYS + 1, size="small")
    for back in range(HISTORY_DAYS, 2, -1):
        day = today - timedelta(days=back)
        build.history(settings, day, day, [table.name for table in (*STAGING, *FEATURES)])
    return settings


@pytest.fixture(scope="module")
def services(folder, warehouse):
    spec = importlib.util.spec_from_file_location("compose_env", ROOT / "include" / "compose" / "env.py")
    env = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(env)
    env.write(folder / ".env")
    # of this test, not of the file: two processors, a warehouse of a few days
    extra = {"AIRFLOW__CORE__PARALLELISM": str(max(2, os.cpu_count() or 2)), "OMP_NUM_THREADS": "1"}
    services = Services(folder, folder / ".env", extra)
    with services:
        for name, why in services.left_out.items():
            print(f"{name} is left out: {why}")
        yield services
    services.stop()


@pytest.fixture(scope="module")
def runs(services):
    """Runs and tasks of a scheduled day and of a backfill of the day before, once they are over."""
    api = Api(services)
    _until(lambda: set(DAGS) <= {dag["dag_id"] for dag in api.get("dags")["dags"]}, DEADLINE_SECONDS)
    day_before = datetime.now(UTC).date() - timedelta(days=2)
    for dag_id in DAGS:
        moment = f"{day_before}T00:00:00Z"
        api.send("POST", "backfills", dag_id=dag_id, from_date=moment, to_date=moment)
    for dag_id in DAGS:
        api.send("PATCH", f"dags/{dag_id}", is_paused=False)
    _until(lambda: _over(api.runs()), DEADLINE_SECONDS, api.open)
    return api.runs(), api.tasks()


class Api:
    """Airflow's REST API, logged in with the password of the file of secrets."""

    def __init__(self, services):
        self.url = services.url
        self.headers = {"Content-Type": "application/json"}
        login = {"username": "admin", "password": services.secrets["AIRFLOW_ADMIN_PASSWORD"]}
        token = self._ask("POST", "/auth/token", login)["access_token"]
        self.headers["Authorization"] = f"Bearer {token}"

    def get(self, path):
        return self._ask("GET", f"/api/v2/{path}", None)

    def send(self, method, path, **body):
        return self._ask(method, f"/api/v2/{path}", body)

    def runs(self):
        return self.get("dags/~/dagRuns?limit=100")["dag_runs"]

    def tasks(self):
        return self.get("dags/~/dagRuns/~/taskInstances?limit=200")["task_instances"]

    def open(self):
        """What is not over yet, for the message of a test that waited in vain."""
        return [
            (task["dag_run_id"], task["task_id"], task["state"], task["try_number"])
            for task in self.tasks()
            if task["state"] != "success"
        ]

    def _ask(self, method, path, body):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self.headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)


def _over(runs):
    states = [run["state"] for run in runs]
    return "failed" in states or (len(runs) == 2 * len(DAGS) and set(states) == {"success"})


def _until(condition, seconds, explain=str):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {explain()}"
        time.sleep(1)


def test_every_service_is_healthy_by_its_own_check(services):
    stay = {name for name, service in services.services.items() if "healthcheck" in service}
    assert set(services.healthy) == stay - set(services.left_out)
    assert services.done == {"init"}


def test_what_the_services_store_is_in_their_volumes(services):
    """Nothing of a test may land in the folders that the containers would have."""
    assert services.here("sqlite:////var/lib/x.db") == f"sqlite:///{services.folder}/var/lib/x.db"
    stored = {"postgres": "var/lib/postgresql/data/PG_VERSION", "redis": "data/appendonlydir"}
    stored |= {"mlflow": "var/lib/mlflow/mlflow.db", "scheduler": "opt/airflow/logs"}
    for name in set(stored) - set(services.left_out):
        assert (services.folder / stored[name]).exists(), name


def test_the_metadata_is_in_postgresql(services, runs):
    import psycopg2

    url = services.environment("scheduler")["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT run_type, COUNT(*) FROM dag_run WHERE state = 'success' GROUP BY 1 ORDER BY 1")
        assert cursor.fetchall() == [("backfill", 2), ("scheduled", 2)]
    assert not list(services.folder.rglob("airflow.db"))


def test_a_scheduled_day_and_a_backfill_succeed(services, runs):
    found, tasks = runs
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert {(run["dag_id"], run["run_type"], run["state"]) for run in found} == {
        (dag_id, kind, "success") for dag_id in DAGS for kind in ("scheduled", "backfill")
    }
    days = {run["run_type"]: run["logical_date"][:10] for run in found}
    assert days["backfill"] == str(yesterday - timedelta(days=1))
    assert {task["state"] for task in tasks} == {"success"}
    assert len(tasks) == 2 * (1 + 2 + len(STAGING) + len(FEATURES) + 2)


def test_the_tables_of_both_days_are_there(warehouse, runs):
    found, _ = runs
    with open_warehouse(warehouse) as opened:
        for day in {datetime.fromisoformat(run["logical_date"]).date() for run in found}:
            for table in (*STAGING, *FEATURES, EXPERIMENTS[0]):
                assert opened.exists(table.name, day), (table.name, day)


def test_only_the_file_s_password_opens_airflow(services, runs):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        Api(type("Wrong", (), {"url": services.url, "secrets": {"AIRFLOW_ADMIN_PASSWORD": "admin"}}))
    assert (services.folder / "opt/airflow/passwords.json").stat().st_mode & 0o077 == 0


def test_nothing_is_left_when_the_services_have_stopped(services, runs):
    assert [name for name, process in services.processes.items() if process.poll() is not None] == []
    assert services.alive()
    services.stop()
    # what was killed, and children whose parent was, take a moment to be gone
    deadline = time.monotonic() + 60
    while services.alive() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert services.alive() == []
