from __future__ import annotations

from datetime import date

import numpy as np
from scipy.stats import kstest

from recsys.synthetic.draws import Draws

DAY = date(2026, 1, 5)


def test_a_draw_belongs_to_its_ids_in_any_order() -> None:
    users, items = np.arange(100), np.arange(100) * 7
    forward = Draws(1, DAY).uniform("click", users, items)
    assert np.array_equal(Draws(1, DAY).uniform("click", users[::-1], items[::-1]), forward[::-1])


def test_seed_day_replication_and_stream_each_change_the_draws() -> None:
    ids = np.arange(1_000)
    base = Draws(1, DAY).uniform("click", ids)
    others = (
        Draws(2, DAY).uniform("click", ids),
        Draws(1, date(2026, 1, 6)).uniform("click", ids),
        Draws(1, DAY, 1).uniform("click", ids),
        Draws(1, DAY).uniform("buy", ids),
    )
    for other in others:
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.12


def test_draws_are_uniform_and_independent_over_a_grid_of_ids() -> None:
    user, item = (grid.ravel() for grid in np.meshgrid(np.arange(300), np.arange(300)))
    draws = Draws(3, DAY).uniform("taste", user, item)
    assert kstest(draws, "uniform").pvalue > 1e-3
    by_user = draws.reshape(300, 300).mean(axis=0)
    assert by_user.std() < 1.3 * np.sqrt(1 / 12 / 300)
    assert draws.min() > 0
    assert draws.max() < 1


def test_normal_draws_have_mean_0_and_deviation_1() -> None:
    draws = Draws(3, DAY).normal("taste", np.arange(40_000), 5)
    assert abs(draws.mean()) < 0.02
    assert abs(draws.std() - 1) < 0.02
