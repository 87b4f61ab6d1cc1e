"""One protocol for all: figures by hand, tuning that sees no later week, and the better model ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.errors import KeywordError
from recsys.keywords.compare import (
    SPACES,
    Slices,
    against,
    figures,
    judge,
    tune,
    weighted_auc,
    weighted_ece,
)
from recsys.keywords.features import FEATURES
from recsys.keywords.ranker import MODELS
from tests.keywords.ads import weeks_of, world


@pytest.fixture(scope="module")
def slices() -> Slices:
    return Slices.of(weeks_of(world(weeks=5, items=120)))


def test_weighted_figures_are_those_of_single_impressions() -> None:
    p, good, tried = np.array([0.2, 0.5, 0.9]), np.array([1.0, 0.0, 2.0]), np.array([2.0, 1.0, 2.0])
    # good ones at .2, .9, .9 against bad ones at .2 and .5: 1 tie, 4 ahead, 1 behind, of 6
    assert weighted_auc(p, good, tried) == pytest.approx(4.5 / 6)
    assert np.isnan(weighted_auc(p, 0 * good, tried))
    losses = [-np.log(0.2), -np.log(0.8), -np.log(0.5), -np.log(0.9), -np.log(0.9)]
    found = figures(p, good, tried, 0.5)
    assert found["log_loss"] == pytest.approx(np.mean(losses))
    assert found["rate_log_loss"] == pytest.approx(np.log(2))
    assert found["ratio"] == pytest.approx((0.4 + 0.5 + 1.8) / 3)
    # bins of one impression's worth: |.4 - 1|, |.5 - 0|, |1.8 - 2| over five impressions
    assert weighted_ece(p, good, tried, bins=5) == pytest.approx((0.6 + 0.5 + 0.2) / 5)
    assert weighted_ece(p, good, tried, bins=1) == pytest.approx(0.3 / 5)


def test_a_model_beats_the_rate_of_all_and_is_compared(slices: Slices) -> None:
    plain = judge(slices, "logistic", trials=0, seed=1)
    table = plain.table.set_index("head")
    assert (table["log_loss"] < table["rate_log_loss"]).all()
    assert table.loc["click", "auc"] > 0.65
    assert table.loc["click", "ece"] < 0.03
    assert table["ratio"].to_numpy() == pytest.approx(1.0, abs=0.1)
    same = against(plain, plain, slices)
    assert not same[["difference", "error"]].any().any()
    blind = replace(plain, losses={head: losses + 0.5 for head, losses in plain.losses.items()})
    assert (against(blind, plain, slices)["difference"] > 0).all()


def test_tuning_does_not_look_beyond_its_week(slices: Slices) -> None:
    chosen = tune(slices, "logistic", "click", trials=3, seed=2)
    last = slices.weeks[-3:]
    spoiled = [replace(week, outcomes=week.outcomes.assign(clicks=0.0, purchases=0.0)) for week in last]
    other = replace(slices, weeks=(*slices.weeks[:-3], *spoiled))
    assert tune(other, "logistic", "click", trials=3, seed=2) == chosen
    low, high = SPACES["logistic"]["penalty"]
    assert all(low <= value <= high for value in chosen.values())
    assert tune(slices, "logistic", "click", trials=0, seed=2) == {}


def test_every_model_has_a_space_that_it_understands(slices: Slices) -> None:
    assert set(SPACES) == set(MODELS)
    examples = slices.examples("train", "click").where(np.arange(40))
    for name, space in SPACES.items():
        MODELS[name].fit(examples, FEATURES, seed=1, **{k: v[0] for k, v in space.items()})


def test_too_few_weeks_are_refused(slices: Slices) -> None:
    with pytest.raises(KeywordError, match="give 5"):
        Slices.of(slices.weeks[:4])
