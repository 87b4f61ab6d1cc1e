"""BigQuery's dialect -> DuckDB's: rewrite what can be made equal, refuse the rest."""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from recsys.errors import SqlError


@dataclass(frozen=True)
class Translated:
    """A SELECT for DuckDB, the tables it reads (``dataset.table``) and the parameters it binds."""

    sql: str
    tables: tuple[str, ...]
    params: tuple[str, ...]


def translate(sql: str, name: str = "query") -> Translated:
    """Translate one SELECT; tables become quoted names with a dot inside, as the local warehouse calls its views.

    Raises:
        SqlError: names the file, what cannot be kept equal, and what to write instead.
    """
    try:
        statements = [s for s in sqlglot.parse(sql, read="bigquery") if s is not None]
    except SqlglotError as error:
        raise SqlError(f"{name}: cannot be read as BigQuery SQL: {error}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SqlError(f"{name}: has to be one SELECT.")
    tree = statements[0].transform(_zoned_timestamp)
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    tables: set[str] = set()
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and (table.db or table.name not in ctes):
            full = f"{table.db}.{table.name}" if table.db else table.name
            tables.add(full)
            alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name))
            table.set("db", None)
            table.set("this", exp.to_identifier(full, quoted=True))
            table.set("alias", alias)
    params = tuple(sorted({p.name for p in tree.find_all(exp.Parameter)}))
    return Translated(tree.sql(dialect="duckdb"), tuple(sorted(tables)), params)


def _zoned_timestamp(node: exp.Expression) -> exp.Expression:
    """TIMESTAMP(day, zone): the instant the day begins there. sqlglot leaves the call, which DuckDB lacks."""
    if isinstance(node, exp.Timestamp) and node.args.get("zone"):
        wall_clock = exp.Cast(this=node.this, to=exp.DataType(this=exp.DataType.Type.TIMESTAMPNTZ))
        return exp.AtTimeZone(this=wall_clock, zone=node.args["zone"])
    return node
