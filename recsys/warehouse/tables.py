"""SQL file -> TableSpec: what a file's header tells the runner and the tests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from recsys import schema
from recsys.errors import SqlError, did_you_mean, nearest
from recsys.settings import Settings

KEYS = ("grain", "partition", "cluster", "upstream", "params", "snapshot", "ranges", "limits")
REQUIRED_KEYS = ("grain", "upstream")
MADE_BY = {
    "scoring.lists": "recsys score --ds {ds}",
    "scoring.keyword_variants": "airflow dags test keywords_weekly {ds}",
    "scoring.keyword_lists": "airflow dags test keywords_weekly {ds}",
    "scoring.steps": "recsys score --ds {ds}",
    "scoring.seller_lists": "recsys sellers score --ds {ds}",
    "scoring.seller_weights": "recsys sellers train --ds {ds}",
    "experiments.assignments": "recsys assign --ds {ds}",
    "experiments.metrics": "airflow dags test experiment_metrics_daily {ds}",
    "experiments.results": "airflow dags test experiment_metrics_daily {ds}",
    "experiments.checks": "airflow dags test experiment_metrics_daily {ds}",
    "experiments.decisions": "airflow dags test experiment_metrics_daily {ds}",
    "monitoring.check_results": "recsys check TABLES --ds {ds}",
    "synthetic.truth": "recsys truth --ds {ds}",
}
"""Tables that a job writes; every other table outside ``marketplace`` is built from its SQL file."""
_FIELD = re.compile(r"^--\s*([a-z]+):\s*(.*?)\s*$")


@dataclass(frozen=True)
class TableSpec:
    """One SQL file: its text, and its header read.

    ``params`` are names of settings that the text uses as ``@name`` (``@ds`` is always there and not listed).
    ``ranges`` are text columns, one of the key first, whose values never meet other values: the rows of a range of them
    follow from the rows of that range in each upstream table that has such a column. The local warehouse builds a large
    one range by range, cut where row groups end or, if given, at ``limits``, values of the first column.
    """

    name: str
    path: Path
    sql: str
    purpose: str
    grain: tuple[str, ...]
    partition: str | None
    cluster: tuple[str, ...]
    upstream: tuple[str, ...]
    params: tuple[str, ...] = ()
    snapshot_once: bool = False
    ranges: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


def sql_path(sql_dir: Path, table: str) -> Path:
    """Path of the SELECT that makes ``table``. Only names with a contract are accepted."""
    dataset, _, name = schema.table(table).name.partition(".")
    return sql_dir / dataset / f"{name}.sql"


def load_spec(sql_dir: Path, table: str) -> TableSpec:
    """Read the file of ``table``.

    Raises:
        ContractError: the table has no contract.
        SqlError: no such file, or its header is malformed or disagrees with the contract.
    """
    path = sql_path(sql_dir, table)
    try:
        stamp = path.stat().st_mtime_ns
    except FileNotFoundError as error:
        told = f"{table} has no SQL file; expected {path}."
        if table in MADE_BY or table.startswith("marketplace."):
            told = f"{table} has no SQL file: it is written by {remedy(table)}, not by SQL."
        raise SqlError(told) from error
    return _load(path, table, stamp)


def datasets() -> list[str]:
    """Names of the datasets that have tables, in the order of the contracts."""
    return list(dict.fromkeys(name.partition(".")[0] for name in schema.TABLES))


def no_table(name: str) -> str:
    """Say that there is no table ``name``, and which three come nearest; a name without its dataset counts.

    Example:
        >>> no_table("recommendations")
        'there is no table recommendations; `recsys tables` lists them. Did you mean marts.recommendations?'
    """
    dataset, _, bare = name.lower().rpartition(".")
    by_bare: dict[str, list[str]] = {}
    for full in schema.TABLES:
        by_bare.setdefault(full.partition(".")[2], []).append(full)
    close = [bare] if bare in by_bare and not dataset else nearest(bare, by_bare, 3)
    near = [full for found in close for full in by_bare[found]]
    near.sort(
        key=lambda full: (
            full.partition(".")[2] != bare,
            not f".{dataset}".endswith(f".{full.partition('.')[0]}"),
        )
    )
    told = f"there is no table {name}; `recsys tables` lists them"
    if near:
        return f"{told}.{did_you_mean(near[:3])}"
    of_dataset = [full for full in schema.TABLES if full.startswith(f"{dataset}.")]
    return (
        f"{told}: {', '.join(of_dataset)}"
        if of_dataset
        else f"{told}; the datasets are {', '.join(datasets())}"
    )


def remedy(table: str, ds: date | None = None) -> str:
    """Name the command that makes ``table``."""
    day = ds or "DAY"
    if table.startswith("marketplace."):
        return f"`recsys import DIR` or `recsys simulate --ds {day}`"
    return f"`{MADE_BY.get(table, f'recsys build {table} --ds {{ds}}').format(ds=day)}`"


@cache
def _load(path: Path, table: str, stamp: int) -> TableSpec:  # stamp: a changed file is read again
    return parse_spec(path.read_text(encoding="utf-8"), table, path)


def parse_spec(text: str, table: str, path: Path | None = None) -> TableSpec:
    """Read header and text of one SQL file; ``path`` is named in errors.

    Example:
        >>> parse_spec("-- Users.\\n-- grain: user_id\\n-- partition: ds\\n-- upstream: marketplace.users\\nSELECT 1",
        ...            "staging.users").upstream
        ('marketplace.users',)
    """
    path = path or Path(f"{table}.sql")
    purpose, found = _header(text, path)
    for key in REQUIRED_KEYS:
        if key not in found:
            raise SqlError(f"{path}: the header lacks a line '-- {key}: ...'.")
    if not purpose:
        raise SqlError(f"{path}: the first line has to be a comment that says what the table is for.")
    spec = TableSpec(
        name=table,
        path=path,
        sql=text,
        purpose=purpose,
        grain=_names(found["grain"]),
        partition=found.get("partition") or None,
        cluster=_names(found.get("cluster", "")),
        upstream=_names(found["upstream"]),
        params=_names(found.get("params", "")),
        snapshot_once=found.get("snapshot") == "once",
        ranges=_names(found.get("ranges", "")),
        limits=_names(found.get("limits", "")),
    )
    _check(spec, found)
    return spec


def _header(text: str, path: Path) -> tuple[str, dict[str, str]]:
    purpose: list[str] = []
    found: dict[str, str] = {}
    last: str | None = None
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        match = _FIELD.match(line)
        if match and match[1] in KEYS:
            last = match[1]
            if last in found:
                raise SqlError(f"{path}: the header has two lines '-- {last}:'.")
            found[last] = match[2]
        elif last in ("upstream", "params", "grain", "cluster") and found[last].endswith(","):
            found[last] += " " + line.removeprefix("--").strip()
        elif match and last:
            raise SqlError(f"{path}: unknown header line {line!r}; known: {', '.join(KEYS)}.")
        elif not found:
            purpose.append(line.removeprefix("--").strip())
    return " ".join(purpose).strip(), found


def _check(spec: TableSpec, found: dict[str, str]) -> None:
    contract = schema.table(spec.name)
    if spec.grain != contract.key:
        raise SqlError(
            f"{spec.path}: grain is {', '.join(spec.grain)}; the contract's key is {', '.join(contract.key)}."
        )
    if spec.partition != contract.partition:
        raise SqlError(f"{spec.path}: partition is {spec.partition}; the contract says {contract.partition}.")
    unknown = sorted(set(spec.cluster) - set(contract.column_names))
    if unknown:
        raise SqlError(f"{spec.path}: cluster names {', '.join(unknown)}, no column of {spec.name}.")
    wanted = contract.key if spec.limits else contract.key[:1]
    if (spec.ranges or spec.limits) and spec.ranges[:1] not in [(name,) for name in wanted]:
        raise SqlError(f"{spec.path}: ranges has to begin with {' or '.join(wanted)}, of the key.")
    if list(spec.limits) != sorted(set(spec.limits)):
        raise SqlError(f"{spec.path}: limits have to ascend, got {', '.join(spec.limits)}.")
    for name in spec.upstream:
        if name not in schema.TABLES:
            raise SqlError(
                f"{spec.path}: upstream names {name!r}, which has no contract in recsys/schema.py."
            )
    known = {f.name for f in fields(Settings)}
    for name in spec.params:
        if name not in known:
            raise SqlError(
                f"{spec.path}: params names {name!r}, which is no setting. Known: {', '.join(sorted(known))}."
            )
    if found.get("snapshot", "once") != "once":
        raise SqlError(f"{spec.path}: snapshot is {found['snapshot']!r}; the one value is 'once'.")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part for part in (piece.strip() for piece in text.split(",")) if part)


def order(tables: Iterable[str], sql_dir: Path) -> list[str]:
    """Sort ``tables`` so that each comes after those of them it reads; ties by name, so the order is always the same.

    Raises:
        SqlError: when the headers form a cycle; names it.
    """
    wanted = set(tables)
    sorter = TopologicalSorter({name: _upstream_within(name, wanted, sql_dir) for name in sorted(wanted)})
    try:
        sorter.prepare()
    except CycleError as error:
        raise SqlError(f"Tables that read each other in a circle: {' -> '.join(error.args[1])}.") from error
    result: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        result += ready
        sorter.done(*ready)
    return result


def _upstream_within(table: str, wanted: set[str], sql_dir: Path) -> list[str]:
    """Tables of ``wanted`` that ``table`` reads, directly or through tables that are not wanted."""
    seen: set[str] = set()
    stack = list(_upstream(table, sql_dir))
    found: list[str] = []
    while stack:
        name = stack.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in wanted:
            found.append(name)
        else:
            stack += _upstream(name, sql_dir)
    return sorted(found)


def _upstream(table: str, sql_dir: Path) -> tuple[str, ...]:
    return load_spec(sql_dir, table).upstream if sql_path(sql_dir, table).is_file() else ()


def sql_tables(sql_dir: Path, dataset: str | None = None) -> list[str]:
    """Names of the tables that have a SQL file (of one ``dataset``), in build order."""
    paths = [path for path in sql_dir.glob("*/*.sql") if dataset in (None, path.parent.name)]
    names = (f"{path.parent.name}.{path.stem}" for path in paths)
    return order((name for name in names if name in schema.TABLES), sql_dir)
