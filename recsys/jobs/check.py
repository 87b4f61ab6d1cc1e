"""Check tables for a day: measure, judge, record everything, and stop the chain when a critical rule is broken."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from recsys import quality, schema
from recsys.errors import QualityError, SettingsError, WarehouseError
from recsys.quality import CRITICAL, INFO, WARNING, Finding
from recsys.reports.data_docs import write_site
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

RESULTS = "monitoring.check_results"
STAGES: Mapping[str, tuple[str, ...]] = {
    "sources": tuple(table.name for table in schema.SOURCES),
    "features": tuple(table.name for table in schema.FEATURES),
    "lists": ("scoring.lists",),
    "published": ("marts.recommendations",),
    "keyword_features": tuple(t.name for t in schema.KEYWORDS if t.name.startswith("features.")),
    "keyword_texts": ("scoring.keyword_variants",),
    "keyword_lists": ("scoring.keyword_lists",),
    "published_keywords": ("marts.keyword_recommendations",),
    "seller_lists": ("scoring.seller_lists",),
    "seller_published": ("marts.seller_recommendations",),
}
QUALITY_DIR = "_quality"
WINDOWS: Mapping[str, str] = {
    "features.user_daily": "staging.user_item_daily",
    "features.item_daily": "staging.item_daily",
    "features.user_search_affinity": "staging.user_search_daily",
}
"""Checked tables whose windows add up the days of another: a day that was never built is missing in them."""
_PARAMETER = re.compile(r"@([a-z_]+)")


def run(
    settings: Settings, ds: date, stage: str = "sources", tables: Sequence[str] | None = None
) -> dict[str, object]:
    """Run the suites of ``tables`` (default: those of ``stage``; a dataset stands for its tables) on ``ds``.

    Every result goes to ``monitoring.check_results`` (partition ``ds``, part ``stage``) and, as Great Expectations
    wrote it, to ``_quality/validations`` of the warehouse, before anything is raised.

    Raises:
        QualityError: a critical rule is broken; names table, rule, what was found, an example and the remedy.
        SettingsError: no tables named and no such stage.
        ContractError: no such table, or it has no suite.
    """
    if tables is None and stage not in STAGES:
        raise SettingsError(f"No stage {stage!r} to check. Stages: {', '.join(STAGES)}.")
    names = [name for given in (STAGES[stage] if tables is None else tables) for name in _expand(given)]
    findings: list[Finding] = []
    with open_warehouse(settings) as warehouse:
        for name in names:
            findings += _check_table(settings, warehouse, name, ds)
        warehouse.write(RESULTS, _frame(findings, ds), ds, part=stage)
    criticals = quality.failed(findings, CRITICAL)
    warnings = quality.failed(findings, WARNING)
    if criticals:
        raise QualityError(_report(stage, ds, criticals, warnings))
    return {
        "stage": stage,
        "tables": len(names),
        "checks": len(findings),
        "warnings": [f"{finding.table}: {finding.message}" for finding in warnings],
    }


def _expand(given: str) -> list[str]:
    """Return the tables of a dataset that are checked every day, or the one table that ``given`` names."""
    weekly = {table.name for table in schema.KEYWORDS}
    daily = [name for names in STAGES.values() for name in names if name not in weekly]
    return [name for name in daily if name.startswith(f"{given}.")] or [given]


def measure(settings: Settings, warehouse: Warehouse, table: str, ds: date) -> dict[str, Any]:
    """Return the measures of ``table`` on ``ds`` by name."""
    sql = quality.load_measures(settings.expectations_dir, table)
    path = f"{settings.expectations_dir / table}.sql"
    row = warehouse.query(sql, parameters(settings, table), ds=ds, name=path).to_pylist()[0]
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}


def parameters(settings: Settings, table: str) -> dict[str, object]:
    """Parameters of the SELECT that measures ``table``, but @ds: the settings of that name."""
    sql = quality.load_measures(settings.expectations_dir, table)
    return {name: getattr(settings, name) for name in sorted(set(_PARAMETER.findall(sql)) - {"ds"})}


def _check_table(settings: Settings, warehouse: Warehouse, name: str, ds: date) -> list[Finding]:
    contract = schema.table(name)
    if not warehouse.exists(name, ds if contract.partition else None):
        return [_absent(warehouse, contract, ds)]
    suite = quality.load_suite(settings.expectations_dir, name)
    verdict = quality.validate(suite, measure(settings, warehouse, name, ds))
    _keep(settings, verdict.validation, name, ds)
    findings = list(verdict.findings)
    if name in WINDOWS:
        findings.append(_window(settings, warehouse, name, ds))
    return findings


def _window(settings: Settings, warehouse: Warehouse, name: str, ds: date) -> Finding:
    """Judge whether the window up to ``ds`` has holes. SQL cannot: an empty partition and none look the same to it."""
    daily = WINDOWS[name]
    days = [day for day in warehouse.partitions(daily) if day <= ds]
    first = max(min(days, default=ds), ds - timedelta(days=settings.history_days - 1))
    expected = [first + timedelta(days=n) for n in range((ds - first).days + 1)]
    holes = [day.isoformat() for day in expected if day not in set(days)]
    some = ", ".join(holes[:3]) + (f" and {len(holes) - 3} more" if len(holes) > 3 else "")
    message = (
        f"The window lacks days: {daily} has no partition {some}. Backfill features_daily for {holes[0]}..{ds} "
        "in order, days that succeeded included."
        if holes
        else f"{daily} has every day of the window."
    )
    return Finding(
        table=name,
        check_id="window_is_complete.warning",
        expectation="window_is_complete",
        column=None,
        severity=WARNING,
        success=not holes,
        observed=str(len(holes)),
        rows_at_fault=None,
        message=message,
    )


def _absent(warehouse: Warehouse, contract: schema.Table, ds: date) -> Finding:
    """Judge a table that is not there: fine where it is optional, critical otherwise."""
    what = warehouse.missing(contract.name, ds if contract.partition else None)
    message = f"Not checked, it is optional: {what}" if contract.optional else what
    return Finding(
        table=contract.name,
        check_id="present",
        expectation="table_is_present",
        column=None,
        severity=INFO if contract.optional else CRITICAL,
        success=contract.optional,
        observed=None,
        rows_at_fault=None,
        message=message,
    )


def _frame(findings: Sequence[Finding], ds: date) -> pd.DataFrame:
    rows = [
        {
            "table_name": finding.table,
            "check_id": finding.check_id,
            "expectation": finding.expectation,
            "column_name": finding.column,
            "severity": finding.severity,
            "success": finding.success,
            "observed": finding.observed,
            "unexpected_count": finding.rows_at_fault,
            "message": finding.message,
            "ds": ds,
        }
        for finding in findings
    ]
    return pd.DataFrame(rows, columns=schema.table(RESULTS).column_names)


def _report(stage: str, ds: date, criticals: Sequence[Finding], warnings: Sequence[Finding]) -> str:
    lines = [
        f"{len(criticals)} critical checks of stage {stage!r} failed for {ds}; nothing downstream was touched."
    ]
    lines += [f"  {finding.table}: {finding.message}" for finding in criticals]
    if warnings:
        lines.append(
            f"  and {len(warnings)} warnings; all results: SELECT * FROM {RESULTS} WHERE ds = '{ds}'"
        )
    return "\n".join(lines)


def _keep(settings: Settings, validation: Mapping[str, Any], table: str, ds: date) -> None:
    """Keep the Great Expectations result of one table and day, replacing an earlier one by a rename."""
    folder = validations_dir(settings) / ds.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{table}.json.new"
    aside.write_text(json.dumps(validation, ensure_ascii=False, default=str), encoding="utf-8")
    aside.replace(folder / f"{table}.json")


def validations_dir(settings: Settings) -> Path:
    """Folder of the kept results: ``<warehouse>/_quality/validations/<ds>/<table>.json``."""
    return settings.files_dir / QUALITY_DIR / "validations"


def build_docs(settings: Settings, days: int = 7) -> Path:
    """Render the kept results of the last ``days`` checked days as Great Expectations Data Docs; return the page.

    Takes about a second for a day, so it is called when somebody wants to look, not after each check.

    Raises:
        WarehouseError: nothing has been checked yet.
    """
    kept = validations_dir(settings)
    checked = sorted(path for path in kept.iterdir() if path.is_dir())[-days:] if kept.is_dir() else []
    if not checked:
        raise WarehouseError(
            f"Nothing has been checked yet in {settings.warehouse}; run `recsys check` first."
        )
    site = settings.files_dir / QUALITY_DIR / "docs"
    aside = site.with_name("docs.new")
    shutil.rmtree(aside, ignore_errors=True)
    results = {
        (folder.name, path.stem): json.loads(path.read_text(encoding="utf-8"))
        for folder in checked
        for path in sorted(folder.glob("*.json"))
    }
    tables = sorted({table for _, table in results})
    suites = [quality.load_suite(settings.expectations_dir, table) for table in tables]
    write_site(suites, results, aside)
    shutil.rmtree(site, ignore_errors=True)
    aside.rename(site)
    return site / "index.html"
