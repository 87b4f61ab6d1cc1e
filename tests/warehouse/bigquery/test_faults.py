"""What goes wrong on the way to BigQuery: nothing is written twice, nothing is lost, and people are told what to do."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError, InvalidArgument, NotFound
from google.auth import exceptions as auth
from google.cloud import bigquery

from recsys import schema
from recsys.errors import ContractError, SqlError, WarehouseError
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from recsys.warehouse.bigquery import parts
from recsys.warehouse.bigquery.client import HiddenJobError
from recsys.warehouse.bigquery.refusals import LASTING, reason_of, refusal
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse
from tests.endpoint import BigQueryEndpoint
from tests.endpoint.faults import LOST
from tests.warehouse.bigquery.test_warehouse import lists
from tests.warehouse.conftest import DAY, USERS_SQL, users
from tests.warehouse.test_local import events, exposures

NEXT = DAY + dt.timedelta(days=1)
EXPOSURES = ("demo_experiments.exposures", "20260105")
KINDS = ["rateLimitExceeded", "tooManyRequests", "internalError", "backendError", LOST]


def notes(endpoint: BigQueryEndpoint) -> int:
    """How often the ledger was added to."""
    return sum(n for (table, _), n in endpoint.writes.items() if table == "demo_monitoring.builds")


@pytest.mark.parametrize("kind", KINDS)
def test_a_load_is_done_once(production: BigQueryWarehouse, endpoint: BigQueryEndpoint, kind: str) -> None:
    fault = endpoint.faults.http(kind, "jobs.insert", where=lambda body: "load" in body["configuration"])
    assert production.write("experiments.exposures", exposures("u", "v"), DAY) == 2
    assert len(fault.met) == 1
    assert endpoint.writes[EXPOSURES] == 1
    assert production.read("experiments.exposures", DAY)["unit_id"].tolist() == ["u", "v"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_note_is_made_once(production: BigQueryWarehouse, endpoint: BigQueryEndpoint, kind: str) -> None:
    endpoint.faults.http(
        kind, "jobs.insert", where=lambda body: "INSERT" in str(body["configuration"].get("query"))
    )
    production.write("experiments.exposures", exposures("u"), DAY)
    assert notes(endpoint) == 1
    assert production.partitions("experiments.exposures") == [DAY]


@pytest.mark.parametrize("kind", ["backendError", "rateLimitExceeded", "internalError"])
def test_a_load_that_the_service_failed_is_begun_again(
    production: BigQueryWarehouse, endpoint: BigQueryEndpoint, kind: str
) -> None:
    endpoint.faults.job(kind, where=lambda job: job.kind == "load")
    production.write("experiments.exposures", exposures("u"), DAY)
    loads = [job for job in endpoint.jobs if job.kind == "load"]
    assert [job.error and job.error["reason"] for job in loads] == [kind, None]
    assert endpoint.writes[EXPOSURES] == 1


def test_the_same_job_is_noted_once(production: BigQueryWarehouse, endpoint: BigQueryEndpoint) -> None:
    production.write("experiments.exposures", exposures("u"), DAY)
    [job] = [job for job in endpoint.jobs if job.kind == "load"]
    again = production.connection.client.get_job(job.id)
    assert production.record("experiments.exposures", DAY, again) == 1
    found = production.connection.read(
        production.address.reference("monitoring.builds"), ["job_id"], "", "builds"
    )
    assert found.column("job_id").to_pylist() == [job.id]


def test_a_write_that_was_not_noted_is_not_there(
    production: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(production.ledger, "record", lambda *args, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            production.write("experiments.exposures", exposures("u"), DAY)
    assert not production.exists("experiments.exposures", DAY)
    production.write("experiments.exposures", exposures("v"), DAY)
    assert production.read("experiments.exposures", DAY)["unit_id"].tolist() == ["v"]


def add(warehouse: BigQueryWarehouse) -> None:
    """A row that says how many were there."""
    warehouse.append("experiments.exposures", lambda rows: exposures(f"u{len(rows)}"), DAY)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_added_once(production: BigQueryWarehouse, endpoint: BigQueryEndpoint, kind: str) -> None:
    add(production)
    fault = endpoint.faults.http(kind, "jobs.insert", where=lambda body: "load" in body["configuration"])
    add(production)
    assert len(fault.met) == 1
    assert production.read("experiments.exposures", DAY)["unit_id"].tolist() == ["u0", "u1"]


@pytest.mark.parametrize("kind", ["backendError", "rateLimitExceeded", "internalError"])
def test_a_row_that_the_service_failed_to_add_is_added_by_another_job(
    production: BigQueryWarehouse, endpoint: BigQueryEndpoint, kind: str
) -> None:
    endpoint.faults.job(kind, where=lambda job: job.kind == "load")
    add(production)
    loads = [job for job in endpoint.jobs if job.kind == "load"]
    assert [job.error and job.error["reason"] for job in loads] == [kind, None]
    assert [job.id.rpartition("20260105-")[2] for job in loads] == ["0-0", "0-1"]
    assert production.read("experiments.exposures", DAY)["unit_id"].tolist() == ["u0"]


def test_a_row_that_was_not_noted_is_added_to(
    production: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(production.ledger, "record", lambda *args, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            add(production)
    assert not production.exists("experiments.exposures", DAY)
    add(production)
    assert production.read("experiments.exposures", DAY)["unit_id"].tolist() == ["u0", "u1"]


@pytest.mark.parametrize("ended", [True, False])
def test_the_row_of_a_job_that_may_not_be_looked_at_is_waited_for(
    production: BigQueryWarehouse, bigquery_settings: Settings, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    """``ended`` False: the job has failed and its writer has died, so that no row will come."""
    monkeypatch.setattr("recsys.warehouse.bigquery.warehouse.HIDDEN_SECONDS", 1.0)
    begun: list[str] = []

    def hidden(*args: Any, job_id: str, **more: Any) -> Any:
        if not begun:
            begun.append(job_id)
            if ended:
                with open_warehouse(bigquery_settings) as other:
                    add(other)
            raise HiddenJobError(job_id)
        return claim(*args, job_id=job_id, **more)

    claim = production.connection.claim
    monkeypatch.setattr(production.connection, "claim", hidden)
    add(production)
    added = production.read("experiments.exposures", DAY)["unit_id"].tolist()
    assert added == (["u0", "u1"] if ended else ["u0"])


def test_a_job_of_another_account_is_told_apart(
    production: BigQueryWarehouse, bigquery_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*args: object, **more: object) -> None:
        raise Forbidden("Permission bigquery.jobs.get denied", errors=[{"reason": "accessDenied"}])

    def slow(rows: Any) -> Any:
        if rows.empty:
            with open_warehouse(bigquery_settings) as other:
                add(other)
        return exposures(f"u{len(rows)}")

    monkeypatch.setattr(production.connection.client, "get_job", denied)
    production.append("experiments.exposures", slow, DAY)
    assert production.read("experiments.exposures", DAY)["unit_id"].tolist() == ["u0", "u1"]


def test_parts_written_at_once_are_all_in_the_view(
    production: BigQueryWarehouse, bigquery_settings: Settings
) -> None:
    def write(number: int) -> None:
        with open_warehouse(bigquery_settings) as warehouse:
            warehouse.write("scoring.lists", lists(f"u{number}"), DAY, part=f"{number:03d}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    sql = "SELECT user_id FROM scoring.lists WHERE ds = @ds ORDER BY user_id"
    assert production.query(sql, ds=DAY).column("user_id").to_pylist() == [f"u{n}" for n in range(6)]


def test_a_view_that_another_task_overwrote_is_made_again(
    production: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.write("scoring.lists", lists("u0"), DAY, part="000")
    replace, raced = parts._replace, []

    def race(connection: Any, settings: Any, table: str, found: list[str], view: Any) -> None:
        replace(connection, settings, table, found, view)
        if not raced:  # another task looked before part 001 was there, and writes after it
            raced.append(found)
            replace(
                connection, settings, table, ["000"], connection.table(connection.address.reference(table))
            )

    monkeypatch.setattr(parts, "_replace", race)
    production.write("scoring.lists", lists("u1"), DAY, part="001")
    assert raced == [["000", "001", "whole"]]
    sql = "SELECT user_id FROM scoring.lists WHERE ds = @ds ORDER BY user_id"
    assert production.query(sql, ds=DAY).column("user_id").to_pylist() == ["u0", "u1"]


def test_a_read_asks_for_its_columns_and_days_only(
    production: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    production.write("experiments.exposures", exposures("u"), DAY)
    before = len(endpoint.jobs)
    production.read("experiments.exposures", DAY, columns=["arm"])
    options = endpoint.sessions[-1].read_session.read_options
    assert list(options.selected_fields) == ["experiment_id", "unit_id", "arm", "ds"]
    assert options.row_restriction == "ds BETWEEN DATE '2026-01-05' AND DATE '2026-01-05'"
    assert len(endpoint.jobs) == before


def test_rows_are_never_inserted_one_by_one(
    production: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    production.write("experiments.exposures", exposures("u"), DAY)
    production.write("marketplace.users", users("a"))
    assert {job.configuration["load"]["sourceFormat"] for job in endpoint.jobs if job.kind == "load"} == {
        "PARQUET"
    }
    assert all("schema" in job.configuration["load"] for job in endpoint.jobs if job.kind == "load")
    assert not [request for request in endpoint.requests if "insertAll" in request.path]


def test_every_query_has_a_ceiling_labels_and_typed_parameters(
    production: BigQueryWarehouse, endpoint: BigQueryEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "score_daily")
    monkeypatch.setenv("AIRFLOW_CTX_TASK_ID", "plan_shards")
    production.write("experiments.exposures", exposures("u"), DAY)
    production.drop("experiments.exposures", DAY)
    production.query("SELECT @text AS x", {"text": "'"}, ds=DAY)
    queries = [job.configuration for job in endpoint.jobs if job.kind == "query"]
    assert len(queries) == 3
    for configuration in queries:
        assert configuration["query"]["maximumBytesBilled"] == "500000000000"
        assert configuration["query"]["useLegacySql"] is False
        assert configuration["query"]["parameterMode"] == "NAMED"
    assert queries[-1]["labels"] == {"dag": "score_daily", "task": "plan_shards", "ds": "2026-01-05"}


def test_a_source_may_be_a_view_of_the_marketplaces_own_tables(production: BigQueryWarehouse) -> None:
    client = production.connection.client
    production.write("marketplace.events", events(DAY, "b", "a"), DAY)
    client.create_dataset("shop")
    own = production.address.table("marketplace.events")
    client.delete_table(own)
    fields = ", ".join(schema.table("marketplace.events").column_names)
    kept = bigquery.Table("test-project.shop.events", schema=[])
    production.ledger.forget("marketplace.events", DAY)
    kept.schema = client.get_table("test-project.demo_staging.events").schema[:-1]
    kept.time_partitioning = bigquery.TimePartitioning(field="event_date")
    client.create_table(kept)
    view = bigquery.Table(own)
    view.view_query = f"SELECT {fields} FROM `test-project`.`shop`.`events`"
    client.create_table(view)
    assert production.exists("marketplace.events")
    assert not production.exists("marketplace.events", DAY)
    assert production.partitions("marketplace.events") == []
    config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("ds", "DATE", DAY)])
    client.query(
        "INSERT INTO shop.events (event_id, event_date, amount, event_ts, ingested_at, event_type) "
        "SELECT 'b' AS event_id, @ds AS event_date, NUMERIC '2.5' AS amount, TIMESTAMP '2026-01-05' AS event_ts, "
        "TIMESTAMP '2026-01-05' AS ingested_at, 'view' AS event_type",
        job_config=config,
    ).result()
    assert production.exists("marketplace.events", DAY)
    assert production.partitions("marketplace.events") == [DAY]
    assert production.read("marketplace.events", DAY)["amount"].tolist() == [2.5]


def test_no_tables_yet_names_the_remedy(endpoint: BigQueryEndpoint, bigquery_settings: Settings) -> None:
    with open_warehouse(bigquery_settings) as warehouse:
        with pytest.raises(WarehouseError, match="recsys migrate"):
            warehouse.exists("staging.users", DAY)
        with pytest.raises(WarehouseError, match="recsys migrate"):
            warehouse.write("experiments.exposures", exposures("u"), DAY)
        with pytest.raises(WarehouseError, match="recsys migrate"):
            warehouse.query("SELECT user_id FROM marketplace.users")


def test_a_query_over_the_ceiling_is_refused(
    endpoint: BigQueryEndpoint, production: BigQueryWarehouse, bigquery_settings: Settings
) -> None:
    low = Settings.load({}, warehouse=bigquery_settings.warehouse, max_gb=0.001)
    with open_warehouse(low) as warehouse, pytest.raises(WarehouseError, match="RECSYS_MAX_GB"):
        warehouse.query("SELECT user_id FROM marketplace.users")


def test_without_credentials_people_are_told(
    bigquery_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*args: object, **more: object) -> None:
        raise auth.DefaultCredentialsError("none")

    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.setattr("google.auth.default", none)
    warehouse = open_warehouse(bigquery_settings)
    with pytest.raises(WarehouseError, match="gcloud auth application-default login"):
        warehouse.query("SELECT 1 AS x")


def test_a_statement_reaches_the_endpoint_with_its_file(
    production: BigQueryWarehouse, endpoint: BigQueryEndpoint
) -> None:
    path = production.settings.sql_dir / "staging" / "users.sql"
    path.parent.mkdir(parents=True)
    path.write_text(USERS_SQL)
    production.write("marketplace.users", users("a"))
    production.build("staging.users", DAY)
    assert any("-- The users as they were known" in statement["sql"] for statement in endpoint.statements)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BadRequest("x", errors=[{"reason": "invalidQuery"}]), "invalidQuery"),
        (Forbidden("x", errors=[{"reason": "rateLimitExceeded"}]), "rateLimitExceeded"),
        (Forbidden("x"), "accessDenied"),
        (NotFound("x"), "notFound"),
        (InvalidArgument("x"), "invalid"),
        (BadRequest("x"), "invalid"),
        (GoogleAPICallError("x"), ""),
        (OSError("x"), ""),
    ],
)
def test_the_reason_of_an_error(error: BaseException, reason: str) -> None:
    assert reason_of(error) == reason


@pytest.mark.parametrize(
    ("reason", "kind", "told"),
    [
        ("invalidQuery", SqlError, r"a\.sql: Syntax error"),
        ("bytesBilledLimitExceeded", WarehouseError, "raise it"),
        ("accessDenied", WarehouseError, "docs/deployment.md lists the roles"),
        ("billingNotEnabled", WarehouseError, "Enable billing"),
        ("notFound", WarehouseError, "recsys migrate"),
        ("resourcesExceeded", SqlError, r"a\.sql"),
    ],
)
def test_what_lasts_is_told_with_its_remedy(reason: str, kind: type[Exception], told: str) -> None:
    assert reason in LASTING
    found = refusal(reason, "Syntax error", "a.sql")
    assert type(found) is kind
    with pytest.raises(kind, match=told):
        raise found


@pytest.mark.parametrize(
    "reason", ["rateLimitExceeded", "quotaExceeded", "backendError", "internalError", "stopped", ""]
)
def test_what_passes_is_no_refusal(reason: str) -> None:
    assert refusal(reason, "x", "a.sql") is None


def test_a_note_that_others_stood_in_the_way_of_is_made_again(
    production: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, met = production.connection.query, []

    def crowded(*args: Any, **more: Any) -> Any:
        if not met:
            met.append(args)
            message = "Could not serialize access to table builds due to concurrent update"
            assert refusal("invalidQuery", message, "builds") is None
            raise BadRequest(message, errors=[{"reason": "invalidQuery"}])
        return query(*args, **more)

    monkeypatch.setattr(production.connection, "query", crowded)
    production.write("experiments.exposures", exposures("u"), DAY)
    assert len(met) == 1
    assert production.partitions("experiments.exposures") == [DAY]


def test_a_guard_is_the_contracts_error() -> None:
    told = "staging.users: the key (user_id) is not unique."
    found = refusal("invalidQuery", f"{told}; error in query", "a.sql", (told,))
    assert isinstance(found, ContractError)
    assert str(found) == f"{told} The old partition stays."
