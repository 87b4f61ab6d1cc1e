"""The sql task over BigQuery: the provider's operator against an endpoint, tries, deferral, faults and kills."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, TaskGroup
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.triggers.base import TriggerEvent
from google.api_core.exceptions import GoogleAPICallError

from recsys.settings import Settings
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse
from recsys_tasks import check, sql, wire
from tests.dags.conftest import DAGS
from tests.endpoint import BigQueryEndpoint
from tests.endpoint.faults import LOST
from tests.googlesql import record
from tests.warehouse.bigquery.conftest import PROJECT, make_tables
from tests.warehouse.conftest import DAY, USERS_SQL, users

STARTED = datetime(2026, 1, 6, 0, 5, tzinfo=UTC)
TABLE = ("demo_staging.users", "20260105")


class Ti(SimpleNamespace):
    """As much of a running task instance as the provider asks for."""

    def __init__(self, **changes: Any) -> None:
        self.pushed: dict[str, Any] = {}
        given = {
            "dag_id": "features_daily",
            "task_id": "staging.users",
            "run_id": "scheduled__2026-01-05",
            "map_index": -1,
            "try_number": 1,
            "max_tries": 2,
        }
        super().__init__(**(given | changes))

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def context(
    logical_date: datetime | None = datetime(2026, 1, 5, tzinfo=UTC), **changes: Any
) -> dict[str, Any]:
    ti = Ti(**changes)
    run = SimpleNamespace(
        logical_date=logical_date,
        start_date=STARTED,
        run_id=ti.run_id,
        conf={"table": "x`; DROP TABLE y", "ds": "1"},
        run_type="scheduled",
    )
    return {"dag_run": run, "ti": ti, "task_instance": ti, "run_id": ti.run_id, "params": run.conf}


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryEndpoint]:
    with BigQueryEndpoint(tmp_path / "endpoint") as endpoint:
        given = {
            **endpoint.environment(PROJECT),
            "RECSYS_WAREHOUSE": f"bigquery://{PROJECT}/demo_",
            "RECSYS_FILES": str(tmp_path / "files"),
            "RECSYS_HOME": str(tmp_path / "home"),
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        yield endpoint
        record.SENT.extend(endpoint.statements)
        assert not endpoint.violations


@pytest.fixture
def warehouse(endpoint: BigQueryEndpoint) -> Iterator[BigQueryWarehouse]:
    """A warehouse with two users and the SQL file of staging.users."""
    settings = Settings.load()
    with BigQueryWarehouse(settings) as opened:
        make_tables(opened.connection.client, settings)
        put_sql(USERS_SQL)
        opened.write("marketplace.users", users("a", "b"))
        yield opened


def put_sql(text: str, table: str = "staging.users") -> None:
    path = Settings.load().sql_dir / f"{table.replace('.', '/')}.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def task(**options: Any) -> Any:
    with DAG("features_daily", schedule=None):
        made = sql("staging.users")
    made.poll_interval = 0.05
    return made


def builds(endpoint: BigQueryEndpoint) -> list[Any]:
    """Jobs that wrote, or tried to write, staging.users."""
    return [job for job in endpoint.jobs if "staging-users" in job.id]


def run_trigger(deferred: TaskDeferred) -> dict[str, Any]:
    """What the triggerer would do: run the provider's trigger until it fires."""

    async def first() -> TriggerEvent:
        return await anext(aiter(deferred.trigger.run()))

    return asyncio.run(first()).payload


def test_the_task_is_the_providers_operator(endpoint: BigQueryEndpoint) -> None:
    from airflow.providers.google.cloud.operators.bigquery import BigQueryInsertJobOperator

    made = task()
    assert isinstance(made, BigQueryInsertJobOperator)
    assert made.deferrable
    assert made.cancel_on_kill
    assert made.operator_extra_links == BigQueryInsertJobOperator.operator_extra_links
    assert set(made.template_fields) == {"table"}
    assert not made.template_ext
    assert type(check("sources", ["marketplace.events"])).__name__ == "RecsysOperator"


def test_tasks_are_wired_as_locally(endpoint: BigQueryEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECSYS_HOME")
    with DAG("wired", schedule=None), TaskGroup("staging", prefix_group_id=False):
        events, arrivals = sql("staging.events"), sql("staging.arrivals")
        wire([events, arrivals])
    assert events.upstream_task_ids == {"staging.arrivals"}


def test_the_dags_are_those_of_a_local_warehouse(
    dags: dict[str, Any], endpoint: BigQueryEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    monkeypatch.delenv("RECSYS_HOME")
    bag = DagBag(dag_folder=DAGS)
    assert not bag.import_errors
    built = 0
    for dag_id, dag in bag.dags.items():
        local = dags[dag_id]
        assert {t.task_id: t.downstream_task_ids for t in dag.tasks} == {
            t.task_id: t.downstream_task_ids for t in local.tasks
        }
        for found in dag.tasks:
            is_sql = getattr(local.get_task(found.task_id), "job", "") == "build"
            assert (type(found).__name__ == "BigQueryBuild") == is_sql
            assert (found.owner, found.retries) == ("recsys", local.get_task(found.task_id).retries)
            built += is_sql
        DagSerialization.to_dict(dag)
    assert built == 40


def test_one_job_writes_the_partition_and_is_noted(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    given = context()
    job_id = task().execute(given)
    [job] = builds(endpoint)
    assert job.id == job_id
    assert job_id.startswith("recsys-features_daily-staging-users-")
    configuration = job.configuration
    assert configuration["query"]["destinationTable"]["tableId"] == "users$20260105"
    assert configuration["query"]["writeDisposition"] == "WRITE_TRUNCATE"
    assert configuration["query"]["maximumBytesBilled"] == "500000000000"
    assert (
        configuration["labels"].items()
        >= {
            "dag": "features_daily",
            "task": "staging-users",
            "ds": "2026-01-05",
        }.items()
    )
    assert "DROP" not in str(configuration)
    assert given["ti"].pushed["bigquery_job_detail"]["job_id"] == job_id
    assert given["ti"].pushed["bigquery_table"]["table_id"] == "users$20260105"
    assert warehouse.partitions("staging.users") == [DAY]
    assert warehouse.read("staging.users", DAY)["user_id"].tolist() == ["a", "b"]


def test_a_long_job_is_waited_for_without_a_worker(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    endpoint.delay(lambda job: 0.5 if "staging-users" in job.id else 0.0)
    with pytest.raises(TaskDeferred) as deferred:
        task().execute(context())
    assert not warehouse.exists("staging.users", DAY)
    event = run_trigger(deferred.value)
    assert event["status"] == "success"
    assert task().execute_complete(context(), event) == builds(endpoint)[0].id
    assert warehouse.read("staging.users", DAY)["user_id"].tolist() == ["a", "b"]
    task().execute_complete(context(), event)  # a worker that is killed at the very end does this again
    assert [entry.rows for entry in warehouse.ledger.entries(["staging.users"])] == [2]
    assert endpoint.writes[TABLE] == 1


def test_a_killed_worker_is_followed_by_one_that_finds_the_job(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    endpoint.delay(lambda job: 0.5 if "staging-users" in job.id else 0.0)
    with pytest.raises(TaskDeferred):
        task().execute(context())
    with pytest.raises(TaskDeferred) as deferred:
        task().execute(context(try_number=2))
    event = run_trigger(deferred.value)
    task().execute_complete(context(try_number=2), event)
    assert len(builds(endpoint)) == 1
    assert endpoint.writes[TABLE] == 1


def test_a_job_that_ended_while_nobody_looked_is_taken(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    first = task().execute(context())
    warehouse.ledger.forget("staging.users", DAY)  # as if killed before it was noted
    given = context(try_number=2)
    assert task().execute(given) == first
    assert given["ti"].pushed["bigquery_job_detail"]["job_id"] == first
    assert warehouse.exists("staging.users", DAY)
    assert endpoint.writes[TABLE] == 1


@pytest.mark.parametrize(
    "changes",
    [{"max_tries": 5}, {"run_id": "manual__2026-01-05"}, {"map_index": 1}],
    ids=["cleared by a person", "another run", "another mapped task"],
)
def test_another_run_is_another_job(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint, changes: dict[str, Any]
) -> None:
    first = task().execute(context())
    warehouse.write("marketplace.users", users("c"))
    assert task().execute(context(**changes)) != first
    assert warehouse.read("staging.users", DAY)["user_id"].tolist() == ["c"]


def test_a_run_that_was_deleted_and_made_anew_is_another_job(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    task().execute(context())
    warehouse.write("marketplace.users", users("c"))
    again = context()
    again["dag_run"].start_date = datetime(2026, 1, 7, tzinfo=UTC)
    task().execute(again)
    assert warehouse.read("staging.users", DAY)["user_id"].tolist() == ["c"]


def test_a_task_that_was_cleared_while_it_ran_makes_another_job(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    """Airflow raises max_tries only of tasks that have ended, clear_number of the run always."""
    task().execute(context())
    warehouse.write("marketplace.users", users("c"))
    again = context(try_number=2)
    again["dag_run"].clear_number = 1
    task().execute(again)
    assert warehouse.read("staging.users", DAY)["user_id"].tolist() == ["c"]


@pytest.mark.parametrize("kind", ["rateLimitExceeded", "backendError", LOST])
def test_faults_of_the_service_do_not_write_twice(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint, kind: str
) -> None:
    met = endpoint.faults.http(kind, "jobs.insert", where=lambda body: "users$" in str(body)).met
    task().execute(context())
    assert len(met) == 1
    assert endpoint.writes[TABLE] == 1
    assert len(builds(endpoint)) == 1
    assert warehouse.exists("staging.users", DAY)


def test_a_job_that_the_service_failed_is_tried_again_as_another_job(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    endpoint.faults.job("backendError", where=lambda job: "staging-users" in job.id)
    with pytest.raises(Exception, match="backendError") as caught:
        task().execute(context())
    assert not isinstance(caught.value, AirflowFailException)
    assert not warehouse.exists("staging.users", DAY)
    task().execute(context(try_number=2))
    assert [bool(job.error) for job in builds(endpoint)] == [True, False]
    assert warehouse.read("staging.users", DAY)["user_id"].tolist() == ["a", "b"]


def test_a_deferred_job_that_the_service_failed_is_tried_again(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    endpoint.delay(lambda job: 0.3 if "staging-users" in job.id else 0.0)
    endpoint.faults.job("rateLimitExceeded", where=lambda job: "staging-users" in job.id)
    with pytest.raises(TaskDeferred) as deferred:
        task().execute(context())
    event = run_trigger(deferred.value)
    assert event["status"] == "error"
    with pytest.raises(Exception, match="rateLimitExceeded") as caught:
        task().execute_complete(context(), event)
    assert not isinstance(caught.value, AirflowFailException)


def test_polling_that_failed_is_taken_up_again(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    endpoint.delay(lambda job: 0.5 if "staging-users" in job.id else 0.0)
    with pytest.raises(TaskDeferred):
        task().execute(context())
    with pytest.raises(TaskDeferred) as deferred:
        task().execute_complete(context(), {"status": "error", "message": "connection reset"})
    task().execute_complete(context(), run_trigger(deferred.value))
    assert endpoint.writes[TABLE] == 1


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"registered_at,": "IF(user_id = 'b', NULL, registered_at) AS registered_at,"},
            r"ContractError: staging\.users\.registered_at",
        ),
        ({"SELECT user_id,": "SELECT 'same' AS user_id,"}, r"ContractError: .*\(user_id\) is not unique"),
        (
            {"birth_year,": "DIV(1, birth_year - 1990) AS birth_year,"},
            r"SqlError: staging\.users\.sql: .*by zero",
        ),
        ({"birth_year,": ""}, "ContractError: .*lacks birth_year"),
        ({"birth_year,": "RAND() AS birth_year,"}, "SqlError: .*RAND"),
    ],
)
@pytest.mark.parametrize("seconds", [0.0, 0.2], ids=["at once", "deferred"])
def test_what_only_a_person_can_mend_is_not_retried(
    warehouse: BigQueryWarehouse,
    endpoint: BigQueryEndpoint,
    changed: dict[str, str],
    told: str,
    seconds: float,
) -> None:
    [(old, new)] = changed.items()
    put_sql(USERS_SQL.replace(old, new))
    endpoint.delay(lambda job: seconds if "staging-users" in job.id else 0.0)

    def run() -> None:
        try:
            task().execute(context())
        except TaskDeferred as deferred:
            task().execute_complete(context(), run_trigger(deferred))

    with pytest.raises(AirflowFailException, match=told):
        run()
    assert endpoint.writes[TABLE] == 0
    assert not warehouse.exists("staging.users", DAY)


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (
            lambda w, patch: w.drop("marketplace.users"),
            r"WarehouseError: staging\.users needs marketplace\.users\. .*recsys import",
        ),
        (
            lambda w, patch: patch.setenv("RECSYS_MAX_GB", "0.001"),
            r"WarehouseError: staging\.users\.sql: .*RECSYS_MAX_GB",
        ),
        (
            lambda w, patch: w.connection.client.delete_dataset("demo_staging", delete_contents=True),
            r"WarehouseError: staging\.users\.sql: .*[Nn]ot found.*recsys migrate",
        ),
        (lambda w, patch: patch.setenv("RECSYS_LATE_DAYS", "soon"), "SettingsError: .*RECSYS_LATE_DAYS"),
        (
            lambda w, patch: patch.setenv("RECSYS_WAREHOUSE", "bigquery://x"),
            "SettingsError: .*bigquery://PROJECT",
        ),
    ],
    ids=["no source", "ceiling", "no dataset", "setting", "address"],
)
def test_what_is_missing_or_forbidden_is_not_retried(
    warehouse: BigQueryWarehouse,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[BigQueryWarehouse, pytest.MonkeyPatch], Any],
    told: str,
) -> None:
    made = task()
    prepare(warehouse, monkeypatch)
    with pytest.raises(AirflowFailException, match=told):
        made.execute(context())


def test_a_run_without_a_logical_date(warehouse: BigQueryWarehouse) -> None:
    with pytest.raises(AirflowFailException, match="Trigger it again with a logical date"):
        task().execute(context(None))


def test_a_snapshot_is_taken_once(warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint) -> None:
    put_sql(USERS_SQL.replace("SELECT", "-- snapshot: once\nSELECT", 1))
    first = task().execute(context())
    warehouse.write("marketplace.users", users("c"))
    again = context(max_tries=5)
    assert task().execute(again) == first
    assert again["ti"].pushed["bigquery_job_detail"]["job_id"] == first
    assert again["ti"].pushed["bigquery_table"]["table_id"] == "users$20260105"
    assert warehouse.read("staging.users", DAY)["user_id"].tolist() == ["a", "b"]
    assert endpoint.writes[TABLE] == 1


def test_a_task_that_is_killed_cancels_its_job(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    endpoint.delay(lambda job: 60.0 if "staging-users" in job.id else 0.0)
    made = task()
    with pytest.raises(TaskDeferred) as deferred:
        made.execute(context())
    assert deferred.value.trigger.cancel_on_kill
    made.on_kill()
    assert [job.error and job.error["reason"] for job in builds(endpoint)] == ["stopped"]
    assert endpoint.writes[TABLE] == 0


def test_the_ledger_is_noted_by_a_retry_if_the_service_fails_then(
    warehouse: BigQueryWarehouse, endpoint: BigQueryEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise GoogleAPICallError("backend", errors=[{"reason": "backendError"}])

    with monkeypatch.context() as patch:
        patch.setattr("recsys.warehouse.bigquery.ledger.Ledger.record", fail)
        with pytest.raises(GoogleAPICallError):
            task().execute(context())
    assert not warehouse.exists("staging.users", DAY)
    task().execute(context(try_number=2))
    assert warehouse.exists("staging.users", DAY)
    assert endpoint.writes[TABLE] == 1


def test_the_data_day_is_that_of_the_marketplace(
    warehouse: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_TIMEZONE", "Asia/Tokyo")
    task().execute(context(datetime(2026, 1, 4, 15, tzinfo=UTC)))
    assert warehouse.partitions("staging.users") == [date(2026, 1, 5)]
