"""Buckets and the units of an experiment, asked of GoogleSQL's reference engine."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from recsys.experiments.assignment import BUCKET_SQL, buckets
from recsys.experiments.definition import load_experiments, parse_experiment
from recsys.experiments.eligibility import TABLES_OF
from recsys.experiments.enrolment import queries
from recsys.settings import Settings
from recsys.warehouse.dialect import parameter_type
from tests.experiments.test_assignment import random_ids
from tests.googlesql.analyzer import analyzer

START = date(2026, 2, 10)
WHERE = {
    "features.user_daily": "purchases_90d >= 1 AND region NOT IN ('x') AND NOT is_new AND spend_7d < 9.5",
    "staging.users": "birth_year BETWEEN 1950 AND 2000 OR gender IS NULL",
    "features.seller_daily": "cancel_rate < 1 AND is_verified = TRUE AND sold_90d <= closed_90d",
    "staging.sellers": "rating IS NOT NULL AND 10 <= rating_count",
    "staging.campaigns": "ad_rate > 0.01 AND item_id <> ''",
    "staging.item_category": "level = 0",
}
COLUMNS = [("unit_id", "STRING"), ("first_assigned_on", "DATE"), ("bucket", "INT64")]


def test_the_reference_engine_gives_the_buckets_of_python() -> None:
    ids = random_ids(10_000)
    sql = f"SELECT unit_id, {BUCKET_SQL} AS bucket FROM UNNEST(@ids) AS unit_id WITH OFFSET AS n ORDER BY n"
    rows = analyzer().rows(sql, {"ids": ids, "salt": "s_1"})
    assert [row["unit_id"] for row in rows] == ids
    assert [row["bucket"] for row in rows] == buckets("s_1", ids).tolist()


@pytest.mark.parametrize(
    ("unit", "table", "where"),
    [
        (unit, table, where)
        for unit, tables in TABLES_OF.items()
        for table in tables
        for where in (None, WHERE[table])
    ],
)
def test_the_units_of_an_experiment_can_be_asked_for(unit: str, table: str, where: str | None) -> None:
    arm = {"weight": 0.5, **({"policy": "hybrid"} if unit == "user" else {})}
    content: dict[str, Any] = {"id": "e", "hypothesis": "h", "unit": unit, "salt": "s", "start": START}
    content |= {
        "control": "a",
        "arms": {"a": arm, "b": arm},
        "holdout": 0.1,
        "layer": {"name": "l", "last": 99},
    }
    content |= {"ramp": [{"from": START, "share": 0.1}, {"from": START + timedelta(days=1), "share": 1}]}
    content |= {"eligibility": {"table": table, "where": where}} if where else {}
    found = list(queries(parse_experiment(content, "e.yaml"), START, Settings.load({})))
    assert len(found) == 2
    for query in found:
        types = {name: parameter_type(name, value) for name, value in query.params.items()}
        assert analyzer().columns(query.sql, {**types, "ds": "DATE"}) == COLUMNS


def test_the_project_s_own_experiments_can_be_asked_for() -> None:
    settings = Settings.load({})
    for experiment in load_experiments(settings.experiments_dir):
        for query in queries(experiment, experiment.start, settings):
            types = {name: parameter_type(name, value) for name, value in query.params.items()}
            assert analyzer().columns(query.sql, {**types, "ds": "DATE"}) == COLUMNS
