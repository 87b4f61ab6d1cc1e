"""Training and scoring over a small marketplace that was really played."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys import schema
from recsys.errors import ModelError, WarehouseError
from recsys.jobs import backtest, build, inputs, plan_shards, score, simulate, train
from recsys.ranking.champion import newest_champion
from recsys.ranking.scorer import MEMORY
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.jobs.conftest import PLAYED_DAYS, PLAYED_FROM

FIRST, DAYS = PLAYED_FROM, PLAYED_DAYS
DS = FIRST + timedelta(days=DAYS - 1)


def fingerprint(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


POLICY_OF = {"control": "popularity", "treatment": "hybrid"}


@pytest.fixture(scope="module")
def lists(played: Settings) -> pd.DataFrame:
    arms = pd.DataFrame({"user_id": users_of(played)})
    arms["arm"] = np.where(arms.index % 3 == 0, "control", "treatment")
    arms["policy"] = arms["arm"].map(POLICY_OF)
    rows = arms[arms.index % 5 > 0].rename(columns={"user_id": "unit_id"})
    with open_warehouse(played) as warehouse:
        fixed = {"bucket": 0, "started_on": DS, "ds": DS, "first_assigned_on": DS}
        served = rows.assign(experiment_id="e", unit="user", **fixed)
        # Sellers are users too: an experiment on them comes first by id, and says nothing about lists.
        sellers = arms.rename(columns={"user_id": "unit_id"}).assign(
            experiment_id="a", unit="seller", policy="no_keywords", **fixed
        )
        warehouse.write("experiments.assignments", pd.concat([served, sellers]), DS)
    for options in plan_shards.run(played, DS)["shards"]:  # type: ignore[attr-defined]
        score.run(played, DS, **options)
    with open_warehouse(played) as warehouse:
        return warehouse.read("scoring.lists", DS)


def users_of(settings: Settings) -> list[str]:
    with open_warehouse(settings) as warehouse:
        return sorted(warehouse.read("features.user_daily", DS, columns=["user_id"])["user_id"])


@pytest.fixture
def copied(played: Settings, tmp_path: Path) -> Iterator[Settings]:
    shutil.copytree(played.warehouse, tmp_path / "copy")
    yield replace(played, warehouse=str(tmp_path / "copy"))


def test_lists_for_everybody_at_once_do_not_hang_on_the_number_of_shards(played: Settings) -> None:
    one, many = (
        score.score_users(replace(played, ration=0.01, shards=shards), DS, None, "hybrid")
        for shards in (1, 20)
    )
    pd.testing.assert_frame_equal(one, many, check_exact=True)


def test_every_active_user_has_one_whole_list(played: Settings, lists: pd.DataFrame) -> None:
    assert sorted(lists["user_id"].unique()) == users_of(played)
    assert lists.groupby("user_id")["rank"].apply(lambda r: sorted(r) == list(range(1, len(r) + 1))).all()
    assert lists.groupby("user_id").size().min() == played.list_size + played.reserve_size
    assert (lists["is_reserve"] == (lists["rank"] > played.list_size)).all()


def test_every_listing_is_live_and_not_the_users_own(played: Settings, lists: pd.DataFrame) -> None:
    with open_warehouse(played) as warehouse:
        items = warehouse.read("staging.items", DS).set_index("item_id")
    assert items.loc[lists["item_id"], "is_live"].all()
    assert (lists["seller_id"].to_numpy() == items.loc[lists["item_id"], "seller_id"].to_numpy()).all()
    assert (lists["user_id"] != lists["seller_id"]).all()
    assert not lists.duplicated(["user_id", "item_id"]).any()


def test_the_arm_decides_and_the_rest_get_the_hybrid(played: Settings, lists: pd.DataFrame) -> None:
    place = lists["user_id"].map({user: n for n, user in enumerate(users_of(played))})
    free = place % 5 == 0
    assert (lists.loc[free, "policy"] == "hybrid").all()
    assert lists.loc[free, ["experiment_id", "arm"]].isna().all().all()
    control = ~free & (place % 3 == 0)
    assert (lists.loc[control, "policy"] == "popularity").all()
    assert (lists.loc[~free, "policy"] == lists.loc[~free, "arm"].map(POLICY_OF)).all()
    assert (lists.loc[~free, "experiment_id"] == "e").all()


def test_the_factors_make_the_expected_revenue(lists: pd.DataFrame) -> None:
    factors = lists["p_purchase"] * lists["price_capped"] * lists["take_rate"]
    product = factors * (1 - lists["p_cancel"]) * lists["p_available"]
    np.testing.assert_allclose(lists["expected_revenue"], product, rtol=1e-9)


def test_two_places_are_drawn_and_everything_else_is_certain(played: Settings, lists: pd.DataFrame) -> None:
    drawn = lists["slot"] == "explored"
    assert set(lists.loc[drawn, "rank"]) == set(played.explored_places)
    assert lists.loc[drawn, "propensity"].between(0.005, 0.999).all()
    shown = ~lists["is_reserve"]
    assert lists.loc[shown & ~drawn, "propensity"].eq(1.0).all()
    hybrid = lists["policy"] == "hybrid"
    draws = drawn.groupby(lists["user_id"]).sum()
    assert draws[lists.loc[hybrid, "user_id"].unique()].eq(len(played.explored_places)).all()
    popular = score.score_users(played, DS, lists["user_id"].unique()[:5].tolist(), "popularity")
    assert popular["propensity"].eq(1.0).all()


def test_what_each_step_cost_is_written_beside_the_lists(played: Settings, lists: pd.DataFrame) -> None:
    with open_warehouse(played) as warehouse:
        steps = warehouse.read("scoring.steps", DS)
    assert set(steps["step"]) >= {"caps", "diversity", "exploration"}
    last = steps[steps["step"] == "exploration"]
    hybrid = lists[(lists["policy"] == "hybrid") & ~lists["is_reserve"]]
    assert last["lists"].sum() == hybrid["user_id"].nunique()
    assert last["places"].sum() == len(hybrid)
    np.testing.assert_allclose(last["revenue_after"].sum(), hybrid["expected_revenue"].sum(), rtol=1e-9)
    top = hybrid.loc[hybrid["rank"] <= 10, "expected_revenue"].sum()
    np.testing.assert_allclose(last["top_after"].sum(), top, rtol=1e-9)
    for _, shard in steps.groupby(["shard", "policy"]):  # each begins where the one before ended
        ordered = shard.sort_values("position")
        np.testing.assert_allclose(ordered["revenue_before"].iloc[1:], ordered["revenue_after"].iloc[:-1])
    assert lists["model"].eq(f"hybrid@{DS}").all()


def test_what_everybody_looks_at_stands_lower_where_the_penalty_is_on(copied: Settings) -> None:
    g, users = 0.5, users_of(copied)[:40]
    fined = Settings.load({"RECSYS_POPULARITY_PENALTY": str(g)}, warehouse=copied.warehouse, shards=1)
    with open_warehouse(copied) as warehouse:
        demand = warehouse.read("features.item_daily", DS).set_index("item_id")["popularity_7d"]
    before, after = (score.score_users(settings, DS, users, "hybrid") for settings in (copied, fined))
    both = before.merge(after, on=["user_id", "item_id"], suffixes=("", "_fined"))
    factor = (1 + demand.loc[both["item_id"]].to_numpy()) ** -g
    np.testing.assert_allclose(both["score_fined"], both["score"] * factor, rtol=1e-5)
    np.testing.assert_array_equal(both["expected_revenue_fined"], both["expected_revenue"])
    mean = [demand.loc[lists.loc[~lists["is_reserve"], "item_id"]].mean() for lists in (before, after)]
    assert mean[1] < 0.9 * mean[0]
    popular = [score.score_users(settings, DS, users[:3], "popularity") for settings in (copied, fined)]
    pd.testing.assert_frame_equal(*popular)
    score.run(fined, DS)
    with open_warehouse(fined) as warehouse:
        steps = warehouse.read("scoring.steps", DS).query("step == 'popularity'")
    assert set(steps["policy"]) == {"hybrid"}
    assert steps["changed"].sum() > 0


def test_the_same_day_gives_the_same_bytes(copied: Settings, lists: pd.DataFrame) -> None:
    folders = [Path(copied.warehouse) / "scoring" / "lists", copied.models_dir]
    before = [fingerprint(folder) for folder in folders]
    for folder in folders:
        shutil.rmtree(folder)
    train.run(copied, DS)
    for shard in (2, 0, 1):
        score.run(copied, DS, shard)
    assert [fingerprint(folder) for folder in folders] == before


def test_later_days_change_nothing(copied: Settings) -> None:
    before = fingerprint(copied.models_dir)
    simulate.run(copied, DS + timedelta(days=1))
    later = DS + timedelta(days=1)
    build.history(copied, later, later, [table.name for table in (*schema.STAGING, *schema.FEATURES)])
    train.run(copied, DS)
    assert fingerprint(copied.models_dir) == before


def test_fewer_shards_leave_no_part_behind(copied: Settings, lists: pd.DataFrame) -> None:
    fewer = replace(copied, shards=1)
    users = users_of(fewer)
    whole = {"shard": 0, "champion": str(DS), "first_user": users[0], "last_user": users[-1]}
    assert plan_shards.run(fewer, DS) == {"shards": [whole]}
    assert score.run(fewer, DS, 0)["users"] == lists["user_id"].nunique()
    with open_warehouse(fewer) as warehouse:
        again = warehouse.read("scoring.lists", DS)
    assert len(again) == len(lists)


@pytest.mark.parametrize("shards", [1, 4, 7])
def test_the_lists_are_the_same_rows_whatever_the_number_of_shards(
    copied: Settings, lists: pd.DataFrame, shards: int
) -> None:
    settings = replace(copied, shards=shards)
    planned = plan_shards.run(settings, DS)["shards"]
    assert isinstance(planned, list)
    done = [score.run(settings, DS, **options) for options in planned]
    assert len(done) == shards
    assert max(int(str(d["users"])) for d in done) - min(int(str(d["users"])) for d in done) <= 1
    with open_warehouse(settings) as warehouse:
        found = warehouse.read("scoring.lists", DS)
    by = ["user_id", "rank"]
    pd.testing.assert_frame_equal(
        found.sort_values(by, ignore_index=True), lists.sort_values(by, ignore_index=True), check_exact=True
    )


def test_a_day_without_active_users_has_empty_lists(copied: Settings) -> None:
    with open_warehouse(copied) as warehouse:
        nobody = warehouse.read("features.user_daily", DS).iloc[:0]
        warehouse.write("features.user_daily", nobody, DS)
    (options,) = plan_shards.run(copied, DS)["shards"]  # type: ignore[misc]
    assert score.run(copied, DS, **options)["users"] == 0
    with open_warehouse(copied) as warehouse:
        assert warehouse.read("scoring.lists", DS).empty


def test_what_was_bought_counts_for_longer_than_what_was_looked_at(copied: Settings) -> None:
    """Read with a window of 4 days for looks: what is older is there if bought, with the purchases alone."""
    sql, params = inputs.snapshot_queries(copied)["touched"]
    with open_warehouse(copied) as warehouse:
        found = warehouse.query(sql, params | {"days": 4}, ds=DS).to_pandas()
        rows = warehouse.read("staging.user_item_daily", DS, start=FIRST)
    acts = rows[["views", "likes", "offers", "carts", "bids", "purchases"]].sum(axis=1) > 0
    late = pd.to_datetime(rows["ds"]) > pd.Timestamp(DS - timedelta(days=4))
    kept = rows[(acts & late) | (rows["purchases"] > 0)].copy()
    kept["carts"] += kept["offers"] + kept["bids"]
    looks = ["views", "likes", "carts"]
    kept.loc[~late, looks] = 0
    expected = kept.groupby(["user_id", "item_id"])[[*looks, "purchases"]].sum()
    assert (~late & (rows["purchases"] > 0)).any() and (late & (rows["purchases"] == 0)).any()
    pd.testing.assert_frame_equal(
        found.set_index(["user_id", "item_id"])[[*looks, "purchases"]], expected, check_dtype=False
    )


def test_a_model_registered_meanwhile_does_not_come_between_two_shards(copied: Settings) -> None:
    models = copied.models_dir / "hybrid"
    before = DS - timedelta(days=3)
    shutil.copytree(models / f"ds={DS}", models / f"ds={before}")
    shutil.rmtree(models / f"ds={DS}")
    shards = plan_shards.run(copied, DS)["shards"]
    assert isinstance(shards, list)
    assert {options["champion"] for options in shards} == {str(before)}
    (models / f"ds={DS}").mkdir()  # newer, and of no use: whoever looks for the newest one fails
    for options in shards:
        score.run(copied, DS, **options)
    shutil.rmtree(models)
    with pytest.raises(ModelError, match=f"ds={before}"):
        score.run(copied, DS, **shards[0])
    with pytest.raises(ModelError, match="recsys train"):
        plan_shards.run(copied, DS)
    with open_warehouse(copied) as warehouse:
        assert warehouse.exists("scoring.lists", DS)


def test_one_policy_for_everyone_without_writing(played: Settings, lists: pd.DataFrame) -> None:
    users = users_of(played)[:5]
    before = fingerprint(Path(played.warehouse) / "scoring")
    popular = score.score_users(played, DS, [*users, "nobody"], "popularity")
    assert sorted(popular["user_id"].unique()) == users
    assert popular["policy"].eq("popularity").all()
    everyone = score.score_users(played, DS, None, "hybrid")
    assert everyone["user_id"].nunique() == lists["user_id"].nunique()
    assert fingerprint(Path(played.warehouse) / "scoring") == before


def test_the_manifest_says_what_was_learned_from_what(played: Settings) -> None:
    facts = train.run(played, DS)
    assert facts["ds"] == str(DS)
    days = facts["training_days"], facts["calibration_days"]
    assert max(days[0]) < min(days[1])  # type: ignore[call-overload]
    metrics = facts["metrics"]
    assert isinstance(metrics, dict)
    known = {"log_loss", "prior_log_loss", "noise", "ece", "purchase_rate", "purchases"}
    judged = {"price_decile_error", "cells_judged", "price_cells_judged"}
    assert set(metrics) == known | judged | {"pair_scorer_calibration_loss"}


def test_only_a_champion_that_learned_from_lists_of_a_ranker_is_remembered(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = newest_champion(copied.models_dir, DS)
    assert first.facts["ranked_days"] == 0
    assert str(first.saw) == max(first.facts["calibration_days"])  # type: ignore[call-overload]
    long_ago = {"training_days": ["2026-01-01"], "calibration_days": ["2026-01-02"]}
    given: list[dict[str, object]] = []

    def fitted(*args: object, **options: object) -> tuple[object, dict[str, float]]:
        given.append(options)
        return first.scorer, {}

    monkeypatch.setattr(train, "train_scorer", fitted)
    settings = replace(copied, champion_gate=False)
    for facts in (None, long_ago, long_ago | {"ranked_days": 3}, {"ranked_days": 3}):
        before = replace(first, facts={**first.facts, **facts}) if facts else None
        monkeypatch.setattr(train, "champion_before", lambda *_, it=before: it)
        parameters = train.run(settings, DS) and newest_champion(copied.models_dir, DS).facts["parameters"]
        assert parameters["ranker"]["memory"] == given[-1]["memory"]  # type: ignore[index]
        assert given[-1]["champion"] is (before.scorer if before else None)
        assert given[-1]["champion_saw"] == (before.saw.toordinal() - 1 if before else 0)
    assert [options["memory"] for options in given] == [0.0, 0.0, MEMORY, 0.0]

    days = sorted(str(day) for name in ("training_days", "calibration_days") for day in first.facts[name])  # type: ignore[attr-defined]
    (copied.models_dir / "hybrid" / f"ds={days[-3]}").mkdir()  # whether or not it can be loaded
    assert train.run(settings, DS)["ranked_days"] == 2
    monkeypatch.setattr(train, "LEAST_PURCHASES", 10**6)
    assert train.run(settings, DS)["ranked_days"] == 0, "replayed pairs are of no list"


def test_a_refused_model_leaves_the_champion(copied: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(copied.models_dir)

    def refuse(*_: object) -> None:
        raise ModelError("Gate: refused.")

    monkeypatch.setattr("recsys.ranking.training.gate", refuse)
    with pytest.raises(ModelError, match="refused"):
        train.run(copied, DS)
    assert fingerprint(copied.models_dir) == before


def test_scoring_names_what_is_missing(copied: Settings) -> None:
    with pytest.raises(ModelError, match="out of range"):
        score.run(copied, DS, 3)
    with pytest.raises(ModelError, match="out of range"):
        score.run(copied, DS, 3, first_user="a", last_user="b")
    with pytest.raises(ModelError, match="two ends"):
        score.run(copied, DS, 0, first_user="a")
    with pytest.raises(WarehouseError, match=r"features\.user_daily has no partition 2026-03-01"):
        score.run(copied, date(2026, 3, 1), 0)
    with pytest.raises(WarehouseError, match=r"features\.item_group has no partition 2026-03-01"):
        score.run(copied, date(2026, 3, 1), 0, first_user="a", last_user="b")
    shutil.rmtree(copied.models_dir)
    with pytest.raises(ModelError, match="recsys train"):
        score.run(copied, DS, 0)


def test_training_without_features_says_how_many_days_it_needs(copied: Settings) -> None:
    early = FIRST + timedelta(days=2)
    with pytest.raises(ModelError, match="found 0"):
        train.run(copied, early)


def test_the_days_whose_late_events_are_out_do_not_train_once_a_week_is_settled(
    played: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_warehouse(played) as warehouse:
        assert train._training_days(warehouse, played, DS)[-1] == DS
        monkeypatch.setattr(train, "SETTLED_DAYS", 5)
        assert train._training_days(warehouse, played, DS)[-1] == DS - timedelta(days=played.late_days)


def test_a_purchase_of_the_next_day_counts_once(played: Settings) -> None:
    day = DS - timedelta(days=3)
    with open_warehouse(played) as warehouse:
        found = train.outcome_of(warehouse, day, DS).set_index(["user_id", "item_id"])
        rows = pd.concat(
            [warehouse.read("staging.user_item_daily", day + timedelta(days=n)) for n in range(4)]
        )
    assert found.index.is_unique
    on = [
        rows[pd.to_datetime(rows["event_date"]) == pd.Timestamp(d)]
        .groupby(["user_id", "item_id"])[["impressions", "purchases"]]
        .sum()
        for d in (day, day + timedelta(days=1))
    ]
    later = on[1].reindex(found.index).fillna(0)
    counts = (found["impressions"] > 0) & (later["impressions"] == 0)
    expected = on[0].loc[found.index, "purchases"] + later["purchases"].where(counts, 0)
    assert (found["purchases"] == expected).all()


def test_what_stood_on_pages_that_users_asked_for_is_learned_from_too(played: Settings) -> None:
    days = [DS - timedelta(days=n) for n in (3, 2)]
    with open_warehouse(played) as warehouse:
        found = train.off_lists(warehouse, days, DS)
        events = pd.concat(
            [warehouse.read("staging.events", days[0] - timedelta(days=n)) for n in (0, -1, -2, -3)]
        )
    events["event_date"] = pd.to_datetime(events["event_date"])
    events = events[events["event_date"].isin([pd.Timestamp(day) for day in days])]
    events = events[events["surface"].isin(["search", "browse"])]
    of = ["user_id", "item_id", "surface", "event_date"]
    counted = events.assign(n=1).pivot_table("n", of, "event_type", "sum", fill_value=0)
    expected = counted[counted["impression"] > 0]
    found = found.assign(event_date=pd.to_datetime(found["event_date"])).set_index(of)
    assert set(found.index) == set(expected.index)
    assert (found["clicked"] == expected["view"].reindex(found.index)).all()
    assert (found["purchased"] == expected["purchase"].reindex(found.index)).all()
    first = events[events["event_type"] == "impression"].groupby(of)["position"].min()
    assert (found["position"] == first.reindex(found.index)).all()
    facts = train.run(replace(played, champion_gate=False), DS)
    assert int(str(facts["pairs_off_lists"])) > 0


def test_a_backtest_by_groups_keeps_what_was_listed_after_the_cut(played: Settings) -> None:
    cut = DS - timedelta(days=2)
    data, listings = backtest._read(played, cut, DS + timedelta(days=1))
    assert 0 < listings["cold"] < listings["purchases"]
    assert listings["without_group"] == 0
    bought = data.daily[data.daily["event_date"] >= pd.Timestamp(cut)]
    assert bought["purchases"].sum() >= listings["purchases"]


def test_replay_learns_where_nothing_was_shown(copied: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "LEAST_PURCHASES", 10**6)
    assert train.run(copied, DS)["learned_from"] == "replay"
