from __future__ import annotations

import numpy as np
import pytest

from recsys.experiments.populations import POPULATIONS, spending_days
from recsys.experiments.simulation import Setting, play


@pytest.mark.parametrize("name", POPULATIONS)
def test_every_population_can_be_played(name: str) -> None:
    drawn = POPULATIONS[name]
    setting = Setting(drawn.kind, (400, 400), cuped=drawn.has_covariate, quantile=drawn.quantile)
    played = play(drawn.draw, setting, 30, np.random.default_rng(1))
    assert played.runs == 30 and played.rejected < 0.3
    assert len(np.unique(played.differences)) > 20


def test_revenue_is_heavy_and_mostly_zero_and_follows_the_past() -> None:
    rows = POPULATIONS["revenue"].draw(50_000, np.random.default_rng(2))
    assert 0.6 < (rows[:, 0] == 0).mean() < 0.8
    assert rows[:, 0].max() > 30 * rows[:, 0].mean()
    assert 0.4 < np.corrcoef(rows.T)[0, 1] < 0.6


def test_a_unit_keeps_its_taste_from_day_to_day() -> None:
    days = spending_days(20_000, 10, np.random.default_rng(3))
    assert days.shape == (20_000, 10)
    assert np.corrcoef(days[:, :5].sum(axis=1), days[:, 5:].sum(axis=1))[0, 1] > 0.1
