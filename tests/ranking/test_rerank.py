"""Diversity and caps against a slow reading of the same words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recsys.errors import ModelError
from recsys.ranking.rerank import NONE, TRAITS, Variety, best_places, spread


def drawn(seed: int, users: int = 6, pool: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """A pool by falling score with shared traits; some users have fewer listings, some listings no brand."""
    rng = np.random.default_rng(seed)
    score = -np.sort(-rng.gamma(0.7, 1.0, (users, pool)), axis=1)
    score[np.arange(pool) >= rng.integers(5, pool + 1, users)[:, None]] = -np.inf
    codes = np.stack([rng.integers(0, n, (users, pool)) for n in (9, 4, 5, 7, 4)]).astype(np.int32)
    codes[TRAITS.index("brand")] -= 1
    return score, codes


def slowly(score: np.ndarray, codes: np.ndarray, size: int, variety: Variety, found: list[int]) -> list[int]:
    """One user's list, one listing and one comparison at a time; of equals, to single precision, that of ``found``."""
    left = [n for n in range(len(score)) if np.isfinite(score[n])]
    top = max(score[left].max(), 1e-300)
    out: list[int] = []
    while left and len(out) < size:

        def similarity(n: int, m: int) -> float:
            return sum(
                float(w)
                for code, w in zip(codes, variety.weights, strict=True)
                if code[n] == code[m] and code[n] != NONE
            )

        def full(n: int) -> bool:
            return any(
                sum(codes[t][n] == codes[t][m] for m in out) >= most
                for t, most in ((3, variety.per_seller), (1, variety.per_category))
            )

        def worth(n: int) -> float:
            alike = max((similarity(n, m) for m in out), default=0.0)
            return float((1 - variety.diversity) * score[n] / top - variety.diversity * alike)

        free = [n for n in left if not full(n)] or left
        best = max(free, key=worth)
        if len(out) < len(found) and found[len(out)] in free and worth(found[len(out)]) > worth(best) - 1e-6:
            best = found[len(out)]
        out.append(best)
        left.remove(best)
    return out


def test_of_equals_the_first_in_the_pool_comes_first() -> None:
    alike, unlike = np.zeros((len(TRAITS), 1, 5), np.int32), np.arange(5, dtype=np.int32)[None, None]
    for codes in (alike, np.broadcast_to(unlike, alike.shape)):
        variety = Variety(diversity=0.5, per_seller=2)
        assert spread(np.ones((1, 5)), codes, 5, variety).tolist() == [[0, 1, 2, 3, 4]]


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    diversity=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    per_seller=st.integers(1, 8),
    per_category=st.integers(1, 15),
)
@example(seed=1400, diversity=0.1, per_seller=1, per_category=1)  # two held back, .00002 apart
def test_lists_are_those_of_the_slow_reading(
    seed: int, diversity: float, per_seller: int, per_category: int
) -> None:
    score, codes = drawn(seed)
    variety = Variety(diversity=diversity, per_seller=per_seller, per_category=per_category)
    found = spread(score, codes, 12, variety)
    for user in range(len(score)):
        fast = [n for n in found[user].tolist() if n != NONE]
        slow = slowly(score[user], codes[:, user], 12, variety, fast)
        assert fast == slow
        assert found[user, len(slow) :].tolist() == [NONE] * (12 - len(slow))


def test_who_shares_the_batch_does_not_matter() -> None:
    score, codes = drawn(7, users=40, pool=60)
    together = spread(score, codes, 20, Variety(diversity=0.3))
    for user in range(len(score)):
        alone = spread(score[[user]], codes[:, [user]], 20, Variety(diversity=0.3))
        np.testing.assert_array_equal(alone[0], together[user])


def test_without_diversity_and_caps_the_order_is_that_of_the_score() -> None:
    score, codes = drawn(3)
    free = Variety(diversity=0.0, per_seller=100, per_category=100)
    np.testing.assert_array_equal(spread(score, codes, 30, free), best_places(score, 30))


def test_caps_hold_until_nothing_else_is_left() -> None:
    score = np.linspace(2.0, 1.0, 10)[None]
    codes = np.arange(50, dtype=np.int32).reshape(5, 1, 10)
    codes[TRAITS.index("seller"), 0] = [0, 0, 0, 0, 0, 0, 0, 1, 2, 3]
    found = spread(score, codes, 10, Variety(diversity=0.0, per_seller=2))
    assert found[0].tolist() == [0, 1, 7, 8, 9, 2, 3, 4, 5, 6]


def test_what_is_alike_comes_later() -> None:
    score = np.array([[1.0, 0.98, 0.5]])
    codes = np.arange(15, dtype=np.int32).reshape(5, 1, 3)
    codes[:, 0, 1] = codes[:, 0, 0]
    assert spread(score, codes, 3, Variety(diversity=0.0))[0].tolist() == [0, 1, 2]
    assert spread(score, codes, 3, Variety(diversity=0.5))[0].tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"diversity": 1.0}, "diversity is 1.0"),
        ({"per_seller": 0}, "per_seller is 0"),
        ({"popularity": -1.0}, "popularity is -1.0"),
        (dict.fromkeys(TRAITS, 0.0), "all 0"),
    ],
)
def test_values_without_meaning_are_refused(values: dict[str, float], named: str) -> None:
    with pytest.raises(ModelError, match=named):
        Variety(**values)  # type: ignore[arg-type]
