"""A mapping: how the rows of one foreign file become source tables, written as BigQuery SELECTs in YAML.

docs/bring-your-own-data.md explains every key on an example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import yaml

from recsys import schema
from recsys.errors import ContractError, SqlError
from recsys.sources.reader import SourceFile, describe, first_line, quote_name
from recsys.warehouse.dialect import translate

KEYS = ("description", "settings", "skip", "with", "tables")
SOURCE = "source"
ROW_NUMBER = "row_number"


@dataclass(frozen=True)
class SourceMapping:
    """A parsed mapping. ``skip`` is (reason, condition) in order; ``steps`` and ``tables`` are name -> SELECT."""

    path: Path
    settings: Mapping[str, object]
    skip: tuple[tuple[str, str], ...]
    steps: Mapping[str, str]
    tables: Mapping[str, str]


@dataclass(frozen=True)
class Skipped:
    """How many rows of the file were read, and how many were left out for which reason."""

    rows: int
    by_reason: Mapping[str, int]


def load_mapping(path: Path) -> SourceMapping:
    """Read a mapping file.

    Raises:
        ContractError: when the file is absent, is no YAML, or has an unknown key or table; says which are known.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ContractError(
            f"The mapping {path} does not exist; examples/online_retail.yaml is a model."
        ) from error
    except yaml.YAMLError as error:
        raise ContractError(f"{path} is no YAML that can be read: {error}") from error
    if not isinstance(content, dict):
        raise ContractError(
            f"{path} has to hold the keys {', '.join(KEYS)}; examples/online_retail.yaml is a model."
        )
    _refuse_unknown(path, "key", content, KEYS)
    tables = {f"marketplace.{name}": sql for name, sql in _section(path, content, "tables").items()}
    known = [table.name for table in schema.SOURCES]
    _refuse_unknown(path, "table", tables, known)
    missing = [table.name for table in schema.SOURCES if not table.optional and table.name not in tables]
    if missing:
        raise ContractError(f"{path} maps no {', '.join(missing)}; add a SELECT for each under 'tables'.")
    return SourceMapping(
        path,
        _section(path, content, "settings"),
        _skip_rules(path, content.get("skip") or []),
        _section(path, content, "with"),
        tables,
    )


def _section(path: Path, content: dict[str, Any], key: str) -> dict[str, Any]:
    section = content.get(key) or {}
    if not isinstance(section, dict):
        raise ContractError(f"{path}: {key!r} has to be a list of `name: value`, found {section!r}.")
    return section


def _skip_rules(path: Path, entries: object) -> tuple[tuple[str, str], ...]:
    rules = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, dict) or set(entry) != {"reason", "where"}:
            raise ContractError(
                f"{path}: every entry of 'skip' has to have a reason and a where, found {entry!r}."
            )
        rules.append((str(entry["reason"]), str(entry["where"])))
    return tuple(rules)


def _refuse_unknown(
    path: Path, what: str, given: Mapping[str, object], known: tuple[str, ...] | list[str]
) -> None:
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        raise ContractError(f"{path} has unknown {what}s: {', '.join(unknown)}. Known: {', '.join(known)}.")


def apply_mapping(con: duckdb.DuckDBPyConnection, mapping: SourceMapping, file: SourceFile) -> Skipped:
    """Make each mapped table a DuckDB table named ``mapped.<table>``, read from the rows of ``file``.

    SELECTs see the rows that no skip rule took as ``source``, with their 1-based place in the file as
    ``row_number``, and the steps under ``with`` by name.

    Raises:
        ContractError: when a SELECT or a skip rule cannot be run; names it and says why.
    """
    describe(con, file.scan(), file.label)
    con.execute(
        f"CREATE TABLE file_rows AS SELECT *, row_number() OVER () AS {ROW_NUMBER} FROM {file.scan()}"
    )
    reason = "NULL"
    if mapping.skip:
        cases = " ".join(f"WHEN {where} THEN {number}" for number, (_, where) in enumerate(mapping.skip))
        reason = f"CASE {cases} END"
    make = partial(_create, con, mapping)
    make("skip", "sorted_rows", f"SELECT *, {reason} AS skip_rule FROM file_rows")
    make("skip", SOURCE, "SELECT * EXCEPT (skip_rule) FROM sorted_rows WHERE skip_rule IS NULL")
    counts = dict(con.execute("SELECT skip_rule, COUNT(*) FROM sorted_rows GROUP BY ALL").fetchall())
    for name, sql in mapping.steps.items():
        make(f"with: {name}", quote_name(str(name)), sql)
    con.execute("CREATE SCHEMA mapped")
    for name, sql in mapping.tables.items():
        make(f"tables: {name.removeprefix('marketplace.')}", mapped_relation(name), sql)
    by_reason = {rule: counts.get(number, 0) for number, (rule, _) in enumerate(mapping.skip)}
    return Skipped(sum(counts.values()), by_reason)


def mapped_relation(name: str) -> str:
    """Return the DuckDB relation that holds the mapped rows of source table ``name``."""
    return f"mapped.{quote_name(name)}"


def _create(
    con: duckdb.DuckDBPyConnection, mapping: SourceMapping, place: str, relation: str, sql: str
) -> None:
    where = f"{mapping.path}, {place}"
    try:
        con.execute(f"CREATE TABLE {relation} AS {translate(sql, where).sql}")
    except SqlError as error:
        raise ContractError(str(error)) from error
    except duckdb.Error as error:
        raise ContractError(f"{where}: {first_line(error)}") from error
