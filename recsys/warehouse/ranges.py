"""Ranges of a column's values that hold about as many rows each, so that a large SELECT can be run over one at a time.

Files are sorted by their key, so a range is a few row groups of each; the engine skips the others by their statistics.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 8_000_000
"""Rows read for one range: few enough that what is grouped and sorted of them stays near the caches, and many enough
that the row groups at its ends, which are read twice, are few."""


@dataclass(frozen=True)
class Range:
    """Texts from ``low`` up to ``high``, which is not included; None is no limit."""

    low: str | None = None
    high: str | None = None


def cut(files: Iterable[tuple[Path, str]], rows: int, at: Sequence[str] = ()) -> list[Range]:
    """Cut the values of a text column into ranges of at most about ``rows`` rows, in order; one where they are fewer.

    Ranges hold about as many rows each, and their number is even, so that two cores are done at the same time. Where
    limits are given, and rows are more, it is cut ``at`` them instead. ``files`` are Parquet files and the name of the
    column in each. Row counts come from the statistics of their row groups; a file without them is not counted.

    Example:
        >>> cut([], 100)
        [Range(low=None, high=None)]
    """
    held = sorted(found for path, column in files for found in _groups(path, column))
    total = sum(count for _, count in held)
    if total < rows:
        return _between([])
    if at:
        return _between(at)
    each = total / (2 * math.ceil(total / (2 * rows)))
    limits: list[str] = []
    passed = 0
    for value, count in held[:-1]:
        passed += count
        if passed >= each * (len(limits) + 1) and (not limits or value > limits[-1]):
            limits.append(value)
    if limits and limits[-1] == held[-1][0]:
        limits.pop()
    return _between(limits)


def _between(limits: Sequence[str]) -> list[Range]:
    return [Range(low, high) for low, high in zip([None, *limits], [*limits, None], strict=True)]


def _groups(path: Path, column: str) -> list[tuple[str, int]]:
    """The largest value and the rows of each row group; none where the build will tell what is wrong."""
    try:
        metadata = pq.read_metadata(path)
        place = metadata.schema.names.index(column)
    except (OSError, ValueError, pa.ArrowException):
        return []
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        statistics = group.column(place).statistics
        if statistics is not None and statistics.has_min_max:
            found.append((str(statistics.max), group.num_rows))
    return found


def cores() -> int:
    """How many ranges to run side by side: the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of ``columns`` that is among ``names``: by which a table is cut, if it is."""
    return next((column for column in columns if column in names), None)
