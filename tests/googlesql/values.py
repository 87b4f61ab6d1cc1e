"""Python values to and from the values of the GoogleSQL engine's messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from zetasql.wasi._pb2.zetasql.public import type_pb2, value_pb2

Value = value_pb2.ValueProto
_DAY_ONE = date(1970, 1, 1)
_MOMENT_ONE = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT = Decimal("1e-9")


def encode(value: Any, kind: str) -> Value:
    """A Python value as a value of GoogleSQL type ``kind``; None is NULL."""
    made = Value()
    if value is None:
        return made
    if kind.startswith("ARRAY<"):
        made.array_value.SetInParent()
        inner = kind[len("ARRAY<") : -1]
        made.array_value.element.extend(encode(element, inner) for element in value)
        return made
    _ENCODERS[kind](made, value)
    return made


def _numeric(made: Value, value: Decimal | int | float) -> None:
    units = int((Decimal(value) / _UNIT).to_integral_exact())
    made.numeric_value = units.to_bytes((units.bit_length() // 8) + 1, "little", signed=True)


def _timestamp(made: Value, value: datetime) -> None:
    micros = (value - _MOMENT_ONE) // timedelta(microseconds=1)
    made.timestamp_value.seconds = micros // 1_000_000
    made.timestamp_value.nanos = micros % 1_000_000 * 1000


_ENCODERS: dict[str, Callable[[Value, Any], None]] = {
    "STRING": lambda made, value: setattr(made, "string_value", value),
    "INT64": lambda made, value: setattr(made, "int64_value", value),
    "FLOAT64": lambda made, value: setattr(made, "double_value", float(value)),
    "NUMERIC": _numeric,
    "BOOL": lambda made, value: setattr(made, "bool_value", value),
    "DATE": lambda made, value: setattr(made, "date_value", (value - _DAY_ONE).days),
    "TIMESTAMP": _timestamp,
}


def decode(cell: Value, kind: type_pb2.TypeProto) -> Any:
    """The Python value of a cell whose type is ``kind``; NULL is None.

    Raises:
        NotImplementedError: a type that no table of the project has.
    """
    found = cell.WhichOneof("value")
    if found is None:
        return None
    if kind.type_kind == type_pb2.TYPE_ARRAY:
        inner = kind.array_type.element_type
        return [decode(element, inner) for element in cell.array_value.element]
    if found not in _DECODERS:
        raise NotImplementedError(found)
    return _DECODERS[found](getattr(cell, found))


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "string_value": str,
    "int64_value": int,
    "double_value": float,
    "bool_value": bool,
    "numeric_value": lambda raw: (int.from_bytes(raw, "little", signed=True) * _UNIT).quantize(_UNIT),
    "date_value": lambda days: _DAY_ONE + timedelta(days=days),
    "timestamp_value": lambda moment: (
        _MOMENT_ONE + timedelta(seconds=moment.seconds, microseconds=moment.nanos // 1000)
    ),
}
