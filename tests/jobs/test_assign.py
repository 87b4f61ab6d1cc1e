"""The job assign: who is in an experiment, since when, and the same whichever day is made first."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from recsys.errors import ExperimentError, WarehouseError
from recsys.experiments.assignment import assign as arms_of_units
from recsys.experiments.assignment import takes_part
from recsys.experiments.definition import load_experiments
from recsys.jobs import assign
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

START = date(2026, 2, 10)
EVE = START - timedelta(days=1)
"""The first data day: its lists are served on START."""
TABLE = "experiments.assignments"
USERS = [f"u{i:04d}" for i in range(1_000)]
Rows = list[dict[str, Any]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings.load({}, warehouse=str(tmp_path / "warehouse"), home=str(tmp_path))
    found.metrics_path.parent.mkdir(parents=True)
    shutil.copy(Settings.load({}).metrics_path, found.metrics_path)
    return found


def define(settings: Settings, name: str = "e", **changes: Any) -> None:
    """Write one definition, of two arms served to users unless ``changes`` say otherwise."""
    fields: dict[str, Any] = {"id": name, "hypothesis": "h", "unit": "user", "salt": name, "start": START}
    served = changes.get("unit", "user") == "user"
    arm = {"weight": 0.5, **({"policy": "hybrid"} if served else {})}
    fields |= {"control": "a", "arms": {"a": arm, "b": dict(arm)}} | changes
    settings.experiments_dir.mkdir(parents=True, exist_ok=True)
    (settings.experiments_dir / f"{name}.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")


def fill(settings: Settings, name: str, ds: date | None, rows: Rows) -> None:
    """Write rows with a plain value for every required column that a row leaves out."""
    plain: dict[str, Any] = {"STRING": "x", "INT64": 0, "FLOAT64": 0.0, "NUMERIC": 0, "BOOL": False}
    plain |= {"TIMESTAMP": pd.Timestamp("2026-01-01", tz="UTC"), "DATE": ds}
    defaults = {c.name: plain.get(c.type) if c.required else None for c in table(name).columns}
    frame = pd.DataFrame([defaults | row for row in rows], columns=list(defaults))
    with open_warehouse(settings) as warehouse:
        warehouse.write(name, frame, ds)


def active(settings: Settings, day: date, users: list[str], **columns: Any) -> None:
    fill(settings, "features.user_daily", day, [{"user_id": user, **columns} for user in users])


def made(settings: Settings, ds: date) -> pd.DataFrame:
    assign.run(settings, ds)
    with open_warehouse(settings) as warehouse:
        return warehouse.read(TABLE, ds).set_index("unit_id")


def test_a_row_says_who_where_and_since_when(settings: Settings) -> None:
    define(settings)
    active(settings, EVE, USERS[:2])
    rows = made(settings, EVE)
    (experiment,) = load_experiments(settings.experiments_dir)
    arms, buckets = arms_of_units(experiment, USERS[:2])
    assert rows.index.tolist() == USERS[:2]
    assert rows["arm"].tolist() == arms.tolist()
    assert rows["bucket"].tolist() == buckets.tolist()
    assert set(rows["policy"]) == {"hybrid"}
    assert set(rows["unit"]) == {"user"}
    assert {value.date() for name in ("first_assigned_on", "ds") for value in rows[name]} == {EVE}
    assert {value.date() for value in rows["started_on"]} == {START}


def test_the_first_assignment_is_kept_and_so_is_the_unit(settings: Settings) -> None:
    """u2 comes back, u3 stays away, u4 is new: each keeps the day on which it first could be assigned."""
    define(settings)
    for back, users in ((2, ["u1"]), (0, ["u1", "u2", "u3"]), (-1, ["u1"]), (-2, ["u1", "u2", "u4"])):
        active(settings, EVE - timedelta(days=back), users)
    last = EVE + timedelta(days=2)
    first = made(settings, last)["first_assigned_on"].dt.date
    assert first.to_dict() == {"u1": EVE, "u2": EVE, "u3": EVE, "u4": last}


def test_who_stops_being_eligible_stays(settings: Settings) -> None:
    define(settings, eligibility={"where": "purchases_90d = 0 AND region IN ('north')"})
    active(settings, EVE, ["u1", "u2"], purchases_90d=0, region="north")
    active(settings, START, ["u1", "u3"], purchases_90d=3, region="north")
    active(settings, START + timedelta(days=1), ["u4"], region="south")
    active(settings, START + timedelta(days=2), ["u5"], region=None)
    assert made(settings, START + timedelta(days=2)).index.tolist() == ["u1", "u2"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"holdout": 0.2},
        {"layer": {"name": "one", "first": 2_000, "share": 0.5}},
        {"ramp": [{"from": START, "share": 0.2}, {"from": START + timedelta(days=2), "share": 0.7}]},
        {
            "holdout": 0.1,
            "layer": {"name": "one", "last": 6_999},
            "ramp": [{"from": START, "share": 0.5}, {"from": START + timedelta(days=1), "share": 1}],
        },
    ],
)
def test_the_statement_takes_whom_the_function_takes(settings: Settings, changes: dict[str, Any]) -> None:
    define(settings, **changes)
    (experiment,) = load_experiments(settings.experiments_dir)
    for day in range(4):
        ds = EVE + timedelta(days=day)
        active(settings, ds, USERS)
        rows = made(settings, ds)
        inside = np.array(USERS)[takes_part(experiment, USERS, ds + timedelta(days=1))]
        assert rows.index.tolist() == inside.tolist()
        joined = [rows["first_assigned_on"].dt.date == EVE + timedelta(days=n) for n in range(day + 1)]
        shares = [takes_part(experiment, USERS, START + timedelta(days=n)).sum() for n in range(day + 1)]
        assert np.cumsum([one.sum() for one in joined]).tolist() == shares


def test_any_order_gives_the_same_bytes(settings: Settings) -> None:
    define(settings, ramp=[{"from": START, "share": 0.3}, {"from": START + timedelta(days=1), "share": 0.8}])
    days = [EVE + timedelta(days=n) for n in range(3)]
    for n, day in enumerate(days):
        active(settings, day, USERS[n * 100 : n * 100 + 500])
    folder = Path(settings.warehouse) / "experiments" / "assignments"

    def read() -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.parquet")}

    found = []
    for order in permutations(days):
        shutil.rmtree(folder, ignore_errors=True)
        for day in [*order, order[0]]:
            assign.run(settings, day)
        found.append(read())
    assert len(found[0]) == 3
    assert all(one == found[0] for one in found)


def test_layers_exclude_and_experiments_beside_them_do_not(settings: Settings) -> None:
    define(settings, "one", layer={"name": "ranking", "last": 3_999})
    define(settings, "two", layer={"name": "ranking", "first": 4_000, "last": 9_999})
    define(settings, "three")
    active(settings, EVE, USERS)
    rows = made(settings, EVE).reset_index().groupby("experiment_id")["unit_id"].apply(set)
    assert rows["one"] & rows["two"] == set()
    assert rows["one"] | rows["two"] == set(USERS) == rows["three"]


def campaigns(settings: Settings) -> None:
    day = timedelta(days=1)
    lives = {
        "c1": (EVE - 5 * day, None),  # from before the start
        "c2": (START, START),  # over again by the day that is asked about
        "c3": (EVE - 5 * day, EVE - day),  # ended before
        "c4": (START + 9 * day, None),  # begins later
    }
    times = {c: [pd.Timestamp(t, tz="UTC") if t else None for t in life] for c, life in lives.items()}
    for ds in (EVE, START, START + day):
        end = pd.Timestamp(ds + day, tz="UTC")
        rows = [
            {
                "campaign_id": campaign,
                "started_at": begun,
                "ended_at": ended if ended is not None and ended < end else None,
                "ad_rate": 0.2 if campaign == "c1" and ds > START else 0.1,
            }
            for campaign, (begun, ended) in times.items()
            if begun < end
        ]
        fill(settings, "staging.campaigns", ds, rows)


def sellers(settings: Settings) -> None:
    for day in (EVE, START, START + timedelta(days=1)):
        rows = [{"seller_id": f"s{n}", "live_listings": n} for n in range(3)]
        fill(settings, "features.seller_daily", day, rows)


def clusters(settings: Settings) -> None:
    for day in (EVE, START, START + timedelta(days=1)):
        tree = [
            {"category_id": "a"},
            {"category_id": "b"},
            {"category_id": "a1", "parent_id": "a", "level": 1},
        ]
        fill(settings, "staging.item_category", day, tree)
        regions = ["north", "north", None, *(["south"] if day > EVE else [])]
        fill(
            settings, "staging.users", day, [{"user_id": f"u{n}", "region": r} for n, r in enumerate(regions)]
        )


@pytest.mark.parametrize(
    ("unit", "fill_in", "where", "expected"),
    [
        ("seller", sellers, None, {"s0": EVE, "s1": EVE, "s2": EVE}),
        ("seller", sellers, "live_listings >= 2", {"s2": EVE}),
        ("campaign", campaigns, None, {"c1": EVE, "c2": START}),
        ("campaign", campaigns, "ad_rate > 0.2", {}),
        ("campaign", campaigns, "ad_rate > 0.1", {"c1": START + timedelta(days=1)}),
        ("cluster", clusters, None, {"a|north": EVE, "b|north": EVE, "a|south": START, "b|south": START}),
        ("cluster", clusters, "level = 1", {"a1|north": EVE, "a1|south": START}),
    ],
)
def test_other_units_need_no_policy(
    settings: Settings, unit: str, fill_in: Callable, where: str | None, expected: dict[str, date]
) -> None:
    fill_in(settings)
    define(settings, unit=unit, **({"eligibility": {"where": where}} if where else {}))
    rows = made(settings, START + timedelta(days=1))
    assert rows["first_assigned_on"].dt.date.to_dict() == expected
    assert rows["policy"].isna().all()
    assert (rows["unit"] == unit).all()


def test_missing_days_are_told_and_a_missing_day_is_an_error(settings: Settings) -> None:
    define(settings)
    later = EVE + timedelta(days=3)
    active(settings, EVE, ["u1"])
    active(settings, later, ["u1"])
    told = assign.run(settings, later)
    assert told["days_missing"] == ["2026-02-10", "2026-02-11"]
    with pytest.raises(WarehouseError, match=r"features\.user_daily has no partition 2026-02-13"):
        assign.run(settings, later + timedelta(days=1))
    define(settings, "c", unit="campaign")
    with pytest.raises(WarehouseError, match=r"staging\.campaigns has no partition 2026-02-09"):
        assign.run(settings, EVE)


def test_an_experiment_that_nobody_ends_is_looked_back_on_so_far_and_no_further(settings: Settings) -> None:
    define(settings)
    short = dataclasses.replace(settings, experiment_days=2)
    for n, users in enumerate((["u1", "u2"], ["u1"], ["u1"], ["u1", "u3"])):
        active(settings, EVE + timedelta(days=n), users)
    last = EVE + timedelta(days=3)
    assert assign.run(short, last)["outlived"] == ["e"]
    assert assign.run(short, last - timedelta(days=1))["outlived"] == []
    first = made(short, last)["first_assigned_on"].dt.date
    assert first.to_dict() == {"u1": EVE + timedelta(days=1), "u3": last}


def test_a_wrong_definition_writes_nothing(settings: Settings) -> None:
    define(settings)
    active(settings, EVE, ["u1"])
    assign.run(settings, EVE)
    define(settings, "other", salt="e")
    with pytest.raises(ExperimentError, match="share the salt 'e'"):
        assign.run(settings, EVE)
    define(settings, "other", primary="rpuu")
    with pytest.raises(ExperimentError, match="there is no metric 'rpuu'"):
        assign.run(settings, EVE)
    with open_warehouse(settings) as warehouse:
        assert len(warehouse.read(TABLE, EVE)) == 1
