"""A mapping: how the rows of one foreign file become source tables, written as BigQuery SELECTs in YAML.

docs/bring-your-own-data.md explains every key on an example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from recsys import schema
from recsys.errors import ContractError, SqlError
from recsys.sources.casts import ACCEPTED, DUCKDB_TYPES
from recsys.sources.reader import SourceFile, describe, first_line, quote_name
from recsys.warehouse.dialect import translate
from recsys.yaml_files import read_yaml

KEYS = ("description", "settings", "skip", "with", "tables")
FILE_ROWS, SORTED_ROWS, SOURCE = "file_rows", "sorted_rows", "source"
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
    if not path.exists():
        raise ContractError(f"The mapping {path} does not exist; examples/online_retail.yaml is a model.")
    content = read_yaml(path, ContractError)
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
    """Make each mapped table a DuckDB table, ``mapped_relation``, read from the rows of ``file``.

    SELECTs see the rows that no skip rule took as ``source``, with their 1-based place in the file as
    ``row_number``, and the steps under ``with`` by name.

    Raises:
        ContractError: a SELECT or a skip rule cannot be run, or what it reads is of a type that BigQuery has not.
    """
    runner = _Runner(con, mapping.path, {FILE_ROWS: _load(con, file)})
    cases = " ".join(f"WHEN {where} THEN {number}" for number, (_, where) in enumerate(mapping.skip))
    reason = f"CASE {cases} END" if cases else "CAST(NULL AS INT64)"
    runner.create("skip", SORTED_ROWS, f"SELECT *, {reason} AS skip_rule FROM {FILE_ROWS}")
    runner.create("skip", SOURCE, f"SELECT * EXCEPT (skip_rule) FROM {SORTED_ROWS} WHERE skip_rule IS NULL")
    counts = dict(
        con.execute(f"SELECT skip_rule, COUNT(*) FROM {relation(SORTED_ROWS)} GROUP BY ALL").fetchall()
    )
    for name, sql in mapping.steps.items():
        runner.create(f"with: {name}", str(name), str(sql))
    for name, sql in mapping.tables.items():
        short = name.removeprefix("marketplace.")
        runner.create(f"tables: {short}", mapped_name(name), str(sql))
    by_reason = {rule: counts.get(number, 0) for number, (rule, _) in enumerate(mapping.skip)}
    return Skipped(sum(counts.values()), by_reason)


def relation(name: str) -> str:
    """Return what DuckDB calls the step ``name``: the name that translated texts use."""
    return quote_name(f"foreign.{name.lower()}")


def mapped_name(table: str) -> str:
    """Return the step that holds the rows of source table ``table``."""
    return f"mapped_{table.removeprefix('marketplace.')}"


def _load(con: duckdb.DuckDBPyConnection, file: SourceFile) -> dict[str, str]:
    """Copy the file, numbered, in BigQuery's types; return column -> type."""
    types = {}
    for column, found in describe(con, file.scan(), file.label).items():
        types[column] = next((name for name, held in ACCEPTED.items() if found.partition("(")[0] in held), "")
        if not types[column]:
            raise ContractError(
                f"{file.label}, column {column!r}: type {found} cannot be mapped; export it as a plain column."
            )
    casts = [f"CAST({quote_name(c)} AS {DUCKDB_TYPES[t]}) AS {quote_name(c)}" for c, t in types.items()]
    con.execute(
        f"CREATE TABLE {relation(FILE_ROWS)} AS "
        f"SELECT {', '.join(casts)}, row_number() OVER () AS {ROW_NUMBER} FROM {file.scan()}"
    )
    return {**types, ROW_NUMBER: "INT64"}


@dataclass
class _Runner:
    """Runs the SELECTs of one mapping; ``known`` is step -> column -> BigQuery type, of all steps so far."""

    con: duckdb.DuckDBPyConnection
    path: Path
    known: dict[str, dict[str, str]]

    def create(self, place: str, name: str, sql: str) -> None:
        """Run one SELECT into a table that later ones may read by ``name``."""
        where = f"{self.path}, {place}"
        try:
            translated = translate(sql, where, foreign=self.known)
            self.con.execute(f"CREATE TABLE {relation(name)} AS {translated.sql}")
        except SqlError as error:
            raise ContractError(str(error)) from error
        except duckdb.Error as error:
            raise ContractError(f"{where}: {first_line(error)}") from error
        self.known[name.lower()] = dict(translated.columns)
