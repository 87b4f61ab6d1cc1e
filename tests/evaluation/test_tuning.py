"""A search takes what it found only where that is proven: a gain is planted at so many errors of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from recsys.evaluation.tuning import PROOF, Task, Value, search

USERS = 400


def planted(errors: float) -> Task:
    """Values that are better by just so many standard errors of the difference over users."""
    rng = np.random.default_rng(5)
    base, noise = rng.random(USERS), rng.normal(size=USERS)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    gap = 0.01 * (noise + errors / np.sqrt(USERS))

    def score(values: Mapping[str, Value], _: int) -> pd.Series:
        return pd.Series(base + gap if values["better"] else base)

    return Task("planted", {"better": (False, True)}, {"better": False}, score, 1)


@pytest.mark.parametrize(("errors", "taken"), [(2.0, False), (PROOF - 0.1, False), (PROOF + 0.1, True)])
def test_a_gain_is_taken_where_it_is_proven(errors: float, taken: bool) -> None:
    found = search(
        planted(errors), label="x", study_name="x", storage=None, seed=1, seconds=60, most_trials=8
    )
    assert found.value - found.default == pytest.approx(errors * found.error)
    assert found.values == ({"better": True} if taken else {})
