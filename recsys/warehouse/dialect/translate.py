"""The way of a text: parse, check its shape, resolve and type it, rewrite node by node, write DuckDB."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, OptimizeError, SqlglotError
from sqlglot.optimizer.annotate_types import TypeAnnotator, annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from recsys import schema
from recsys.errors import SqlError
from recsys.warehouse.dialect.common import Node, Refused, kind
from recsys.warehouse.dialect.names import no_column, no_value
from recsys.warehouse.dialect.rewrite import refuse_accidents, rewrite
from recsys.warehouse.dialect.syntax import GENERIC, REASONS
from recsys.warehouse.tables import no_table

__all__ = ["Translated", "parameter_type", "translate"]

Foreign: TypeAlias = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
FOREIGN = "foreign"
logging.getLogger("sqlglot").setLevel(logging.ERROR)
_PYTHON_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "BOOL"),
    (int, "INT64"),
    (float, "FLOAT64"),
    (Decimal, "NUMERIC"),
    (str, "STRING"),
    (datetime, "TIMESTAMP"),
    (date, "DATE"),
)


_TABLE_ARGS = ("this", "db", "catalog", "alias", "joins")


@dataclass(frozen=True)
class Translated:
    """A SELECT for DuckDB, the tables it reads (``dataset.table``), the parameters it binds, and what it returns.

    ``columns`` are pairs of name and GoogleSQL type (NULL or UNKNOWN where it cannot be told).
    """

    sql: str
    tables: tuple[str, ...]
    params: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]


def parameter_type(name: str, value: object) -> str:
    """GoogleSQL type that a Python value is bound as: INT64, STRING, ..., or ARRAY<...> for a list.

    Raises:
        SqlError: the value has no such type.
    """
    if isinstance(value, list | tuple) and value:
        return f"ARRAY<{parameter_type(name, value[0])}>"
    for python, sql in _PYTHON_TYPES:
        if isinstance(value, python):
            return sql
    raise SqlError(
        f"@{name} is {value!r}; give a bool, int, float, Decimal, str, date, datetime or a list of them."
    )


def translate(
    sql: str,
    name: str = "query",
    params: Mapping[str, str] | None = None,
    repeatable: bool = False,
    foreign: Mapping[str, Mapping[str, str]] | None = None,
) -> Translated:
    """Translate one SELECT in BigQuery's dialect; tables become the names of the views of the local warehouse.

    ``params`` maps the parameters to their GoogleSQL types. ``repeatable`` also refuses what may give other rows on
    the next run: LIMIT without ORDER BY. ``foreign`` names further tables, without a dataset, that the text may read:
    table -> column -> GoogleSQL type; in DuckDB they are called ``foreign.<table>``.

    Raises:
        SqlError: names the text, what cannot be kept equal, and what to write instead.

    Example:
        >>> translate("SELECT 1 / 3 AS third").sql
        'SELECT CAST(GSQL_FINITE(GSQL_DIV(1, 3)) AS DOUBLE) AS "third"'
    """
    known = tuple((table, tuple(columns.items())) for table, columns in (foreign or {}).items())
    return _translate(sql, name, tuple(sorted((params or {}).items())), repeatable, known)


@lru_cache(maxsize=256)
def _translate(
    sql: str, name: str, params: tuple[tuple[str, str], ...], repeatable: bool, foreign: Foreign
) -> Translated:
    try:
        tree = _parse(sql)
        used = _bind(tree, dict(params))
        _fold_signs(tree)
        tree, tables = _resolve(tree, foreign)
        columns = tuple((column.alias_or_name, kind(column)) for column in tree.selects)
        twice = [name for name, count in Counter(name for name, _ in columns).items() if count > 1]
        if twice:
            raise Refused(f"returns two columns called {twice[0]}; name one of them otherwise")
        rewrite(tree)
        if repeatable:
            refuse_accidents(tree)
        written = tree.sql("duckdb", identify=True, unsupported_level=ErrorLevel.RAISE, comments=False)
    except Refused as refusal:
        raise SqlError(f"{name}: {refusal}{'' if str(refusal).endswith('?') else '.'}") from refusal
    except SqlglotError as error:
        raise SqlError(f"{name}: {_plain(error)}") from error
    return Translated(written, tables, used, columns)


def _plain(error: SqlglotError) -> str:
    return str(error).replace("\x1b[4m", "").replace("\x1b[0m", "")


def _parse(sql: str) -> exp.Query:
    words = sqlglot.tokenize(sql, read="bigquery")
    if words and words[0].text.upper() not in ("SELECT", "WITH", "("):
        raise Refused(f"starts with {words[0].text.upper()}; write one SELECT, the runner does the rest")
    statements = [statement for statement in sqlglot.parse(sql, read="bigquery") if statement is not None]
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise Refused(
            f"has {len(statements)} statements; write one SELECT, time and settings enter as @parameters"
        )
    tree = statements[0]
    for select in tree.find_all(exp.Select):
        if select.args.get("kind"):
            raise Refused(f"SELECT AS {select.args['kind']}: write SELECT STRUCT(...) AS name")
    for dot in tree.find_all(exp.Dot):
        if isinstance(dot.expression, exp.Func):
            name = dot.this.name.upper()
            raise Refused(f"{name}: {REASONS.get(name, GENERIC)}")
    return tree


def _bind(tree: Node, types: dict[str, str]) -> tuple[str, ...]:
    """Replace each @name by a typed placeholder, so that types follow from it."""
    used = set()
    for parameter in list(tree.find_all(exp.Parameter)):
        name = parameter.name
        if name not in types:
            raise Refused(no_value(name, types))
        bound = exp.Cast(
            this=exp.Placeholder(this=name), to=exp.DataType.build(types[name], dialect="bigquery")
        )
        bound.meta["parameter"] = True
        bound.meta["source"] = f"@{name}"
        parameter.replace(bound)
        used.add(name)
    return tuple(sorted(used))


def _fold_signs(tree: Node) -> None:
    """Make -0.5 and (0.5) one literal each, as GoogleSQL does before it chooses between NUMERIC and FLOAT64."""
    for found in list(tree.find_all(exp.Literal)):
        literal: Node = found
        while not found.is_string and not found.is_int and isinstance(literal.parent, exp.Paren | exp.Neg):
            sign = "-" if isinstance(literal.parent, exp.Neg) else ""
            folded = exp.Literal(this=f"{sign}{literal.this}".removeprefix("--"), is_string=False)
            literal.parent.replace(folded)
            literal = folded


@lru_cache(maxsize=16)
def _contracts(foreign: Foreign) -> MappingSchema:
    """The table contracts, and the foreign tables, as sqlglot wants them."""
    tables: dict[str, Any] = {FOREIGN: {name: dict(columns) for name, columns in foreign}} if foreign else {}
    for contract in schema.TABLES.values():
        dataset, _, name = contract.name.partition(".")
        tables.setdefault(dataset, {})[name] = {column.name: column.type for column in contract.columns}
    return MappingSchema(tables, dialect="bigquery")


def _resolve(tree: exp.Query, foreign: Foreign) -> tuple[exp.Query, tuple[str, ...]]:
    """Resolve tables and columns, expand stars and aliases, infer types; return the tables read."""
    tables = set()
    for table, full in list(_tables(tree)):
        if full.lower() in {name for name, _ in foreign}:
            full = f"{FOREIGN}.{full.lower()}"  # noqa: PLW2901
        elif full not in schema.TABLES:
            raise Refused(no_table(full))
        extra = [arg for arg, value in table.args.items() if value and arg not in _TABLE_ARGS]
        if extra:
            raise Refused(
                f"{extra[0].upper()} of {full} is not kept equal; write it as WHERE, GROUP BY or a join"
            )
        tables.add(full)
        dataset, _, name = full.partition(".")
        table.set("this", exp.to_identifier(name))
        table.set("db", exp.to_identifier(dataset))
    made = [alias.alias for alias in tree.find_all(exp.Alias)]
    try:
        tree = qualify(
            tree, schema=_contracts(foreign), dialect="bigquery", quote_identifiers=False, identify=False
        )
    except OptimizeError as error:
        raise Refused(no_column(_plain(error), sorted(tables), made)) from error
    tree = annotate_types(
        tree, schema=_contracts(foreign), dialect="bigquery", expression_metadata=_metadata()
    )
    for table, full in list(_tables(tree)):
        alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name))
        table.replace(
            exp.Table(this=exp.to_identifier(full, quoted=True), alias=alias, joins=table.args.get("joins"))
        )
    return tree, tuple(sorted(tables))


def _tables(tree: Node) -> Iterator[tuple[exp.Table, str]]:
    """Tables of the warehouse that a text names: those that are no CTE."""
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        full = ".".join(part.name for part in table.parts)
        if "." in full or full.lower() not in ctes:
            yield table, full


def _metadata() -> dict[type[Node], dict[str, Any]]:
    """Types as sqlglot infers them for BigQuery, with POW and LOG of a NUMERIC made NUMERIC."""

    def by_both(annotator: TypeAnnotator, node: Node) -> Node:
        annotator._annotate_by_args(node, "this", "expression")
        if kind(node) == "INT64":
            annotator._set_type(node, exp.DType.DOUBLE)
        return node

    def by_this(annotator: TypeAnnotator, node: Node) -> Node:
        return annotator._annotate_by_args(node, "this")

    def error_or_unknown(annotator: TypeAnnotator, node: Node) -> Node:
        annotator._set_type(node, exp.DType.NULL if node.name.upper() == "ERROR" else exp.DType.UNKNOWN)
        return node

    changed: dict[type[Node], dict[str, Any]] = {
        exp.Anonymous: {"annotator": error_or_unknown},
        exp.Pow: {"annotator": by_both},
        exp.Log: {"annotator": by_both},
        exp.Div: {"annotator": by_both},
        exp.SafeDivide: {"annotator": by_both},
        exp.Trunc: {"annotator": by_this},
    }
    return {**Dialect.get_or_raise("bigquery").EXPRESSION_METADATA, **changed}
