"""The warehouse in BigQuery: the contract of ``recsys.warehouse.base``, kept by jobs and the Storage Read API."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import google.auth.credentials
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from google.cloud.bigquery.job import LoadJob, QueryJob

from recsys import schema
from recsys.errors import WarehouseError
from recsys.settings import Settings
from recsys.warehouse import frames, verify
from recsys.warehouse.base import BuildResult, Warehouse, wanted_columns
from recsys.warehouse.bigquery import parts, refusals, statement
from recsys.warehouse.bigquery.client import Connection, HiddenJobError
from recsys.warehouse.bigquery.ledger import Entry, Ledger
from recsys.warehouse.bigquery.names import PARTED, WHOLE, label, part_name
from recsys.warehouse.bigquery.resources import load_configuration
from recsys.warehouse.dialect import parameter_type, translate

ATTEMPTS = 20
"""How often rows are added again that others were quicker than."""
HIDDEN_SECONDS = 120.0
"""How long the rows of a job are waited for that another account began: only its owner can look how it went."""


class BigQueryWarehouse(Warehouse):
    """Tables ``PROJECT.<PREFIX><dataset>.<table>``, each partition replaced by one job that succeeds or leaves it.

    Frames come out as those of a local warehouse do: same columns, types and order of rows. ``query`` does not hide
    partitions after ``ds``; a text has to be right when they are there. A project's own source tables may be views.
    """

    def __init__(
        self, settings: Settings, credentials: google.auth.credentials.Credentials | None = None
    ) -> None:
        super().__init__(settings)
        self.connection = Connection(settings, credentials)
        self.address = self.connection.address
        self.ledger = Ledger(self.connection, settings)

    def close(self) -> None:
        """Close the clients."""
        self.connection.close()

    def query(
        self,
        sql: str,
        params: Mapping[str, object] | None = None,
        ds: date | None = None,
        name: str = "query",
    ) -> pa.Table:
        """Run one SELECT as a query job; see ``Warehouse.query``."""
        given = {**(params or {}), **({"ds": ds} if ds else {})}
        translated = translate(sql, name, {key: parameter_type(key, value) for key, value in given.items()})
        configuration = statement.query_configuration(
            statement.qualify_tables(sql, self.address, name),
            {key: given[key] for key in translated.params},
            self.settings,
            job_labels(ds),
        )
        return self.connection.rows(self.connection.query(configuration, name))

    def build(self, table: str, ds: date, refresh: bool = False) -> BuildResult:
        """Replace one partition by a query job; see ``Warehouse.build``."""
        started = time.perf_counter()
        if not refresh and (kept := self.kept(table, ds)):
            return BuildResult(table, ds, kept.rows, self.location(table, ds), 0.0, built=False)
        configuration = self.job(table, ds, job_labels(ds, table))
        told = tuple(refusals.guards(schema.table(table)).values())
        job = self.connection.query(configuration, str(self.spec(table).path), told)
        rows = self.record(table, ds, job)
        seconds = time.perf_counter() - started
        return BuildResult(table, ds, rows, self.location(table, ds), seconds, built=True)

    def kept(self, table: str, ds: date) -> Entry | None:
        """Return the partition of a ``snapshot: once`` table that is there and stays; None where there is work."""
        found = self.ledger.entries([table], ds) if self.spec(table).snapshot_once else []
        return found[0] if found else None

    def job(self, table: str, ds: date, labels: Mapping[str, str]) -> dict[str, Any]:
        """REST JobConfiguration that builds a partition, once everything it reads is there.

        Raises:
            SqlError, ContractError, WarehouseError: as ``Warehouse.build``; nothing was sent.
        """
        spec = self.spec(table)
        configuration = statement.build_configuration(spec, ds, self.settings, labels)
        self._require_upstream(spec, ds)
        return configuration

    def record(self, table: str, ds: date | None, job: QueryJob | LoadJob, part: str | None = None) -> int:
        """Note what a finished job wrote, and return its rows. May be called again for the same job."""
        rows = job.output_rows if isinstance(job, LoadJob) else job.result().total_rows
        part = part or (WHOLE if table in PARTED else "")
        self.ledger.record(table, ds, part, rows=int(rows or 0), job_id=str(job.job_id), built_at=job.ended)
        return int(rows or 0)

    def read(
        self,
        table: str,
        ds: date | None = None,
        columns: Sequence[str] | None = None,
        start: date | None = None,
    ) -> pd.DataFrame:
        """Read partitions or a whole table as pandas; see ``Warehouse.read``."""
        contract = schema.table(table)
        wanted = wanted_columns(contract, columns)
        return frames.to_pandas(contract, self._arrow(contract, ds, start, wanted))

    def _arrow(
        self, contract: schema.Table, ds: date | None, start: date | None, columns: list[str]
    ) -> pa.Table:
        """Rows in the order of a local warehouse: by day, part and key."""
        names = sorted({entry.part for entry in self._there(contract, ds, start)})
        if not names:
            told = f" Looked from {start} on." if start else ""
            raise WarehouseError(self.missing(contract.name, ds) + told)
        by = [*([contract.partition] if contract.partition else []), *contract.key]
        if verify.is_source(contract):
            by += columns
        needed = [name for name in contract.column_names if name in {*columns, *by}]
        types = pa.schema([field for field in frames.arrow_schema(contract) if field.name in needed])
        restriction = _restriction(contract, ds, start)
        pieces = []
        for number, part in enumerate(names):
            reference = self.address.reference(contract.name, part=part or None)
            found = self._read(contract, reference, needed, restriction).cast(types)
            pieces.append(found.append_column("_part", pa.repeat(pa.scalar(number), found.num_rows)))
        arrow = pa.concat_tables(pieces)
        return _by(arrow, dict.fromkeys([*by[:1], "_part", *by[1:]])).select(columns)

    def _read(
        self, contract: schema.Table, reference: dict[str, str], columns: list[str], restriction: str
    ) -> pa.Table:
        """Through the Storage API; a view, which it cannot read, through a query."""
        if not (verify.is_source(contract) and self._is_view(contract)):
            return self.connection.read(reference, columns, restriction, contract.name)
        where = f" WHERE {restriction}" if restriction else ""
        return self.query(f"SELECT {', '.join(columns)} FROM {contract.name}{where}", name=contract.name)

    def _there(self, contract: schema.Table, ds: date | None, start: date | None) -> list[Entry]:
        """What is there of the days asked for."""
        if contract.partition is None:
            return self._whole(contract)
        last = _day(contract, ds)
        if verify.is_source(contract):
            days = [last] if start is None and self.exists(contract.name, last) else []
            days = (
                days if start is None else [d for d in self.partitions(contract.name) if start <= d <= last]
            )
            return [Entry(contract.name, day, "", 0) for day in days]
        found = self.ledger.entries([contract.name], None if start else last)
        return [entry for entry in found if entry.ds and (start or last) <= entry.ds <= last]

    def write(
        self, table: str, frame: pd.DataFrame | pa.Table, ds: date | None = None, part: str | None = None
    ) -> int:
        """Replace a partition by a Parquet load job; see ``Warehouse.write``."""
        contract = schema.table(table)
        if contract.partition:
            _day(contract, ds)
        elif part is not None:
            raise WarehouseError(f"{table} is kept whole; it has no parts.")
        piece = WHOLE if part is None and table in PARTED else part
        if piece is not None:
            part_name(table, piece)
        with _file(contract, frames.to_contract(contract, frame, ds), ds) as path:
            job = self.connection.load(
                path,
                self.address.reference(table, ds if contract.partition else None, piece),
                load_configuration(table, self.settings, piece),
                job_labels(ds, table),
                table,
            )
        if piece is not None:
            self._replace_form(table, _day(contract, ds), piece)
            parts.cover(self.connection, self.settings, table)
        return self.record(table, ds, job, piece)

    def append(self, table: str, more: Callable[[pd.DataFrame], pd.DataFrame], ds: date) -> pd.DataFrame:
        """Add rows to a partition by a load job; see ``Warehouse.append``.

        The id of the job says how many rows it found there. Of those that found the same one gets the id, and the
        others look again. Where no row has come since, the job has failed (or is older than a drop), and they contend
        for the next id. Rows that were not noted count too: to be killed before the note loses nothing.
        """
        contract = schema.table(table)
        _day(contract, ds)
        taken: Counter[int] = Counter()
        for attempt in range(ATTEMPTS):
            there = self._found(contract, ds)
            rows = frames.to_contract(contract, more(frames.to_pandas(contract, there)), ds)
            if not rows.num_rows and self.exists(table, ds):
                return frames.to_pandas(contract, rows)
            # No rows change nothing: they need no turn, only a job to be noted.
            state = f"{there.num_rows}-{taken[there.num_rows]}" if rows.num_rows else uuid.uuid4().hex
            try:
                job = self._append(contract, rows, ds, state)
            except HiddenJobError:
                job = None
                self._await(contract, ds, there.num_rows)
            if job:
                total = there.num_rows + rows.num_rows
                self.ledger.record(table, ds, "", rows=total, job_id=str(job.job_id), built_at=job.ended)
                return frames.to_pandas(contract, rows)
            taken[there.num_rows] += 1
            time.sleep(0.1 * attempt)
        raise WarehouseError(f"{table} of {ds} was added to {ATTEMPTS} times meanwhile; run it again.")

    def _await(self, contract: schema.Table, ds: date, known: int) -> None:
        """Until there are other rows than the ``known`` ones, or so late that another's job must have failed."""
        until = time.monotonic() + HIDDEN_SECONDS
        while self._found(contract, ds).num_rows == known and time.monotonic() < until:
            time.sleep(1.0)

    def _found(self, contract: schema.Table, ds: date) -> pa.Table:
        reference, names = self.address.reference(contract.name), contract.column_names
        found = self._read(contract, reference, names, _restriction(contract, ds, None))
        return _sorted(contract, found.cast(frames.arrow_schema(contract)))

    def _append(self, contract: schema.Table, rows: pa.Table, ds: date, state: str) -> LoadJob | None:
        """Add ``rows``; None where another has found the partition in the same ``state`` and added to it."""
        reference = self.address.reference(contract.name)
        load = load_configuration(contract.name, self.settings, None) | {"writeDisposition": "WRITE_APPEND"}
        with _file(contract, rows, ds) as path:
            return self.connection.claim(
                path,
                self.address.reference(contract.name, ds),
                load,
                job_labels(ds, contract.name),
                contract.name,
                job_id=f"{reference['datasetId']}-{reference['tableId']}-{ds:%Y%m%d}-{state}",
            )

    def _replace_form(self, table: str, ds: date, piece: str) -> None:
        """Remove the parts when the whole was written, the whole when a part was; noted or not."""
        for entry in self.ledger.entries([table], ds):
            if (entry.part == WHOLE) != (piece == WHOLE):
                self.ledger.forget(table, ds, entry.part)
        for part in parts.list_parts(self.connection, schema.table(table)):
            if (part == WHOLE) != (piece == WHOLE):
                self.connection.delete(self.address.reference(table, ds, part))

    def exists(self, table: str, ds: date | None = None) -> bool:
        """Tell whether a table or partition is there."""
        contract = schema.table(table)
        if not verify.is_source(contract):
            return bool(self.ledger.entries([table], ds))
        if ds is None or contract.partition is None:
            return bool(self._whole(contract))
        if self.ledger.entries([table], ds):
            return True
        sql = f"SELECT {contract.partition} FROM {table} WHERE {contract.partition} = @ds LIMIT 1"
        return self.connection.table(self.address.reference(table)) is not None and bool(
            self.query(sql, ds=ds, name=table).num_rows
        )

    def _absent(self, tables: Sequence[str], ds: date) -> list[str]:
        there = {entry.table for entry in self.ledger.entries(tables, ds)} if tables else set()
        return [name for name in tables if name not in there]

    def _whole(self, contract: schema.Table) -> list[Entry]:
        """A source table, if something is in it: noted, counted by BigQuery, or a view of which nobody can tell."""
        found = self.ledger.entries([contract.name])
        if found:
            return found[-1:]
        metadata = self.connection.table(self.address.reference(contract.name))
        if metadata is None or (metadata.table_type == "TABLE" and not metadata.num_rows):
            return []
        return [Entry(contract.name, None, "", metadata.num_rows or 0)]

    def partitions(self, table: str) -> list[date]:
        """List the days a partitioned table has; of a source this reads its partition column."""
        contract = schema.table(table)
        days = {entry.ds for entry in self.ledger.entries([table]) if entry.ds}
        if verify.is_source(contract) and contract.partition and self._whole(contract):
            day = contract.partition
            sql = f"SELECT {day} FROM {table} WHERE {day} >= DATE '1970-01-01' GROUP BY {day} ORDER BY {day}"
            if self.connection.table(self.address.reference(table)) is not None:
                days |= {found for found in self.query(sql, name=table).column(day).to_pylist() if found}
        return sorted(days)

    def drop(self, table: str, ds: date | None = None) -> None:
        """Remove a partition with all its parts, or the rows of a whole table."""
        contract = schema.table(table)
        if contract.partition is None:
            if self.exists(table):
                self.write(table, frames.arrow_schema(contract).empty_table())
                self.ledger.forget(table, None)
            return
        if self.ledger.entries([table], _day(contract, ds)):
            self.ledger.forget(table, ds)
        # Every part that has a table, noted or not: a task may have been killed before it noted what it wrote.
        for part in parts.list_parts(self.connection, contract) if table in PARTED else [None]:
            self.connection.delete(self.address.reference(table, ds, part))

    def location(self, table: str, ds: date | None = None) -> str:
        """Full name of a table or partition."""
        return self.address.table(table, ds if schema.table(table).partition else None)

    def _is_view(self, contract: schema.Table) -> bool:
        metadata = self.connection.table(self.address.reference(contract.name))
        return metadata is not None and metadata.table_type != "TABLE"


@contextmanager
def _file(contract: schema.Table, arrow: pa.Table, ds: date | None) -> Iterator[Path]:
    """A Parquet file of rows that keep the contract, to be loaded."""
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(_sorted(contract, arrow), path, compression="zstd")
        verify.check_file(contract, path, ds)
        yield path


def job_labels(ds: date | None, task: str = "recsys") -> dict[str, str]:
    """Labels of a job: the DAG and task it runs in, as Airflow tells its workers, and the data day."""
    given = {
        "dag": os.environ.get("AIRFLOW_CTX_DAG_ID", "none"),
        "task": os.environ.get("AIRFLOW_CTX_TASK_ID", task),
        **({"ds": ds.isoformat()} if ds else {}),
    }
    return {name: label(value) for name, value in given.items()}


def _restriction(contract: schema.Table, ds: date | None, start: date | None) -> str:
    if contract.partition is None or ds is None:
        return ""
    return f"{contract.partition} BETWEEN DATE '{start or ds}' AND DATE '{ds}'"


def _sorted(contract: schema.Table, arrow: pa.Table) -> pa.Table:
    rest = [n for n in contract.column_names if n not in contract.key] if verify.is_source(contract) else []
    return _by(arrow, (*contract.key, *rest))


def _by(arrow: pa.Table, columns: Iterable[str]) -> pa.Table:
    """Sort as the local engine does: text by its bytes, NULL first."""
    keyed, keys = arrow, []
    for name in columns:
        if arrow.column(name).null_count:
            keyed = keyed.append_column(f"_has_{name}", pc.is_valid(arrow.column(name)))
            keys.append(f"_has_{name}")
        keys.append(name)
    return arrow.take(pc.sort_indices(keyed, sort_keys=[(key, "ascending") for key in keys]))


def _day(contract: schema.Table, ds: date | None) -> date:
    if ds is None:
        raise WarehouseError(f"{contract.name} is partitioned by {contract.partition}; say which day.")
    if isinstance(ds, datetime) or not isinstance(ds, date):
        raise WarehouseError(f"{contract.name}: the day is {ds!r}; give a datetime.date.")
    return ds
