"""Aggregates and window functions."""

from __future__ import annotations

from sqlglot import exp

from recsys.warehouse.dialect.common import (
    NUMBERS,
    Node,
    Refused,
    as_double,
    call,
    cast,
    handles,
    kind,
    need,
    shown,
    typed,
)

_NEEDS_ORDER = (
    exp.RowNumber,
    exp.Rank,
    exp.DenseRank,
    exp.PercentRank,
    exp.CumeDist,
    exp.Ntile,
    exp.Lag,
    exp.Lead,
    exp.FirstValue,
    exp.LastValue,
    exp.NthValue,
)


@handles(exp.Count, exp.Min, exp.Max)
def same(node: Node) -> Node:
    """Aggregates that mean the same."""
    return node


@handles(exp.IgnoreNulls)
def ignore_nulls(node: Node) -> Node:
    """IGNORE NULLS: of a window function as it is; of ARRAY_AGG ``array_agg`` has filtered."""
    return node if isinstance(node.parent, exp.Window) else node.this


@handles(exp.Sum)
def sum_(node: Node) -> Node:
    """SUM keeps the type; DuckDB's of INT64 is HUGEINT."""
    need(_argument(node), *NUMBERS, what="SUM", hint="CAST it, or COUNTIF a BOOL")
    return node if isinstance(node.parent, exp.Window) else _sum_type(node, node)


def _sum_type(node: Node, original: Node) -> Node:
    return cast(node, kind(original)) if kind(original) in NUMBERS else node


def _argument(node: Node) -> Node:
    argument = node.this
    return argument.expressions[0] if isinstance(argument, exp.Distinct) else argument


@handles(exp.CountIf)
def countif(node: Node) -> Node:
    """COUNTIF; DuckDB's is NULL over no rows."""
    need(node.this, "BOOL", what="COUNTIF")
    return typed(exp.Count(this=exp.Case(ifs=[exp.If(this=node.this, true=exp.Literal.number(1))])), "INT64")


@handles(exp.Avg)
def average(node: Node) -> Node:
    """AVG; of NUMERIC it is a NUMERIC, which is the quotient of SUM and COUNT."""
    argument = _argument(node)
    if need(argument, *NUMBERS, what="AVG") != "NUMERIC":
        return node
    if isinstance(node.parent, exp.Window):
        raise Refused(f"{shown(node)} OVER: write AVG(CAST(x AS FLOAT64)) OVER (...)")
    return typed(
        call("gsql_safe_numeric_div", exp.Sum(this=node.this), exp.Count(this=node.this.copy())), "NUMERIC"
    )


@handles(exp.LogicalAnd, exp.LogicalOr)
def logical(node: Node) -> Node:
    """LOGICAL_AND and LOGICAL_OR."""
    need(node.this, "BOOL", what="LOGICAL_AND")
    return typed(call("bool_and" if isinstance(node, exp.LogicalAnd) else "bool_or", node.this), "BOOL")


@handles(exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Variance, exp.VariancePop)
def spread(node: Node) -> Node:
    """STDDEV, VARIANCE and their kin: FLOAT64; NULL where there are too few rows."""
    names: dict[type[Node], str] = {
        exp.StddevPop: "stddev_pop",
        exp.Variance: "var_samp",
        exp.VariancePop: "var_pop",
    }
    need(node.this, *NUMBERS, what="STDDEV")
    return typed(call(names.get(type(node), "stddev_samp"), as_double(node.this)), "FLOAT64")


@handles(exp.CovarSamp, exp.CovarPop)
def covariance(node: Node) -> Node:
    """COVAR_SAMP and COVAR_POP."""
    name = "covar_samp" if isinstance(node, exp.CovarSamp) else "covar_pop"
    for side in (node.this, node.expression):
        need(side, *NUMBERS, what=name.upper())
    return typed(call(name, as_double(node.this), as_double(node.expression)), "FLOAT64")


@handles(exp.Corr)
def correlation(node: Node) -> Node:
    """CORR is NULL for fewer than two pairs; DuckDB's is nan."""
    if isinstance(node.parent, exp.Window):
        raise Refused(f"{shown(node)} OVER: aggregate with GROUP BY and join")
    for side in (node.this, node.expression):
        need(side, *NUMBERS, what="CORR")
    left, right = as_double(node.this), as_double(node.expression)
    few = exp.LT(this=call("regr_count", left.copy(), right.copy()), expression=exp.Literal.number(2))
    made = exp.Case(
        ifs=[exp.If(this=few, true=exp.Null())], default=call("gsql_finite", call("corr", left, right))
    )
    return typed(made, "FLOAT64")


@handles(exp.ArrayAgg)
def array_agg(node: Node) -> Node:
    """ARRAY_AGG(x [IGNORE NULLS] ORDER BY ... [LIMIT n]); without ORDER BY its order is an accident."""
    limit, order, ignore, value = _unwrap(node.this)
    ignore = ignore or isinstance(node.parent, exp.IgnoreNulls)
    if order is None:
        raise Refused(f"{shown(node)}: add ORDER BY inside; without it the order differs from run to run")
    if isinstance(value, exp.Distinct):
        raise Refused(f"{shown(node)}: take the distinct rows in a subquery first")
    made: Node = exp.ArrayAgg(this=exp.Order(this=value, expressions=order.expressions))
    if ignore:
        made = exp.Filter(this=made, expression=exp.Where(this=_present(value)))
    if limit is not None:
        made = call("list_slice", made, 1, limit)
    made.type = node.type
    return made


@handles(exp.GroupConcat)
def string_agg(node: Node) -> Node:
    """STRING_AGG(x, separator ORDER BY ... [LIMIT n])."""
    limit, order, _, value = _unwrap(node.this)
    separator = node.args.get("separator")
    if isinstance(separator, exp.Limit | exp.Order):
        inner_limit, inner_order, _, separator = _unwrap(separator)
        limit, order = limit or inner_limit, order or inner_order
    if order is None:
        raise Refused(f"{shown(node)}: add ORDER BY inside; without it the order differs from run to run")
    if isinstance(value, exp.Distinct):
        raise Refused(f"{shown(node)}: take the distinct rows in a subquery first")
    need(value, "STRING", what="STRING_AGG")
    listed: Node = exp.ArrayAgg(this=exp.Order(this=value, expressions=order.expressions))
    listed = exp.Filter(this=listed, expression=exp.Where(this=_present(value)))
    if limit is not None:
        listed = call("list_slice", listed, 1, limit)
    return typed(call("array_to_string", listed, separator or ","), "STRING")


def _present(value: Node) -> Node:
    return exp.Not(this=exp.Is(this=exp.Paren(this=value.copy()), expression=exp.Null()))


def _unwrap(node: Node) -> tuple[Node | None, Node | None, bool, Node]:
    """LIMIT, ORDER BY, IGNORE NULLS and value of an aggregate's argument, whatever order they are nested in."""
    limit: Node | None = None
    order: Node | None = None
    ignore = False
    while isinstance(node, exp.Limit | exp.Order | exp.IgnoreNulls | exp.RespectNulls):
        if isinstance(node, exp.Limit):
            limit = node.expression
        elif isinstance(node, exp.Order):
            order = node
        else:
            ignore = isinstance(node, exp.IgnoreNulls)
        node = node.this
    return limit, order, ignore, node


@handles(*_NEEDS_ORDER)
def ranking(node: Node) -> Node:
    """ROW_NUMBER, LAG and their kin; ``window`` sees to their ORDER BY."""
    return node


@handles(exp.PercentileCont)
def percentile(node: Node) -> Node:
    """PERCENTILE_CONT(x, p) OVER (...): FLOAT64."""
    if not isinstance(node.parent, exp.Window):
        raise Refused(
            f"{shown(node)}: BigQuery has it as a window function only; write ... OVER (PARTITION BY ...)"
        )
    need(node.this, *NUMBERS, what="PERCENTILE_CONT")
    return typed(call("quantile_cont", as_double(node.this), node.expression), "FLOAT64")


@handles(exp.Window)
def window(node: Node) -> Node:
    """f(...) OVER (...); a function that depends on the order has to say it."""
    function = node.this.this if isinstance(node.this, exp.IgnoreNulls) else node.this
    named = node.args.get("alias") is not None or node.arg_key == "windows"
    if isinstance(function, _NEEDS_ORDER) and node.args.get("order") is None and not named:
        raise Refused(
            f"{shown(node)}: add ORDER BY; without it the rows are numbered differently from run to run"
        )
    for by in node.args.get("partition_by") or ():
        if kind(by) == "FLOAT64":
            raise Refused(
                f"{shown(node)}: BigQuery cannot PARTITION BY a FLOAT64; CAST it to STRING or INT64"
            )
    return cast(node, kind(node)) if kind(node) in NUMBERS else node
