"""Type the columns of one file strictly by the contract: a value is read exactly or reported, never guessed."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from recsys.errors import ContractError
from recsys.schema import Column, Table
from recsys.sources.reader import describe, first_line, quote_name, quote_text, suggestion

DUCKDB_TYPES = {
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38, 9)",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
}
_INTEGERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "HUGEINT",
)
_NUMBERS = (*_INTEGERS, "FLOAT", "DOUBLE", "DECIMAL")
_TIMESTAMPS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")
# The Parquet types that hold a contract type without loss of meaning.
ACCEPTED = {
    "STRING": ("VARCHAR", "ENUM", "UUID"),
    "INT64": _INTEGERS,
    "FLOAT64": _NUMBERS,
    "NUMERIC": _NUMBERS,
    "BOOL": ("BOOLEAN",),
    "DATE": ("DATE",),
    "TIMESTAMP": _TIMESTAMPS,
}
_TIME = r"([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s*(Z|UTC|[+-]\d{2}(:?\d{2})?)?)?"
# How a CSV has to write a type: pattern, and the words of the message.
CSV_FORMS = {
    "INT64": (r"^[+-]?\d{1,19}$", "a whole number like 42"),
    "FLOAT64": (r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$", "a number like 0.5"),
    "NUMERIC": (r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$", "an amount like 12.50"),
    "BOOL": (r"^(?i:true|false|1|0)$", "true or false"),
    "DATE": (r"^\d{4}-\d{2}-\d{2}$", "a date like 2026-01-31"),
    "TIMESTAMP": (
        rf"^\d{{4}}-\d{{2}}-\d{{2}}{_TIME}$",
        "a time like 2026-01-31 18:30:00 (UTC unless it says)",
    ),
}
# What a file may leave out because another column says it.
DERIVED = {"event_date": "event_ts", "ingested_at": "event_ts"}


@dataclass(frozen=True)
class Raw:
    """Rows as they were found: a DuckDB scan or table, what messages call it, and whether all of it is CSV text."""

    relation: str
    label: str
    is_csv: bool = False


@dataclass(frozen=True)
class Typed:
    """A table typed into DuckDB: where it is, what it is, how many rows, and which columns the file lacked."""

    table: Table
    relation: str
    label: str
    rows: int
    filled: tuple[str, ...]


def type_table(con: duckdb.DuckDBPyConnection, table: Table, raw: Raw, timezone: str) -> Typed:
    """Create the typed copy of ``raw`` as the contract of ``table`` asks.

    Columns the contract allows to be NULL may be absent and are filled with NULL; ``event_date`` and
    ``ingested_at`` come from ``event_ts`` when absent.

    Raises:
        ContractError: names the file and each column at fault, what was expected, and an example value and row.
    """
    present = describe(con, raw.relation, raw.label)
    _raise_any(_column_problems(table, present, raw.is_csv), table, raw)
    casts = {column.name: _cast(column, present, raw.is_csv, timezone) for column in table.columns}
    given = [column for column in table.columns if column.name in present]
    _raise_any(_value_problems(con, given, raw, casts), table, raw)
    target = quote_name(table.name)
    order = f"ORDER BY {table.partition}" if table.partition else ""
    select = ", ".join(f"{cast} AS {quote_name(name)}" for name, cast in casts.items())
    con.execute(f"CREATE OR REPLACE TABLE {target} AS SELECT {select} FROM {raw.relation} {order}")
    counted = con.execute(f"SELECT COUNT(*) FROM {target}").fetchone()
    filled = tuple(name for name in table.column_names if name not in present)
    return Typed(table, target, raw.label, counted[0] if counted else 0, filled)


def _raise_any(problems: list[str], table: Table, raw: Raw) -> None:
    if problems:
        raise ContractError(f"{raw.label} does not fit table {table.name}:\n  " + "\n  ".join(problems))


def _column_problems(table: Table, present: dict[str, str], is_csv: bool) -> list[str]:
    problems = []
    for name in present:
        if name not in table.column_names:
            guess = suggestion(name, [c for c in table.column_names if c not in present])
            problems.append(f"column {name!r} is unknown{guess}; known: {', '.join(table.column_names)}")
    for column in table.columns:
        found = present.get(column.name)
        if found is None:
            if column.required and column.name not in DERIVED:
                problems.append(f"column {column.name!r} ({column.type}, never empty) is missing")
        elif not is_csv and not _accepts(column.type, found):
            problems.append(f"column {column.name!r}: expected {column.type}, found {found}{_remedy(column)}")
    return problems


def _remedy(column: Column) -> str:
    return f"; write it as text, like CAST({column.name} AS STRING)" if column.type == "STRING" else ""


def _accepts(type_: str, found: str) -> bool:
    base = found.partition("(")[0]
    return base in ACCEPTED[type_] or base in ('"NULL"', "NULL")


def _cast(column: Column, present: dict[str, str], is_csv: bool, timezone: str) -> str:
    name = column.name
    if name not in present:
        if name == "event_date":
            stamp = _cast(Column("event_ts", "TIMESTAMP", True), present, is_csv, timezone)
            return f"CAST({stamp} AT TIME ZONE {quote_text(timezone)} AS DATE)"
        if name == "ingested_at":
            return _cast(Column("event_ts", "TIMESTAMP", True), present, is_csv, timezone)
        return f"CAST(NULL AS {DUCKDB_TYPES[column.type]})"
    raw = quote_name(name)
    cast = f"TRY_CAST({raw} AS {DUCKDB_TYPES[column.type]})"
    if is_csv and column.type in CSV_FORMS:
        trimmed = f"trim({raw})"
        cast = f"TRY_CAST({trimmed} AS {DUCKDB_TYPES[column.type]})"
        cast = f"CASE WHEN regexp_matches({trimmed}, {quote_text(CSV_FORMS[column.type][0])}) THEN {cast} END"
    if column.type == "FLOAT64":
        cast = f"CASE WHEN isfinite({cast}) THEN {cast} END"
    return cast


def _value_problems(
    con: duckdb.DuckDBPyConnection, columns: list[Column], raw: Raw, casts: dict[str, str]
) -> list[str]:
    """Count, in one pass, the values each column cannot hold; look up an example only where there is one."""
    tests = []
    for column in columns:
        name = quote_name(column.name)
        tests.append(f"({name} IS NOT NULL AND ({casts[column.name]}) IS NULL)")
        tests.append(f"({name} IS NULL)" if column.required else "FALSE")
    try:
        sums = ", ".join(f"COUNT(*) FILTER (WHERE {test})" for test in tests)
        counts = con.execute(f"SELECT {sums} FROM {raw.relation}").fetchone() or ()
    except duckdb.Error as error:
        raise ContractError(f"{raw.label} cannot be read: {first_line(error)}") from error
    problems = []
    for number, (test, count) in enumerate(zip(tests, counts, strict=True)):
        if count:
            column = columns[number // 2]
            row, value = _example(con, raw.relation, column.name, test)
            wanted = CSV_FORMS[column.type][1] if raw.is_csv and column.type in CSV_FORMS else column.type
            what = "a value, found none" if number % 2 else f"{wanted}, found {value!r}"
            problems.append(
                f"column {column.name!r}: expected {what} in data row {row} ({count:,} such rows)"
            )
    return problems


def _example(con: duckdb.DuckDBPyConnection, relation: str, column: str, test: str) -> tuple[int, object]:
    found = con.execute(
        f"SELECT _row, CAST({quote_name(column)} AS VARCHAR) "
        f"FROM (SELECT *, row_number() OVER () AS _row FROM {relation}) WHERE {test} ORDER BY _row LIMIT 1"
    ).fetchone()
    return (found[0], found[1]) if found else (0, None)
