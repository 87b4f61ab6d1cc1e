"""Read what a day left behind and write it up: the HTML report, and the table of arms for the terminal."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table as RichTable

from recsys.errors import WarehouseError
from recsys.reports.daily import CUMULATIVE, DAY, METRICS, DailyReport, estimates, render, verdict
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

EXAMPLE_USERS = 4
EXAMPLE_RANKS = 8
MOST_DAYS = 60

_EXAMPLES = """
SELECT lists.user_id, lists.policy, lists.rank, lists.item_id, items.title, lists.source, lists.p_purchase,
  lists.price, lists.take_rate, lists.p_cancel, lists.expected_revenue
FROM marts.recommendations AS lists
LEFT JOIN staging.items AS items ON items.item_id = lists.item_id AND items.ds = @ds
WHERE lists.ds = @ds AND lists.rank <= @ranks AND lists.user_id IN (
  SELECT user_id FROM features.user_daily
  WHERE ds = @ds
  ORDER BY purchases_90d DESC, user_id
  LIMIT 4
)
ORDER BY lists.user_id, lists.rank
"""
_REJECTED = """
SELECT reason, COUNT(*) AS events FROM staging.rejected_events WHERE ds = @ds GROUP BY reason ORDER BY reason
"""


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Write ``<warehouse>/_reports/ds=<ds>.html`` and return its path."""
    warehouse = open_warehouse(settings)
    report = DailyReport(
        ds=ds,
        currency=settings.currency,
        results=_read_days(warehouse, "experiments.results", ds),
        truth=_read_days(warehouse, "synthetic.truth", ds),
        checks=_read_days(warehouse, "monitoring.check_results", ds, days=1),
        examples=warehouse.query(_EXAMPLES, {"ranks": EXAMPLE_RANKS}, ds=ds).to_pandas(),
        rejected=warehouse.query(_REJECTED, ds=ds).to_pandas(),
    )
    path = Path(settings.warehouse) / "_reports" / f"ds={ds}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(report), encoding="utf-8")
    return {"report": str(path)}


def print_results(settings: Settings, ds: date, console: Console) -> None:
    """Print revenue per user, conversion and click-through by arm, by day and since the start, and the verdict."""
    warehouse = open_warehouse(settings)
    results = _read_days(warehouse, "experiments.results", ds)
    if results.empty:
        raise WarehouseError(
            f"No experiment was read out up to {ds}. Run the DAG experiment_metrics_daily for a day on which an "
            f"experiment of {settings.experiments_dir} serves lists."
        )
    truth = _read_days(warehouse, "synthetic.truth", ds)
    by_day, so_far = (estimates(results, truth, scope) for scope in (DAY, CUMULATIVE))
    so_far = so_far[so_far["ds"] == so_far["ds"].max()]
    for metric, label in METRICS.items():
        unit = f" ({settings.currency})" if metric == "rpu" else ""
        console.print(_grid(f"{label}{unit} by day", by_day[by_day["metric"] == metric], not truth.empty))
        console.print(_grid(f"{label}{unit} since the start", so_far[so_far["metric"] == metric], False))
    console.print(verdict(so_far), highlight=False)


def _grid(title: str, rows: pd.DataFrame, has_truth: bool) -> RichTable:
    grid = RichTable(title=title, title_justify="left")
    for name in ("day", "arm", "users", "estimate", "95% interval"):
        grid.add_column(name, justify="left" if name in {"day", "arm"} else "right")
    if has_truth:
        grid.add_column("truth", justify="right")
    grid.add_column("difference", justify="right")
    grid.add_column("95% interval", justify="right")
    for row in rows.to_dict("records"):
        cells = [
            str(pd.Timestamp(row["ds"]).date()),
            row["arm"],
            f"{row['users']:,}",
            _number(row["mean"]),
            _range(row["mean_low"], row["mean_high"]),
        ]
        if has_truth:
            cells.append(_number(row["truth"]))
        cells += [_number(row["difference"], "+"), _range(row["difference_low"], row["difference_high"], "+")]
        grid.add_row(*cells)
    return grid


def _number(value: float, sign: str = "") -> str:
    return "" if pd.isna(value) else f"{value:{sign}.4f}"


def _range(low: float, high: float, sign: str = "") -> str:
    return "" if pd.isna(low) else f"{low:{sign}.4f} to {high:{sign}.4f}"


def _read_days(warehouse: Warehouse, name: str, ds: date, days: int = MOST_DAYS) -> pd.DataFrame:
    start = ds - timedelta(days=days - 1)
    if not any(start <= day <= ds for day in warehouse.partitions(name)):
        return pd.DataFrame(columns=table(name).column_names)
    return warehouse.read(name, ds, start=start)
