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
        ("EXPERIMENT_DAYS", "0", "1 or more"),
        ("PRICE_EXPONENT", "nan", "RECSYS_PRICE_EXPONENT is nan; it has to be a number, 0 or more"),
        ("PRICE_CAP", "inf", "has to be a number"),
        ("POPULARITY_PENALTY", "-0.1", "0 or more"),
        ("MAX_GB", "nan", "has to be a number"),
        ("SEED", "-1", "0 or more"),
        ("KEYWORD_RELEVANCE", "-0.1", "from 0 to below 1"),
