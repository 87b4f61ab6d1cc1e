"""Rules over whole typed tables that no single column can hold: keys, trees, prices, days."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import duckdb

from recsys.errors import ContractError
from recsys.sources.casts import Typed
from recsys.sources.reader import quote_name, quote_text

# An amount beyond this is a slip of unit or of decimal point in any currency that is traded.
ABSURD_PRICE = 1_000_000_000
_PRICE = f"price < 0 OR price > {ABSURD_PRICE}"
# table -> (column, what breaks the rule, what was expected)
ROW_RULES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "marketplace.items": (
        ("price", _PRICE, f"a price from 0 to {ABSURD_PRICE:,}"),
        ("stock", "stock < 0", "a stock of 0 or more"),
        ("take_rate", "take_rate < 0 OR take_rate > 1", "a share from 0 to 1"),
        ("sale_type", "sale_type NOT IN ('fixed', 'auction')", "'fixed' or 'auction'"),
        (
            "close_reason",
            "close_reason NOT IN ('sold', 'withdrawn', 'expired')",
            "'sold', 'withdrawn' or 'expired'",
        ),
        ("closed_at", "closed_at < listed_at", "a time not before listed_at"),
    ),
    "marketplace.price_changes": (("price", _PRICE, f"a price from 0 to {ABSURD_PRICE:,}"),),
    "marketplace.campaigns": (("ad_rate", "ad_rate < 0 OR ad_rate > 1", "a share from 0 to 1"),),
}


def check_table(con: duckdb.DuckDBPyConnection, typed: Typed, timezone: str) -> None:
    """Refuse a table whose rows contradict each other.

    Single events are not judged here: staging keeps a bad one in ``staging.rejected_events`` with its reason.

    Raises:
        ContractError: names the file, the column, what was expected, how many rows break it and one of them.
    """
    problems = []
    if typed.rows == 0 and not typed.table.optional:
        problems.append("it has no rows; every required table needs some")
    if typed.table.name == "marketplace.events":
        problems += _wrong_days(con, typed, timezone)
    else:
        problems += _duplicates(con, typed)
    for column, broken, expected in ROW_RULES.get(typed.table.name, ()):
        problems += _broken(con, typed, column, broken, expected)
    if typed.table.name == "marketplace.item_category" and not problems:
        problems += _tree_problems(con, typed)
    if problems:
        raise ContractError(
            f"{typed.label} cannot be imported as {typed.table.name}:\n  " + "\n  ".join(problems)
        )


def _duplicates(con: duckdb.DuckDBPyConnection, typed: Typed) -> list[str]:
    key = ", ".join(f"CAST({quote_name(column)} AS VARCHAR)" for column in typed.table.key)
    found = con.execute(
        f"SELECT {key}, COUNT(*) AS n, COUNT(*) OVER () FROM {typed.relation} GROUP BY {key} "
        f"HAVING n > 1 ORDER BY n DESC, {key} LIMIT 1"
    ).fetchone()
    if found is None:
        return []
    *value, count, keys = found
    shown = ", ".join(f"{column} = {v!r}" for column, v in zip(typed.table.key, value, strict=True))
    return [
        f"{', '.join(typed.table.key)} has to be unique: {shown} occurs {count} times ({keys:,} such keys)"
    ]


def _broken(
    con: duckdb.DuckDBPyConnection, typed: Typed, column: str, broken: str, expected: str
) -> list[str]:
    key = typed.table.key[0]
    found = con.execute(
        f"SELECT CAST({quote_name(column)} AS VARCHAR), {quote_name(key)}, COUNT(*) OVER () FROM {typed.relation} "
        f"WHERE {broken} ORDER BY {quote_name(key)} LIMIT 1"
    ).fetchone()
    if found is None:
        return []
    value, row_key, count = found
    types = {known.name: known.type for known in typed.table.columns}
    shown = f"{Decimal(value).normalize():f}" if types[column] == "NUMERIC" else repr(value)
    return [
        f"column {column!r}: expected {expected}, found {shown} for {key} {row_key!r} ({count:,} such rows)"
    ]


def _wrong_days(con: duckdb.DuckDBPyConnection, typed: Typed, timezone: str) -> list[str]:
    found = con.execute(
        f"SELECT event_id, event_date, CAST(event_ts AS VARCHAR), COUNT(*) OVER () FROM {typed.relation} "
        f"WHERE event_date <> CAST(event_ts AT TIME ZONE {quote_text(timezone)} AS DATE) ORDER BY event_id LIMIT 1"
    ).fetchone()
    if found is None:
        return []
    event_id, day, stamp, count = found
    return [
        f"column 'event_date': expected the day of event_ts in {timezone}, found {day} for {stamp} of event "
        f"{event_id!r} ({count:,} such rows); leave the column out to have it derived, or set timezone"
    ]


def _tree_problems(con: duckdb.DuckDBPyConnection, typed: Typed) -> list[str]:
    rows = con.execute(f"SELECT category_id, parent_id FROM {typed.relation} ORDER BY category_id").fetchall()
    parents = dict(rows)
    lost = [(child, parent) for child, parent in rows if parent is not None and parent not in parents]
    if lost:
        return [
            f"column 'parent_id': {lost[0][1]!r}, the parent of {lost[0][0]!r}, is no category "
            f"({len(lost):,} such rows)"
        ]
    cycle = find_cycle(parents.get, parents)
    if cycle:
        return [
            f"column 'parent_id': categories form a cycle: {' -> '.join(cycle)}; one of them must have no parent"
        ]
    return []


def find_cycle(parent_of: Callable[[str], str | None], nodes: dict[str, str | None]) -> list[str]:
    """Return one cycle of a parent relation as the path that closes, or an empty list. Linear in the nodes."""
    safe: set[str] = set()
    for start in nodes:
        path: list[str] = []
        on_path: set[str] = set()
        node: str | None = start
        while node is not None and node not in safe:
            if node in on_path:
                return [*path[path.index(node) :], node]
            path.append(node)
            on_path.add(node)
            node = parent_of(node)
        safe.update(path)
    return []
