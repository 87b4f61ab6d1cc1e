"""Training reads a part of the users of a large marketplace: about as many as wanted, the same ones on every day."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from recsys.jobs import inputs, train
from recsys.ranking.champion import load_champion
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.jobs.conftest import PLAYED_DAYS, PLAYED_FROM

DS = PLAYED_FROM + timedelta(days=PLAYED_DAYS - 1)
DAYS = [DS - timedelta(days=back) for back in (2, 1, 0)]
HALF = inputs.ALL_USERS // 2


def test_of_few_users_all_are_read_and_of_many_about_as_many_as_wanted(
    played: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_warehouse(played) as warehouse:
        assert train.most_users(warehouse, DS) == inputs.ALL_USERS
        monkeypatch.setattr(train, "TRAIN_DAYS", 3)
        users = set().union(*(warehouse.read("staging.user_item_daily", day)["user_id"] for day in DAYS))
        monkeypatch.setattr(train, "MOST_USERS", len(users) // 2)
        assert train.most_users(warehouse, DS) == pytest.approx(HALF, rel=2 / len(users))


def test_a_user_is_in_on_every_day_or_on_none(played: Settings) -> None:
    with open_warehouse(played) as warehouse:
        whole, part = (
            [train.outcome_of(warehouse, day, DS, most) for day in DAYS] for most in (inputs.ALL_USERS, HALF)
        )
        pages = [train.off_lists(warehouse, DAYS, DS, most) for most in (inputs.ALL_USERS, HALF)]
    drawn = set(pd.concat(part)["user_id"])
    asked = pages[0][pages[0]["user_id"].isin(pages[1]["user_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(pages[1], asked)
    assert 0.35 < len(asked) / len(pages[0]) < 0.65
    assert 0.35 < len(drawn) / pd.concat(whole)["user_id"].nunique() < 0.65
    for before, after in zip(whole, part, strict=True):
        kept = before[before["user_id"].isin(drawn)].reset_index(drop=True)
        pd.testing.assert_frame_equal(after, kept)


def test_of_many_pages_those_of_fewer_users_are_read(
    played: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_warehouse(played) as warehouse:
        whole = train.off_lists(warehouse, DAYS, DS, HALF)
        monkeypatch.setattr(train, "MOST_OFF_LISTS", len(whole))
        assert len(train.off_lists(warehouse, DAYS, DS, HALF)) == len(whole)
        monkeypatch.setattr(train, "MOST_OFF_LISTS", len(whole) // 3)
        part = train.off_lists(warehouse, DAYS, DS, HALF)
    assert 0.2 < len(part) / len(whole) < 0.47
    kept = whole[whole["user_id"].isin(part["user_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, kept)


def test_the_snapshot_holds_the_users_that_are_learned_from_and_the_whole_shelf(played: Settings) -> None:
    assert inputs.DRAWN in train.SHOWN
    assert inputs.DRAWN in train.OFF_LISTS
    with open_warehouse(played) as warehouse:
        whole = inputs.read_snapshot(warehouse, played, DS)
        part = inputs.read_snapshot(warehouse, played, DS, most=HALF)
        learned = train.outcome_of(warehouse, DS, DS, HALF)["user_id"]
    known = learned[learned.isin(whole.audience.user_ids)]
    assert known.isin(part.audience.user_ids).all()
    assert 0.35 < len(part.audience) / len(whole.audience) < 0.65
    assert part.history.user_ids.isin(part.audience.user_ids).all()
    assert part.shelf.item_ids.equals(whole.shelf.item_ids)


def test_a_model_is_trained_on_a_part(played: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_warehouse(played) as warehouse:
        monkeypatch.setattr(train, "most_users", lambda *_: int(0.8 * inputs.ALL_USERS))
        few = train.train_market(warehouse, played, DS).facts
    many = load_champion(played.models_dir, DS).facts
    assert few["learned_from"] == many["learned_from"] == "impressions"
    assert 0.6 < int(str(few["pairs"])) / int(str(many["pairs"])) < 0.95
