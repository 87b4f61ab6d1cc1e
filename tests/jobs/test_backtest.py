"""A shop where customers come back: backtest, training and scoring over its history."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys import schema
from recsys.errors import ModelError
from recsys.evaluation.backtest import POPULARITY_28D
from recsys.jobs import backtest, build, explain, score, train
from recsys.ranking.shop import train_shop
from recsys.ranking.training import make_retrievers
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.ranking.test_shop_scorer import SMALL

FIRST, LAST = date(2025, 6, 1), date(2025, 12, 31)
CUT, UNTIL = date(2025, 12, 1), date(2026, 1, 1)
USERS, ITEMS = 80, 60


def orders(seed: int = 3) -> pd.DataFrame:
    """Each user has six habits, bought again about every twenty days, and now and then something else."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        habits = rng.choice(ITEMS, 6, replace=False)
        day = FIRST + timedelta(days=int(rng.integers(0, 30)))
        while day <= LAST:
            basket = {int(i) for i in habits if rng.random() < 0.5} | {
                int(rng.integers(ITEMS)) for _ in range(2)
            }
            rows += [(f"u{user:02d}", f"i{item:02d}", day) for item in basket]
            day += timedelta(days=int(rng.integers(10, 30)))
    return pd.DataFrame(rows, columns=["user_id", "item_id", "day"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("shop") / "warehouse"
    settings = Settings.load(
        {},
        warehouse=str(root),
        item_unit="item",
        history_days=400,
        active_days=400,
        list_size=10,
        explore="10",
        reserve_size=5,
        price_exponent=0.0,
    )
    bought = orders().drop_duplicates()
    counts = schema.table("staging.user_item_daily").column_names
    actions = bought.rename(columns={"day": "event_date"}).assign(**dict.fromkeys(counts[3:-3], 0))
    actions = actions.assign(
        purchases=1,
        quantity=1,
        revenue=2.0 + bought["item_id"].str[1:].astype(int),
        first_position=None,
        last_ts=pd.to_datetime(bought["day"]).dt.tz_localize("UTC"),
    )
    known = pd.Timestamp(FIRST, tz="UTC")
    ids = [f"i{n:02d}" for n in range(ITEMS)]
    items = pd.DataFrame({"item_id": ids, "seller_id": "shop", "category_id": ["even", "odd"] * (ITEMS // 2)})
    items = items.assign(
        price=2.0 + np.arange(ITEMS), take_rate=1.0, stock=1000, sale_type="fixed", listed_at=known
    )
    for name in schema.table("marketplace.items").column_names:
        if name not in items:
            items[name] = None
    users = pd.DataFrame(
        {"user_id": sorted(bought["user_id"].unique()), "registered_at": known, "region": "north"}
    )
    sellers = pd.DataFrame({"seller_id": ["shop"], "registered_at": known})
    for frame, name in (
        (users, "birth_year gender"),
        (sellers, "rating rating_count is_verified ships_within_days"),
    ):
        for column in name.split():
            frame[column] = None
    categories = pd.DataFrame(
        {"category_id": ["even", "odd"], "name": ["Even", "Odd"], "level": 1, "parent_id": None}
    )
    with open_warehouse(settings) as warehouse:
        warehouse.write("marketplace.users", users)
        warehouse.write("marketplace.sellers", sellers)
        warehouse.write("marketplace.item_category", categories)
        warehouse.write("marketplace.items", items)
        early = actions["event_date"] < CUT
        for day, part in ((CUT - timedelta(days=1), actions[early]), (LAST, actions[~early])):
            warehouse.write("staging.user_item_daily", part.assign(ds=day), day)
        for name in (
            "item_daily",
            "item_shown_daily",
            "user_seller_daily",
            "user_search_daily",
            "search_item_daily",
        ):
            columns = schema.table(f"staging.{name}").column_names
            warehouse.write(f"staging.{name}", pd.DataFrame(columns=columns), LAST)
    for day in (CUT - timedelta(days=1), LAST):
        build.history(
            settings, day, day, ["staging.items", "staging.item_category", "staging.users", "staging.sellers"]
        )
    build.history(settings, LAST, LAST, [table.name for table in schema.FEATURES])
    return settings


def test_the_backtest_writes_what_it_returns(shop: Settings, tmp_path: Path) -> None:
    said: list[str] = []
    found = backtest.run(shop, CUT, UNTIL, 5, json_path=tmp_path / "figures.json", progress=said.append)
    assert json.loads((tmp_path / "figures.json").read_text()) == found
    models = found["models"]
    assert isinstance(models, dict)
    assert set(models) == {POPULARITY_28D, *make_retrievers("item", shop.seed), "hybrid"}
    for figures in models.values():
        assert {"ndcg@5", "recall@5", "revenue@5", "users", "map@5", "mrr@5", "coverage@5"} <= set(figures)
        assert figures["users"] == models["hybrid"]["users"] > 50
    assert models["own_history"]["ndcg@5"] > 2 * models["popularity"]["ndcg@5"]
    assert models["hybrid"]["ndcg@5"] > 0.95 * models["own_history"]["ndcg@5"]
    calibration = found["calibration"]
    assert isinstance(calibration, dict)
    assert sum(row["pairs"] for row in calibration["by_probability"]) == 5 * USERS  # customers of all kinds
    assert 0 < models["hybrid"]["ece"] < 0.2
    assert set(found["segments"]) == {"purchase", "user"}  # type: ignore[call-overload]
    assert said


def test_a_part_shorter_than_the_horizon_says_nothing_of_the_promises(shop: Settings) -> None:
    found = backtest.run(shop, CUT, CUT + timedelta(days=20), 5)
    assert "calibration" not in found and "ece" not in found["models"]["hybrid"]  # type: ignore[index]


def test_items_are_read_as_they_were_known_on_the_eve(shop: Settings, tmp_path: Path) -> None:
    shutil.copytree(shop.warehouse, tmp_path / "copy")
    shop = replace(shop, warehouse=str(tmp_path / "copy"))
    eve = CUT - timedelta(days=1)
    with open_warehouse(shop) as warehouse:
        items = warehouse.read("staging.items", eve).set_index("item_id")
        items["closed_at"] = pd.to_datetime(items["closed_at"], utc=True)
        items.loc["i05", "closed_at"] = pd.Timestamp("2025-11-20", tz="UTC")
        items.loc["i05", "is_live"] = False
        warehouse.write("staging.items", items.reset_index(), eve)
    data, _ = backtest._read(shop, CUT, UNTIL)
    closed = data.items.set_index("item_id")["closed_on"].dropna()
    assert closed.to_dict() == {"i05": pd.Timestamp("2025-11-20")}


def test_the_backtest_is_repeatable(shop: Settings) -> None:
    assert backtest.run(shop, CUT, UNTIL, 5) == backtest.run(shop, CUT, UNTIL, 5)


def test_periods_without_data_are_named(shop: Settings) -> None:
    with pytest.raises(ModelError, match="is empty"):
        backtest.run(shop, CUT, CUT)
    with pytest.raises(ModelError, match="no day before 2025-06-01"):
        backtest.run(shop, FIRST, CUT)
    with pytest.raises(ModelError, match="choose other days"):
        backtest.run(shop, UNTIL, date(2026, 6, 1))


def test_a_shop_is_trained_by_replay_and_lists_what_is_bought_again(shop: Settings) -> None:
    facts = train.run(shop, LAST)
    assert facts["learned_from"] == "replay"
    lists = score.score_users(shop, LAST, None, "hybrid")
    assert lists.groupby("user_id").size().eq(15).all()
    bought = orders()
    times = bought.groupby(["user_id", "item_id"]).size().rename("times").reset_index()
    top = lists[lists["rank"] <= 3].merge(times, on=["user_id", "item_id"], how="left")
    assert (top["times"].fillna(0) >= 2).mean() > 0.8
    part = score.run(shop, LAST, 0)
    assert 0 < int(str(part["users"])) < USERS


def test_a_larger_shop_is_trained_with_trees_and_scored_in_shards(
    shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shop.warehouse, tmp_path / "copy")
    shop = replace(shop, warehouse=str(tmp_path / "copy"), shards=3)
    monkeypatch.setattr(train, "train_shop", partial(train_shop, recipe=SMALL))
    facts = train.run(shop, LAST)
    assert facts["ranker"] == "shop_scorer"
    first = {path.name: path.read_bytes() for path in (Path(str(facts["folder"])) / "scorer").iterdir()}
    whole = score.score_users(shop, LAST, None, "hybrid").sort_values(["user_id", "rank"], ignore_index=True)
    assert whole.groupby("user_id").size().eq(15).all() and whole["user_id"].nunique() == USERS
    parts = [score.run(shop, LAST, shard) for shard in range(3)]
    assert sum(int(str(part["users"])) for part in parts) == USERS
    with open_warehouse(shop) as warehouse:
        lists = warehouse.read("scoring.lists", LAST).sort_values(["user_id", "rank"], ignore_index=True)
    for column in ("user_id", "item_id", "score", "p_purchase", "expected_revenue"):
        assert lists[column].tolist() == whole[column].tolist(), column
    np.testing.assert_allclose(lists["price_capped"].astype(float), whole["price_capped"], rtol=1e-12)
    build.history(shop, LAST, LAST, ["marts.recommendations"])
    told = explain.run(shop, LAST, "u03")
    assert told["differs"] == told["contributions_missing"] == ""
    for place in told["places"]:
        logit = place["log_odds_base"] + sum(place["contributions"].values())
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(place["factors"]["p_purchase"], rel=1e-6)
    train.run(shop, LAST)
    assert first == {
        path.name: path.read_bytes() for path in (Path(str(facts["folder"])) / "scorer").iterdir()
    }


def test_too_short_a_history_says_what_it_takes(shop: Settings) -> None:
    with pytest.raises(ModelError, match="No actions"):
        train.run(shop, CUT - timedelta(days=2))
