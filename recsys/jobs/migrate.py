"""Bring a warehouse to the contracts of today: what differs is said, what is safe applied, the rest refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from recsys import schema
from recsys.errors import ContractError
from recsys.settings import Settings
from recsys.warehouse import migration, open_warehouse
from recsys.warehouse.files import replacing
from recsys.warehouse.local import LocalWarehouse
from recsys.warehouse.migration import Change, Held
from recsys.warehouse.partitions import add_columns, all_files, held

APPLIED = Path("_schema", "contracts.json")
"""Below the files folder: the contracts that the warehouse was last migrated to."""
Tell = Callable[[str], None]


class Store(Protocol):
    """A warehouse as a migration needs it."""

    def missing_foundations(self) -> list[str]:
        """Name what every table needs and is not there, like datasets."""

    def lay_foundations(self) -> None:
        """Make it."""

    def held(self, table: schema.Table, before: Held | None) -> Held | None:
        """Return what is there of a table; None for nothing."""

    def cluster(self, table: schema.Table) -> tuple[str, ...] | None:
        """Return the clustering a table should have; None where there is no such thing."""

    def apply(self, table: schema.Table, changes: Sequence[Change]) -> str:
        """Apply the safe changes of one table; say what was done."""

    def drop(self, table: schema.Table) -> str:
        """Remove a table with all its rows; say what was done."""


class LocalStore:
    """Parquet files: a table begins with its first file, and nothing forbids NULL but the contract."""

    def __init__(self, warehouse: LocalWarehouse) -> None:
        self.warehouse = warehouse

    def missing_foundations(self) -> list[str]:
        """Folders come with their first file."""
        return []

    def lay_foundations(self) -> None:
        """Nothing to make."""

    def held(self, table: schema.Table, before: Held | None) -> Held | None:
        """Read the footers of the table's files."""
        return held(self.warehouse.layout, table, before)

    def cluster(self, table: schema.Table) -> tuple[str, ...] | None:
        """Files are sorted by their key; there is no other order."""
        return None

    def apply(self, table: schema.Table, changes: Sequence[Change]) -> str:
        """Add the new columns to every file that lacks one."""
        names = [change.column for change in changes if change.kind == migration.ADD and change.column]
        return f"{add_columns(self.warehouse, table, names)} files rewritten" if names else ""

    def drop(self, table: schema.Table) -> str:
        """Remove the table's files."""
        paths = all_files(self.warehouse.layout, table)
        for path in paths:
            path.unlink(missing_ok=True)
        return f"{len(paths)} files removed"


def run(
    settings: Settings, *, dry_run: bool = False, replace: Sequence[str] = (), tell: Tell | None = None
) -> dict[str, object]:
    """Compare the contracts with what the warehouse holds, and apply the difference; ``dry_run`` only says it.

    ``replace`` names tables that may be dropped, to be built anew. Every table is looked at before the first is
    touched, and each step can be run again, so a migration that was killed is finished by running it again.

    Raises:
        ContractError: a change is refused (names each, and what to do), or ``replace`` names a table that needs none.
            Nothing was changed.
        WarehouseError: a file is damaged or could not be written.
    """
    tell = tell or (lambda _: None)
    applied = settings.files_dir / APPLIED
    before = migration.read_record(applied)[1] if applied.is_file() else {}
    with open_warehouse(settings) as warehouse:
        store = open_store(warehouse)
        bases = store.missing_foundations()
        for base in bases:
            tell(f"{base}: is not there; it is created")
        plan = _plan(store, before)
        changes = [change for found in plan.values() for change in found]
        for change in changes:
            _announce(change, replace, tell)
        _require_safe(changes, replace)
        if dry_run:
            return {"changes": len(bases) + len(changes), "applied": False}
        if bases:
            store.lay_foundations()
        for name, found in plan.items():
            table = schema.table(name)
            if name in replace:
                tell(f"{name}: {store.drop(table)}")
                found = (Change(name, migration.CREATE, "is made anew"),)  # noqa: PLW2901
            done = store.apply(table, found)
            if done:
                tell(f"{name}: {done}")
    with replacing(applied) as aside:
        aside.write_text(migration.record_text(_version(settings), schema.TABLES.values()), encoding="utf-8")
    return {"changes": len(bases) + len(changes), "applied": True, "replaced": sorted(replace)}


def open_store(warehouse: object) -> Store:
    """Return the store behind ``warehouse``."""
    if isinstance(warehouse, LocalWarehouse):
        return LocalStore(warehouse)
    from recsys.warehouse.bigquery.migrate import BigQueryStore  # noqa: PLC0415  (google clients)
    from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse  # noqa: PLC0415

    assert isinstance(warehouse, BigQueryWarehouse)
    return BigQueryStore(warehouse)


def _plan(store: Store, before: dict[str, Held]) -> dict[str, tuple[Change, ...]]:
    plan = {}
    for table in schema.TABLES.values():
        there = store.held(table, before.get(table.name))
        if there is None and isinstance(store, LocalStore):
            continue  # its first file makes it
        found = migration.compare(table, there, store.cluster(table))
        if found:
            plan[table.name] = found
    return plan


def _announce(change: Change, replace: Sequence[str], tell: Tell) -> None:
    if change.is_safe:
        tell(str(change))
    elif change.table in replace:
        where = f"{change.table}.{change.column}" if change.column else change.table
        tell(f"{where}: {change.told} The table is made anew.")


def _require_safe(changes: Sequence[Change], replace: Sequence[str]) -> None:
    for name in replace:
        table = schema.table(name)
        if table in schema.SOURCES:
            raise ContractError(f"{name} is a source and is not dropped here; load it again instead.")
        if not any(change.table == name and not change.is_safe for change in changes):
            raise ContractError(
                f"--replace {name} would drop its rows, and nothing asks for it; leave it out."
            )
    stopped = migration.refused(changes, replace)
    if stopped:
        listed = "\n".join(f"  {change}" for change in stopped)
        raise ContractError(f"{len(stopped)} changes are refused; nothing was changed.\n{listed}")


def _version(settings: Settings) -> int:
    path = Path(settings.home) / migration.RECORD
    return migration.read_record(path)[0] if path.is_file() else 0


def record(settings: Settings, *, replace: Sequence[str] = (), tell: Tell | None = None) -> dict[str, object]:
    """Write the contracts of ``recsys/schema.py`` to include/schema/contracts.json, if every change to them is safe.

    ``replace`` names tables whose rows may be dropped by the migration to come.

    Raises:
        ContractError: a change is refused; names each, and what to do. The record stays.
    """
    tell = tell or (lambda _: None)
    path = Path(settings.home) / migration.RECORD
    version, recorded = migration.read_record(path) if path.is_file() else (0, {})
    tables = list(schema.TABLES.values())
    changes = migration.compare_record(recorded, tables)
    if path.is_file() and migration.record_text(version, tables) == path.read_text(encoding="utf-8"):
        return {"record": str(path), "version": version, "changes": 0}
    for change in changes:
        _announce(change, replace, tell)
    _require_safe(changes, replace)
    with replacing(path) as aside:
        aside.write_text(migration.record_text(version + 1, tables), encoding="utf-8")
    return {"record": str(path), "version": version + 1, "changes": len(changes)}
