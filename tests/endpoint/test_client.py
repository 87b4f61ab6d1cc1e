"""The real google-cloud-bigquery client against the endpoint: what works in BigQuery works, what is refused is refused."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from tests.endpoint import BigQueryEndpoint
from tests.endpoint.faults import LOST

DAY, NEXT = dt.date(2026, 1, 5), dt.date(2026, 1, 6)
FIELDS = [
    bigquery.SchemaField("user_id", "STRING"),
    bigquery.SchemaField("amount", "NUMERIC"),
    bigquery.SchemaField("weight", "FLOAT64"),
    bigquery.SchemaField("at", "TIMESTAMP"),
    bigquery.SchemaField("ds", "DATE"),
]
ARROW = pa.schema(
    [
        ("user_id", pa.string()),
        ("amount", pa.decimal128(38, 9)),
        ("weight", pa.float64()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("ds", pa.date32()),
    ]
)
NOON = dt.datetime(2026, 1, 5, 12, 0, 0, 1, tzinfo=dt.UTC)


@pytest.fixture
def visits(client: bigquery.Client) -> bigquery.Table:
    """A partitioned table that has to be filtered."""
    client.create_dataset("demo_shop")
    table = bigquery.Table("test-project.demo_shop.visits", FIELDS)
    table.time_partitioning = bigquery.TimePartitioning(field="ds")
    table.require_partition_filter = True
    table.clustering_fields = ["user_id"]
    return client.create_table(table)


def load(
    client: bigquery.Client, rows: list[tuple], day: dt.date, schema: pa.Schema = ARROW, **more: object
) -> bigquery.LoadJob:
    table = pa.table([[row[n] for row in rows] for n in range(len(schema))], schema=schema)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    config = bigquery.LoadJobConfig(
        source_format="PARQUET",
        schema=FIELDS,
        write_disposition="WRITE_TRUNCATE",
        time_partitioning=bigquery.TimePartitioning(field="ds"),
        clustering_fields=["user_id"],
    )
    buffer.seek(0)
    job = client.load_table_from_file(
        buffer, f"test-project.demo_shop.visits${day:%Y%m%d}", job_config=config, **more
    )
    job.result()
    return job


ROWS = [("b", Decimal("2.5"), 0.1, NOON, DAY), ("a", None, 1e300, None, DAY)]


def test_loaded_rows_come_back_typed(client: bigquery.Client, visits: bigquery.Table) -> None:
    assert load(client, ROWS, DAY).output_rows == 2
    rows = client.query_and_wait(
        f"SELECT * FROM `{visits.full_table_id.replace(':', '.')}` WHERE ds = '2026-01-05' ORDER BY user_id"
    )
    assert [tuple(row) for row in rows] == [ROWS[1], ROWS[0]]
    assert client.get_table(visits).num_rows == 2


def test_a_resumable_upload_in_pieces(
    client: bigquery.Client, visits: bigquery.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.cloud.bigquery.client._DEFAULT_CHUNKSIZE", 256 * 1024)
    rows = [(f"u{n:09}", Decimal(n), float(n), NOON, DAY) for n in range(30_000)]
    assert load(client, rows, DAY).output_rows == 30_000
    table = client.list_rows(visits, page_size=10_000)
    assert sum(1 for _ in table) == 30_000


def test_a_partition_is_replaced_and_counted(
    client: bigquery.Client, visits: bigquery.Table, endpoint: BigQueryEndpoint
) -> None:
    load(client, ROWS, DAY)
    config = bigquery.QueryJobConfig(
        destination="test-project.demo_shop.visits$20260106",
        write_disposition="WRITE_TRUNCATE",
        query_parameters=[bigquery.ScalarQueryParameter("ds", "DATE", NEXT)],
    )
    sql = (
        "SELECT user_id, amount, weight, at, @ds AS ds FROM `test-project.demo_shop.visits` "
        "WHERE ds = DATE_SUB(@ds, INTERVAL 1 DAY)"
    )
    for _ in range(2):
        client.query(sql, job_config=config).result()
    assert endpoint.writes == {("demo_shop.visits", "20260105"): 1, ("demo_shop.visits", "20260106"): 2}
    client.delete_table("test-project.demo_shop.visits$20260105")
    assert client.get_table(visits).num_rows == 2
    statement = endpoint.statements[-1]
    assert (statement["sql"], statement["types"], statement["values"]) == (sql, {"ds": "DATE"}, {"ds": NEXT})


REFUSED = {
    "no filter": ("SELECT user_id FROM demo_shop.visits", "without a filter over column"),
    "filter on an expression": (
        "SELECT user_id FROM demo_shop.visits WHERE CAST(ds AS STRING) = 'x'",
        "without a filter",
    ),
    "unknown table": ("SELECT 1 AS x FROM demo_shop.visit WHERE ds = '2026-01-05'", "Not found: Table"),
    "unknown dataset": ("SELECT 1 AS x FROM shop.visits WHERE ds = '2026-01-05'", "Not found: Dataset"),
    "unknown column": ("SELECT user FROM demo_shop.visits WHERE ds = '2026-01-05'", "user"),
    "unknown parameter": ("SELECT @x AS x", "x"),
    "syntax": ("SELEC 1", "SELEC"),
    "two statements": ("SELECT 1 AS x; SELECT 2 AS x", "one statement"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_queries_that_bigquery_refuses(client: bigquery.Client, visits: bigquery.Table, name: str) -> None:
    sql, message = REFUSED[name]
    with pytest.raises((exceptions.BadRequest, exceptions.NotFound), match=message):
        client.query(sql).result()


def test_loads_that_bigquery_refuses(client: bigquery.Client, visits: bigquery.Table) -> None:
    with pytest.raises(exceptions.BadRequest, match="different partitions"):
        load(client, ROWS, NEXT)
    wrong = ARROW.set(1, pa.field("amount", pa.float64()))
    with pytest.raises(exceptions.BadRequest, match="'amount' has type double"):
        load(client, [("a", 1.0, 1.0, NOON, DAY)], DAY, wrong)
    assert client.get_table(visits).num_rows == 0


def test_results_of_other_columns_do_not_reach_a_table(
    client: bigquery.Client, visits: bigquery.Table
) -> None:
    config = bigquery.QueryJobConfig(
        destination="test-project.demo_shop.visits$20260105", write_disposition="WRITE_TRUNCATE"
    )
    for sql in (
        "SELECT 'a' AS user_id, DATE '2026-01-05' AS ds",
        "SELECT 'a' AS user_id, 1 AS amount, 1.0 AS weight, TIMESTAMP '2026-01-05' AS at, DATE '2026-01-05' AS ds",
    ):
        with pytest.raises(exceptions.BadRequest, match="Schema does not match"):
            client.query(sql, job_config=config).result()


def test_a_dry_run_tells_the_bytes_and_a_ceiling_holds(
    client: bigquery.Client, visits: bigquery.Table
) -> None:
    load(client, ROWS, DAY)
    load(client, [("a", None, 1.0, None, NEXT)], NEXT)
    sql = "SELECT user_id, weight FROM demo_shop.visits WHERE ds = '2026-01-05'"
    job = client.query(sql, job_config=bigquery.QueryJobConfig(dry_run=True))
    assert job.total_bytes_processed == 2 * (3 + 8 + 8)  # user_id, weight and ds of two rows
    config = bigquery.QueryJobConfig(maximum_bytes_billed=1_000_000)
    with pytest.raises(exceptions.GoogleAPICallError, match="exceeded limit for bytes billed"):
        client.query(sql, job_config=config).result()


def test_rows_are_inserted_and_deleted(client: bigquery.Client, visits: bigquery.Table) -> None:
    load(client, ROWS, DAY)
    inserted = client.query("INSERT INTO demo_shop.visits (user_id, ds) VALUES ('c', DATE '2026-01-06')")
    inserted.result()
    assert inserted.num_dml_affected_rows == 1
    with pytest.raises(exceptions.BadRequest, match="without a filter"):
        client.query("DELETE FROM demo_shop.visits WHERE user_id = 'a'").result()
    deleted = client.query(
        "DELETE FROM demo_shop.visits WHERE ds >= '2026-01-01' AND (user_id = 'a' OR user_id = 'c')"
    )
    deleted.result()
    assert deleted.num_dml_affected_rows == 2
    left = client.query_and_wait("SELECT user_id FROM demo_shop.visits WHERE ds > '2026-01-01'")
    assert [row["user_id"] for row in left] == ["b"]


def test_a_view_over_two_tables_wants_the_filter_of_its_tables(
    client: bigquery.Client, visits: bigquery.Table
) -> None:
    load(client, ROWS, DAY)
    view = bigquery.Table("test-project.demo_shop.both")
    columns = "SELECT user_id, ds FROM `test-project`.`demo_shop`.`visits`"
    view.view_query = f"{columns} UNION ALL {columns}"
    client.create_table(view)
    rows = client.query_and_wait("SELECT both.user_id FROM demo_shop.both WHERE ds = '2026-01-05'")
    assert rows.total_rows == 4
    with pytest.raises(exceptions.BadRequest, match="without a filter"):
        client.query("SELECT user_id FROM demo_shop.both").result()


def test_a_column_is_added_and_none_is_taken_away(client: bigquery.Client, visits: bigquery.Table) -> None:
    load(client, ROWS, DAY)
    visits.schema = [*visits.schema, bigquery.SchemaField("device", "STRING")]
    visits = client.update_table(visits, ["schema"])
    rows = client.query_and_wait(
        "SELECT user_id, device FROM demo_shop.visits WHERE ds = '2026-01-05' AND device IS NULL"
    )
    assert rows.total_rows == 2
    visits.schema = visits.schema[:-1]
    with pytest.raises(exceptions.BadRequest, match="device is missing"):
        client.update_table(visits, ["schema"])


def test_a_change_of_a_table_that_another_changed_is_refused(
    client: bigquery.Client, visits: bigquery.Table
) -> None:
    first, second = client.get_table(visits), client.get_table(visits)
    first.description = "Visits."
    client.update_table(first, ["description"])
    second.description = "Others."
    with pytest.raises(exceptions.PreconditionFailed):
        client.update_table(second, ["description"])
    assert client.get_table(visits).description == "Visits."


def test_what_is_there_twice_or_not_at_all(client: bigquery.Client, visits: bigquery.Table) -> None:
    with pytest.raises(exceptions.Conflict):
        client.create_table(visits)
    with pytest.raises(exceptions.Conflict):
        client.create_dataset("demo_shop")
    with pytest.raises(exceptions.NotFound):
        client.get_table("demo_shop.other")
    with pytest.raises(exceptions.NotFound):
        client.get_job("none")
    client.query("SELECT 1 AS x", job_id="once", job_retry=None).result()
    with pytest.raises(exceptions.Conflict):
        client.query("SELECT 1 AS x", job_id="once", job_retry=None)
    assert [table.table_id for table in client.list_tables("demo_shop")] == ["visits"]
    assert [found.dataset_id for found in client.list_datasets()] == ["demo_shop"]
    client.delete_dataset("demo_shop", delete_contents=True)
    assert not list(client.list_datasets())


def test_many_rows_come_in_pages(client: bigquery.Client) -> None:
    rows = client.query_and_wait(
        "SELECT n FROM UNNEST(GENERATE_ARRAY(1, 25000)) AS n ORDER BY n", page_size=10_000
    )
    assert [row["n"] for row in rows] == list(range(1, 25_001))


def test_jobs_take_time_and_can_be_cancelled(client: bigquery.Client, endpoint: BigQueryEndpoint) -> None:
    endpoint.delay(lambda job: 60.0)
    job = client.query("SELECT 1 AS x", job_retry=None)
    assert job.state in ("PENDING", "RUNNING")
    job.cancel()
    with pytest.raises(exceptions.GoogleAPICallError, match="cancelled"):
        job.result()
    endpoint.delay(lambda job: 0.2)
    assert client.query_and_wait("SELECT 1 AS x").total_rows == 1


@pytest.mark.parametrize(
    "kind", ["rateLimitExceeded", "tooManyRequests", "internalError", "backendError", LOST]
)
def test_the_client_gets_over_faults_of_the_service(
    client: bigquery.Client, visits: bigquery.Table, endpoint: BigQueryEndpoint, kind: str
) -> None:
    fault = endpoint.faults.http(kind, "jobs.insert")
    config = bigquery.QueryJobConfig(
        destination="test-project.demo_shop.made", write_disposition="WRITE_TRUNCATE"
    )
    client.query("SELECT 1 AS x", job_config=config).result()
    assert len(fault.met) == 1
    assert endpoint.writes == {("demo_shop.made", ""): 1}


def test_a_job_that_fails_is_tried_again_under_another_id(
    client: bigquery.Client, endpoint: BigQueryEndpoint
) -> None:
    endpoint.faults.job("backendError")
    assert client.query("SELECT 1 AS x").result().total_rows == 1
    assert [job.error and job.error["reason"] for job in endpoint.jobs] == ["backendError", None]


def test_requests_that_the_api_does_not_know_are_noted(
    client: bigquery.Client, endpoint: BigQueryEndpoint
) -> None:
    body = {"configuration": {"query": {"query": "SELECT 1 AS x", "useLegacySql": "no", "colour": "red"}}}
    with pytest.raises(exceptions.GoogleAPICallError):
        client._connection.api_request(
            "POST", "/projects/test-project/jobs", data=body, query_params={"x": "1"}
        )
    found = list(endpoint.violations)
    endpoint.violations.clear()
    assert found == [
        "jobs.insert: unknown query parameter x",
        "jobs.insert: Job.configuration.query.useLegacySql is 'no', expected boolean",
        "jobs.insert: Job.configuration.query.colour is no field of it",
    ]


def test_arrow_comes_through_the_storage_api(
    client: bigquery.Client, visits: bigquery.Table, endpoint: BigQueryEndpoint
) -> None:
    load(client, [(f"u{n:06}", Decimal(n), float(n), NOON, DAY) for n in range(30_000)], DAY)
    channel = grpc.insecure_channel(endpoint.storage)
    reader = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
    rows = client.query("SELECT user_id, amount, at FROM demo_shop.visits WHERE ds = '2026-01-05'").result()
    found = rows.to_arrow(bqstorage_client=reader)
    assert found.num_rows == 30_000
    assert found.schema.types == [ARROW.field(name).type for name in ("user_id", "amount", "at")]
    session = types.ReadSession(
        table="projects/test-project/datasets/demo_shop/tables/visits",
        data_format=types.DataFormat.ARROW,
        read_options=types.ReadSession.TableReadOptions(
            selected_fields=["weight"], row_restriction="ds = '2026-01-05'"
        ),
    )
    made = reader.create_read_session(
        parent="projects/test-project", read_session=session, max_stream_count=1
    )
    read = reader.read_rows(made.streams[0].name).to_arrow(made)
    assert read.column("weight").to_pylist() == [float(n) for n in range(30_000)]
    session.read_options.row_restriction = ""
    with pytest.raises(exceptions.InvalidArgument, match="without a filter"):
        reader.create_read_session(parent="projects/test-project", read_session=session)
    channel.close()
