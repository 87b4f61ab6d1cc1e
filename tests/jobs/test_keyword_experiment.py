"""The experiment of docs/keyword-experiments.md from its definition to its letter: who is offered, who counts, what use did."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ExperimentError
from recsys.experiments.statistics import Moments, effect_of_use
from recsys.jobs import assign, build, check, declare, experiment_report, results
from recsys.reports.experiment import render_letter, render_markdown, render_page
from recsys.schema import table
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse import open_warehouse

EVE, START = date(2026, 3, 1), date(2026, 3, 2)  # a Sunday and the Monday from which keywords are offered
LAST = START + timedelta(days=9)
SELLERS = [f"s{n:04d}" for n in range(1200)]
LATE = "s9999"
ID = "keywords_offered"


def filled(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    plain: dict[str, Any] = {"STRING": "x", "INT64": 0, "FLOAT64": 0.0, "NUMERIC": 0, "BOOL": False}
    contract = table(name)
    defaults = {c.name: plain.get(c.type) if c.required else None for c in contract.columns}
    return pd.DataFrame([defaults | row for row in rows], columns=list(defaults))


def put(settings: Settings, name: str, ds: date, rows: list[dict[str, Any]]) -> None:
    with open_warehouse(settings) as warehouse:
        warehouse.write(name, filled(name, [row | {"ds": ds} for row in rows]), ds)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Ten days of sellers; better ones take the offer more often, and it sells for those who do."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(PROJECT_ROOT / "include", home / "include")
    shutil.copytree(PROJECT_ROOT / "expectations", home / "expectations")
    for path in (home / "include" / "experiments").glob("*.yaml"):
        path.unlink()
    page = (PROJECT_ROOT / "docs" / "keyword-experiments.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (home / "include" / "experiments" / f"{ID}.yaml").write_text(block, encoding="utf-8")
    settings = Settings(warehouse=str(home / "warehouse"), home=str(home))
    days = [EVE + timedelta(days=n) for n in range((LAST - EVE).days + 1)]
    for ds in days:
        joined = [*SELLERS, LATE] if ds > START else SELLERS
        put(settings, "features.seller_daily", ds, [{"seller_id": s, "live_listings": 1} for s in joined])
        assign.run(settings, ds)
        for empty in ("events", "items", "users", "item_category"):
            put(settings, f"staging.{empty}", ds, [])
        put(settings, "marts.recommendations", ds, [])
        build.run(settings, ds, table="experiments.exposures")
    with open_warehouse(settings) as warehouse:
        arms = warehouse.read("experiments.assignments", EVE).set_index("unit_id")["arm"]
    rng = np.random.default_rng(3)
    skill, past = rng.normal(size=len(SELLERS)), rng.normal(size=len(SELLERS))
    offered = (arms.reindex(SELLERS) == "offered").to_numpy()
    used = offered & (rng.random(len(SELLERS)) < 1 / (1 + np.exp(-skill)))
    sold = rng.poisson(np.exp(-1.5 + 0.8 * skill + 0.3 * past + 0.5 * used))
    before = rng.poisson(np.exp(-1.5 + 0.8 * skill + 0.3 * past))
    for ds in days:
        acts = []
        if ds == START:
            acts = [
                {"unit": "seller", "unit_id": s, "event_date": day, "ad_purchases": int(n), "keywords_adopted": int(u)}
                for day, numbers, use in ((EVE, before, 0 * used), (START, sold, used))
                for s, n, u in zip(SELLERS, numbers, use, strict=True)
            ]  # fmt: skip
        put(settings, "experiments.unit_daily", ds, acts)
    declare.run(settings, LAST)
    for name in ("unit_totals", "metrics_daily", "value_counts"):
        build.run(settings, LAST, table=f"experiments.{name}")
    results.run(settings, LAST)
    return settings


def read(settings: Settings, name: str, ds: date) -> pd.DataFrame:
    with open_warehouse(settings) as warehouse:
        return warehouse.read(name, ds)


def test_the_arm_without_keywords_is_offered_none_and_the_check_agrees(played: Settings) -> None:
    arms = read(played, "experiments.assignments", EVE).set_index("unit_id")
    assert dict(zip(arms["arm"], arms["policy"], strict=True)) == {
        "none": "no_keywords",
        "offered": "keywords",
    }
    lists = [{"item_id": f"i{s}", "seller_id": s, "rank": 1} for s in (*SELLERS, "nobody")]
    put(played, "scoring.keyword_lists", EVE, lists)
    build.run(played, EVE, table="marts.keyword_recommendations")
    published = set(read(played, "marts.keyword_recommendations", EVE)["seller_id"])
    assert published == {*arms.index[arms["arm"] == "offered"], "nobody"}
    assert 0.4 < len(published) / len(SELLERS) < 0.6
    assert check.run(played, EVE, "published_keywords")["warnings"] == []


def test_sellers_count_from_the_monday_on_which_their_arm_takes_effect(played: Settings) -> None:
    exposed = {
        ds: read(played, "experiments.exposures", ds) for ds in (START + timedelta(days=n) for n in range(10))
    }
    assert {ds: len(rows) for ds, rows in exposed.items() if len(rows)} == {
        START: len(SELLERS),
        START + timedelta(days=7): 1,
    }, "everybody at once, whatever was shown; who joined on Tuesday a week later"
    assert exposed[START + timedelta(days=7)]["unit_id"].tolist() == [LATE]
    checks = read(played, "experiments.checks", LAST)
    assert checks.loc[checks["blocks"], "success"].all(), checks[~checks["success"]]["message"].tolist()


def test_the_effect_of_use_stands_beside_that_of_the_offer(played: Settings) -> None:
    found = read(played, "experiments.results", LAST)
    with_use = found[found["use_effect"].notna()]
    assert set(with_use["scope"]) == {"cumulative"}
    assert set(with_use["arm"]) == {"offered"}
    assert set(with_use["metric"]) == {
        "ad_purchase_rate", "ad_orders", "ad_sales", "ad_clicks", "campaigns_per_seller",
    }  # fmt: skip
    units = read(played, "experiments.unit_totals", LAST)
    now, then = (units[units["scope"] == scope].set_index("unit_id") for scope in ("cumulative", "before"))
    past = then["ad_purchases"].reindex(now.index).fillna(0)
    arms = []
    for arm in ("none", "offered"):
        mine = now["arm"] == arm
        y, d = (
            now.loc[mine, "ad_purchases"].to_numpy(),
            (now.loc[mine, "keywords_adopted"] > 0).to_numpy(float),
        )
        arms.append(Moments.of(y, d, y * d, past[mine].to_numpy()))
    wanted = effect_of_use("mean", *arms, alpha=0.05, cuped=True)
    assert wanted is not None
    assert wanted.effect is not None
    assert wanted.naive is not None
    row = with_use.set_index("metric").loc["ad_orders"]
    assert row["used"] == pytest.approx(wanted.used)
    assert row["used_control"] == 0
    assert row["use_strength"] == pytest.approx(wanted.strength)
    for name, bounded in (("use_effect", wanted.effect), ("naive_difference", wanted.naive)):
        stem = name.partition("_")[0]
        assert row[[name, f"{stem}_low", f"{stem}_high"]].tolist() == pytest.approx(
            [bounded.value, bounded.low, bounded.high]
        )
    assert row["use_effect"] == pytest.approx(
        row["cuped_difference"] / (row["used"] - row["used_control"]), rel=0.1
    )
    assert row["naive_difference"] > 1.5 * row["use_effect"], "better sellers take the offer"


def test_the_page_and_the_letter_say_so_and_warn_of_the_naive_difference(played: Settings) -> None:
    one = experiment_report.read_out(played, ID, LAST)
    for told in (render_page(one), render_letter(one), render_markdown(one)):
        assert "By use" in told
        assert "not to be trusted" in told
    named = next(lift for lift in one.others if lift.metric == "ad_orders")
    assert named.use is not None
    assert f"{100 * named.use.used:.0f}" in render_markdown(one)


def test_an_experiment_without_use_says_nothing_of_it(played: Settings, tmp_path: Path) -> None:
    shutil.copytree(Path(played.home) / "include", tmp_path / "include")
    path = tmp_path / "include" / "experiments" / f"{ID}.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("use: keyword_adoption\n", ""), encoding="utf-8")
    plain = replace(played, home=str(tmp_path))
    before = read(played, "experiments.results", LAST)
    results.run(plain, LAST)
    after = read(plain, "experiments.results", LAST)
    try:
        assert after["use_effect"].isna().all()
        kept = [name for name in after.columns if not name.startswith(("use", "naive")) or name == "users"]
        pd.testing.assert_frame_equal(after[kept], before[kept])
        assert "By use" not in render_page(experiment_report.read_out(plain, ID, LAST))
    finally:
        results.run(played, LAST)
    path.write_text(text.replace("use: keyword_adoption", "use: ad_ctr"), encoding="utf-8")
    with pytest.raises(
        ExperimentError, match="use is 'ad_ctr', a ratio; name a metric of the kind proportion"
    ):
        declare.run(plain, LAST)
