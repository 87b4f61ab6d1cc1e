"""How long the metrics of a large experiment take to aggregate: python -m bench.experiment_metrics --users 10000000.

Three arms, 28 days, ten metrics, one of them winsorised. Every user comes on a share of the days (``--active``), and
on the first of them is exposed. What is timed is the build of ``experiments.unit_totals`` and ``metrics_daily`` of
the last day, in a process of its own; the making of its inputs is not.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from bench.machine import Task, describe, run_stage
from recsys import schema
from recsys.experiments.metrics import MEASURES
from recsys.settings import Settings
from recsys.warehouse import engine, open_warehouse
from recsys.warehouse.local import LocalWarehouse

FIRST = date(2026, 1, 1)
EXPERIMENT = "bench"
METRICS = {
    "rpu": ("mean", "revenue", None),
    "gmv_per_user": ("mean", "gmv", None),
    "conversion": ("proportion", "purchases", None),
    "orders_per_user": ("mean", "purchases", None),
    "aov": ("ratio", "gmv", "purchases"),
    "ctr": ("ratio", "clicks", "impressions"),
    "likes_per_user": ("mean", "likes", None),
    "sessions_per_user": ("mean", "sessions", None),
    "bounce_rate": ("ratio", "bounces", "sessions"),
    "cancel_rate": ("ratio", "cancels", "purchases"),
}
"""As include/metrics.yaml has them; ten of them."""
ACTS = """
SELECT 'user' AS unit, unit_id, CAST($day AS DATE) AS event_date, 1 + h % 20 AS impressions, h // 32 % 4 AS clicks,
  h // 128 % 6 AS views, h // 1024 % 8 // 7 AS likes, h // 8192 % 16 // 15 AS carts, 1 AS sessions,
  h // 131072 % 2 AS bounces, buys AS purchases, buys * (h % 10 // 9) AS cancels,
  CAST(buys * exp(3 + h // 262144 % 1000 / 250) AS DECIMAL(38, 9)) AS gmv,
  CAST(buys * exp(3 + h // 262144 % 1000 / 250) / 10 AS DECIMAL(38, 9)) AS revenue,
  0 AS listings_sold, 0 AS hours_to_sale, 0 AS new_sellers, 0 AS first_sales, CAST($day AS DATE) AS ds,
  0 AS ad_impressions, 0 AS ad_clicks, 0 AS ad_purchases, 0 AS ad_revenue, 0 AS ad_spend, 0 AS campaigns,
  0 AS keywords, 0 AS keywords_adopted
FROM (
  SELECT *, CAST(h // 7 % 50 // 49 AS BIGINT) AS buys
  FROM (
    SELECT 'u' || lpad(CAST(i AS VARCHAR), 9, '0') AS unit_id,
      CAST(hash(i, CAST($day AS DATE)) // 2 AS BIGINT) AS h
    FROM range($users) AS numbers(i)
  )
  WHERE h // 1048576 % 10000 < $active * 10000
)
"""
EXPOSURES = """
SELECT 'bench' AS experiment_id, unit_id, 'arm' || CAST(hash(unit_id) % 3 AS VARCHAR) AS arm,
  CAST(CAST($day AS DATE) + INTERVAL 10 HOUR AS TIMESTAMPTZ) AS first_exposed_at, impressions, CAST($day AS DATE) AS ds
FROM read_parquet($acts)
"""


def make(settings: Settings, users: int, days: int, active: float) -> date:
    """Write the days that the build reads, where they are not there yet; return the last."""
    warehouse = open_warehouse(settings)
    assert isinstance(warehouse, LocalWarehouse)
    last = FIRST + timedelta(days=days - 1)
    if warehouse.exists("experiments.metrics", last):
        return last
    unit_daily, exposures = (schema.table(f"experiments.{name}") for name in ("unit_daily", "exposures"))
    connection = engine.connect(warehouse.root, settings.memory)
    for number in range(days):
        day = FIRST + timedelta(days=number)
        acts, shown = (warehouse.layout.path(table, day) for table in (unit_daily, exposures))
        bound = {"day": day, "users": users, "active": active}
        for table, path, sql, given in (
            (unit_daily, acts, ACTS, bound),
            (exposures, shown, EXPOSURES, {"day": day, "acts": str(acts)}),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            engine.Copy(table, sql, given, table.name, day).run(connection, path)
    _declare(warehouse, last)
    warehouse.close()
    return last


def _declare(warehouse: LocalWarehouse, last: date) -> None:
    declared = pd.DataFrame(
        [
            {"metric": name, "kind": kind, "numerator": num, "denominator": den}
            for name, (kind, num, den) in METRICS.items()
        ]
    ).assign(
        experiment_id=EXPERIMENT,
        unit="user",
        started_on=FIRST,
        ds=last,
        **dict.fromkeys(("covariate_from", "ended_on", "segments")),
    )
    for place, measure in (("num_at", "numerator"), ("den_at", "denominator")):
        declared[place] = [MEASURES.index(name) if name in MEASURES else None for name in declared[measure]]
    declared["winsorise"] = [0.999 if name == "rpu" else None for name in declared["metric"]]
    warehouse.write("experiments.metrics", declared, last)
    people = schema.table("staging.users").column_names
    warehouse.write("staging.users", pd.DataFrame(columns=people), last)


def aggregate(settings: Settings, day: date) -> int:
    """Build the totals of units and the sums of ``day``; return their rows."""
    with open_warehouse(settings) as warehouse:
        return sum(
            warehouse.build(f"experiments.{name}", day).rows for name in ("unit_totals", "metrics_daily")
        )


def main() -> None:
    """Make the tables, build, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--active", type=float, default=0.25, help="Share of the days on which a user comes.")
    parser.add_argument("--memory", default="6GB", help="RECSYS_MEMORY of the build.")
    parser.add_argument("--folder", type=Path, help="Where the tables are made, once; removed without it.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = given.folder or Path(folder)
        settings = Settings.load({}, warehouse=str(root), memory=given.memory)
        last = make(settings, given.users, given.days, given.active)
        stage = run_stage("metrics", [Task("metrics_daily", aggregate, (settings, last))], 1, print)
        print(f"{describe()}; others kept {stage.others:.1f} cores busy")


if __name__ == "__main__":
    main()
