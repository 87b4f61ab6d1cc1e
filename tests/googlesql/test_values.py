"""The values that the dialect layer is held to are GoogleSQL's: asked of the reference engine itself."""

from __future__ import annotations

import pytest

from tests.googlesql import record
from tests.googlesql.analyzer import GoogleSqlError, analyzer
from tests.warehouse.dialect.test_values import queries, values, wanted

VALUES, QUERIES = values(), queries()
CHECKED = "values and queries of the dialect's tests given by the reference engine"


@pytest.mark.parametrize(("expression", "expected"), VALUES)
def test_value(expression: str, expected: str) -> None:
    record.total(CHECKED, (text for text, _ in VALUES + QUERIES))
    if expected == "error":
        with pytest.raises(GoogleSqlError):
            analyzer().rows(f"SELECT FORMAT('%T', {expression}) AS x")
    else:
        ((value,),) = [row.values() for row in analyzer().rows(f"SELECT FORMAT('%T', {expression}) AS x")]
        assert value == expected
    record.done(CHECKED, expression)


@pytest.mark.parametrize(("sql", "expected"), QUERIES)
def test_rows(sql: str, expected: str) -> None:
    rows = [tuple(row.values()) for row in analyzer().rows(sql)]
    assert rows == wanted(expected)
    assert [[*map(type, row)] for row in rows] == [[*map(type, row)] for row in wanted(expected)]
    record.done(CHECKED, sql)
