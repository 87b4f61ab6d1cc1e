"""Read-outs of a month: what comes late, days run in any order, and an independent count of the same events."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.jobs import build, declare, fill
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse import Warehouse, open_warehouse
from tests.sql import fixture

START = date(2026, 3, 1)
DAYS = [START + timedelta(days=n) for n in range(30)]
USERS = 40
EXPERIMENT = """
id: e1
hypothesis: The treatment earns more.
unit: user
salt: e1
start: 2026-03-01
control: control
arms:
  control: {policy: popularity, weight: 0.5}
  treatment: {policy: hybrid, weight: 0.5}
secondary: [conversion, ctr, bounce_rate]
winsorise: 0.95
covariate_days: 7
segments: [region]
"""
READ_OUT = ("metrics", "exposures", "unit_daily", "unit_totals", "metrics_daily", "value_counts")


def arm(user: int) -> str:
    return "treatment" if user % 2 else "control"


def events(rng: np.random.Generator) -> pd.DataFrame:
    """What users did from a week before the start on, each act known up to two days later."""
    rows = []
    for day in range(-7, len(DAYS)):
        for user in rng.choice(USERS, size=USERS // 3, replace=False):
            bought = int(rng.random() < 0.2)
            late = int(rng.integers(0, 3)) if bought else 0
            price = round(float(rng.lognormal(3, 1)), 2)
            clicks = int(rng.integers(0, 3))
            rows.append((int(user), day, day, 1 + clicks, clicks, 0, 0.0))
            rows.append((int(user), day, day + late, 0, 0, bought, price * bought))
    columns = ["user", "day", "known", "impressions", "clicks", "purchases", "revenue"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def acts() -> pd.DataFrame:
    return events(np.random.default_rng(5))


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory, acts: pd.DataFrame) -> Settings:
    """Staging and lists of every day; nothing of the experiment is built."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(PROJECT_ROOT / "include" / "sql", home / "include" / "sql")
    shutil.copy(PROJECT_ROOT / "include" / "metrics.yaml", home / "include")
    (home / "include" / "experiments").mkdir()
    (home / "include" / "experiments" / "e1.yaml").write_text(EXPERIMENT)
    settings = Settings.load({}, warehouse=str(home / "warehouse"), home=str(home))
    with open_warehouse(settings) as warehouse:
        for number in range(-8, len(DAYS)):
            stage(warehouse, acts[acts["known"] == number], START + timedelta(days=number))
    return settings


def stage(warehouse: Warehouse, known: pd.DataFrame, ds: date) -> None:
    days = dict(list(known.groupby(["user", "day"])))
    put = {
        "staging.user_item_daily": [
            {
                "user_id": f"u{user:02d}",
                "item_id": "i1",
                "event_date": START + timedelta(days=day),
                **{name: int(rows[name].sum()) for name in ("impressions", "clicks", "purchases")},
                "revenue": Decimal(f"{rows['revenue'].sum():.2f}"),
            }
            for (user, day), rows in days.items()
        ],
        "staging.events": [
            shown(user, day) for (user, day), rows in days.items() if rows["impressions"].sum()
        ],
        "staging.items": [{"item_id": "i1", "take_rate": 0.1}],
        "staging.users": [
            {"user_id": f"u{u:02d}", "region": "north" if u % 3 else "south"} for u in range(USERS)
        ],
        "staging.sellers": [],
        "staging.item_category": [],
        "staging.campaigns": [],
        "staging.item_daily": [],
        "experiments.assignments": [
            {
                "experiment_id": "e1",
                "unit_id": f"u{u:02d}",
                "arm": arm(u),
                "unit": "user",
                "first_assigned_on": ds,
            }
            for u in range(USERS)
        ],
        "marts.recommendations": [
            {"user_id": f"u{u:02d}", "rank": 1, "item_id": "i1", "experiment_id": "e1", "arm": arm(u)}
            for u in range(USERS)
            if ds >= START - timedelta(days=1)
        ],
    }
    for table, rows in put.items():
        fixture.put(warehouse, table, [row | {"ds": ds} for row in rows], ds)


def shown(user: int, day: int) -> dict[str, Any]:
    moment = datetime.combine(START + timedelta(days=day), time(10), UTC) + timedelta(minutes=user)
    return {
        "event_id": f"{user}-{day}",
        "event_ts": moment,
        "user_id": f"u{user:02d}",
        "session_id": f"s{user}-{day}",
        "event_type": "impression",
        "item_id": "i1",
        "surface": "recommendation",
        "request_id": "r",
    }


def run_days(staged: Settings, folder: Path, days: Iterable[date]) -> Settings:
    """Do what the DAG of each day does, over a copy of the staged warehouse."""
    settings = replace(staged, warehouse=str(folder / "warehouse"))
    shutil.copytree(staged.warehouse, settings.warehouse)
    for ds in days:
        run_day(settings, ds)
    return settings


def run_day(settings: Settings, ds: date) -> None:
    declare.run(settings, ds)
    build.history(settings, ds, ds, ["experiments.exposures", "experiments.unit_daily"])
    fill.run(settings, ds)
    build.history(settings, ds, ds, [f"experiments.{name}" for name in READ_OUT[-3:]])


def fingerprint(settings: Settings) -> dict[str, str]:
    """SHA-256 of every file of the experiment from its start on."""
    return {
        f"{name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for name in READ_OUT
        for path in sorted((Path(settings.warehouse) / "experiments" / name).glob("*.parquet"))
    }


@pytest.fixture(scope="module")
def in_order(staged: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return run_days(staged, tmp_path_factory.mktemp("order"), DAYS)


def test_a_month_out_of_order_gives_the_bytes_of_a_month_in_order(
    staged: Settings, in_order: Settings, tmp_path: Path
) -> None:
    """The last day first, which needs all others, then the others shuffled."""
    order = [DAYS[-1], *np.random.default_rng(7).permutation(DAYS[:-1])]
    found = fingerprint(run_days(staged, tmp_path, order))
    expected = fingerprint(in_order)
    assert len([name for name in found if name.startswith("metrics_daily")]) == len(DAYS)
    assert found == expected


def known(acts: pd.DataFrame, ds: date) -> pd.DataFrame:
    """Acts of each user that count at the end of ``ds``: known by then, from the first exposure on."""
    number = (ds - START).days
    by_now = acts[(acts["known"] <= number) & (acts["day"] >= 0)]
    first = by_now[by_now["impressions"] > 0].groupby("user")["day"].min().rename("first")
    counted = by_now.merge(first, on="user")
    return counted[counted["day"] >= counted["first"]]


def read(settings: Settings, ds: date, metric: str, scope: str) -> pd.DataFrame:
    with open_warehouse(settings) as warehouse:
        rows = warehouse.read("experiments.metrics_daily", ds)
    rows = rows[(rows["metric"] == metric) & (rows["scope"] == scope) & (rows["segment"] == "all")]
    return rows.set_index("arm")


@pytest.mark.parametrize("ds", [DAYS[2], DAYS[-1]])
def test_sums_are_those_of_an_independent_count(in_order: Settings, acts: pd.DataFrame, ds: date) -> None:
    totals = known(acts, ds).groupby("user")[["revenue", "purchases", "clicks", "impressions"]].sum()
    totals["arm"] = [arm(user) for user in totals.index]
    earned = totals["revenue"] * 0.1
    cap = float(np.quantile(earned, 0.95, method="inverted_cdf"))
    past = (
        acts[(acts["day"] < 0) & (acts["known"] <= (ds - START).days)].groupby("user")["revenue"].sum() * 0.1
    )
    past = past.reindex(totals.index).fillna(0)
    past_cap = float(np.quantile(past, 0.95, method="inverted_cdf"))
    totals["rpu"], totals["past"] = earned.clip(upper=cap), past.clip(upper=past_cap)
    rpu, ctr, conversion = (read(in_order, ds, m, "cumulative") for m in ("rpu", "ctr", "conversion"))
    for name, mine in totals.groupby("arm"):
        assert rpu.loc[name, "units"] == len(mine)
        assert rpu.loc[name, "cap"] == pytest.approx(cap)
        assert rpu.loc[name, "num"] == pytest.approx(mine["rpu"].sum())
        assert rpu.loc[name, "num_num"] == pytest.approx((mine["rpu"] ** 2).sum())
        assert rpu.loc[name, "num_cov_num"] == pytest.approx((mine["rpu"] * mine["past"]).sum())
        assert rpu.loc[name, "cov_num_cov_num"] == pytest.approx((mine["past"] ** 2).sum())
        assert ctr.loc[name, "num_den"] == (mine["clicks"] * mine["impressions"]).sum()
        assert conversion.loc[name, "num"] == (mine["purchases"] > 0).sum()


def test_segments_add_up_to_all(in_order: Settings) -> None:
    with open_warehouse(in_order) as warehouse:
        rows = warehouse.read("experiments.metrics_daily", DAYS[-1])
    sums = rows.groupby(["metric", "arm", "scope", "segment"])[["units", "num", "num_num"]].sum().unstack()
    for column in ("units", "num", "num_num"):
        np.testing.assert_allclose(sums[column]["region"], sums[column]["all"])
    assert set(rows["segment_value"]) == {"all", "north", "south"}


@pytest.mark.parametrize("scope", ["cumulative", "day"])
def test_values_are_counted_by_day_and_segment(in_order: Settings, acts: pd.DataFrame, scope: str) -> None:
    with open_warehouse(in_order) as warehouse:
        rows = warehouse.read("experiments.value_counts", DAYS[-1])
    rows = rows[(rows["metric"] == "buyer_spend_p90") & (rows["scope"] == scope)]
    counted = known(acts, DAYS[-1])
    if scope == "day":
        today = counted[counted["day"] == len(DAYS) - 1]
        counted = today[today["user"].isin(today.loc[today["impressions"] > 0, "user"])]
    spent = counted.groupby("user")["revenue"].sum()
    spent = spent[spent > 0].to_frame("spent")
    spent["arm"] = [arm(user) for user in spent.index]
    spent["region"] = ["north" if user % 3 else "south" for user in spent.index]
    for name, mine in spent.groupby("arm"):
        for segment, part in [("all", mine), *mine.groupby("region")]:
            found = rows[(rows["arm"] == name) & (rows["segment_value"] == segment)]
            values = np.sort(np.repeat(found["value"], found["units"]))
            np.testing.assert_allclose(values, np.sort(part["spent"]), rtol=0.006)


def test_a_late_purchase_counts_on_its_day_in_later_read_outs_alone(
    in_order: Settings, acts: pd.DataFrame
) -> None:
    late = acts[(acts["known"] == acts["day"] + 2) & acts["day"].between(5, 25) & (acts["purchases"] > 0)]
    number = int(late["day"].iloc[0])
    day = DAYS[number]
    first, last = (
        read(in_order, day + timedelta(days=n), "orders_per_user", "day" if n == 0 else f"day-{n}")[
            "num"
        ].sum()
        for n in (0, 2)
    )
    shown_then = acts[(acts["day"] == number) & (acts["impressions"] > 0)]["user"]
    bought = acts[(acts["day"] == number) & acts["user"].isin(shown_then)]
    assert last == bought["purchases"].sum()
    assert first == bought[bought["known"] == number]["purchases"].sum()
    assert last > first


def test_a_day_run_again_after_later_ones_tells_what_it_told(in_order: Settings, tmp_path: Path) -> None:
    before = fingerprint(in_order)
    run_day(in_order, DAYS[9])
    assert fingerprint(in_order) == before
