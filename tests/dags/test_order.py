"""Which runs a run waits for."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable
from pendulum import timezone as pendulum_zone

from recsys_order import READY, RunsTrigger, after, describe, earlier_days, is_over, same_day
from recsys_tasks import DAILY, WEEKLY, data_day

DAY = date(2026, 1, 5)
MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)


class Runs:
    """Airflow's answer to "how many runs": ``{(dag_id, logical date): state}``."""

    def __init__(self, states):
        self.states = states

    def count(self, *, dag_id, logical_dates, states):
        return sum(self.states.get((dag_id, moment)) in states for moment in logical_dates)


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
@pytest.mark.parametrize(
    ("state", "over"),
    [(None, False), ("queued", False), ("running", False), ("failed", False), ("success", True)],
)
def test_a_scheduled_run_waits_until_the_other_dag_has_succeeded(run_type, state, over):
    wait = same_day("features_daily", DAY, "UTC", run_type, MIDNIGHT)
    assert is_over(wait, Runs({("features_daily", MIDNIGHT): state}).count) is over


@pytest.mark.parametrize(
    ("state", "over"),
    [(None, True), ("queued", False), ("running", False), ("failed", True), ("success", True)],
)
def test_a_run_started_by_hand_waits_only_for_one_under_way(state, over):
    moment = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    wait = same_day("features_daily", DAY, "UTC", "manual", moment)
    assert is_over(wait, Runs({("features_daily", MIDNIGHT): state}).count) is over
    assert is_over(wait, Runs({("features_daily", moment): state}).count) is over


def test_a_run_waits_for_midnight_of_its_own_zone():
    wait = same_day("features_daily", DAY, "Asia/Tokyo", "backfill", MIDNIGHT)
    assert is_over(wait, Runs({("features_daily", datetime(2026, 1, 4, 15, tzinfo=UTC)): "success"}).count)


def test_a_scheduled_day_waits_for_every_unfinished_day_before_it():
    wait = earlier_days("features_daily", DAY, "UTC", "scheduled", 3)
    for state, over in [("running", False), ("queued", False), ("failed", True), ("success", True)]:
        for day in (2, 3, 4):
            assert (
                is_over(wait, Runs({("features_daily", datetime(2026, 1, day, tzinfo=UTC)): state}).count)
                is over
            )
    assert is_over(wait, Runs({("features_daily", MIDNIGHT): "running"}).count), "not for itself"
    assert is_over(wait, Runs({("features_daily", datetime(2026, 1, 1, tzinfo=UTC)): "running"}).count)


def test_a_weekly_run_waits_for_the_week_before():
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    wait = earlier_days("keywords_weekly", DAY, "UTC", "scheduled", 7, logical_date=noon)
    last = ("keywords_weekly", datetime(2025, 12, 29, 12, tzinfo=UTC))
    assert not is_over(wait, Runs({last: "running"}).count)
    assert is_over(wait, Runs({last: "success", ("keywords_weekly", noon): "running"}).count)


def test_a_backfilled_day_does_not_wait_for_a_queued_one_that_may_wait_for_its_slot():
    wait = earlier_days("features_daily", DAY, "UTC", "backfill", 3)
    before = ("features_daily", datetime(2026, 1, 4, tzinfo=UTC))
    assert is_over(wait, Runs({before: "queued"}).count)
    assert not is_over(wait, Runs({before: "running"}).count)


EARLIER = datetime(2026, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize("run_type", ["scheduled", "backfill", "manual"])
@pytest.mark.parametrize(
    ("state", "waits"),
    [(None, False), ("queued", True), ("running", True), ("failed", False), ("success", False)],
)
def test_read_outs_wait_for_lists_of_earlier_days_that_are_under_way(run_type, state, waits):
    runs = Runs({("features_daily", MIDNIGHT): "success", ("score_daily", EARLIER): state})
    runs.states["score_daily", MIDNIGHT] = "running"  # lists of the day itself are served the day after
    task = after("features_daily", earlier_days=2, earlier=("score_daily",))
    context = _context(runs, run_type)
    if not waits:
        task.execute(context)
        return
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    (wait,) = deferred.value.trigger.waits
    assert describe([wait]) == "score_daily of 2026-01-03..2026-01-04 to be over"
    runs.states["score_daily", EARLIER] = "success"
    assert is_over(wait, runs.count)


def test_a_backfill_of_everything_run_backwards_comes_to_an_end_without_a_hole():
    """One slot for each DAG, latest day first, all runs queued at once: a run holds its slot while it waits."""
    days = [MIDNIGHT - timedelta(days=back) for back in range(4)]
    tasks = {"lists": after(earlier_days=3), "read_outs": after("lists", earlier_days=3, earlier=("lists",))}
    queues = {dag_id: list(days) for dag_id in tasks}
    runs = Runs({(dag_id, day): "queued" for dag_id in tasks for day in days})
    ended = []
    for _ in range(2 * len(days)):
        for dag_id, queue in queues.items():
            if not queue:
                continue
            runs.states[dag_id, queue[0]] = "running"
            context = _context(runs, "backfill", queue[0])
            context["dag_run"].dag_id = dag_id
            try:
                tasks[dag_id].execute(context)
            except TaskDeferred:
                continue
            runs.states[dag_id, queue[0]] = "success"
            ended.append((dag_id, queue.pop(0)))
    assert ended == [(dag_id, day) for dag_id in tasks for day in days]


DAILY_DATE, WEEKLY_DATE = datetime(2026, 1, 4, tzinfo=UTC), datetime(2026, 1, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize("run_type", ["scheduled", "backfill", "manual"])
@pytest.mark.parametrize("trained", [DAILY_DATE, WEEKLY_DATE], ids=["midnight", "noon"])
@pytest.mark.parametrize(
    ("state", "waits"),
    [(None, False), ("queued", True), ("running", True), ("failed", False), ("success", False)],
)
def test_scoring_waits_for_a_training_of_the_day_that_is_under_way(run_type, trained, state, waits):
    runs = Runs({("features_daily", DAILY_DATE): "success", ("train_weekly", trained): state})
    task = after("features_daily", unfinished=("train_weekly",))
    context = _context(runs, run_type, DAILY_DATE)
    if not waits:
        task.execute(context)
        return
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    (wait,) = deferred.value.trigger.waits
    assert describe([wait]) == "train_weekly of 2026-01-04 to be over"
    runs.states["train_weekly", trained] = "failed"
    assert is_over(wait, runs.count)


def test_a_training_that_begins_while_features_are_waited_for_is_waited_for_too(monkeypatch):
    runs = Runs({("features_daily", DAILY_DATE): "running"})
    with pytest.raises(TaskDeferred) as deferred:
        after("features_daily", unfinished=("train_weekly",)).execute(_context(runs, logical_date=DAILY_DATE))
    _, arguments = deferred.value.trigger.serialize()
    later = [
        (("features_daily", DAILY_DATE), "running"),
        (("train_weekly", WEEKLY_DATE), "queued"),
        (("features_daily", DAILY_DATE), "success"),
        (("train_weekly", WEEKLY_DATE), "running"),
        (("train_weekly", WEEKLY_DATE), "success"),
    ]

    def count(**question):
        if later:
            run, state = later.pop(0)
            runs.states[run] = state
        return runs.count(**question)

    monkeypatch.setattr("recsys_order.POLL_SECONDS", 0)
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_dr_count", count)
    assert _fire(RunsTrigger(**arguments)).payload == READY
    assert not later


def test_what_it_gave_up_on_does_not_name_a_training_that_never_was(monkeypatch):
    runs = Runs({("features_daily", DAILY_DATE): "failed"})
    with pytest.raises(TaskDeferred) as deferred:
        after("features_daily", unfinished=("train_weekly",)).execute(_context(runs, logical_date=DAILY_DATE))
    waits = deferred.value.trigger.waits
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_dr_count", runs.count)
    event = _fire(RunsTrigger(waits, MIDNIGHT.isoformat()))
    assert describe(event.payload) == "features_daily of 2026-01-04 to succeed"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"])
def test_every_weekly_run_of_a_year_is_found_by_its_date(zone):
    weekly = CronTriggerTimetable(WEEKLY.expression, timezone=pendulum_zone(zone), interval=WEEKLY.interval)
    for info in _runs(weekly, zone):
        ds = data_day(info.logical_date, zone)
        midnight = datetime(ds.year, ds.month, ds.day, tzinfo=ZoneInfo(zone))
        wait = same_day("train_weekly", ds, zone, "manual", midnight)
        assert not is_over(wait, Runs({("train_weekly", info.logical_date): "running"}).count), ds


def _context(runs, run_type="backfill", logical_date=MIDNIGHT, user=None):
    run = SimpleNamespace(
        dag_id="me", logical_date=logical_date, run_type=run_type, triggering_user_name=user
    )
    return {"dag_run": run, "ti": SimpleNamespace(get_dr_count=runs.count)}


def test_after_goes_on_at_once_when_there_is_nothing_to_wait_for():
    runs = Runs({("features_daily", MIDNIGHT): "success"})
    after("features_daily", earlier_days=2).execute(_context(runs))


def test_after_defers_and_its_trigger_fires_when_the_run_succeeds(monkeypatch):
    runs = Runs({("features_daily", MIDNIGHT): "running"})
    with pytest.raises(TaskDeferred) as deferred:
        after("features_daily").execute(_context(runs))
    path, arguments = deferred.value.trigger.serialize()
    assert path == "recsys_order.RunsTrigger"
    trigger = RunsTrigger(**arguments)
    monkeypatch.setattr("recsys_order.POLL_SECONDS", 0)
    asked = []

    def count(**question):
        asked.append(question)
        if len(asked) == 3:
            runs.states["features_daily", MIDNIGHT] = "success"
        return runs.count(**question)

    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_dr_count", count)
    event = _fire(trigger)
    assert len(asked) == 3
    after("features_daily").resume({}, event.payload)


def _fire(trigger):
    async def first():
        return await anext(trigger.run())

    return asyncio.run(first())


def test_after_gives_up_one_day_later_and_says_for_whom(monkeypatch):
    runs = Runs({("features_daily", MIDNIGHT): "failed"})
    with pytest.raises(TaskDeferred) as deferred:
        after("features_daily").execute(_context(runs))
    _, arguments = deferred.value.trigger.serialize()
    left = datetime.fromisoformat(arguments["deadline"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_dr_count", runs.count)
    event = _fire(RunsTrigger(arguments["waits"], MIDNIGHT.isoformat()))
    with pytest.raises(AirflowFailException, match="Waited for features_daily of 2026-01-05 to succeed"):
        after("features_daily").resume({}, event.payload)


def test_what_is_waited_for_is_told_in_words():
    waits = [same_day("a", DAY, "UTC", "backfill", MIDNIGHT), earlier_days("b", DAY, "UTC", "backfill", 2)]
    assert describe(waits) == "a of 2026-01-05 to succeed, b of 2026-01-03..2026-01-04 to be over"


def test_a_dag_test_never_waits():
    runs = Runs(
        {("features_daily", MIDNIGHT): "running", ("me", datetime(2026, 1, 4, tzinfo=UTC)): "running"}
    )
    after("features_daily", earlier_days=2).execute(_context(runs, "manual", user="dag_test"))


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Paris", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe"]
)
def test_every_day_of_a_year_has_one_run_and_every_week_a_sunday(zone):
    daily = CronDataIntervalTimetable(DAILY.expression, timezone=pendulum_zone(zone))
    days = [data_day(info.logical_date, zone) for info in _runs(daily, zone)]
    assert len(days) == len(set(days)) == 365
    weekly = CronTriggerTimetable(WEEKLY.expression, timezone=pendulum_zone(zone), interval=WEEKLY.interval)
    weeks = [data_day(info.logical_date, zone) for info in _runs(weekly, zone)]
    assert {day.weekday() for day in weeks} == {6}
    assert len(set(weeks)) >= 52
    for info in _runs(daily, zone)[:3] + _runs(weekly, zone)[:3]:
        end_of_day = info.data_interval.end.in_timezone(zone)
        assert (end_of_day.hour, end_of_day.date() > data_day(info.logical_date, zone)) == (0, True)


def _runs(timetable, zone):
    start = datetime(2026, 1, 1, tzinfo=pendulum_zone(zone))
    end = datetime(2026, 12, 31, tzinfo=pendulum_zone(zone))
    restriction = TimeRestriction(start, end, catchup=True)
    found, info = [], None
    while info := timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction):
        found.append(info)
    return found
