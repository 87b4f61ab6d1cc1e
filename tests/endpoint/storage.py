"""The Storage Read API over gRPC: a session over one table, its rows as one stream of Arrow batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any
from uuid import uuid4

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

from tests.endpoint.engine import Engine
from tests.endpoint.errors import ApiError
from tests.endpoint.store import Store

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
BATCH = 20_000
CODES = {404: grpc.StatusCode.NOT_FOUND, 403: grpc.StatusCode.PERMISSION_DENIED}


class StorageServer:
    """A gRPC server on a free port; ``sessions`` are the requests it answered."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self.store, self.engine = store, engine
        self.sessions: list[types.CreateReadSessionRequest] = []
        self._streams: dict[str, pa.Table] = {}
        self._lock = threading.Lock()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8),
            options=[("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)],
        )
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def begin(self) -> None:
        self._server.start()

    def end(self) -> None:
        self._server.stop(None).wait()

    def _handlers(self) -> Any:
        create = grpc.unary_unary_rpc_method_handler(
            self._create,
            request_deserializer=types.CreateReadSessionRequest.deserialize,
            response_serializer=types.ReadSession.serialize,
        )
        read = grpc.unary_stream_rpc_method_handler(
            self._read,
            request_deserializer=types.ReadRowsRequest.deserialize,
            response_serializer=types.ReadRowsResponse.serialize,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"CreateReadSession": create, "ReadRows": read})

    def _create(
        self, request: types.CreateReadSessionRequest, context: grpc.ServicerContext
    ) -> types.ReadSession:
        self.sessions.append(request)
        wanted = request.read_session
        arrow = _or_abort(context, lambda: self._rows(wanted))
        name = f"{request.parent}/locations/{self.store.location}/sessions/{uuid4().hex}"
        stream = f"{name}/streams/0"
        with self._lock:
            self._streams[stream] = arrow
        return types.ReadSession(
            name=name,
            table=wanted.table,
            data_format=types.DataFormat.ARROW,
            arrow_schema=types.ArrowSchema(serialized_schema=arrow.schema.serialize().to_pybytes()),
            read_options=wanted.read_options,
            streams=[types.ReadStream(name=stream)] if arrow.num_rows else [],
            estimated_row_count=arrow.num_rows,
        )

    def _rows(self, wanted: types.ReadSession) -> pa.Table:
        if wanted.data_format != types.DataFormat.ARROW:
            raise ApiError(400, "invalid", "Only Arrow is served here")
        _, project, _, dataset, _, name = wanted.table.split("/")
        table = self.store.table(project, dataset, name)
        if table.query:
            raise ApiError(400, "invalid", f"{table.full} is a view; the Storage Read API reads tables only")
        options = wanted.read_options
        known = [f["name"] for f in table.fields]
        unknown = sorted(set(options.selected_fields) - set(known))
        if unknown:
            raise ApiError(400, "invalid", f"request failed: unknown fields {', '.join(unknown)}")
        chosen = [name for name in known if not options.selected_fields or name in options.selected_fields]
        where = f" WHERE {options.row_restriction}" if options.row_restriction else ""
        columns = ", ".join(f"`{column}`" for column in chosen)
        sql = f"SELECT {columns} FROM `{table.full}`{where}"
        plan = self.engine.plan(sql, project, enforce=table.divider is not None)
        return self.engine.fetch(plan)[0]

    def _read(
        self, request: types.ReadRowsRequest, context: grpc.ServicerContext
    ) -> Iterator[types.ReadRowsResponse]:
        arrow = self._streams.get(request.read_stream)
        if arrow is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no stream {request.read_stream}")
        for batch in arrow.slice(request.offset).combine_chunks().to_batches(max_chunksize=BATCH):
            yield types.ReadRowsResponse(
                row_count=batch.num_rows,
                arrow_record_batch=types.ArrowRecordBatch(
                    serialized_record_batch=batch.serialize().to_pybytes(), row_count=batch.num_rows
                ),
                arrow_schema=types.ArrowSchema(serialized_schema=arrow.schema.serialize().to_pybytes()),
            )


def _or_abort(context: grpc.ServicerContext, work: Callable[[], pa.Table]) -> pa.Table:
    try:
        return work()
    except ApiError as error:
        context.abort(CODES.get(error.status, grpc.StatusCode.INVALID_ARGUMENT), error.message)
