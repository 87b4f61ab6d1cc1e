"""What the handlers share: GoogleSQL types of nodes, builders of DuckDB calls, the registry, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sqlglot import exp

Node: TypeAlias = exp.Expr
Handler: TypeAlias = Callable[[Node], Node]

HANDLERS: dict[type[Node], Handler] = {}
"""Function or operator -> what stands for it in DuckDB. Children are already rewritten when a handler runs."""

D = exp.DType
KINDS: dict[exp.DType, str] = {
    **dict.fromkeys((D.TINYINT, D.SMALLINT, D.INT, D.BIGINT), "INT64"),
    **dict.fromkeys((D.FLOAT, D.DOUBLE), "FLOAT64"),
    D.DECIMAL: "NUMERIC",
    **dict.fromkeys((D.CHAR, D.VARCHAR, D.TEXT), "STRING"),
    D.BOOLEAN: "BOOL",
    D.DATE: "DATE",
    D.TIMESTAMPTZ: "TIMESTAMP",
    D.ARRAY: "ARRAY",
    D.STRUCT: "STRUCT",
    D.INTERVAL: "INTERVAL",
    D.NULL: "NULL",
}
DUCKDB: dict[str, str] = {
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38, 9)",
    "STRING": "VARCHAR",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMPTZ",
}
NUMBERS = ("INT64", "FLOAT64", "NUMERIC")
COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ)


class Refused(Exception):  # noqa: N818  (a verdict on a text, turned into SqlError)
    """This text cannot be kept equal on both engines; the message says why and what to write instead."""


def handles(*kinds: type[Node]) -> Callable[[Handler], Handler]:
    """Register a handler for some kinds of node."""

    def register(handler: Handler) -> Handler:
        for kind_ in kinds:
            HANDLERS[kind_] = handler
        return handler

    return register


def kind(node: Node | None) -> str:
    """GoogleSQL type of a node, as far as it is known: INT64, ..., ARRAY, STRUCT, NULL, or UNKNOWN."""
    if isinstance(node, exp.Null):
        return "NULL"
    if node is None or node.type is None:
        return "UNKNOWN"
    return KINDS.get(
        node.type.this, "UNKNOWN" if node.type.this == D.UNKNOWN else str(node.type.sql("bigquery"))
    )


def need(node: Node, *kinds: str, what: str, hint: str = "CAST it") -> str:
    """Return the type of an argument, or refuse when it is not one of ``kinds`` (NULL always passes)."""
    found = kind(node)
    if found not in kinds and found != "NULL":
        told = "whose type cannot be told" if found == "UNKNOWN" else f"which is {found}"
        raise Refused(f"{what} of {shown(node)}, {told}; it has to be {' or '.join(kinds)}: {hint}")
    return found


def shown(node: Node) -> str:
    """A node as a person would recognise it in an error."""
    text = node.meta.get("source") or node.sql("bigquery")
    return str(text) if len(text) <= 60 else f"{text[:57]}..."


def call(name: str, *arguments: Node | str | int) -> Node:
    """A call of a DuckDB function or macro; text and whole numbers become literals."""
    nodes = [a if isinstance(a, exp.Expr) else exp.convert(a) for a in arguments]
    return exp.Anonymous(this=name, expressions=nodes)


def cast(node: Node, to: str, safe: bool = False) -> Node:
    """CAST to a GoogleSQL type, without GoogleSQL's own rules: DuckDB's cast, for values where they agree."""
    built = exp.DataType.build(DUCKDB[to], dialect="duckdb")
    made: Node = exp.TryCast(this=node, to=built, safe=True) if safe else exp.Cast(this=node, to=built)
    return typed(made, to)


def typed(node: Node, to: str) -> Node:
    """Note the GoogleSQL type of a node that a handler made."""
    node.type = exp.DataType.build(DUCKDB[to], dialect="duckdb")
    return node


def as_double(node: Node) -> Node:
    """The value as FLOAT64."""
    return node if kind(node) == "FLOAT64" and not isinstance(node, exp.Literal) else cast(node, "FLOAT64")


def as_numeric(node: Node) -> Node:
    """The value as NUMERIC; a FLOAT64 is rounded to 9 decimal places."""
    found = kind(node)
    if found == "FLOAT64" and not isinstance(node, exp.Literal):
        return typed(call("gsql_numeric", node), "NUMERIC")
    return cast(node, "NUMERIC")


def result(node: Node, original: Node) -> Node:
    """Give a DOUBLE that stands for ``original`` the type of ``original``: NUMERIC functions round to 9 places."""
    return (
        typed(call("gsql_numeric", node), "NUMERIC")
        if kind(original) == "NUMERIC"
        else typed(node, "FLOAT64")
    )


def effective_parent(node: Node) -> Node | None:
    """The first node around this one that is no parenthesis and no sign."""
    parent = node.parent
    while isinstance(parent, exp.Paren | exp.Neg):
        parent = parent.parent
    return parent
