"""Statements as they are sent to BigQuery, and what Google's analyzer has against them."""

from __future__ import annotations

import re

from recsys import schema
from recsys.warehouse.bigquery.names import LEDGER
from recsys.warehouse.bigquery.resources import LEDGER_COLUMNS
from tests.googlesql.analyzer import GoogleSqlError, analyzer

Types = tuple[tuple[str, str], ...]
_QUOTED = re.compile(r"`([^`]+)`\.`([^`]+)`\.`([^`]+)`")
_SELECT = "resolved_query_stmt_node"
_KINDS = (_SELECT, "resolved_insert_stmt_node", "resolved_delete_stmt_node", "resolved_update_stmt_node")


def made_by(target: str) -> str | None:
    """Contract of the table that a job's result goes to, like ``demo_staging.users``; None if it is kept nowhere."""
    dataset, _, table = target.partition("$")[0].rpartition(".")
    name = _known(dataset, table)
    return name if name in schema.TABLES else None


def _known(dataset: str, table: str) -> str | None:
    """Contract of a table under any prefix and of any part, or the ledger."""
    bare = table.partition("__")[0]
    names = [*schema.TABLES, LEDGER]
    return next(
        (n for n in names if dataset.endswith(n.partition(".")[0]) and n.partition(".")[2] == bare), None
    )


def fault(sql: str, types: Types, table: str | None) -> str | None:
    """What Google's analyzer has against a statement, with its line; None where it has nothing."""
    tables: dict[tuple[str, ...], dict[str, str]] = {}
    for path in _QUOTED.findall(sql):
        name = _known(*path[1:])
        if name is None:
            return f"{'.'.join(path)} is no table of the contracts, in: {sql}"
        columns = LEDGER_COLUMNS if name == LEDGER else schema.table(name).columns
        tables[path] = {column.name: column.type for column in columns}
    try:
        kind = analyzer().statement(sql, dict(types), tables)
        found = analyzer().columns(sql, dict(types), tables) if kind == _SELECT else []
    except GoogleSqlError as error:
        return f"{error} in:\n{sql}"
    if kind not in _KINDS:
        return f"{kind} in:\n{sql}"
    expected = [(column.name, column.type) for column in schema.table(table).columns] if table else found
    return None if found == expected else f"{table} is to get {expected}, and would get {found}"
