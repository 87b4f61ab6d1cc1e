"""Change a contract for the length of one test."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache

import pytest

import recsys.warehouse.dialect.translate  # noqa: F401  (the package has a function of the same name)
from recsys import schema


def change_contract(monkeypatch: pytest.MonkeyPatch, name: str, **changes: object) -> schema.Table:
    """Change the contract of ``name``; what the dialect layer remembers of contracts is put aside meanwhile."""
    table = replace(schema.table(name), **changes)  # type: ignore[arg-type]
    monkeypatch.setitem(schema.TABLES, name, table)
    dialect = sys.modules["recsys.warehouse.dialect.translate"]
    for remembered in ("_contracts", "_translate"):
        function = getattr(dialect, remembered).__wrapped__
        monkeypatch.setattr(dialect, remembered, lru_cache(maxsize=16)(function))
    return table
