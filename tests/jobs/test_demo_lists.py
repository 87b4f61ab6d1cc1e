from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from recsys import schema
from recsys.jobs import airflow_run, demo, demo_lists
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

DS = date(2026, 2, 14)
NEUTRAL = {"INT64": 1, "FLOAT64": 0.0, "NUMERIC": 0.0, "BOOL": True, "STRING": "x", "DATE": DS}
NEUTRAL["TIMESTAMP"] = pd.Timestamp(DS, tz="UTC")


def rows(table: str, *given: Mapping[str, object]) -> pd.DataFrame:
    """Rows of a table in which only what is given means something; NULL where that is allowed."""
    columns = schema.table(table).columns
    neutral = {one.name: NEUTRAL[one.type] if one.required else None for one in columns}
    return pd.DataFrame([neutral | dict(row) for row in given], columns=[one.name for one in columns])


def printed(settings: Settings, tables: Mapping[str, list[dict[str, object]]]) -> str:
    text = StringIO()
    with open_warehouse(settings) as warehouse:
        for table, given in tables.items():
            warehouse.write(table, rows(table, *given), DS)
    demo_lists.print_examples(settings, DS, Console(file=text, width=160))
    return text.getvalue()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({}, warehouse=str(tmp_path / "warehouse"))


def keyword(item: str, rank: int, profit: float, **more: object) -> dict[str, object]:
    facts = {"expected_profit": profit, "marginal_profit": profit, "reason": f"Why {item} {rank}."}
    return {"item_id": item, "rank": rank, "keyword": f"word {item} {rank}"} | facts | more


def seller(user: str, rank: int, reason: str) -> dict[str, object]:
    return {"user_id": user, "rank": rank, "seller_id": f"s{rank}", "reason": reason}


def test_the_set_of_an_advertised_listing_is_shown_with_profit_and_reasons(settings: Settings) -> None:
    lists = [
        keyword("dear", 1, 9.0),
        keyword("less", 1, 2.0, campaign_id="c2"),
        *(keyword("best", rank, 0.5, campaign_id="c3") for rank in range(1, 8)),
    ]
    items = [{"item_id": name, "title": f"Title {name}", "price": 24.5} for name in ("dear", "less")]
    items.append({"item_id": "best", "title": "A [red] coat", "price": 24.5})
    text = printed(settings, {"marts.keyword_recommendations": lists, "staging.items": items})
    assert "Keywords for the seller of 'A [red] coat' (24.50 EUR)" in text
    assert "best at an ad rate" in text and "3.50 EUR of profit" in text and "from 7 keywords" in text
    assert text.index("word best 1") < text.index("word best 5")
    assert "Why best 5." in text and "word best 6" not in text and "and 2 more" in text
    assert "less" not in text and "dear" not in text
    assert "Sellers: no list is published." in text


def test_the_list_of_the_buyer_with_most_kinds_of_reason_is_shown(settings: Settings) -> None:
    lists = [seller("u1", rank, f"{rank} people do so.") for rank in range(1, 7)]
    lists += [seller("u2", rank, "They have 3 listings.") for rank in range(1, 6)]
    lists += [seller("u2", 6, "You have looked."), seller("u3", 1, "You have looked.")]
    lists += [seller("u3", rank, "Buyers rate them 4.9 of 5.") for rank in range(2, 7)]
    text = printed(settings, {"marts.seller_recommendations": lists})
    assert "Sellers for the buyer u3" in text and "You have looked." in text
    assert "s5" in text and "s6" not in text
    assert "Keywords: none are published." in text


def test_the_demo_makes_keywords_of_its_last_day_and_shows_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setenv("RECSYS_WAREHOUSE", settings.warehouse)
    monkeypatch.setenv("RECSYS_FILES", settings.files)
    for name in ("_make_room", "_play_history", "_evaluate"):
        monkeypatch.setattr(demo, name, lambda *_: None)
    monkeypatch.setattr(demo, "_play_day", lambda _, day, __: done.append(day))
    monkeypatch.setattr(demo.report, "print_results", lambda *_: None)
    monkeypatch.setattr(demo.report, "run", lambda *_: {"report": "report"})
    monkeypatch.setattr(demo.check, "build_docs", lambda *_: None)
    monkeypatch.setattr(demo.demo_lists, "print_examples", lambda _, ds, __: done.append(ds))
    monkeypatch.setattr(airflow_run, "run_dag", lambda dag_id, ds, **_: done.append((dag_id, ds)))
    demo.run(settings, 1, "small", Console(file=StringIO()))
    played = date(2026, 2, 10)
    assert done[-3:] == [played, ("keywords_weekly", played), played]
