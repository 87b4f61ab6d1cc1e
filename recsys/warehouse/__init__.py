"""The one door to the tables: BigQuery's dialect in, typed frames out, one atomic replace per partition.

Names load when first used, so that reading SQL headers (``recsys.warehouse.tables``) does not import pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from recsys.warehouse.tables import TableSpec, order

if TYPE_CHECKING:
    from recsys.warehouse.base import BuildResult, Warehouse, open_warehouse

__all__ = ["BuildResult", "TableSpec", "Warehouse", "open_warehouse", "order"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("recsys.warehouse.base"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
