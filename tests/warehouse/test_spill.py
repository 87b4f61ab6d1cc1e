"""Work that outgrows the memory goes to the warehouse's disk."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from recsys.warehouse import engine

BIG_SORT = """
COPY (SELECT hash(range) AS hash, range::VARCHAR || repeat('x', 60) AS text FROM range(1500000) ORDER BY hash)
TO '{}' (FORMAT parquet)
"""


def test_a_sort_larger_than_memory_spills_below_the_warehouse(tmp_path: Path) -> None:
    connection = engine.connect(tmp_path, "100MB")
    connection.execute(BIG_SORT.format(tmp_path / "sorted.parquet"))
    assert pq.read_metadata(tmp_path / "sorted.parquet").num_rows == 1_500_000
    assert engine.spill_dir(tmp_path).is_dir()


def test_a_warehouse_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    engine.connect(tmp_path / "none", "40MB").execute("SELECT 1")
    assert not (tmp_path / "none").exists()
