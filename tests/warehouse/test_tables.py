"""Headers of SQL files, and the order tables are built in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.errors import ContractError, SqlError
from recsys.settings import Settings
from recsys.warehouse.tables import load_spec, order, parse_spec, sql_tables
from tests.warehouse.conftest import USERS_SQL


def header(upstream: str, purpose: str = "Some table.", key: str = "user_id") -> str:
    return f"-- {purpose}\n-- grain: {key}\n-- partition: ds\n-- upstream: {upstream}\nSELECT 1 AS x\n"


def test_a_whole_header() -> None:
    spec = parse_spec(
        """-- The users.
-- As they were.
-- grain: user_id
-- partition: ds
-- cluster: user_id, region
-- upstream: marketplace.users,
--   staging.events
-- params: late_days, timezone
-- snapshot: once
SELECT 1 -- grain: not a header any more
""",
        "staging.users",
    )
    assert spec.purpose == "The users. As they were."
    assert spec.grain == ("user_id",)
    assert spec.partition == "ds"
    assert spec.cluster == ("user_id", "region")
    assert spec.upstream == ("marketplace.users", "staging.events")
    assert spec.params == ("late_days", "timezone")
    assert spec.snapshot_once


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("-- grain: user_id\n", "", "lacks a line '-- grain: ...'"),
        ("-- upstream: marketplace.users\n", "", "lacks a line '-- upstream: ...'"),
        ("-- The users as they were known at the end of the day.\n", "", "says what the table is for"),
        ("-- grain: user_id\n", "-- grain: user_id\n-- grain: user_id\n", "two lines '-- grain:'"),
        ("-- grain: user_id", "-- grain: region", "grain is region; the contract's key is user_id"),
        ("-- partition: ds\n", "", "partition is None; the contract says ds"),
        ("-- cluster: user_id", "-- cluster: nothing", "cluster names nothing"),
        ("marketplace.users\n", "marketplace.nothing\n", "upstream names 'marketplace.nothing'"),
        (
            "-- partition: ds",
            "-- partition: ds\n-- params: nothing",
            "params names 'nothing', which is no setting",
        ),
        ("-- partition: ds", "-- partition: ds\n-- snapshot: daily", "the one value is 'once'"),
        ("-- partition: ds", "-- partition: ds\n-- owner: me", "unknown header line '-- owner: me'"),
    ],
)
def test_a_malformed_header(old: str, new: str, told: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_spec(USERS_SQL.replace(old, new, 1), "staging.users", Path("users.sql"))
    assert str(caught.value).startswith("users.sql: ")
    assert told in str(caught.value)


def test_a_changed_file_is_read_again(settings: Settings, put_sql: Callable[[str, str], Path]) -> None:
    path = put_sql("staging.users", USERS_SQL)
    assert "known" in load_spec(settings.sql_dir, "staging.users").purpose
    path.write_text(USERS_SQL.replace("known", "seen"))
    assert "seen" in load_spec(settings.sql_dir, "staging.users").purpose
    with pytest.raises(ContractError, match="Known tables"):
        load_spec(settings.sql_dir, "staging.nothing")


def test_order_follows_upstream(settings: Settings, put_sql: Callable[[str, str], Path]) -> None:
    put_sql("staging.arrivals", header("marketplace.events", key="event_id, arrival"))
    put_sql("staging.events", header("staging.arrivals", key="event_id"))
    put_sql("staging.users", header("marketplace.users"))
    put_sql("features.user_daily", header("staging.users, staging.events"))
    assert sql_tables(settings.sql_dir) == [
        "staging.arrivals",
        "staging.users",
        "staging.events",
        "features.user_daily",
    ]
    assert sql_tables(settings.sql_dir, "features") == ["features.user_daily"]
    through = order(["features.user_daily", "staging.arrivals"], settings.sql_dir)
    assert through == ["staging.arrivals", "features.user_daily"], "the order holds through tables left out"


def test_a_circle_is_named(settings: Settings, put_sql: Callable[[str, str], Path]) -> None:
    put_sql("staging.users", header("features.user_daily"))
    put_sql("features.user_daily", header("staging.users"))
    with pytest.raises(SqlError, match="in a circle"):
        order(["staging.users", "features.user_daily"], settings.sql_dir)
