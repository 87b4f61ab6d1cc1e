"""Jobs: from PENDING over RUNNING to DONE, each under an id that can be used once."""

from __future__ import annotations

import datetime as dt
import threading
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.endpoint.cells import parameters
from tests.endpoint.engine import Engine, Plan
from tests.endpoint.errors import ApiError, invalid, not_found
from tests.endpoint.faults import Faults
from tests.endpoint.store import HIDDEN, Store, Table
from tests.endpoint.text import delete_as_select, insert_parts, kind_of, map_tables, update_as_select
from tests.endpoint.writing import Writer

LONGEST_ID = 1024


class Job:
    """One job; ``rows`` is the table its results can be read from, ``file`` the one file of them."""

    def __init__(self, project: str, id_: str, location: str, configuration: dict[str, Any]) -> None:
        self.project, self.id, self.location = project, id_, location
        self.configuration = configuration
        self.state = "PENDING"
        self.error: dict[str, Any] | None = None
        self.statistics: dict[str, Any] = {}
        self.rows: Table | None = None
        self.times = {"creationTime": _now()}
        self.done = threading.Event()
        self.cancelled = threading.Event()

    @property
    def kind(self) -> str:
        return next(kind for kind in ("query", "load") if kind in self.configuration)

    @property
    def target(self) -> str:
        """``dataset.table$partition`` that the job writes to, or an empty text."""
        found = self.configuration[self.kind].get("destinationTable") or {}
        return f"{found['datasetId']}.{found['tableId']}" if found else ""

    def resource(self) -> dict[str, Any]:
        status: dict[str, Any] = {"state": self.state}
        if self.error:
            status |= {"errorResult": self.error, "errors": [self.error]}
        return {
            "kind": "bigquery#job",
            "id": f"{self.project}:{self.location}.{self.id}",
            "jobReference": {"projectId": self.project, "jobId": self.id, "location": self.location},
            "configuration": {"jobType": self.kind.upper(), **self.configuration},
            "status": status,
            "statistics": {**self.times, **self.statistics},
            "user_email": "nobody@example.com",
        }


class Jobs:
    """Every job there was; ``statements`` keeps each text of a query with the types of its parameters."""

    def __init__(self, store: Store, engine: Engine, faults: Faults) -> None:
        self.store, self.engine, self.faults = store, engine, faults
        self.writer = Writer(store, engine)
        self.jobs: dict[tuple[str, str], Job] = {}
        self.requests: dict[str, Job] = {}
        self.statements: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, Any]] = {}
        self.delay: Callable[[Job], float] = lambda job: 0.0
        self.mistakes: list[str] = []
        self.lock = threading.RLock()

    def get(self, project: str, id_: str, location: str | None = None) -> Job:
        job = self.jobs.get((project, id_))
        if job is None or (location and location.upper() != job.location.upper()):
            raise not_found("Job", f"{project}:{location or self.store.location}.{id_}")
        return job

    def insert(self, project: str, body: dict[str, Any], upload: Path | None = None) -> Job:
        """Begin a job; one that takes no time is done when this returns."""
        reference = body.get("jobReference") or {}
        id_ = reference.get("jobId") or f"job_{uuid.uuid4().hex}"
        location = reference.get("location") or self.store.location
        if len(id_) > LONGEST_ID or not id_.replace("-", "").replace("_", "").isalnum():
            raise invalid(f'Invalid job ID "{id_}"')
        job = Job(project, id_, location, body["configuration"])
        if not any(kind in body["configuration"] for kind in ("query", "load")):
            raise invalid("Jobs other than query and load are not served here")
        if job.configuration.get("dryRun"):
            return self.dry_run(job)
        with self.lock:
            if (project, id_) in self.jobs:
                raise ApiError(409, "duplicate", f"Already Exists: Job {project}:{location}.{id_}")
            self.jobs[project, id_] = job
        self._begin(job, upload)
        return job

    def query(self, project: str, body: dict[str, Any]) -> Job:
        """jobs.query: a query job from a QueryRequest; the same requestId is the same job."""
        inside = ("query", "useLegacySql", "queryParameters", "parameterMode", "defaultDataset")
        query = {name: body[name] for name in (*inside, "maximumBytesBilled") if name in body}
        configuration = {"query": query, **{n: body[n] for n in ("dryRun", "labels") if n in body}}
        reference = {"location": body.get("location") or self.store.location}
        with self.lock:
            known = self.requests.get(body.get("requestId", ""))
            if known is not None:
                return known
            job = self.insert(project, {"configuration": configuration, "jobReference": reference})
            if body.get("requestId"):
                self.requests[body["requestId"]] = job
        return job

    def cancel(self, job: Job) -> None:
        job.cancelled.set()

    def dry_run(self, job: Job) -> Job:
        """Check and measure a query; nothing is kept."""
        if job.kind != "query":
            raise invalid("Only queries have a dry run")
        plan = self._plan(job)
        job.statistics = self._measured(job, plan)
        job.state = "DONE"
        job.done.set()
        return job

    def _begin(self, job: Job, upload: Path | None) -> None:
        seconds = self.delay(job)
        if seconds:
            threading.Thread(
                target=self._run, args=(job, upload, seconds), name="bigquery-job", daemon=True
            ).start()
        else:
            self._run(job, upload, 0.0)

    def _run(self, job: Job, upload: Path | None, seconds: float) -> None:
        try:
            job.cancelled.wait(seconds / 2)
            job.state = "RUNNING"
            job.times["startTime"] = _now()
            job.cancelled.wait(seconds / 2)
            if job.cancelled.is_set():
                raise ApiError(200, "stopped", "Job execution was cancelled: User requested cancellation")
            self.faults.in_job(job)
            self._execute(job, upload)
        except ApiError as error:
            job.error = error.result()
        except Exception as error:  # a mistake of the endpoint, which no client should try again
            job.error = {"reason": "endpointFailed", "message": f"{error!r}\n{traceback.format_exc()}"}
            self.mistakes.append(f"the endpoint failed: {job.error['message']}")
        job.times["endTime"] = _now()
        job.state = "DONE"
        job.done.set()

    def _execute(self, job: Job, upload: Path | None) -> None:
        if job.kind == "load":
            if upload is None:
                raise invalid("Loads from a bucket are not served here: send the file")
            rows = self.writer.write_file(upload, job.configuration["load"])
            job.statistics = {"load": {"outputRows": str(rows), "inputFiles": "1"}}
            return
        config = job.configuration["query"]
        plan = self._plan(job)
        job.statistics = self._measured(job, plan)
        limit = config.get("maximumBytesBilled")
        if limit and plan.billed > int(limit):
            raise ApiError(
                400,
                "bytesBilledLimitExceeded",
                f"Query exceeded limit for bytes billed: {limit}. {plan.billed} or higher required.",
            )
        statement = kind_of(config["query"])
        if statement != "SELECT":
            affected = self._change(job, plan, statement)
            job.statistics["query"] |= {"numDmlAffectedRows": str(affected)}
        elif config.get("destinationTable"):
            self.writer.write_query(plan, config)
            table, _ = self.writer.destination(config, None)
            job.statistics["query"]["schema"] = {"fields": table.fields}
        else:
            self._keep(job, plan)

    def _plan(self, job: Job) -> Plan:
        """The SELECT of a query job; of INSERT its SELECT, of DELETE and UPDATE that of their rows."""
        config = job.configuration["query"]
        if config.get("useLegacySql", True):
            raise invalid("Legacy SQL is not served here: useLegacySql has to be false", "invalidQuery")
        sql = config["query"]
        types, values = parameters(config.get("queryParameters", []))
        self.statements.setdefault(
            (sql, tuple(sorted(types.items()))),
            {"sql": sql, "types": types, "values": values, "project": job.project, "target": job.target},
        )
        statement = kind_of(sql)
        if statement == "INSERT":
            sql = insert_parts(sql)[2]
        elif statement == "DELETE":
            sql = delete_as_select(sql, keep=False)
        elif statement == "UPDATE":
            sql = update_as_select(sql, None)
        elif statement != "SELECT":
            raise invalid(f"{statement} is not served here", "invalidQuery")
        default = (config.get("defaultDataset") or {}).get("datasetId")
        return self.engine.plan(sql, job.project, (types, values), default=default)

    def _change(self, job: Job, plan: Plan, statement: str) -> int:
        config = job.configuration["query"]
        sql, default = config["query"], (config.get("defaultDataset") or {}).get("datasetId")
        params = parameters(config.get("queryParameters", []))
        if statement == "INSERT":
            path, columns, _ = insert_parts(sql)
            target = f"SELECT * FROM `{path}`"
            (table,) = map_tables(target, self.store, job.project, default).tables.values()
            return self.writer.insert(plan, table, columns)
        if statement == "UPDATE":
            target = next(iter(plan.mapped.tables.values()))
            every = update_as_select(sql, [f["name"] for f in target.fields])
            new = self.engine.plan(every, job.project, params, default=default, enforce=False)
            return self.writer.update(new, plan, target)
        keep = delete_as_select(sql, keep=True)
        kept = self.engine.plan(keep, job.project, params, default=default, enforce=False)
        target = next(iter(kept.mapped.tables.values()))
        return self.writer.delete(kept, target)

    def _measured(self, job: Job, plan: Plan) -> dict[str, Any]:
        sql = job.configuration["query"]["query"]
        return {
            "totalBytesProcessed": str(plan.bytes),
            "query": {
                "totalBytesProcessed": str(plan.bytes),
                "totalBytesBilled": str(plan.billed),
                "cacheHit": False,
                "statementType": kind_of(sql),
                "schema": {"fields": plan.fields},
                "referencedTables": [table.reference() for table in plan.mapped.tables.values()],
            },
        }

    def _keep(self, job: Job, plan: Plan) -> None:
        """Keep the rows of a SELECT as BigQuery does: as an anonymous table that can be read for a day."""
        arrow, fields = self.engine.fetch(plan)
        job.rows = self.store.keep(job.project, arrow, fields)
        job.statistics["query"]["schema"] = {"fields": fields}
        job.configuration["query"]["destinationTable"] = {**job.rows.reference(), "datasetId": HIDDEN}


def _now() -> str:
    return str(int(dt.datetime.now(dt.UTC).timestamp() * 1000))


def wait(job: Job, milliseconds: int) -> bool:
    """Wait for a job as a long poll does."""
    return job.done.wait(min(milliseconds, 200_000) / 1000)
