from __future__ import annotations

import doctest
from itertools import combinations

import numpy as np

from recsys.keywords import agreement as module
from recsys.keywords.agreement import agreement


def test_the_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_pairs_are_counted_as_by_hand() -> None:
    rng = np.random.default_rng(0)
    found, truth = rng.integers(0, 6, 60).tolist(), rng.integers(0, 5, 60).tolist()
    pairs = list(combinations(range(60), 2))
    together = {pair for pair in pairs if found[pair[0]] == found[pair[1]]}
    belong = {pair for pair in pairs if truth[pair[0]] == truth[pair[1]]}
    result = agreement(found, truth)
    assert (result.together, result.belong, result.right) == (
        len(together),
        len(belong),
        len(together & belong),
    )
    assert result.precision == len(together & belong) / len(together)


def test_what_was_refused_is_with_nothing() -> None:
    assert agreement([None, None, float("nan")], ["a", "a", "a"]).recall == 0
    assert agreement([None, None], ["a", "a"]).precision == 1
