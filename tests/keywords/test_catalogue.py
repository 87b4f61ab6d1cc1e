"""Searches and campaigns under the canonical text of a keyword."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from recsys.keywords.catalogue import COLUMNS, catalogue, end_of, engagement

DS = date(2026, 3, 1)


def demand(*rows: tuple[str, str, int, int, int]) -> pd.DataFrame:
    """(query, category, searches, searchers, clicks)."""
    frame = pd.DataFrame(
        rows, columns=["query", "category_id", "searches_28d", "searchers_28d", "clicks_28d"]
    )
    return frame.assign(
        searches_7d=frame["searches_28d"] // 4, searchers_7d=1, purchases_28d=1, revenue_28d=2.5
    )


def history(*rows: tuple[str, str, str, str, str | None, float, int]) -> pd.DataFrame:
    """(campaign, category, keyword, started, ended, rate, clicks)."""
    columns = ["campaign_id", "category_id", "keyword", "started_at", "ended_at", "ad_rate", "clicks"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(impressions=10 * frame["clicks"], purchases=0)


def variants(**kept: str | None) -> pd.DataFrame:
    return pd.DataFrame({"raw": list(kept), "keyword": list(kept.values())})


def test_variants_become_one_row_per_category_and_searches_are_of_the_whole_keyword() -> None:
    table = catalogue(
        demand(("coat", "c1", 8, 5, 3), ("coat", "c2", 8, 5, 1), ("coats", "c1", 4, 2, 4)),
        history(),
        variants(coat="coat", coats="coat"),
        DS,
    )
    assert table.columns.tolist() == list(COLUMNS)
    assert table[["keyword", "category_id"]].to_numpy().tolist() == [["coat", "c1"], ["coat", "c2"]]
    assert table["searches_28d"].tolist() == [12, 12]
    assert table["searchers_28d"].tolist() == [7, 7]
    assert table["clicks_28d"].tolist() == [7, 1]
    assert table["share"].tolist() == [7 / 8, 1 / 8]
    assert table["revenue_28d"].tolist() == [5.0, 2.5]


def test_a_day_ends_at_midnight_of_the_time_zone() -> None:
    rows = [("a", "c1", "coat", "2026-03-02T03:00", None, 0.1, 2)]
    for zone, running in (("UTC", 0), ("America/Los_Angeles", 1)):
        table = catalogue(demand(), history(*rows), variants(coat="coat"), DS, zone)
        assert table["campaigns"].tolist() == [running]
    assert end_of(date(2018, 11, 3), "America/Sao_Paulo").isoformat() == "2018-11-04T01:00:00-02:00"


def test_competition_counts_the_campaigns_that_run_at_the_end_of_the_day() -> None:
    rows = [
        ("a", "c1", "coat", "2026-02-01T00:00", None, 0.1, 2),
        ("a", "c1", "coats", "2026-02-01T00:00", None, 0.1, 3),
        ("b", "c2", "coats", "2026-03-01T23:59", "2026-03-02T00:00", 0.3, 1),
        ("ended", "c1", "coat", "2026-02-01T00:00", "2026-03-01T23:59", 0.9, 1),
        ("later", "c1", "coat", "2026-03-02T00:00", None, 0.9, 0),
    ]
    table = catalogue(demand(), history(*rows), variants(coat="coat", coats="coat"), DS)
    assert table["campaigns"].tolist() == [2, 2]
    assert table["mean_ad_rate"].tolist() == pytest.approx([0.2, 0.2])
    assert table["ad_clicks"].tolist() == [6, 1]
    assert table["ad_impressions"].tolist() == [60, 10]
    assert table["searches_28d"].tolist() == [0, 0]
    assert table["share"].tolist() == [0.5, 0.5]


def test_what_was_rejected_or_not_cleaned_is_left_out() -> None:
    table = catalogue(
        demand(("coat", "c1", 8, 5, 3), ("!!", "c1", 8, 5, 1), ("new", "c1", 4, 2, 4)),
        history(),
        variants(**{"coat": "coat", "!!": None}),
        DS,
    )
    assert table["keyword"].tolist() == ["coat"]
    assert table["mean_ad_rate"].isna().all()


def test_engagement_is_added_up_over_variants() -> None:
    rows = [("coat", "i1", 2, 1), ("coats", "i1", 3, 0), ("coats", "i2", 1, 0), ("!!", "i1", 9, 9)]
    engaged = pd.DataFrame(rows, columns=["query", "item_id", "clicks", "purchases"])
    table = engagement(engaged, variants(**{"coat": "coat", "coats": "coat", "!!": None}))
    assert table.to_numpy().tolist() == [["coat", "i1", 5, 1], ["coat", "i2", 1, 0]]
