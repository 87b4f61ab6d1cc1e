"""A resolved and typed tree, node by node, into what means the same in DuckDB."""

from __future__ import annotations

from sqlglot import exp

from recsys.warehouse.dialect import aggregates, casts, conditions, numbers, text, times
from recsys.warehouse.dialect.common import DUCKDB, HANDLERS, Node, Refused, call, cast, kind, typed
from recsys.warehouse.dialect.syntax import SAME, reason

HANDLING = (aggregates, casts, conditions, numbers, text, times)
"""Importing them fills HANDLERS."""


def rewrite(tree: Node) -> None:
    """Rewrite a tree in place.

    Raises:
        Refused: for the first construct that cannot be kept equal.
    """
    _unnest(tree)
    _rewrite(tree)
    _project(tree)


def _unnest(tree: Node) -> None:
    """WITH OFFSET counts from 0, DuckDB's ordinality from 1; an array of STRUCTs becomes a column of structs."""
    for unnest in list(tree.find_all(exp.Unnest)):
        alias = unnest.args.get("alias")
        offset = unnest.args.get("offset")
        if alias is None:
            continue
        if offset and unnest.args.get("explode_array"):
            raise Refused(
                "UNNEST of STRUCTs WITH OFFSET is not kept equal; keep the offset as a field of the STRUCT"
            )
        if offset:
            _count_from_zero(tree, alias.name, offset.name)
        elif unnest.args.get("explode_array") and alias.columns:
            column = alias.columns[0]
            exploded = exp.Anonymous(this="UNNEST", expressions=[unnest.expressions[0]])
            inner = exp.Select(expressions=[exp.Alias(this=exploded, alias=exp.to_identifier(column.name))])
            exploded.meta["made"] = inner.meta["made"] = True
            unnest.replace(exp.Subquery(this=inner, alias=exp.TableAlias(this=alias.this)))


def _count_from_zero(tree: Node, table: str, offset: str) -> None:
    for column in list(tree.find_all(exp.Column)):
        if column.table == table and column.name == offset:
            less = exp.Sub(this=column.copy(), expression=typed(exp.Literal.number(1), "INT64"))
            column.replace(typed(exp.Paren(this=typed(less, "INT64")), "INT64"))


def _rewrite(tree: Node) -> None:
    """Give every node to its handler, children first; refuse a node that has none and is not the same by nature."""
    nodes = list(tree.walk(bfs=False))
    for node in nodes:
        if isinstance(node, exp.Func) and not isinstance(node, exp.Cast):
            node.meta["source"] = node.sql("bigquery")
    for node in reversed(nodes):
        handler = HANDLERS.get(type(node))
        if handler is None:
            if node.meta.get("made"):
                continue
            if type(node) not in SAME and not isinstance(node.parent, exp.DataType | exp.ColumnDef):
                written, why = reason(node)
                raise Refused(f"{written}: {why}")
            continue
        parent, key, index = node.parent, node.arg_key, node.index
        replacement = handler(node)
        if replacement is node:
            continue
        if replacement.type is None:
            replacement.type = node.type
        if parent is not None and key is not None:
            parent.set(key, replacement, index)


def _project(tree: Node) -> None:
    """Cast what a SELECT computes to GoogleSQL's type, so that no INTEGER, HUGEINT, inf or nan travels on."""
    for select in tree.find_all(exp.Select):
        if select.meta.get("made"):
            continue
        for column in select.expressions:
            value = column.this if isinstance(column, exp.Alias) else column
            found = kind(value)
            if found == "FLOAT64" and not _is_chosen(value):
                value = call("gsql_finite", value)
            if (
                found in DUCKDB
                and isinstance(column, exp.Alias)
                and not isinstance(value, exp.Column | exp.Cast)
            ):
                column.set("this", cast(value, found))


def _is_chosen(value: Node | None) -> bool:
    """Tell whether a FLOAT64 is one of stored values and whole numbers: chosen, not computed, so as finite as they."""
    if value is None or isinstance(value, exp.Column | exp.Null):
        return True
    if isinstance(value, exp.Literal):
        return value.name.replace(".", "", 1).isdigit()
    if (
        isinstance(value, exp.Cast)
        and not isinstance(value.this, exp.Literal)
        and kind(value.this) != "FLOAT64"
    ):
        return kind(value.this) in ("INT64", "NUMERIC")
    among = _choices(value)
    return bool(among) and all(map(_is_chosen, among))


def _choices(value: Node) -> list[Node | None]:
    """What a value is one of; empty where it is computed."""
    if isinstance(value, exp.Cast | exp.Paren | exp.Min | exp.Max):
        return [value.this]
    if isinstance(value, exp.Coalesce):
        return [value.this, *value.expressions]
    if isinstance(value, exp.If):
        return [value.args["true"], value.args.get("false")]
    if isinstance(value, exp.Case):
        return [value.args.get("default"), *(branch.args["true"] for branch in value.args["ifs"])]
    if isinstance(value, exp.Anonymous) and str(value.this).lower() == "gsql_safe_at":
        return value.expressions[:1]
    return []


def refuse_accidents(tree: Node) -> None:
    """Refuse what may give other rows on the next run: LIMIT without ORDER BY."""
    for query in tree.find_all(exp.Query):
        if query.args.get("limit") is not None and query.args.get("order") is None:
            raise Refused(
                "LIMIT without ORDER BY takes other rows from run to run; add ORDER BY over a unique key"
            )
