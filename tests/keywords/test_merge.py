from __future__ import annotations

import numpy as np

from recsys.keywords.merge import stars


def heads(edges: list[tuple[int, int]], weight: list[float]) -> list[int]:
    return stars(np.array(edges, dtype=np.int64).reshape(-1, 2).T, np.array(weight, float)).tolist()


def test_a_node_joins_the_heaviest_head_it_has_an_edge_to() -> None:
    assert heads([(0, 1), (0, 2)], [1, 5, 9]) == [2, 1, 2]


def test_a_chain_is_cut() -> None:
    assert heads([(0, 1), (1, 2)], [1, 5, 9]) == [0, 2, 2]
    assert heads([(0, 1), (1, 2), (0, 2)], [1, 5, 9]) == [2, 2, 2]
    assert heads([(0, 1), (1, 2), (2, 3)], [1, 2, 3, 4]) == [1, 1, 3, 3]


def test_a_circle_gathers_around_its_heaviest() -> None:
    assert heads([(0, 1), (1, 0)], [5, 1]) == [0, 0]
    assert heads([(0, 1), (1, 2), (2, 0)], [1, 2, 3])[2] == 2


def test_no_edges_no_joining() -> None:
    assert heads([], [1, 2]) == [0, 1]
    assert heads([], []) == []
