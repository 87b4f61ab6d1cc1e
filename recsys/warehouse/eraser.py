"""Take a person out of a local warehouse: file by file, each replaced in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa

from recsys import schema
from recsys.warehouse import erasure, files
from recsys.warehouse.erasure import Rule
from recsys.warehouse.local import LocalWarehouse
from recsys.warehouse.partitions import all_files

_SHELF, _EVENTS = "staging.items", "marketplace.events"


@dataclass(frozen=True)
class Erased:
    """What was found, and (unless only looked for) done, in one table: rows that went, rows changed, bytes read."""

    deleted: int
    changed: int
    bytes: int = 0

    @property
    def rows(self) -> int:
        """Rows that named the person."""
        return self.deleted + self.changed


class LocalEraser:
    """Every partition that names the person is written again without them; the others keep their bytes."""

    owns_sources = True

    def __init__(self, warehouse: LocalWarehouse, user: str) -> None:
        self.warehouse = warehouse
        self.user = user
        self.given = self._values()

    def _values(self) -> Mapping[str, object]:
        """Their campaigns are read before the first row goes: the keywords hang on them."""
        campaigns: list[str] = []
        for path in self._files(erasure.CAMPAIGNS):
            found = self._look(path, "SELECT campaign_id FROM old WHERE seller_id = $user")
            campaigns += map(str, found.column(0).to_pylist())
        given = erasure.values(self.user)
        return {**given, "campaigns": campaigns or [""], "closing": self._closing()}

    def _closing(self) -> datetime | None:
        """When their open listings close: with the last day that is staged, so that no day that is there changes."""
        for name in (_SHELF, _EVENTS):
            days = self.warehouse.partitions(name)
            if days:
                zone = ZoneInfo(self.warehouse.settings.timezone)
                return datetime.combine(days[-1] + timedelta(days=1), time(), zone)
        return None

    def source_rows(self) -> dict[str, int]:
        """Sources are files of ours here, and erased with the rest."""
        return {}

    def titles(self) -> set[str]:
        """Titles they wrote, which a report may show."""
        sql = "SELECT DISTINCT title FROM old WHERE seller_id = $user AND title IS NOT NULL"
        paths = [p for name in ("marketplace.items", _SHELF) for p in self._files(name)]
        return {str(t) for path in paths for t in self._look(path, sql).column(0).to_pylist()}

    def active_days(self) -> list[date]:
        """Days whose totals count the person."""
        mark = schema.table(erasure.MARK)
        sql = "SELECT COUNT(*) FROM old WHERE user_id = $user AND reason IS NULL"
        dated = self.warehouse.layout.dated(mark)
        return sorted({day for day, path in dated if self._look(path, sql).column(0)[0].as_py()})

    def _quoting(self) -> list[str]:
        """What checks have said that names them."""
        said: set[str | None] = set()
        for path in self._files(erasure.CHECKS):
            found = self.warehouse.look(path, "SELECT message FROM old UNION SELECT observed FROM old")
            said.update(found.column(0).to_pylist())
        return sorted(erasure.quoting(self.user, said))

    def _files(self, table: str) -> list[Path]:
        return all_files(self.warehouse.layout, schema.table(table))

    def _look(self, path: Path, sql: str) -> pa.Table:
        return self.warehouse.look(path, sql, {"user": self.user})

    def erase(self, rule: Rule, dry_run: bool) -> Erased:
        """Apply one rule to every file of its table; what was left beside it by killed writers goes too."""
        deleted = changed = 0
        given = {**self.given, "texts": self._quoting()} if rule.table == erasure.CHECKS else self.given
        count, bound = erasure.local_count(rule, given)
        rows, needed = erasure.local_rows(rule, given)
        contract = schema.table(rule.table)
        if not dry_run:
            files.sweep_folder(self.warehouse.layout.folder(contract))
        for path in self._files(rule.table):
            found = self.warehouse.look(path, count, bound).to_pylist()[0]
            if (found["deleted"] or found["changed"]) and not dry_run:
                self.warehouse.rewrite(rule.table, path, rows, needed)
            deleted += found["deleted"]
            changed += found["changed"]
        return Erased(deleted, changed)
