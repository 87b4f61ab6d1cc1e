"""The factories: ids, options, the data day, what is retried and what is not."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from recsys.errors import QualityError, SettingsError, SqlError
from recsys_tasks import RecsysOperator, check, data_day, job, sql, wire
from tests.dags.conftest import SHARDS


def context(logical_date=datetime(2026, 1, 5, tzinfo=UTC)):
    return {"dag_run": SimpleNamespace(logical_date=logical_date)}


def test_sql_builds_one_table(calls):
    task = sql("staging.events")
    assert task.task_id == "staging.events"
    assert task.execute(context()) == {"rows": 1}
    assert calls == [("build", date(2026, 1, 5), {"table": "staging.events"})]


def test_check_names_its_stage_and_tables(calls):
    task = check("lists", ["scoring.lists"])
    assert task.task_id == "check_lists"
    task.execute(context())
    assert calls == [("check", date(2026, 1, 5), {"stage": "lists", "tables": ["scoring.lists"]})]


def test_job_passes_its_options(calls):
    job("score", shard=2).execute(context())
    assert calls == [("score", date(2026, 1, 5), {"shard": 2})]


def test_job_returns_the_entry_that_later_tasks_read(calls):
    assert job("plan_shards", returns="shards").execute(context()) == SHARDS


def test_options_that_are_a_task_output_map():
    with DAG("mapped", schedule=None):
        shards = job("plan_shards", returns="shards")
        score = job("score", each=shards.output, fast=True)
    assert score.is_mapped
    assert score.upstream_task_ids == {"plan_shards"}
    merge = score.expand_input.value["options"].callables[0]
    assert merge({"shard": 7, "champion": "2026-01-04"}) == {
        "fast": True,
        "shard": 7,
        "champion": "2026-01-04",
    }


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        ("2026-01-05T00:00+00:00", "UTC", date(2026, 1, 5)),
        ("2026-01-05T13:37+00:00", "UTC", date(2026, 1, 5)),
        ("2026-01-04T15:00+00:00", "Asia/Tokyo", date(2026, 1, 5)),
        ("2026-01-05T05:00+00:00", "America/New_York", date(2026, 1, 5)),
        ("2026-03-28T23:00+00:00", "Europe/Paris", date(2026, 3, 29)),
    ],
)
def test_the_data_day_is_the_logical_date_in_the_zone_of_the_marketplace(moment, zone, day):
    assert data_day(datetime.fromisoformat(moment), zone) == day


def test_a_run_without_logical_date_is_told_what_to_do(calls):
    with pytest.raises(AirflowFailException, match=r"no logical date.*Trigger it again with a logical date"):
        sql("staging.events").execute(context(None))
    assert calls == []


def test_what_only_a_person_can_mend_is_not_retried(calls):
    def fail(job, options):
        raise QualityError("marketplace.events: 3 rows have no event_id.")

    calls.fail = fail
    with pytest.raises(AirflowFailException, match=r"QualityError: marketplace\.events: 3 rows") as caught:
        check("sources", ["marketplace.events"]).execute(context())
    assert isinstance(caught.value.__cause__, QualityError)


def test_anything_else_is_retried(calls):
    def fail(job, options):
        raise OSError("No space left on device")

    calls.fail = fail
    with pytest.raises(OSError, match="No space"):
        sql("staging.events").execute(context())


def test_a_malformed_setting_is_not_retried(calls, monkeypatch):
    task = sql("staging.events")
    monkeypatch.setenv("RECSYS_LATE_DAYS", "soon")
    with pytest.raises(AirflowFailException, match="RECSYS_LATE_DAYS") as caught:
        task.execute(context())
    assert isinstance(caught.value.__cause__, SettingsError)


def test_wire_follows_the_sql_headers():
    with DAG("wired", schedule=None):
        events, arrivals, alone = sql("staging.events"), sql("staging.arrivals"), sql("staging.sellers")
        wire([events, arrivals, alone])
    assert events.upstream_task_ids == {"staging.arrivals"}
    assert not arrivals.upstream_task_ids
    assert not alone.upstream_task_ids | alone.downstream_task_ids


def test_wire_refuses_a_table_without_sql():
    with DAG("wired", schedule=None), pytest.raises(SqlError, match=r"scoring\.lists has no SQL file"):
        wire([sql("scoring.lists")])


def test_options_are_shown_in_the_ui():
    assert set(RecsysOperator.template_fields) == {"job", "options"}
