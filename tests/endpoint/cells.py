"""Types and values: REST fields, Arrow, DuckDB, and the strings that BigQuery's JSON is made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from recsys.warehouse.engine import DUCKDB_TYPES
from recsys.warehouse.frames import ARROW_TYPES
from tests.endpoint.errors import invalid

LEGACY = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
STANDARD = {old: new for new, old in LEGACY.items()}
UTC = dt.UTC
EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
Field = Mapping[str, Any]


def sql_type(field: Field) -> str:
    """GoogleSQL type of a REST field, which may carry the legacy name."""
    kind = STANDARD.get(str(field["type"]).upper(), str(field["type"]).upper())
    if kind not in ARROW_TYPES or field.get("mode") == "REPEATED":
        raise invalid(
            f"Field {field['name']}: type {field['type']} {field.get('mode', '')} is not served here"
        )
    return kind


def field(name: str, kind: str, mode: str = "NULLABLE") -> dict[str, Any]:
    """A REST field, with the names of types that the service answers with."""
    return {"name": name, "type": LEGACY.get(kind, kind), "mode": mode}


def normal_field(given: Field) -> dict[str, Any]:
    """A REST field as the service keeps it."""
    kept = {key: value for key, value in given.items() if key not in ("type", "mode")}
    return {
        **kept,
        **field(str(given["name"]), sql_type(given), str(given.get("mode") or "NULLABLE").upper()),
    }


def arrow_schema(fields: Sequence[Field]) -> pa.Schema:
    """Arrow schema of REST fields."""
    return pa.schema([(one["name"], ARROW_TYPES[sql_type(one)]) for one in fields])


def duckdb_columns(fields: Sequence[Field]) -> str:
    """Columns cast to the types of REST fields, for a SELECT."""
    return ", ".join(f'CAST("{f["name"]}" AS {DUCKDB_TYPES[sql_type(f)]}) AS "{f["name"]}"' for f in fields)


def type_of_arrow(type_: pa.DataType) -> str:
    """GoogleSQL type of a normalised Arrow column."""
    for name, arrow in ARROW_TYPES.items():
        if arrow == type_:
            return name
    if pa.types.is_null(type_):
        return "INT64"  # as BigQuery types a bare NULL
    raise invalid(f"results of type {type_} are not served here", "invalidQuery")


def cell(value: Any, kind: str, int64_timestamp: bool) -> dict[str, Any]:
    """One value as JSON has it."""
    return {"v": None if value is None else _text(value, kind, int64_timestamp)}


def _text(value: Any, kind: str, int64_timestamp: bool) -> str:
    if kind == "BOOL":
        return "true" if value else "false"
    if kind == "FLOAT64":
        return repr(float(value)).replace("inf", "Infinity").replace("nan", "NaN")
    if kind == "NUMERIC":
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if kind == "TIMESTAMP":
        micros = (value - EPOCH) // dt.timedelta(microseconds=1)
        return str(micros) if int64_timestamp else repr(micros / 1e6)
    return value.isoformat() if kind == "DATE" else str(value)


def parameters(given: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, Any]]:
    """GoogleSQL types and values of named query parameters."""
    types, values = {}, {}
    for one in given:
        if not one.get("name"):
            raise invalid("Query parameters have to be named", "invalidQuery")
        kind, content = one["parameterType"], one.get("parameterValue", {})
        if kind["type"] == "ARRAY":
            element = kind["arrayType"]["type"]
            types[one["name"]] = f"ARRAY<{element}>"
            values[one["name"]] = [_value(v.get("value"), element) for v in content.get("arrayValues", [])]
        else:
            types[one["name"]] = kind["type"]
            values[one["name"]] = _value(content.get("value"), kind["type"])
    return types, values


def _value(text: str | None, kind: str) -> Any:
    if text is None:
        return None
    try:
        if kind == "BOOL":
            return {"true": True, "false": False}[text.lower()]
        if kind == "TIMESTAMP":
            moment = dt.datetime.fromisoformat(text.replace(" UTC", "+00:00").replace("Z", "+00:00"))
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        makers = {
            "INT64": int,
            "FLOAT64": float,
            "NUMERIC": Decimal,
            "DATE": dt.date.fromisoformat,
            "STRING": str,
        }
        return makers[kind](text)
    except (KeyError, ValueError, ArithmeticError) as error:
        raise invalid(f"Invalid value for parameter of type {kind}: {text!r}", "invalidQuery") from error
