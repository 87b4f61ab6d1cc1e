"""What every warehouse can do, whichever engine stands behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from recsys import schema
from recsys.errors import ContractError, WarehouseError
from recsys.settings import Settings
from recsys.warehouse.tables import MADE_BY, TableSpec, load_spec, order, remedy, sql_path

if TYPE_CHECKING:  # a DAG may import this module without paying for pandas
    import pandas as pd
    import pyarrow as pa


SERVED_LATER = ("marts.recommendations",)
"""Published on ``ds`` for the day after: who reads them, reads those of earlier days, and need not wait for ``ds``."""


@dataclass(frozen=True)
class BuildResult:
    """What one ``build`` did: ``path`` says where the rows are; ``built`` is False when a snapshot was kept."""

    table: str
    ds: date
    rows: int
    path: str
    seconds: float
    built: bool


class Warehouse(ABC):
    """Tables named ``dataset.table``, each as its contract in ``recsys.schema`` says.

    Frames that come out: STRING is pandas ``str``, TIMESTAMP ``datetime64[us, UTC]``, DATE ``datetime64[s]``,
    NUMERIC and FLOAT64 ``float64``, INT64 ``int64`` (``float64`` with NaN where the contract allows NULL),
    BOOL ``bool`` (``boolean`` where it allows NULL). ``query`` returns Arrow, where NUMERIC stays exact.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of the engine. The warehouse opens it again when it is used again."""

    @abstractmethod
    def query(
        self,
        sql: str,
        params: Mapping[str, object] | None = None,
        ds: date | None = None,
        name: str = "query",
    ) -> pa.Table:
        """Run one SELECT in BigQuery's dialect.

        ``params`` are bound as ``@name``, never pasted into the text. ``ds`` is bound as ``@ds`` and hides partitions
        after it (those of ``marketplace`` excepted, so that an event from the future can be seen and quarantined).
        ``name`` is what an error calls the text: a file, usually.

        Raises:
            SqlError: when the text cannot mean the same on both engines, or fails when run.
        """

    @abstractmethod
    def build(self, table: str, ds: date, refresh: bool = False) -> BuildResult:
        """Run ``include/sql/<dataset>/<table>.sql`` for ``ds`` and replace exactly that partition.

        A table whose header says ``snapshot: once`` keeps a partition it has, unless ``refresh``.

        Raises:
            SqlError: the file is missing, cannot be run, or failed.
            ContractError: the rows are not what the contract asks for; the old partition stays.
            WarehouseError: a source table, or the partition ``ds`` of another table it reads, is absent, or the
                partition could not be written.
        """

    @abstractmethod
    def read(
        self,
        table: str,
        ds: date | None = None,
        columns: Sequence[str] | None = None,
        start: date | None = None,
    ) -> pd.DataFrame:
        """Return the partition ``ds`` (with ``start``: those of ``start..ds`` that exist), or a whole table.

        Raises:
            WarehouseError: nothing there; names the table, the day and the command that makes it.
        """

    @abstractmethod
    def write(
        self, table: str, frame: pd.DataFrame | pa.Table, ds: date | None = None, part: str | None = None
    ) -> int:
        """Replace the partition ``ds`` (or its ``part``) by ``frame``, sorted by the table's key; return the rows.

        A missing partition column is filled in. See ``frames.to_contract`` for what is converted and what is refused.

        Raises:
            ContractError: names the table, the column and what was expected; nothing is written.
            WarehouseError: could not be written (a full disk, say); the old partition stays.
        """

    @abstractmethod
    def append(self, table: str, more: Callable[[pd.DataFrame], pd.DataFrame], ds: date) -> pd.DataFrame:
        """Add to the partition ``ds`` the rows that ``more`` gives for those that are there; return what was added.

        Of any number of callers at once each sees the rows of those before it, and none are lost. ``more`` should be
        quick and may be called again. A partition that is not there is made, if only an empty one; otherwise no rows
        write nothing. Not for a table that is written in parts.

        Raises:
            ContractError, WarehouseError: as ``write``; nothing is added.
        """

    @abstractmethod
    def exists(self, table: str, ds: date | None = None) -> bool:
        """Tell whether the table (with ``ds``: that partition of it) is there. An empty partition is there."""

    @abstractmethod
    def partitions(self, table: str) -> list[date]:
        """List the days a partitioned table has, oldest first."""

    @abstractmethod
    def drop(self, table: str, ds: date | None = None) -> None:
        """Remove a partition with all its parts (without ``ds``: a whole table). Nothing there is no error."""

    def spec(self, table: str) -> TableSpec:
        """Read the SQL file of ``table`` and its header."""
        return load_spec(self.settings.sql_dir, table)

    def _params(self, spec: TableSpec) -> dict[str, object]:
        return {name: getattr(self.settings, name) for name in spec.params}

    def _require_upstream(self, spec: TableSpec, ds: date) -> None:
        """Every source has to be there, and of every other table that is read the partition ``ds``."""
        for name in spec.upstream:
            if _is_source(name) and not schema.table(name).optional and not self.exists(name):
                raise WarehouseError(f"{spec.name} needs {name}. {self.missing(name)}")
        of_day = [name for name in spec.upstream if not _is_source(name) and name not in SERVED_LATER]
        absent = self._absent(of_day, ds)
        if absent:
            are, them = ("is", "it") if len(absent) == 1 else ("are", "them")
            raise WarehouseError(
                f"{spec.name} of {ds} needs {' and '.join(absent)} of that day, which {are} not there. "
                f"Make {them} with {self._chain(absent, ds)}."
            )

    def _absent(self, tables: Sequence[str], ds: date) -> list[str]:
        """Those of some derived tables that lack the partition ``ds``."""
        return [name for name in tables if not self.exists(name, ds)]

    def _chain(self, tables: Sequence[str], ds: date) -> str:
        """Name the commands that make ``tables`` of ``ds`` and what they lack in turn, in their order."""
        found: set[str] = set()
        stack = list(tables)
        while stack:
            name = stack.pop()
            if name in found or _is_source(name) or name in SERVED_LATER or self.exists(name, ds):
                continue
            found.add(name)
            stack += self.spec(name).upstream if sql_path(self.settings.sql_dir, name).is_file() else ()
        commands: list[str] = []
        built: list[str] = []
        for name in order(found, self.settings.sql_dir):
            if name in MADE_BY:
                commands.append(remedy(name, ds))
            else:
                built.append(name)
        if built:
            commands.append(f"`recsys build {' '.join(built)} --ds {ds}`")
        return ", ".join(commands)

    def missing(self, table: str, ds: date | None = None) -> str:
        """Say where a table or partition was expected and which command makes it."""
        what = f"{table} has no partition {ds}" if ds else f"{table} is empty"
        return f"{what} (looked for {self.location(table, ds)}); make it with {remedy(table, ds)}."

    @abstractmethod
    def location(self, table: str, ds: date | None = None) -> str:
        """Say where a table or partition is kept, whether it exists or not."""


def _is_source(table: str) -> bool:
    return table.startswith("marketplace.")


def wanted_columns(contract: schema.Table, columns: Sequence[str] | None) -> list[str]:
    """Return ``columns``, or all of the contract where none are named.

    Raises:
        ContractError: names those that the table does not have, and those it has.
    """
    unknown = [name for name in columns or () if name not in contract.column_names]
    if unknown:
        known = ", ".join(contract.column_names)
        raise ContractError(f"{contract.name} has no column {', '.join(unknown)}. It has {known}.")
    return list(columns) if columns else contract.column_names


def check_columns(spec: TableSpec, columns: Sequence[tuple[str, str]]) -> None:
    """Compare what a SELECT returns (name, GoogleSQL type) with the contract of its table.

    Raises:
        ContractError: names the columns that are missing, unknown or of another type.
    """
    found = dict(columns)
    contract = schema.table(spec.name)
    wrong = [f"lacks {c.name} {c.type}" for c in contract.columns if c.name not in found]
    wrong += [
        f"has {name}, which the contract does not know" for name in found if name not in contract.column_names
    ]
    wrong += [
        f"has {c.name} as {found[c.name]}, expected {c.type} (CAST it)"
        for c in contract.columns
        if found.get(c.name, c.type) not in (c.type, "NULL", "UNKNOWN")
    ]
    if wrong:
        raise ContractError(f"{spec.path}: the SELECT {'; '.join(wrong)}.")


def require_warehouse(settings: Settings) -> Settings:
    """Return ``settings`` if the folder they name is there, for a command that only makes sense on a warehouse.

    BigQuery is not asked here: what is missing there is told by the first table that is.

    Raises:
        WarehouseError: names the folder, and what makes one.
    """
    root = Path(settings.warehouse)
    if "://" not in settings.warehouse and not root.is_dir():
        raise WarehouseError(
            f"{root} {'is no folder' if root.exists() else 'does not exist'}; `make run` or `recsys import` makes "
            "one, or name another with --warehouse."
        )
    return settings


def open_warehouse(settings: Settings) -> Warehouse:
    """Open the warehouse that ``settings.warehouse`` names: a folder, made when first written to, or BigQuery.

    Raises:
        WarehouseError: the URL is of another kind.
        SettingsError: ``bigquery://...`` is malformed.
    """
    if settings.is_bigquery:
        from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse  # noqa: PLC0415  (google clients)

        return BigQueryWarehouse(settings)
    from recsys.warehouse.local import LocalWarehouse  # noqa: PLC0415  (keeps DuckDB out of a DAG's import)

    if "://" in settings.warehouse:
        raise WarehouseError(
            f"RECSYS_WAREHOUSE is {settings.warehouse!r}; set it to a folder, like var/warehouse, or to "
            "bigquery://PROJECT/PREFIX."
        )
    return LocalWarehouse(settings)
