"""The towers as plain arrays, without what trains them."""

from __future__ import annotations

import numpy as np

from recsys.keywords.towers import BLOCK, first_arrays, tower, tower_by_blocks


def test_the_vector_of_an_item_does_not_depend_on_those_beside_it() -> None:
    rng = np.random.default_rng(3)
    learned = first_arrays(rng, 8, 64, 128, (5, 4, 22))
    text = rng.normal(size=(BLOCK + 85, 64)).astype(np.float32)
    facts = rng.integers(0, 4, (len(text), 3))
    together = tower_by_blocks(learned, "item", text, facts)
    for size in (1, 7, 100):
        starts = range(0, len(text), size)
        parts = [
            tower_by_blocks(learned, "item", text[at : at + size], facts[at : at + size]) for at in starts
        ]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    np.testing.assert_allclose(together, tower(learned, "item", text, facts), atol=1e-6)
    assert tower_by_blocks(learned, "item", text[:0], facts[:0]).shape == (0, 64)
