"""Names of tables in a text: found in its tokens, replaced by names that the local engine knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from tests.endpoint.errors import invalid, not_found
from tests.endpoint.store import Store, Table

PATH = re.compile(r"[A-Za-z0-9_-]+")
BEFORE = {"FROM", "JOIN", "INTO", ",", "UPDATE", "DELETE"}
NAMES = {TokenType.VAR, TokenType.IDENTIFIER}


@dataclass(frozen=True)
class Place:
    """A path in a text, from ``start`` up to and without ``end``, and the table it names."""

    start: int
    end: int
    table: Table
    has_alias: bool


@dataclass(frozen=True)
class Mapped:
    """A text whose tables have local names, and the tables by these names."""

    sql: str
    tables: dict[str, Table]


def kind_of(sql: str) -> str:
    """SELECT, INSERT, DELETE, ...: the first word that says what a statement does."""
    words = tokens(sql)
    if not words:
        raise invalid("Syntax error: Unexpected end of statement", "invalidQuery")
    if any(word.token_type == TokenType.SEMICOLON for word in words[:-1]):
        raise invalid("Scripts are not served here: one statement", "invalidQuery")
    first = words[0].text.upper()
    return "SELECT" if first in ("SELECT", "WITH", "(") else first


@lru_cache(maxsize=1024)
def tokens(sql: str) -> list[Token]:
    """The words of a text; not to be changed."""
    try:
        return sqlglot.tokenize(sql, read="bigquery")
    except SqlglotError as error:
        raise invalid(f"Syntax error: {error}", "invalidQuery") from error


@lru_cache(maxsize=256)
def parse(sql: str) -> Any:
    """The tree of a statement; not to be changed."""
    try:
        return sqlglot.parse_one(sql, read="bigquery")
    except SqlglotError as error:
        raise invalid(f"Syntax error: {error}", "invalidQuery") from error


def local_name(table: Table) -> str:
    """One word, in lower case, that no other table has."""
    return re.sub(r"[^a-z0-9_]", "_", f"{table.project}__{table.dataset}__{table.name}".lower())


def map_tables(sql: str, store: Store, project: str, default: str | None = None) -> Mapped:
    """Replace every path of a table by its local name; where there is no alias, its own name becomes one."""
    written, last, tables = [], 0, {}
    for place in places(sql, store, project, default):
        name = local_name(place.table)
        alias = "" if place.has_alias else f" AS {place.table.name}"
        written += [sql[last : place.start], name, alias]
        last = place.end
        tables[name] = place.table
    return Mapped("".join([*written, sql[last:]]), tables)


def places(sql: str, store: Store, project: str, default: str | None) -> Iterator[Place]:
    """Where a text names tables: paths after FROM, JOIN, INTO or a comma that the parser takes for tables."""
    words, tree = tokens(sql), parse(sql)
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    named = {tuple(part.name for part in table.parts) for table in tree.find_all(exp.Table)}
    index = 0
    while index < len(words):
        end, parts = _path(words, index)
        before = words[index - 1].text.upper() if index else ""
        is_cte = len(parts) == 1 and (parts[0].lower() in ctes or default is None)
        if tuple(parts) not in named or before not in BEFORE or is_cte:
            index += 1
            continue
        after = words[end] if end < len(words) else None
        aliased = after is not None and (after.text.upper() == "AS" or after.token_type in NAMES)
        found = _table(parts, store, project, default)
        yield Place(words[index].start, words[end - 1].end + 1, found, aliased or before == "INTO")
        index = end


def _path(words: list[Token], index: int) -> tuple[int, list[str]]:
    """The dotted path that begins at a token: where it ends, and its parts; backquoted paths have dots inside."""
    parts: list[str] = []
    while index < len(words) and words[index].token_type in NAMES:
        parts += words[index].text.split(".")
        index += 1
        if index + 1 < len(words) and words[index].token_type == TokenType.DOT:
            index += 1
        else:
            break
    return index, parts


def _table(parts: list[str], store: Store, project: str, default: str | None) -> Table:
    full = [project, *([default] if default and len(parts) == 1 else []), *parts][-3:]
    if len(full) != 3 or not all(PATH.fullmatch(part) for part in full):
        raise not_found("Table", ".".join(parts))
    return store.table(*full)


def delete_as_select(sql: str, keep: bool) -> str:
    """``DELETE FROM t WHERE c`` as the SELECT of the rows that stay, or of those that go."""
    words = tokens(sql)
    start = 1 if words[1].text.upper() != "FROM" else 2
    where = next((n for n, word in enumerate(words) if word.text.upper() == "WHERE"), None)
    if where is None:
        raise invalid("DELETE must have a WHERE clause", "invalidQuery")
    condition = sql[words[where + 1].start :].rstrip().rstrip(";")
    target = sql[words[start].start : words[where].start]
    return f"SELECT * FROM {target} WHERE " + (
        f"NOT IFNULL(({condition}\n), FALSE)" if keep else f"{condition}\n"
    )


def update_as_select(sql: str, columns: list[str] | None) -> str:
    """``UPDATE t SET a = x WHERE c`` as the SELECT of every row as it is from now on (``columns``: those of the table),
    or, without ``columns``, of the rows that change.
    """
    words, tree = tokens(sql), parse(sql)
    where = next((n for n, word in enumerate(words) if word.text.upper() == "WHERE"), None)
    if where is None or not isinstance(tree, exp.Update):
        raise invalid("UPDATE must have a WHERE clause", "invalidQuery")
    condition = sql[words[where + 1].start :].rstrip().rstrip(";")
    to = next(n for n, word in enumerate(words) if word.text.upper() == "SET")
    target = sql[words[1].start : words[to].start]
    if columns is None:
        return f"SELECT * FROM {target} WHERE {condition}\n"
    new = {one.this.name: one.expression.sql("bigquery") for one in tree.expressions}
    unknown = sorted(set(new) - set(columns))
    if unknown:
        raise invalid(f"Column {unknown[0]} not found in the table of UPDATE", "invalidQuery")
    listed = ", ".join(
        f"IF(({condition}\n), {new[name]}, {name}) AS {name}" if name in new else name for name in columns
    )
    return f"SELECT {listed} FROM {target}"


def insert_parts(sql: str) -> tuple[str, list[str] | None, str]:
    """``INSERT INTO t (a, b) SELECT ...`` -> path of t, columns, SELECT; VALUES become SELECTs."""
    tree = parse(sql)
    if not isinstance(tree, exp.Insert):
        raise invalid("Syntax error: no INSERT", "invalidQuery")
    words = tokens(sql)
    start = 2 if words[1].text.upper() == "INTO" else 1
    end, parts = _path(words, start)
    columns = None
    if isinstance(tree.this, exp.Schema):
        columns = [one.name for one in tree.this.expressions]
        end = next(n for n in range(end, len(words)) if words[n].token_type == TokenType.R_PAREN) + 1
    rest = sql[words[end].start :].rstrip().rstrip(";")
    if words[end].text.upper() == "VALUES":
        rest = _values(tree.expression, columns)
    return ".".join(parts), columns, rest


def _values(values: Any, columns: list[str] | None) -> str:
    rows = []
    for row in values.expressions:
        cells = [cell.sql("bigquery") for cell in row.expressions]
        names = columns or [f"c{number}" for number in range(len(cells))]
        if len(cells) != len(names):
            raise invalid("Inserted row has wrong column count", "invalidQuery")
        rows.append("SELECT " + ", ".join(f"{c} AS {n}" for c, n in zip(cells, names, strict=True)))
    return "\nUNION ALL\n".join(rows)
