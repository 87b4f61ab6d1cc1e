"""A folder of one file per table: what is read, what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recsys.errors import ContractError, SettingsError
from recsys.jobs import load
from recsys.settings import Settings
from recsys.sources.importer import covered_days, main_span
from recsys.sources.rules import find_cycle
from recsys.warehouse import Warehouse

Load = Callable[..., dict[str, Any]]


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_loads_every_table_and_derives_days(load_folder: Load, warehouse: Warehouse) -> None:
    told: list[str] = []
    summary = load_folder(progress=told.append)
    assert summary["rows"]["marketplace.events"] == 3
    assert (summary["first_day"], summary["last_day"]) == ("2026-01-03", "2026-01-05")
    assert warehouse.partitions("marketplace.events") == [date(2026, 1, d) for d in (3, 4, 5)]
    events = warehouse.query("SELECT * FROM marketplace.events ORDER BY event_id").to_pylist()
    assert [event["event_date"] for event in events] == [date(2026, 1, 3)] * 2 + [date(2026, 1, 5)]
    assert all(event["ingested_at"] == event["event_ts"] for event in events)
    assert events[1]["amount"] == Decimal("19.9")
    assert any("users.csv" in line and "gender" in line for line in told)


def test_a_day_without_events_between_others_is_known_to_be_empty(
    load_folder: Load, warehouse: Warehouse
) -> None:
    load_folder()
    assert warehouse.read("marketplace.events", date(2026, 1, 4)).empty


def test_days_are_cut_in_the_time_zone_of_the_marketplace(folder: Path, tmp_path: Path) -> None:
    settings = Settings.load({}, warehouse=str(tmp_path / "tokyo"), timezone="Asia/Tokyo")
    assert load.run(settings, folder, history=False)["last_day"] == "2026-01-06"


def test_odd_text_arrives_unchanged(folder: Path, load_folder: Load, warehouse: Warehouse) -> None:
    odd = 'He said ""hi"",\nthen 👟 and 靴 \'; DROP TABLE items; --'
    replace(folder / "items.csv", "Red shoes", f'"{odd}"')
    replace(folder / "items.csv", "i1,", '"i1\'; --",')
    replace(folder / "events.csv", ",i1,", ',"i1\'; --",')
    load_folder()
    titles = dict(warehouse.read("marketplace.items")[["item_id", "title"]].to_numpy().tolist())
    assert titles["i1'; --"] == odd.replace('""', '"')


def test_single_bad_events_are_left_to_the_quarantine(folder: Path, load_folder: Load) -> None:
    with (folder / "events.csv").open("a", encoding="utf-8") as file:
        file.write(
            "e4,2026-01-05 10:00:00,nobody,purchase,nothing,-5,1\ne1,2026-01-05 11:00:00,u1,dance,i1,,\n"
        )
    assert load_folder()["rows"]["marketplace.events"] == 5


def test_parquet_and_a_folder_of_files_are_read_too(
    folder: Path, load_folder: Load, warehouse: Warehouse
) -> None:
    frame = pd.DataFrame(
        {"user_id": ["u1", "u2"], "registered_at": pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True)}
    )
    (folder / "users.csv").unlink()
    (folder / "users").mkdir()
    for n in range(2):
        frame.iloc[[n]].to_parquet(folder / "users" / f"part-{n}.parquet")
    load_folder()
    assert warehouse.read("marketplace.users")["user_id"].tolist() == ["u1", "u2"]


@pytest.mark.parametrize(
    ("file", "change", "expected"),
    [
        ("users.csv", ("region", "regoin"), ["users.csv", "'regoin' is unknown", "'region'"]),
        (
            "items.csv",
            ("price,", "cost,"),
            ["items.csv", "'price' (NUMERIC, never empty) is missing", "'cost'"],
        ),
        ("items.csv", ("19.90", "19,90"), ["items.csv"]),
        ("items.csv", ("19.90", "cheap"), ["items.csv", "'price'", "12.50", "'cheap'", "data row 1"]),
        ("items.csv", ("19.90", ""), ["'price'", "found none", "data row 1"]),
        ("items.csv", ("19.90", "-1"), ["items.csv", "'price'", "found -1 for", "'i1'"]),
        ("items.csv", ("19.90", "9e12"), ["'price'", "1,000,000,000", "'i1'"]),
        (
            "items.csv",
            ("0.1,1,fixed,2026-01-01 00:00:00\ni2", "7,1,fixed,2026-01-01\ni2"),
            ["'take_rate'", "0 to 1"],
        ),
        ("items.csv", ("fixed", "barter"), ["'sale_type'", "'auction'", "'barter'"]),
        (
            "items.csv",
            ("2026-01-01 00:00:00\ni2", "01/02/2026\ni2"),
            ["'listed_at'", "2026-01-31", "'01/02/2026'"],
        ),
        ("items.csv", ("i2,s1", "i1,s1"), ["items.csv", "item_id has to be unique", "'i1' occurs 2 times"]),
        (
            "item_category.csv",
            ("c1,,Clothes", "c1,c2,Clothes"),
            ["item_category.csv", "cycle", "c1 -> c2 -> c1"],
        ),
        ("item_category.csv", ("c2,c1", "c2,c9"), ["'c9'", "'c2'", "is no category"]),
        ("sellers.csv", ("true", "perhaps"), ["'is_verified'", "true or false", "'perhaps'"]),
        ("events.csv", ("19.90,1", "19.90,1.5"), ["events.csv", "'quantity'", "whole number", "'1.5'"]),
        ("events.csv", ("2026-01-03 10:00:00", "2026-02-30 10:00:00"), ["'event_ts'", "2026-02-30"]),
    ],
)
def test_refuses_and_says_where(
    folder: Path, load_folder: Load, file: str, change: tuple[str, str], expected: list[str]
) -> None:
    replace(folder / file, *change)
    with pytest.raises(ContractError) as error:
        load_folder()
    for words in expected:
        assert words in str(error.value)


def test_nothing_is_written_when_the_last_table_is_bad(
    folder: Path, load_folder: Load, settings: Settings
) -> None:
    replace(folder / "events.csv", "2026-01-03 10:00:00", "yesterday")
    with pytest.raises(ContractError):
        load_folder()
    assert not (Path(settings.warehouse) / "marketplace").exists()


def test_a_missing_table_and_a_stray_file_are_named(folder: Path, load_folder: Load) -> None:
    (folder / "items.csv").rename(folder / "itens.csv")
    with pytest.raises(ContractError) as error:
        load_folder()
    assert "table items is missing: expected items.parquet or items.csv with columns item_id" in str(
        error.value
    )
    assert "itens.csv is no source table (did you mean 'items'?)" in str(error.value)


def test_two_files_for_one_table(folder: Path, load_folder: Load) -> None:
    (folder / "users.tsv").write_text("user_id\n", encoding="utf-8")
    with pytest.raises(ContractError, match="two files for table users"):
        load_folder()


def test_a_parquet_column_of_another_type(folder: Path, load_folder: Load) -> None:
    (folder / "users.csv").unlink()
    pd.DataFrame({"user_id": [1], "registered_at": ["2026-01-01"]}).to_parquet(folder / "users.parquet")
    with pytest.raises(ContractError) as error:
        load_folder()
    assert "column 'user_id': expected STRING, found BIGINT; write it as text" in str(error.value)
    assert "column 'registered_at': expected TIMESTAMP, found VARCHAR" in str(error.value)


def test_event_date_has_to_be_the_day_of_event_ts(folder: Path, load_folder: Load) -> None:
    lines = (folder / "events.csv").read_text(encoding="utf-8").splitlines()
    days = ["event_date", "2026-01-03", "2026-01-04", "2026-01-05"]
    (folder / "events.csv").write_text(
        "\n".join(f"{line},{day}" for line, day in zip(lines, days, strict=True)), encoding="utf-8"
    )
    with pytest.raises(ContractError, match=r"'event_date': expected the day of event_ts in UTC.*'e2'"):
        load_folder()


def test_no_rows_and_no_text(folder: Path, load_folder: Load) -> None:
    replace(folder / "sellers.csv", "s1,2025-06-01,4.5,true\n", "")
    with pytest.raises(ContractError, match=r"sellers.csv.*\n.*no rows"):
        load_folder()
    (folder / "sellers.csv").write_bytes(b"\xff\xfe\x00seller_id\n")
    with pytest.raises(ContractError, match=r"sellers\.csv"):
        load_folder()


def test_settings_that_come_with_the_data(folder: Path, load_folder: Load, settings: Settings) -> None:
    (folder / "marketplace.yaml").write_text("item_unit: item\nhistory_days: 400\n", encoding="utf-8")
    load_folder()
    assert Settings.load({}, warehouse=settings.warehouse).item_unit == "item"
    (folder / "marketplace.yaml").write_text("itemunit: item\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="itemunit"):
        load_folder()


def test_what_is_set_on_purpose_wins_over_the_profile(settings: Settings) -> None:
    chosen = load.with_profile(settings, {"history_days": 400})
    assert chosen.history_days == 400
    assert load.with_profile(chosen, {"history_days": 30}).history_days == 400


def test_a_path_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="does not exist"):
        load.run(settings, tmp_path / "nowhere")


def test_stray_dates_are_told_apart() -> None:
    days = [date(1970, 1, 1), date(2026, 1, 1), date(2026, 1, 4), date(2099, 1, 1)]
    assert len(covered_days(days)) == 6
    assert main_span(days) == [date(2026, 1, d) for d in (1, 2, 3, 4)]
    assert main_span([]) == []


def test_cycles() -> None:
    assert find_cycle({"a": None, "b": "a"}.get, {"a": None, "b": "a"}) == []
    looped: dict[str, str | None] = {"a": "b", "b": "c", "c": "b"}
    assert find_cycle(looped.get, looped) == ["b", "c", "b"]
    own: dict[str, str | None] = {"a": "a"}
    assert find_cycle(own.get, own) == ["a", "a"]


def test_history_is_built_for_every_day(folder: Path, settings: Settings, warehouse: Warehouse) -> None:
    load.run(settings, folder)
    assert warehouse.partitions("staging.user_item_daily") == [date(2026, 1, d) for d in (3, 4, 5)]
    bought = warehouse.read("staging.user_item_daily", date(2026, 1, 3))
    assert bought["purchases"].sum() == 1


def test_with_bigquery_the_profile_lies_among_the_files(tmp_path: Path) -> None:
    given = {"RECSYS_WAREHOUSE": "bigquery://my-project/demo_", "RECSYS_FILES": str(tmp_path / "shared")}
    load.write_profile(Settings.load(given), {"history_days": 400})
    assert Settings.load(given).history_days == 400
    with pytest.raises(SettingsError, match="files"):
        load.with_profile(Settings.load(given), {"files": "elsewhere"})
