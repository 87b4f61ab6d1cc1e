"""DATE and TIMESTAMP: whole units, weeks that start on Sunday, and zones that are always said."""

from __future__ import annotations

from sqlglot import exp

from recsys.warehouse.dialect.common import Node, Refused, call, cast, handles, kind, need, shown, typed

_MICROS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1_000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
}
_WEEKDAYS = {"MONDAY": 1, "TUESDAY": 2, "WEDNESDAY": 3, "THURSDAY": 4, "FRIDAY": 5, "SATURDAY": 6}
_PARTS = {
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "DAY": "day",
    "DAYOFYEAR": "dayofyear",
    "ISOWEEK": "week",
    "ISOYEAR": "isoyear",
    "HOUR": "hour",
    "MINUTE": "minute",
    "SECOND": "second",
}
_FORMATS = {"F": "%Y-%m-%d", "T": "%H:%M:%S", **{letter: f"%{letter}" for letter in "YmdHMSjuwyaAbB%"}}
UTC = exp.Literal.string("UTC")


def unit_of(node: Node) -> str:
    """The unit as written: DAY, WEEK, WEEK(MONDAY), ISOWEEK, ..."""
    unit = node.args.get("unit")
    if isinstance(unit, exp.WeekStart):
        return f"WEEK({unit.name.upper()})"
    return unit.name.upper() if unit is not None else "DAY"


def _date(node: Node, what: str) -> Node:
    need(node, "DATE", what=what, hint="write DATE(ts, @timezone)")
    return cast(node, "DATE") if kind(node) != "DATE" or node.is_string else node


def _timestamp(node: Node, what: str) -> Node:
    need(node, "TIMESTAMP", what=what, hint="write TIMESTAMP(day, @timezone)")
    return node


@handles(exp.DateAdd, exp.DateSub)
def date_add(node: Node) -> Node:
    """DATE_ADD and DATE_SUB return a DATE; DuckDB's return a TIMESTAMP. Months end on their last day."""
    name = "DATE_ADD" if isinstance(node, exp.DateAdd) else "DATE_SUB"
    day, unit = _date(node.this, name), unit_of(node)
    count = _count(node)
    if isinstance(node, exp.DateSub):
        count = exp.Neg(this=exp.Paren(this=count))
    days = {"DAY": 1, "WEEK": 7}.get(unit)
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}.get(unit)
    if days:
        moved = exp.Add(this=day, expression=_integer(count, days))
        return typed(exp.Paren(this=moved), "DATE")
    if months:
        return cast(exp.Add(this=day, expression=call("to_months", _integer(count, months))), "DATE")
    raise Refused(f"{shown(node)}: {name} takes DAY, WEEK, MONTH, QUARTER or YEAR")


def _count(node: Node) -> Node:
    count = node.expression
    if isinstance(count, exp.Interval):
        count = count.this
    if count.is_string:  # sqlglot writes INTERVAL 1 DAY as INTERVAL '1' DAY
        return exp.Literal.number(count.this)
    need(count, "INT64", what="an interval")
    return count


def _integer(count: Node, factor: int) -> Node:
    if factor != 1:
        count = exp.Mul(this=exp.Paren(this=count), expression=exp.Literal.number(factor))
    return exp.Cast(this=count, to=exp.DataType.build("INTEGER", dialect="duckdb"))


@handles(exp.DateDiff)
def date_diff(node: Node) -> Node:
    """DATE_DIFF counts the boundaries crossed; weeks start on Sunday unless said otherwise."""
    later, earlier, unit = _date(node.this, "DATE_DIFF"), _date(node.expression, "DATE_DIFF"), unit_of(node)
    if unit == "DAY":
        return typed(exp.Paren(this=exp.Sub(this=later, expression=earlier)), "INT64")
    if unit in ("MONTH", "QUARTER", "YEAR"):
        return typed(call("date_diff", unit.lower(), earlier, later), "INT64")
    between = exp.Sub(this=_week(later, unit, node), expression=_week(earlier, unit, node))
    return typed(call("divide", exp.Paren(this=between), 7), "INT64")


def _week(day: Node, unit: str, node: Node) -> Node:
    """First day of the week that ``day`` is in."""
    if unit in ("WEEK", "WEEK(SUNDAY)"):
        return call("gsql_week", day)
    if unit == "ISOWEEK":
        return call("gsql_isoweek", day)
    start = unit.removeprefix("WEEK(").removesuffix(")")
    if start not in _WEEKDAYS:
        raise Refused(f"{shown(node)}: the unit {unit} is not kept equal")
    return call("gsql_week_from", day, _WEEKDAYS[start])


@handles(exp.DateTrunc)
def date_trunc(node: Node) -> Node:
    """DATE_TRUNC returns a DATE."""
    day, unit = _date(node.this, "DATE_TRUNC"), unit_of(node)
    if unit == "DAY":
        return day
    if unit in ("MONTH", "QUARTER", "YEAR"):
        return cast(call("date_trunc", unit.lower(), day), "DATE")
    return typed(_week(day, unit, node), "DATE")


@handles(exp.LastDay)
def last_day(node: Node) -> Node:
    """LAST_DAY of the month."""
    if node.args.get("unit") is not None and unit_of(node) != "MONTH":
        raise Refused(f"{shown(node)}: write LAST_DAY of a month")
    return typed(call("last_day", _date(node.this, "LAST_DAY")), "DATE")


@handles(exp.Date)
def date(node: Node) -> Node:
    """DATE(ts), which is UTC's, DATE(ts, zone) and DATE(day)."""
    zone = node.args.get("zone")
    found = kind(node.this)
    if found == "DATE" and zone is None:
        return _date(node.this, "DATE")
    if found == "STRING" and zone is None:
        return cast(node.this, "DATE")
    if zone is None and node.expressions:
        zone = node.expressions[0]
    return typed(call("gsql_date", _timestamp(node.this, "DATE"), zone or UTC.copy()), "DATE")


@handles(exp.DateFromParts)
def date_from_parts(node: Node) -> Node:
    """DATE(year, month, day)."""
    parts = [node.args["year"], node.args["month"], node.args["day"]]
    return typed(call("make_date", *(cast(part, "INT64") for part in parts)), "DATE")


@handles(exp.Timestamp)
def timestamp(node: Node) -> Node:
    """TIMESTAMP(day), which is UTC's midnight, TIMESTAMP(day, zone) and TIMESTAMP(text)."""
    zone = node.args.get("zone")
    found = kind(node.this)
    if found == "DATE":
        return typed(call("gsql_instant", node.this, zone or UTC.copy()), "TIMESTAMP")
    if found == "TIMESTAMP" and zone is None:
        return node.this
    if found == "STRING" and zone is None:
        return cast(node.this, "TIMESTAMP")
    raise Refused(f"{shown(node)}: write TIMESTAMP(day, zone) or TIMESTAMP('YYYY-MM-DD HH:MM:SS')")


@handles(exp.TimestampAdd, exp.TimestampSub)
def timestamp_add(node: Node) -> Node:
    """TIMESTAMP_ADD and TIMESTAMP_SUB; a DAY is 24 hours."""
    name = "TIMESTAMP_ADD" if isinstance(node, exp.TimestampAdd) else "TIMESTAMP_SUB"
    micros = _micros(node, name)
    count = exp.Mul(this=exp.Paren(this=_count(node)), expression=cast(exp.Literal.number(micros), "INT64"))
    span = call("to_microseconds", count)
    maker = exp.Add if isinstance(node, exp.TimestampAdd) else exp.Sub
    return typed(exp.Paren(this=maker(this=_timestamp(node.this, name), expression=span)), "TIMESTAMP")


def _micros(node: Node, name: str) -> int:
    unit = unit_of(node)
    if unit not in _MICROS:
        raise Refused(f"{shown(node)}: {name} takes {', '.join(_MICROS)}")
    return _MICROS[unit]


@handles(exp.TimestampDiff)
def timestamp_diff(node: Node) -> Node:
    """TIMESTAMP_DIFF counts whole units; DuckDB's counts boundaries."""
    later, earlier = (_timestamp(side, "TIMESTAMP_DIFF") for side in (node.this, node.expression))
    micros = _micros(node, "TIMESTAMP_DIFF")
    between = exp.Sub(this=call("epoch_us", later), expression=call("epoch_us", earlier))
    return typed(call("divide", exp.Paren(this=between), micros), "INT64")


@handles(exp.TimestampTrunc)
def timestamp_trunc(node: Node) -> Node:
    """TIMESTAMP_TRUNC in UTC, or in the zone that is said."""
    zone = node.args.get("zone") or UTC.copy()
    unit = unit_of(node)
    instant = _timestamp(node.this, "TIMESTAMP_TRUNC")
    if unit in ("SECOND", "MINUTE", "HOUR"):
        return typed(call("gsql_trunc", instant, unit.lower(), zone), "TIMESTAMP")
    day = typed(call("gsql_date", instant, zone), "DATE")
    if unit in ("MONTH", "QUARTER", "YEAR"):
        day = cast(call("date_trunc", unit.lower(), day), "DATE")
    elif unit != "DAY":
        day = _week(day, unit, node)
    return typed(call("gsql_instant", day, zone.copy()), "TIMESTAMP")


@handles(exp.AtTimeZone)
def at_time_zone(node: Node) -> Node:
    """AT TIME ZONE stands inside EXTRACT only, which reads it."""
    if not isinstance(node.parent, exp.Extract):
        raise Refused(f"{shown(node)}: AT TIME ZONE belongs in EXTRACT(part FROM ts AT TIME ZONE zone)")
    return node


@handles(exp.Extract)
def extract(node: Node) -> Node:
    """EXTRACT; DAYOFWEEK is 1 on Sunday, SECOND and MILLISECOND leave out the larger units."""
    part = (
        unit_of(exp.Var(unit=node.this)) if isinstance(node.this, exp.WeekStart) else node.this.name.upper()
    )
    source, zone = node.expression, UTC.copy()
    if isinstance(source, exp.AtTimeZone):
        source, zone = source.this, source.args["zone"]
    found = need(source, "DATE", "TIMESTAMP", what="EXTRACT")
    wall = call("gsql_wall", source, zone) if found == "TIMESTAMP" else source
    if part == "DATE":
        return typed(exp.Cast(this=wall, to=exp.DataType.build("DATE")), "DATE")
    if part == "DAYOFWEEK":
        return typed(
            exp.Paren(this=exp.Add(this=call("dayofweek", wall), expression=exp.Literal.number(1))), "INT64"
        )
    if part == "MILLISECOND":
        return typed(call("mod", call("millisecond", wall), 1000), "INT64")
    if part not in _PARTS:
        raise Refused(
            f"{shown(node)}: the part {part} is not kept equal; use one of {', '.join(_PARTS)}, DAYOFWEEK, DATE"
        )
    return typed(call(_PARTS[part], wall), "INT64")


@handles(exp.UnixSeconds, exp.UnixMillis, exp.UnixMicros)
def unix(node: Node) -> Node:
    """UNIX_SECONDS, UNIX_MILLIS and UNIX_MICROS; downwards, also before 1970."""
    micros = call("epoch_us", _timestamp(node.this, "UNIX_SECONDS"))
    unit = (
        1_000_000 if isinstance(node, exp.UnixSeconds) else 1_000 if isinstance(node, exp.UnixMillis) else 1
    )
    return typed(micros if unit == 1 else call("gsql_floor", micros, unit), "INT64")


@handles(exp.UnixDate)
def unix_date(node: Node) -> Node:
    """UNIX_DATE: days since 1970-01-01."""
    epoch = cast(exp.Literal.string("1970-01-01"), "DATE")
    return typed(exp.Paren(this=exp.Sub(this=_date(node.this, "UNIX_DATE"), expression=epoch)), "INT64")


@handles(exp.UnixToTime)
def from_unix(node: Node) -> Node:
    """TIMESTAMP_SECONDS, TIMESTAMP_MILLIS and TIMESTAMP_MICROS."""
    scale = node.args.get("scale")
    micros = {"": 1_000_000, "0": 1_000_000, "3": 1_000, "6": 1}.get(scale.name if scale is not None else "")
    need(node.this, "INT64", what="TIMESTAMP_SECONDS")
    if micros is None:
        raise Refused(f"{shown(node)}: write TIMESTAMP_SECONDS, TIMESTAMP_MILLIS or TIMESTAMP_MICROS")
    count = exp.Mul(this=cast(node.this, "INT64"), expression=exp.Literal.number(micros))
    return typed(call("make_timestamptz", count), "TIMESTAMP")


@handles(exp.TsOrDsToDate, exp.TsOrDsToTimestamp)
def format_source(node: Node) -> Node:
    """sqlglot's wrapper around what FORMAT_DATE and FORMAT_TIMESTAMP write."""
    if isinstance(node, exp.TsOrDsToDate):
        return _date(node.this, "FORMAT_DATE")
    return _timestamp(node.this, "FORMAT_TIMESTAMP")


@handles(exp.TimeToStr)
def format_time(node: Node) -> Node:
    """FORMAT_DATE and FORMAT_TIMESTAMP with elements that both engines write alike."""
    if kind(node.this) == "TIMESTAMP":
        wall = call("gsql_wall", node.this, node.args.get("zone") or UTC.copy())
    else:
        wall = exp.Cast(
            this=_date(node.this, "FORMAT_DATE"), to=exp.DataType.build("TIMESTAMP", dialect="duckdb")
        )
    return typed(call("strftime", wall, _format(node)), "STRING")


def _format(node: Node) -> str:
    given = node.args["format"]
    if not given.is_string:
        raise Refused(f"{shown(node)}: write the format as a literal")
    written, pieces, rest = given.this, [], iter(given.this)
    for letter in rest:
        element = next(rest, "") if letter == "%" else None
        if element is not None and element not in _FORMATS:
            raise Refused(
                f"{shown(node)}: %{element} in {written!r} is not kept equal; use {', '.join(_FORMATS)}"
            )
        pieces.append(letter if element is None else _FORMATS[element])
    return "".join(pieces)


@handles(exp.GenerateDateArray)
def generate_dates(node: Node) -> Node:
    """GENERATE_DATE_ARRAY by days or weeks, both ends included."""
    step = node.args.get("step")
    unit = unit_of(step) if step is not None else "DAY"
    if unit not in ("DAY", "WEEK"):
        raise Refused(f"{shown(node)}: write GENERATE_DATE_ARRAY by DAY or WEEK")
    count: Node = (
        exp.Literal.number(step.this.this)
        if step is not None and step.this.is_string
        else exp.Literal.number(1)
    )
    if step is not None and not step.this.is_string:
        count = step.this
    span = call("to_days", _integer(count, 7 if unit == "WEEK" else 1))
    start, end = (
        _date(node.args["start"], "GENERATE_DATE_ARRAY"),
        _date(node.args["end"], "GENERATE_DATE_ARRAY"),
    )
    made = exp.Cast(
        this=call("generate_series", start, end, span), to=exp.DataType.build("DATE[]", dialect="duckdb")
    )
    made.type = node.type
    return made
