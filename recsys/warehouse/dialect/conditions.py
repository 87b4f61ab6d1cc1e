"""Comparisons and conditionals, each within one family of types: DuckDB would convert across them, BigQuery refuses."""

from __future__ import annotations

from sqlglot import exp

from recsys.warehouse.dialect.common import (
    COMPARISONS,
    NUMBERS,
    Node,
    Refused,
    call,
    cast,
    handles,
    kind,
    need,
    shown,
    typed,
)
from recsys.warehouse.dialect.syntax import reason


@handles(*COMPARISONS, exp.Between, exp.In)
def comparison(node: Node) -> Node:
    """Comparisons within one family of types; DuckDB would convert across them, BigQuery refuses."""
    if isinstance(node, exp.In):
        unnest, query = node.args.get("unnest"), node.args.get("query")
        if unnest is not None:
            return typed(call("list_contains", unnest.expressions[0], node.this), "BOOL")
        _one_family([node.this, *node.expressions], node)
        if query is not None:
            _one_family([node.this, *query.unnest().selects], node)
        return node
    _one_family(list(node.iter_expressions()), node)
    return node


def _one_family(nodes: list[Node], whole_: Node) -> None:
    families: dict[str, Node] = {}
    for node in nodes:
        found = kind(node)
        if found in ("NULL", "UNKNOWN") or (node.is_string and found == "STRING"):
            continue
        families.setdefault("number" if found in NUMBERS else found, node)
    if len(families) > 1:
        told = ", ".join(f"{shown(node)} is {kind(node)}" for node in families.values())
        raise Refused(f"{shown(whole_)} mixes types ({told}); CAST one of them")


@handles(exp.Case)
def case(node: Node) -> Node:
    """CASE; its branches are of one family of types."""
    branches = [branch.args["true"] for branch in node.args["ifs"]]
    _one_family([*branches, *([node.args["default"]] if node.args.get("default") else [])], node)
    return node


@handles(exp.If)
def if_(node: Node) -> Node:
    """IF, and the WHEN of a CASE; NULL counts as false."""
    if not (isinstance(node.parent, exp.Case) and node.parent.this is not None):
        need(node.this, "BOOL", what="the condition")
    if not isinstance(node.parent, exp.Case):
        _one_family([node.args["true"], *([node.args["false"]] if node.args.get("false") else [])], node)
    return node


@handles(exp.Coalesce, exp.Nullif)
def coalesce(node: Node) -> Node:
    """COALESCE, IFNULL and NULLIF within one family of types."""
    _one_family(list(node.iter_expressions()), node)
    return node


@handles(exp.Anonymous)
def unknown_function(node: Node) -> Node:
    """ERROR raises on both engines, where it is reached; other functions that sqlglot does not know are refused."""
    if node.meta.get("made"):
        return node
    if node.name.upper() != "ERROR":
        written, why = reason(node)
        raise Refused(f"{written}: {why}")
    made = call("error", *(cast(message, "STRING") for message in node.expressions))
    made.type = exp.DataType.build("NULL")
    return made


@handles(exp.Greatest, exp.Least)
def extreme(node: Node) -> Node:
    """GREATEST and LEAST: NULL when any is NULL; DuckDB's skip NULLs."""
    arguments = [node.this, *node.expressions]
    _one_family(arguments, node)
    if kind(node) in NUMBERS:
        arguments = [cast(argument, kind(node)) for argument in arguments]
    missing = exp.or_(*(exp.Is(this=argument.copy(), expression=exp.Null()) for argument in arguments))
    value = call(node.key, *arguments)
    made = exp.Case(ifs=[exp.If(this=missing, true=exp.Null())], default=value)
    return typed(made, kind(node)) if kind(node) in (*NUMBERS, "STRING", "DATE", "TIMESTAMP") else made
