"""Every SQL file is what its header says, and reads only what it may."""

from __future__ import annotations

import re

import pytest
import sqlglot
from sqlglot import exp

from recsys import schema
from recsys.settings import PROJECT_ROOT
from recsys.warehouse.tables import TableSpec, load_spec

SQL_DIR = PROJECT_ROOT / "include" / "sql"
DATASETS = {name.partition(".")[0] for name in schema.TABLES}
FILES = sorted(path for path in SQL_DIR.glob("*/*.sql") if path.parent.name in DATASETS)
TABLES = [f"{path.parent.name}.{path.stem}" for path in FILES]
WRITTEN_BY_JOBS = {
    "scoring.lists",
    "scoring.steps",
    "scoring.seller_lists",
    "scoring.seller_weights",
    "scoring.keyword_variants",
    "scoring.keyword_lists",
    "experiments.assignments",
    "experiments.metrics",
    "experiments.results",
    "experiments.checks",
    "experiments.decisions",
    "monitoring.check_results",
}
CLOCKS = re.compile(r"\b(CURRENT_\w+|NOW|RAND|GENERATE_UUID|SESSION_USER|ANY_VALUE)\b", re.IGNORECASE)


@pytest.fixture(params=TABLES)
def spec(request: pytest.FixtureRequest) -> TableSpec:
    return load_spec(SQL_DIR, request.param)


def parsed(spec: TableSpec) -> exp.Expression:
    statements = sqlglot.parse(spec.sql, read="bigquery")
    assert len(statements) == 1, "one file, one SELECT"
    assert isinstance(statements[0], exp.Select)
    return statements[0]


def tables_read(tree: exp.Expression) -> list[exp.Table]:
    return [table for table in tree.find_all(exp.Table) if table.db]


def test_every_table_is_made_by_a_file_or_a_job() -> None:
    from_outside = {name for name in schema.TABLES if name.startswith(("marketplace.", "synthetic."))}
    assert set(TABLES) == set(schema.TABLES) - from_outside - WRITTEN_BY_JOBS


def test_upstream_is_what_the_sql_reads(spec: TableSpec) -> None:
    assert sorted(spec.upstream) == sorted({f"{t.db}.{t.name}" for t in tables_read(parsed(spec))})


def test_params_are_what_the_sql_binds(spec: TableSpec) -> None:
    bound = {parameter.name for parameter in parsed(spec).find_all(exp.Parameter)}
    assert bound - {"ds"} == set(spec.params)
    assert len(spec.params) == len(set(spec.params))


def test_header_agrees_with_the_contract(spec: TableSpec) -> None:
    contract = schema.table(spec.name)
    assert spec.grain == contract.key
    assert spec.partition == contract.partition == "ds"
    assert set(spec.cluster) <= set(contract.column_names)
    assert len(spec.cluster) <= 4, "BigQuery clusters by four columns at most"
    assert spec.purpose.endswith(".")


def test_columns_are_the_contracts_in_order(spec: TableSpec) -> None:
    names = [expression.alias_or_name for expression in parsed(spec).expressions]
    assert names == schema.table(spec.name).column_names


def test_only_arrivals_reads_raw_events(spec: TableSpec) -> None:
    assert ("marketplace.events" in spec.upstream) == (spec.name == "staging.arrivals")


def test_no_table_reads_a_later_room(spec: TableSpec) -> None:
    rooms = ["marketplace", "staging", "features", "scoring", "marts", "experiments", "monitoring"]
    here = rooms.index(spec.name.partition(".")[0])
    drawn = "experiments.assignments"  # from features alone, before any list is made
    assert all(rooms.index(name.partition(".")[0]) <= here for name in spec.upstream if name != drawn)


def test_snapshots_are_of_sources_without_history(spec: TableSpec) -> None:
    unversioned = {
        f"marketplace.{name}" for name in ("items", "users", "sellers", "item_category", "campaigns")
    }
    mirrors = f"marketplace.{spec.name.partition('.')[2]}" in unversioned and spec.name.startswith("staging.")
    assert spec.snapshot_once == mirrors


def test_no_clock_no_chance(spec: TableSpec) -> None:
    body = "\n".join(line for line in spec.sql.splitlines() if not line.lstrip().startswith("--"))
    assert CLOCKS.findall(body) == [], "time enters as @ds; what is picked has to be the same every time"


def test_every_read_of_a_partitioned_table_is_bounded(spec: TableSpec) -> None:
    """Each names its partitions, and, but for the future of raw events, none after ds."""
    for table in tables_read(parsed(spec)):
        partition = schema.table(f"{table.db}.{table.name}").partition
        if partition is None:
            continue
        conditions = bounds(table, partition)
        assert conditions, f"{table.sql()} is read without a filter on {partition}"
        if partition == "ds":
            uppers = [c for c in conditions if isinstance(c, exp.EQ | exp.Between)]
            assert uppers, f"{table.sql()} needs ds = @ds or ds BETWEEN ... AND @ds"
            for condition in uppers:
                upper = condition.args["high"] if isinstance(condition, exp.Between) else condition.expression
                assert upper.sql(dialect="bigquery") == "@ds"


def bounds(table: exp.Table, partition: str) -> list[exp.Expression]:
    """Conditions on the partition column in the WHERE of the table's SELECT, or in its join."""
    select = table.find_ancestor(exp.Select)
    assert select is not None
    alone = len([t for t in select.find_all(exp.Table) if t.find_ancestor(exp.Select) is select]) == 1
    found: list[exp.Expression] = []
    places = [select.args.get("where"), *(join.args.get("on") for join in select.args.get("joins") or [])]
    for place in filter(None, places):
        for condition in place.find_all(exp.EQ, exp.Between, exp.GTE):
            column = condition.this
            if not isinstance(column, exp.Column) or column.name != partition:
                continue
            if column.table == table.alias_or_name or (alone and not column.table):
                found.append(condition)
    return found


def test_every_tie_is_broken(spec: TableSpec) -> None:
    """A row is picked by ROW_NUMBER only in an order that ends in columns which tell rows apart."""
    for window in parsed(spec).find_all(exp.Window):
        if isinstance(window.this, exp.RowNumber):
            order = window.args.get("order")
            assert order is not None
            assert order.expressions
    for forbidden in (exp.ArgMax, exp.ArgMin, exp.First, exp.Last):
        assert not list(parsed(spec).find_all(forbidden)), f"{forbidden.__name__} leaves ties to the engine"
