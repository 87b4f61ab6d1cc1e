"""A small warehouse of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

DAY = date(2026, 1, 5)
USERS_SQL = """-- The users as they were known at the end of the day.
-- grain: user_id
-- partition: ds
-- cluster: user_id
-- upstream: marketplace.users
SELECT user_id, registered_at, birth_year, gender, region, @ds AS ds
FROM marketplace.users
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({}, warehouse=str(tmp_path / "warehouse"), home=str(tmp_path / "home"))


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Warehouse]:
    with open_warehouse(settings) as opened:
        yield opened


@pytest.fixture
def put_sql(settings: Settings) -> Callable[[str, str], Path]:
    """Write the SQL file of a table."""

    def put(table: str, text: str) -> Path:
        dataset, _, name = table.partition(".")
        path = settings.sql_dir / dataset / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return put


def users(*ids: str) -> pd.DataFrame:
    """Users with the columns of marketplace.users."""
    return pd.DataFrame(
        {
            "user_id": pd.Series(list(ids), dtype="str"),
            "registered_at": pd.Timestamp("2025-12-01 10:00", tz="UTC"),
            "birth_year": 1990,
            "gender": None,
            "region": "north",
        }
    )
