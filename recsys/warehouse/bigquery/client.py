"""The door to BigQuery: query jobs, load jobs, reads through the Storage API, each safe to try again.

``BIGQUERY_EMULATOR_HOST`` (``http://HOST:PORT``) and ``BIGQUERY_STORAGE_EMULATOR_HOST`` (``HOST:PORT``) name another
endpoint, which is spoken to without credentials; otherwise the application's default credentials are used.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import google.auth.credentials
import grpc
import pyarrow as pa
from google.api_core.exceptions import Conflict, Forbidden, GoogleAPICallError, NotFound
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import bigquery
from google.cloud.bigquery.job import LoadJob, LoadJobConfig, QueryJob, QueryJobConfig
from google.cloud.bigquery.retry import DEFAULT_RETRY
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from recsys.errors import WarehouseError
from recsys.settings import Settings
from recsys.warehouse.bigquery.names import Address
from recsys.warehouse.bigquery.refusals import LASTING, reason_of, refusal

JOB_PREFIX = "recsys-"
LOAD_SECONDS = 1800.0
"""A load job that fails for a passing reason is begun again for this long."""
SHOWN_SECONDS = 60.0
"""A job that is known to exist may not be found for so long (googleapis/python-bigquery issue 2134)."""


class HiddenJobError(Exception):
    """The id of a job is taken by somebody whose jobs may not be looked at."""


class Connection:
    """One project in one location, with the credentials given or found."""

    def __init__(
        self, settings: Settings, credentials: google.auth.credentials.Credentials | None = None
    ) -> None:
        self.address = Address.parse(settings.warehouse)
        self.location = settings.location
        self._credentials = credentials

    @cached_property
    def client(self) -> bigquery.Client:
        """The REST client; jobs belong to the project of the warehouse.

        Raises:
            WarehouseError: there are no credentials.
        """
        credentials = self._credentials
        if os.environ.get("BIGQUERY_EMULATOR_HOST"):
            credentials = AnonymousCredentials()
        try:
            return bigquery.Client(self.address.project, credentials, location=self.location)
        except DefaultCredentialsError as error:
            raise WarehouseError(
                f"No Google credentials for {self.address}; run `gcloud auth application-default login`, or run it "
                "where a service account is attached."
            ) from error

    @cached_property
    def storage(self) -> BigQueryReadClient:
        """The client of the Storage Read API."""
        host = os.environ.get("BIGQUERY_STORAGE_EMULATOR_HOST")
        if host:
            channel = grpc.insecure_channel(host, options=[("grpc.max_receive_message_length", -1)])
            return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
        return BigQueryReadClient(credentials=self.client._credentials)

    def close(self) -> None:
        """Close what was opened; it is opened again when used again."""
        if "storage" in self.__dict__:
            self.__dict__.pop("storage").transport.close()
        if "client" in self.__dict__:
            self.__dict__.pop("client").close()

    def query(self, configuration: Mapping[str, Any], name: str, guards: Sequence[str] = ()) -> QueryJob:
        """Run one query job to its end.

        The job has an id of its own, drawn once: when the answer to its creation is lost, the client asks again with
        that id, is told that it exists, and takes it. A job that failed for a passing reason is begun again.

        Raises:
            RecsysError: what only a person can mend; see ``refusals``.
        """
        with mended_by_people(name, guards):
            job = self.client.query(
                configuration["query"]["query"],
                job_config=cast(QueryJobConfig, QueryJobConfig.from_api_repr(dict(configuration))),
                job_id_prefix=JOB_PREFIX,
                location=self.location,
            )
            job.result()
        return job

    def rows(self, job: QueryJob) -> pa.Table:
        """Rows of a finished query, in its order, through the Storage API where they are many."""
        arrow = job.result().to_arrow(bqstorage_client=self.storage)
        return pa.table(arrow.columns, names=arrow.column_names)

    def load(
        self,
        path: Path,
        destination: Mapping[str, str],
        load: Mapping[str, Any],
        labels: Mapping[str, str],
        name: str,
    ) -> LoadJob:
        """Load a Parquet file into a table or partition, to its end.

        Raises:
            RecsysError: what only a person can mend; see ``refusals``.
        """
        config = _load_config(load, labels)

        def attempt() -> LoadJob:
            job_id = f"{JOB_PREFIX}{uuid.uuid4()}"
            job = DEFAULT_RETRY(lambda: self._begin_load(path, dict(destination), config, job_id))()
            job.result()
            return job

        with mended_by_people(name):
            loaded: LoadJob = Retry(predicate=_passes, timeout=LOAD_SECONDS)(attempt)()
        return loaded

    def claim(
        self,
        path: Path,
        destination: Mapping[str, str],
        load: Mapping[str, Any],
        labels: Mapping[str, str],
        name: str,
        *,
        job_id: str,
    ) -> LoadJob | None:
        """As ``load``, by the job ``job_id``, which one caller only gets: an id can be used once.

        None where the job is another's, which has ended by now, or has failed for a passing reason: ask for another id.

        Raises:
            HiddenJobError: the job is another's, and only they may look at it.
            RecsysError: what only a person can mend; see ``refusals``.
        """
        writer = uuid.uuid4().hex
        config = _load_config(load, {**labels, "writer": writer})
        with mended_by_people(name):
            begin = DEFAULT_RETRY(self._begin_load)
            job: LoadJob = begin(path, dict(destination), config, f"{JOB_PREFIX}{job_id}")
            is_mine = job.labels.get("writer") == writer
            try:
                job.result()
            except GoogleAPICallError as error:
                if job.state != "DONE" or (is_mine and not _passes(error)):
                    raise
                return None
        return job if is_mine else None

    def _begin_load(
        self, path: Path, destination: dict[str, str], config: LoadJobConfig, job_id: str
    ) -> LoadJob:
        try:
            with path.open("rb") as file:
                return self.client.load_table_from_file(
                    file,
                    bigquery.TableReference.from_api_repr(destination),
                    size=path.stat().st_size,
                    job_id=job_id,
                    location=self.location,
                    job_config=config,
                )
        except (
            Conflict
        ):  # the answer to an earlier request was lost, the job was made; it may take a while to show
            found = Retry(predicate=if_exception_type(NotFound), timeout=SHOWN_SECONDS)(self.client.get_job)
            try:
                return cast(LoadJob, found(job_id, location=self.location))
            except Forbidden as error:
                raise HiddenJobError(job_id) from error

    def read(
        self, reference: Mapping[str, str], columns: Sequence[str], restriction: str, name: str
    ) -> pa.Table:
        """Read ``columns`` of the rows of a table that ``restriction`` (SQL) leaves, in no order.

        Raises:
            RecsysError: what only a person can mend; see ``refusals``.
        """
        project, dataset, table = reference["projectId"], reference["datasetId"], reference["tableId"]
        session = types.ReadSession(
            table=f"projects/{project}/datasets/{dataset}/tables/{table}",
            data_format=types.DataFormat.ARROW,
            read_options=types.ReadSession.TableReadOptions(
                selected_fields=list(columns), row_restriction=restriction
            ),
        )
        with mended_by_people(name):
            made = self.storage.create_read_session(parent=f"projects/{project}", read_session=session)
            schema = pa.ipc.read_schema(pa.py_buffer(made.arrow_schema.serialized_schema))
            batches = [
                pa.ipc.read_record_batch(
                    pa.py_buffer(part.arrow_record_batch.serialized_record_batch), schema
                )
                for stream in made.streams
                for part in self.storage.read_rows(stream.name)
            ]
        return pa.Table.from_batches(batches, schema=schema).select(list(columns))

    def table(self, reference: Mapping[str, str]) -> bigquery.Table | None:
        """Return the metadata of a table or view; None where there is none."""
        with mended_by_people(reference["tableId"]):
            try:
                return self.client.get_table(bigquery.TableReference.from_api_repr(dict(reference)))
            except NotFound:
                return None

    def delete(self, reference: Mapping[str, str]) -> None:
        """Remove a table, a view or (``$YYYYMMDD``) a partition. Nothing there is no error."""
        with mended_by_people(reference["tableId"]):
            self.client.delete_table(
                bigquery.TableReference.from_api_repr(dict(reference)), not_found_ok=True
            )


@contextmanager
def mended_by_people(name: str, guards: Sequence[str] = ()) -> Iterator[None]:
    """Turn what BigQuery refuses for good into a RecsysError that names the text; passing faults go on as they are."""
    try:
        yield
    except GoogleAPICallError as error:
        found = refusal(reason_of(error), str(error.message), name, tuple(guards))
        if found is None:
            raise
        raise found from error


def _load_config(load: Mapping[str, Any], labels: Mapping[str, str]) -> LoadJobConfig:
    resource = {"load": dict(load), "labels": dict(labels)}
    return cast(LoadJobConfig, LoadJobConfig.from_api_repr(resource))


def _passes(error: BaseException) -> bool:
    """Whether a load that failed so may succeed when begun again."""
    return isinstance(error, GoogleAPICallError) and reason_of(error) not in {*LASTING, "stopped"}
