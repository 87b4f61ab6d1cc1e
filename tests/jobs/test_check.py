"""Checks on a small warehouse: clean data passes, each planted defect is caught with its gravity."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recsys import schema
from recsys.errors import ContractError, QualityError, SettingsError, WarehouseError
from recsys.jobs import check
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.sql.fixture import Row, put

DS = date(2026, 1, 28)
NOON = datetime(2026, 1, 28, 12, tzinfo=UTC)
LATE = NOON + timedelta(hours=10)


def event(number: int, **more: Any) -> Row:
    return {"event_id": f"e{number:03}", "event_ts": LATE, "user_id": "u1", "item_id": "i1", **more}


def listed(user: str, rank: int, item: str, **more: Any) -> Row:
    row = {"user_id": user, "rank": rank, "item_id": item, "p_purchase": 0.1, "price_capped": Decimal(10)}
    return {**row, "take_rate": 0.1, "p_cancel": 0.5, "expected_revenue": 0.05, "propensity": 1.0, **more}


def shop(user: str, **more: Any) -> Row:
    row = {"user_id": user, "rank": 1, "seller_id": "s1", "score": 1.5, "by_category": 2.0, "by_price": -0.5}
    return {**row, "live_listings": 3, "reason": "They have 3 listings to look at.", **more}


def proposed(rank: int, keyword: str, **more: Any) -> Row:
    return {"item_id": "i1", "rank": rank, "keyword": keyword, "ad_rate": 0.1, "reason": "It fits.", **more}


WITHHELD = proposed(1, "boot", item_id="i3", seller_id="s9")
"""Of a seller whom an experiment offers nothing."""


CLEAN: dict[str, list[Row]] = {
    "marketplace.users": [{"user_id": u} for u in ("u1", "u2", "s1")],
    "marketplace.sellers": [{"seller_id": "s1", "rating": 4.5}],
    "marketplace.item_category": [
        {"category_id": "c0"},
        {"category_id": "c1", "parent_id": "c0", "level": 2},
    ],
    "marketplace.items": [{"item_id": i} for i in ("i1", "i2", "i3")],
    "marketplace.price_changes": [{"item_id": "i1", "changed_at": NOON, "price": Decimal(9)}],
    "marketplace.events": [event(n) for n in range(199)]
    + [event(199, event_type="purchase", amount=Decimal(10), quantity=1)],
    "marketplace.campaigns": [{"campaign_id": "k1", "item_id": "i1"}],
    "marketplace.campaign_keywords": [{"campaign_id": "k1", "keyword": "shoe", "origin": "seller"}],
    "marketplace.campaign_daily": [{"campaign_id": "k1", "keyword": "shoe", "impressions": 5, "clicks": 1}],
    "staging.items": [{"item_id": i} for i in ("i1", "i2", "i3")],
    "staging.user_item_daily": [],
    "staging.user_search_daily": [],
    "staging.item_daily": [
        {"item_id": "i1", "ds": DS - timedelta(days=n), **({} if n % 7 else {"views": 180, "purchases": 1})}
        for n in range(29)
    ],
    "features.item_group": [{"item_id": i} for i in ("i1", "i2", "i3")],
    "features.user_daily": [{"user_id": u} for u in ("u1", "u2")],
    "features.user_category_affinity": [{"user_id": "u1", "category_id": "c1", "share": 1.0}],
    "features.user_search_affinity": [
        {"user_id": "u1", "topic": "brand", "topic_id": "acme", "searches": 1.0}
    ],
    "features.cohort_affinity": [{"cohort": "everybody", "category_id": "c1", "share": 1.0}],
    "features.item_daily": [{"item_id": i} for i in ("i1", "i2", "i3")],
    "features.seller_daily": [{"seller_id": "s1", "rating": 4.5}],
    "features.category_trend": [{"category_id": "c1"}],
    "features.item_cooccurrence": [{"group_id": "g1", "other_group_id": "g2", "rank": 1}],
    "features.interactions": [{"user_id": "u1", "group_id": "g1"}],
    "features.user_seller": [{"user_id": "u1", "seller_id": "s2"}],
    "features.keyword_demand": [{"query": "shoe", "category_id": "c1", "clicks_28d": 1}],
    "features.keyword_engaged": [{"query": "shoe", "item_id": "i1", "clicks": 1}],
    "features.campaign_history": [{"campaign_id": "k1", "keyword": "shoe", "item_id": "i1", "ad_rate": 0.1}],
    "features.keyword_items": [
        {"item_id": i, "title": "Shoe", "live_in_category": 3, "seller_id": s}
        for i, s in (("i1", "s1"), ("i2", "s1"), ("i3", "s9"))
    ],
    "scoring.keyword_variants": [{"raw": w, "keyword": w} for w in ("shoe", "boot")],
    "scoring.keyword_lists": [proposed(1, "shoe"), proposed(2, "boot"), WITHHELD],
    "marts.keyword_recommendations": [proposed(1, "shoe"), proposed(2, "boot")],
    "experiments.assignments": [{"unit_id": "s9", "unit": "seller", "policy": "no_keywords"}],
    "scoring.lists": [listed(u, r, f"i{r}") for u in ("u1", "u2") for r in (1, 2, 3)],
    "marts.recommendations": [listed(u, r, f"i{r}") for u in ("u1", "u2") for r in (1, 2, 3)],
    "scoring.seller_lists": [shop(u) for u in ("u1", "u2")],
    "marts.seller_recommendations": [shop(u) for u in ("u1", "u2")],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse with every checked table, all of it clean."""
    settings = Settings.load({}, warehouse=str(tmp_path_factory.mktemp("clean")))
    with open_warehouse(settings) as warehouse:
        for table, rows in CLEAN.items():
            put(warehouse, table, rows, DS)
    return settings


@pytest.fixture
def settings(home: Settings) -> Any:
    """The clean warehouse; whatever a test writes over is put back."""
    yield home
    with open_warehouse(home) as warehouse:
        for table, rows in CLEAN.items():
            if table in schema.TABLES and (home.warehouse, table) in TOUCHED:
                warehouse.drop(table, DS if schema.table(table).partition else None)
                put(warehouse, table, rows, DS)
    TOUCHED.clear()


TOUCHED: set[tuple[str, str]] = set()


def plant(settings: Settings, table: str, rows: list[Row]) -> None:
    TOUCHED.add((settings.warehouse, table))
    with open_warehouse(settings) as warehouse:
        put(warehouse, table, rows, DS)


def broken(settings: Settings, table: str) -> dict[str, str]:
    """Check one table; return check_id -> severity of the rules that do not hold."""
    stage = next(stage for stage, tables in check.STAGES.items() if table in tables)
    with contextlib.suppress(QualityError):
        check.run(settings, DS, stage, [table])
    with open_warehouse(settings) as warehouse:
        results = warehouse.read(check.RESULTS, DS)
    mine = results[(results["table_name"] == table) & ~results["success"]]
    return dict(zip(mine["check_id"], mine["severity"], strict=True))


@pytest.mark.parametrize("stage", list(check.STAGES))
def test_clean_data_passes_every_rule(settings: Settings, stage: str) -> None:
    summary = check.run(settings, DS, stage)
    assert summary["warnings"] == []
    assert summary["tables"] == len(check.STAGES[stage])
    with open_warehouse(settings) as warehouse:
        results = warehouse.read(check.RESULTS, DS)
    assert set(check.STAGES[stage]) <= set(results["table_name"])
    assert results["success"].all()


def first(table: str, **change: Any) -> list[Row]:
    """The clean rows of ``table``, the first of them changed."""
    head, *rest = CLEAN[table]
    return [{**head, **change}, *rest]


def every(table: str, **change: Any) -> list[Row]:
    return [{**row, **change} for row in CLEAN[table]]


EVENTS, ITEMS, LISTS = "marketplace.events", "marketplace.items", "scoring.lists"
SHOPS = "scoring.seller_lists"
OFFERED = "marts.keyword_recommendations"
ADS, ADVISED, TEXTS = "features.campaign_history", "scoring.keyword_lists", "scoring.keyword_variants"
ADVERTISED, ASKED = "features.keyword_items", "features.keyword_demand"
DEFECTS: list[tuple[str, list[Row], str]] = [
    ("marketplace.users", [], "row_count.critical"),
    ("marketplace.users", first("marketplace.users", user_id=""), "empty_keys.critical"),
    ("marketplace.users", first("marketplace.users", birth_year=1066), "odd_birth_years_share.warning"),
    ("marketplace.sellers", first("marketplace.sellers", rating=48.0), "odd_ratings.warning"),
    ("marketplace.sellers", first("marketplace.sellers", ships_within_days=-2), "negative_counts.warning"),
    ("marketplace.item_category", first("marketplace.item_category", parent_id="c1"), "unrooted.critical"),
    ("marketplace.item_category", first("marketplace.item_category", parent_id="c9"), "unrooted.critical"),
    ("marketplace.item_category", first("marketplace.item_category", level=3), "wrong_levels.warning"),
    (ITEMS, first(ITEMS, price=Decimal(-1)), "negative_prices.critical"),
    (ITEMS, first(ITEMS, price=Decimal(2_000_000_000)), "absurd_prices.critical"),
    (
        ITEMS,
        [
            *CLEAN[ITEMS],
            *({"item_id": f"n{n}"} for n in range(9)),
            {"item_id": "x", "price": Decimal(900_000)},
        ],
        "price_outliers.warning",
    ),
    (ITEMS, first(ITEMS, take_rate=10.0), "odd_take_rates.critical"),
    (ITEMS, first(ITEMS, stock=-1), "negative_stocks.critical"),
    (ITEMS, first(ITEMS, sale_type="barter"), "unknown_sale_types.critical"),
    (ITEMS, first(ITEMS, closed_at=NOON - timedelta(days=20)), "closed_before_listed.warning"),
    (ITEMS, every(ITEMS, closed_at=NOON), "live_items.critical"),
    (ITEMS, first(ITEMS, seller_id="s9"), "unknown_sellers_share.critical"),
    (ITEMS, first(ITEMS, category_id="c9"), "unknown_categories_share.warning"),
    (
        "marketplace.price_changes",
        first("marketplace.price_changes", price=Decimal(-1)),
        "negative_prices.critical",
    ),
    ("marketplace.price_changes", first("marketplace.price_changes", item_id="i9"), "unknown_items.warning"),
    ("marketplace.campaigns", first("marketplace.campaigns", ad_rate=3.0), "odd_ad_rates.warning"),
    (
        "marketplace.campaign_keywords",
        first("marketplace.campaign_keywords", campaign_id="k9"),
        "unknown_campaigns.warning",
    ),
    (
        "marketplace.campaign_daily",
        first("marketplace.campaign_daily", clicks=9),
        "clicks_without_impressions.warning",
    ),
    (EVENTS, [], "row_count.warning"),
    (EVENTS, [], "volume_against_usual.warning"),
    (EVENTS, CLEAN[EVENTS][:199], "purchases.warning"),
    (EVENTS, [event(n) for n in range(2000)] + CLEAN[EVENTS][199:], "volume_against_usual.warning"),
    (EVENTS, [event(n, event_type="like") for n in range(199)], "mix_distance.warning"),
    (EVENTS, every(EVENTS, event_ts=NOON - timedelta(hours=9)), "silent_hours.warning"),
    (EVENTS, first(EVENTS, event_ts=NOON - timedelta(days=1), event_date=DS), "wrong_days.critical"),
    (EVENTS, [event(n, user_id="u9") for n in range(5)] + CLEAN[EVENTS][5:], "unknown_users_share.warning"),
    (
        EVENTS,
        [event(n, user_id="u9") for n in range(150)] + CLEAN[EVENTS][150:],
        "unknown_users_share.critical",
    ),
    (EVENTS, [event(n, item_id="i9") for n in range(5)] + CLEAN[EVENTS][5:], "unknown_items_share.warning"),
    (
        EVENTS,
        [event(n, event_type="dance") for n in range(5)] + CLEAN[EVENTS][5:],
        "unknown_types_share.warning",
    ),
    (
        EVENTS,
        [event(n, event_type="bid", amount=Decimal(-1)) for n in range(5)] + CLEAN[EVENTS][5:],
        "bad_amounts_share.warning",
    ),
    (
        EVENTS,
        [event(n, ingested_at=NOON) for n in range(5)] + CLEAN[EVENTS][5:],
        "from_the_future_share.warning",
    ),
    ("features.item_group", every("features.item_group", is_live=False), "live_items.critical"),
    ("features.item_group", first("features.item_group", price_band=10), "odd_price_bands.critical"),
    ("features.user_daily", [], "row_count.critical"),
    (
        "features.user_daily",
        first("features.user_daily", views_7d=2, views_30d=1, views_90d=9),
        "shrinking_windows.critical",
    ),
    ("features.user_daily", first("features.user_daily", top_hour=24), "odd_habits.critical"),
    (
        "features.user_category_affinity",
        first("features.user_category_affinity", share=0.5),
        "shares_not_one.critical",
    ),
    (
        "features.user_search_affinity",
        first("features.user_search_affinity", searches=0.0),
        "odd_searches.critical",
    ),
    (
        "features.user_search_affinity",
        first("features.user_search_affinity", topic="size"),
        "odd_topics.critical",
    ),
    (
        "features.cohort_affinity",
        first("features.cohort_affinity", share=0.5),
        "shares_not_one.critical",
    ),
    ("features.cohort_affinity", first("features.cohort_affinity", drawn=1.5), "odd_shares.critical"),
    ("features.item_daily", first("features.item_daily", click_rate=1.5), "odd_rates.critical"),
    ("features.item_daily", first("features.item_daily", age_days=-1.0), "listed_after_ds.critical"),
    ("features.item_daily", CLEAN["features.item_daily"][:2], "missing_live_items.critical"),
    (
        "features.seller_daily",
        first("features.seller_daily", sold_90d=2, closed_90d=1),
        "more_sold_than_closed.warning",
    ),
    ("features.category_trend", first("features.category_trend", trend=-1.0), "odd_trends.critical"),
    (
        "features.item_cooccurrence",
        first("features.item_cooccurrence", other_group_id="g1"),
        "self_pairs.critical",
    ),
    (
        "features.interactions",
        first("features.interactions", last_date=DS + timedelta(days=1)),
        "odd_dates.critical",
    ),
    (LISTS, [], "row_count.critical"),
    (LISTS, first(LISTS, item_id="i9"), "not_live.critical"),
    (LISTS, first(LISTS, seller_id="u1"), "own_listings.critical"),
    (LISTS, first(LISTS, item_id="i2"), "repeated_items.critical"),
    (LISTS, first(LISTS, rank=4), "rank_gaps.critical"),
    (LISTS, CLEAN[LISTS][:3], "users_share.critical"),
    (LISTS, CLEAN[LISTS][:5], "short_lists_share.warning"),
    (LISTS, first(LISTS, p_purchase=1.5, expected_revenue=0.75), "odd_factors.critical"),
    (LISTS, first(LISTS, expected_revenue=5.0), "unexplained_revenues.critical"),
    (LISTS, first(LISTS, propensity=0.0), "odd_propensities.critical"),
    (LISTS, first(LISTS, propensity=0.5, slot="ranked"), "odd_propensities.critical"),
    (LISTS, first(LISTS, p_available=1.5, expected_revenue=0.75), "odd_factors.critical"),
    (LISTS, first(LISTS, p_available=0.5), "unexplained_revenues.critical"),
    (ASKED, first(ASKED, searchers_7d=2, searches_7d=1), "odd_reach.critical"),
    (ASKED, first(ASKED, clicks_28d=0), "unreached.critical"),
    ("features.keyword_engaged", first("features.keyword_engaged", clicks=0), "unreached.critical"),
    (ADS, first(ADS, clicks=1), "clicks_without_impressions.warning"),
    (ADS, first(ADS, ad_rate=3.0), "odd_ad_rates.critical"),
    (ADS, first(ADS, ended_at=NOON - timedelta(days=9)), "ended_before_started.warning"),
    (ADVERTISED, CLEAN[ADVERTISED][:2], "missing_live_items.critical"),
    (ADVERTISED, first(ADVERTISED, title=""), "untitled_share.warning"),
    (ADVERTISED, first(ADVERTISED, live_in_category=0), "uncounted.critical"),
    (ADVERTISED, first(ADVERTISED, age_days=-1.0), "listed_after_ds.critical"),
    (TEXTS, first(TEXTS, keyword=None), "without_reason.critical"),
    (TEXTS, first(TEXTS, reason="url"), "kept_with_reason.critical"),
    (TEXTS, every(TEXTS, keyword=None, reason="url"), "refused_share.warning"),
    (ADVISED, first(ADVISED, item_id="i9"), "not_live.critical"),
    (ADVISED, first(ADVISED, seller_id="s9"), "wrong_sellers.critical"),
    (ADVISED, first(ADVISED, keyword="cheap pills"), "refused_keywords.critical"),
    (ADVISED, every(ADVISED, keyword="shoe"), "repeated_keywords.critical"),
    (ADVISED, CLEAN[ADVISED][1:], "rank_gaps.critical"),
    (ADVISED, first(ADVISED, p_win=1.5), "odd_factors.critical"),
    (ADVISED, first(ADVISED, searches_7d=-1), "odd_reach.critical"),
    (ADVISED, first(ADVISED, marginal_profit=-1.0), "negative_profits.critical"),
    (ADVISED, first(ADVISED, reason=""), "without_reason.critical"),
    ("marts.keyword_recommendations", CLEAN[ADVISED][:1], "unpublished.critical"),
    ("marts.keyword_recommendations", [*CLEAN[OFFERED], proposed(3, "clog")], "unchecked.critical"),
    ("marts.keyword_recommendations", [*CLEAN[OFFERED], WITHHELD], "unchecked.critical"),
    (SHOPS, [], "row_count.warning"),
    (SHOPS, first(SHOPS, seller_id="s9"), "not_live.critical"),
    (SHOPS, first(SHOPS, seller_id="u1"), "own_shops.critical"),
    (SHOPS, [shop("u1"), shop("u1", rank=2), shop("u2")], "repeated_sellers.critical"),
    (SHOPS, first(SHOPS, rank=2), "rank_gaps.critical"),
    (SHOPS, first(SHOPS, score=2.5), "unexplained_scores.critical"),
    (SHOPS, first(SHOPS, reason=""), "without_reason.critical"),
    (SHOPS, CLEAN[SHOPS][:1], "users_share.warning"),
    (SHOPS, [*CLEAN[SHOPS], shop("u3")], "users_share.critical"),
    ("marts.seller_recommendations", CLEAN[SHOPS][:1], "unpublished.critical"),
    ("marts.seller_recommendations", first(SHOPS, seller_id="s9"), "unchecked.critical"),
    ("features.user_seller", first("features.user_seller", seller_id="u1"), "own_customers.critical"),
    ("features.user_seller", first("features.user_seller", follows=1), "odd_dates.critical"),
    ("features.user_seller", first("features.user_seller", weight=-1.0), "negative_counts.critical"),
    ("marts.recommendations", CLEAN[LISTS][:5], "unpublished.critical"),
    ("marts.recommendations", first(LISTS, item_id="i9"), "unchecked.critical"),
]


@pytest.mark.parametrize(("table", "rows", "expected"), DEFECTS, ids=[f"{t}-{e}" for t, _, e in DEFECTS])
def test_a_planted_defect_is_caught(settings: Settings, table: str, rows: list[Row], expected: str) -> None:
    plant(settings, table, rows)
    found = broken(settings, table)
    assert found.get(expected) == expected.rpartition(".")[2], found


def test_what_a_user_bought_comes_again_only_where_items_repeat(settings: Settings, tmp_path: Path) -> None:
    plant(settings, "staging.user_item_daily", [{"user_id": "u1", "item_id": "i1", "purchases": 1}])
    assert broken(settings, LISTS) == {"bought_items.critical": "critical"}
    shop = Settings.load({}, warehouse=settings.warehouse, item_unit="item")
    assert broken(shop, LISTS) == {}


def test_who_is_followed_or_bought_from_is_not_shown(settings: Settings) -> None:
    for known in ({"follows": 1, "followed_on": DS}, {"purchases": 1, "first_purchase_date": DS}):
        plant(settings, "features.user_seller", [{"user_id": "u1", "seller_id": "s1", **known}])
        assert broken(settings, SHOPS) == {"known_sellers.critical": "critical"}


def test_rows_against_yesterday(settings: Settings) -> None:
    with open_warehouse(settings) as warehouse:
        yesterday = DS - timedelta(days=1)
        put(
            warehouse,
            "features.user_daily",
            [{"user_id": f"u{n}", "ds": yesterday} for n in range(9)],
            yesterday,
        )
        assert broken(settings, "features.user_daily") == {"rows_against_yesterday.warning": "warning"}
        warehouse.drop("features.user_daily", yesterday)


@pytest.mark.parametrize("name", list(check.WINDOWS))
def test_a_day_that_was_never_built_is_a_warning_until_it_leaves_the_window(
    settings: Settings, name: str
) -> None:
    staged = check.WINDOWS[name]
    with open_warehouse(settings) as warehouse:
        kept = warehouse.partitions(staged)
        for back in (9, 8, 7, 6, 4, 3, 2, 1):
            put(
                warehouse, staged, [], DS - timedelta(days=back)
            )  # empty ones are no holes, what is lacking is
        warehouse.drop(staged, DS - timedelta(days=5))
    assert broken(settings, name) == {"window_is_complete.warning": "warning"}
    (warning,) = check.run(settings, DS, "features", [name])["warnings"]  # type: ignore[misc, attr-defined]
    assert "no partition 2026-01-23." in warning
    assert "Backfill features_daily for 2026-01-23..2026-01-28 in order" in warning
    assert broken(replace(settings, history_days=5), name) == {}
    with open_warehouse(settings) as warehouse:
        for day in warehouse.partitions(staged):
            warehouse.drop(staged, day)
        put(warehouse, staged, CLEAN[staged], DS)
        assert warehouse.partitions(staged) == kept


def test_a_critical_rule_stops_after_everything_is_recorded(settings: Settings) -> None:
    plant(settings, ITEMS, first(ITEMS, price=Decimal(-1)))
    with pytest.raises(QualityError) as error:
        check.run(settings, DS, "sources")
    for words in (
        "stage 'sources'",
        "marketplace.items",
        "No price is negative",
        "negative_prices is 1",
        "'i1'",
        "load",
    ):
        assert words in str(error.value)
    with open_warehouse(settings) as warehouse:
        results = warehouse.read(check.RESULTS, DS)
    recorded = set(results["table_name"])
    assert set(check.STAGES["sources"]) <= recorded
    row = results[
        (results["table_name"] == ITEMS) & (results["check_id"] == "negative_prices.critical")
    ].iloc[0]
    assert (row["observed"], row["unexpected_count"]) == ("1", 1)


def test_absent_tables(settings: Settings, tmp_path: Path) -> None:
    empty = Settings.load({}, warehouse=str(tmp_path))
    with pytest.raises(QualityError, match=r"marketplace.users is empty.*recsys import"):
        check.run(empty, DS, "sources")
    with open_warehouse(empty) as warehouse:
        results = warehouse.read(check.RESULTS, DS).set_index("table_name")
    assert results.loc["marketplace.users", "severity"] == "critical"
    assert results.loc["marketplace.campaigns", "severity"] == "info"
    assert results.loc["marketplace.campaigns", "success"]
    with pytest.raises(QualityError, match=r"marketplace\.events has no partition 2026-03-01"):
        check.run(settings, date(2026, 3, 1), "sources", [EVENTS])


def test_unknown_stage(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="sources, features, lists, published"):
        check.run(settings, DS, "dessert")


def test_a_dataset_stands_for_its_tables(settings: Settings) -> None:
    summary = check.run(settings, DS, "manual", ["features", "scoring.lists"])
    assert summary["tables"] == len(schema.FEATURES) + 1
    with pytest.raises(ContractError, match=r"No table 'features\.nothing'"):
        check.run(settings, DS, "manual", ["features.nothing"])


def test_a_day_checked_twice_gives_the_same_bytes(settings: Settings) -> None:
    path = Path(settings.warehouse, "monitoring", "check_results", f"ds={DS}.features.parquet")
    check.run(settings, DS, "features")
    before = path.read_bytes()
    check.run(settings, DS, "features")
    assert path.read_bytes() == before


def test_data_docs_open_without_a_network(settings: Settings, tmp_path: Path) -> None:
    plant(settings, ITEMS, first(ITEMS, take_rate=10.0))
    assert broken(settings, ITEMS)
    page = check.build_docs(settings)
    text = page.read_text(encoding="utf-8")
    assert "take_rate lies between 0 and 1" in text
    pages = list(page.parent.rglob("*.html"))
    links = [link for link in text.split('href="')[1:] if not link.startswith("#")]
    assert links
    for link in links:
        assert (page.parent / link.partition('"')[0]).is_file()
    for one in pages:
        html = one.read_text(encoding="utf-8")
        assert "<script" not in html
        assert "https://" not in html.partition("<body")[0]
    with pytest.raises(WarehouseError, match="Nothing has been checked"):
        check.build_docs(Settings.load({}, warehouse=str(tmp_path)))
