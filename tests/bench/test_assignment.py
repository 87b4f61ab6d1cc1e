"""The benchmark of assignment measures the job on rows it made, and tells dependent draws from independent ones."""

from __future__ import annotations

import numpy as np
import pytest

from bench import assignment


def test_every_way_is_measured_and_the_job_writes_every_user() -> None:
    assert min(assignment.speed(2_000, 1).values()) > 1_000
    found = assignment.whole_job(300, 2)
    assert (found["users"], found["days"]) == (300, 2)
    assert found["units_a_second"] == pytest.approx(300 / found["seconds"])


def test_draws_that_depend_on_each_other_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = assignment.independence(20_000, 6)
    assert fine["pairs"] == 15
    assert fine["least_p_value"] > 0.001 / 15
    assert fine["uniform_p_value"] > 0.001
    rng = np.random.default_rng(0)
    common = rng.integers(0, 10_000, 20_000)
    monkeypatch.setattr(
        assignment, "buckets", lambda salt, ids: (common + rng.integers(0, 5_000, len(ids))) % 10_000
    )
    assert assignment.independence(20_000, 6)["least_p_value"] < 1e-9
