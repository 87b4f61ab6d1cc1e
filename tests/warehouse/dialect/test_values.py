"""The values GoogleSQL gives, over DuckDB: as constants, and again with the optimizer off, as over columns."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from recsys.errors import SqlError
from recsys.settings import Settings
from recsys.warehouse import Warehouse
from recsys.warehouse.local import LocalWarehouse

HERE = Path(__file__).parent


def values() -> list[tuple[str, str]]:
    lines = (HERE / "values.txt").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("  =>  ")) for line in lines if "  =>  " in line]  # type: ignore[misc]


def queries() -> list[tuple[str, str]]:
    blocks = (HERE / "queries.txt").read_text(encoding="utf-8").split("\n\n")[1:]
    return [(block.split("\n    ")[0].strip(), block.split("\n    ")[1].strip()) for block in blocks]


@pytest.fixture(scope="module", params=["optimized", "as written"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    warehouse = LocalWarehouse(Settings.load({}, warehouse=str(tmp_path_factory.mktemp("warehouse"))))
    if request.param == "as written":
        warehouse._connect().execute(
            "SET GLOBAL disabled_optimizers = 'expression_rewriter, statistics_propagation'"
        )
    yield warehouse
    warehouse.close()


def written(value: object) -> str:  # noqa: PLR0911  (one line per type)
    """A value as FORMAT('%T', value) writes it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f'NUMERIC "{value.normalize():f}"'
    if isinstance(value, dt.datetime):
        digits = f"{value.microsecond:06d}"
        fraction = (
            "" if not value.microsecond else f".{digits[:3]}" if digits.endswith("000") else f".{digits}"
        )
        return f'TIMESTAMP "{value:%Y-%m-%d %H:%M:%S}{fraction}+00"'
    if isinstance(value, dt.date):
        return f'DATE "{value}"'
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(written(element) for element in value)}]"
    return str(value)


@pytest.mark.parametrize(("expression", "expected"), values())
def test_value(engine: Warehouse, expression: str, expected: str) -> None:
    if expected == "error":
        with pytest.raises(SqlError):
            engine.query(f"SELECT {expression} AS x")
        return
    value = engine.query(f"SELECT {expression} AS x").column("x")[0].as_py()
    if isinstance(value, float):
        assert "." in expected or "e" in expected, "expected another type"
        assert math.isclose(value, float(expected), rel_tol=1e-15)
    else:
        assert written(value) == expected


@pytest.mark.parametrize(("sql", "expected"), queries())
def test_rows(engine: Warehouse, sql: str, expected: str) -> None:
    table = engine.query(sql)
    rows = [tuple(row.values()) for row in table.to_pylist()]
    assert rows == wanted(expected)
    assert [[type(value) for value in row] for row in rows] == [
        [type(value) for value in row] for row in wanted(expected)
    ]


def wanted(expected: str) -> list[tuple[object, ...]]:
    """Rows as queries.txt writes them."""
    names = {"datetime": dt, "Decimal": Decimal}
    found: list[tuple[object, ...]] = eval(expected, names)
    return found
