"""The log of a played day, with two drawn places in each list, judges policies that were not served."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys import schema
from recsys.errors import ModelError
from recsys.jobs import build, off_policy, simulate
from recsys.jobs.off_policy import Question
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

FIRST, EVENING = date(2026, 1, 1), date(2026, 1, 3)
SERVED = EVENING + timedelta(days=1)
LENGTH, DRAWN, POOL = 6, (1, 3), 5
CLICKS = Question(reward="clicks")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, pd.DataFrame]:
    """Three days lived, an evening of lists with a draw at two places, and the day on which they were served."""
    root = tmp_path_factory.mktemp("served") / "warehouse"
    settings = Settings.load({}, warehouse=str(root), list_size=LENGTH, reserve_size=2 * POOL, explore="none")
    simulate.history(settings, FIRST, 3, size="small")
    with open_warehouse(settings) as warehouse:
        items = warehouse.read("marketplace.items")
        users = sorted(warehouse.read("marketplace.users")["user_id"])
        live = items[items["closed_at"].isna() & (items["sale_type"] == "fixed")]
        lists = drawn_lists(users, live, np.random.default_rng(1))
        warehouse.write("marts.recommendations", lists, EVENING)
    simulate.run(settings, SERVED)
    build.history(settings, FIRST, SERVED, ["staging"])
    return settings, lists


def drawn_lists(users: list[str], live: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Lists whose drawn places share ``2 * POOL`` listings out, each place one of its own POOL, all alike likely."""
    parts = []
    for user in users:
        chosen = rng.choice(len(live), LENGTH - 2 + 2 * POOL, replace=False)
        fixed, pools = list(chosen[: LENGTH - 2]), chosen[LENGTH - 2 :].reshape(POOL, 2).T
        hits = rng.integers(0, POOL, 2)
        shown, propensity = [], []
        for rank in range(1, LENGTH + 1):
            draw = DRAWN.index(rank) if rank in DRAWN else None
            shown.append(fixed.pop() if draw is None else pools[draw][hits[draw]])
            propensity.append(1.0 if draw is None else 1 / POOL)
        behind = [item for draw in (0, 1) for item in np.delete(pools[draw], hits[draw])]
        take = live.iloc[[*shown, *behind]]
        parts.append(
            take[["item_id", "seller_id", "category_id", "price", "take_rate"]].assign(
                user_id=user,
                rank=np.arange(1, len(take) + 1),
                is_reserve=np.arange(len(take)) >= LENGTH,
                propensity=[*propensity, *[1 - 1 / POOL] * len(behind)],
                score=rng.random(len(take)),
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(
        policy="hybrid",
        experiment_id=None,
        arm=None,
        source="trending",
        group_id="g",
        p_purchase=0.01,
        price_capped=frame["price"],
        p_cancel=0.0,
        expected_revenue=frame["score"],
        model="hybrid@2026-01-03",
        p_click=0.05,
        p_available=1.0,
        slot=None,
        reason=None,
        reason_item=None,
        p_judged=None,
        ds=EVENING,
    )[schema.table("marts.recommendations").column_names]


def shown_of(settings: Settings) -> pd.DataFrame:
    """Impressions of the day at drawn places and whether each was clicked, from the raw staging rows."""
    with open_warehouse(settings) as warehouse:
        events = warehouse.read("staging.events", SERVED)
    events = events[pd.to_datetime(events["event_date"]).dt.date == SERVED]
    shown = events[
        (events["event_type"] == "impression")
        & (events["surface"] == "recommendation")
        & (events["propensity"] == 1 / POOL)
    ]
    clicks = events[(events["event_type"] == "view") & events["request_id"].notna()]
    key = ["request_id", "item_id"]
    shown = shown[["user_id", *key]].drop_duplicates()
    clicked = pd.MultiIndex.from_frame(clicks[key])
    return shown.assign(click=pd.MultiIndex.from_frame(shown[key]).isin(clicked))


def test_the_best_of_what_could_be_drawn_is_judged(served: tuple[Settings, pd.DataFrame]) -> None:
    settings, lists = served
    found = off_policy.run(settings, SERVED, days=1, question=CLICKS)
    shown = shown_of(settings)
    could = lists[lists["propensity"] < 1].sort_values("score", ascending=False)
    best = pd.MultiIndex.from_frame(could.groupby("user_id").head(2)[["user_id", "item_id"]])
    matched = pd.MultiIndex.from_frame(shown[["user_id", "item_id"]]).isin(best)
    assert found["rows"] == len(shown) > 300
    assert found["matched"] == matched.sum() > 30
    order = could.assign(wanted=could.groupby("user_id").cumcount().map(dict(enumerate(DRAWN))))
    at = lists.loc[~lists["is_reserve"], ["user_id", "item_id", "rank"]]
    of_place = shown.merge(at).merge(order[["user_id", "item_id", "wanted"]])
    seen = of_place["rank"].value_counts()
    weights = matched * POOL * (of_place["wanted"].map(seen) / of_place["rank"].map(seen)).fillna(0.0)
    assert str(found["ips"]).startswith(f"{(of_place['click'] * weights).mean():.5f}")
    assert found["mean_weight"] == round(weights.mean(), 4)
    assert str(found["served"]) == f"{shown['click'].mean():.5f}"
    assert found["without_support"] == 0.0
    assert str(found["dr"]) != "none"
    assert found["mean_weight"] == pytest.approx(1.0, abs=0.2)


def test_lists_of_a_file_are_judged_at_the_drawn_places_only(
    served: tuple[Settings, pd.DataFrame], tmp_path: Path
) -> None:
    settings, lists = served
    shown = shown_of(settings)
    file = tmp_path / "served.csv"
    lists.loc[~lists["is_reserve"], ["user_id", "item_id", "rank"]].to_csv(file, index=False)
    for model in ("item", "item-position"):
        found = off_policy.run(settings, SERVED, 1, file, replace(CLICKS, model=model))
        assert found["matched"] == found["rows"] == len(shown)  # the very lists that were served
        assert str(found["snips"]).startswith(str(found["served"]))
        assert found["dr"] == "none"
    swapped = lists.loc[lists["rank"].isin(DRAWN), ["user_id", "item_id", "rank"]]
    swapped = swapped.assign(rank=DRAWN[0] + DRAWN[1] - swapped["rank"])
    swapped.to_csv(file, index=False)
    at = shown.merge(lists[["user_id", "item_id", "rank"]])
    seen = at["rank"].value_counts()
    there = at["rank"].map({1: 3, 3: 1}).map(seen) / at["rank"].map(seen)
    found = off_policy.run(settings, SERVED, 1, file, CLICKS)
    assert found["matched"] == len(shown)
    assert found["mean_weight"] == POOL  # as many are seen, the other way round
    assert str(found["snips"]).startswith(f"{np.average(at['click'], weights=there):.5f}")
    at_the_rank = off_policy.run(settings, SERVED, 1, file, replace(CLICKS, model="item-position"))
    assert (at_the_rank["matched"], at_the_rank["mean_weight"]) == (0, 0.0)
    assert "see mean_weight" in str(at_the_rank["notes"])


@dataclass
class Log:
    """Stands in for the warehouse: a log of lists with two drawn places, the second seen by one user in five.

    Each place draws from five listings of its own; of the ten, a user likes each by chance. ``truth`` is what the best
    two earn per place seen, the best at the first place.
    """

    seed: int
    users: int = 500
    places: tuple[int, int] = (10, 20)
    chances: tuple[float, float] = (1.0, 0.2)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        liking = rng.beta(1, 4, (self.users, 2 * POOL))
        best = -np.sort(-liking, axis=1)[:, :2]
        self.truth = float((best @ self.chances).mean() / sum(self.chances))
        stripe = np.tile(np.repeat(self.places, POOL), (self.users, 1))
        drawn = np.zeros(stripe.shape, bool)
        for number in (0, 1):
            drawn[np.arange(self.users), rng.integers(0, POOL, self.users) + number * POOL] = True
        user, number = (index.ravel() for index in np.indices(stripe.shape))
        frame = pd.DataFrame(
            {
                "ds": EVENING,
                "user_id": [f"u{one:04d}" for one in user],
                "item_id": [f"i{one:05d}" for one in user * 100 + number],
                "rank": np.where(drawn, stripe, 50 + number.reshape(stripe.shape)).ravel(),
                "is_reserve": ~drawn.ravel(),
                "propensity": 1 / POOL,
                "score": liking.ravel(),
                "p_click": liking.ravel() * 0.6 + 0.1,  # a prediction that is not right
                "p_purchase": 0.1,
                "expected_revenue": 0.1,
            }
        )
        looks = np.where(frame["rank"] == self.places[0], *self.chances)
        shown = frame[drawn.ravel() & (rng.random(len(frame)) < looks)]
        clicks = (rng.random(len(shown)) < shown["score"]).astype(int)
        stray = shown.tail(1).assign(rank=None, is_reserve=None)  # of no published list
        self.tables = {
            off_policy._SHOWN: pd.concat([shown.assign(clicks=clicks), stray]),
            off_policy._COULD: frame.sort_values(["user_id", "score"], ascending=[True, False]),
        }

    def query(self, sql: str, *_: object, **__: object) -> pa.Table:
        return pa.Table.from_pandas(self.tables[sql], preserve_index=False)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_places_that_are_seen_unequally_often_bias_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    for seed in range(25):
        log = Log(seed)
        monkeypatch.setattr(off_policy, "open_warehouse", lambda _, log=log: log)
        for model in ("item", "item-position"):
            found = off_policy.run(Settings(), SERVED, 1, question=replace(CLICKS, model=model))
            for name in ("ips", "snips", "dr"):
                value, low, high = (float(x) for x in re.findall(r"\d\.\d+", str(found[name])))
                error = value / log.truth - 1
                runs.append((model, name, error, low <= log.truth <= high, found["mean_weight"]))
    frame = pd.DataFrame(runs, columns=["model", "name", "error", "covered", "mean_weight"])
    told = frame.groupby(["model", "name"]).agg(["mean", "std"])
    by_item = told.loc["item"]
    assert (by_item["error", "mean"].abs() < 4 * by_item["error", "std"] / np.sqrt(25)).all(), told
    assert (by_item["covered", "mean"] >= 0.85).all(), told
    assert by_item["mean_weight", "mean"].to_numpy() == pytest.approx(1.0, abs=0.05)
    # At its very rank half of what the policy wants has no support: the rest tells, and what is missing is told.
    by_rank = told.loc["item-position"]
    assert by_rank.loc["snips", ("covered", "mean")] >= 0.85, told
    assert by_rank["mean_weight", "mean"].to_numpy() == pytest.approx(0.5, abs=0.1)
    # The best of places seen alike is worth less than the best where most look.
    assert Log(0).truth > Log(0, chances=(1.0, 1.0)).truth


def test_money_is_capped_times_the_take_and_belongs_to_the_click(
    served: tuple[Settings, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = pd.DataFrame(
        {
            "clicks": [1, 1, 0, 1],
            "purchases": [1, 1, 1, None],
            "paid": [800.0, 800.0, 50.0, None],
            "sold_here": [True, False, False, True],
            "take_rate": 0.1,
        }
    )
    money, cap = off_policy._rewards(shown, Question(), price_cap=500.0)
    assert money.tolist() == [50.0, 0.0, 0.0, 0.0]
    assert cap is None
    assert off_policy._rewards(shown, Question(cap=20.0), 500.0)[0].tolist() == [2.0, 0.0, 0.0, 0.0]
    assert off_policy._rewards(shown, Question("purchases"), 500.0)[0].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_a_policy_without_support_is_refused_and_a_part_is_told(
    served: tuple[Settings, pd.DataFrame], tmp_path: Path
) -> None:
    settings, lists = served
    file = tmp_path / "other.parquet"
    drawn = lists[lists["rank"].isin(DRAWN)]
    kept = drawn["user_id"].isin(sorted(drawn["user_id"].unique())[::4])
    other = drawn.assign(item_id=drawn["item_id"].where(kept, "i-elsewhere-" + drawn["rank"].astype(str)))
    other[["ds", "user_id", "item_id", "rank", "p_click"]].to_parquet(file)
    with pytest.raises(ModelError, match=r"Only \d\d\.\d% of what the policy would show"):
        off_policy.run(settings, SERVED, 1, file, CLICKS)
    found = off_policy.run(settings, SERVED, 1, file, replace(CLICKS, least_support=0.1))
    assert 0.6 < float(str(found["without_support"])) < 0.9
    assert "has no support: IPS counts it as earning nothing" in str(found["notes"])


def test_a_log_without_draws_supports_nothing(served: tuple[Settings, pd.DataFrame]) -> None:
    with pytest.raises(ModelError, match="every propensity is 1"):
        off_policy.run(served[0], EVENING, days=1)


def test_a_file_that_lacks_something_is_refused(
    served: tuple[Settings, pd.DataFrame], tmp_path: Path
) -> None:
    file = tmp_path / "lists.csv"
    pd.DataFrame({"user_id": ["u000001"], "item_id": ["i0000001"]}).to_csv(file, index=False)
    with pytest.raises(ModelError, match="has no column rank"):
        off_policy.run(served[0], SERVED, 1, file)
    pd.DataFrame({"user_id": ["u1"] * 2, "item_id": ["i1", "i2"], "rank": [1, 1]}).to_csv(file, index=False)
    with pytest.raises(ModelError, match="a rank or an item twice"):
        off_policy.run(served[0], SERVED, 1, file)
    with pytest.raises(ModelError, match="No reward 'likes'"):
        Question(reward="likes")
    for bound, value in (("cap", -5.0), ("cap", 0.0), ("clip", 0.0), ("cap", float("nan"))):
        with pytest.raises(ModelError, match=f"{bound} is {value}; it has to be above 0"):
            Question(**{bound: value})


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("ds", "2026-13-45", "has ds '2026-13-45'; write a day as YYYY-MM-DD"),
        ("ds", "", "has ds ''"),
        ("rank", "first", "has rank 'first'; a rank is a whole number, 1 at the top"),
        ("rank", "1.5", "has rank '1.5'"),
        ("rank", "0", "has rank '0'"),
        ("expected", "much", "has expected 'much'; it is a number, or empty"),
    ],
)
def test_a_value_of_a_file_that_means_nothing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, column: str, value: str, told: str
) -> None:
    log, file = Log(0, users=5), tmp_path / "lists.csv"
    monkeypatch.setattr(off_policy, "open_warehouse", lambda _: log)
    row = {"user_id": "u0000", "item_id": "i00000", "rank": "10", "ds": str(EVENING), "expected": "0.1"}
    pd.DataFrame([row | {column: value}]).to_csv(file, index=False)
    with pytest.raises(ModelError, match=re.escape(f"{file} {told}")):
        off_policy.run(Settings(), SERVED, 1, file, CLICKS)


def test_ids_of_a_file_keep_their_zeros(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log, file = Log(0, users=50), tmp_path / "lists.csv"
    for table in log.tables.values():
        for name in ("user_id", "item_id"):
            table[name] = table[name].str[1:].str.zfill(6)
    monkeypatch.setattr(off_policy, "open_warehouse", lambda _: log)
    served = log.tables[off_policy._COULD].query("not is_reserve")
    lists = served[["user_id", "item_id", "rank", "ds"]].assign(expected=served["p_click"])
    lists.to_csv(file, index=False)
    found = off_policy.run(Settings(), SERVED, 1, file, CLICKS)
    assert found["matched"] == found["rows"]
    assert found["dr"] != "none"
    lists.to_parquet(tmp_path / "lists.parquet")
    assert off_policy.run(Settings(), SERVED, 1, tmp_path / "lists.parquet", CLICKS) == found
    lists.assign(expected="").to_csv(file, index=False)
    assert off_policy.run(Settings(), SERVED, 1, file, CLICKS) == found | {"dr": "none"}
