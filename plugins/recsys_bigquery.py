"""Build a table inside BigQuery: the provider's own operator; imported only when the warehouse is BigQuery.

The job, its links, deferral, cancelling and lineage are the provider's. What is added: the job is computed when the
task runs, its id lets a retry find the job of an earlier try, and the ledger notes the partition in the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook
from airflow.providers.google.cloud.links.bigquery import BigQueryJobDetailLink, BigQueryTableLink
from airflow.providers.google.cloud.operators.bigquery import BigQueryInsertJobOperator
from airflow.sdk.exceptions import AirflowFailException
from google.api_core.exceptions import GoogleAPICallError, NotFound

from recsys import schema
from recsys.errors import RecsysError
from recsys.settings import Settings
from recsys.warehouse.bigquery.names import label
from recsys.warehouse.bigquery.refusals import guards, reason_of, refusal
from recsys_tasks import data_day

if TYPE_CHECKING:
    from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse


class BigQueryBuild(BigQueryInsertJobOperator):
    """Replace the partition ds of ``table`` by a query job, without holding a worker meanwhile.

    Nothing that becomes SQL is rendered: the text is a file, the values are typed parameters.
    """

    template_fields = ("table",)
    template_ext = ()
    ui_color = "#dfefe6"

    def __init__(self, *, table: str, **kwargs: Any) -> None:
        super().__init__(
            configuration={},
            deferrable=True,
            force_rerun=False,
            reattach_states={"PENDING", "RUNNING"},
            **kwargs,
        )
        self.table = table

    def execute(self, context: Any) -> str | None:
        """Start the job, or take up the one that an earlier try of this run has started; note what it wrote.

        Returns the id of the job that made the partition.
        """
        with self._no_retry_where_useless(), self._warehouse() as warehouse:
            ds = data_day(context["dag_run"].logical_date, warehouse.settings.timezone)
            kept = warehouse.kept(self.table, ds)
            if kept:
                self.log.info("%s of %s is kept: %d rows, taken once", self.table, ds, kept.rows)
                self._link(context, warehouse.address.reference(self.table, ds), kept.job_id)
                return kept.job_id
            self.configuration = warehouse.job(self.table, ds, self._labels(ds))
            name, job = self._next_job(context)
            if job is None or job.state != "DONE":
                self.job_id = name
                try:
                    return self._note(warehouse, ds, super().execute(context))
                except AirflowException:
                    job = self._find(name)
                    if job is None or job.state != "DONE" or job.error_result:
                        raise  # otherwise the job was made and done, and the answer was lost
            self._persist_job_links(job, context)
            return self._note(warehouse, ds, job.job_id)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> str | None:
        """Called once the job is over: fail with what BigQuery says, or note what it wrote."""
        with self._no_retry_where_useless(), self._warehouse() as warehouse:
            ds = data_day(context["dag_run"].logical_date, warehouse.settings.timezone)
            if event["status"] == "error":
                self.configuration = warehouse.job(self.table, ds, self._labels(ds))
                _, job = self._next_job(context, failed=True)
                if job is not None and not job.error_result:
                    return self.execute(context)  # the polling failed, not the job
                if job is not None:
                    self._handle_job_error(job)
            return self._note(warehouse, ds, super().execute_complete(context, event))

    def _link(self, context: Any, table: dict[str, str], job_id: str) -> None:
        """Let the provider's links lead to a table, and to the job of an earlier run that made it."""
        BigQueryTableLink.persist(
            context=context,
            project_id=table["projectId"],
            dataset_id=table["datasetId"],
            table_id=table["tableId"],
        )
        BigQueryJobDetailLink.persist(
            context=context, project_id=self.project_id, location=self.location, job_id=job_id
        )

    def _warehouse(self) -> BigQueryWarehouse:
        """Read the settings, take the connection and location that they name, and open the warehouse."""
        from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse

        settings = Settings.load()
        self.gcp_conn_id, self.location = settings.connection, settings.location
        self.hook = BigQueryHook(gcp_conn_id=self.gcp_conn_id, impersonation_chain=self.impersonation_chain)
        warehouse = BigQueryWarehouse(settings, self.hook.get_credentials())
        self.project_id = warehouse.address.project
        return warehouse

    def _labels(self, ds: date) -> dict[str, str]:
        return {"dag": self.dag_id, "task": self.task_id, "ds": ds.isoformat()}

    def _next_job(self, context: Any, failed: bool = False) -> tuple[str, Any]:
        """Id of the first job of this run that has not failed, and the job if it exists (``failed``: the last)."""
        run, ti = context["dag_run"], context["ti"]
        # A person who clears tasks raises clear_number (and max_tries of one that had ended), one who makes the run
        # anew gives it another start: new jobs.
        cleared = [ti.max_tries, getattr(run, "clear_number", 0), str(run.start_date)]
        identity = [self.dag_id, self.task_id, ti.run_id, ti.map_index, *cleared]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
        name = f"recsys-{label(self.dag_id)}-{label(self.task_id)}-{digest}"
        last: tuple[str, Any] = (name, None)
        for attempt in count():
            job = self._find(f"{name}-{attempt}")
            if job is None and failed:
                return last
            last = (f"{name}-{attempt}", job)
            if job is None or job.state != "DONE" or not job.error_result:
                return last
        raise AssertionError("count() does not end")

    def _find(self, name: str) -> Any:
        """Return the job that the provider makes under ``name``, to which it adds a hash of the configuration."""
        self._add_job_labels(self.hook)  # before the hash, as the provider does
        job_id = self.hook.generate_job_id(
            job_id=name,
            dag_id=self.dag_id,
            task_id=self.task_id,
            logical_date=None,
            configuration=self.configuration,
        )
        return self._job_of(job_id)

    def _job_of(self, job_id: str) -> Any:
        try:
            return self.hook.get_job(project_id=self.project_id, location=self.location, job_id=job_id)
        except NotFound:
            return None

    def _note(self, warehouse: BigQueryWarehouse, ds: date, job_id: str) -> str:
        rows = warehouse.record(self.table, ds, self._job_of(job_id))
        self.log.info("%s: %d rows", warehouse.location(self.table, ds), rows)
        return job_id

    def _handle_job_error(self, job: Any) -> None:
        found = job.error_result and self._refusal(job.error_result["reason"], job.error_result["message"])
        if found:
            raise found
        super()._handle_job_error(job)

    def _refusal(self, reason: str, message: str) -> RecsysError | None:
        told = tuple(guards(schema.table(self.table)).values())
        return refusal(reason, message, f"{self.table}.sql", told)

    @contextmanager
    def _no_retry_where_useless(self) -> Iterator[None]:
        """What only a person can mend fails at once; rate limits and the service's own faults are tried again."""
        try:
            yield
        except RecsysError as error:
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error
        except GoogleAPICallError as error:
            found = self._refusal(reason_of(error), str(error.message))
            if found is None:
                raise
            raise AirflowFailException(f"{type(found).__name__}: {found}") from error
