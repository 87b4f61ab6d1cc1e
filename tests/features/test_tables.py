"""Look-ups and sets as arrays."""

from __future__ import annotations

import numpy as np

from recsys.features.tables import Members, PairTable


def test_a_pair_table_finds_what_it_holds_and_zero_otherwise() -> None:
    table = PairTable.build(
        np.array([1, 0, -1]), np.array([2, 1, 0]), np.array([[5.0], [7.0], [9.0]]), width=3
    )
    values, found = table.find(np.array([0, 1, 1, 0]), np.array([1, 2, 0, -1]))
    assert values[:, 0].tolist() == [7.0, 5.0, 0.0, 0.0]
    assert found.tolist() == [True, True, False, False]


def test_a_pair_table_gives_the_pairs_of_a_range_of_rows() -> None:
    table = PairTable.build(
        np.array([2, 0, 1]), np.array([0, 2, 1]), np.array([[1.0], [2.0], [3.0]]), width=3
    )
    rows, columns, values = table.between(0, 2)
    assert rows.tolist() == [0, 1]
    assert columns.tolist() == [2, 1]
    assert values[:, 0].tolist() == [2.0, 3.0]


def test_an_empty_pair_table_finds_nothing() -> None:
    none = np.empty(0, int)
    values, found = PairTable.build(none, none, np.empty((0, 2)), 4).find(np.array([1]), np.array([2]))
    assert values.tolist() == [[0.0, 0.0]]
    assert not found.any()


def test_members_come_best_first_with_a_cap_per_owner() -> None:
    sets, owner = np.array([0, 0, 0, 1, 0]), np.array([7, 7, 7, 7, 8])
    quality = np.array([1.0, 3.0, 2.0, 9.0, 0.0])
    members = Members.build(sets, quality, n_sets=3, owner=owner, per_owner=2)
    place, found = members.expand(np.array([1, 0, 2, -1]), most=3)
    assert place.tolist() == [0, 1, 1, 1]
    assert found.tolist() == [3, 1, 2, 4]
