"""Read what a day left behind and write it up: the HTML report, and the table of arms for the terminal."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
from rich.console import Console
from rich.table import Table as RichTable

from recsys.errors import WarehouseError
from recsys.experiments.definition import Experiment, load_experiments
from recsys.reports.daily import (
    CAVEATS,
    CUMULATIVE,
    DAY,
    DailyReport,
    decided,
    estimates,
    metrics_of,
    render,
    truth_in_words,
    verdict,
)
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

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
        decisions=_read_days(warehouse, "experiments.decisions", ds),
        truth=_read_days(warehouse, "synthetic.truth", ds),
        checks=_read_days(warehouse, "monitoring.check_results", ds, days=1),
        examples=warehouse.query(_EXAMPLES, {"ranks": EXAMPLE_RANKS}, ds=ds).to_pandas(),
        rejected=warehouse.query(_REJECTED, ds=ds).to_pandas(),
        definitions=_definitions(settings),
    )
    path = settings.files_dir / "_reports" / f"ds={ds}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(report), encoding="utf-8")
    return {"report": str(path)}


def print_results(settings: Settings, ds: date, console: Console) -> None:
    """Print each metric of the definition by arm, by day and since the start, the decision, and the truth if known."""
    warehouse = open_warehouse(settings)
    results = _read_days(warehouse, "experiments.results", ds)
    if results.empty:
        raise WarehouseError(
            f"No experiment was read out up to {ds}. Run the DAG experiment_metrics_daily for a day on which an "
            f"experiment of {settings.experiments_dir} serves lists."
        )
    truth = _read_days(warehouse, "synthetic.truth", ds)
    by_day, so_far = (estimates(results, truth, scope) for scope in (DAY, CUMULATIVE))
    said = verdict(so_far, _definitions(settings))
    so_far = so_far[so_far["ds"] == so_far["ds"].max()]
    for metric, label in metrics_of(results).items():
        title = f"{label} ({settings.currency})" if metric == "rpu" else label
        grid = _grid(title, not truth.empty)
        _fill(grid, by_day[by_day["metric"] == metric], "%m-%d", not truth.empty)
        _fill(grid, so_far[so_far["metric"] == metric], "all", not truth.empty)
        console.print(grid)
    console.print(
        "± is half of the confidence interval. Rows by day count users who saw a list that day; rows 'all' sum what a "
        "user brought since the start, over every user who ever saw a list.\n",
        highlight=False,
    )
    console.print(said, highlight=False, style="bold")
    for decision in decided(_read_days(warehouse, "experiments.decisions", ds)):
        console.print(f"Decision on {decision}", highlight=False)
    if not truth.empty:
        console.print(truth_in_words(by_day), highlight=False)
    for caveat in CAVEATS:
        console.print(f"Mind: {caveat}", style="dim", highlight=False)


def _definitions(settings: Settings) -> dict[str, Experiment]:
    return {one.id: one for one in load_experiments(settings.experiments_dir)}


def _grid(title: str, has_truth: bool) -> RichTable:
    grid = RichTable(title=title, title_justify="left", title_style="bold")
    for name in ("day", "arm"):
        grid.add_column(name, no_wrap=True)
    for name in ("users", "estimate", *(["truth"] if has_truth else []), "difference"):
        grid.add_column(name, justify="right", no_wrap=True)
    return grid


def _fill(grid: RichTable, rows: pd.DataFrame, day: str, has_truth: bool) -> None:
    for _, of_day in rows.groupby("ds"):
        for row in of_day.to_dict("records"):
            cells = [pd.Timestamp(row["ds"]).strftime(day), row["arm"], f"{row['users']:,}"]
            cells.append(_number(row["mean"], row["mean_high"]))
            if has_truth:
                cells.append("" if pd.isna(row["truth"]) else f"{row['truth']:.4f}")
            cells.append(_number(row["difference"], row["difference_high"], "+"))
            grid.add_row(*cells)
        grid.add_section()


def _number(value: float, high: float, sign: str = "") -> str:
    return "" if pd.isna(value) else f"{value:{sign}.4f} ± {high - value:.4f}"


def _read_days(warehouse: Warehouse, name: str, ds: date, days: int = MOST_DAYS) -> pd.DataFrame:
    start = ds - timedelta(days=days - 1)
    if not any(start <= day <= ds for day in warehouse.partitions(name)):
        return pd.DataFrame(columns=table(name).column_names)
    return warehouse.read(name, ds, start=start)
