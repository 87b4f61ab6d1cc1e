"""Order between DAGs, and between the days of one DAG: see ``docs/adr/0002-cross-dag-order.md``.

``after(...)`` is the first task of a DAG that stands on another one's day. It asks Airflow about *runs*, not about
files, so a day that is being recomputed is waited for although its old partition is still there. It waits in the
triggerer, or, where that has no plugins as on Composer, by starting again every minute; the setting ``wait`` says
which.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator, BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from recsys.settings import Settings
from recsys_tasks import data_day

POLL_SECONDS = 5.0
GIVE_UP_AFTER = timedelta(hours=24)
COME_AGAIN_AFTER = timedelta(minutes=1)
UNFINISHED = ["queued", "running"]
READY = "ready"
Wait = dict[str, Any]
"""``{dag_id, logical_dates, states, count}``: over when so many runs of these dates are in one of the states."""


class AfterOperator(BaseOperator):
    """Wait, without a worker slot, until the runs that this one stands on are over."""

    ui_color = "#e8e4f3"

    def __init__(
        self,
        *,
        dag_ids: tuple[str, ...],
        earlier_days: int,
        unfinished: tuple[str, ...],
        earlier: tuple[str, ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dag_ids = dag_ids
        self.earlier_days = earlier_days
        self.unfinished = unfinished
        self.earlier = earlier

    def execute(self, context: Any) -> None:
        """Go on if nothing is to be waited for, otherwise hand over to the triggerer."""
        waits, last = waits_of(
            context["dag_run"], self.dag_ids, self.earlier_days, self.unfinished, self.earlier
        )
        open_ = [wait for wait in (*waits, *last) if not is_over(wait, context["ti"].get_dr_count)]
        if open_:
            self.log.info("Waiting for %s", describe(open_))
            # What need not exist may come to exist while the others are waited for: it is asked about after them.
            waits = [wait for wait in waits if wait in open_] + last
            deadline = datetime.now(UTC) + GIVE_UP_AFTER
            self.defer(trigger=RunsTrigger(waits, deadline.isoformat()), method_name="resume")

    def resume(self, context: Any, event: Any = None) -> None:
        """Called once the trigger has fired: go on, or fail for good if it gave up."""
        if event != READY:
            raise AirflowFailException(
                f"Gave up after {GIVE_UP_AFTER}. Waited for {describe(event)}; mend or run that."
            )


class AfterSensor(BaseSensorOperator):
    """The same without the triggerer: ask, and if there is something to wait for, free the slot and come again."""

    ui_color = "#e8e4f3"

    def __init__(
        self,
        *,
        dag_ids: tuple[str, ...],
        earlier_days: int,
        unfinished: tuple[str, ...],
        earlier: tuple[str, ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(mode="reschedule", poke_interval=COME_AGAIN_AFTER, timeout=GIVE_UP_AFTER, **kwargs)
        self.dag_ids = dag_ids
        self.earlier_days = earlier_days
        self.unfinished = unfinished
        self.earlier = earlier

    def poke(self, context: Any) -> bool:
        """Ask once."""
        waits, last = waits_of(
            context["dag_run"], self.dag_ids, self.earlier_days, self.unfinished, self.earlier
        )
        open_ = [wait for wait in (*waits, *last) if not is_over(wait, context["ti"].get_dr_count)]
        if open_:
            self.log.info("Waiting for %s", describe(open_))
        return not open_


class RunsTrigger(BaseTrigger):
    """Fires when every wait is over, or with those that are not when ``deadline`` (ISO 8601) has passed."""

    def __init__(self, waits: list[Wait], deadline: str) -> None:
        super().__init__()
        self.waits = waits
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the import path and arguments that make this trigger again in the triggerer."""
        return "recsys_order.RunsTrigger", {"waits": self.waits, "deadline": self.deadline}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask every few seconds."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        deadline = datetime.fromisoformat(self.deadline)
        for number, wait in enumerate(self.waits):
            while not await sync_to_async(is_over)(wait, RuntimeTaskInstance.get_dr_count):
                if datetime.now(UTC) > deadline:
                    yield TriggerEvent([wait, *await self._open(number + 1)])
                    return
                await asyncio.sleep(POLL_SECONDS)
        yield TriggerEvent(READY)

    async def _open(self, start: int) -> list[Wait]:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        ask = sync_to_async(is_over)
        return [w for w in self.waits[start:] if not await ask(w, RuntimeTaskInstance.get_dr_count)]


def after(
    *dag_ids: str, earlier_days: int = 0, unfinished: tuple[str, ...] = (), earlier: tuple[str, ...] = ()
) -> AfterOperator | AfterSensor:
    """First task of a DAG: wait until ``dag_ids`` have finished the same data day.

    ``earlier_days`` also waits for unfinished runs of this very DAG for that many days before. ``unfinished`` names
    DAGs that need not have run: once the others are over, a queued or running run of the day is waited for, no more.
    ``earlier`` names DAGs of which queued and running runs of the ``earlier_days`` are waited for, in a backfill too:
    they must not themselves wait for this DAG, so that they come to an end while this run holds its slot.
    """
    kind = AfterSensor if Settings.load().wait == "reschedule" else AfterOperator
    return kind(
        task_id="after", dag_ids=dag_ids, earlier_days=earlier_days, unfinished=unfinished, earlier=earlier
    )


def waits_of(
    run: Any, dag_ids: tuple[str, ...], days: int, unfinished: tuple[str, ...], earlier: tuple[str, ...]
) -> tuple[list[Wait], list[Wait]]:
    """Return what ``run`` waits for: what has to be over, and what is asked about when that is."""
    if getattr(run, "triggering_user_name", None) == "dag_test":
        return [], []  # airflow dags test: no scheduler beside it would finish what it waits for
    zone = Settings.load().timezone
    ds = data_day(run.logical_date, zone)
    waits = [same_day(dag_id, ds, zone, run.run_type, run.logical_date) for dag_id in dag_ids]
    if days:
        waits.append(earlier_days(run.dag_id, ds, zone, run.run_type, days, logical_date=run.logical_date))
    last = [same_day(dag_id, ds, zone, "manual", run.logical_date) for dag_id in unfinished]
    return waits, last + [earlier_days(dag_id, ds, zone, "manual", days) for dag_id in earlier]


def same_day(dag_id: str, ds: date, zone: str, run_type: str, logical_date: datetime) -> Wait:
    """Wait for ``dag_id`` on ``ds``.

    A scheduled or backfilled run waits until that run has succeeded, even if it does not exist yet. A run that a
    person started (UI, ``airflow dags test``) waits for one under way and no longer: what is missing, its tasks name.
    Daily runs are dated midnight, weekly ones noon; one under way may also have been started with the same date.
    """
    midnight = _midnight(ds, zone)
    if run_type in ("scheduled", "backfill"):
        return {"dag_id": dag_id, "logical_dates": [midnight], "states": ["success"], "count": 1}
    moments = {datetime.fromisoformat(midnight), _noon(ds, zone), logical_date}
    dates = [moment.isoformat() for moment in sorted(moments)]
    return {"dag_id": dag_id, "logical_dates": dates, "states": UNFINISHED, "count": 0}


def earlier_days(
    dag_id: str, ds: date, zone: str, run_type: str, days: int, *, logical_date: datetime | None = None
) -> Wait:
    """Wait until no run of ``dag_id`` for the ``days`` before ``ds`` is unfinished.

    A backfilled run looks at running ones only: its queued neighbours may be waiting for its own slot. Where
    ``logical_date``, that of the run which asks, is no midnight, earlier ones may be dated noon, as weekly ones are.
    """
    before = [ds - timedelta(days=back) for back in range(days, 0, -1)]
    dates = [_midnight(day, zone) for day in before]
    if logical_date is not None and logical_date != datetime.fromisoformat(_midnight(ds, zone)):
        dates += [_noon(day, zone).isoformat() for day in before]
    states = ["running"] if run_type == "backfill" else UNFINISHED
    return {"dag_id": dag_id, "logical_dates": dates, "states": states, "count": 0}


def is_over(wait: Wait, count_runs: Any) -> bool:
    """Ask Airflow, through ``count_runs(dag_id=, logical_dates=, states=)``, whether ``wait`` is over."""
    dates = [datetime.fromisoformat(text) for text in wait["logical_dates"]]
    return bool(
        count_runs(dag_id=wait["dag_id"], logical_dates=dates, states=wait["states"]) == wait["count"]
    )


def describe(waits: list[Wait]) -> str:
    """Say which runs are waited for, in words for a log."""
    texts = []
    for wait in waits:
        first, last = wait["logical_dates"][0][:10], wait["logical_dates"][-1][:10]
        days = first if first == last else f"{first}..{last}"
        texts.append(f"{wait['dag_id']} of {days} to {'succeed' if wait['count'] else 'be over'}")
    return ", ".join(texts)


def _noon(ds: date, zone: str) -> datetime:
    return datetime(ds.year, ds.month, ds.day, 12, tzinfo=ZoneInfo(zone))


def _midnight(ds: date, zone: str) -> str:
    return datetime(ds.year, ds.month, ds.day, tzinfo=ZoneInfo(zone)).isoformat()
