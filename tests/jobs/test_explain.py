"""`recsys explain` over a small marketplace: every place has a reason, its factors and what moved the ranker."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from recsys.cli import app
from recsys.errors import ContractError, WarehouseError
from recsys.jobs import build, explain, plan_shards, score
from recsys.ranking.explain import TEXTS
from recsys.reports.placements import print_placements
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.jobs.conftest import PLAYED_DAYS, PLAYED_FROM

DS = PLAYED_FROM + timedelta(days=PLAYED_DAYS - 1)


@pytest.fixture(scope="module")
def published(played: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small marketplace, and the lists of its last day."""
    folder = tmp_path_factory.mktemp("explain") / "warehouse"
    shutil.copytree(played.warehouse, folder)
    settings = replace(played, warehouse=str(folder), shards=1)
    for options in plan_shards.run(settings, DS)["shards"]:  # type: ignore[attr-defined]
        score.run(settings, DS, **options)
    build.run(settings, DS, table="marts.recommendations")
    return settings


@pytest.fixture(scope="module")
def lists(published: Settings) -> pd.DataFrame:
    with open_warehouse(published) as warehouse:
        return warehouse.read("marts.recommendations", DS)


def test_every_place_has_a_reason_and_a_liked_listing_was_liked(
    published: Settings, lists: pd.DataFrame
) -> None:
    assert lists["reason"].notna().all()
    starts = tuple({text.partition("{}")[0] for pair in TEXTS.values() for text in pair if text})
    assert lists["reason"].str.startswith(starts).all()
    with open_warehouse(published) as warehouse:
        acts = warehouse.read("staging.user_item_daily", DS, start=PLAYED_FROM)
    for verb, column in (("liked", "likes"), ("bought", "purchases"), ("looked at", "views")):
        done = acts.loc[acts[column] > 0, ["user_id", "item_id"]].itertuples(index=False, name=None)
        said = lists[lists["reason"].str.startswith(f"Similar to something you {verb}")]
        assert len(said)
        assert set(said[["user_id", "reason_item"]].itertuples(index=False, name=None)) <= set(done)
    plain = ~lists["reason"].str.startswith("Similar to")
    assert lists.loc[plain, "reason_item"].isna().all()


def test_no_reason_names_a_user(lists: pd.DataFrame) -> None:
    named = set(lists["user_id"]) | set(lists["seller_id"])
    words = set(" ".join(lists["reason"].unique()).replace(",", " ").split())
    assert not named & (words | set(lists["reason_item"].dropna()))


def test_contributions_add_up_to_the_probability_of_the_list(
    published: Settings, lists: pd.DataFrame, tmp_path: Path
) -> None:
    user, path = lists["user_id"].iloc[0], tmp_path / "why.json"
    told = explain.run(published, DS, user, path)
    assert json.loads(path.read_text(encoding="utf-8")) == told
    mine = lists[lists["user_id"] == user].sort_values("rank")
    assert [p["item_id"] for p in told["places"]] == mine["item_id"].tolist()
    assert told["differs"] == told["contributions_missing"] == ""
    for place, p in zip(told["places"], mine["p_judged"], strict=True):
        odds = place["log_odds_base"] + sum(place["contributions"].values())
        assert place["factors"]["p_judged"] == p
        np.testing.assert_allclose([place["p_recomputed"], 1 / (1 + np.exp(-odds))], p, rtol=1e-4)


def test_the_terminal_shows_reason_factors_and_drivers(published: Settings, lists: pd.DataFrame) -> None:
    console = Console(width=250, file=io.StringIO(), record=True)
    said = lists[lists["reason_item"].notna()].iloc[0]
    print_placements(explain.run(published, DS, said["user_id"]), console, int(said["rank"]))
    printed = console.export_text()
    for text in (said["reason"], said["reason_item"], said["item_id"], f"{said['p_purchase']:.5f}", "×"):
        assert text in printed


def test_without_the_model_the_rest_is_told(published: Settings, lists: pd.DataFrame, tmp_path: Path) -> None:
    shutil.copytree(published.warehouse, tmp_path / "copy")
    copied = replace(published, warehouse=str(tmp_path / "copy"))
    shutil.rmtree(copied.models_dir)
    told = explain.run(copied, DS, lists["user_id"].iloc[0])
    assert "recsys train" in told["contributions_missing"] or "missing" in told["contributions_missing"]
    assert told["places"][0]["reason"] and told["places"][0]["contributions"] == {}
    console = Console(width=250, file=io.StringIO(), record=True)
    print_placements(told, console)
    assert told["contributions_missing"] in console.export_text()


def test_no_list_is_told_why(published: Settings, lists: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="No user 'nobody' was known on 2026-01-16"):
        explain.run(published, DS, "nobody")
    with pytest.raises(WarehouseError, match=r"from 2026-01-16 to 2026-01-16.*recsys score --ds 2026-01-17"):
        explain.run(published, DS + timedelta(days=1), "nobody")
    shutil.copytree(published.warehouse, tmp_path / "copy")
    copied, user = replace(published, warehouse=str(tmp_path / "copy")), lists["user_id"].iloc[0]
    with open_warehouse(copied) as warehouse:
        warehouse.write("marts.recommendations", lists[lists["user_id"] != user], DS)
    with pytest.raises(ContractError, match="not among those published"):
        explain.run(copied, DS, user)
    with open_warehouse(copied) as warehouse:
        active = warehouse.read("features.user_daily", DS)
        warehouse.write("features.user_daily", active[active["user_id"] != user], DS)
    with pytest.raises(ContractError, match="neither acted nor registered in the 90 days"):
        explain.run(copied, DS, user)


def test_the_command_prints_and_writes_it(published: Settings, lists: pd.DataFrame, tmp_path: Path) -> None:
    first, path = lists[lists["rank"] == 1].iloc[0], tmp_path / "why.json"
    arguments = ["explain", "--user", first["user_id"], "--ds", str(DS), "--places", "1", "--json", str(path)]
    result = CliRunner().invoke(app, [*arguments, "-w", published.warehouse])
    assert result.exit_code == 0, result.output
    assert first["item_id"] in result.output and "Why it is there" in result.output
    assert (
        len(json.loads(path.read_text(encoding="utf-8"))["places"])
        == (lists["user_id"] == first["user_id"]).sum()
    )
