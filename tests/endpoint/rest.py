"""The methods of the REST API that the client, the provider and the project use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.endpoint.cells import cell, field, sql_type
from tests.endpoint.engine import Engine
from tests.endpoint.errors import ApiError, invalid
from tests.endpoint.jobs import Job, Jobs, wait
from tests.endpoint.store import SETTABLE, Store, Table, check_partitioning, day_of, normalised, split

PAGE = 10_000
IF_MATCH = "If-Match"
"""The header of that name, handed on among the query parameters."""
Query = Mapping[str, str]
Body = dict[str, Any]


class Rest:
    """One method per REST method, ``tables.get`` as ``tables_get``; each takes ids, query and body."""

    def __init__(self, store: Store, engine: Engine, jobs: Jobs) -> None:
        self.store, self.engine, self.jobs = store, engine, jobs

    def call(self, method: str, ids: tuple[str, ...], query: Query, body: Body, upload: Path | None) -> Body:
        if method == "jobs.insert":
            return self.jobs.insert(*ids, body, upload).resource()
        served: Callable[..., Body] | None = getattr(self, method.replace(".", "_"), None)
        if served is None:
            raise ApiError(501, "notImplemented", f"{method} is not served here")
        return served(*ids, query=query, body=body)

    def datasets_insert(self, project: str, query: Query, body: Body) -> Body:
        name = body["datasetReference"]["datasetId"]
        if not name.replace("_", "").isalnum():
            raise invalid(f'Invalid dataset ID "{name}"')
        with self.store.lock:
            if (project, name) in self.store.datasets:
                raise ApiError(409, "duplicate", f"Already Exists: Dataset {project}:{name}")
            self.store.datasets[project, name] = {"location": self.store.location, **body}
        return self.datasets_get(project, name, query, body)

    def datasets_get(self, project: str, name: str, query: Query, body: Body) -> Body:
        found = self.store.dataset(project, name)
        reference = {"projectId": project, "datasetId": name}
        return {**found, "kind": "bigquery#dataset", "id": f"{project}:{name}", "datasetReference": reference}

    def datasets_patch(self, project: str, name: str, query: Query, body: Body) -> Body:
        self.store.dataset(project, name).update(body)
        return self.datasets_get(project, name, query, body)

    def datasets_list(self, project: str, query: Query, body: Body) -> Body:
        names = sorted(name for owner, name in self.store.datasets if owner == project)
        return {"datasets": [self.datasets_get(project, name, {}, {}) for name in names]}

    def datasets_delete(self, project: str, name: str, query: Query, body: Body) -> Body:
        tables = self.store.of_dataset(project, name)
        if tables and query.get("deleteContents") != "true":
            raise invalid(f"Dataset {project}:{name} is still in use", "resourceInUse")
        with self.store.lock:
            for table in tables:
                del self.store.tables[project, name, table.name]
            del self.store.datasets[project, name]
        return {}

    def tables_insert(self, project: str, dataset: str, query: Query, body: Body) -> Body:
        name = body["tableReference"]["tableId"]
        given = dict(body)
        if body.get("view"):
            given["schema"] = {"fields": self._view_fields(project, dataset, body)}
        self.store.create(project, dataset, name, given)
        return self.tables_get(project, dataset, name, query, body)

    def _view_fields(self, project: str, dataset: str, body: Body) -> list[Body]:
        view = body["view"]
        if view.get("useLegacySql", True):
            raise invalid("Legacy SQL is not served here: useLegacySql has to be false", "invalidQuery")
        plan = self.engine.plan(view["query"], project, enforce=False)
        return [field(one["name"], sql_type(one)) for one in plan.fields]

    def tables_get(self, project: str, dataset: str, name: str, query: Query, body: Body) -> Body:
        name, part = split(name)
        table = self.store.table(project, dataset, name)
        if part is not None and part not in table.pieces:
            raise ApiError(404, "notFound", f"Not found: Table {table.full}${part}")
        paths = table.files() if part is None else table.pieces[part]
        rows = sum(pq.read_metadata(path).num_rows for path in paths)
        columns = {f["name"] for f in table.fields}
        days = set(table.days()) if part is None else {day_of(part)}
        return {
            **table.resource,
            "kind": "bigquery#table",
            "id": f"{project}:{dataset}.{name}",
            "etag": table.etag,
            "tableReference": table.reference(),
            "type": "VIEW" if table.query else "TABLE",
            "location": self.store.location,
            "creationTime": str(int(table.created.timestamp() * 1000)),
            **({} if table.query else {"numRows": str(rows), "numBytes": str(table.size(columns, days))}),
        }

    def tables_list(self, project: str, dataset: str, query: Query, body: Body) -> Body:
        found = [
            self.tables_get(project, dataset, t.name, {}, {}) for t in self.store.of_dataset(project, dataset)
        ]
        return {**_page(found, query, "tables"), "totalItems": len(found)}

    def tables_patch(self, project: str, dataset: str, name: str, query: Query, body: Body) -> Body:
        """Change a table: columns may be added (NULLABLE, at the end) and relaxed, never dropped or retyped."""
        table = self.store.table(project, dataset, name)
        with table.lock:
            if query.get(IF_MATCH, table.etag) not in (table.etag, "*"):
                raise ApiError(412, "conditionNotMet", "Precondition Failed")
            table.version += 1
        changed = {key: body[key] for key in SETTABLE if key in body}
        if changed.get("view"):
            changed["schema"] = {"fields": self._view_fields(project, dataset, changed)}
        merged = normalised({**table.resource, **changed})
        if "schema" in changed and table.query is None:
            _check_evolution(table, merged["schema"]["fields"])
        if merged.get("timePartitioning") != table.resource.get("timePartitioning"):
            raise invalid(f"Cannot convert the partitioning of {table.full}")
        with table.lock:
            table.evolved |= len(merged.get("schema", {}).get("fields", [])) > len(table.fields)
            table.resource = merged
        check_partitioning(table)
        return self.tables_get(project, dataset, name, query, body)

    tables_update = tables_patch

    def tables_delete(self, project: str, dataset: str, name: str, query: Query, body: Body) -> Body:
        name, part = split(name)
        table = self.store.table(project, dataset, name)
        with self.store.lock, table.lock:
            if part is None:
                del self.store.tables[project, dataset, name]
            elif part not in table.pieces:
                raise ApiError(404, "notFound", f"Not found: Table {table.full}${part}")
            else:
                table.pieces = {known: paths for known, paths in table.pieces.items() if known != part}
        return {}

    def tabledata_list(self, project: str, dataset: str, name: str, query: Query, body: Body) -> Body:
        name, part = split(name)
        table = self.store.table(project, dataset, name)
        if table.query:
            raise invalid("Cannot list a table of type VIEW.")
        paths = table.files() if part is None else list(table.pieces.get(part, ()))
        wanted = query["selectedFields"].split(",") if query.get("selectedFields") else None
        fields = [f for f in table.fields if wanted is None or f["name"] in wanted]
        return rows_page(paths, fields, query)

    def jobs_get(self, project: str, id_: str, query: Query, body: Body) -> Body:
        return self.jobs.get(project, id_, query.get("location")).resource()

    def jobs_list(self, project: str, query: Query, body: Body) -> Body:
        found = [job for (owner, _), job in self.jobs.jobs.items() if owner == project]
        wanted = query.get("stateFilter", "").upper()
        listed = [{**j.resource(), "state": j.state} for j in reversed(found) if wanted in ("", j.state)]
        return _page(listed, query, "jobs")

    def jobs_cancel(self, project: str, id_: str, query: Query, body: Body) -> Body:
        job = self.jobs.get(project, id_, query.get("location"))
        self.jobs.cancel(job)
        return {"kind": "bigquery#jobCancelResponse", "job": job.resource()}

    def jobs_query(self, project: str, query: Query, body: Body) -> Body:
        job = self.jobs.query(project, body)
        paging = {"maxResults": str(body["maxResults"])} if "maxResults" in body else {}
        if (body.get("formatOptions") or {}).get("useInt64Timestamp"):
            paging["formatOptions.useInt64Timestamp"] = "true"
        return self._results(job, {**paging, "timeoutMs": str(body.get("timeoutMs", 10_000))})

    def jobs_getQueryResults(self, project: str, id_: str, query: Query, body: Body) -> Body:  # noqa: N802
        return self._results(self.jobs.get(project, id_, query.get("location")), query)

    def _results(self, job: Job, query: Query) -> Body:
        if job.kind != "query":
            raise invalid("Cannot get the rows of a job that is no query")
        reference = {"projectId": job.project, "jobId": job.id, "location": job.location}
        answer: Body = {"kind": "bigquery#queryResponse", "jobReference": reference}
        if not wait(job, int(query.get("timeoutMs", 10_000))):
            return {**answer, "jobComplete": False}
        if job.error:
            raise ApiError.of_job(job.error)
        statistics = job.statistics["query"]
        answer |= {"jobComplete": True, "cacheHit": False, "schema": statistics["schema"]}
        answer["totalBytesProcessed"] = statistics["totalBytesProcessed"]
        if "numDmlAffectedRows" in statistics:
            return {**answer, "numDmlAffectedRows": statistics["numDmlAffectedRows"], "totalRows": "0"}
        if job.configuration.get("dryRun"):
            return {**answer, "totalRows": "0"}
        page = rows_page(self._files(job), statistics["schema"]["fields"], query)
        return {**answer, **page}

    def _files(self, job: Job) -> list[Path]:
        if job.rows is not None:
            return job.rows.files()
        reference = job.configuration["query"]["destinationTable"]
        name, part = split(reference["tableId"])
        table = self.store.table(reference["projectId"], reference["datasetId"], name)
        return table.files() if part is None else list(table.pieces.get(part, ()))


def rows_page(paths: list[Path], fields: list[Body], query: Query) -> Body:
    """One page of the rows of files, as JSON; ``pageToken`` is where the next one begins."""
    total = sum(pq.read_metadata(path).num_rows for path in paths)
    start = int(query.get("pageToken") or query.get("startIndex") or 0)
    most = min(int(query.get("maxResults", PAGE)), PAGE)
    exact = query.get("formatOptions.useInt64Timestamp", "").lower() == "true"
    rows: list[Body] = []
    passed = 0
    for path in paths:
        size = pq.read_metadata(path).num_rows
        first, wanted = max(0, start - passed), most - len(rows)
        if first < size and wanted > 0:
            arrow = pq.ParquetFile(path).read().slice(first, wanted)
            rows += _rows(arrow, fields, exact)
        passed += size
    more = {"pageToken": str(start + len(rows))} if start + len(rows) < total else {}
    return {"totalRows": str(total), **({"rows": rows} if rows else {}), **more}


def _rows(arrow: Any, fields: list[Body], exact: bool) -> list[Body]:
    columns = []
    for one in fields:
        held = one["name"] in arrow.column_names
        values = arrow.column(one["name"]).to_pylist() if held else [None] * arrow.num_rows
        kind = sql_type(one)
        columns.append([cell(value, kind, exact) for value in values])
    return [{"f": list(cells)} for cells in zip(*columns, strict=True)]


def _page(found: list[Body], query: Query, name: str) -> Body:
    start, most = int(query.get("pageToken") or 0), int(query.get("maxResults", PAGE))
    more = {"nextPageToken": str(start + most)} if start + most < len(found) else {}
    return {name: found[start : start + most], **more}


def _check_evolution(table: Table, fields: list[Body]) -> None:
    known, given = table.fields, {one["name"]: one for one in fields}
    for old in known:
        new = given.get(old["name"])
        if new is None or sql_type(new) != sql_type(old):
            raise invalid(
                f"Provided Schema does not match Table {table.full}. Field {old['name']} is missing or retyped"
            )
        if new.get("mode") == "REQUIRED" and old.get("mode") != "REQUIRED":
            raise invalid(f"Field {old['name']} has changed mode from NULLABLE to REQUIRED")
    if [one["name"] for one in fields[: len(known)]] != [one["name"] for one in known]:
        raise invalid(f"The columns of {table.full} cannot be put into another order")
    if any(one.get("mode") == "REQUIRED" for one in fields[len(known) :]):
        raise invalid("Cannot add required fields to an existing schema.")
