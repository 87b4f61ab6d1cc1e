"""A short closed loop measures every policy on the same mornings, and its figures are the ones they are called."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from bench.closed_loop import Loop, run
from bench.loop_figures import Day, Pairs, calibration, figures


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    loop = Loop(size="small", seed=6, users=500, history_days=20, days=2, replications=2, singles=True)
    return run(loop, tmp_path_factory.mktemp("loop"))


def test_every_policy_is_measured_every_day_and_the_oracle_earns_most(played: dict[str, Any]) -> None:
    assert [day["ds"] for day in played["daily"]] == ["2026-01-21", "2026-01-22"]
    rpu = {name: figure["mean"] for name, figure in played["rpu"].items()}
    assert set(rpu) == {"hybrid", "popularity", "oracle", "item_knn", "als", "own_history"}
    assert rpu["oracle"] > max(value for name, value in rpu.items() if name != "oracle") > 0
    assert played["rpu"]["oracle"]["mean"] == pytest.approx(
        np.mean([day["oracle"] for day in played["daily"]]), abs=1e-4
    )


def test_every_user_is_of_one_kind(played: dict[str, Any]) -> None:
    kinds = {name: played["segments"][name] for name in ("hybrid", "popularity", "oracle")}
    users = {name: sum(row["users"] for row in rows.values()) for name, rows in kinds.items()}
    assert len(set(users.values())) == 1  # the same visitors under every policy
    assert users["hybrid"] > 100


def test_what_was_on_screen_is_calibrated_by_price(played: dict[str, Any]) -> None:
    rows = played["calibration"]
    assert len(rows) == 10
    assert sum(row["pairs"] for row in rows) <= played["reach"]["hybrid"]["impressions"]
    assert [row["price_to"] for row in rows] == sorted(row["price_to"] for row in rows)


def test_calibration_tells_a_level_that_is_off_and_one_that_is_not() -> None:
    rng = np.random.default_rng(1)
    parts = []
    for _ in range(20):
        price = rng.uniform(1, 100, 20_000)
        p = np.full(len(price), 0.02)
        parts.append(Pairs(price, np.where(price < 50, p, 1.5 * p), rng.random(len(price)) < p))
    rows = calibration(parts, np.arange(20))
    assert all(abs(row["error"]) < 4 * row["noise"] for row in rows[:4])
    assert all(abs(row["error"] - 0.5) < 6 * row["noise"] for row in rows[5:])
    assert all(0.01 < row["noise"] < 0.1 for row in rows)


def test_ratios_are_of_means_with_an_interval_around_them() -> None:
    days = []
    for number in range(10):
        day = Day.empty(date(2026, 1, 1 + number), ("hybrid", "oracle"), ("new",), 2)
        day.rpu["hybrid"][:] = 1.0 + number % 3
        day.rpu["oracle"][:] = 4.0
        days.append(day)
    ratio = figures(days, 1)["ratios"]["hybrid / oracle"]
    assert ratio["mean"] == pytest.approx(1.9 / 4, abs=1e-4)
    assert ratio["low"] < ratio["mean"] < ratio["high"]
