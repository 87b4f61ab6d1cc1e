"""Play the synthetic marketplace over the warehouse: published lists in, source tables out.

The world at the end of each played day is kept out of sight of every query: under ``_synthetic`` in a local warehouse;
for one in BigQuery, in RECSYS_FILES under the name of the warehouse. So a day can be played again from the evening
before and give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa

from recsys.errors import RecsysError, SettingsError
from recsys.schema import table
from recsys.settings import Settings
from recsys.synthetic import (
    DayTables,
    MarketplaceConfig,
    State,
    compare,
    play,
    preset,
    source_tables,
    start,
    trending,
)
from recsys.warehouse import Warehouse, open_warehouse
from recsys.warehouse.files import replacing
from recsys.warehouse.frames import to_contract

STATE_FOLDER = "_synthetic"
EVENTS, REPORTS, LISTS = "marketplace.events", "marketplace.campaign_daily", "marts.recommendations"
OFFERS, OFFER_DAYS = "marts.keyword_recommendations", 7
"""Keywords that were published within so many days are what sellers are offered."""
LOOK_BACK_DAYS = 10
"""No event of the synthetic marketplace arrives later than this."""

_KNOWN_SINCE = """
SELECT DISTINCT event_date FROM marketplace.events WHERE event_date >= @first AND ingested_at >= @start
"""
_KNOWN_BEFORE = "SELECT * FROM marketplace.events WHERE event_date = @day AND ingested_at < @start"


def run(settings: Settings, ds: date, size: str = "demo", users: int | None = None) -> dict[str, object]:
    """Play day ``ds``: users see the lists published the evening before, and sellers the newest keywords; they act.

    The first day makes a new world of ``size`` ("small" or "demo") or of about ``users`` users; each later one goes on
    where the day before ended. Playing a day again gives the same bytes and forgets the days after it.

    Raises:
        RecsysError: when the day before was not played, or the warehouse cannot hold a synthetic marketplace.
    """
    with open_warehouse(settings) as warehouse:
        state = _evening_before(settings, ds)
        if state is None and _played(settings):
            raise _gap(settings, ds)
        state = state or _new_world(settings, warehouse, _config(settings, ds, size, users))
        lists = warehouse.read(LISTS, state.ds) if warehouse.exists(LISTS, state.ds) else None
        state, day = play(state, ds, lists, trending(state), _offers(warehouse, state.ds))
        _rewind(settings, warehouse, ds)
        arrivals = _by_day(day)
        for event_date in _touched(warehouse, ds, arrivals):
            _merge_events(warehouse, event_date, ds, arrivals.get(event_date))
        warehouse.write(REPORTS, day.campaign_daily, ds)
        _write_tables(warehouse, state)
        _save(settings, state)
    return _summary(day, lists)


def _offers(warehouse: Warehouse, eve: date) -> pd.DataFrame | None:
    """The newest keywords that sellers can see on the day after ``eve``."""
    known = [day for day in warehouse.partitions(OFFERS) if 0 <= (eve - day).days < OFFER_DAYS]
    return warehouse.read(OFFERS, max(known)) if known else None


def history(
    settings: Settings,
    start_day: date,
    days: int,
    *,
    size: str = "demo",
    users: int | None = None,
    behaviour: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, object]:
    """Make a new world and play ``days`` days in it from ``start_day`` on, without lists; an old world is replaced.

    ``behaviour`` names the model of its buyers (``MarketplaceConfig.behaviour``), which later days keep.

    The tables have the same bytes as if each day had been played by ``run``. Only the last evening is kept as a state
    that ``run`` can go on from.
    """
    with open_warehouse(settings) as warehouse:
        state = _new_world(settings, warehouse, _config(settings, start_day, size, users, behaviour))
        pending: dict[date, list[pa.Table]] = {}
        events = 0
        for number in range(days):
            ds = start_day + timedelta(days=number)
            state, day = play(state, ds, None, trending(state))
            for event_date, frame in _by_day(day).items():
                pending.setdefault(event_date, []).append(frame)
            events += len(day.events)
            warehouse.write(REPORTS, day.campaign_daily, ds)
            for event_date in [d for d in pending if d < ds - timedelta(days=LOOK_BACK_DAYS)]:
                _write_events(warehouse, event_date, pending.pop(event_date))
            if progress:
                progress(f"{ds}: {len(day.events):,} events")
        for event_date, frames in sorted(pending.items()):
            _write_events(warehouse, event_date, frames)
        _write_tables(warehouse, state)
        _save(settings, state)
    return {"first_day": str(start_day), "last_day": str(state.ds), "events": events, "users": state.n_users}


def truth(
    settings: Settings, ds: date, lists_by_policy: Mapping[str, pd.DataFrame], replications: int = 30
) -> dict[str, dict[str, float]]:
    """What each policy truly earns on ``ds`` when every user gets its lists, by policy name.

    Args:
        settings: names the warehouse whose marketplace was played up to the day before ``ds``, at least.
        ds: the day to play; nothing is written.
        lists_by_policy: per policy a frame of user_id, rank, item_id (and propensity).
        replications: times the day is played for each policy; all policies meet the same chances.

    Returns:
        Figures of ``recsys.synthetic.Truth.summary``: users, rpu, rpu_error, conversion, ctr, rpu_all, ...
    """
    state = _evening_before(settings, ds)
    if state is None:
        raise _gap(settings, ds)
    truths = compare(state, ds, lists_by_policy, replications, trending(state))
    return {policy: found.summary() for policy, found in truths.items()}


def _config(
    settings: Settings, first_day: date, size: str, users: int | None, behaviour: str | None = None
) -> MarketplaceConfig:
    changes: dict[str, object] = {"seed": settings.seed, "first_day": first_day}
    changes |= {"behaviour": behaviour} if behaviour else {}
    return preset(size, **changes | ({"users": users} if users else {}))


def state_folder(settings: Settings) -> Path:
    """Folder of the evenings of the world that plays in this warehouse, and in no other.

    Raises:
        SettingsError: the marketplace's zone is not UTC; or BigQuery, and RECSYS_FILES is not set.
    """
    if settings.timezone != "UTC":
        raise SettingsError(f"The synthetic marketplace keeps UTC; RECSYS_TIMEZONE is {settings.timezone!r}.")
    if not settings.is_bigquery:
        return Path(settings.warehouse) / STATE_FOLDER
    project, _, prefix = settings.warehouse.partition("://")[2].partition("/")
    return settings.files_dir / STATE_FOLDER / _word(project) / (_word(prefix) or "-")


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)


def _path(settings: Settings, ds: date) -> Path:
    return state_folder(settings) / f"ds={ds}.npz"


def _played(settings: Settings) -> list[date]:
    return sorted(date.fromisoformat(path.stem[3:]) for path in state_folder(settings).glob("ds=*.npz"))


def _evening_before(settings: Settings, ds: date) -> State | None:
    path = _path(settings, ds - timedelta(days=1))
    return State.from_bytes(path.read_bytes()) if path.is_file() else None


def _gap(settings: Settings, ds: date) -> RecsysError:
    days = _played(settings)
    known = f"it stands at {', '.join(map(str, days[-3:]))}" if days else "there is none yet"
    return RecsysError(
        f"Day {ds} follows on the marketplace at the end of {ds - timedelta(days=1)}, but {known}. "
        "Play the days in order, or start over in an empty warehouse."
    )


def _new_world(settings: Settings, warehouse: Warehouse, config: MarketplaceConfig) -> State:
    """Start a world in place of an older synthetic one; data of another origin is never replaced."""
    played = _played(settings)
    if not played and warehouse.exists(EVENTS):
        raise RecsysError(
            f"{settings.warehouse} holds events that are not synthetic. Name another warehouse in RECSYS_WAREHOUSE."
        )
    for name in (EVENTS, REPORTS):
        for day in warehouse.partitions(name):
            warehouse.drop(name, day)
    for day in played:
        _path(settings, day).unlink()
    state = start(config)
    _save(settings, state)
    return state


def _save(settings: Settings, state: State) -> None:
    with replacing(_path(settings, state.ds)) as aside:
        aside.write_bytes(state.to_bytes())


def _rewind(settings: Settings, warehouse: Warehouse, ds: date) -> None:
    """Forget what a former play knew of ``ds`` and later, but the events, which are merged."""
    for day in _played(settings):
        if day >= ds:
            _path(settings, day).unlink()
    for day in warehouse.partitions(REPORTS):
        if day >= ds:
            warehouse.drop(REPORTS, day)


def _by_day(day: DayTables) -> dict[date, pa.Table]:
    """The events that arrived, by the day they happened, in the contract's types."""
    contract, parts = table(EVENTS), {}
    for moment, frame in day.events.groupby("event_date", sort=True):
        event_date = pd.Timestamp(str(moment)).date()
        parts[event_date] = to_contract(contract, frame, event_date)
    return parts


def _touched(warehouse: Warehouse, ds: date, arrivals: Mapping[date, pa.Table]) -> list[date]:
    """Event days that hold, or will hold, something known on ``ds`` or later."""
    first = ds - timedelta(days=LOOK_BACK_DAYS)
    known = warehouse.query(_KNOWN_SINCE, {"first": first, "start": datetime.combine(ds, time(), UTC)})
    return sorted({*arrivals, *(day for day in known.column("event_date").to_pylist() if day)})


def _merge_events(warehouse: Warehouse, event_date: date, ds: date, arrived: pa.Table | None) -> None:
    """Replace what the partition knows from ``ds`` on by what arrived on ``ds``."""
    start_of_day = datetime.combine(ds, time(), UTC)
    before = warehouse.query(_KNOWN_BEFORE, {"day": event_date, "start": start_of_day})
    pieces = [piece for piece in (before, arrived) if piece is not None and piece.num_rows]
    if pieces:
        _write_events(warehouse, event_date, pieces)
    else:
        warehouse.drop(EVENTS, event_date)


def _write_events(warehouse: Warehouse, event_date: date, pieces: list[pa.Table]) -> None:
    contract = table(EVENTS)
    warehouse.write(
        EVENTS, pa.concat_tables([to_contract(contract, piece, event_date) for piece in pieces]), event_date
    )


def _write_tables(warehouse: Warehouse, state: State) -> None:
    for name, frame in source_tables(state).items():
        warehouse.write(name, frame)


def _summary(day: DayTables, lists: pd.DataFrame | None) -> dict[str, object]:
    events = day.events
    bought = events[(events["event_type"] == "purchase") & (events["amount"] > 0)]
    return {
        "day": str(day.ds),
        "lists": 0 if lists is None else int(lists["user_id"].nunique()),
        "events": len(events),
        "active_users": int(events["user_id"].nunique()),
        "purchases": len(bought),
        "gmv": round(float(bought["amount"].sum()), 2),
    }
