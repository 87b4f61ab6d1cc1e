"""Waiting without the triggerer, as on Composer, whose triggerer has no plugins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSensorTimeout
from airflow.serialization.serialized_objects import DagSerialization

from recsys_order import AfterSensor, after
from tests.dags.test_order import DAILY_DATE, Runs, _context


@pytest.fixture(autouse=True)
def reschedule(monkeypatch):
    monkeypatch.setenv("RECSYS_WAIT", "reschedule")


def context_of(runs, first_asked=None, **kind):
    context = _context(runs, logical_date=DAILY_DATE, **kind)
    context["ti"].get_first_reschedule_date = lambda _: first_asked
    return context


@pytest.mark.parametrize("state", [None, "queued", "running", "failed"])
def test_what_is_not_over_is_asked_about_again_in_a_minute(state):
    runs = Runs({("features_daily", DAILY_DATE): state})
    with pytest.raises(AirflowRescheduleException) as again:
        after("features_daily").execute(context_of(runs))
    wait = again.value.reschedule_date - datetime.now(UTC)
    assert timedelta(seconds=50) < wait <= timedelta(minutes=1)


def test_it_goes_on_when_all_is_over():
    runs = Runs({("features_daily", DAILY_DATE): "success"})
    after("features_daily", unfinished=("train_weekly",)).execute(context_of(runs))
    runs.states["train_weekly", DAILY_DATE] = "running"
    with pytest.raises(AirflowRescheduleException):
        after("features_daily", unfinished=("train_weekly",)).execute(context_of(runs))


def test_an_earlier_day_under_way_is_waited_for():
    runs = Runs({("me", DAILY_DATE - timedelta(days=1)): "running"})
    with pytest.raises(AirflowRescheduleException):
        after(earlier_days=2).execute(context_of(runs))


def test_it_gives_up_after_a_day():
    runs = Runs({("features_daily", DAILY_DATE): "failed"})
    with pytest.raises(AirflowSensorTimeout):
        after("features_daily").execute(context_of(runs, datetime.now(UTC) - timedelta(hours=25)))


def test_a_dag_test_never_waits():
    runs = Runs({("features_daily", DAILY_DATE): "running"})
    after("features_daily").execute(context_of(runs, run_type="manual", user="dag_test"))


def test_the_scheduler_knows_that_it_comes_again():
    """The scheduler reads this from the stored DAG, without the class."""
    with DAG("waiting", schedule=None) as dag:
        task = after("features_daily")
    assert type(task) is AfterSensor
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("after")
    assert stored.reschedule
    assert "ReadyToRescheduleDep" in {type(dep).__name__ for dep in stored.deps}
