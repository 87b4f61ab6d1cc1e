"""Calibration by bin: known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.evaluation.reliability import expected_calibration_error, reliability


def test_bins_by_hand() -> None:
    pairs = pd.DataFrame(
        {
            "user_id": list("abcd"),
            "p": [0.4, 0.1, 0.2, 0.3],
            "price": [1.0, 2.0, 3.0, 4.0],
            "outcome": [1, 0, 1, 0],
        }
    )
    by_p = reliability(pairs, "p", seed=1, bins=2)
    assert by_p["predicted"].tolist() == pytest.approx([0.15, 0.35])
    assert by_p["observed"].tolist() == [0.5, 0.5]
    assert by_p[["start", "end"]].to_numpy().tolist() == [[0.1, 0.2], [0.3, 0.4]]
    assert expected_calibration_error(by_p) == pytest.approx((0.35 + 0.15) / 2)
    by_price = reliability(pairs, "price", seed=1, bins=2)
    assert by_price["predicted"].tolist() == pytest.approx([0.25, 0.25])
    assert by_price["positives"].tolist() == [1, 1]


def test_honest_probabilities_lie_inside_and_inflated_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.01, 0.3, 20_000)
    pairs = pd.DataFrame(
        {"user_id": rng.integers(0, 2_000, 20_000).astype(str), "p": p, "outcome": rng.random(20_000) < p}
    )
    honest = reliability(pairs, "p", seed=2)
    assert ((honest["low"] <= honest["predicted"]) & (honest["predicted"] <= honest["high"])).sum() >= 8
    inflated = reliability(pairs.assign(p=1.5 * p), "p", seed=2)
    assert (inflated["predicted"] > inflated["high"]).sum() >= 8
    assert expected_calibration_error(honest) < 0.01 < expected_calibration_error(inflated)


def test_no_pairs_have_no_bins() -> None:
    none = pd.DataFrame({"user_id": [], "p": [], "outcome": []})
    assert reliability(none, "p", seed=1).empty
    assert expected_calibration_error(reliability(none, "p", seed=1)) == 0.0
