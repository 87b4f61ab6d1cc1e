"""Arithmetic and functions of numbers."""

from __future__ import annotations

from sqlglot import exp

from recsys.warehouse.dialect.common import (
    COMPARISONS,
    NUMBERS,
    Node,
    Refused,
    as_double,
    as_numeric,
    call,
    cast,
    effective_parent,
    handles,
    kind,
    need,
    result,
    shown,
    typed,
)

_MIXING = (
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Div,
    exp.Coalesce,
    exp.Case,
    exp.If,
    exp.Greatest,
    exp.Least,
    exp.Nullif,
)


@handles(exp.Literal)
def literal(node: Node) -> Node:
    """A number with a point is NUMERIC beside a NUMERIC and FLOAT64 elsewhere; DuckDB's would be DECIMAL(2, 1)."""
    if node.args["is_string"] or kind(node) != "FLOAT64":
        return node
    parent = effective_parent(node)
    if parent is not None and _wants_numeric(parent):
        return cast(exp.Literal.string(node.this), "NUMERIC")
    return cast(exp.Literal.string(node.this), "FLOAT64")


def _wants_numeric(parent: Node) -> bool:
    if isinstance(parent, exp.If) and isinstance(parent.parent, exp.Case):
        parent = parent.parent
    if isinstance(parent, (*_MIXING, exp.SafeDivide, exp.Cast)):
        return kind(parent) == "NUMERIC"
    if isinstance(parent, (*COMPARISONS, exp.Between, exp.In)):
        return any(kind(child) == "NUMERIC" for child in parent.iter_expressions())
    return False


@handles(exp.Add, exp.Sub, exp.Mul)
def arithmetic(node: Node) -> Node:
    """+, - and * of numbers; NUMERIC keeps 9 decimal places, rounding half away from zero."""
    for side in (node.this, node.expression):
        if kind(side) in ("DATE", "TIMESTAMP", "INTERVAL"):
            raise Refused(
                f"{shown(node)}: DATE and TIMESTAMP arithmetic differs; write DATE_ADD, DATE_SUB, DATE_DIFF, "
                "TIMESTAMP_ADD, TIMESTAMP_SUB or TIMESTAMP_DIFF"
            )
        need(side, *NUMBERS, what=f"{node.key.upper()}")
    if kind(node) == "NUMERIC":
        return cast(exp.Paren(this=node), "NUMERIC") if isinstance(node, exp.Mul) else node
    if kind(node) == "INT64" and not isinstance(node.this, exp.Column | exp.Cast):
        node.set("this", cast(node.this, "INT64"))
    if kind(node) == "FLOAT64":
        node.set("this", as_double(node.this))
        node.set("expression", as_double(node.expression))
    return node


@handles(exp.Neg)
def negative(node: Node) -> Node:
    """A sign before a number."""
    need(node.this, *NUMBERS, what="the negative")
    return node


@handles(exp.Div)
def divide(node: Node) -> Node:
    """/ raises on 0; of INT64s it is FLOAT64, of NUMERICs a NUMERIC with 9 places."""
    return _quotient(node, "gsql_div", "gsql_numeric_div")


@handles(exp.SafeDivide)
def safe_divide(node: Node) -> Node:
    """SAFE_DIVIDE: as /, but NULL on 0."""
    return _quotient(node, "gsql_safe_div", "gsql_safe_numeric_div")


def _quotient(node: Node, double: str, exact: str) -> Node:
    left, right = node.this, node.expression
    for side in (left, right):
        need(side, *NUMBERS, what="division")
    if kind(node) == "NUMERIC":
        return typed(call(exact, as_numeric(left), as_numeric(right)), "NUMERIC")
    return typed(call(double, left, right), "FLOAT64")


@handles(exp.IntDiv, exp.Mod)
def whole_division(node: Node) -> Node:
    """DIV and MOD: towards zero, the remainder signed as the dividend; 0 raises on both engines."""
    for side in (node.this, node.expression):
        need(side, "INT64", *(("NUMERIC",) if isinstance(node, exp.Mod) else ()), what=f"{node.key.upper()}")
    if isinstance(node, exp.IntDiv):
        return typed(call("divide", cast(node.this, "INT64"), cast(node.expression, "INT64")), "INT64")
    return typed(call("mod", cast(node.this, kind(node)), cast(node.expression, kind(node))), kind(node))


@handles(exp.Ln, exp.Sqrt, exp.Exp, exp.Tanh, exp.Sin, exp.Cos, exp.Tan, exp.Atan)
def analytic(node: Node) -> Node:
    """LN, SQRT, EXP, ... of one number. Outside the domain GoogleSQL raises where DuckDB gives nan or inf."""
    need(node.this, *NUMBERS, what=node.key.upper())
    return result(call("gsql_finite", call(node.key, as_double(node.this))), node)


@handles(exp.Pow)
def power(node: Node) -> Node:
    """POW; overflow raises."""
    for side in (node.this, node.expression):
        need(side, *NUMBERS, what="POW")
    return result(call("gsql_finite", call("pow", as_double(node.this), as_double(node.expression))), node)


@handles(exp.Log)
def logarithm(node: Node) -> Node:
    """LOG(x, base) and LOG10(x); sqlglot keeps the base first."""
    base, number = node.this, node.expression
    for side in (base, number):
        need(side, *NUMBERS, what="LOG")
    if isinstance(base, exp.Literal) and base.this == "10":
        logged = call("log10", as_double(number))
    else:
        logged = exp.Div(this=call("ln", as_double(number)), expression=call("ln", as_double(base)))
    return result(call("gsql_finite", logged), node)


@handles(exp.Round)
def round_(node: Node) -> Node:
    """ROUND half away from zero. To decimals only of NUMERIC: 2.675e0 is a little less, and DuckDB rounds it up."""
    found = need(node.this, *NUMBERS, what="ROUND")
    decimals = node.args.get("decimals")
    if node.args.get("truncate") is not None:
        raise Refused(f"{shown(node)}: write ROUND without a mode (half away from zero)")
    if found == "NUMERIC":
        if decimals is not None and not decimals.is_int:
            raise Refused(f"{shown(node)}: write the number of decimals as a literal")
        return cast(call("round", node.this, *([decimals] if decimals is not None else [])), "NUMERIC")
    if decimals is not None and not (decimals.is_int and decimals.to_py() == 0):
        raise Refused(
            f"{shown(node)}: the engines round FLOAT64 differently; write ROUND(CAST(x AS NUMERIC), n)"
        )
    return typed(call("round", as_double(node.this)), "FLOAT64")


@handles(exp.Floor, exp.Ceil)
def whole(node: Node) -> Node:
    """FLOOR and CEIL: FLOAT64 of an INT64, NUMERIC of a NUMERIC."""
    found = need(node.this, *NUMBERS, what=node.key.upper())
    if found == "NUMERIC":
        return cast(call(node.key, node.this), "NUMERIC")
    return typed(call(node.key, as_double(node.this)), "FLOAT64")


@handles(exp.Trunc)
def truncate(node: Node) -> Node:
    """TRUNC(x) towards zero."""
    if node.args.get("decimals") is not None:
        raise Refused(f"{shown(node)}: write TRUNC without decimals, or ROUND of a NUMERIC")
    found = need(node.this, *NUMBERS, what="TRUNC")
    if found == "NUMERIC":
        return cast(call("trunc", node.this), "NUMERIC")
    return typed(call("trunc", as_double(node.this)), "FLOAT64")


@handles(exp.Abs, exp.Sign)
def magnitude(node: Node) -> Node:
    """ABS and SIGN keep the type."""
    found = need(node.this, *NUMBERS, what=node.key.upper())
    return cast(call(node.key, node.this), found) if found in NUMBERS else node
