"""Datasets and tables: resources in memory, one Parquet file per piece of a partition, replaced in one step."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys import schema
from tests.endpoint.cells import normal_field, sql_type
from tests.endpoint.errors import ApiError, invalid, not_found

WHOLE = ""
NULL_PARTITION = "__NULL__"
HIDDEN = "_results"
"""Dataset of anonymous results: it can be read by name, and is not listed."""
NAME = re.compile(r"[A-Za-z0-9_]{1,1024}")
DAY = re.compile(r"\d{8}")
WIDTHS = {"INT64": 8, "FLOAT64": 8, "DATE": 8, "TIMESTAMP": 8, "NUMERIC": 16, "BOOL": 1}
SETTABLE = (
    "friendlyName",
    "description",
    "labels",
    "schema",
    "timePartitioning",
    "requirePartitionFilter",
    "clustering",
    "view",
    "expirationTime",
)


@dataclass
class Table:
    """A table or view. ``pieces`` maps the id of a partition (20260105, or "" for a whole table) to its files."""

    project: str
    dataset: str
    name: str
    resource: dict[str, Any]
    pieces: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    created: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    lock: threading.RLock = field(default_factory=threading.RLock)
    evolved: bool = False
    """Whether columns were added after rows."""
    version: int = 0

    @property
    def etag(self) -> str:
        """Changes with the resource, and with it only."""
        return f"{self.created.timestamp()}-{self.version}"

    @property
    def full(self) -> str:
        return f"{self.project}.{self.dataset}.{self.name}"

    @property
    def fields(self) -> list[dict[str, Any]]:
        return list(self.resource.get("schema", {}).get("fields", []))

    @property
    def query(self) -> str | None:
        """The SELECT of a view."""
        return self.resource.get("view", {}).get("query")

    @property
    def divider(self) -> str | None:
        """The column by whose day rows are kept apart."""
        partitioning = self.resource.get("timePartitioning")
        return partitioning["field"] if partitioning else None

    @property
    def contract(self) -> schema.Table:
        """The same as a contract of the project, for those of its functions that take one."""
        columns = tuple(schema.Column(f["name"], sql_type(f)) for f in self.fields)
        kinds = {column.name: column.type for column in columns}
        is_date = self.divider is not None and kinds[self.divider] == "DATE"
        more = {} if is_date or self.divider is None else {"divided": self.divider}
        return schema.Table(
            f"{self.dataset}.{self.name}", columns, (), self.divider if is_date else None, **more
        )

    def files(self) -> list[Path]:
        """Every file, oldest day first."""
        return [path for _, paths in sorted(self.pieces.items()) for path in paths]

    def rows(self) -> int:
        return sum(pq.read_metadata(path).num_rows for path in self.files())

    def days(self) -> list[dt.date | None]:
        """Partitions there are, as ``recsys.warehouse.scan`` asks for them."""
        return [day_of(part) for part in sorted(self.pieces)]

    def size(self, columns: set[str], days: set[dt.date | None]) -> int:
        """Logical bytes of columns in partitions."""
        kinds = {f["name"]: sql_type(f) for f in self.fields}
        return sum(
            column_bytes(path, name, kinds[name])
            for part, paths in list(self.pieces.items())
            if day_of(part) in days
            for path in paths
            for name in columns
        )

    def reference(self) -> dict[str, str]:
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.name}


class Store:
    """Everything that persists. ``writes`` counts how often the rows of a partition were replaced or added to."""

    def __init__(self, folder: Path, location: str) -> None:
        self.folder = folder
        self.location = location
        self.datasets: dict[tuple[str, str], dict[str, Any]] = {}
        self.tables: dict[tuple[str, str, str], Table] = {}
        self.writes: Counter[tuple[str, str]] = Counter()
        self.lock = threading.RLock()
        self._numbers = itertools.count()

    def dataset(self, project: str, name: str) -> dict[str, Any]:
        if name == HIDDEN:
            return {"location": self.location}
        if (project, name) not in self.datasets:
            raise not_found("Dataset", f"{project}:{name}", self.location)
        return self.datasets[project, name]

    def table(self, project: str, dataset: str, name: str) -> Table:
        self.dataset(project, dataset)
        found = self.tables.get((project, dataset, name))
        if found is None:
            raise not_found("Table", f"{project}:{dataset}.{name}", self.location)
        return found

    def of_dataset(self, project: str, dataset: str) -> list[Table]:
        self.dataset(project, dataset)
        with self.lock:
            return [t for key, t in sorted(self.tables.items()) if key[:2] == (project, dataset)]

    def create(self, project: str, dataset: str, name: str, given: dict[str, Any]) -> Table:
        """Make a table; the same errors as tables.insert."""
        self.dataset(project, dataset)
        if not NAME.fullmatch(name):
            raise invalid(f'Invalid table ID "{name}".')
        resource = {key: given[key] for key in SETTABLE if key in given}
        made = Table(project, dataset, name, normalised(resource))
        check_partitioning(made)
        with self.lock:
            if (project, dataset, name) in self.tables:
                raise ApiError(409, "duplicate", f"Already Exists: Table {project}:{dataset}.{name}")
            self.tables[project, dataset, name] = made
        return made

    def keep(self, project: str, arrow: pa.Table, fields: list[dict[str, Any]]) -> Table:
        """Keep the rows of a SELECT in their order, as an anonymous table."""
        table = self.create(project, HIDDEN, f"anon{next(self._numbers)}", {"schema": {"fields": fields}})
        path = self.new_file(table)
        pq.write_table(arrow, path)
        table.pieces = {WHOLE: (path,)}
        return table

    def new_file(self, table: Table) -> Path:
        path = self.folder / table.project / table.dataset / table.name / f"{next(self._numbers)}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def count(self, table: Table, parts: Iterator[str]) -> None:
        with self.lock:
            self.writes.update((f"{table.dataset}.{table.name}", part) for part in parts)


def normalised(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource with its fields as the service names them; what is null is not set."""
    kept = {key: value for key, value in resource.items() if value is not None}
    if "timePartitioning" in kept:
        kept["timePartitioning"] = {
            k: v for k, v in kept["timePartitioning"].items() if k in ("type", "field")
        }
    if "schema" in kept:
        fields = [normal_field(one) for one in kept["schema"].get("fields", [])]
        names = [one["name"].lower() for one in fields]
        if len(set(names)) < len(names):
            raise invalid("Duplicate column names in the schema")
        kept["schema"] = {"fields": fields}
    return kept


def check_partitioning(table: Table) -> None:
    """Refuse what BigQuery refuses: partitioning by no DATE or TIMESTAMP column, clustering by unknown columns."""
    kinds = {f["name"]: sql_type(f) for f in table.fields}
    partitioning = table.resource.get("timePartitioning")
    if partitioning and partitioning.get("type") != "DAY":
        raise invalid(f"Partitioning by {partitioning.get('type')} is not served here")
    if table.divider is not None and kinds.get(table.divider) not in ("DATE", "TIMESTAMP"):
        raise invalid(f"The field specified for partitioning cannot be found in the schema: {table.divider}")
    if table.resource.get("requirePartitionFilter") and table.divider is None:
        raise invalid("require_partition_filter cannot be set on a table that is not partitioned")
    clustered = table.resource.get("clustering", {}).get("fields", [])
    if len(clustered) > 4 or any(name not in kinds for name in clustered):
        raise invalid(f"The fields specified for clustering cannot be used: {', '.join(clustered)}")


def day_of(part: str) -> dt.date | None:
    return dt.datetime.strptime(part, "%Y%m%d").date() if DAY.fullmatch(part) else None


def split(name: str, part: str | None = None) -> tuple[str, str | None]:
    """``events$20260105`` -> name and partition; refuses a decorator that is no day."""
    name, dollar, part = name.partition("$")
    if not dollar:
        return name, None
    if part != NULL_PARTITION and not DAY.fullmatch(part):
        raise invalid(f"Invalid partition decorator: {part}")
    return name, part


def parts_of(column: pa.ChunkedArray) -> list[str]:
    """Ids of the partitions that the values of a partition column fall into, one per row."""
    days = column.cast(pa.date32()) if pa.types.is_timestamp(column.type) else column
    return pc.fill_null(
        pc.strftime(days.cast(pa.timestamp("s")), format="%Y%m%d"), NULL_PARTITION
    ).to_pylist()


@lru_cache(maxsize=100_000)
def column_bytes(path: Path, name: str, kind: str) -> int:
    """Logical bytes of a column of a file; files are never written twice."""
    file = pq.ParquetFile(path)
    if name not in file.schema_arrow.names:
        return 0
    column = file.read(columns=[name]).column(name)
    filled = len(column) - column.null_count
    if kind == "STRING":
        return filled * 2 + int(pc.sum(pc.binary_length(column)).as_py() or 0)
    return filled * WIDTHS[kind]
