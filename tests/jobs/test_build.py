"""Building one table for a day, and many tables over many days."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from recsys.errors import ContractError, SettingsError, SqlError, WarehouseError
from recsys.jobs import build
from recsys.settings import Settings
from recsys.warehouse import BuildResult, open_warehouse

DAY = date(2026, 1, 5)
STAGING = """-- The users as they were known at the end of the day.
-- grain: user_id
-- partition: ds
-- upstream: marketplace.users
SELECT user_id, registered_at, birth_year, gender, region, @ds AS ds
FROM marketplace.users WHERE registered_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY))
"""
ASSIGNED = """-- Every user, in one arm.
-- grain: experiment_id, unit_id
-- partition: ds
-- upstream: staging.users
SELECT 'e' AS experiment_id, user_id AS unit_id, 'control' AS arm, 'hybrid' AS policy, 0 AS bucket, @ds AS started_on, @ds AS ds,
  @ds AS first_assigned_on, 'user' AS unit
FROM staging.users WHERE ds = @ds
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings.load({}, warehouse=str(tmp_path / "warehouse"), home=str(tmp_path / "home"))
    for table, text in (("staging/users", STAGING), ("experiments/assignments", ASSIGNED)):
        path = made.sql_dir / f"{table}.sql"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    users = pd.DataFrame({"user_id": ["a", "b"], "birth_year": None, "gender": None, "region": None})
    users["registered_at"] = pd.to_datetime(["2026-01-05", "2026-01-06"], utc=True)
    with open_warehouse(made) as warehouse:
        warehouse.write("marketplace.users", users)
    return made


def test_run_tells_what_it_did(settings: Settings) -> None:
    summary = build.run(settings, DAY, table="staging.users")
    assert summary.pop("seconds") is not None
    assert summary == {
        "table": "staging.users",
        "ds": "2026-01-05",
        "rows": 1,
        "path": str(Path(settings.warehouse) / "staging" / "users" / "ds=2026-01-05.parquet"),
        "built": True,
    }


def test_run_needs_a_table(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="Name the table"):
        build.run(settings, DAY)


def test_history_builds_day_by_day_in_order(settings: Settings) -> None:
    seen: list[BuildResult] = []
    end = date(2026, 1, 6)
    summary = build.history(
        settings, DAY, end, ["experiments.assignments", "staging.users"], progress=seen.append
    )
    assert [(result.table, result.ds, result.rows) for result in seen] == [
        ("staging.users", DAY, 1),
        ("experiments.assignments", DAY, 1),
        ("staging.users", end, 2),
        ("experiments.assignments", end, 2),
    ]
    assert (summary["tables"], summary["days"], summary["rows"]) == (
        ["staging.users", "experiments.assignments"],
        2,
        6,
    )


def test_history_again_gives_the_same_bytes(settings: Settings) -> None:
    tables = ["staging.users", "experiments.assignments"]
    build.history(settings, DAY, date(2026, 1, 6), tables)
    root = Path(settings.warehouse)
    before = {path: path.read_bytes() for path in root.rglob("*.parquet")}
    for day in (date(2026, 1, 6), DAY):
        build.history(settings, day, day, tables)
    assert {path: path.read_bytes() for path in root.rglob("*.parquet")} == before


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("nosuch", ContractError, "no dataset nosuch to build; there are staging, experiments"),
        ("marketplace", ContractError, "no dataset marketplace to build"),
        ("users", ContractError, "Did you mean marketplace.users or staging.users?"),
        ("staging.user", ContractError, "there is no table staging.user; .* Did you mean staging.users"),
        (
            "experiments.results",
            SqlError,
            "written by `airflow dags test experiment_metrics_daily DAY`, not by SQL",
        ),
        ("marketplace.users", SqlError, "written by `recsys import DIR` or .*, not by SQL"),
    ],
)
def test_history_of_what_has_no_sql(settings: Settings, name: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        build.history(settings, DAY, DAY, ["staging.users", name])
    assert not (Path(settings.warehouse) / "staging").exists()


def test_a_table_waits_for_what_it_reads_of_that_day(settings: Settings) -> None:
    build.history(settings, DAY, DAY, ["staging.users"])
    later = date(2026, 1, 6)
    with pytest.raises(WarehouseError) as caught:
        build.run(settings, later, table="experiments.assignments")
    assert "experiments.assignments of 2026-01-06 needs staging.users of that day" in str(caught.value)
    assert "Make it with `recsys build staging.users --ds 2026-01-06`" in str(caught.value)
    build.history(settings, later, later, ["staging.users", "experiments.assignments"])


def test_history_of_a_range_the_wrong_way_round(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="before the first day"):
        build.history(settings, DAY, date(2026, 1, 1), ["staging.users"])
