"""The mapping of Online Retail, on the real file where it is present."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from recsys.jobs import load
from recsys.settings import PROJECT_ROOT, Settings
from recsys.sources.mapping import load_mapping
from recsys.warehouse import open_warehouse

MAPPING = PROJECT_ROOT / "examples" / "online_retail.yaml"
DATA = PROJECT_ROOT.parent / "shared" / "data" / "online_retail.parquet"


def test_the_mapping_is_complete() -> None:
    mapping = load_mapping(MAPPING)
    assert mapping.settings["item_unit"] == "item"
    assert "marketplace.price_changes" in mapping.tables


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_file(), reason=f"needs {DATA.relative_to(PROJECT_ROOT.parent)}")
def test_every_line_is_an_event_or_counted(tmp_path: Path) -> None:
    settings = Settings.load({}, warehouse=str(tmp_path / "warehouse"))
    summary = load.run(settings, DATA, MAPPING, history=False)
    assert summary["rows"] == {
        "marketplace.users": 4362,
        "marketplace.sellers": 1,
        "marketplace.item_category": 195,
        "marketplace.items": 3676,
        "marketplace.price_changes": 29388,
        "marketplace.events": 404876,
    }
    assert list(summary["skipped"].values()) == [2995, 134005, 33, 0]  # type: ignore[attr-defined]
    assert 404876 + 2995 + 134005 + 33 == 541909
    assert (summary["first_day"], summary["last_day"]) == ("2010-12-01", "2011-12-09")
    with open_warehouse(settings) as warehouse:
        found = warehouse.query(
            """
            WITH buys AS (SELECT user_id, event_date FROM marketplace.events WHERE event_type = 'purchase')
            SELECT COUNT(DISTINCT user_id) AS users, COUNT(*) AS lines
            FROM buys
            WHERE event_date >= @cut AND user_id IN (SELECT user_id FROM buys WHERE event_date < @cut)
            """,
            {"cut": date(2011, 11, 1)},
        ).to_pylist()
    assert found == [{"users": 1540, "lines": 68267}]
