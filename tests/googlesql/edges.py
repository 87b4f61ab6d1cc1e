"""Generated marketplaces that sit on every edge: one seeded world of rows per scenario, for all tables at once.

Ids come from small pools, so that joins hit and orders tie; every column that may be NULL often is; times lie on the
window edges, on midnights of the zone and on changes of clocks; partitions after ``ds`` are full, so that a SELECT that
reads the future gives other rows than one that does not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from recsys import schema

Row = dict[str, Any]
World = dict[str, list[Row]]


@dataclass(frozen=True)
class Scenario:
    """One world: its data day, the settings that differ from the defaults, and how its numbers are drawn.

    ``nulls`` is the share of NULLs where they are allowed, ``zeros`` the share of zeros among numbers.
    """

    name: str
    ds: date
    settings: dict[str, Any] = field(default_factory=dict)
    nulls: float = 0.2
    zeros: float = 0.3
    rows: int = 24
    ids: int = 5

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of the marketplace."""
        return ZoneInfo(self.settings.get("timezone", "UTC"))


SCENARIOS = (
    Scenario("utc", date(2026, 1, 14)),
    Scenario("clocks go forward", date(2026, 3, 29), {"timezone": "Europe/Paris"}, nulls=0.1, rows=30),
    Scenario("clocks go back", date(2026, 11, 1), {"timezone": "America/New_York", "late_days": 0}, rows=30),
    Scenario("midnight does not exist", date(2018, 11, 3), {"timezone": "America/Sao_Paulo"}, ids=3),
    Scenario(
        "leap day", date(2024, 2, 29), {"timezone": "Asia/Kolkata", "history_days": 366, "late_days": 5}
    ),
    Scenario(
        "shortest windows",
        date(2025, 12, 31),
        {"history_days": 1, "active_days": 1, "experiment_days": 0, "late_days": 0, "item_unit": "item"},
        nulls=0.05,
        ids=3,
    ),
    Scenario("mostly null", date(2026, 1, 1), {"timezone": "Pacific/Auckland"}, nulls=0.8, zeros=0.1),
    Scenario("mostly zero", date(2024, 12, 31), {"item_unit": "item"}, nulls=0.05, zeros=0.9, rows=30),
    Scenario("ties", date(2026, 6, 7), {"timezone": "Asia/Tokyo"}, nulls=0.0, zeros=0.5, rows=40, ids=2),
    Scenario("many", date(2026, 7, 31), nulls=0.1, zeros=0.2, rows=120, ids=12),
)

ODD_TEXTS = (
    "é",
    "e\u0301",
    "İstanbul",
    "ISPARTA ı",
    "STRAẞE ß",
    "ﬁ ǅ Σας ΣΑΣ",
    "👩‍👩‍👧 🎌",
    "日本語",
    "a'b\"c\\d`e",
    "-- ; @ds %_ \t\n",
    "\u00a0\u2003x\u3000",
    "",
    " ",
    "0",
    "NULL",
    "x" * 700,
)
WORDS: dict[str, tuple[str, ...]] = {
    "event_type": (*schema.EVENT_TYPES, *schema.EVENT_TYPES, "purchase", "impression", "VIEW", ""),
    "surface": (schema.SURFACE_RECOMMENDATION,) * 3 + ("search", "Recommendation", ""),
    "sale_type": ("fixed", "auction", "auction", "Fixed"),
    "close_reason": ("sold", "withdrawn", "expired", "SOLD"),
    "region": ("north", "Nörd", "", "İ"),
    "query": ("Red Shoes", "red  shoes", " RED\u00a0SHOES ", "İSTANBUL", "i\u0307stanbul", "\u3000", "ß", ""),
    "brand": ("Acme", "ACME", "acme", "İx", "É", "E\u0301", ""),
    "condition": ("new", "used", ""),
    "policy": ("popularity", "hybrid"),
    "arm": ("popularity", "hybrid"),
    "source": ("als", "trend"),
    "reason": ("late", "future", "duplicate"),
    "scope": ("day", "cumulative"),
    "unit": ("user", "user", "seller", "cluster"),
    "metric": ("rpu", "ctr", "conversion"),
    "kind": ("mean", "proportion", "ratio", "quantile"),
    "numerator": ("revenue", "gmv", "clicks", "impressions", "purchases", "first_sales", "exposure_spread"),
    "denominator": ("impressions", "purchases", "sessions"),
    "segments": (",region,", ",region,gender,", ",tenure,"),
    "segment": ("all", "all", "region"),
    "segment_value": ("all", "all", "north", "Nörd"),
}
ID_COLUMNS = {
    "user_id": "u",
    "unit_id": "u",
    "item_id": "i",
    "seller_id": "s",
    "category_id": "c",
    "parent_id": "c",
    "parent_category_id": "c",
    "group_id": "g",
    "other_group_id": "g",
    "event_id": "e",
    "experiment_id": "x",
    "campaign_id": "k",
    "request_id": "r",
    "session_id": "n",
}
ODD_IDS = {"u": "ü1", "i": "İ1", "s": "u1", "c": "c🎌", "g": "g' OR '1", "e": "e\u0301"}
NUMERICS = (
    "0.000000001",
    "4.999999999",
    "5",
    "9.99",
    "19.990000001",
    "1279.999999999",
    "1280",
    "999999999.999999999",
    "1000000000",
    "-0.000000001",
    "-12.5",
    "123456789012345.123456789",
)
"""Around the price bands, the bounds of a good amount, and the ends of 9 decimal places."""
FLOATS = (0.1, 0.5, 1.0, 1 / 3, 0.999999, 1e-9, 2.5, 4.75, 1e9, 0.1 + 0.2)
DAYS_BACK = (0, 0, 0, 0, 1, 1, 2, 3, 6, 7, 13, 14, 27, 28, 29, 30, 34, 35, 88, 89, 90, 91, -1, -2)
"""Days before ds on which rows lie: window edges, and two days of the future."""


AROUND = (-1, 0, 1, 2)
"""Days around ds that every partitioned table has."""
ACTS = (
    {"event_type": "view", "user_id": "u2", "item_id": "i2", "seller_id": "s3", "query": "Red\u3000SHOES "},
    {"event_type": "purchase", "user_id": "u2", "item_id": "i9", "seller_id": "s2", "query": "red shoes"},
    {"event_type": "follow", "user_id": "u2", "item_id": None, "seller_id": "s2", "query": None},
    {"event_type": "follow", "user_id": "u1", "item_id": None, "seller_id": "u1", "query": None},
    {"event_type": "search", "user_id": "u2", "item_id": None, "seller_id": None, "query": "RED  shoes"},
)
"""What users do on ds in every world: through a search, a listing or neither, with a seller or with themselves."""
PLANTED: dict[str, tuple[Row, ...]] = {
    "staging.events": tuple(act | {"event_id": f"act{number}"} for number, act in enumerate(ACTS)),
    "experiments.metrics": ({"experiment_id": "x2", "metric": "rpu", "kind": "mean"},),
    "experiments.metrics_daily": (
        {"experiment_id": "x2", "metric": "rpu", "scope": "cumulative", "segment": "all"},
    ),
    "experiments.unit_totals": ({"experiment_id": "x2", "scope": "cumulative"},),
}
"""Rows of ds in every world, where chance seldom makes those that go together."""


def world(scenario: Scenario) -> World:
    """Rows of every table of the contracts but those that nothing reads; the same scenario gives the same rows."""
    return {
        name: _Table(contract, scenario).rows()
        for name, contract in schema.TABLES.items()
        if not name.startswith(("synthetic.", "monitoring."))
    }


class _Table:
    def __init__(self, contract: schema.Table, scenario: Scenario) -> None:
        self.contract = contract
        self.scenario = scenario
        self.draw = random.Random(
            f"{scenario.name}/{contract.name}"
        )  # not `rng.choice` of another table's seed
        self.moments = moments(scenario)

    def rows(self) -> list[Row]:
        """Rows with a unique key within their partition, but for events, which may come twice."""
        found: dict[tuple[Any, ...], Row] = {}
        planted = PLANTED.get(self.contract.name, ())
        for number in range(self.scenario.rows * (1 if self.contract.partition is None else 3)):
            row = self._row()
            if self.contract.partition and number < len(AROUND):  # none of them is left to chance
                row[self.contract.partition] = self.scenario.ds + timedelta(days=AROUND[number])
            elif 0 <= number - len(AROUND) < len(planted):
                row |= planted[number - len(AROUND)] | {"ds": self.scenario.ds}
            key = tuple(row[name] for name in dict.fromkeys((*self.contract.key, *self._partition())))
            found[(*key, number) if self.contract.name == "marketplace.events" else key] = row
        return list(found.values())

    def _partition(self) -> tuple[str, ...]:
        return (self.contract.partition,) if self.contract.partition else ()

    def _row(self) -> Row:
        row = {column.name: self._value(column) for column in self.contract.columns}
        if self.contract.name == "marketplace.events":
            self._arrive(row)
        elif "event_date" in row and "ds" in row and self.draw.random() < 0.7:
            row["event_date"] = row["ds"] - timedelta(days=self.draw.choice((0, 0, 1, 2)))
        if self.contract.name == "staging.arrivals" and self.draw.random() < 0.5:
            row["reason"] = None
        if "event_type" in row and self.draw.random() < 0.4:
            self._show(row)
        if "is_reserve" in row and self.draw.random() < 0.4:  # a list that was served on ds
            served = {"ds": self.scenario.ds - timedelta(days=1), "rank": 1, "experiment_id": self._id("x")}
            row.update(served, is_reserve=False)
        return row

    def _show(self, row: Row) -> None:
        """Make an event an impression of a list, known and mostly shown on ds."""
        row |= {"event_type": "impression", "surface": schema.SURFACE_RECOMMENDATION, "request_id": "r2"}
        row |= {"user_id": self._id("u"), "item_id": self._id("i"), "propensity": 0.5}
        if "ds" in row:
            days = {"ds": 0, "event_date": self.draw.choice((0, 0, 1))}
            row |= {name: self.scenario.ds - timedelta(days=back) for name, back in days.items()}

    def _arrive(self, row: Row) -> None:
        """Mostly an event lies in the partition of its day and is known soon after; some are late, some early."""
        if self.draw.random() < 0.8:
            row["event_date"] = row["event_ts"].astimezone(self.scenario.zone).date()
        if self.draw.random() < 0.8:
            delay = self.draw.choice((0, 1, 3600 * 1_000_000, 86400 * 1_000_000, 3 * 86400 * 1_000_000, -1))
            row["ingested_at"] = row["event_ts"] + timedelta(microseconds=delay)

    def _value(self, column: schema.Column) -> Any:
        if not column.required and self.draw.random() < self.scenario.nulls:
            return None
        if column.name in ID_COLUMNS:
            return self._id(ID_COLUMNS[column.name])
        if column.name in ("rank", "arrival", "position", "first_position"):
            return self.draw.choice((1, 1, 2, 3, 49, 50, 51))
        return getattr(self, f"_{column.type.lower()}")(column.name)

    def _id(self, letter: str) -> str:
        number = self.draw.randint(1, self.scenario.ids)
        return ODD_IDS.get(letter, f"{letter}1") if number == 1 else f"{letter}{number}"

    def _string(self, name: str) -> str:
        pool = WORDS.get(name, ())
        return self.draw.choice(pool if pool and self.draw.random() < 0.8 else ODD_TEXTS)

    def _int64(self, name: str) -> int:
        if self.draw.random() < self.scenario.zeros:
            return 0
        return self.draw.choice((1, 1, 2, 3, 7, 10, 1_000_000, -1 if name == "quantity" else 5))

    def _float64(self, name: str) -> float:
        if self.draw.random() < self.scenario.zeros:
            return 0.0
        shares = [value for value in FLOATS if value <= 1.0]
        return self.draw.choice(
            shares if name.endswith(("rate", "propensity", "share", "p_cancel")) else FLOATS
        )

    def _numeric(self, _: str) -> Decimal:
        return Decimal(0 if self.draw.random() < self.scenario.zeros else self.draw.choice(NUMERICS))

    def _bool(self, _: str) -> bool:
        return self.draw.random() < 0.6

    def _date(self, name: str) -> date:
        back = self.draw.choice(DAYS_BACK if name in ("ds", "event_date", "report_date") else (0, 1, 30, 400))
        return self.scenario.ds - timedelta(days=back)

    def _timestamp(self, _: str) -> datetime:
        return self.draw.choice(self.moments)


def moments(scenario: Scenario) -> list[datetime]:
    """Midnights of the zone around the window edges, a microsecond to either side, and hours of the data day."""
    found = []
    for back in (*DAYS_BACK, 0, 0, 0, 365, 400):
        day = scenario.ds - timedelta(days=back)
        midnight = datetime.combine(day, time(), scenario.zone).astimezone(UTC)
        found += [midnight + timedelta(microseconds=micros) for micros in (-1, 0, 1)]
    for hour in (0, 1, 2, 3, 4, 9, 12, 23):
        for fold in (0, 1):
            local = datetime.combine(scenario.ds, time(hour, 30, 0, 123456), scenario.zone).replace(fold=fold)
            found.append(local.astimezone(UTC))
    utc_midnight = datetime.combine(scenario.ds + timedelta(days=1), time(), UTC)
    return [*found, utc_midnight, utc_midnight - timedelta(microseconds=1)]
