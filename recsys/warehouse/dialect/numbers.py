"""Arithmetic, comparisons, conditionals and casts of numbers."""

from __future__ import annotations

from sqlglot import exp

from recsys.warehouse.dialect.common import (
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

_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ)
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
    if isinstance(parent, (*_COMPARISONS, exp.Between, exp.In)):
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


@handles(*_COMPARISONS, exp.Between, exp.In)
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


def _to(kind_: str):  # type: ignore[no-untyped-def]
    return lambda node, safe: cast(node, kind_, safe)


_CASTS = {
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
