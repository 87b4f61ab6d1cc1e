"""The backtest of a marketplace: lists of live listings, made anew each evening, judged by what happened next."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.evaluation.compare import Occasion
from recsys.evaluation.market import OTHERS, make_models, market_lists
from recsys.jobs import backtest, market
from recsys.jobs.inputs import read_snapshot
from recsys.jobs.score import rank_users, ranker_of, score_users
from recsys.jobs.train import outcome_of
from recsys.ranking.champion import Champion, load_champion
from recsys.ranking.training import fit_retrievers
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.jobs.conftest import PLAYED_DAYS
from tests.jobs.conftest import PLAYED_FROM as FIRST

DS = FIRST + timedelta(days=PLAYED_DAYS - 1)
EVENING = DS - timedelta(days=1)


@pytest.fixture(scope="module")
def run(played: Settings) -> market.MarketRun:
    """The lists of the evening before the last day, by the champion of the last: only the machinery is judged."""
    champion = load_champion(played.models_dir, DS)
    with open_warehouse(played) as warehouse:
        return market.run_market(
            warehouse, played, [(DS, DS + timedelta(days=1))], 10, champion=lambda _: champion
        )


def test_every_list_is_of_the_shelf_of_that_evening(played: Settings) -> None:
    with open_warehouse(played) as warehouse:
        snapshot = read_snapshot(warehouse, played, EVENING)
        items = warehouse.read("staging.items", EVENING).set_index("item_id")
        bought = warehouse.query(
            "SELECT DISTINCT user_id, item_id FROM staging.user_item_daily WHERE ds <= @ds AND ds >= '2026-01-01' "
            "AND purchases > 0",
            ds=EVENING,
        ).to_pandas()
    ranker = ranker_of(played, snapshot, load_champion(played.models_dir, DS))
    users = np.arange(0, len(snapshot.audience), 3)
    others = fit_retrievers(make_models(OTHERS, 1), snapshot.history)
    lists, chances = market_lists(ranker, snapshot, users, 10, others)
    assert list(lists) == ["popularity", "item_knn", "als", "own_history", *OTHERS, "hybrid"]
    owned = pd.MultiIndex.from_frame(bought)
    for name, frame in lists.items():
        assert frame.groupby("user_id").size().eq(10).all(), name
        assert frame["user_id"].nunique() == len(users), name
        assert frame.groupby("user_id")["rank"].apply(lambda r: sorted(r) == list(range(1, 11))).all()
        listed = items.loc[frame["item_id"]]
        assert listed["is_live"].all(), name
        assert (listed["seller_id"].to_numpy() != frame["user_id"].to_numpy()).all(), name
        assert not pd.MultiIndex.from_frame(frame[["user_id", "item_id"]]).isin(owned).any(), name
    assert not lists["item_knn"].equals(lists["popularity"])
    assert chances["p_purchase"].between(0, 1).all()


def test_the_hybrid_is_the_pipeline_that_publishes(played: Settings, run: market.MarketRun) -> None:
    with open_warehouse(played) as warehouse:
        snapshot = read_snapshot(warehouse, played, DS)
    ranker = ranker_of(played, snapshot, load_champion(played.models_dir, DS))
    users = np.arange(len(snapshot.audience))
    lists, _ = market_lists(ranker, snapshot, users, 10)
    published = score_users(played, DS, None, "hybrid")
    expected = published.loc[published["rank"] <= 10, ["user_id", "item_id", "rank"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(lists["hybrid"].reset_index(drop=True), expected, check_dtype=False)


def test_who_bought_is_judged_and_every_purchase_has_its_kind(
    played: Settings, run: market.MarketRun
) -> None:
    with open_warehouse(played) as warehouse:
        facts = warehouse.query(
            "SELECT COUNT(DISTINCT user_id) AS buyers, COUNT(*) AS pairs FROM staging.user_item_daily "
            "WHERE ds = @ds AND event_date = @ds AND purchases > 0",
            ds=DS,
        ).to_pandas()
    assert run.bought.users == facts["buyers"].iloc[0]
    for of in run.segments.values():
        assert sum(int(str(part["purchases"])) for part in of.values()) == facts["pairs"].iloc[0]
    assert run.evenings == (EVENING,)


def test_calibration_is_of_the_places_of_the_hybrid_by_what_training_learns_from(played: Settings) -> None:
    champion = load_champion(played.models_dir, DS)
    with open_warehouse(played) as warehouse:
        found = market.run_market(warehouse, played, [(EVENING, DS)], 10, champion=lambda _: champion)
        snapshot = read_snapshot(warehouse, played, EVENING - timedelta(days=1))
        learned = outcome_of(warehouse, EVENING, DS)
    lists = rank_users(ranker_of(played, snapshot, champion), snapshot, None, "hybrid")
    seen = learned[learned["impressions"] > 0].merge(lists, on=["user_id", "item_id"])
    assert len(seen) > 100
    both = found.shown.merge(seen, on=["user_id", "item_id"], validate="1:1")
    assert len(both) == len(seen) == len(found.shown)
    assert (both["outcome"] == (both["purchases"] > 0)).all()
    np.testing.assert_allclose(both["p"], both["p_purchase"], rtol=1e-12)


def test_shares_of_attention_add_up(run: market.MarketRun) -> None:
    for _, part in run.attention.groupby("group"):
        assert part["listings"].sum() == run.attention["listings"].sum() / 2
        assert part["hybrid"].sum() == pytest.approx(run.attention["hybrid"].sum() / 2)
    assert set(run.attention["group"]) == {"seller", "listing"}


def test_the_command_trains_as_of_the_eve_and_writes_what_it_returns(
    played: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[date] = []

    def train_market(_: object, settings: Settings, ds: date) -> Champion:
        trained.append(ds)
        return load_champion(settings.models_dir, DS)

    monkeypatch.setattr(market, "train_market", train_market)
    cut, out = DS - timedelta(days=1), tmp_path / "figures.json"
    found = backtest.run(
        played, cut, DS + timedelta(days=1), 10, most_users=60, others=["ease"], json_path=out
    )
    assert json.loads(out.read_text()) == found
    models = found["models"]
    assert isinstance(models, dict)
    names = {
        "ndcg@10",
        "recall@10",
        "revenue@10",
        "users",
        "coverage@10",
        "gini@10",
        "ece",
        "sold_before_seen@10",
    }
    assert names <= set(models["hybrid"])
    assert list(models) == ["popularity", "item_knn", "als", "own_history", "ease", "hybrid"]
    assert trained == [cut - timedelta(days=1)]  # once, on the eve of the test period
    assert found["evenings"] == [str(cut - timedelta(days=1)), str(cut)]
    assert {"against", "models"} == set(found["paired"])  # type: ignore[call-overload]


def test_a_refused_training_leaves_the_champion_in_place(
    played: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    champion = load_champion(played.models_dir, DS)

    def train_market(_: object, settings: Settings, ds: date) -> Champion:
        if ds != EVENING - timedelta(days=8):
            raise ModelError("Gate: worse.")
        return champion

    monkeypatch.setattr(market, "train_market", train_market)
    with open_warehouse(played) as warehouse:
        champion_of = market._trainer(warehouse, played, said.append)
        assert champion_of(EVENING - timedelta(days=8)) is champion
        assert champion_of(EVENING - timedelta(days=1)) is champion  # the week after is refused
        assert champion_of(EVENING) is champion
        assert sum("stays. Gate: worse." in line for line in said) == 1
        with pytest.raises(ModelError, match="Gate: worse"):
            market._trainer(warehouse, played, said.append)(EVENING)


def test_models_that_only_some_champions_have_are_left_out() -> None:
    none = pd.DataFrame({"user_id": [], "item_id": [], "rank": []})

    def day(*names: str) -> market._Found:
        one = Occasion("d", dict.fromkeys(names, none), none)
        return market._Found(DS, "hybrid@d", one, one, {n: {"gini": 0.5} for n in names}, none, none, none)

    for found in market._alike([day("popularity", "als", "hybrid"), day("popularity", "ease", "hybrid")]):
        assert list(found.about) == list(found.bought.lists) == list(found.viewed.lists)
        assert list(found.about) == ["popularity", "hybrid"]


def test_a_model_that_there_is_not_is_told_before_anything_is_trained(played: Settings) -> None:
    with pytest.raises(ModelError, match=r"No model 'eese'.* ease"):
        backtest.run(played, DS, DS + timedelta(days=1), others=["eese"])


def test_an_evening_without_features_is_named(played: Settings) -> None:
    with pytest.raises(ModelError, match="Run the DAG features_daily"):
        backtest.run(played, FIRST + timedelta(days=2), FIRST + timedelta(days=3))


def test_too_many_origins_are_refused(played: Settings) -> None:
    with pytest.raises(ModelError, match="take 1 to 1"):
        backtest.run(played, date(2026, 1, 5), date(2026, 1, 6), origins=2)
