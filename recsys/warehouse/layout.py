"""Where the local warehouse keeps what: contract and day -> path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from recsys import schema
from recsys.errors import WarehouseError

WHOLE = "all.parquet"
_PART = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FILE = re.compile(r"^ds=(\d{4}-\d{2}-\d{2})(?:\.([A-Za-z0-9_-]{1,64}))?\.parquet$")
_RANGE = re.compile(r"r\d{3,}")


class Layout:
    """Paths below ``root``. Names come from the contracts only, so no name can leave the root.

    A partition is one file, or several parts that mapped tasks wrote; writing it in one form removes the other.

    Example:
        >>> Layout(Path("w")).path(schema.table("staging.events"), date(2026, 1, 5)).as_posix()
        'w/staging/events/ds=2026-01-05.parquet'
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, contract: schema.Table) -> Path:
        """Folder of a table."""
        return self.root.joinpath(*contract.name.split("."))

    def path(self, contract: schema.Table, ds: date | None, part: str | None = None) -> Path:
        """File of a partition, of a part of it, or of a whole table.

        Raises:
            WarehouseError: a day is missing or is no date, or ``part`` has other characters than a name may have.
        """
        if contract.partition is None:
            if part is not None:
                raise WarehouseError(f"{contract.name} is kept whole; it has no parts.")
            return self.folder(contract) / WHOLE
        day = _day(contract, ds)
        if part is None:
            return self.folder(contract) / f"ds={day}.parquet"
        if not _PART.fullmatch(part):
            raise WarehouseError(
                f"{contract.name}: part {part!r} may have letters, digits, '_' and '-' only."
            )
        return self.folder(contract) / f"ds={day}.{part}.parquet"

    def dated(self, contract: schema.Table) -> list[tuple[date, Path]]:
        """Files of a partitioned table with their day, by day and then by part."""
        folder = self.folder(contract)
        found = []
        for path in folder.iterdir() if folder.is_dir() else ():
            match = _FILE.match(path.name)
            if match:
                found.append((date.fromisoformat(match[1]), path))
        return sorted(found)

    def day(self, path: Path) -> date | None:
        """Day of a file of a partitioned table; None for the file of a whole one."""
        match = _FILE.match(path.name)
        return date.fromisoformat(match[1]) if match else None

    def files(self, contract: schema.Table, ds: date | None, start: date | None = None) -> list[Path]:
        """Files of the partition ``ds`` (with ``start``: of ``start..ds``), or of a whole table."""
        if contract.partition is None:
            path = self.folder(contract) / WHOLE
            return [path] if path.is_file() else []
        _day(contract, ds)
        last = ds or date.max
        return [path for day, path in self.dated(contract) if (start or last) <= day <= last]

    def visible(self, contract: schema.Table, ds: date | None) -> list[Path]:
        """Files a query for ``ds`` may see: none of a later day, but for sources, whose future rows are quarantined."""
        if contract.partition is None:
            return self.files(contract, None)
        hide_after = None if contract.name.startswith("marketplace.") else ds
        return [path for day, path in self.dated(contract) if hide_after is None or day <= hide_after]

    def ranges(self, contract: schema.Table, ds: date | None, count: int) -> list[Path]:
        """Files of a partition in ``count`` ranges of its key, in order; one range is the partition's own file."""
        parts = [f"r{number:03d}" for number in range(count)] if count > 1 else [None]
        return [self.path(contract, ds, part) for part in parts]

    def mark(self, contract: schema.Table, ds: date | None) -> Path:
        """File that is there while the ranges of a partition are moved into place, and after a kill in between."""
        return self.folder(contract) / f".ds={_day(contract, ds)}.moving"

    def marks(self, contract: schema.Table, paths: Sequence[Path]) -> dict[date, Path]:
        """Where the marks would be of those days of ``paths`` that are kept in ranges."""
        found = (_FILE.match(path.name) for path in paths)
        ranged = (match for match in found if match and match[2] and _RANGE.fullmatch(match[2]))
        days = sorted({date.fromisoformat(match[1]) for match in ranged})
        return {day: self.mark(contract, day) for day in days}

    def other_form(self, contract: schema.Table, ds: date | None, part: str | None) -> list[Path]:
        """Files that a write made obsolete: the parts when the whole was written, the whole when a part was."""
        if contract.partition is None:
            return []
        whole = self.path(contract, ds)
        return [path for path in self.files(contract, ds) if (path == whole) == (part is not None)]


def _day(contract: schema.Table, ds: date | None) -> str:
    if ds is None:
        raise WarehouseError(f"{contract.name} is partitioned by {contract.partition}; say which day.")
    if isinstance(ds, datetime) or not isinstance(ds, date):
        raise WarehouseError(f"{contract.name}: the day is {ds!r}; give a datetime.date.")
    return ds.isoformat()
