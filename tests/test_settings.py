"""Settings: precedence, and errors that name the value and the remedy."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from recsys.errors import SettingsError
from recsys.settings import Settings, parse_ds


def test_environment_beats_profile_beats_default(tmp_path: Path) -> None:
    (tmp_path / "marketplace.yaml").write_text("item_unit: item\nhistory_days: 400\n")
    settings = Settings.load({"RECSYS_WAREHOUSE": str(tmp_path), "RECSYS_HISTORY_DAYS": "30"})
    assert (settings.item_unit, settings.history_days, settings.late_days) == ("item", 30, 2)


def test_an_override_beats_the_environment(tmp_path: Path) -> None:
    assert Settings.load({"RECSYS_WAREHOUSE": "elsewhere"}, warehouse=str(tmp_path)).warehouse == str(
        tmp_path
    )


def test_an_override_of_none_counts_as_not_given() -> None:
    assert Settings.load({"RECSYS_WAREHOUSE": "elsewhere"}, warehouse=None).warehouse == "elsewhere"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LATE_DAYS", "two", "RECSYS_LATE_DAYS is 'two', which is no int"),
        ("ITEM_UNIT", "thing", "choose one of group, item"),
        ("TIMEZONE", "Mars/Olympus", "is no IANA zone"),
        ("TIMEZONE", "../etc/passwd", "is no IANA zone"),
        ("SHARDS", "0", "has to be a number, 1 or more"),
        ("DIVERSITY", "1.5", "from 0 to below 1"),
        ("RATION", "-1", "RECSYS_RATION is -1.0; it has to be a number, 0 or more"),
        ("RESERVE_SIZE", "-5", "RECSYS_RESERVE_SIZE is -5; it has to be a number, 0 or more"),
        ("LATE_DAYS", "-1", "0 or more"),
        ("QUARANTINE_DAYS", "-1", "0 or more"),
        ("EXPERIMENT_DAYS", "-1", "0 or more"),
        ("PRICE_EXPONENT", "nan", "RECSYS_PRICE_EXPONENT is nan; it has to be a number, 0 or more"),
        ("PRICE_CAP", "inf", "has to be a number"),
        ("POPULARITY_PENALTY", "-0.1", "0 or more"),
        ("MAX_GB", "nan", "has to be a number"),
        ("SEED", "-1", "0 or more"),
        ("KEYWORD_RELEVANCE", "-0.1", "from 0 to below 1"),
    ],
)
def test_bad_values_name_the_setting(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.load({f"RECSYS_{name}": value})


def test_an_unknown_setting_in_the_environment_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"RECSYS_HISTRY_DAYS .* Did you mean RECSYS_HISTORY_DAYS\?"):
        Settings.load({"RECSYS_HISTRY_DAYS": "400"})
    with pytest.raises(SettingsError, match=r"no such setting. Known: RECSYS_WAREHOUSE, "):
        Settings.load({"RECSYS_XYZ": "1"})
    others = {"RECSYS_WAREHOUSE_DIR": "/data", "RECSYS_XYZ": "", "AIRFLOW_HOME": "/airflow"}
    assert Settings.load(others) == Settings.load({})


def test_an_unknown_setting_in_the_profile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "marketplace.yaml").write_text("histroy_days: 400\n")
    with pytest.raises(SettingsError, match="unknown settings: histroy_days"):
        Settings.load({"RECSYS_WAREHOUSE": str(tmp_path)})


def test_a_profile_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    (tmp_path / "marketplace.yaml").write_text("item_unit\n")
    with pytest.raises(SettingsError, match=r"marketplace\.yaml has to be a list of `setting: value`"):
        Settings.load({"RECSYS_WAREHOUSE": str(tmp_path)})


@pytest.mark.parametrize(
    "text", ["2026-1-5", "20260105", "2026-02-30", "yesterday", "", "2026-01-05; DROP TABLE x"]
)
def test_a_malformed_ds_says_how_to_write_one(text: str) -> None:
    with pytest.raises(SettingsError, match="write it as YYYY-MM-DD"):
        parse_ds(text)


def test_a_leap_day_is_a_ds() -> None:
    assert parse_ds("2028-02-29") == date(2028, 2, 29)


def test_places_to_explore_are_places() -> None:
    assert Settings.load({"RECSYS_EXPLORE": "3, 12"}).explored_places == (3, 12)
    assert Settings.load({"RECSYS_EXPLORE": "none"}).explored_places == ()
    for odd in ("0", "first", "-2", "3,,4", "10,10"):
        with pytest.raises(SettingsError, match="RECSYS_EXPLORE"):
            Settings.load({"RECSYS_EXPLORE": odd})


def test_places_to_explore_are_on_the_list() -> None:
    assert Settings.load({"RECSYS_EXPLORE": "10", "RECSYS_LIST_SIZE": "10"}).explored_places == (10,)
    for size, told in (("50", "no place 60: RECSYS_LIST_SIZE is 50. Name places"), ("12", "no place 60")):
        with pytest.raises(SettingsError, match=told):
            Settings.load({"RECSYS_EXPLORE": "10,60", "RECSYS_LIST_SIZE": size})
    with pytest.raises(SettingsError, match="RECSYS_EXPLORE is '10,20', and a list has no place 20"):
        Settings.load({"RECSYS_LIST_SIZE": "12"})
