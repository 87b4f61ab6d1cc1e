"""Contracts change, warehouses follow: what differs, what is safe, and what to do about the rest.

Pure: a contract and what a warehouse holds come in, changes come out. Every kind of change has one answer, written
here once:

========================  ==================================================================================
new table                 safe: created, empty
new nullable column       safe: added, NULL in the rows that are there
new required column       refused: add it as nullable, rebuild, then require it
nullable -> required      safe where no row holds NULL, else refused: rebuild first
required -> nullable      safe
another clustering        safe: rows written from now on follow it
column no longer there    safe in files, which nobody asks for it; refused on BigQuery, where rows written without
                          it might be, until it was dropped by hand
new column not put last   refused: BigQuery adds columns at the end, and both engines have one order
another type              refused: add a column of another name, or make the table anew
another key or partition  refused: make the table anew
========================  ==================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recsys import schema
from recsys.errors import ContractError
from recsys.warehouse.tables import remedy

RECORD = Path("include", "schema", "contracts.json")
"""Below the home folder: the contracts as they were when last recorded."""
CREATE, ADD, RELAX, TIGHTEN, CLUSTER, KEEP = "create", "add", "relax", "tighten", "cluster", "keep"
REQUIRE, RETYPE, REKEY, REPARTITION, VIEW = "require", "retype", "rekey", "repartition", "view"
REORDER, DROP = "reorder", "drop"


@dataclass(frozen=True)
class Held:
    """What a warehouse (or a record of contracts) holds of one table.

    ``columns``: BigQuery type by name. ``required``: columns in which the store itself forbids NULL. ``nulls``: NULLs
    counted in the rows, by column. ``key``, ``partition`` and ``cluster`` are None where nothing tells them.
    ``is_ordered``: the order of columns counts. ``strict_name``: full name of a table that takes no row without all
    of its columns, in their order.
    """

    columns: Mapping[str, str]
    required: frozenset[str] = frozenset()
    nulls: Mapping[str, int] = field(default_factory=dict)
    key: tuple[str, ...] | None = None
    partition: str | None = None
    is_partitioned: bool | None = None
    cluster: tuple[str, ...] | None = None
    is_foreign_view: bool = False
    is_ordered: bool = False
    strict_name: str | None = None


@dataclass(frozen=True)
class Change:
    """One difference. ``remedy`` says what to do where it is refused, and is empty where it is safe."""

    table: str
    kind: str
    told: str
    column: str | None = None
    remedy: str = ""

    @property
    def is_safe(self) -> bool:
        """Whether it can be applied as it is."""
        return not self.remedy

    def __str__(self) -> str:
        where = f"{self.table}.{self.column}" if self.column else self.table
        return f"{where}: {self.told}" + (f" {self.remedy}" if self.remedy else "")


def compare(
    wanted: schema.Table, held: Held | None, cluster: tuple[str, ...] | None = None
) -> tuple[Change, ...]:
    """Name what has to change for ``held`` to become ``wanted``, in the order in which it is applied.

    Example:
        >>> [change.kind for change in compare(schema.table("staging.users"), None)]
        ['create']
    """
    if held is None:
        return (Change(wanted.name, CREATE, "is not there; it is created"),)
    found = [*_shape(wanted, held)]
    for column in wanted.columns:
        found += _column(wanted, column, held)
    found += _gone(wanted, held)
    if held.is_ordered or held.strict_name:
        found += _order(wanted, held)
    if cluster is not None and held.cluster is not None and cluster != held.cluster:
        now, then = ", ".join(cluster) or "nothing", ", ".join(held.cluster) or "nothing"
        found.append(Change(wanted.name, CLUSTER, f"is clustered by {then}; from now on by {now}"))
    return tuple(found)


def _gone(wanted: schema.Table, held: Held) -> Iterable[Change]:
    for name in held.columns:
        if name in wanted.column_names:
            continue
        if held.strict_name:
            dataset = held.strict_name.partition(".")[2]
            told = "is no longer in the contract, and rows written without it may be refused."
            ddl = f"`ALTER TABLE {dataset} DROP COLUMN {name}`"
            by_hand = f"Drop it by hand once no older version runs, with {ddl}, then migrate again."
            yield Change(wanted.name, DROP, told, name, by_hand)
        else:
            yield Change(
                wanted.name, KEEP, "is no longer in the contract; it stays, and nothing reads it", name
            )


def _order(wanted: schema.Table, held: Held) -> Iterable[Change]:
    """Columns that are there keep their order, and new ones come after them."""
    known = [name for name in held.columns if name in wanted.column_names]
    new = [name for name in wanted.column_names if name not in held.columns]
    if wanted.column_names != [*known, *new]:
        put = ", ".join([*known, *new])
        told = "has its columns in another order than the contract."
        yield Change(wanted.name, REORDER, told, None, f"Write them in recsys/schema.py as: {put}.")


def _shape(wanted: schema.Table, held: Held) -> Iterable[Change]:
    if held.key is not None and held.key != wanted.key:
        now, then = ", ".join(wanted.key), ", ".join(held.key)
        yield Change(wanted.name, REKEY, f"has the key ({then}), the contract ({now}).", None, _anew(wanted))
    other = held.partition is not None and held.partition != wanted.partition
    if other or (held.is_partitioned is not None and held.is_partitioned != (wanted.partition is not None)):
        then = held.partition or ("a day" if held.is_partitioned else "nothing")
        told = f"is divided by {then}, the contract by {wanted.partition or 'nothing'}."
        yield Change(wanted.name, REPARTITION, told, None, _anew(wanted))


def _column(wanted: schema.Table, column: schema.Column, held: Held) -> Iterable[Change]:
    table, name = wanted.name, column.name
    if name not in held.columns:
        if held.is_foreign_view:
            told = f"the view that stands for {table} lacks this {column.type} column."
            yield Change(table, VIEW, told, name, f"Add CAST(NULL AS {column.type}) AS {name} to its SELECT.")
        elif column.required:
            yield Change(
                table, REQUIRE, f"is new and required ({column.type}).", name, _first_nullable(wanted)
            )
        else:
            yield Change(
                table, ADD, f"is new ({column.type}); it is added, NULL in the rows that are there", name
            )
        return
    if held.columns[name] != column.type:
        told = f"is {held.columns[name]}, the contract says {column.type}."
        yield Change(table, RETYPE, told, name, _another_name(wanted))
    elif column.required and held.nulls.get(name):
        told = f"is required by the contract, and {held.nulls[name]:,} rows hold NULL."
        yield Change(table, REQUIRE, told, name, f"Fill them first: {_rebuild(wanted)}; then migrate again.")
    elif name in held.required and not column.required:
        yield Change(table, RELAX, "may be NULL from now on", name)


def _rebuild(wanted: schema.Table) -> str:
    command = remedy(wanted.name).strip("`").replace(" --ds DAY", " --ds FIRST --until LAST")
    return f"`{command}`"


def _first_nullable(wanted: schema.Table) -> str:
    return (
        "The rows that are there have no value for it. Take the '!' off in recsys/schema.py, migrate, rebuild the "
        f"days that are kept ({_rebuild(wanted)}), then put the '!' back and migrate again."
    )


def _another_name(wanted: schema.Table) -> str:
    return (
        "A type is never changed in place: values that do not convert would be lost without a word. Add a column "
        f"of another name and let the readers change over, or: {_anew(wanted)}"
    )


def _anew(wanted: schema.Table) -> str:
    if wanted.name.startswith("marketplace."):
        return (
            "It is a source: change it where it is filled, and load it again "
            f"({remedy(wanted.name)}, or the view in BigQuery)."
        )
    return f"Make it anew: `recsys migrate --replace {wanted.name}` drops what is there, then {_rebuild(wanted)}."


def refused(changes: Iterable[Change], replaced: Iterable[str] = ()) -> list[Change]:
    """Return the changes that stop a migration: refused, and of no table that is made anew."""
    return [change for change in changes if not change.is_safe and change.table not in set(replaced)]


def contract_record(tables: Iterable[schema.Table]) -> dict[str, Any]:
    """Write contracts as plain JSON values: table name -> columns, key, partition and whatever else a contract has."""
    plain = {}
    for table in tables:
        entry = {name: value for name, value in asdict(table).items() if name != "name"}
        entry["columns"] = [f"{c.name} {c.type}{'!' if c.required else ''}" for c in table.columns]
        plain[table.name] = {**entry, "key": list(table.key)}
    return plain


def read_record(path: Path) -> tuple[int, dict[str, Held]]:
    """Read recorded contracts: the record's version and what it holds of each table.

    Raises:
        ContractError: the file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return int(content["version"]), {name: _held(entry) for name, entry in content["tables"].items()}
    except FileNotFoundError as error:
        raise ContractError(
            f"{path} is missing; `recsys migrate --record` writes it from recsys/schema.py."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ContractError(f"{path} cannot be read ({error}); take it from the repository again.") from error


def _held(entry: Mapping[str, Any]) -> Held:
    columns: dict[str, str] = {}
    required = set()
    for text in entry["columns"]:
        name, type_ = text.split(" ")
        columns[name] = type_.rstrip("!")
        if type_.endswith("!"):
            required.add(name)
    return Held(
        columns,
        frozenset(required),
        key=tuple(entry["key"]),
        partition=entry["partition"],
        is_partitioned=entry["partition"] is not None,
        is_ordered=True,
    )


def record_text(version: int, tables: Iterable[schema.Table]) -> str:
    """The text of a record; the same contracts give the same text."""
    content = {"version": version, "tables": contract_record(tables)}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def compare_record(recorded: Mapping[str, Held], tables: Iterable[schema.Table]) -> list[Change]:
    """Name what the contracts of today change in the recorded ones, tables that are gone included."""
    wanted = {table.name: table for table in tables}
    found = [change for table in wanted.values() for change in compare(table, recorded.get(table.name))]
    for table in wanted.values():
        held = recorded.get(table.name)
        for column in table.columns if held else ():
            assert held is not None
            if column.required and column.name in held.columns and column.name not in held.required:
                told = "must not be NULL from now on; each warehouse is looked through for NULL first"
                found.append(Change(table.name, TIGHTEN, told, column.name))
    gone = [name for name in recorded if name not in wanted]
    return found + [Change(name, KEEP, "has no contract any more; what is there stays") for name in gone]
