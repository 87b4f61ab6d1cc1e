from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from recsys.errors import RecsysError, SettingsError
from recsys.jobs import simulate
from recsys.settings import Settings
from recsys.synthetic import State, trending
from recsys.warehouse import open_warehouse

FIRST = date(2026, 3, 2)
DAYS = 5


def settings_of(folder: Path) -> Settings:
    return Settings.load({}, warehouse=str(folder))


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five days played one by one."""
    folder = tmp_path_factory.mktemp("played")
    for number in range(DAYS):
        simulate.run(settings_of(folder), day(number), users=150)
    return folder


def test_history_gives_the_bytes_of_its_days_played_one_by_one(played: Path, tmp_path: Path) -> None:
    said: list[str] = []
    summary = simulate.history(settings_of(tmp_path), FIRST, DAYS, users=150, progress=said.append)
    assert bytes_of(tmp_path) == bytes_of(played)
    assert summary["last_day"] == str(day(DAYS - 1))
    assert len(said) == DAYS
    last = f"{simulate.STATE_FOLDER}/ds={day(DAYS - 1)}.npz"
    assert (tmp_path / last).read_bytes() == (played / last).read_bytes()


def test_playing_days_again_rewinds_the_world_and_gives_the_same_bytes(played: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for number in (0, 1, 2, 3, 4, 2):
        simulate.run(settings, day(number), users=150)
    with open_warehouse(settings) as warehouse:
        known = (
            warehouse.query("SELECT MAX(ingested_at) AS last FROM marketplace.events")
            .column("last")[0]
            .as_py()
        )
        assert known.date() == day(2)
        assert warehouse.read("marketplace.items")["listed_at"].max().date() == day(2)
    for number in (3, 3, 4):
        simulate.run(settings, day(number))
    assert bytes_of(tmp_path) == bytes_of(played)


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("step", ["_rewind", "_merge_events", "_write_tables", "_save"])
@pytest.mark.parametrize("after", [True, False])
def test_a_day_killed_half_way_and_run_again_gives_the_same_bytes(
    played: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    settings = settings_of(tmp_path)
    simulate.history(settings, FIRST, DAYS - 1, users=150)
    original: Callable[..., None] = getattr(simulate, step)

    def killed(*arguments: object) -> None:
        if after:
            original(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(simulate, step, killed)
        with pytest.raises(Killed):
            simulate.run(settings, day(DAYS - 1))
    simulate.run(settings, day(DAYS - 1))
    assert bytes_of(tmp_path) == bytes_of(played)


def test_late_events_join_the_partition_of_the_day_they_happened(played: Path) -> None:
    with open_warehouse(settings_of(played)) as warehouse:
        events = warehouse.read("marketplace.events", day(DAYS - 1), start=FIRST)
    lateness = (events["ingested_at"].dt.tz_localize(None).dt.normalize() - events["event_date"]).dt.days
    assert (lateness[events["event_date"] < pd.Timestamp(day(DAYS - 2))] == 1).any()
    assert events["ingested_at"].max() < pd.Timestamp(day(DAYS), tz="UTC")


def test_users_are_shown_the_list_published_the_evening_before(played: Path, tmp_path: Path) -> None:
    settings, ds = settings_of(tmp_path), day(2)
    simulate.history(settings, FIRST, 2, users=150)
    state = State.from_bytes((tmp_path / simulate.STATE_FOLDER / f"ds={day(1)}.npz").read_bytes())
    items = trending(state, 20)["item_id"].tolist()
    with open_warehouse(settings) as warehouse:
        users = warehouse.read("marketplace.users")["user_id"]
        warehouse.write("marts.recommendations", published(users.tolist(), items[::-1], day(1)), day(1))
        assert simulate.run(settings, ds)["lists"] == len(users)
        events = warehouse.read("marketplace.events", ds)
    shown = events[(events["surface"] == "recommendation") & (events["event_type"] == "impression")]
    shown = shown[shown["user_id"].isin(users) & shown["item_id"].isin(items)]
    assert len(shown) > 50
    first = shown[shown["position"] == 1].sort_values("event_ts")["item_id"].iloc[0]
    assert first == items[-1]
    assert (shown["propensity"] == 0.25).mean() > 0.95


def published(users: list[str], items: list[str], ds: date) -> pd.DataFrame:
    pairs = pd.MultiIndex.from_product([users, items], names=["user_id", "item_id"]).to_frame(index=False)
    return pairs.assign(
        rank=pairs.groupby("user_id").cumcount() + 1,
        is_reserve=False,
        policy="popularity",
        experiment_id=None,
        arm=None,
        source="test",
        seller_id="u000001",
        category_id="l00",
        group_id="g",
        score=1.0,
        p_purchase=0.01,
        price=10.0,
        price_capped=10.0,
        take_rate=0.1,
        p_cancel=0.05,
        expected_revenue=0.01,
        propensity=0.25,
        model="test",
        ds=ds,
        p_click=None,
        p_available=None,
        slot=None,
        reason=None,
        reason_item=None,
        p_judged=None,
    )


def test_the_truth_of_policies_is_read_off_without_writing(played: Path) -> None:
    settings, ds = settings_of(played), day(3)
    before = bytes_of(played)
    with open_warehouse(settings) as warehouse:
        users = warehouse.read("marketplace.users")["user_id"].tolist()
    state = State.from_bytes((played / simulate.STATE_FOLDER / f"ds={day(2)}.npz").read_bytes())
    hot = trending(state, 30)["item_id"].tolist()
    lists = {"hot": published(users, hot, day(2)), "cold": published(users, hot[:1], day(2))}
    found = simulate.truth(settings, ds, lists, replications=3)
    assert set(found) == {"hot", "cold"}
    assert {"users", "rpu", "rpu_error", "conversion", "ctr", "replications"} <= set(found["hot"])
    assert 0 < found["hot"]["users"] <= len(users) + 10
    assert bytes_of(played) == before


def test_a_gap_between_days_is_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    simulate.history(settings, FIRST, 1, users=30)
    with pytest.raises(RecsysError, match="it stands at 2026-03-01, 2026-03-02"):
        simulate.run(settings, day(2))
    with pytest.raises(RecsysError, match="Play the days in order"):
        simulate.truth(settings, day(4), {})


def test_data_of_another_origin_is_never_replaced(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    simulate.history(settings, FIRST, 1, users=30)
    for path in (tmp_path / simulate.STATE_FOLDER).iterdir():
        path.unlink()
    before = bytes_of(tmp_path)
    with pytest.raises(RecsysError, match="not synthetic"):
        simulate.run(settings, FIRST)
    assert bytes_of(tmp_path) == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"timezone": "Europe/Paris"}, "keeps UTC"),
        ({"warehouse": "bigquery://test-project/x_"}, "RECSYS_FILES is not set"),
    ],
)
def test_settings_it_cannot_live_with_are_refused(
    tmp_path: Path, overrides: dict[str, str], message: str
) -> None:
    settings = Settings.load({}, **({"warehouse": str(tmp_path)} | overrides))
    with pytest.raises((SettingsError, RecsysError), match=message):
        simulate.run(settings, FIRST)


def test_a_world_belongs_to_one_warehouse(tmp_path: Path) -> None:
    local = Settings.load({}, warehouse=str(tmp_path / "w"), files=str(tmp_path / "files"))
    clouds = [
        Settings.load({}, warehouse=f"bigquery://test-project/{prefix}", files=str(tmp_path / "files"))
        for prefix in ("", "a_", "b_")
    ]
    clouds.append(Settings.load({}, warehouse="bigquery://test-project-a_", files=str(tmp_path / "files")))
    folders = [simulate.state_folder(settings) for settings in (local, *clouds)]
    assert folders[0] == tmp_path / "w" / "_synthetic"
    assert folders[1] == tmp_path / "files" / "_synthetic" / "test-project" / "-"
    assert folders[2] == tmp_path / "files" / "_synthetic" / "test-project" / "a_"
    assert len(set(folders)) == 5


def test_sellers_see_the_keywords_of_the_week(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    simulate.run(settings, FIRST, users=1_500)
    with open_warehouse(settings) as warehouse:
        items = warehouse.query(
            "SELECT item_id, seller_id FROM marketplace.items WHERE closed_at IS NULL AND sale_type = 'fixed'"
        ).to_pandas()
        made = items.assign(rank=1, keyword="handmade dress", sources="graph", reason="", model="m", ds=FIRST)
        figures = ("p_click", "p_purchase", "p_win", "expected_sales", "expected_profit", "marginal_profit")
        made = made.assign(searches_7d=1, searchers_7d=1, **dict.fromkeys(figures, 0.1))
        made = made.assign(warning=None, campaign_id=None, ad_rate=0.05)
        warehouse.write(simulate.OFFERS, made, FIRST)
        assert simulate._offers(warehouse, day(-1)) is None
        assert simulate._offers(warehouse, day(7)) is None
    simulate.run(settings, day(1))
    with open_warehouse(settings) as warehouse:
        new = warehouse.query(
            "SELECT keyword, origin FROM marketplace.campaign_keywords WHERE DATE(added_at) = '2026-03-03'"
        ).to_pandas()
    assert (new.loc[new["keyword"] == "handmade dress", "origin"] == "recommended").all()
    assert (new["keyword"] == "handmade dress").any()
