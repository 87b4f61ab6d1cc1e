"""The keyword jobs over a small marketplace whose sellers advertise: from searches and campaigns to published lists."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from recsys.cli import app
from recsys.errors import KeywordError
from recsys.jobs import (
    assign,
    build,
    check,
    keywords_backtest,
    keywords_clean,
    keywords_item,
    keywords_plan,
    keywords_score,
    keywords_train,
    simulate,
)
from recsys.jobs.keywords_inputs import FEATURES, PUBLISHED, VARIANTS, running
from recsys.keywords.champion import newest_model
from recsys.keywords.choose import SetRules
from recsys.keywords.features import FEATURES as KEYWORD_FEATURES
from recsys.keywords.labels import Frames
from recsys.keywords.ranker import MODELS, KeywordRanker
from recsys.settings import Settings
from recsys.synthetic import preset
from recsys.warehouse import open_warehouse
from tests.keywords.ads import world

FIRST, DAYS = date(2026, 1, 1), 22
DS = FIRST + timedelta(days=DAYS - 1)
WEEK = timedelta(days=7)
LISTS = "scoring.keyword_lists"
CAMPAIGNS = ("marketplace.campaigns", "marketplace.campaign_keywords", "marketplace.campaign_daily")
STAGED = "staging.campaigns"


def week_of(settings: Settings, ds: date) -> dict[str, object]:
    """What the DAG keywords_weekly does on ``ds``, checks included; the summary of the training."""
    for table in FEATURES:
        build.run(settings, ds, table=table)
    check.run(settings, ds, "keyword_features")
    keywords_clean.run(settings, ds)
    check.run(settings, ds, "keyword_texts")
    trained = keywords_train.run(settings, ds)
    for options in keywords_plan.run(settings, ds)["shards"]:  # type: ignore[attr-defined]
        keywords_score.run(settings, ds, **options)
    check.run(settings, ds, "keyword_lists")
    assign.run(settings, ds)
    build.run(settings, ds, table=PUBLISHED)
    check.run(settings, ds, "published_keywords")
    build.run(settings, ds, table="monitoring.keyword_adoption")
    return trained


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three weeks of searches and campaigns, staged; no keyword features but those of the last day."""
    settings = Settings.load({}, warehouse=str(tmp_path_factory.mktemp("ads") / "warehouse"), shards=2)
    with pytest.MonkeyPatch.context() as patch:
        config = preset("small", campaign_share=0.5, first_day=FIRST, seed=settings.seed)
        patch.setattr(simulate, "_config", lambda *_: config)
        simulate.history(settings, FIRST, DAYS, size="small")
    build.history(settings, FIRST, DS, ["staging"])
    for back in range(4):
        build.history(settings, DS - back * WEEK, DS - back * WEEK, ["features.item_group"])
    return settings


@pytest.fixture(scope="module")
def made(market: Settings) -> Settings:
    """The same after the week of DS, whose ranker passes whatever it predicts: the world is small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keywords_train, "CONFIDENT", 1e9)
        trained = week_of(market, DS)
    assert trained["model"] == f"keywords@{DS}", trained
    return market


@pytest.fixture
def copied(made: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(made.warehouse, tmp_path / "copy", ignore=shutil.ignore_patterns("_spill", "_synthetic"))
    return replace(made, warehouse=str(tmp_path / "copy"))


def prints(settings: Settings, *folders: str) -> dict[str, str]:
    root = Path(settings.warehouse)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }


def read(settings: Settings, table: str, ds: date = DS) -> pd.DataFrame:
    with open_warehouse(settings) as warehouse:
        return warehouse.read(table, ds)


def test_live_listings_get_a_set_with_what_to_expect_and_why(made: Settings) -> None:
    lists, items = read(made, PUBLISHED), read(made, "features.keyword_items")
    live = items[items["is_live"]]
    assert set(lists["item_id"]) <= set(live["item_id"])
    assert lists["item_id"].nunique() > 0.5 * len(live)
    assert lists.groupby("item_id").size().max() <= made.keywords
    assert (lists["reason"].str.endswith(".")).all()
    assert (lists["p_win"].between(0, 1) & (lists["expected_profit"] >= 0)).all()
    campaigns = running(read(made, "features.campaign_history")).set_index("item_id")
    bound = lists[lists["campaign_id"].notna()].drop_duplicates("item_id").set_index("item_id")
    assert len(bound) > 10
    assert (bound["ad_rate"] == campaigns["ad_rate"].reindex(bound.index)).all()
    assert (bound["campaign_id"] == campaigns["campaign_id"].reindex(bound.index)).all()
    others = lists[lists["campaign_id"].isna()]
    assert (others["ad_rate"] == campaigns["ad_rate"].median()).all()


def test_training_builds_the_weeks_it_lacks_and_says_what_it_learned_from(made: Settings) -> None:
    with open_warehouse(made) as warehouse:
        assert warehouse.partitions("features.keyword_items") == [DS - back * WEEK for back in (3, 2, 1, 0)]
    manifest = json.loads((made.models_dir / "keywords" / f"ds={DS}" / "manifest.json").read_text())
    assert manifest["weeks"] == [str(DS - back * WEEK) for back in (3, 2, 1)]
    assert manifest["metrics"].keys() >= {"log_loss", "log_loss_of_one_rate", "auc", "ece", "purchase_ratio"}
    assert manifest["ranker"] == "logistic"
    assert manifest["coefficients"]["click"].keys() >= set(KEYWORD_FEATURES)
    assert any(weight != 0 for weight in manifest["coefficients"]["click"].values())


def test_the_lists_of_a_week_have_the_same_bytes_when_they_are_made_again(copied: Settings) -> None:
    folders = ("scoring", "marts", "monitoring/keyword_adoption")
    before = prints(copied, *folders)
    keywords_clean.run(copied, DS)
    for options in keywords_plan.run(copied, DS)["shards"]:  # type: ignore[attr-defined]
        keywords_score.run(copied, DS, **options)
    build.run(copied, DS, table=PUBLISHED)
    build.run(copied, DS, table="monitoring.keyword_adoption")
    assert prints(copied, *folders) == before


def test_a_week_keeps_the_keywords_of_the_week_before_and_says_whether_it_was_there(copied: Settings) -> None:
    """A week that ran before its predecessor starts afresh; run again after it, it has the bytes of the right order."""
    alone = keywords_clean.run(copied, DS)
    assert alone["kept from"] is None
    keywords_clean.run(copied, DS - WEEK)
    first = keywords_clean.run(copied, DS)
    in_order = prints(copied, "scoring/keyword_variants")
    assert first["kept from"] == str(DS - WEEK)
    with open_warehouse(copied) as warehouse:
        warehouse.drop(VARIANTS, DS)
        warehouse.drop(VARIANTS, DS - WEEK)
    for day in (DS, DS - WEEK, DS):
        keywords_clean.run(copied, day)
    assert prints(copied, "scoring/keyword_variants") == in_order


def test_last_weeks_keywords_stay_unless_clearly_beaten(copied: Settings) -> None:
    """What was published a week ago and still is a candidate is found in the list more often than without that."""
    lists = read(copied, PUBLISHED)
    tail = lists[lists["rank"] == lists.groupby("item_id")["rank"].transform("max")]
    with open_warehouse(copied) as warehouse:
        warehouse.write(PUBLISHED, tail.assign(rank=1, ds=DS - WEEK), DS - WEEK)
    for options in keywords_plan.run(copied, DS)["shards"]:  # type: ignore[attr-defined]
        keywords_score.run(copied, DS, **options)
    now = read(copied, LISTS).set_index(["item_id", "keyword"])["rank"]
    then = tail.set_index(["item_id", "keyword"])["rank"]
    assert now.reindex(then.index).notna().all()
    assert (now.reindex(then.index) < then).any()
    build.run(copied, DS, table=PUBLISHED)
    build.run(copied, DS, table="monitoring.keyword_adoption")
    adoption = read(copied, "monitoring.keyword_adoption").set_index("origin")
    assert adoption.loc["all", "kept_share"] == 1.0
    assert adoption.loc["all", "offered_items"] == tail["item_id"].nunique()


def test_a_keyword_of_last_week_stays_when_its_cluster_goes_by_another_text(copied: Settings) -> None:
    """The last lists were published under one text of their clusters, which are called by another one today."""
    variants, lists = read(copied, VARIANTS), read(copied, PUBLISHED)
    others = variants[variants["keyword"].notna() & (variants["raw"] != variants["keyword"])]
    old = others.drop_duplicates("keyword").set_index("keyword")["raw"]
    tail = lists[lists["keyword"].isin(old.index)]
    tail = tail.sort_values(["item_id", "rank"]).drop_duplicates("item_id", keep="last")
    with open_warehouse(copied) as warehouse:
        model, market = newest_model(copied.models_dir, DS), keywords_score.read_market(warehouse, DS)
        shelf = keywords_score.read_shelf(warehouse, DS, tail["item_id"].min(), tail["item_id"].max())
    shelf = shelf[shelf["item_id"].isin(tail["item_id"])].reset_index(drop=True)
    rules = SetRules(loyalty=1e6)
    then = tail[["item_id", "keyword"]]
    for text in (then["keyword"], then["keyword"].map(old)):
        now = keywords_score.propose(model, market, shelf, rules, then.assign(keyword=text))
        first = now[now["rank"] == 1].set_index("item_id")["keyword"]
        assert len(then) > 10
        assert (first.reindex(then["item_id"]).to_numpy() == then["keyword"].to_numpy()).all()


def test_the_floor_of_relevance_is_a_setting(made: Settings) -> None:
    strict = replace(made, keyword_relevance=0.9)
    assert keywords_score.set_rules(strict).least_relevance == 0.9
    item = str(read(made, PUBLISHED)["item_id"].iloc[0])
    assert len(keywords_item.run(strict, item)) < len(keywords_item.run(made, item))


def test_the_ranker_is_a_setting(copied: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keywords_train, "CONFIDENT", 1e9)
    trained = keywords_train.run(replace(copied, keyword_model="lightgbm"), DS)
    model = newest_model(copied.models_dir, DS)
    assert (trained["ranker"], model.system.ranker.click.kind) == ("lightgbm", "lightgbm")
    assert model.facts["coefficients"].keys() == {"winning", "relevance"}  # type: ignore[attr-defined]


def test_every_ranker_of_keywords_can_be_set() -> None:
    for name in MODELS:
        assert Settings.load({"RECSYS_KEYWORD_MODEL": name}).keyword_model == name


def test_a_ranker_that_predicts_worse_than_one_rate_is_refused(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        KeywordRanker,
        "predict",
        lambda _, features: (np.full(len(features), 0.999), np.full(len(features), 0.5)),
    )
    before = prints(copied, "_models/keywords")
    told = keywords_train.run(copied, DS)
    assert told["kept"] == str(DS)
    assert told["refused"]["behind"] > told["refused"]["by_chance"] > 0  # type: ignore[index]
    assert prints(copied, "_models/keywords") == before


@pytest.mark.parametrize(
    ("silent", "told"),
    [
        ((4,), "No ad was shown in the week after"),
        ((1, 2), "2 weeks of ads"),
        ((1,), "No campaign started in the 21 days"),
    ],
)
def test_campaigns_that_have_ceased_are_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, silent: tuple[int, ...], told: str
) -> None:
    """No ad was shown in some weeks, and no campaign of this world is young: the model before goes on."""
    made = world(weeks=4, items=40)
    for number in silent:
        typed = made[number].typed
        before = made[number - 1].typed["history"]
        for later in range(number, len(made)):
            history = made[later].typed["history"].copy()
            for name in ("impressions", "clicks", "purchases"):
                history[name] -= typed["history"][name].to_numpy() - before[name].to_numpy()
            frame = made[later]
            made[later] = Frames.of(
                frame.ds, items=frame.items, variants=frame.variants, **{**frame.typed, "history": history}
            )
    by_day = {frame.ds: frame for frame in made}
    monkeypatch.setattr(keywords_train, "read_variants", lambda *_: None)
    monkeypatch.setattr(keywords_train, "fill", lambda *_: sorted(by_day))
    monkeypatch.setattr(keywords_train, "read_frames", lambda _, day, *__: by_day[day])
    settings = Settings.load({}, warehouse=str(tmp_path / "warehouse"))
    assert told in str(keywords_train.run(settings, made[-1].ds)["skipped"])
    assert not list(settings.models_dir.rglob("manifest.json"))


def test_a_marketplace_without_campaigns_gets_empty_lists(market: Settings, tmp_path: Path) -> None:
    shutil.copytree(market.warehouse, tmp_path / "copy", ignore=shutil.ignore_patterns("_*"))
    settings = replace(market, warehouse=str(tmp_path / "copy"))
    with open_warehouse(settings) as warehouse:
        for table in CAMPAIGNS:
            shutil.rmtree(Path(settings.warehouse) / table.replace(".", "/"), ignore_errors=True)
        for table in (*FEATURES, STAGED):
            for day in warehouse.partitions(table):
                warehouse.drop(table, day)
    build.run(settings, DS, table=STAGED)
    assert "skipped" in week_of(settings, DS)
    assert read(settings, PUBLISHED).empty
    variants = read(settings, VARIANTS)
    with open_warehouse(settings) as warehouse:
        searches = warehouse.read("staging.user_search_daily", DS, start=DS - timedelta(days=60))
    people = searches.groupby("query")["user_id"].nunique()
    assert (people < settings.min_searchers).any(), "nothing rare was typed, so nothing is shown by this"
    assert len(variants) > 50
    assert people[variants["raw"]].min() >= settings.min_searchers


def test_what_a_seller_pays_later_leaves_an_earlier_week_as_it_was(copied: Settings) -> None:
    before = prints(copied, "features", "staging")
    with open_warehouse(copied) as warehouse:
        campaigns = warehouse.read("marketplace.campaigns")
        warehouse.write("marketplace.campaigns", campaigns.assign(ad_rate=campaigns["ad_rate"] * 2))
    build.history(copied, DS, DS, [STAGED])
    for table in FEATURES:
        build.run(copied, DS, table=table)
    assert prints(copied, "features", "staging") == before
    build.run(copied, DS, table=STAGED, refresh=True)
    build.run(copied, DS, table="features.campaign_history")
    assert prints(copied, "features", "staging") != before


def test_one_listing_is_answered_for_whether_published_or_just_put_up(copied: Settings) -> None:
    lists = read(copied, PUBLISHED)
    item = lists["item_id"].iloc[0]
    mine = keywords_item.run(copied, item)
    assert mine["keyword"].tolist() == lists.loc[lists["item_id"] == item, "keyword"].tolist()
    with open_warehouse(copied) as warehouse:
        items = warehouse.read("marketplace.items")
        row = items[items["item_id"] == item].assign(item_id="fresh", seller_id="new", closed_at=pd.NaT)
        warehouse.write("marketplace.items", pd.concat([items, row]))
    fresh = keywords_item.run(copied, "fresh", DS, ad_rate=0.05)
    assert set(fresh["keyword"]) & set(mine["keyword"])
    assert (fresh["ad_rate"] == 0.05).all()
    assert fresh["campaign_id"].isna().all()
    cheaper = keywords_item.run(copied, "fresh", DS, ad_rate=0.01)
    assert cheaper["p_win"].mean() != fresh["p_win"].mean()
    assert keywords_item.run(copied, "fresh", DS, ad_rate=0.05, budget=0.001).empty


def test_a_price_that_was_changed_since_is_the_one_that_a_sale_brings(copied: Settings) -> None:
    lists = read(copied, PUBLISHED)
    item = lists["item_id"].iloc[0]
    before = keywords_item.run(copied, item)
    with open_warehouse(copied) as warehouse:
        items = warehouse.read("marketplace.items")
        items["price"] = items["price"].where(items["item_id"] != item, 2 * items["price"])
        warehouse.write("marketplace.items", items)
    now, then = keywords_item.run(copied, item), keywords_item.run(copied, item, DS)
    pd.testing.assert_frame_equal(then, before)
    earned, earns = (float((rows["expected_profit"] / rows["expected_sales"]).mean()) for rows in (then, now))
    assert earns == pytest.approx(2 * earned)


def test_a_listing_just_put_up_stands_among_those_of_its_category(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = read(copied, "features.keyword_items").set_index("item_id")
    item = read(copied, PUBLISHED)["item_id"].iloc[0]
    with open_warehouse(copied) as warehouse:
        items = warehouse.read("marketplace.items")
        row = items[items["item_id"] == item].assign(item_id="fresh")
        warehouse.write("marketplace.items", pd.concat([items, row]))
    asked = []
    monkeypatch.setattr(keywords_item, "propose", lambda _, __, shelf, *___, **____: asked.append(shelf))
    for name in ("fresh", item):
        keywords_item.run(copied, name)
    fresh, same = (shelf.iloc[0] for shelf in asked)
    assert fresh["live_in_category"] == known.loc[item, "live_in_category"] + 1 > 2
    assert (fresh["age_days"], fresh["views_30d"]) == (0, 0)
    told = ["live_in_category", "parent_category_id", "age_days", "views_30d", "price"]
    assert same[told].tolist() == known.assign(price=known["price"].astype(float)).loc[item, told].tolist()


def test_a_listing_that_was_sold_since_gets_no_keywords(copied: Settings) -> None:
    item = read(copied, PUBLISHED)["item_id"].iloc[0]
    with open_warehouse(copied) as warehouse:
        items = warehouse.read("marketplace.items")
        sold = items["item_id"] == item
        items.loc[sold, ["closed_at", "close_reason"]] = pd.Timestamp(DS + WEEK, tz="UTC"), "sold"
        warehouse.write("marketplace.items", items)
    with pytest.raises(KeywordError, match=f"No open listing '{item}'"):
        keywords_item.run(copied, item)
    assert len(keywords_item.run(copied, item, DS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"item": "nobody"}, "No open listing 'nobody'"),
        ({"item": "i", "ad_rate": 1.5}, "ad rate is 1.5"),
        ({"item": "i", "budget": 0.0}, "budget is 0.0"),
        ({"item": "i", "ds": FIRST}, "No keyword model"),
    ],
)
def test_what_cannot_be_answered_is_told(made: Settings, options: dict[str, object], message: str) -> None:
    with pytest.raises(KeywordError, match=message):
        keywords_item.run(made, **options)  # type: ignore[arg-type]


def test_lists_of_an_evening_are_judged_by_the_week_after(copied: Settings, tmp_path: Path) -> None:
    out, cut = tmp_path / "figures.json", str(DS - WEEK)
    asked = ["keywords", "backtest", "--cut", cut, "--json", str(out), "--warehouse", copied.warehouse]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text(encoding="utf-8"))["systems"]
    assert [written[n]["system"] for n in (0, -1)] == ["popularity in the category", "the set"]
    assert "the set" in result.output
    typed, everything = (
        sum(written[0][f"{name}{end}"] for name in ("several", "single")) for end in ("", "_with_proposed")
    )
    assert 0 <= typed <= everything
    assert "proposed" in result.output
    with pytest.raises(KeywordError, match=f"less than a week after {DS}"):
        keywords_backtest.run(copied, DS, DS)


def test_the_command_prints_and_writes_the_set(made: Settings, tmp_path: Path) -> None:
    item = str(read(made, PUBLISHED)["item_id"].iloc[0])
    out = tmp_path / "set.json"
    asked = ["keywords", "recommend", "--item", item, "--json", str(out), "--warehouse", made.warehouse]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text(encoding="utf-8"))
    assert [row["rank"] for row in written] == list(range(1, len(written) + 1))
    assert written[0]["keyword"].split()[0] in result.output
