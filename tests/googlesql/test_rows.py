"""Every SELECT gives the same rows on GoogleSQL's reference engine and on DuckDB: fixtures, then generated edges."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from recsys import schema
from recsys.warehouse.tables import load_spec
from tests.googlesql import edges, gate, record, texts
from tests.googlesql.texts import Text
from tests.sql import fixture

FILES, MEASURES, INLINE = texts.files(), texts.measures(), texts.inline()
EQUAL = {
    "SQL files row-equal": FILES,
    "measures of checks row-equal": MEASURES,
    "statements in modules row-equal": INLINE,
}
NOT_RUN: dict[str, str] = {}
"""Constructs that the reference engine lacks -> why a file uses them, and which fixture was checked by hand."""
UNKNOWN_TO_THE_ENGINE = ("APPROX_", "HLL_COUNT", "KLL_QUANTILES", "ML.", "SESSION_USER", "KEYS.", "NET.")


MORE = edges.SCENARIOS[::3]
"""Measures and statements of jobs read what the files have made; fewer worlds do for them."""


def named(text: Text) -> str:
    return text.name


@pytest.mark.parametrize("text", FILES, ids=named)
def test_fixture(text: Text, tmp_path: Path) -> None:
    assert gate.fixture_faults(text) == []
    built = fixture.build(fixture.load(fixture.FOLDER / f"{text.name}.yaml"), tmp_path)
    assert gate.differing(gate.fixture_rows(text), built) == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [pytest.param(kind, text, id=text.name) for kind, found in EQUAL.items() for text in found],
)
def test_edges(kind: str, text: Text) -> None:
    """Over generated worlds; a text has to give rows in most of them, or it was not put to the test."""
    scenarios = edges.SCENARIOS if text in FILES else MORE
    record.total(kind, map(named, EQUAL[kind]))
    told: list[str] = []
    rows = []
    for scenario in scenarios:
        place = gate.place(scenario)
        found = gate.compare(text, place.content, place.folder, scenario.ds, place.settings)
        told += [
            f"{text.path}:{text.line}: {scenario.name}: {difference}" for difference in found.differences
        ]
        rows.append(found.rows or 0)
    assert told == [], "\n".join(told)
    assert sum(1 for count in rows if count) >= len(rows) // 2, rows
    record.done(kind, text.name)


@pytest.mark.parametrize("text", FILES, ids=named)
def test_empty_upstream(text: Text, tmp_path: Path) -> None:
    """Each table that the file reads is empty in turn, and all at once."""
    scenario = edges.SCENARIOS[0]
    place = gate.place(scenario)
    upstream = load_spec(texts.SQL_DIR, text.name).upstream
    for number, empty in enumerate([(name,) for name in upstream] + [upstream]):
        content = {name: [] if name in empty else place.content[name] for name in upstream}
        folder = tmp_path / str(number)
        for name in content.keys() - set(empty):
            shutil.copytree(place.folder / name.replace(".", "/"), folder / name.replace(".", "/"))
        folder.mkdir(exist_ok=True)
        found = gate.compare(text, content, folder, scenario.ds, place.settings)
        assert found.differences == [], f"{text.path}: without {', '.join(empty)}"


def test_constructs_that_the_engine_lacks_are_listed() -> None:
    used = {
        f"{word} in {text.name}"
        for found in EQUAL.values()
        for text in found
        for word in UNKNOWN_TO_THE_ENGINE
        if word in text.sql.upper()
    }
    assert used == set(NOT_RUN)


def test_worlds_sit_on_the_edges() -> None:
    """Every column that may be NULL is, somewhere; every table has rows before, on and after the day."""
    worlds = [gate.place(scenario) for scenario in edges.SCENARIOS]
    for name in worlds[0].content:
        contract = schema.table(name)
        rows = [row for place in worlds for row in place.content[name]]
        for column in contract.columns:
            assert any(row[column.name] is None for row in rows) != column.required, f"{name}.{column.name}"
        if contract.partition:
            for scenario, place in zip(edges.SCENARIOS, worlds, strict=True):
                days = {row[contract.partition] for row in place.content[name]}
                assert min(days) < scenario.ds < max(days), f"{name} of {scenario.name}"
                assert scenario.ds in days


def test_same_scenario_same_rows() -> None:
    scenario = replace(edges.SCENARIOS[0], rows=5)
    assert edges.world(scenario) == edges.world(scenario)
