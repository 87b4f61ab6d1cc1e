"""Ranges of users: every user in exactly one, the same on both engines, and in the order that Python has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from recsys import schema
from recsys.jobs import inputs, plan_shards
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from recsys.warehouse.tables import load_spec
from tests.endpoint import BigQueryEndpoint
from tests.warehouse.bigquery.conftest import PROJECT, make_tables

DS = date(2026, 1, 5)
ODD = ["", " ", "-x", "--shard=7", "10", "9", "A", "Z", "a", "a b", "ab", "e\u0301", "\u00e9", "z", "\u00fc"]
ODD += ["\uffff", "\U0001f600", "\u7528\u6237", "' OR 1=1 --", "{{ 7 * 7 }}", "$(X)", "@ds"]
"""Ids whose order tells bytes from UTF-16 and from any language; one of them is empty."""
VALUES = {"STRING": "x", "INT64": 0, "FLOAT64": 0.0, "NUMERIC": 0.0, "BOOL": False}


def frame(users: list[str]) -> pd.DataFrame:
    """Rows of features.user_daily, in another order than that of the ids."""
    columns = schema.table("features.user_daily").columns
    rows = pd.DataFrame({c.name: VALUES.get(c.type, DS) for c in columns}, index=range(len(users)))
    return rows.assign(user_id=users[::-1], ds=DS)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({}, warehouse=str(tmp_path / "w"))


@pytest.fixture(params=["local", "bigquery"])
def warehouse(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """A warehouse on each engine."""
    if request.param == "local":
        with open_warehouse(settings) as opened:
            yield opened
        return
    with BigQueryEndpoint(tmp_path / "endpoint") as endpoint:
        for name, value in endpoint.environment(PROJECT).items():
            monkeypatch.setenv(name, value)
        remote = replace(settings, warehouse=f"bigquery://{PROJECT}/demo_", files=str(tmp_path / "files"))
        with open_warehouse(remote) as opened:
            make_tables(opened.connection.client, remote)  # type: ignore[attr-defined]
            yield opened
        assert not endpoint.violations


def test_each_user_is_in_one_range_in_the_order_of_python(warehouse: Warehouse, settings: Settings) -> None:
    warehouse.write("features.user_daily", frame(ODD), DS)
    users = sorted(ODD)
    assert users == sorted(ODD, key=lambda user: user.encode())
    for shards in (1, 4, len(users), len(users) + 5):
        found = plan_shards.ranges(warehouse, replace(settings, shards=shards), DS)
        mine = [[user for user in users if first <= user <= last] for first, last in found]
        assert [user for part in mine for user in part] == users, "in order, none twice, none left out"
        assert len(found) == min(shards, len(users))
        assert max(map(len, mine)) - min(map(len, mine)) <= 1
        sql, params = inputs.snapshot_queries(settings, found[-1])["users"]
        assert warehouse.query(sql, params, ds=DS).column("user_id").to_pylist() == mine[-1]


def test_no_users_make_one_shard_of_nobody(warehouse: Warehouse, settings: Settings) -> None:
    warehouse.write("features.user_daily", frame([]), DS)
    assert plan_shards.ranges(warehouse, settings, DS) == [plan_shards.NOBODY]


def test_of_many_users_a_sample_says_where_ranges_begin(settings: Settings) -> None:
    users = [f"u{n:05}" for n in range(5000)]
    with open_warehouse(settings) as warehouse:
        warehouse.write("features.user_daily", frame(users), DS)
        seven = replace(settings, shards=7)
        found = plan_shards.ranges(warehouse, seven, DS, most=1000)
        assert plan_shards.ranges(warehouse, seven, DS, most=1000) == found
        whole = plan_shards.ranges(warehouse, seven, DS)
    mine = [[user for user in users if first <= user <= last] for first, last in found]
    assert [user for part in mine for user in part] == users
    assert all(abs(len(part) / len(users) * 7 - 1) < 0.25 for part in mine)
    assert found != whole, "it is a sample that decided"
    assert [users.index(first) for first, _ in whole] == [0, 715, 1430, 2144, 2858, 3572, 4286]


def test_what_a_shard_filters_is_clustered_by_its_users_first() -> None:
    """Else a range of users would be read with the blocks of all others."""
    settings = Settings.load({})
    for name in ("staging.user_item_daily", *inputs.FEATURE_TABLES):
        spec = load_spec(settings.sql_dir, name)
        if "user_id" in schema.table(name).column_names:
            assert spec.cluster[0] == "user_id", name


def test_a_shard_compares_the_bare_column_with_constants(settings: Settings) -> None:
    """BigQuery prunes blocks by such a filter, not by a subquery or a function of the column."""
    for name in ("users", "interactions", "affinity", "touched"):
        sql, params = inputs.snapshot_queries(settings, ("a", "b"))[name]
        tables = len(re.findall(r"FROM (staging|features)\.", sql))
        assert sql.count("user_id BETWEEN @first_user AND @last_user") == tables >= 1
        assert {"first_user": "a", "last_user": "b"}.items() <= params.items()
    for sql, params in inputs.snapshot_queries(settings).values():
        assert "first_user" not in sql and "first_user" not in params
