"""The suites: complete, in step with their measures, and judged with the right gravity."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys import quality, schema
from recsys.errors import ContractError
from recsys.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "expectations"
TABLES = [table.name for table in (*schema.SOURCES, *schema.FEATURES, *schema.KEYWORDS, *schema.LISTS)]
SUITE = {
    "name": "marketplace.users",
    "expectations": [
        {
            "type": "expect_column_max_to_be_between",
            "kwargs": {"column": "lost_share", "max_value": limit},
            "severity": severity,
            "description": "Nobody is lost",
            "meta": {"remedy": "Find them."},
        }
        for severity, limit in (("warning", 0.0), ("critical", 0.5))
    ],
}


def test_every_checked_table_has_a_suite_and_its_measures() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(TABLES)
    assert sorted(path.stem for path in FOLDER.glob("*.sql")) == sorted(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_a_suite_says_what_how_grave_and_what_to_do(table: str) -> None:
    suite = quality.load_suite(FOLDER, table)
    sql = quality.load_measures(FOLDER, table)
    measured = set(re.findall(r"\bAS (\w+)", sql))
    assert suite["name"] == table
    seen = set()
    for rule in suite["expectations"]:
        column = rule["kwargs"]["column"]
        assert column in measured
        assert rule["severity"] in quality.SEVERITIES
        assert rule["description"]
        assert rule["meta"]["remedy"]
        assert {"min_value", "max_value"} & set(rule["kwargs"])
        seen.add((column, rule["severity"]))
    assert len(seen) == len(suite["expectations"])
    assert any(rule["severity"] == quality.CRITICAL for rule in suite["expectations"])


@pytest.mark.parametrize("table", TABLES)
def test_a_suite_is_one_that_great_expectations_reads(table: str) -> None:
    import great_expectations as gx

    suite = gx.ExpectationSuite(**quality.load_suite(FOLDER, table))
    assert [e.severity.value for e in suite.expectations] == [
        rule["severity"] for rule in quality.load_suite(FOLDER, table)["expectations"]
    ]


def test_every_measure_is_judged_or_explains_one() -> None:
    for table in TABLES:
        select = quality.load_measures(FOLDER, table).rpartition("\nSELECT\n")[2]
        judged = {r["kwargs"]["column"] for r in quality.load_suite(FOLDER, table)["expectations"]}
        for name in re.findall(r"^    .*\bAS (\w+),?$", select, re.MULTILINE):
            base = name.removesuffix("_example")
            assert (
                name in judged
                or base in judged
                or f"{base}_share" in judged
                or name in ("users", "row_count")
            ), (
                table,
                name,
            )


def test_severity_observed_example_and_remedy() -> None:
    verdict = quality.validate(SUITE, {"lost": 3, "lost_share": 0.25, "lost_example": "u9"})
    warning, critical = verdict.findings
    assert (warning.severity, warning.success, warning.observed) == ("warning", False, "0.25")
    assert warning.rows_at_fault == 3
    assert warning.message == (
        "Nobody is lost: lost_share is 0.25, expected at most 0 (3 rows); for example 'u9'. Find them."
    )
    assert critical.success
    assert critical.message == "Nobody is lost"
    assert verdict.criticals == []
    assert len(verdict.validation["results"]) == 2


def test_nothing_to_compare_with_passes() -> None:
    verdict = quality.validate(SUITE, {"lost": None, "lost_share": None, "lost_example": None})
    assert all(finding.success and finding.observed is None for finding in verdict.findings)


def test_a_suite_and_its_measures_have_to_fit(tmp_path: Path) -> None:
    with pytest.raises(
        ContractError, match=r"judges lost_share, which marketplace.users.sql does not measure"
    ):
        quality.validate(SUITE, {"other": 1})
    with pytest.raises(ContractError, match="no suite"):
        quality.load_suite(tmp_path, "marketplace.users")
    with pytest.raises(ContractError, match="no measures"):
        quality.load_measures(tmp_path, "marketplace.users")
    (tmp_path / "marketplace.users.json").write_text("{", encoding="utf-8")
    with pytest.raises(ContractError, match="no JSON"):
        quality.load_suite(tmp_path, "marketplace.users")


def test_measures_are_written_for_people() -> None:
    assert [quality.show(v) for v in (3, 3.0, 0.123456, None, float("nan"))] == [
        "3",
        "3",
        "0.1235",
        None,
        None,
    ]
