"""Which partitions a condition leaves, as BigQuery prunes them.

A partition is left out only where a condition compares the bare partition column with constants: literals, parameters
and functions of these. A value that comes from a join or a subquery prunes nothing, nor does an OR with another column,
nor a function of the column (cloud.google.com/bigquery/docs/querying-partitioned-tables, "Best practices for partition
pruning").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

import duckdb
from sqlglot import exp

from recsys.errors import SqlError
from recsys.warehouse.dialect import MACROS, parameter_type, translate

Node: TypeAlias = Any
"""A node of sqlglot's tree."""
Holds: TypeAlias = Callable[[date | None], bool]
"""Whether rows of the partition of a day (None: of NULL) may pass a condition."""
_OPERATORS: dict[type[Node], str] = {exp.EQ: "=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True)
class Divider:
    """The partition column of a table that a SELECT calls ``alias``; ``is_time``: a TIMESTAMP, divided by UTC days."""

    alias: str
    name: str
    is_time: bool


def leaves(node: Node, column: Divider, params: Mapping[str, object]) -> Holds:
    """What the condition ``node`` leaves of the partitions by ``column``; everything where it does not prune."""
    node = node.unnest()
    if isinstance(node, exp.And | exp.Or):
        join = every if isinstance(node, exp.And) else _any
        return join([leaves(part, column, params) for part in node.flatten()])
    negated = isinstance(node, exp.Not)
    inner = node.this.unnest() if negated else node
    if isinstance(inner, exp.Is) and _is_null(inner, column):
        return lambda day: (day is None) != negated
    if isinstance(node, exp.In) and node.expressions and _is_divider(node.this, column):
        return _any([_compare("=", value, column, params) for value in node.expressions])
    return every(
        [_compare(operator, value, column, params) for operator, value in _comparisons(node, column)]
    )


def _comparisons(node: Node, column: Divider) -> Iterator[tuple[str, Node]]:
    """Pairs of operator and right side that ``node`` compares the bare column with."""
    operator = _OPERATORS.get(type(node))
    if isinstance(node, exp.Between) and _is_divider(node.this, column):
        yield from ((">=", node.args["low"]), ("<=", node.args["high"]))
    elif operator and _is_divider(node.this, column):
        yield operator, node.expression
    elif operator and _is_divider(node.expression, column):
        yield _MIRRORED[operator], node.this


def _is_divider(node: Node, column: Divider) -> bool:
    return isinstance(node, exp.Column) and (node.table, node.name) == (column.alias, column.name)


def _is_null(node: Node, column: Divider) -> bool:
    return _is_divider(node.this, column) and isinstance(node.expression, exp.Null)


def _compare(operator: str, node: Node, column: Divider, params: Mapping[str, object]) -> Holds:
    """What ``column operator constant`` leaves; everything where the right side is no constant."""
    value = _constant(node, params)
    if not isinstance(value, date | str):
        return always
    moment = _moment(value)
    span = timedelta(days=1) - timedelta(microseconds=1) if column.is_time else timedelta(0)

    def holds(day: date | None) -> bool:
        if day is None:
            return False
        first = datetime.combine(day, time(), UTC)
        last = first + span
        return {
            "=": first <= moment <= last,
            "<": first < moment,
            "<=": first <= moment,
            ">": last > moment,
            ">=": last >= moment,
        }[operator]

    return holds


def _moment(value: date | str) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _constant(node: Node, params: Mapping[str, object]) -> object:
    """The value of an expression of literals and parameters; None where it has columns or a subquery."""
    if any(node.find_all(exp.Column, exp.Query)):
        return None
    names = sorted({parameter.name for parameter in node.find_all(exp.Parameter)})
    if any(name not in params for name in names):
        return None
    text = node.sql("bigquery", comments=False)
    return _evaluate(text, tuple((name, _hashable(params[name])) for name in names))


def _hashable(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@lru_cache(maxsize=4096)
def _evaluate(text: str, values: tuple[tuple[str, object], ...]) -> object:
    types = {name: parameter_type(name, value) for name, value in values}
    try:
        translated = translate(f"SELECT {text} AS value", "a filter", types)
    except SqlError:
        return None
    found = _calculator().cursor().sql(translated.sql, params=dict(values)).to_arrow_table()
    return found.column("value")[0].as_py()


@lru_cache(maxsize=1)
def _calculator() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    for macro in MACROS:
        connection.execute(f"CREATE MACRO {macro}")
    return connection


def always(day: date | None) -> bool:
    """Leave every partition."""
    return True


def every(parts: Sequence[Holds]) -> Holds:
    """Leave what all ``parts`` leave."""
    return lambda day: all(part(day) for part in parts)


def _any(parts: Sequence[Holds]) -> Holds:
    return lambda day: any(part(day) for part in parts)
