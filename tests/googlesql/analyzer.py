"""Google's own analyzer and reference engine for GoogleSQL, over a catalog made from the table contracts.

The engine is the C++ of ZetaSQL in WebAssembly; it takes some 20 seconds and 1 GB to start, so there is one per test
session::

    analyzer().columns("SELECT user_id FROM staging.users WHERE ds = @ds", {"ds": "DATE"})    # [("user_id", "STRING")]
    analyzer().rows("SELECT @n + 1 AS n", {"n": 1})                                            # [{"n": 2}]

It accepts more than BigQuery does: what it refuses BigQuery refuses, what it accepts may still fail there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from zetasql.core import ServerError, ZetaSqlLocalService
from zetasql.types import LanguageOptions, TypeKind
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages
from zetasql.wasi._pb2.zetasql.proto import options_pb2, simple_catalog_pb2
from zetasql.wasi._pb2.zetasql.public import options_pb2 as public_options
from zetasql.wasi._pb2.zetasql.public import type_pb2

from recsys import schema
from recsys.warehouse.dialect import parameter_type
from tests.googlesql.values import decode, encode

Row = dict[str, Any]
Tables = Mapping[tuple[str, ...], Mapping[str, str]]

KINDS = {
    "STRING": TypeKind.TYPE_STRING,
    "INT64": TypeKind.TYPE_INT64,
    "FLOAT64": TypeKind.TYPE_DOUBLE,
    "NUMERIC": TypeKind.TYPE_NUMERIC,
    "BOOL": TypeKind.TYPE_BOOL,
    "DATE": TypeKind.TYPE_DATE,
    "TIMESTAMP": TypeKind.TYPE_TIMESTAMP,
}
NAMES = {int(kind): name for name, kind in KINDS.items()}
_PLACE = re.compile(r"^(?P<message>.*?)\s*\[at (?P<line>\d+):(?P<column>\d+)\]\s*$", re.DOTALL)


@dataclass(frozen=True)
class GoogleSqlError(Exception):
    """What the analyzer or the engine says of a text; ``line`` counts from 1 in it, or is None where it says none."""

    message: str
    line: int | None

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message

    def at(self, path: object) -> str:
        """``file:line: message``, as an editor can follow it."""
        return f"{path}:{self.line or 1}: {self.message}"


class Analyzer:
    """GoogleSQL over the tables of the contracts. ``staging.users`` and `` `staging.users` `` both name a table.

    ``tables`` of the methods are further ones: path, like ("project", "dataset", "name") -> column -> type.
    """

    def __init__(self) -> None:
        self._call = ZetaSqlLocalService.get_instance().wasm_client.call_grpc_func
        language = LanguageOptions.maximum_features()
        language.product_mode = public_options.PRODUCT_EXTERNAL
        self._language: options_pb2.LanguageOptionsProto = language.to_proto()
        request = messages.RegisterCatalogRequest(simple_catalog=self._catalog({}))
        self._registered = self._ask("RegisterCatalog", request, messages.RegisterResponse).registered_id

    def columns(
        self, sql: str, params: Mapping[str, str] | None = None, tables: Tables | None = None
    ) -> list[tuple[str, str]]:
        """Analyse one SELECT; return names and types of its columns. ``params`` maps parameters to their types.

        Raises:
            GoogleSqlError: the text means nothing, with the line.
        """
        request = messages.AnalyzeRequest(sql_statement=sql, options=self._options(params or {}))
        self._look_in(request, tables)
        statement = self._ask("Analyze", request, messages.AnalyzeResponse).resolved_statement
        query = statement.resolved_query_stmt_node
        return [(column.name, type_name(column.column.type)) for column in query.output_column_list]

    def statement(
        self, sql: str, params: Mapping[str, str] | None = None, tables: Tables | None = None
    ) -> str:
        """Analyse any one statement (INSERT, DELETE, ...); return its kind, like ``resolved_insert_stmt_node``.

        Raises:
            GoogleSqlError: the text means nothing, with the line.
        """
        request = messages.AnalyzeRequest(sql_statement=sql, options=self._options(params or {}))
        self._look_in(request, tables)
        statement = self._ask("Analyze", request, messages.AnalyzeResponse).resolved_statement
        return str(statement.WhichOneof("node"))

    def rows(
        self,
        sql: str,
        params: Mapping[str, object] | None = None,
        content: Mapping[str, Sequence[Row]] | None = None,
        types: Mapping[str, str] | None = None,
    ) -> list[Row]:
        """Run one SELECT on the reference engine over ``content`` (table -> whole rows), in the engine's order.

        Values come as DuckDB's Arrow gives them: NUMERIC as Decimal, TIMESTAMP in UTC. A table that has no content is
        empty. ``types`` says the types of parameters that are None.

        Raises:
            GoogleSqlError: the text means nothing, or failed when run.
        """
        given = dict(params or {})
        kinds = {
            name: (types or {}).get(name) or parameter_type(name, value) for name, value in given.items()
        }
        prepare = messages.PrepareQueryRequest(sql=_quoted(sql), options=self._options(kinds))
        read = {found[1] for found in _TABLES.finditer(sql)}
        if read:  # content goes with a catalog of the request
            prepare.simple_catalog.CopyFrom(self._catalog({}))
        else:
            self._look_in(prepare, None)
        for name in sorted(read):
            contract = schema.TABLES[name]
            filled = prepare.table_content[name].table_data
            filled.SetInParent()
            for row in (content or {}).get(name, ()):
                filled.row.add(cell=[encode(row[column.name], column.type) for column in contract.columns])
        prepared = self._ask("PrepareQuery", prepare, messages.PrepareQueryResponse).prepared
        request = messages.EvaluateQueryRequest(prepared_query_id=prepared.prepared_query_id)
        for name in prepared.referenced_parameters:
            value = next(given[key] for key in given if key.lower() == name.lower())
            request.params.add(name=name, value=encode(value, kinds[name]))
        try:
            found = self._ask("EvaluateQuery", request, messages.EvaluateQueryResponse)
        finally:
            self._ask(
                "UnprepareQuery", messages.UnprepareQueryRequest(prepared_query_id=prepared.prepared_query_id)
            )
        columns = [(column.name, column.type) for column in prepared.columns]
        return [
            {name: decode(cell, kind) for (name, kind), cell in zip(columns, row.cell, strict=True)}
            for row in found.content.table_data.row
        ]

    def _ask(self, method: str, request: Any, response: Any = None) -> Any:
        ask = partial(self._call, f"ZetaSqlLocalService_{method}", request)
        try:
            return ask(response) if response else ask()
        except ServerError as error:
            # The wrapper's own pattern ends at the first line break; the raw text has the whole message.
            text = re.sub(r"^Code: \d+, Message: ", "", error.raw_error)
            place = _PLACE.match(text)
            raise GoogleSqlError(
                *((place["message"], int(place["line"])) if place else (text, None))
            ) from None

    def _options(self, params: Mapping[str, str]) -> options_pb2.AnalyzerOptionsProto:
        options = options_pb2.AnalyzerOptionsProto(
            language_options=self._language,
            default_timezone="UTC",
            error_message_mode=public_options.ERROR_MESSAGE_ONE_LINE,
        )
        for name, kind in params.items():
            options.query_parameters.add(name=name, type=type_of(kind))
        return options

    def _look_in(self, request: Any, tables: Tables | None) -> None:
        """Give a request its catalog: the registered one, which is built once, or with ``tables`` one of its own."""
        if tables:
            request.simple_catalog.CopyFrom(self._catalog(tables))
        else:
            request.registered_catalog_id = self._registered

    def _catalog(self, tables: Tables) -> simple_catalog_pb2.SimpleCatalogProto:
        catalog = simple_catalog_pb2.SimpleCatalogProto()
        catalog.CopyFrom(_contracts(self._language.SerializeToString()))
        for path, columns in tables.items():
            place = catalog
            for name in path[:-1]:
                known = [inner for inner in place.catalog if inner.name == name]
                place = known[0] if known else place.catalog.add(name=name)
            _add_table(place, path[-1], columns)
        return catalog


@cache
def _contracts(language: bytes) -> simple_catalog_pb2.SimpleCatalogProto:
    """The catalog of all contracts: in a catalog per dataset, and whole by their dotted name."""
    catalog = simple_catalog_pb2.SimpleCatalogProto(name="recsys")
    catalog.builtin_function_options.language_options.ParseFromString(language)
    datasets: dict[str, Any] = {}
    for contract in schema.TABLES.values():
        dataset, _, name = contract.name.partition(".")
        if dataset not in datasets:
            datasets[dataset] = catalog.catalog.add(name=dataset)
        columns = {column.name: column.type for column in contract.columns}
        _add_table(catalog, contract.name, columns)
        _add_table(datasets[dataset], name, columns)
    return catalog


def _add_table(catalog: Any, name: str, columns: Mapping[str, str]) -> None:
    table = catalog.table.add(name=name)
    for column, kind in columns.items():
        table.column.add(name=column, type=type_of(kind))


def type_of(name: str) -> type_pb2.TypeProto:
    """The engine's type for a GoogleSQL name: INT64, ..., ARRAY<STRING>."""
    found = type_pb2.TypeProto()
    if name.startswith("ARRAY<"):
        found.type_kind = type_pb2.TYPE_ARRAY
        found.array_type.element_type.CopyFrom(type_of(name[len("ARRAY<") : -1]))
    else:
        found.type_kind = int(KINDS[name])
    return found


def type_name(type_: type_pb2.TypeProto) -> str:
    """GoogleSQL's name of an engine's type."""
    if type_.type_kind == type_pb2.TYPE_ARRAY:
        return f"ARRAY<{type_name(type_.array_type.element_type)}>"
    return NAMES.get(type_.type_kind) or type_pb2.TypeKind.Name(type_.type_kind)


_TABLES = re.compile(rf"(?<![\w.`])({'|'.join(re.escape(name) for name in schema.TABLES)})(?![\w.`])")


def _quoted(sql: str) -> str:
    """Table names as one identifier each: content is found by that name. Lines stay where they are."""
    return _TABLES.sub(r"`\1`", sql)


@cache
def analyzer() -> Analyzer:
    """The one engine of this test session."""
    return Analyzer()
