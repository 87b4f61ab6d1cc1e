"""The boosted ranker of a shop: learned from the past alone, the same in any batch, calibrated, kept on disk."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.features.shop_pairs import SHOP_FEATURES
from recsys.ranking import shop_training
from recsys.ranking.champion import Champion, load_champion
from recsys.ranking.pipeline import Ranker
from recsys.ranking.revenue import Money
from recsys.ranking.scorer import PairScorer
from recsys.ranking.segments import judge_segments
from recsys.ranking.shop import SHOP_QUOTAS, ShopData, train_shop
from recsys.ranking.shop_evenings import Evening, replay_evening
from recsys.ranking.shop_heads import Boost, Boosts, fit_joined
from recsys.ranking.shop_scorer import ShopScorer, of_shop
from recsys.ranking.shop_training import Recipe, plan_evenings, too_small

FIRST, LAST = date(2025, 1, 1), date(2025, 12, 31)
DS = date(2025, 11, 30)
SMALL = Recipe(
    horizon=20,
    step=10,
    evenings=6,
    least_evenings=5,
    least_known=100,
    least_purchases=100,
    boosts=Boosts(Boost(25, 7, 0.1, 20), Boost(25, 7, 0.1, 20), Boost(25, 7, 0.1, 20), Boost(10, 4, 0.1, 20)),
)
USERS, ITEMS = 90, 40


def orders(seed: int = 3) -> pd.DataFrame:
    """Each customer has habits, by the dozen where the item is cheap, and now and then something else."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        habits, usual = rng.choice(ITEMS, 6, replace=False), rng.integers(1, 20)
        day = FIRST + timedelta(days=int(rng.integers(0, 90)))
        while day <= LAST:
            basket = {int(i) for i in habits if rng.random() < 0.5} | {int(rng.integers(ITEMS))}
            rows += [(f"u{user:02d}", f"i{i:02d}", day, float(usual), usual * (1.0 + i)) for i in basket]
            day += timedelta(days=int(rng.integers(8, 40)))
    return pd.DataFrame(rows, columns=["user_id", "item_id", "event_date", "quantity", "revenue"])


@pytest.fixture(scope="module")
def data() -> ShopData:
    return shop_data()


def shop_data() -> ShopData:
    """A year of a shop that restocks."""
    daily = orders().drop_duplicates(["user_id", "item_id", "event_date"])
    daily["event_date"] = pd.to_datetime(daily["event_date"])
    ids = [f"i{n:02d}" for n in range(ITEMS)]
    items = pd.DataFrame(
        {"item_id": ids, "seller_id": "", "category_id": "all", "price": 1.0 + np.arange(ITEMS)}
    )
    items = items.assign(take_rate=1.0, listed_at=pd.Timestamp(FIRST), closed_on=pd.NaT)
    users = pd.DataFrame({"user_id": sorted(daily["user_id"].unique()), "region": "north"})
    return ShopData(daily.assign(views=0, likes=0, carts=0, purchases=1), items, users)


@pytest.fixture(scope="module")
def champion(data: ShopData) -> Champion:
    return train_shop(data, DS, 7, recipe=SMALL)


def lists_of(
    champion: Champion, data: ShopData, users: list[str] | None = None, alpha: float = 0.2
) -> pd.DataFrame:
    snapshot = data.snapshot(DS, None if users is None else pd.Index(users, dtype=object))
    ranker = Ranker(
        champion.with_history(snapshot.history),
        snapshot.shelf,
        snapshot.trending,
        money=Money(exponent=alpha),
        quotas=SHOP_QUOTAS,
        item_unit="item",
        list_size=8,
        reserve_size=4,
    )
    return ranker.rank(snapshot.audience, np.arange(len(snapshot.audience)), "hybrid")


def test_it_finds_habits_and_what_they_cost(champion: Champion, data: ShopData) -> None:
    assert champion.facts["ranker"] == "shop_scorer" and "because" not in champion.facts
    past = data.daily[data.daily["event_date"] <= pd.Timestamp(DS)]
    known = (
        past.groupby(["user_id", "item_id"])
        .agg(times=("purchases", "sum"), paid=("revenue", "mean"))
        .reset_index()
    )
    lists = lists_of(champion, data)
    top = lists[lists["rank"] <= 4].merge(known, on=["user_id", "item_id"], how="left")
    assert (top["times"].fillna(0) >= 3).mean() > 0.8
    again = top.dropna(subset=["times"])
    assert np.corrcoef(np.log(again["price_capped"]), np.log(again["paid"]))[0, 1] > 0.7
    assert abs(np.log(again["price_capped"] / again["paid"])).median() < 0.5


def test_a_feature_that_knows_the_outcome_is_refused(data: ShopData, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = replay_evening

    def leaking(*args: Any, **options: Any) -> Evening:
        evening = honest(*args, **options)
        evening.features[:, SHOP_FEATURES.index("own_total")] = np.where(evening.days < 99, 1.0, np.nan)
        return evening

    monkeypatch.setattr(shop_training, "replay_evening", leaking)
    with pytest.raises(ModelError, match="The feature own_total alone"):
        train_shop(data, DS, 7, recipe=SMALL)


def test_a_ranker_that_is_off_for_what_is_dear_is_refused(
    data: ShopData, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, said = judge_segments, list[dict[str, float]]()

    def judge(p: np.ndarray, *args: Any, **about: Any) -> dict[str, float]:
        said.append(honest(p, *args, **about))
        return honest(p * np.where(about["price"] > np.median(about["price"]), 3.0, 1.0), *args, **about)

    monkeypatch.setattr(shop_training, "judge_segments", judge)
    with pytest.raises(ModelError, match=r"Gate: in price_\w+ \d+ the ranker expects"):
        train_shop(data, DS, 7, recipe=SMALL)
    assert said[0]["cells_judged"] > said[0]["price_cells_judged"] > 0


def test_probabilities_match_the_weeks_after(champion: Champion, data: ShopData) -> None:
    """Judged on days that it never saw, over customers who came back and customers who did not."""
    metrics = champion.facts["metrics"]
    assert isinstance(metrics, dict)
    assert metrics["log_loss"] < metrics["prior_log_loss"]
    lists = lists_of(champion, data)
    later = data.bought_between(DS, DS + timedelta(days=SMALL.horizon)).drop_duplicates().assign(hit=1.0)
    p = lists.merge(later, on=["user_id", "item_id"], how="left").fillna({"hit": 0.0})
    assert p["p_purchase"].mean() == pytest.approx(p["hit"].mean(), rel=0.25)
    assert p["hit"][p["p_purchase"] > 0.3].mean() > 2 * p["hit"][p["p_purchase"] < 0.1].mean()


def test_nothing_after_the_data_day_is_read(champion: Champion, data: ShopData) -> None:
    """Everything from the next day on is changed, in every way: the same models, the same lists."""
    later = data.daily["event_date"] > pd.Timestamp(DS)
    assert later.sum() > 100
    daily = data.daily.copy()
    daily.loc[later, ["quantity", "revenue", "purchases", "views"]] = 1e6
    daily.loc[later, "item_id"] = "i39"
    poisoned = replace(data, daily=daily.iloc[np.random.default_rng(1).permutation(len(daily))])
    again = train_shop(poisoned, DS, 7, recipe=SMALL)
    assert isinstance(again.scorer, ShopScorer) and isinstance(champion.scorer, ShopScorer)
    assert dict(again.scorer.models) == dict(champion.scorer.models)
    assert again.facts == champion.facts
    pd.testing.assert_frame_equal(lists_of(again, poisoned), lists_of(champion, data), check_exact=True)


def test_a_list_does_not_depend_on_the_batch(champion: Champion, data: ShopData) -> None:
    whole = lists_of(champion, data)
    users = sorted(whole["user_id"].unique())
    parts = [lists_of(champion, data, part) for part in (users[:1], users[1:30], users[30:])]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole, check_exact=True)


def test_everyone_active_gets_a_list(champion: Champion, data: ShopData) -> None:
    """A customer of one purchase, and one who only ever looked."""
    one = data.daily.iloc[[0]].assign(user_id="once", event_date=pd.Timestamp(DS))
    looked = one.assign(user_id="looked", views=1, purchases=0, quantity=0.0, revenue=0.0)
    more = replace(data, daily=pd.concat([data.daily, one, looked], ignore_index=True))
    lists = lists_of(champion, more, ["looked", "nobody", "once"])
    assert lists.groupby("user_id").size().tolist() == [12, 12, 12]
    assert np.isfinite(lists[["score", "p_purchase", "expected_revenue"]]).all(axis=None)


def test_the_order_trades_chance_for_money_and_the_factors_are_kept(
    champion: Champion, data: ShopData
) -> None:
    by_chance, by_money = lists_of(champion, data, alpha=0.0), lists_of(champion, data, alpha=1.0)
    first = [frame[frame["rank"] <= 4] for frame in (by_chance, by_money)]
    assert first[0]["p_purchase"].sum() > first[1]["p_purchase"].sum()
    assert first[0]["expected_revenue"].sum() < first[1]["expected_revenue"].sum()
    for lists in (by_chance, by_money):
        np.testing.assert_allclose(
            lists["expected_revenue"],
            lists["p_purchase"] * lists["price_capped"] * lists["take_rate"],
            rtol=1e-9,
        )


def test_it_survives_the_disk_and_says_why(champion: Champion, data: ShopData, tmp_path: Path) -> None:
    folder = champion.save(tmp_path, DS)
    assert {file.suffix for file in (folder / "scorer").iterdir()} == {".txt", ".json"}
    loaded = load_champion(tmp_path, DS)
    pd.testing.assert_frame_equal(lists_of(loaded, data), lists_of(champion, data), check_exact=True)
    snapshot = data.snapshot(DS)
    rows, items = np.repeat(np.arange(3), 40), np.tile(np.arange(40), 3)
    pairs = (snapshot.shelf, snapshot.audience, rows, items, {})
    why, judged = loaded.scorer.contributions(*pairs), loaded.scorer.judge(*pairs)
    logit = np.log(judged.p_purchase / (1 - judged.p_purchase))
    np.testing.assert_allclose(why.values.sum(axis=1) + why.base, logit, atol=1e-6)
    manifest = folder / "scorer" / "buys.txt"
    manifest.write_text(manifest.read_text().replace("tree", "tee", 1))
    with pytest.raises(ModelError, match="SHA-256"):
        load_champion(tmp_path, DS)


def test_another_audience_is_refused(data: ShopData) -> None:
    with pytest.raises(ModelError, match="item_unit: item"):
        of_shop(object())  # type: ignore[arg-type]


def test_evenings_end_before_the_data_day() -> None:
    planned = plan_evenings(FIRST, DS, SMALL)
    assert [e.known for e in planned] == [10, 20, 20, 20, 20, 20]
    assert all(e.ds + timedelta(days=e.known) <= DS for e in planned)
    assert plan_evenings(FIRST, FIRST + timedelta(days=109), SMALL)[-1].ds == FIRST + timedelta(days=99)
    assert plan_evenings(FIRST, FIRST + timedelta(days=108), SMALL) == []


def test_evenings_after_which_nobody_came_teach_nothing(data: ShopData) -> None:
    closed = (data.daily["event_date"] > pd.Timestamp("2025-11-20")) & (
        data.daily["event_date"] <= pd.Timestamp(DS)
    )
    champion = train_shop(replace(data, daily=data.daily[~closed]), DS, 7, recipe=SMALL)
    assert isinstance(champion.scorer, ShopScorer)
    assert np.isfinite(lists_of(champion, data)["score"]).all()


def test_a_small_shop_gets_a_logistic_regression_and_says_why(data: ShopData) -> None:
    said: list[str] = []
    few = replace(SMALL, least_purchases=10**6)
    small = train_shop(data, DS, 7, said.append, recipe=few)
    assert isinstance(small.scorer, PairScorer)
    assert "fewer than 1000000" in str(small.facts["because"])
    assert any("logistic" in message for message in said)
    assert lists_of(small, data).groupby("user_id").size().eq(12).all()
    assert "shorter than" in str(too_small(data, [], SMALL))


def test_joining_recovers_what_it_was_given() -> None:
    rng = np.random.default_rng(2)
    pair, customer = rng.normal(-2, 1.5, 60_000), rng.normal(0, 1, 60_000)
    p = 1 / (1 + np.exp(-(0.7 * pair + 0.4 * customer - 0.5)))
    found = fit_joined(pair, customer, rng.random(60_000) < p)
    assert (found.pair, found.customer, found.level) == pytest.approx((0.7, 0.4, -0.5), abs=0.06)
