"""What to say to a name that nothing has: the one that was meant, and those there are."""

from __future__ import annotations

import re
from collections.abc import Iterable

from recsys import schema
from recsys.errors import did_you_mean, nearest

_COLUMN = re.compile(r"(?:Column '|Unknown column: )(\w+)")
_OWNER = re.compile(r"for table: '(\w+)'")
_PLACE = re.compile(r"Line: \d+, Col: \d+")


def no_column(message: str, tables: Iterable[str], made: Iterable[str]) -> str:
    """Say which column was meant by one that could not be resolved, or how to tell two of a name apart.

    ``message`` is sqlglot's; ``tables`` are those of the warehouse that the text reads, ``made`` the names it gives.
    """
    match = _COLUMN.search(message)
    if match is None:
        return message
    name, owner, place = match[1], _OWNER.search(message), _PLACE.search(message)
    told = f"column {name!r} could not be resolved{f' ({place[0]})' if place else ''}"
    if owner:
        return f"{told}: there is no table {owner[1]!r} in FROM"
    columns = {table: schema.TABLES[table].column_names for table in tables if table in schema.TABLES}
    owners = [table for table, names in columns.items() if name in names]
    if len(owners) > 1:
        return f"{told}: {' and '.join(owners)} have it; write which, like t.{name}"
    known = {column for names in columns.values() for column in names} | set(made)
    listed = "; ".join(f"{table} has {', '.join(names)}" for table, names in columns.items())
    return f"{told}.{did_you_mean(nearest(name, known - {name}))} {listed}".rstrip()


def no_value(name: str, known: Iterable[str]) -> str:
    """Say how a parameter gets its value."""
    if name == "ds":
        return "@ds has no value: pass --ds DAY (in Python: ds=date(...))"
    told = did_you_mean(f"@{found}" for found in nearest(name, known))
    return f"@{name} has no value; declare it in the header ('-- params: {name}') or pass it{told and '.' + told}"
