from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from recsys import schema
from recsys.errors import ModelError, WarehouseError
from recsys.jobs import build, check, sellers_backtest, sellers_score, sellers_train
from recsys.jobs.sellers_inputs import EVERYBODY, WEIGHTS, read_later, read_market, read_weights
from recsys.jobs.sellers_look import print_list
from recsys.sellers.factors import NAMES, Factors
from recsys.sellers.weights import STATED
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.jobs.conftest import PLAYED_DAYS, PLAYED_FROM

DAY = timedelta(days=1)
LAST = PLAYED_FROM + (PLAYED_DAYS - 1) * DAY


@pytest.fixture(scope="module")
def market(played: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("sellers") / "warehouse"
    shutil.copytree(played.warehouse, folder)
    return replace(played, warehouse=str(folder))


@pytest.fixture(scope="module")
def published(market: Settings) -> pd.DataFrame:
    sellers_train.run(market, LAST)
    assert [done["shard"] for done in sellers_score.everybody(market, LAST)] == [0, 1, 2]
    check.run(market, LAST, "seller_lists")
    build.run(market, LAST, table="marts.seller_recommendations")
    check.run(market, LAST, "seller_published")
    with open_warehouse(market) as warehouse:
        return warehouse.read("marts.seller_recommendations", LAST)


def test_every_active_user_gets_a_list(market: Settings, published: pd.DataFrame) -> None:
    with open_warehouse(market) as warehouse:
        users = warehouse.read("features.user_daily", LAST)["user_id"]
    assert set(published["user_id"]) == set(users)
    assert published["rank"].max() == sellers_score.LENGTH
    assert (published["model"] == f"learned {LAST}").all()


def test_follows_reach_the_lists_as_sellers_that_are_known(market: Settings, published: pd.DataFrame) -> None:
    with open_warehouse(market) as warehouse:
        known = warehouse.read("features.user_seller", LAST)
    known = known[known["follows"] + known["purchases"] > 0]
    assert (known["follows"] > 0).sum() > 5 and (known["purchases"] > 0).sum() > 20
    assert published.merge(known, on=["user_id", "seller_id"]).empty
    assert (published["user_id"] != published["seller_id"]).all()


def test_shards_and_runs_do_not_change_the_lists(market: Settings, published: pd.DataFrame) -> None:
    with open_warehouse(market) as warehouse:
        whole = sellers_score.lists_of(warehouse, market, LAST, EVERYBODY)
    columns = ["user_id", "rank", "seller_id", "reason"]
    pd.testing.assert_frame_equal(
        whole[columns].astype(object), published[columns].astype(object), check_dtype=False
    )
    user = published["user_id"].iloc[0]
    mine = sellers_score.one(market, LAST, user)
    assert mine["seller_id"].tolist() == published.loc[published["user_id"] == user, "seller_id"].tolist()


def test_only_what_was_known_counts(market: Settings, published: pd.DataFrame) -> None:
    before = LAST - timedelta(days=3)
    with open_warehouse(market) as warehouse:
        lists = sellers_score.lists_of(warehouse, market, before, EVERYBODY)
        assert (lists["model"] == "stated").all()
        copy = Path(market.warehouse)
        for day in (before + timedelta(days=1), LAST):
            for name in ("staging/user_item_daily", "features/user_seller", "staging/items"):
                path = copy / name / f"ds={day}.parquet"
                path.rename(path.with_suffix(".aside"))
    try:
        with open_warehouse(market) as warehouse:
            again = sellers_score.lists_of(warehouse, market, before, EVERYBODY)
    finally:
        for path in copy.rglob("*.aside"):
            path.rename(path.with_suffix(".parquet"))
    pd.testing.assert_frame_equal(again, lists)


def test_weights_are_learned_where_there_is_enough(market: Settings, published: pd.DataFrame) -> None:
    first = sorted(
        path.stem.removeprefix("ds=") for path in Path(market.warehouse, "features/user_seller").iterdir()
    )[0]
    early = sellers_train.run(market, PLAYED_FROM + timedelta(days=9))
    assert early["weights"] == "stated" and "no features 5 to 14 days before" in str(early["note"])
    late = sellers_train.run(market, LAST)
    assert late["weights"] == "learned" and str(late["cut"]) == first
    with open_warehouse(market) as warehouse:
        rows = warehouse.read(WEIGHTS, LAST)
        assert sorted(rows["factor"]) == sorted(NAMES)
        weights, model = read_weights(warehouse, LAST)
        assert model == f"learned {LAST}" and weights.pairs == late["pairs"]
        warehouse.drop(WEIGHTS, PLAYED_FROM + timedelta(days=9))


def test_the_backtest_prints_and_writes_what_it_found(market: Settings, tmp_path: Path) -> None:
    cut = LAST - timedelta(days=6)
    file = tmp_path / "figures.json"
    found = sellers_backtest.run(market, cut, LAST + timedelta(days=1), 5, json_path=file)
    facts = json.loads(file.read_text())
    assert {row["method"] for row in facts["methods"]} == {"sellers", "most popular", "category fit alone"}
    rows = found.table[found.table["circle"] == "all"].set_index("method")
    warm = found.table[found.table["circle"] == "warm"].set_index("method")
    assert (rows["buyers"] >= warm["buyers"]).all() and rows["buyers"].min() > 10
    gap = rows.loc["sellers", "ndcg"] - rows.loc["most popular", "ndcg"]
    assert facts["lead"]["difference"] == pytest.approx(gap)
    assert facts["lead"]["low"] <= gap <= facts["lead"]["high"]
    text = StringIO()
    sellers_backtest.print_judged(found, 5, Console(file=text, width=160))
    assert "NDCG@5" in text.getvalue() and "hold" in text.getvalue()
    with open_warehouse(market) as warehouse, pytest.raises(ModelError, match="take a longer period"):
        factors = Factors(read_market(warehouse, market, LAST))
        sellers_backtest.judge(factors, STATED, read_later(warehouse, LAST, LAST).head(0), 5, seed=0)


@pytest.mark.parametrize(
    ("cut", "until", "told"),
    [
        (-6, 3, f"{LAST + DAY} is not staged .the last staged day is {LAST}.; give --until {LAST + DAY}, or"),
        (1, 2, f"{LAST + DAY} is not staged .* give an earlier --cut and --until, .* --until {LAST + DAY}`"),
        (-6, -6, f"from {LAST - 6 * DAY} to the day before {LAST - 6 * DAY}; give a later --until"),
    ],
)
def test_a_test_period_that_is_not_staged_is_refused(
    market: Settings, cut: int, until: int, told: str
) -> None:
    with pytest.raises(ModelError, match=told):
        sellers_backtest.run(market, LAST + cut * DAY, LAST + until * DAY)


def test_a_missing_evening_names_the_command(market: Settings) -> None:
    with pytest.raises(WarehouseError, match="recsys build"), open_warehouse(market) as warehouse:
        read_market(warehouse, market, PLAYED_FROM)


def test_a_list_is_printed_with_its_reasons(market: Settings, published: pd.DataFrame) -> None:
    text = StringIO()
    print_list(
        published[published["user_id"] == published["user_id"].iloc[0]], 3, Console(file=text, width=160)
    )
    assert text.getvalue().count("listing") >= 3 and f"learned {LAST}" in text.getvalue()
    print_list(published.head(0), 3, Console(file=text, width=160))
    assert "known to this user already" in text.getvalue()
    with pytest.raises(ModelError, match="was not active"):
        sellers_score.one(market, LAST, "nobody")


def test_the_columns_of_the_lists_are_the_factors() -> None:
    columns = schema.table(sellers_score.TABLE).column_names
    assert [name.removeprefix("by_") for name in columns if name.startswith("by_")] == list(NAMES)
