"""The keyword ranker: it finds what ads do, from what was known on the eve, and says so after a reload."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.errors import KeywordError, ModelError
from recsys.keywords.labels import Week
from recsys.keywords.ranker import SCORED, KeywordRanker
from recsys.ranking.platt import sigmoid
from tests.keywords.ads import weeks_of, world


@pytest.fixture(scope="module")
def weeks() -> list[Week]:
    return weeks_of(world())


@pytest.fixture(scope="module")
def ranker(weeks: list[Week]) -> KeywordRanker:
    return KeywordRanker.fit(weeks[:-1], seed=1)


def scored(ranker: KeywordRanker, week: Week, rate: float = 0.05) -> pd.DataFrame:
    candidates = week.outcomes[["item_id", "keyword"]].assign(sources="graph")
    return ranker.score(candidates, week.items, week.catalogue, rate)


def test_it_finds_the_rates_of_the_world(ranker: KeywordRanker, weeks: list[Week]) -> None:
    found = scored(ranker, weeks[-1])
    covered = found["covered_words"] == 2
    assert 0.2 < covered.mean() < 0.8
    assert found.loc[covered, "p_click"].mean() == pytest.approx(0.5, abs=0.03)
    assert found.loc[~covered, "p_click"].mean() == pytest.approx(sigmoid(np.array(-2.0)), abs=0.03)
    assert found["p_purchase"].mean() == pytest.approx(sigmoid(np.array(-1.5)), abs=0.02)
    assert found["p_win"].mean() == pytest.approx(0.5, abs=0.03)


def test_the_frame_keeps_the_candidates_and_their_order(ranker: KeywordRanker, weeks: list[Week]) -> None:
    found = scored(ranker, weeks[-1])
    assert list(found.columns) == ["item_id", "keyword", "sources", *SCORED]
    pd.testing.assert_frame_equal(
        found[["item_id", "keyword"]], weeks[-1].outcomes[["item_id", "keyword"]], check_dtype=False
    )
    assert found[list(SCORED)].drop(columns="category_conversion").notna().all().all()
    empty = ranker.score(found.iloc[:0, :3], weeks[-1].items, weeks[-1].catalogue, 0.1)
    assert list(empty.columns) == list(found.columns)


def test_a_pair_is_judged_by_itself(ranker: KeywordRanker, weeks: list[Week]) -> None:
    last = weeks[-1]
    whole = scored(ranker, last)
    one = last.outcomes[["item_id", "keyword"]].iloc[[7]]
    items = last.items[last.items["item_id"] == one["item_id"].iloc[0]]
    alone = ranker.score(one, items, last.catalogue, 0.05)
    np.testing.assert_allclose(alone[list(SCORED)], whole[list(SCORED)].iloc[[7]], rtol=1e-12)


def test_relevance_is_learned_from_searches(ranker: KeywordRanker, weeks: list[Week]) -> None:
    found = scored(ranker, weeks[-1])
    covered = found["covered_words"] == 2
    assert found.loc[covered, "relevance"].min() > found.loc[~covered, "relevance"].median()


def test_what_searches_led_to_is_counted_in_the_items_category(
    ranker: KeywordRanker, weeks: list[Week]
) -> None:
    """Few clicks there, or clicks elsewhere, tell nothing: whatever the rate of all is."""
    last = weeks[-1]
    coats = last.items[last.items["category_id"] == "c0"].head(1)
    candidates = pd.DataFrame(
        {"item_id": coats["item_id"].item(), "keyword": ["red coat", "blue coat", "red shirt", "new words"]}
    )
    table = last.catalogue.set_index(["keyword", "category_id"])
    table.loc[("red coat", "c0"), ["clicks_28d", "purchases_28d"]] = 200, 7
    table.loc[("blue coat", "c0"), ["clicks_28d", "purchases_28d"]] = 99, 50
    table.loc[("red shirt", "c1"), ["clicks_28d", "purchases_28d"]] = 900, 300
    found = ranker.score(candidates, coats, table.reset_index(), 0.05)["category_conversion"]
    assert found[0] == pytest.approx(7 / 200)
    assert found[1:].isna().all()


def test_it_is_the_same_after_a_reload(ranker: KeywordRanker, weeks: list[Week], tmp_path: Path) -> None:
    ranker.save(tmp_path / "ranker")
    again = KeywordRanker.load(tmp_path / "ranker")
    pd.testing.assert_frame_equal(scored(again, weeks[-1]), scored(ranker, weeks[-1]), check_exact=True)
    (tmp_path / "ranker" / "arrays.npz").write_bytes(b"x")
    with pytest.raises(ModelError, match="damaged"):
        KeywordRanker.load(tmp_path / "ranker")


def test_a_rate_by_item_moves_the_slot_alone(ranker: KeywordRanker, weeks: list[Week]) -> None:
    last = weeks[-1]
    rates = pd.Series(0.05, index=last.items["item_id"])
    rates.iloc[0] = 0.10
    found = ranker.score(last.outcomes[["item_id", "keyword"]], last.items, last.catalogue, rates)
    plain = scored(ranker, last)
    moved = found["item_id"] == rates.index[0]
    assert (found["p_win"] != plain["p_win"]).tolist() == moved.tolist()
    np.testing.assert_array_equal(found["p_click"], plain["p_click"])


def test_a_campaign_that_pays_nothing_is_scored_like_any(ranker: KeywordRanker, weeks: list[Week]) -> None:
    free, paid = scored(ranker, weeks[-1], 0.0), scored(ranker, weeks[-1], 0.05)
    assert free[["p_click", "p_purchase", "p_win"]].notna().all(axis=None)
    assert free["p_win"].between(0, 1).all()
    np.testing.assert_array_equal(free["p_click"], paid["p_click"])


def test_refusals_name_the_remedy(ranker: KeywordRanker, weeks: list[Week]) -> None:
    with pytest.raises(KeywordError, match="two weeks"):
        KeywordRanker.fit(weeks[:1], seed=1)
    with pytest.raises(KeywordError, match="order of time"):
        KeywordRanker.fit(weeks[::-1], seed=1)
    with pytest.raises(KeywordError, match="choose one of logistic"):
        KeywordRanker.fit(weeks, model="oracle", seed=1)
    for rate in (-0.1, 1.5, np.nan):
        with pytest.raises(KeywordError, match="from 0 to 1"):
            scored(ranker, weeks[-1], rate)
    with pytest.raises(KeywordError, match="no row among the items"):
        scored(ranker, replace(weeks[-1], items=weeks[-1].items.iloc[1:]))
    silent = [replace(week, outcomes=week.outcomes.assign(impressions=0.0, clicks=0.0)) for week in weeks]
    with pytest.raises(KeywordError, match="No ad was shown"):
        KeywordRanker.fit(silent, seed=1)
