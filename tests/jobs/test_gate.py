"""A new model against the champion: on days that neither learned from, by buyers who had no list of a champion."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.jobs import gate, train
from recsys.jobs.inputs import read_snapshot
from recsys.jobs.score import rank_users, ranker_of
from recsys.ranking.champion import Champion, load_champion
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from tests.jobs import test_backtest
from tests.jobs.conftest import PLAYED_DAYS, PLAYED_FROM

shop = test_backtest.shop
DS = PLAYED_FROM + timedelta(days=PLAYED_DAYS - 1)
BEFORE = DS - timedelta(days=5)
CUT = DS - timedelta(days=3)


@pytest.fixture
def copied(played: Settings, tmp_path: Path) -> Iterator[Settings]:
    """The champion is of five days ago."""
    shutil.copytree(played.warehouse, tmp_path / "copy")
    settings = replace(played, warehouse=str(tmp_path / "copy"))
    models = settings.models_dir / "hybrid"
    (models / f"ds={DS}").rename(models / f"ds={BEFORE}")
    yield settings


def hold(settings: Settings, model: Champion, ds: date = DS) -> tuple[dict[str, Any], list[date]]:
    days: list[date] = []

    def rehearse(day: date) -> Champion:
        days.append(day)
        return model

    with open_warehouse(settings) as warehouse:
        return gate.hold_against_champion(warehouse, settings, ds, model, rehearse), days


def backwards(champion: Champion) -> Champion:
    scorer: Any = champion.scorer
    return replace(champion, scorer=replace(scorer, coefficients=-scorer.coefficients))


def planted(settings: Settings, champion: Champion, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users buy what the champion lists: each one or two of their first ten listings."""
    with open_warehouse(settings) as warehouse:
        snapshot = read_snapshot(warehouse, settings, CUT)
    users = snapshot.audience.user_ids[:150]
    lists = rank_users(ranker_of(settings, snapshot, champion), snapshot, list(users), "hybrid")
    rng = np.random.default_rng(5)
    drawn = lists[lists["rank"] <= rng.integers(1, 3, len(lists))]
    bought = drawn[["user_id", "item_id"]].assign(revenue=rng.exponential(20.0, len(drawn)))
    monkeypatch.setattr(gate, "_purchases", lambda *_: iter([(CUT, bought)]))


def buyers(warehouse: Warehouse) -> pd.Series:
    """Buyers of the judged days, one row a day and user."""
    found = warehouse.query(
        "SELECT DISTINCT event_date, user_id FROM staging.user_item_daily "
        "WHERE ds BETWEEN @first AND @ds AND event_date >= @first AND purchases > 0 ORDER BY event_date, user_id",
        {"first": CUT + timedelta(days=1)},
        ds=DS,
    ).to_pandas()
    return found["user_id"]


def test_the_same_model_is_let_in_and_one_that_orders_backwards_is_not(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = load_champion(copied.models_dir, BEFORE)
    monkeypatch.setattr(gate, "LEAST_BUYERS", 5)
    found, days = hold(copied, champion)
    assert days == [CUT]
    assert (found["against"], found["days"]) == (str(BEFORE), [str(CUT + timedelta(days=1)), str(DS)])
    with open_warehouse(copied) as warehouse:
        assert found["buyers"] == len(buyers(warehouse)) >= gate.LEAST_BUYERS
    for metric in ("revenue@10", "ndcg@10"):
        assert found[metric]["difference"] == found[metric]["low"] == 0.0
    json.dumps(found)  # the manifest is JSON
    planted(copied, champion, monkeypatch)
    found, _ = hold(copied, champion)
    assert found["revenue@10"]["margin"] > 0
    with pytest.raises(ModelError, match=r"Gate: (revenue|ndcg)@10 is -.*The old champion stays"):
        hold(copied, backwards(champion))


def test_who_had_a_list_of_a_champion_does_not_judge(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = load_champion(copied.models_dir, BEFORE)
    monkeypatch.setattr(gate, "LEAST_BUYERS", 5)
    with open_warehouse(copied) as warehouse:
        bought = buyers(warehouse)
        users = np.sort(bought.unique())
        policy = np.where(np.arange(len(users)) % 4 == 0, "hybrid", "popularity")
        contract = table("marts.recommendations")
        lists = pd.DataFrame(None, index=range(len(users)), columns=contract.column_names)
        lists = lists.assign(user_id=users, policy=policy, rank=1, item_id="i", is_reserve=False, ds=CUT)
        for column in contract.columns:
            if column.name not in {"user_id", "policy", "item_id", "rank", "is_reserve", "ds"}:
                lists[column.name] = "x" if column.type == "STRING" else 0.0
        warehouse.write("marts.recommendations", lists, CUT)
        free = bought.isin(users[policy == "popularity"])
    found, _ = hold(copied, champion)
    assert found["buyers"] == free.sum() < len(bought)


def test_without_a_champion_or_buyers_or_a_model_of_then_nothing_is_judged(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = load_champion(copied.models_dir, BEFORE)
    found, days = hold(copied, champion, BEFORE)  # none of an earlier day
    assert list(found) == ["unjudged"] and not days
    monkeypatch.setattr(gate, "LEAST_BUYERS", 10**6)
    found, days = hold(copied, champion)
    assert "fewer than 1000000" in found["unjudged"] and not days
    monkeypatch.setattr(gate, "LEAST_BUYERS", 5)

    def refused(day: date) -> Champion:
        raise ModelError("Too little data.")

    with open_warehouse(copied) as warehouse:
        told = gate.hold_against_champion(warehouse, copied, DS, champion, refused)
    assert told["unjudged"] == f"As of {CUT} there is no model to judge: Too little data."


def test_a_model_whose_own_lists_promise_far_too_much_is_refused(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = load_champion(copied.models_dir, BEFORE)
    monkeypatch.setattr(gate, "LEAST_BUYERS", 5)
    scorer: Any = champion.scorer
    offset = scorer.platt.offset + 3.0
    wild = replace(champion, scorer=replace(scorer, platt=replace(scorer.platt, offset=offset)))
    found, _ = hold(copied, wild)
    assert "promised" not in found, (
        "of the champion's lists none was seen, so nobody knows what they are worth"
    )
    with open_warehouse(copied) as warehouse:
        seen = [("hybrid", champion.label, band, 50, 10.0, 10, DS) for band in range(12)]
        columns = ["policy", "model", "price_band", "pairs", "expected", "purchases", "ds"]
        warehouse.write("marts.list_calibration", pd.DataFrame(seen, columns=columns), DS)
    found, _ = hold(copied, champion)
    assert found["promised"] == 1.0
    # One trait that no list held, far above the end of what is promised.
    steep = np.where(np.array(scorer.names) == "log_age", 9.0, scorer.coefficients)
    bent = replace(champion, scorer=replace(scorer, coefficients=steep, low=scorer.low, high=scorer.high))
    for broken in (wild, bent):
        with pytest.raises(
            ModelError, match=r"its own lists promise \d+\.\d times .* The old champion stays"
        ):
            hold(copied, broken)


def test_training_is_stopped_by_it_or_says_what_came_out(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "LEAST_BUYERS", 5)
    monkeypatch.setattr(train, "champion_before", lambda *_: None)  # it has seen the days that judge
    honest, made = train.train_market, dict[date, Champion]()

    def once(warehouse: Warehouse, settings: Settings, day: date) -> Champion:
        if day not in made:
            made[day] = honest(warehouse, settings, day)
        return made[day]

    monkeypatch.setattr(train, "train_market", once)
    facts: dict[str, Any] = train.run(replace(copied, champion_gate=False), DS)
    assert "gate" not in facts
    shutil.rmtree(copied.models_dir / "hybrid" / f"ds={DS}")
    facts = train.run(copied, DS)
    assert facts["gate"]["against"] == str(BEFORE)
    assert {"difference", "low", "high", "margin"} == set(facts["gate"]["revenue@10"])
    shutil.rmtree(copied.models_dir / "hybrid" / f"ds={DS}")
    planted(copied, load_champion(copied.models_dir, BEFORE), monkeypatch)
    with pytest.raises(ModelError, match="The old champion stays"):
        train.run(copied, DS)
    assert [path.name for path in (copied.models_dir / "hybrid").glob("ds=*")] == [f"ds={BEFORE}"]


def test_a_shop_is_judged_by_all_that_was_bought_since(
    shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shop.warehouse, tmp_path / "copy")
    settings = replace(shop, warehouse=str(tmp_path / "copy"))
    first, last = test_backtest.CUT - timedelta(days=1), test_backtest.LAST
    monkeypatch.setitem(gate.JUDGED_DAYS, "item", (last - first).days)
    with open_warehouse(settings) as warehouse:
        champion = train.train_shop(gate.read_shop(warehouse, settings, first), first, settings.seed)
    champion.save(settings.models_dir, first - timedelta(days=(last - first).days))
    found, days = hold(settings, champion, last)
    assert days == [first]
    assert found["ndcg@10"]["difference"] == 0.0 and found["buyers"] > gate.LEAST_BUYERS
    with pytest.raises(ModelError, match="Gate"):
        hold(settings, backwards(champion), last)
