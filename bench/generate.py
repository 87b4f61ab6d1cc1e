"""Write the marketplace to be measured into a local warehouse: source tables, then the history of staging.

Each day is written on its own, so two processes share the days. The same size and seed give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa

from bench.events import FIELDS, SURFACES, TYPE, day_events
from bench.market import FIRST_DAY, LAST_DAY, LEAVES, NEVER, PARENTS, Array, Market
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

SEED = 20260101
HISTORY = (
    "staging.users",
    "staging.items",
    "staging.arrivals",
    "staging.events",
    "staging.user_item_daily",
    "staging.item_daily",
    "staging.item_shown_daily",
    "staging.search_daily",
)
"""What features of later days read of an earlier day, and what that is made from."""

USERS = """SELECT printf('u%07d', id) AS user_id, registered AS registered_at, birth_year,
    CASE gender WHEN 0 THEN 'f' WHEN 1 THEN 'm' END AS gender, printf('region %d', region + 1) AS region FROM t"""
SELLERS = """SELECT printf('u%07d', "user") AS seller_id, registered AS registered_at, rating,
    ratings AS rating_count, verified AS is_verified, ships_within AS ships_within_days FROM t"""
CATEGORIES = f"""SELECT printf('c%04d', id) AS category_id,
    CASE WHEN id >= {PARENTS} THEN printf('c%04d', (id - {PARENTS}) % {PARENTS}) END AS parent_id,
    printf('Category %d', id) AS name, CASE WHEN id >= {PARENTS} THEN 2 ELSE 1 END AS level FROM t"""
ITEMS = f"""SELECT printf('i%08d', id) AS item_id, printf('u%07d', seller) AS seller_id,
    printf('c%04d', leaf + {PARENTS}) AS category_id,
    printf('Thing %d of category %d, brand %d, like new', id, leaf, brand) AS title,
    printf('Used with care, number %d. Collected in person or posted within two days; see the pictures.', id)
        AS description,
    CASE WHEN brand >= 0 THEN printf('Brand %d', brand) END AS brand,
    CASE WHEN leaf % 3 = 0 THEN ['S', 'M', 'L', 'XL'][1 + id % 4] END AS size,
    ['new', 'like new', 'good', 'worn'][condition + 1] AS condition, CAST(price AS DECIMAL(18, 2)) AS price,
    0.1 AS take_rate, CASE WHEN id % 3 = 0 THEN 'seller' ELSE 'buyer' END AS shipping_payer,
    CASE WHEN reason = 1 THEN 0 ELSE 1 END AS stock,
    CASE WHEN auction THEN 'auction' ELSE 'fixed' END AS sale_type, listed AS listed_at,
    auction_ends AS auction_ends_at, closed AS closed_at,
    CASE reason WHEN 1 THEN 'sold' WHEN 2 THEN 'withdrawn' WHEN 3 THEN 'expired' END AS close_reason FROM t"""
PRICE_CHANGES = """SELECT printf('i%08d', id) AS item_id, changed AS changed_at,
    CAST(price AS DECIMAL(18, 2)) AS price FROM t"""
EVENTS = """SELECT printf('e%s-%07d', $day, event) AS event_id, ts AS event_ts, known AS ingested_at,
    printf('u%07d', "user") AS user_id, printf('%s-%d-%d', $day, "user", date_part('hour', ts) // 4) AS session_id,
    $types[type + 1] AS event_type, CASE WHEN item <> -1 THEN printf('i%08d', item) END AS item_id,
    CASE WHEN seller <> -1 THEN printf('u%07d', seller) END AS seller_id,
    CASE WHEN query <> -1 THEN printf('thing %d of category %d', query % 8, query // 24) END AS query,
    CASE WHEN NOT isnan(amount) THEN CAST(amount AS DECIMAL(18, 2)) END AS amount,
    CASE WHEN quantity <> -1 THEN quantity END AS quantity,
    CASE WHEN surface <> -1 THEN $surfaces[surface + 1] END AS surface,
    ['app', 'web', 'tablet'][device + 1] AS device,
    CASE WHEN request <> -1 THEN printf('r%s-%d', $day, request) END AS request_id,
    CASE WHEN position <> -1 THEN position END AS position,
    CASE WHEN type = 0 AND position <> -1 THEN 1.0 END AS propensity FROM t"""


def all_days() -> list[date]:
    """The days that have events, oldest first."""
    return [FIRST_DAY + timedelta(days=n) for n in range((LAST_DAY - FIRST_DAY).days + 1)]


def write_catalogue(settings: Settings, market: Market) -> None:
    """Write all source tables but the events."""
    users, sellers = market.users, market.sellers
    frames = {
        "marketplace.users": (
            USERS,
            {
                "id": np.arange(len(users.region)),
                "registered": _times(users.registered),
                "birth_year": users.birth_year,
                "gender": users.gender,
                "region": users.region,
            },
        ),
        "marketplace.sellers": (
            SELLERS,
            {"registered": _times(users.registered[sellers.user])} | vars(sellers),
        ),
        "marketplace.item_category": (CATEGORIES, {"id": np.arange(PARENTS + LEAVES)}),
        "marketplace.items": (ITEMS, _listing_columns(market)),
        "marketplace.price_changes": (PRICE_CHANGES, _price_changes(market)),
    }
    with open_warehouse(settings) as warehouse, _engine(2) as connection:
        for table, (sql, columns) in frames.items():
            warehouse.write(table, _select(connection, sql, columns))


def write_events(settings: Settings, market: Market, days: Sequence[date]) -> int:
    """Write ``marketplace.events`` of each of ``days``; return the rows."""
    rows = 0
    with open_warehouse(settings) as warehouse, _engine(1) as connection:
        for day in days:
            rows += _write_day(warehouse, connection, market, day)
    return rows


def _engine(threads: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": threads})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection


def _write_day(warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, market: Market, day: date) -> int:
    events = day_events(market, day)
    columns = {name: events[name] for name in (*FIELDS, "event")}
    columns["device"] = market.users.device[events["user"]]
    columns |= {name: pa.array(events[name], pa.timestamp("us", "UTC")) for name in ("ts", "known")}
    bound = {"day": day.strftime("%y%m%d"), "types": list(TYPE), "surfaces": list(SURFACES)}
    arrow = _select(connection, EVENTS, columns, bound)
    arrow = arrow.append_column("event_date", pa.repeat(pa.scalar(day, pa.date32()), arrow.num_rows))
    return warehouse.write("marketplace.events", arrow, day)


def _select(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    columns: dict[str, Array | pa.Array],
    bound: dict[str, object] | None = None,
) -> pa.Table:
    connection.register("t", pa.table(columns))
    return connection.sql(sql, params=bound or {}).to_arrow_table()


def _listing_columns(market: Market) -> dict[str, Array | pa.Array]:
    listings = market.listings
    names = ("leaf", "brand", "condition", "price", "reason", "auction")
    return {name: getattr(listings, name) for name in names} | {
        "id": np.arange(len(listings.leaf)),
        "seller": market.sellers.user[listings.seller],
        "listed": _times(listings.listed),
        "closed": _times(listings.closed),
        "auction_ends": _times(listings.auction_ends),
    }


def _price_changes(market: Market) -> dict[str, Array | pa.Array]:
    """One listing in fifty is marked down, three days after it was listed."""
    listings = market.listings
    item = np.flatnonzero((np.arange(len(listings.leaf)) % 50 == 0) & ~listings.auction)
    changed = listings.listed[item] + 3 * 86_400
    item = item[changed < np.minimum(listings.closed[item], _last_second())]
    return {
        "id": item,
        "changed": _times(listings.listed[item] + 3 * 86_400),
        "price": np.maximum(listings.price[item] * 0.9, 1),
    }


def _last_second() -> int:
    return int(np.datetime64(LAST_DAY + timedelta(days=1), "s").astype(np.int64)) - 1


def _times(seconds: Array) -> pa.Array:
    """Seconds since 1970 as timestamps; NEVER as NULL."""
    never = seconds == NEVER
    return pa.array(np.where(never, 0, seconds) * 1_000_000, pa.timestamp("us", "UTC"), mask=never)
