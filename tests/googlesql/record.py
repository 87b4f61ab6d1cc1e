"""What this test session held against GoogleSQL: counted here, printed at the end by ``tests/conftest.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SENT: list[Mapping[str, Any]] = []
"""Statements that endpoints were sent in this session: ``sql``, ``types`` of parameters, ``target`` of the result, like ``demo_staging.users``."""

_TOTAL: dict[str, set[str]] = {}
_DONE: dict[str, set[str]] = {}


def total(kind: str, names: Iterable[str]) -> None:
    """Say what there is of a kind, like ``SQL files analysed``."""
    _TOTAL.setdefault(kind, set()).update(names)


def done(kind: str, name: str) -> None:
    """Count one that passed."""
    _DONE.setdefault(kind, set()).add(name)


def lines() -> list[str]:
    """``22 of 22 SQL files analysed`` and so on; nothing where no such test ran."""
    return [f"{len(_DONE[kind])} of {len(names)} {kind}" for kind, names in _TOTAL.items() if kind in _DONE]
