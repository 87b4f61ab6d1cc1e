"""What a SELECT reads: columns and partitions of tables, as BigQuery's on-demand billing counts them.

BigQuery bills the logical bytes of the columns that a query names, over the partitions that its filters leave (see
``pruning``). Where BigQuery may be cleverer (clustering, filters pushed into subqueries), this counts more.
Source: cloud.google.com/bigquery/docs/estimate-costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Protocol

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from recsys import schema
from recsys.errors import SqlError
from recsys.warehouse.pruning import Divider, Holds, Node, always, every, leaves
from recsys.warehouse.tables import no_table

DISTANT = date(1, 1, 2)
MEBIBYTE = 2**20
LEAST = 10 * MEBIBYTE
"""On demand, a query is billed for at least this much of every table it reads."""


@dataclass(frozen=True)
class Read:
    """One place in a SELECT that reads a table: the columns it needs, and which partitions its filters leave.

    ``holds`` is asked with the day of a partition; None stands for the partition of NULL, and for the whole of a table
    that has no partitions.
    """

    table: schema.Table
    columns: tuple[str, ...]
    holds: Holds

    @property
    def is_bounded(self) -> bool:
        """Whether a partition that is old enough is left out, so that a longer history costs no more."""
        return not self.holds(DISTANT)


class Sizes(Protocol):
    """How large tables are: measured (``sizes.FileSizes``), or supposed."""

    def days(self, table: schema.Table) -> Sequence[date | None]:
        """Partitions of a table; a table without partitions has the one None."""
        ...

    def total(self, table: schema.Table, wanted: Mapping[str, Iterable[date | None]]) -> int:
        """Logical bytes of columns, each in the partitions named with it."""
        ...


def scan(
    sql: str, params: Mapping[str, object] | None = None, tables: Mapping[str, schema.Table] | None = None
) -> tuple[Read, ...]:
    """Name what a SELECT in BigQuery's dialect reads, one entry for each place that names a table.

    ``params`` are the values of its @parameters. ``tables`` maps the names in the text to contracts; by default the
    names are those of the contracts.

    Raises:
        SqlError: the text is no SELECT that can be read, or names no such table or column.

    Example:
        >>> read, = scan("SELECT user_id FROM staging.users WHERE ds = @ds", {"ds": date(2026, 1, 5)})
        >>> read.columns, read.holds(date(2026, 1, 5)), read.holds(date(2026, 1, 4))
        (('ds', 'user_id'), True, False)
    """
    given = dict(params or {})
    known = tuple((schema.TABLES if tables is None else tables).items())
    return tuple(Read(found.table, found.columns, _holds(found, given)) for found in _occurrences(sql, known))


def bytes_by_table(reads: Iterable[Read], sizes: Sizes) -> dict[str, int]:
    """Logical bytes that one query reads of each table. A column read twice over a partition counts once."""
    tables: dict[str, schema.Table] = {}
    wanted: dict[str, dict[str, set[date | None]]] = {}
    for read in reads:
        name = read.table.name
        tables[name] = read.table
        days = [day for day in sizes.days(read.table) if read.holds(day)]
        columns = wanted.setdefault(name, {})
        for column in read.columns:
            columns.setdefault(column, set()).update(days)
    return {name: sizes.total(tables[name], columns) for name, columns in wanted.items()}


def bytes_read(reads: Iterable[Read], sizes: Sizes) -> int:
    """Logical bytes that one query reads: ``totalBytesProcessed`` of a dry run."""
    return sum(bytes_by_table(reads, sizes).values())


def bytes_billed(by_table: Mapping[str, int]) -> int:
    """Bytes that one query is billed for on demand: 10 MiB of a table at least, rounded up to whole MiB."""
    total = sum(max(size, LEAST) for size in by_table.values())
    return -(-total // MEBIBYTE) * MEBIBYTE


@dataclass(frozen=True)
class _Occurrence:
    """A table in a FROM or JOIN, and the conditions that could prune it; ``optional``: an outer join may add NULLs."""

    table: schema.Table
    alias: str
    columns: tuple[str, ...]
    conditions: tuple[Node, ...]
    optional: bool


@lru_cache(maxsize=512)
def _occurrences(sql: str, tables: tuple[tuple[str, schema.Table], ...]) -> tuple[_Occurrence, ...]:
    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
        if not isinstance(tree, exp.Query):
            raise SqlError(f"{sql.strip()[:60]!r} is no SELECT.")
        contracts = _named(tree, dict(tables))
        shapes: dict[str, Any] = {}
        for contract in contracts.values():
            dataset, _, name = contract.name.partition(".")
            shapes.setdefault(dataset, {})[name] = {c.name: c.type for c in contract.columns}
        known = MappingSchema(shapes, dialect="bigquery")
        tree = qualify(tree, schema=known, dialect="bigquery", quote_identifiers=False, identify=False)
        tree = pushdown_projections(tree)
        found = [one for scope in traverse_scope(tree) for one in _of_scope(scope, contracts)]
    except SqlglotError as error:
        raise SqlError(f"{sql.strip()[:60]!r} cannot be read: {error}") from error
    return tuple(found)


def _named(tree: Node, tables: Mapping[str, schema.Table]) -> dict[str, schema.Table]:
    """Give each table the name of its contract; return the contracts by that name."""
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    found: dict[str, schema.Table] = {}
    for table in list(tree.find_all(exp.Table)):
        full = ".".join(part.name for part in table.parts)
        if full.lower() in ctes:
            continue
        if full not in tables:
            raise SqlError(no_table(full))
        contract = tables[full]
        dataset, _, name = contract.name.partition(".")
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
        table.set("this", exp.to_identifier(name))
        table.set("db", exp.to_identifier(dataset))
        table.set("catalog", None)
        found[contract.name] = contract
    return found


def _of_scope(scope: Scope, contracts: Mapping[str, schema.Table]) -> Iterator[_Occurrence]:
    """The tables that one SELECT names itself."""
    optional = _may_be_absent(scope.expression)
    for alias, (_, source) in scope.selected_sources.items():
        if not isinstance(source, exp.Table):
            continue
        contract = contracts[f"{source.db}.{source.name}"]
        columns = {column.name for column in scope.columns if column.table == alias}
        if any(column.name == alias for column in scope.expression.find_all(exp.TableColumn)):
            columns = set(contract.column_names)
        conditions = tuple(_conditions(scope.expression, alias))
        yield _Occurrence(contract, alias, tuple(sorted(columns)), conditions, alias in optional)


def _may_be_absent(select: Node) -> set[str]:
    """Aliases of a SELECT whose rows an outer join may replace by NULLs."""
    absent: set[str] = set()
    seen = {source.alias_or_name for source in _sources(select)}
    for join in select.args.get("joins") or []:
        alias, side = join.alias_or_name, (join.side or "").upper()
        absent |= seen if side in ("RIGHT", "FULL") else set()
        absent |= {alias} if side in ("LEFT", "FULL") else set()
        seen.add(alias)
    return absent


def _sources(select: Node) -> list[Node]:
    from_ = select.args.get("from_") or select.args.get("from")
    return [from_.this] if from_ else []


def _conditions(select: Node, alias: str) -> Iterator[Node]:
    """Conditions that every row read through ``alias`` has to meet before or in its join, or in the WHERE."""
    where = select.args.get("where")
    if where:
        yield from where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    for join in select.args.get("joins") or []:
        on, side = join.args.get("on"), (join.side or "").upper()
        own = join.alias_or_name == alias
        if on is not None and (side == "" or (side == "LEFT" and own) or (side == "RIGHT" and not own)):
            for condition in on.flatten() if isinstance(on, exp.And) else [on]:
                marked = condition.copy()
                marked.meta["in_join"] = side != ""
                yield marked


def _holds(found: _Occurrence, params: Mapping[str, object]) -> Holds:
    """Which partitions are left by all conditions on one occurrence."""
    table = found.table
    name = table.partition or table.divided
    if name is None:
        return always
    divider = Divider(found.alias, name, is_time=table.partition is None)
    parts = []
    for condition in found.conditions:
        holds = leaves(condition, divider, params)
        # After an outer join the row may be one of NULLs: only a filter that no NULL passes can be applied before it.
        if not (found.optional and not condition.meta.get("in_join") and holds(None)):
            parts.append(holds)
    return every(parts)
