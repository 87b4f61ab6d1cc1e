"""Every SQL file turns the rows of its fixture into the rows it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys import schema
from recsys.settings import PROJECT_ROOT
from tests.sql import fixture

SQL_DIR = PROJECT_ROOT / "include" / "sql"
TABLES = sorted(f"{path.parent.name}.{path.stem}" for path in SQL_DIR.glob("*/*.sql"))
FIXTURES = sorted(path.stem for path in fixture.FOLDER.glob("*.yaml"))
BUILT = [table for table in TABLES if table in schema.TABLES]


def test_every_sql_file_has_a_fixture() -> None:
    assert sorted(set(BUILT) - set(FIXTURES)) == [], "write tests/sql/fixtures/<dataset>.<table>.yaml"
    assert sorted(set(FIXTURES) - set(BUILT)) == [], "no SQL file for these fixtures"


@pytest.mark.parametrize("table", FIXTURES)
def test_rows_in_rows_out(table: str, tmp_path: Path) -> None:
    case = fixture.load(fixture.FOLDER / f"{table}.yaml")
    actual = fixture.build(case, tmp_path)
    found = fixture.differences(case.expected, actual, table, case.shown)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("table", FIXTURES)
def test_fixture_states_every_column(table: str) -> None:
    case = fixture.load(fixture.FOLDER / f"{table}.yaml")
    columns = schema.table(table).column_names
    assert set(case.shown) | set(case.not_shown) == set(columns)
    assert not set(case.shown) & set(case.not_shown)
    assert len(case.expected) >= 2, "one row shows too little"


@pytest.mark.parametrize("table", FIXTURES)
def test_no_rows_in_is_no_error(table: str, tmp_path: Path) -> None:
    """A day without a single row anywhere builds an empty partition."""
    case = fixture.load(fixture.FOLDER / f"{table}.yaml")
    empty = fixture.Fixture(table, case.ds, case.settings, {name: [] for name in case.given}, [])
    assert fixture.build(empty, tmp_path) == []
