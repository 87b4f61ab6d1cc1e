"""Remove a person from everything the project keeps: tables, checks, reports, models."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from recsys import schema
from recsys.errors import WarehouseError
from recsys.jobs.traces import Traces, day_of
from recsys.settings import Settings
from recsys.warehouse import Warehouse, erasure, open_warehouse, order
from recsys.warehouse.eraser import Erased, LocalEraser
from recsys.warehouse.erasure import Rule
from recsys.warehouse.files import replacing
from recsys.warehouse.local import LocalWarehouse
from recsys.warehouse.tables import sql_tables

PROOFS = "_forgotten"
Tell = Callable[[str], None]


class Eraser(Protocol):
    """A warehouse as forgetting needs it. ``owns_sources``: whether ``marketplace.*`` are its to erase."""

    owns_sources: bool

    def source_rows(self) -> dict[str, int]:
        """Rows by source table that name the person and belong to another system."""

    def titles(self) -> set[str]:
        """Titles of the person's listings."""

    def active_days(self) -> list[date]:
        """Days whose totals count the person."""

    def erase(self, rule: Rule, dry_run: bool) -> Erased:
        """Apply one rule, or only count."""


def run(
    settings: Settings,
    user: str,
    *,
    at: datetime,
    dry_run: bool = False,
    rebuild: bool = False,
    keep_source: bool = False,
    receipt: str | None = None,
    tell: Tell | None = None,
) -> dict[str, object]:
    """Remove every trace of ``user`` as a buyer and as a seller; ``dry_run`` only counts.

    Totals of staging over the person's days are built again without them; ``rebuild`` does so for the features of
    every later day too. It may be run again at any time, and has to be after it was killed. At the end everything is
    searched once more, and an entry is written that proves it to whoever holds the ``receipt`` and the id.

    Raises:
        ContractError: ``user`` can be nobody's id.
        WarehouseError: the marketplace's own tables still name the person (``keep_source`` goes on all the same), or
            something names them at the end.
    """
    tell = tell or (lambda _: None)
    receipt = receipt or secrets.token_hex(16)
    user = erasure.checked(user)
    with open_warehouse(settings) as warehouse:
        eraser = open_eraser(warehouse, user)
        _look_at_sources(eraser.source_rows(), keep_source or dry_run, tell)
        wanted = [rule for rule in erasure.rules() if eraser.owns_sources or not rule.is_source]
        days = eraser.active_days()
        traces = Traces(settings, user, eraser.titles())
        if dry_run:
            tables = _apply(eraser, wanted, tell, dry_run=True)
            return {**_sums(tables), "active days": len(days), "applied": False}
        tell(f"receipt: {receipt}")
        reports = [day_of(path) for path in traces.reports()]
        had_pages = bool(traces.pages())
        files = traces.erase()
        tables = _apply(eraser, [rule for rule in wanted if rule.table != erasure.MARK], tell)
        rebuilt = _rebuild(warehouse, days, erasure.AGGREGATES)
        tables |= _apply(eraser, [rule for rule in wanted if rule.table == erasure.MARK], tell)
        if rebuild and days:
            later = [day for day in _feature_days(warehouse) if day >= days[0]]
            rebuilt += _rebuild(warehouse, later, sql_tables(settings.sql_dir, "features"))
        traces.make_again(reports, had_pages)
        _require_nothing_left(eraser, wanted, traces)
    entry = {"finished_at": at.isoformat(timespec="seconds"), **_sums(tables), "tables": _plain(tables)}
    entry |= {"files": files, "partitions rebuilt": rebuilt, "left": 0}
    path = _keep_proof(settings.files_dir / PROOFS, proof(receipt, user), entry)
    if days and not rebuild:
        tell(
            f"Totals of features since {days[0]} still count the person, unnamed; to build them without: --rebuild."
        )
    return {**_sums(tables), "files": sum(files.values()), "partitions rebuilt": rebuilt, "proof": str(path)}


def open_eraser(warehouse: Warehouse, user: str) -> Eraser:
    """Return the eraser of ``user`` for the warehouse that is behind ``warehouse``."""
    if isinstance(warehouse, LocalWarehouse):
        return LocalEraser(warehouse, user)
    from recsys.warehouse.bigquery.eraser import BigQueryEraser  # noqa: PLC0415  (google clients)
    from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse  # noqa: PLC0415

    assert isinstance(warehouse, BigQueryWarehouse)
    return BigQueryEraser(warehouse, user)


def proof(receipt: str, user: str) -> str:
    """Digest that ties an entry to a person, for whoever knows both the receipt and the id, and for nobody else.

    The receipt is 128 random bits that are not kept here, so ids cannot be tried out against the entry.

    Example:
        >>> proof("00", "u1") == hashlib.sha256(b"00:u1").hexdigest()
        True
    """
    return hashlib.sha256(f"{receipt}:{user}".encode()).hexdigest()


def _look_at_sources(held: Mapping[str, int], go_on: bool, tell: Tell) -> None:
    if not held:
        return
    listed = ", ".join(f"{table} ({rows:,} rows)" for table, rows in held.items())
    told = (
        f"The marketplace's own tables still name this person: {listed}. They belong to the system that fills them; "
        "what is not deleted there comes back with the next day."
    )
    if not go_on:
        raise WarehouseError(
            f"{told} Delete there first, or add --keep-source to go on. Nothing was changed."
        )
    tell(told)


def _apply(eraser: Eraser, rules: Iterable[Rule], tell: Tell, dry_run: bool = False) -> dict[str, Erased]:
    found = {}
    for rule in rules:
        done = eraser.erase(rule, dry_run)
        found[rule.table] = done
        if done.rows or done.bytes:
            read = f", {done.bytes:,} bytes read" if done.bytes else ""
            tell(f"{rule.table}: {done.deleted:,} rows removed, {done.changed:,} anonymised{read}")
    return found


def _rebuild(warehouse: Warehouse, days: Iterable[date], names: Iterable[str]) -> int:
    """Build again those of the named tables' partitions that are there and whose upstream is; return how many."""
    done = 0
    settings = warehouse.settings
    for day in days:
        for name in order(names, settings.sql_dir):
            upstream = [t for t in warehouse.spec(name).upstream if not t.startswith("marketplace.")]
            if warehouse.exists(name, day) and all(warehouse.exists(t, day) for t in upstream):
                warehouse.build(name, day)
                done += 1
    return done


def _feature_days(warehouse: Warehouse) -> list[date]:
    return sorted({day for table in schema.FEATURES for day in warehouse.partitions(table.name)})


def _require_nothing_left(eraser: Eraser, rules: Iterable[Rule], traces: Traces) -> None:
    tables = [rule.table for rule in rules if eraser.erase(rule, dry_run=True).rows]
    left = [*tables, *map(str, traces.left())]
    if left:
        raise WarehouseError(
            f"{', '.join(left)} still name the person: written while this ran, or by hand. Let the DAGs rest (or "
            "remove the file, if nobody knows it) and run the same command again."
        )


def _sums(tables: Mapping[str, Erased]) -> dict[str, object]:
    return {
        "rows removed": sum(done.deleted for done in tables.values()),
        "rows anonymised": sum(done.changed for done in tables.values()),
    }


def _plain(tables: Mapping[str, Erased]) -> dict[str, list[int]]:
    return {name: [done.deleted, done.changed] for name, done in tables.items() if done.rows}


def _keep_proof(folder: Path, digest: str, entry: Mapping[str, object]) -> Path:
    """Add ``entry`` to the file of ``digest``: one entry for each run that came to its end."""
    path = folder / f"{digest}.json"
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    with replacing(path) as aside:
        text = json.dumps({"proof": digest, "runs": [*runs, entry]}, indent=1)
        aside.write_text(text + "\n", encoding="utf-8")
    return path
