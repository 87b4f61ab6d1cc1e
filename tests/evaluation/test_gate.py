"""The gate between a challenger and the champion."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ModelError
from recsys.evaluation.gate import Verdict, compare_with_champion, refuse_worse


def pair(lead: float, n: int = 2_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    champion = rng.exponential(1.0, n)
    return champion + lead + 0.1 * rng.normal(size=n), champion


@pytest.mark.parametrize(
    ("lead", "worse", "no_worse"), [(0.1, False, True), (-0.02, False, True), (-0.2, True, False)]
)
def test_the_verdict_follows_the_lead(lead: float, worse: bool, no_worse: bool) -> None:
    found = compare_with_champion(*pair(lead), seed=2)
    assert found.margin == pytest.approx(0.05, rel=0.1)
    assert (found.is_worse, found.is_no_worse) == (worse, no_worse)
    assert found.low < lead < found.high


def test_few_users_prove_neither() -> None:
    rng = np.random.default_rng(3)
    found = compare_with_champion(rng.exponential(1.0, 20), rng.exponential(1.0, 20), seed=4)
    assert not found.is_worse and not found.is_no_worse
    refuse_worse(found, "NDCG@10")
    with pytest.raises(ModelError, match="old champion stays"):
        refuse_worse(found, "NDCG@10", strict=True)


def test_a_loss_beyond_the_margin_is_refused_and_one_within_is_not() -> None:
    with pytest.raises(ModelError, match=r"revenue@10 is -0\.3000.*-0\.1000 is allowed"):
        refuse_worse(Verdict(-0.3, -0.4, -0.2, 0.1), "revenue@10")
    refuse_worse(Verdict(-0.05, -0.08, -0.02, 0.1), "revenue@10", strict=True)


def test_equal_models_are_refused_no_more_often_than_stated() -> None:
    refused = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        both = rng.exponential(1.0, (2, 80))
        refused += compare_with_champion(both[0], both[1], trial, margin=0.0).is_worse
    assert refused <= 12  # 2.5 % expected


def test_other_users_are_refused() -> None:
    with pytest.raises(ModelError, match="on the same users"):
        compare_with_champion(np.ones(3), np.ones(2), seed=1)
