"""The campaign bench: its truth is that of what it draws, and each part runs and says what it should."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench import campaign_experiment as bench
from bench import campaign_market
from bench.campaign_world import OUTCOMES, World, draw, truth


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_integral_is_what_many_draws_show(outcome: str) -> None:
    world, rng, n = World(lift=0.5), np.random.default_rng(1), 400_000
    old, new = (draw(world, n, offered, rng) for offered in (False, True))
    known, values = truth(world, outcome), new.outcome(outcome)
    error = 4 * np.sqrt((values.var() + old.outcome(outcome).var()) / n)
    assert values.mean() - old.outcome(outcome).mean() == pytest.approx(known.offer, abs=error)
    assert old.outcome(outcome).mean() == pytest.approx(known.mean, abs=error)
    assert new.used.mean() == pytest.approx(known.share, abs=0.005)
    used = new.used == 1
    assert values[used].mean() - values[~used].mean() == pytest.approx(known.naive, abs=2 * error)
    assert known.use == pytest.approx(known.offer / known.share)


def test_intervals_hold_and_naive_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ADOPTIONS", (0.4,))
    for row in bench.interval(150, 1):
        assert row["use holds (Fieller)"] >= 0.89
        assert row["naive holds"] <= 0.02


def test_rules_ship_what_wins_and_stop_what_costs_campaigns() -> None:
    found = {name: bench._decided(world, 60_000, np.random.default_rng(3)) for name, world in {
        "lift": World(lift=0.3), "loss": World(lift=-0.3), "fewer": World(lift=0.3, fewer=0.1)
    }.items()}  # fmt: skip
    assert found == {"lift": "win", "loss": "loss", "fewer": "guardrail"}


def test_the_market_offers_keywords_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_market, "USERS", 300)
    monkeypatch.setattr(campaign_market, "HISTORY", 1)
    monkeypatch.setattr(campaign_market, "STARTS", 2)
    monkeypatch.setattr(campaign_market, "DAYS", 3)
    evening = campaign_market._history(5)
    every: Callable[[np.ndarray], np.ndarray] = lambda item: np.ones(len(item), dtype=bool)  # noqa: E731
    played = campaign_market._played(evening, every)
    assert 0.2 < played["used"].mean() < 0.8
    nobody = campaign_market._played(evening, lambda item: ~every(item))
    assert not nobody["used"].any()
    assert nobody["taking"].any()
