"""The jobs assign, results and report over a small local warehouse."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from recsys.errors import WarehouseError
from recsys.jobs import assign, report, results
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

START = date(2026, 2, 10)  # of include/experiments/hybrid_vs_popularity.yaml


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(warehouse=str(tmp_path / "warehouse"))


def filled(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows with a plain value for every required column that a row leaves out."""
    plain: dict[str, Any] = {"STRING": "x", "INT64": 0, "FLOAT64": 0.0, "NUMERIC": 0, "BOOL": False}
    contract = table(name)
    defaults = {c.name: plain.get(c.type) if c.required else None for c in contract.columns}
    return pd.DataFrame([defaults | row for row in rows])


def write_users(settings: Settings, ds: date, users: list[str]) -> None:
    rows = [{"user_id": user, "ds": ds} for user in users]
    open_warehouse(settings).write("features.user_daily", filled("features.user_daily", rows), ds)


def write_metrics(settings: Settings, ds: date, users: tuple[int, int], revenue: tuple[float, float]) -> None:
    rows = [
        {
            "experiment_id": "hybrid_vs_popularity",
            "arm": arm,
            "scope": scope,
            "users": n,
            "revenue_sum": total,
            "revenue_sq_sum": total * total / n * 3,
            "converters": n // 20,
            "clicks_sum": n,
            "impressions_sum": 10 * n,
            "clicks_sq_sum": 2 * n,
            "impressions_sq_sum": 120 * n,
            "clicks_impressions_sum": 11 * n,
            "ds": ds,
        }
        for scope in ("day", "cumulative")
        for arm, n, total in zip(("popularity", "hybrid"), users, revenue, strict=True)
    ]
    open_warehouse(settings).write("experiments.metrics_daily", pd.DataFrame(rows), ds)


def test_assignment_covers_every_active_user_and_is_stable_over_days(settings: Settings) -> None:
    users = [f"u{i:05d}" for i in range(500)]
    write_users(settings, START - timedelta(days=1), users)
    write_users(settings, START, [*users[:100], "u'; DROP TABLE x; --", "ユーザー"])
    first = assign.run(settings, START - timedelta(days=1))
    assign.run(settings, START)
    warehouse = open_warehouse(settings)
    before = warehouse.read("experiments.assignments", START - timedelta(days=1)).set_index("unit_id")["arm"]
    after = warehouse.read("experiments.assignments", START).set_index("unit_id")["arm"]
    assert first == {"experiments": ["hybrid_vs_popularity"], "units": 500, "rows": 500}
    assert after.loc[users[:100]].tolist() == before.loc[users[:100]].tolist()
    assert {"u'; DROP TABLE x; --", "ユーザー"} <= set(after.index)
    assert 0.4 < (before == "hybrid").mean() < 0.6


def test_before_an_experiment_nothing_is_assigned_and_the_partition_is_empty(settings: Settings) -> None:
    ds = START - timedelta(days=2)
    write_users(settings, ds, ["u1"])
    assert assign.run(settings, ds)["rows"] == 0
    assert open_warehouse(settings).read("experiments.assignments", ds).empty


def test_assigning_without_features_names_what_makes_them(settings: Settings) -> None:
    with pytest.raises(WarehouseError, match=r"features\.user_daily"):
        assign.run(settings, START)


def test_results_and_report_follow_the_metrics(settings: Settings) -> None:
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 606.0))
    assert results.run(settings, START) == {"rows": 12, "invalid": []}
    console = Console(record=True, width=160)
    report.print_results(settings, START, console)
    printed = console.export_text()
    assert "Revenue per user (EUR)" in printed
    assert "+0.3000 ± 0.0" in printed
    assert "hybrid earns more than popularity" in printed
    path = Path(str(report.run(settings, START)["report"]))
    assert "hybrid earns more than popularity" in path.read_text(encoding="utf-8")


def test_a_broken_split_is_reported_by_the_job(settings: Settings) -> None:
    write_metrics(settings, START, users=(1000, 1400), revenue=(300.0, 606.0))
    assert results.run(settings, START)["invalid"] == ["hybrid_vs_popularity"]


def test_results_of_a_day_without_an_experiment_are_empty(settings: Settings) -> None:
    ds = START - timedelta(days=5)
    open_warehouse(settings).write(
        "experiments.metrics_daily", filled("experiments.metrics_daily", [{}]).iloc[:0], ds
    )
    assert results.run(settings, ds)["rows"] == 0
    with pytest.raises(WarehouseError, match="No experiment was read out"):
        report.print_results(settings, ds, Console())
