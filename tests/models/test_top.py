from __future__ import annotations

import numpy as np
import pytest

from recsys.models.base import NOTHING, top


def _by_sorting(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    columns = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return columns, np.take_along_axis(scores, columns, axis=1)


@pytest.mark.parametrize("columns", [1, 7, 300, 5_000])
@pytest.mark.parametrize("k", [1, 25, 400])
@pytest.mark.parametrize("kind", ["dense", "ties", "sparse", "one score"])
def test_top_is_what_sorting_every_row_gives(columns: int, k: int, kind: str) -> None:
    rng = np.random.default_rng(7)
    scores = rng.random((40, columns), dtype=np.float32)
    if kind == "ties":
        scores = np.round(scores * 5)
    if kind == "sparse":
        scores[rng.random(scores.shape) > 0.01] = NOTHING
    if kind == "one score":
        scores[:] = 0
    expected, expected_values = _by_sorting(scores, k)
    found, values = top(scores, k)
    known = values > NOTHING
    assert np.array_equal(values, expected_values)
    assert np.array_equal(found[known], expected[known])


def test_top_of_no_rows_or_no_columns_is_empty() -> None:
    assert top(np.empty((0, 5), np.float32), 3)[0].shape == (0, 3)
    assert top(np.empty((4, 0), np.float32), 3)[0].shape == (4, 0)
