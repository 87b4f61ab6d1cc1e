"""CAST and SAFE_CAST, pair of types by pair of types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sqlglot import exp

from recsys.warehouse.dialect.common import Node, Refused, as_numeric, call, cast, handles, kind, shown, typed

Conversion: TypeAlias = Callable[[Node, bool], Node]


@handles(exp.Cast, exp.TryCast)
def cast_(node: Node) -> Node:
    """CAST and SAFE_CAST, each pair of types by GoogleSQL's rules."""
    if node.meta.get("parameter"):
        return node
    source, to = node.this, kind(node)
    found = kind(source)
    safe = isinstance(node, exp.TryCast)
    if node.args.get("format") is not None:
        raise Refused(
            f"{shown(node)}: CAST ... FORMAT is not kept equal; write FORMAT_DATE or FORMAT_TIMESTAMP"
        )
    if found == "NULL":
        return node if to in ("ARRAY", "STRUCT") else cast(source, to)
    if found == to and to not in ("ARRAY", "STRUCT"):
        return cast(source, to)
    handler = _CASTS.get((found, to))
    if handler is None:
        raise Refused(
            f"{shown(node)}: a cast from {found} to {to} is not kept equal{_CAST_HINTS.get((found, to), '')}"
        )
    return typed(handler(source, safe), to)


def _double_to_int(node: Node, safe: bool) -> Node:
    return cast(call("round", node), "INT64", safe)


def _string_to_int(node: Node, safe: bool) -> Node:
    return call("gsql_safe_int" if safe else "gsql_int", node)


def _double_to_numeric(node: Node, safe: bool) -> Node:
    if safe:
        raise Refused(f"{shown(node)}: write CAST(x AS NUMERIC); a FLOAT64 fits but for overflow")
    return as_numeric(node)


def _to(kind_: str) -> Conversion:
    return lambda node, safe: cast(node, kind_, safe)


_CASTS: dict[tuple[str, str], Conversion] = {
    ("FLOAT64", "INT64"): _double_to_int,
    ("NUMERIC", "INT64"): _double_to_int,
    ("STRING", "INT64"): _string_to_int,
    ("BOOL", "INT64"): _to("INT64"),
    ("INT64", "FLOAT64"): _to("FLOAT64"),
    ("NUMERIC", "FLOAT64"): _to("FLOAT64"),
    ("STRING", "FLOAT64"): lambda node, safe: call("gsql_finite", cast(node, "FLOAT64", safe)),
    ("INT64", "NUMERIC"): _to("NUMERIC"),
    ("FLOAT64", "NUMERIC"): _double_to_numeric,
    ("STRING", "NUMERIC"): _to("NUMERIC"),
    ("INT64", "STRING"): _to("STRING"),
    ("BOOL", "STRING"): _to("STRING"),
    ("DATE", "STRING"): _to("STRING"),
    ("FLOAT64", "STRING"): lambda node, _: call("gsql_double_text", node),
    ("NUMERIC", "STRING"): lambda node, _: call("gsql_numeric_text", node),
    ("STRING", "DATE"): _to("DATE"),
    ("STRING", "TIMESTAMP"): _to("TIMESTAMP"),
    ("DATE", "TIMESTAMP"): lambda node, _: call("gsql_instant", node, "UTC"),
    ("TIMESTAMP", "DATE"): lambda node, _: call("gsql_date", node, "UTC"),
}
_CAST_HINTS = {
    ("TIMESTAMP", "STRING"): "; write FORMAT_TIMESTAMP('%F %T', x, 'UTC')",
    ("STRING", "BOOL"): "; write x = 'true'",
    ("INT64", "BOOL"): "; write x <> 0",
}
