"""Judge one table: its measures (one row, from SQL) against its suite (Great Expectations). No tables are read here.

``expectations/<table>.sql`` measures a table of any size in one row; ``expectations/<table>.json`` says what each
measure has to be, how grave it is when not, and what to do. docs/quality.md explains both.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.errors import ContractError

CRITICAL = "critical"
WARNING = "warning"
INFO = "info"
SEVERITIES = (CRITICAL, WARNING, INFO)


@dataclass(frozen=True)
class Finding:
    """One rule judged. ``rows_at_fault`` is None where the rule is not about single rows."""

    table: str
    check_id: str
    expectation: str
    column: str | None
    severity: str
    success: bool
    observed: str | None
    rows_at_fault: int | None
    message: str


@dataclass(frozen=True)
class Verdict:
    """All findings on one table, and the Great Expectations result as it is kept for the Data Docs."""

    table: str
    findings: tuple[Finding, ...]
    validation: Mapping[str, Any]

    @property
    def criticals(self) -> list[Finding]:
        """The findings that stop the chain."""
        return failed(self.findings, CRITICAL)


def failed(findings: Iterable[Finding], severity: str) -> list[Finding]:
    """Return the findings of one severity that did not succeed."""
    return [finding for finding in findings if finding.severity == severity and not finding.success]


def load_suite(folder: Path, table: str) -> dict[str, Any]:
    """Read the suite of ``table``.

    Raises:
        ContractError: there is no such file, or it is no JSON.
    """
    path = folder / f"{table}.json"
    try:
        suite: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ContractError(f"{table} has no suite; expected {path}.") from error
    except json.JSONDecodeError as error:
        raise ContractError(f"{path} is no JSON that can be read: {error}.") from error
    return suite


def load_measures(folder: Path, table: str) -> str:
    """Read the SELECT that measures ``table``.

    Raises:
        ContractError: there is no such file.
    """
    path = folder / f"{table}.sql"
    if not path.is_file():
        raise ContractError(f"{table} has no measures; expected {path}.")
    return path.read_text(encoding="utf-8")


def validate(suite: Mapping[str, Any], measures: Mapping[str, Any]) -> Verdict:
    """Run one suite on one row of measures. A measure that is NULL has nothing to be held against, and passes.

    Raises:
        ContractError: the suite names a measure that the row does not have.
    """
    table = str(suite["name"])
    judged = [expectation["kwargs"]["column"] for expectation in suite["expectations"]]
    unknown = sorted(set(judged) - set(measures))
    if unknown:
        raise ContractError(f"{table}.json judges {', '.join(unknown)}, which {table}.sql does not measure.")
    known = [e for e in suite["expectations"] if measures[e["kwargs"]["column"]] is not None]
    frame = pd.DataFrame({name: [value] for name, value in measures.items()})
    with quiet() as gx:
        from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("measures").add_dataframe_asset(table)
        batch = asset.add_batch_definition_whole_dataframe("one row").get_batch({"dataframe": frame})
        gx_suite = gx.ExpectationSuite(**{**suite, "expectations": known})
        validation = batch.validate(gx_suite, result_format="SUMMARY").to_json_dict()
    broken = {_identity(one["expectation_config"]) for one in validation["results"] if not one["success"]}
    findings = [_finding(table, e, measures, _identity(e) not in broken) for e in suite["expectations"]]
    return Verdict(table, tuple(findings), validation)


def _identity(expectation: Mapping[str, Any]) -> tuple[str, str]:
    return expectation["kwargs"]["column"], expectation.get("severity", CRITICAL)


def _finding(table: str, rule: Mapping[str, Any], measures: Mapping[str, Any], success: bool) -> Finding:
    column, severity = _identity(rule)
    base = column.removesuffix("_share")
    count = measures.get(base) if f"{base}_example" in measures else None
    return Finding(
        table=table,
        check_id=f"{column}.{severity}",
        expectation=rule["type"],
        column=column,
        severity=severity,
        success=success,
        observed=show(measures[column]),
        rows_at_fault=None if count is None else int(count),
        message=rule["description"] if success else _complaint(rule, measures),
    )


def _complaint(rule: Mapping[str, Any], measures: Mapping[str, Any]) -> str:
    """Say which rule is broken, what was found, where, and what to do."""
    column, bounds = rule["kwargs"]["column"], []
    base = column.removesuffix("_share")
    for word, key in (("at least", "min_value"), ("at most", "max_value")):
        if key in rule["kwargs"]:
            bounds.append(f"{word} {rule['kwargs'][key]:g}")
    found = f"{column} is {show(measures[column])}, expected {' and '.join(bounds)}"
    if base != column and base in measures:
        found += f" ({show(measures[base])} rows)"
    example = measures.get(f"{base}_example")
    if example is not None:
        found += f"; for example {str(example)[:120]!r}"
    return f"{rule['description']}: {found}. {rule['meta']['remedy']}"


def show(value: Any) -> str | None:
    """Write a measure for people: whole numbers plain, others with four digits, nothing for NULL."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    return str(int(value)) if isinstance(value, float) else str(value)


@contextmanager
def quiet() -> Iterator[Any]:
    """Import Great Expectations when it is needed (it takes seconds) and keep it from reporting use and logging.

    Yields the module.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx  # noqa: PLC0415

    loggers = [
        logging.getLogger(name)
        for name in ("great_expectations", "great_expectations.data_context.types.base")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield gx
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
