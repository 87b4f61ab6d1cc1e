"""The gate catches what it is there for: copies of SQL files with a mistake planted, each of which has to fail.

Two kinds. A text written by someone who has DuckDB's meaning in mind fails its fixture, on both engines. And where the
dialect layer does not do its part (a plain transpilation stands in for it), a text that is right differs in its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from recsys.settings import Settings
from recsys.warehouse import local
from recsys.warehouse.dialect import Translated, translate
from tests.googlesql import edges, gate, texts
from tests.googlesql.texts import Text

FILES = {text.name: text for text in texts.files()}
BANDS = (
    "UNNEST([0, 5, 10, 20, 40, 80, 160, 320, 640, 1280]) AS least WITH OFFSET AS n WHERE items.price >= least"
)


def planted(name: str, written: str, instead: str) -> Text:
    """A copy of the SQL file of ``name`` with one passage written otherwise."""
    text = FILES[name]
    assert text.sql.count(written) == 1, f"{name} has {written!r} {text.sql.count(written)} times"
    return replace(text, sql=text.sql.replace(written, instead))


def case_of(name: str) -> str:
    """The CASE of item_group that puts a price into a band."""
    sql = FILES[name].sql
    return sql[sql.index("CASE\n            WHEN items.price") : sql.index("END AS price_band") + 3]


RIGHT = {
    "TIMESTAMP_DIFF": planted(
        "features.item_daily",
        "items.listed_at, SECOND)\n        / 86400 AS age_days",
        "items.listed_at, HOUR)\n        / 24 AS age_days",
    ),
    "WITH OFFSET": planted(
        "features.item_group", case_of("features.item_group"), f"(SELECT MAX(n) FROM {BANDS})"
    ),
    "DAYOFWEEK": planted(
        "features.user_daily",
        "MOD(DATE_DIFF(event_date, DATE '2000-01-03', DAY), 7) + 1 AS weekday",
        "EXTRACT(DAYOFWEEK FROM event_date) AS weekday",
    ),
}
"""GoogleSQL's meaning. The dialect layer keeps it."""
MISUSES = {
    # A listing of yesterday noon is one day old by boundaries, none by whole units.
    "TIMESTAMP_DIFF": planted(
        "features.item_daily",
        "items.listed_at, SECOND)\n        / 86400 AS age_days",
        "items.listed_at, DAY)\n        / 1 AS age_days",
    ),
    # As if the first offset were 1.
    "WITH OFFSET": planted(
        "features.item_group", case_of("features.item_group"), f"(SELECT MAX(n) - 1 FROM {BANDS})"
    ),
    # As if Monday were 1 and Sunday 7.
    "DAYOFWEEK": RIGHT["DAYOFWEEK"],
}


@pytest.mark.parametrize("construct", MISUSES)
def test_a_misuse_fails_its_fixture_on_both_engines(construct: str, tmp_path: Path) -> None:
    text = MISUSES[construct]
    assert gate.fault(text) is None
    assert gate.fixture_faults(FILES[text.name]) == []
    found = gate.fixture_faults(text)
    assert found
    assert all(line.startswith(f"{text.path}:1: ") for line in found)
    assert not edge_faults(text), "the layer keeps the engines equal, so only what was meant can tell"


@pytest.mark.parametrize("construct", RIGHT)
def test_without_the_dialect_layer_the_rows_differ(construct: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RIGHT[construct]
    assert edge_faults(text) == []
    monkeypatch.setattr(local, "translate", transpile)
    assert edge_faults(text)


def edge_faults(text: Text) -> list[str]:
    """Differences between the engines over some of the generated worlds."""
    found = []
    for scenario in edges.SCENARIOS[:3]:
        place = gate.place(scenario)
        found += gate.compare(text, place.content, place.folder, scenario.ds, place.settings).differences
    return found


def transpile(
    sql: str, name: str = "query", params: Mapping[str, str] | None = None, repeatable: bool = False
) -> Translated:
    """What sqlglot makes of a text by itself."""
    known = translate(sql, name, params, repeatable)
    tree = sqlglot.parse_one(sql, read="bigquery")
    for table in list(tree.find_all(exp.Table)):
        if table.db:
            alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name))
            table.replace(
                exp.Table(this=exp.to_identifier(f"{table.db}.{table.name}", quoted=True), alias=alias)
            )
    for parameter in list(tree.find_all(exp.Parameter)):
        to = exp.DataType.build((params or {})[parameter.name], dialect="bigquery")
        parameter.replace(exp.Cast(this=exp.Placeholder(this=parameter.name), to=to))
    return replace(known, sql=tree.sql("duckdb"))


@pytest.mark.parametrize(
    ("name", "written", "instead", "line", "told"),
    [
        (
            "experiments.exposures",
            "WHERE TRUE\n",
            "",
            170,
            "QUALIFY clause must be used in conjunction with WHERE",
        ),
        ("features.item_group", "items.condition,", "items.condition_,", 15, "condition_"),
        ("staging.users", "birth_year,", "birth_year birth_year,,", 11, "Syntax error"),
        (
            "staging.users",
            "birth_year,",
            "CAST(birth_year AS FLOAT64) AS birth_year,",
            1,
            "returns birth_year FLOAT64",
        ),
        ("staging.users", "    gender,\n", "", 1, "lacks gender STRING"),
        ("staging.users", "    gender,\n    region,", "    region,\n    gender,", 1, "has another order"),
    ],
)
def test_the_analyzer_says_where(name: str, written: str, instead: str, line: int, told: str) -> None:
    found = gate.fault(planted(name, written, instead)) or ""
    assert found.startswith(f"{FILES[name].path}:{line}: ")
    assert told in found


def test_what_duckdb_alone_would_take(tmp_path: Path) -> None:
    """The first of them is a text that the dialect layer passes and DuckDB runs."""
    text = planted("experiments.exposures", "WHERE TRUE\n", "")
    place = gate.place(edges.SCENARIOS[0])
    values = texts.parameters(text, place.settings, edges.SCENARIOS[0].ds)
    assert gate.warehouse_at(place.folder).query(text.sql, values, ds=edges.SCENARIOS[0].ds).num_rows >= 0
    found = gate.compare(text, place.content, place.folder, edges.SCENARIOS[0].ds, place.settings).differences
    assert len(found) == 1
    assert found[0].startswith("GoogleSQL raises line 170: QUALIFY")


def test_a_file_that_reads_the_future_fails() -> None:
    text = planted(
        "features.interactions",
        "ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds",
        "ds >= DATE_SUB(@ds, INTERVAL @history_days - 1 DAY)",
    )
    assert edge_faults(FILES["features.interactions"]) == []
    assert edge_faults(text)


def test_a_tie_left_open_fails() -> None:
    text = planted(
        "features.user_daily",
        "PARTITION BY user_id ORDER BY actions DESC, weekday ASC",
        "PARTITION BY user_id ORDER BY actions - actions",
    )
    assert edge_faults(text)


def test_settings_of_a_scenario_are_settings() -> None:
    assert all(Settings.load({}, **scenario.settings) for scenario in edges.SCENARIOS)
