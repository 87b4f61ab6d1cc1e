"""A feature that knows the outcome is refused; a strong honest one is not."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ModelError
from recsys.features.pairs import PAIR_FEATURES
from recsys.ranking.leaks import differing, refuse_leaks
from recsys.ranking.training import Examples, train_scorer
from tests.ranking.test_scorer import examples


def test_a_planted_outcome_is_caught() -> None:
    rng = np.random.default_rng(1)
    purchased = rng.random(5_000) < 0.02
    honest = rng.normal(size=5_000) + 2.0 * purchased  # area about 0.92
    refuse_leaks(("honest",), honest[:, None], purchased)
    leaking = np.column_stack([honest, purchased + rng.normal(0, 0.1, 5_000)])
    with pytest.raises(ModelError, match="The feature sold_later alone"):
        refuse_leaks(("honest", "sold_later"), leaking, purchased)
    with pytest.raises(ModelError, match="sold_later"):
        refuse_leaks(("honest", "sold_later"), -leaking, purchased)


def test_what_is_known_only_of_purchases_is_refused_too() -> None:
    purchased = np.arange(5_000) % 10 == 0
    only = np.where(purchased, 1.0, np.nan)
    with pytest.raises(ModelError, match="sold_later"):
        refuse_leaks(("sold_later",), only[:, None], purchased)


def test_few_purchases_accuse_nobody() -> None:
    purchased = np.zeros(500)
    purchased[:10] = 1
    refuse_leaks(("x",), purchased[:, None], purchased)


def test_training_refuses_it() -> None:
    train, later = examples(3_000, 1, 1.0), examples(4_000, 2, 1.0)
    features = train.features.copy()
    features[:, PAIR_FEATURES.index("seen_views")] = train.purchased
    with pytest.raises(ModelError, match="seen_views"):
        train_scorer(Examples(features, train.purchased, train.users), later, 0)


def test_tables_are_compared_column_by_column() -> None:
    one = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])
    other = one.copy()
    other[1, 2] = 7.0
    assert differing(("a", "b", "c"), one, one.copy()) == []
    assert differing(("a", "b", "c"), one, other) == ["c"]
