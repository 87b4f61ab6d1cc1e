"""The market whose pairs are scored is whole, and every candidate of every user goes through every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.frames import market_frames
from bench.market import LAST_DAY, Size, make_market
from bench.ranking import STEPS, candidates, run, told
from recsys.features.pairs import CROSSED, PAIR_FEATURES, pair_features
from recsys.ranking.snapshot import Snapshot

USERS, ITEMS, COUNT, FEW = 500, 3_000, 60, 400


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return run(USERS, ITEMS, COUNT, workers=2, few=FEW, sample=100)


def test_every_pair_is_scored_and_each_step_is_measured(result: dict[str, Any]) -> None:
    assert (result["items"], result["pairs"]) == (ITEMS, FEW * COUNT)
    assert result["kept"] == FEW * COUNT
    assert all(trees > 10 for trees in result["trees"])
    assert all(min(result["steps"][step]) > 0 for step in STEPS)
    assert 0.05 < result["peak_gib"] < 4
    assert result["plain"]["scaled_seconds"] == pytest.approx(5 * result["plain"]["seconds"])
    scaled = f"scaled up to all: {1.25 * result['seconds']:.0f} s"
    assert any(scaled in line for line in told(result))
    assert any("24,000 pairs" in line for line in told(result))


def test_pairs_have_something_to_tell() -> None:
    market = make_market(Size("tiny", USERS, ITEMS, 0), 1)
    snapshot = Snapshot.from_frames(market_frames(market, 1), LAST_DAY)
    favourites = snapshot.shelf.category_ids.get_indexer([f"c{n:07d}" for n in range(300)])
    users = np.arange(USERS)
    pairs = candidates(snapshot, favourites[market.users.favourites[:USERS]], users, COUNT)
    features = pair_features(snapshot.shelf, snapshot.audience, *pairs)
    varies = dict(zip(PAIR_FEATURES, np.ptp(features, axis=0) > 0, strict=True))
    assert all(varies[name] for name in CROSSED if name not in {"seen_likes", "seen_carts", "own_spend"})
    liked = features[:, PAIR_FEATURES.index("category_share")] > 0
    assert 0.3 < liked.mean() < 0.8
