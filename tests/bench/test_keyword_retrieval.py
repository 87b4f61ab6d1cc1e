"""The bench of keyword retrieval: its market is what it says, and a small run goes through."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from bench import keyword_retrieval as bench


def test_phrases_are_distinct_and_led_to_listings_of_their_leaf_and_noun() -> None:
    market = bench.Market(np.random.default_rng(1))
    catalogue, phrases = market.catalogue(2_000)
    items, of_items = market.items(3_000)
    assert len(phrases) == 2_000
    assert not catalogue.duplicated(["keyword", "category_id"]).any()
    assert 0.05 < len(catalogue) / 2_000 - 1 < 0.15
    engaged = market.engaged(catalogue["keyword"].iloc[:2_000], phrases, of_items)
    nouns = dict(zip(items["item_id"], of_items[:, 1], strict=True))
    assert len(engaged) > 100
    for keyword, item in zip(engaged["keyword"], engaged["item_id"], strict=True):
        assert market.words[nouns[item]] in keyword.split()


def test_a_share_of_the_listings_gets_its_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SETTINGS", {"embedding": {"bits": 10, "factors": 8}})
    options = argparse.Namespace(
        seed=1, keywords=800, items=300, shares=2, taught=100, retrievers=["graph", "embedding"]
    )
    told = bench.prepare(tmp_path, options)
    assert set(told["cpu_seconds"]) == {"fit graph", "fit embedding", "save"}
    first, second = (bench.share(str(tmp_path), number, 5) for number in (0, 1))
    assert 150 < first <= 750
    assert 150 < second <= 750
