"""The closed loop of `make run`, three days of it: in BigQuery mode the same rows in every table as in local mode.

The real DAGs, the provider's operators and the real clients run against the endpoint. The marketplace is a smaller one
than that of `make run`, with a shorter history before the same three days.
"""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow.compute as pc
import pytest
from rich.console import Console

from recsys import schema
from recsys.errors import RecsysError, WarehouseError
from recsys.jobs import airflow_run, demo, migrate, simulate
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.bigquery import mode

pytestmark = pytest.mark.airflow

LAST_HISTORY = demo.FIRST_DAY + timedelta(days=demo.HISTORY_DAYS - 1)
HISTORY_DAYS, FEATURE_DAYS, DAYS = 18, 6, 3
PLAYED = [LAST_HISTORY + timedelta(days=n) for n in range(1, DAYS + 1)]
YOUNG = {"scoring.keyword_lists", "marts.keyword_recommendations"}
"""Empty: the marketplace has not seen three weeks of campaigns, from which keywords are learned."""
SNAPSHOTS = tuple(f"staging.{name}" for name in ("items", "users", "sellers", "item_category", "campaigns"))


def seconds(job):
    """One table a day is built by a job that runs while its task is deferred."""
    return 0.5 if job.target.startswith("demo_features.user_daily$202602") else 0.0


@pytest.fixture(scope="module")
def played(endpoint, folder, tmp_path_factory):
    """Settings of both warehouses after the demo has played in each."""
    both = mode.local(tmp_path_factory.mktemp("local") / "w", shards=2), mode.cloud(folder, shards=2)
    endpoint.delay(seconds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "FIRST_DAY", LAST_HISTORY - timedelta(days=HISTORY_DAYS - 1))
        patch.setattr(demo, "HISTORY_DAYS", HISTORY_DAYS)
        patch.setattr(demo, "FEATURE_DAYS", FEATURE_DAYS)
        for settings in both:
            with mode.environ(mode.as_environment(settings)):
                demo.run(settings, DAYS, "small", Console(quiet=True))
    return both


def test_every_table_has_the_same_rows(played):
    told, rows = mode.differences(*played)
    assert told == []
    assert set(rows) == set(schema.TABLES)
    assert {table for table, count in rows.items() if not count} == YOUNG
    assert sum(rows.values()) > 100_000


def test_the_models_are_the_same_files(played):
    found = [
        {
            path.relative_to(s.models_dir): path.read_bytes()
            for path in s.models_dir.rglob("*")
            if path.is_file()
        }
        for s in played
    ]
    assert found[0]
    assert found[0] == found[1]


def test_every_request_is_as_the_discovery_document_says(played, endpoint):
    with_body = [request for request in endpoint.requests if request.body]
    assert endpoint.violations == []
    assert {request.method for request in with_body} >= {"jobs.insert", "tables.insert", "datasets.insert"}
    assert len(with_body) > 500


def test_no_partition_was_written_twice(played, endpoint):
    """But events, into which late ones are merged, and the last day of the history, which its DAG builds again."""
    again = f"{LAST_HISTORY:%Y%m%d}"
    twice = {
        (table, part)
        for (table, part), times in endpoint.writes.items()
        if times > 1 and part and not table.startswith("demo_marketplace.")
    }
    assert {part for _, part in twice} == {again}
    staging = {t.name for t in schema.STAGING} - set(SNAPSHOTS)
    assert {table.removeprefix("demo_") for table, _ in twice} == staging
    assert max(endpoint.writes[key] for key in twice) == 2


def test_tasks_waited_deferred_for_jobs_that_ran(played, endpoint):
    slow = [job for job in endpoint.jobs if seconds(job)]
    assert [job.configuration["labels"]["dag"] for job in slow].count("features_daily") == DAYS + 1
    polled = {
        request.path.rpartition("/")[2] for request in endpoint.requests if request.method == "jobs.get"
    }
    assert {job.id for job in slow if job.id.startswith("recsys-features_daily")} <= polled


def test_jobs_carry_labels_a_ceiling_and_no_value_in_their_text(played, endpoint):
    queries = [job.configuration for job in endpoint.jobs if job.kind == "query"]
    assert all(int(c["query"]["maximumBytesBilled"]) > 0 for c in queries)
    assert all(
        {"dag", "task", "ds"} <= set(c["labels"]) for c in queries if c["query"].get("writeDisposition")
    )
    days = [f"{day:{form}}" for day in PLAYED for form in ("%Y-%m-%d", "%Y%m%d")]
    assert not [c["query"]["query"] for c in queries if any(day in c["query"]["query"] for day in days)]


def test_a_backfill_beside_later_partitions_gives_the_same_rows(played, endpoint):
    day = PLAYED[0]
    writes = endpoint.writes
    before = without_source_checks(played[1])
    for settings in played:
        with mode.environ(mode.as_environment(settings)):
            for dag_id in (*demo.DAILY_DAGS, "experiment_metrics_daily"):
                airflow_run.run_dag(dag_id, day)
    written = endpoint.writes - writes
    assert {part for _, part in written} <= {f"{day:%Y%m%d}", ""}
    rebuilt = {t.name for t in (*schema.STAGING, *schema.FEATURES, *schema.EXPERIMENTS)} - set(SNAPSHOTS)
    rebuilt -= {"experiments.decisions"}  # the same inputs decide nothing new
    assert rebuilt <= {table.removeprefix("demo_") for table, part in written if part}
    assert mode.differences(*played)[0] == []
    assert without_source_checks(played[1]) == before


def without_source_checks(settings):
    """All tables; but late events have joined the sources since, and checks of sources tell what they see."""
    with open_warehouse(settings) as warehouse:
        found = {name: mode.rows(warehouse, table) for name, table in schema.TABLES.items()}
    checks = found["monitoring.check_results"]
    of_sources = pc.starts_with(checks.column("table_name"), "marketplace.")
    return found | {"monitoring.check_results": checks.filter(pc.invert(of_sources))}


def test_data_that_is_not_synthetic_is_never_replaced(played, folder):
    real = Settings.load({}, warehouse=f"bigquery://{mode.PROJECT}/real_", files=str(folder))
    migrate.run(real)
    day = PLAYED[0]
    with open_warehouse(played[1]) as source, open_warehouse(real) as warehouse:
        warehouse.write("marketplace.events", source.read("marketplace.events", day), day)
        before = mode.rows(warehouse, schema.table("marketplace.events"))
        with pytest.raises(WarehouseError, match="not synthetic"):
            demo.run(real, 1, "small", Console(quiet=True))
        with pytest.raises(RecsysError, match="not synthetic"):
            simulate.history(real, date(2026, 1, 1), 1, size="small")
        assert mode.rows(warehouse, schema.table("marketplace.events")).equals(before)
