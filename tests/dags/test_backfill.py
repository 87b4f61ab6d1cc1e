"""A real scheduler completes a backfill of three days of every daily DAG, in order, whatever order it was created in."""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
import urllib.request
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from http import HTTPStatus
from urllib.error import HTTPError

import pytest

from recsys.errors import DagError
from recsys.jobs import build, simulate, train
from recsys.jobs.airflow_local import USER, LocalAirflow
from recsys.schema import EXPERIMENTS, FEATURES, STAGING
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

pytestmark = pytest.mark.airflow

FIRST = date(2026, 1, 1)
HISTORY_DAYS, FEATURE_DAYS, DAYS = 18, 6, 3
BACKFILLED = [FIRST + timedelta(days=HISTORY_DAYS + n) for n in range(DAYS)]
DAGS = ("features_daily", "experiment_assignment_daily", "score_daily", "experiment_metrics_daily")
DEADLINE_SECONDS = 600


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A small marketplace with a champion trained the day before the backfill begins."""
    settings = Settings.load({}, warehouse=str(tmp_path_factory.mktemp("warehouse")), shards=2)
    last = BACKFILLED[0] - timedelta(days=1)
    simulate.history(settings, FIRST, HISTORY_DAYS + DAYS, size="small")
    build.history(settings, FIRST, last, [table.name for table in STAGING])
    build.history(settings, last - timedelta(days=FEATURE_DAYS), last, [table.name for table in FEATURES])
    train.run(settings, last)
    return settings


@pytest.fixture(scope="module")
def backfill(settings, tmp_path_factory):
    """What Airflow says about runs and tasks once the backfills, created from the last DAG to the first, are over."""
    for attempt in range(3):
        try:
            with ExitStack() as stack:
                airflow = stack.enter_context(_airflow(settings, tmp_path_factory.mktemp("airflow")))
                api = _create_backfills(airflow)
                stack.pop_all()
            break
        except (DagError, HTTPError) as error:
            # SQLite has one writer; on a busy machine the command or the API may not get its turn.
            if not any(busy in str(error) for busy in ("database is locked", "503")) or attempt == 2:
                raise
    with ExitStack() as stack:
        stack.callback(airflow.stop)
        _until(lambda: _over(api.runs()), DEADLINE_SECONDS)
        yield api.runs(), {dag_id: api.tasks(dag_id) for dag_id in DAGS}
        groups = [process.pid for process in airflow.processes.values()]
    for group in groups:
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)


def _airflow(settings, home):
    extra = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",  # backfills only: no run for the real yesterday
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "RECSYS_SHARDS": str(settings.shards),
        "OMP_NUM_THREADS": "1",
    }
    return LocalAirflow(settings, _free_ports(), extra)


def _create_backfills(airflow):
    """From the last DAG to the first, through the API and the command line."""
    api = Api(airflow)
    _until(lambda: set(DAGS) <= {dag["dag_id"] for dag in api.get("dags")["dags"]}, DEADLINE_SECONDS)
    first, last = BACKFILLED[0].isoformat(), BACKFILLED[-1].isoformat()
    for dag_id in reversed(DAGS[1:]):
        api.post("backfills", dag_id=dag_id, from_date=f"{first}T00:00:00Z", to_date=f"{last}T00:00:00Z")
    airflow.cli("backfill", "create", "--dag-id", DAGS[0], "--from-date", first, "--to-date", last)
    return api


class Api:
    """Airflow's REST API, logged in as the user that ``make up`` prints."""

    def __init__(self, airflow):
        self.url = airflow.url
        self.token = None
        self.token = self._send("/auth/token", {"username": USER, "password": airflow.password})[
            "access_token"
        ]

    def get(self, path):
        return self._send(f"/api/v2/{path}")

    def post(self, path, **body):
        """Asked again as long as Airflow refuses it for another that holds its database."""
        _until(lambda: self._takes(path, body), DEADLINE_SECONDS)

    def _takes(self, path, body):
        try:
            self._send(f"/api/v2/{path}", body)
        except HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return False
        return True

    def runs(self):
        runs = self.get("dags/~/dagRuns?limit=100")["dag_runs"]
        assert len(runs) == len(DAGS) * DAYS
        return runs

    def tasks(self, dag_id):
        return self.get(f"dags/{dag_id}/dagRuns/~/taskInstances?limit=100")["task_instances"]

    def _send(self, path, body=None):
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(self.url + path, data, headers), timeout=120
        ) as answer:
            return json.load(answer)


def _free_ports():
    """First of three neighbouring free ports: the UI's, and those of the two log servers."""
    for port in range(18080, 19080, 10):
        with socket.socket() as a, socket.socket() as b, socket.socket() as c:
            try:
                for offset, probe in enumerate((a, b, c)):
                    probe.bind(("localhost", port + offset))
            except OSError:
                continue
            return port
    raise AssertionError("no free ports")


def _over(runs):
    states = [run["state"] for run in runs]
    return "failed" in states or set(states) == {"success"}  # what waits for a failed day would wait on


def _until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(1)


def test_every_run_and_every_task_succeeds(backfill):
    runs, tasks = backfill
    assert {run["run_type"] for run in runs} == {"backfill"}
    assert {(run["dag_id"], run["logical_date"][:10]): run["state"] for run in runs} == {
        (dag_id, day.isoformat()): "success" for dag_id in DAGS for day in BACKFILLED
    }
    states = {(task["dag_id"], task["task_id"], task["state"]) for dag_id in DAGS for task in tasks[dag_id]}
    assert {state for *_, state in states} == {"success"}
    assert len([task for task in tasks["score_daily"] if task["task_id"] == "score"]) == DAYS * 2


def test_order_held_between_dags_and_between_days(backfill):
    runs, tasks = backfill
    ended = {(run["dag_id"], run["logical_date"][:10]): _time(run["end_date"]) for run in runs}
    began = {
        (task["task_id"], task["logical_date"][:10]): _time(task["start_date"])
        for dag_id in DAGS
        for task in tasks[dag_id]
    }
    for day in map(date.isoformat, BACKFILLED):
        assert began["assign", day] >= ended["features_daily", day]
        assert began["plan_shards", day] >= ended["experiment_assignment_daily", day]
        assert began["experiments.exposures", day] >= ended["experiment_assignment_daily", day]
    for day, following in itertools.pairwise(BACKFILLED):
        assert began["check_sources", following.isoformat()] >= ended["features_daily", day.isoformat()]
        assert (
            began["experiments.exposures", following.isoformat()]
            >= ended["experiment_metrics_daily", day.isoformat()]
        )


def test_every_day_has_its_tables_and_its_lists(backfill, settings):
    warehouse = open_warehouse(settings)
    for day in BACKFILLED:
        for table in (*STAGING, *FEATURES, *EXPERIMENTS):
            assert warehouse.exists(table.name, day), (table.name, day)
        lists = warehouse.read("marts.recommendations", day, columns=["user_id", "rank"])
        assert lists["user_id"].nunique() > 50
        assert (lists.groupby("user_id")["rank"].min() == 1).all()


def _time(text):
    return datetime.fromisoformat(text)
