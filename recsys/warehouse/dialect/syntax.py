"""Syntax that means the same on both engines, and the reasons for refusing what does not."""

from __future__ import annotations

from sqlglot import exp

from recsys.warehouse.dialect.common import Node

SAME: frozenset[type[Node]] = frozenset(
    {
        exp.Alias,
        exp.And,
        exp.Boolean,
        exp.Column,
        exp.ColumnDef,
        exp.CTE,
        exp.DataType,
        exp.DataTypeParam,
        exp.Distinct,
        exp.Dot,
        exp.Except,
        exp.Exists,
        exp.From,
        exp.Group,
        exp.Having,
        exp.Identifier,
        exp.Intersect,
        exp.Interval,
        exp.Is,
        exp.Join,
        exp.Limit,
        exp.Literal,
        exp.Not,
        exp.Null,
        exp.Offset,
        exp.Or,
        exp.Order,
        exp.Ordered,
        exp.Paren,
        exp.Placeholder,
        exp.PropertyEQ,
        exp.Qualify,
        exp.RawString,
        exp.Select,
        exp.Star,
        exp.Struct,
        exp.Subquery,
        exp.Table,
        exp.TableAlias,
        exp.Tuple,
        exp.Union,
        exp.Unnest,
        exp.Var,
        exp.WeekStart,
        exp.Where,
        exp.WindowSpec,
        exp.With,
    }
)

_CLOCK = "time enters as @ds; write @ds, or TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone) for the end of the day"
_CHANCE = "it differs from run to run; hash a key with FARM_FINGERPRINT instead"
_SKETCH = "the sketches differ between engines; write"
_JSON = "keep JSON out of the tables; import its fields as columns"
_DATETIME = "DATETIME has no zone; use TIMESTAMP with a zone, or DATE"

REASONS: dict[str, str] = {
    "CURRENTDATE": _CLOCK,
    "CURRENTTIMESTAMP": _CLOCK,
    "CURRENTDATETIME": _CLOCK,
    "CURRENTTIME": _CLOCK,
    "RAND": _CHANCE,
    "UUID": _CHANCE,
    "TABLESAMPLE": _CHANCE,
    "ANYVALUE": "it may pick another row each time; write MIN, MAX, or ARRAY_AGG(x ORDER BY ... LIMIT 1)[OFFSET(0)]",
    "ARGMAX": "ties are broken differently; write ARRAY_AGG(x ORDER BY y DESC, key LIMIT 1)[OFFSET(0)]",
    "ARGMIN": "ties are broken differently; write ARRAY_AGG(x ORDER BY y, key LIMIT 1)[OFFSET(0)]",
    "APPROXDISTINCT": f"{_SKETCH} COUNT(DISTINCT x)",
    "APPROXQUANTILES": f"{_SKETCH} PERCENTILE_CONT(x, 0.5) OVER (...)",
    "APPROXTOPK": f"{_SKETCH} COUNT(*) with ORDER BY and LIMIT",
    "APPROXTOPSUM": f"{_SKETCH} SUM(x) with ORDER BY and LIMIT",
    "HLL_COUNT": f"{_SKETCH} COUNT(DISTINCT x)",
    "IEEE_DIVIDE": "inf and nan compare differently; write SAFE_DIVIDE",
    "ISNAN": "nan compares differently; keep it out with SAFE_DIVIDE and IF",
    "ISINF": "inf compares differently; keep it out with SAFE_DIVIDE and IF",
    "SAFEFUNC": "DuckDB has no SAFE. prefix; guard the argument, like IF(x > 0, LN(x), NULL)",
    "TSORDSTODATETIME": _DATETIME,
    "DATETIME": _DATETIME,
    "TIMESTAMPFROMPARTS": _DATETIME,
    "DATETIMETRUNC": _DATETIME,
    "DATETIMEDIFF": _DATETIME,
    "DATETIMEADD": _DATETIME,
    "DATETIMESUB": _DATETIME,
    "STRTODATE": "the parsers are lenient in different ways; write CAST(x AS DATE) over YYYY-MM-DD",
    "STRTOTIME": "the parsers are lenient in different ways; write CAST(x AS TIMESTAMP) over YYYY-MM-DD HH:MM:SS",
    "FORMAT": "write CONCAT and CAST(x AS STRING)",
    "PIVOT": "write COUNTIF or SUM(IF(...)) per column",
    "ARRAYCONCAT": "NULL arrays are treated differently; join the rows with UNION ALL before ARRAY_AGG",
    "MD5": "write FARM_FINGERPRINT",
    "LOWERHEX": "write FARM_FINGERPRINT",
    "PERCENTILEDISC": "write PERCENTILE_CONT(x, p) OVER (...)",
}

GENERIC = (
    "it is not known to mean the same on both engines; write it with functions that are, "
    "or add a handler in recsys/warehouse/dialect with a test of GoogleSQL's values"
)


def reason(node: Node) -> tuple[str, str]:
    """Name a construct that has no entry, and say what to write instead."""
    while isinstance(node, exp.JSONPath | exp.JSONPathPart | exp.JSONKeyValue) and node.parent is not None:
        node = node.parent
    if isinstance(node, exp.Anonymous):
        name = str(node.this).upper()
        return name, REASONS.get(name, GENERIC)
    name = type(node).__name__.upper()
    written = node.sql("bigquery").partition("(")[0] if isinstance(node, exp.Func) else name
    return written, REASONS.get(name, _JSON if "JSON" in name else GENERIC)
