"""Frames at the door: any frame -> Arrow of the contract's types, Arrow -> pandas of documented types."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys import schema
from recsys.errors import ContractError

NUMERIC = pa.decimal128(38, 9)
TIMESTAMP = pa.timestamp("us", tz="UTC")
ARROW_TYPES: dict[str, pa.DataType] = {
    "STRING": pa.string(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "NUMERIC": NUMERIC,
    "BOOL": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": TIMESTAMP,
}


def arrow_schema(table: schema.Table) -> pa.Schema:
    """Arrow schema of a contract: TIMESTAMP in microseconds UTC, NUMERIC as decimal128(38, 9)."""
    return pa.schema([(column.name, ARROW_TYPES[column.type]) for column in table.columns])


def to_contract(table: schema.Table, frame: pd.DataFrame | pa.Table, ds: date | None) -> pa.Table:
    """Bring ``frame`` to the columns, order and types of the contract.

    Converted: whole numbers to INT64 (floats too, when every one is whole), numbers to FLOAT64, numbers to NUMERIC
    rounded to 9 decimal places, dates and midnights to DATE, zoned times to TIMESTAMP in UTC, NaN to NULL. Refused is
    anything else, such as infinite values, and text in the place of numbers or times. The partition column is filled
    in with ``ds`` when missing.

    Raises:
        ContractError: names the table, the column, what was found and what was expected.
    """
    arrow = frame if isinstance(frame, pa.Table) else _from_pandas(table, frame)
    if table.partition and ds and table.partition not in arrow.column_names:
        arrow = arrow.append_column(table.partition, pa.array([ds] * arrow.num_rows, pa.date32()))
    _check_names(table, arrow.column_names)
    columns = [_convert(table, column, arrow.column(column.name)) for column in table.columns]
    result = pa.table(columns, schema=arrow_schema(table))
    check_partition(table, result, ds)
    return result


def check_partition(table: schema.Table, arrow: pa.Table, ds: date | None) -> None:
    """Refuse rows whose partition column is not ``ds``."""
    if table.partition and ds and arrow.num_rows:
        foreign = int(
            np.count_nonzero(
                pc.not_equal(arrow.column(table.partition), pa.scalar(ds, pa.date32())).to_numpy()
            )
        )
        if foreign:
            raise ContractError(
                f"{table.name}: {foreign} of {arrow.num_rows} rows have another {table.partition} than the "
                f"partition {ds} they were written to; write each day on its own."
            )


def to_pandas(table: schema.Table | None, arrow: pa.Table) -> pd.DataFrame:
    """Convert to the pandas types that ``Warehouse`` documents; without a contract INT64 goes by its NULLs."""
    nullable = {c.name for c in table.columns if not c.required} if table else set()
    columns = {}
    for field in arrow.schema:
        column = arrow.column(field.name)
        columns[field.name] = _series(column, field.type, field.name in nullable or column.null_count > 0)
    return pd.DataFrame(columns, copy=False)


def _series(column: pa.ChunkedArray, type_: pa.DataType, nullable: bool) -> pd.Series:
    if pa.types.is_decimal(type_) or (pa.types.is_integer(type_) and nullable):
        return column.cast(pa.float64(), safe=False).to_pandas()
    if pa.types.is_boolean(type_) and nullable:
        return column.to_pandas(types_mapper=lambda _: pd.BooleanDtype())
    if pa.types.is_date(type_):
        return column.cast(pa.timestamp("s")).to_pandas()
    if pa.types.is_string(type_):
        return column.to_pandas(types_mapper=lambda _: pd.StringDtype(na_value=float("nan")))
    return column.to_pandas()


def _from_pandas(table: schema.Table, frame: pd.DataFrame) -> pa.Table:
    _check_unique_names(table, list(frame.columns))
    arrays = {}
    for name in frame.columns:
        try:
            arrays[str(name)] = pa.Array.from_pandas(frame[name])
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise ContractError(
                f"{table.name}.{name}: values of mixed or unknown types ({error})."
            ) from error
    return pa.table(arrays)


def _check_unique_names(table: schema.Table, names: list[object]) -> None:
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ContractError(f"{table.name}: columns given twice: {', '.join(twice)}.")


def _check_names(table: schema.Table, names: list[str]) -> None:
    _check_unique_names(table, list(names))
    missing = [name for name in table.column_names if name not in names]
    extra = [name for name in names if name not in table.column_names]
    if missing or extra:
        parts = [f"missing {', '.join(missing)}"] if missing else []
        parts += [f"unknown {', '.join(extra)}"] if extra else []
        raise ContractError(
            f"{table.name}: columns {'; '.join(parts)}. Expected {', '.join(table.column_names)}."
        )


def _convert(table: schema.Table, column: schema.Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    where = f"{table.name}.{column.name}"
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    try:
        if pa.types.is_floating(values.type):
            values = _nan_to_null(values)
        if values.null_count == len(values):  # an empty column has whatever type pandas gave it
            values = pa.chunked_array([pa.nulls(len(values))])
        else:
            values = _CONVERTERS[column.type](values)
        result = values.cast(ARROW_TYPES[column.type])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ContractError(f"{where}: expected {column.type}, found {values.type}: {error}") from error
    if column.required and result.null_count:
        raise ContractError(
            f"{where}: {result.null_count} of {len(result)} values are NULL; it must not be NULL."
        )
    return result


def _string(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not (
        pa.types.is_string(values.type)
        or pa.types.is_large_string(values.type)
        or _is_string_view(values.type)
    ):
        raise ValueError("write text; convert ids with .astype(str)")
    return values


def _is_string_view(type_: pa.DataType) -> bool:
    return type_ == pa.string_view()


def _int(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(values.type):
        if pc.any(pc.not_equal(values, pc.floor(values))).as_py():
            raise ValueError("some values are no whole numbers")
    elif not pa.types.is_integer(values.type) and not pa.types.is_decimal(values.type):
        raise ValueError("write whole numbers")
    return values


def _float(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(values.type):
        return _finite(values)
    if pa.types.is_integer(values.type) or pa.types.is_decimal(values.type):
        return values.cast(pa.float64(), safe=False)
    raise ValueError("write numbers")


def _numeric(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(values.type):
        return _finite(values).cast(pa.float64()).cast(NUMERIC)
    if pa.types.is_integer(values.type):
        return values.cast(pa.int64()).cast(pa.decimal128(19, 0)).cast(NUMERIC)
    if pa.types.is_decimal(values.type):
        return (
            values if values.type.scale <= 9 else pc.round(values, 9, "half_towards_infinity").cast(NUMERIC)
        )
    raise ValueError("write numbers")


def _bool(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_boolean(values.type):
        raise ValueError("write True or False")
    return values


def _date(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_date32(values.type):
        return values
    if pa.types.is_date64(values.type) or (pa.types.is_timestamp(values.type) and values.type.tz is None):
        days = values.cast(pa.date32(), safe=False)
        if pc.any(pc.not_equal(days.cast(values.type), values)).as_py():
            raise ValueError("some times are no midnights")
        return days
    raise ValueError("write dates (datetime.date or midnights without a zone)")


def _timestamp(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_timestamp(values.type):
        raise ValueError("write times with a zone")
    if values.type.tz is None:
        raise ValueError("these times have no zone; add one with .dt.tz_localize('UTC')")
    return values.cast(TIMESTAMP, safe=False)


def _finite(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pc.any(pc.invert(pc.is_finite(values))).as_py():
        raise ValueError("some values are infinite")
    return values


def _nan_to_null(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


_CONVERTERS: dict[str, Callable[[pa.ChunkedArray], pa.ChunkedArray]] = {
    "STRING": _string,
    "INT64": _int,
    "FLOAT64": _float,
    "NUMERIC": _numeric,
    "BOOL": _bool,
    "DATE": _date,
    "TIMESTAMP": _timestamp,
}
