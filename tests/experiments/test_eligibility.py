"""A condition is read, its values are bound, and nothing but a condition on one table's columns gets through."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import schema
from recsys.errors import ExperimentError
from recsys.experiments.eligibility import TABLES_OF, Condition

USERS = "features.user_daily"
WRITTEN = re.compile(
    rf"(?:[(), ]|AND|OR|NOT|IN|IS|NULL|BETWEEN|=|<>|>=?|<=?|@e\d+|`(?:{'|'.join(schema.table(USERS).column_names)})`)+"
)


@pytest.mark.parametrize(
    ("where", "sql", "params"),
    [
        ("purchases_90d > 0", "(`purchases_90d` > @e0)", {"e0": 0}),
        ("3.5 <= spend_7d", "(@e0 <= `spend_7d`)", {"e0": Decimal("3.5")}),
        ("weekend_share < 1", "(`weekend_share` < @e0)", {"e0": 1.0}),
        ("views_7d > likes_7d", "(`views_7d` > `likes_7d`)", {}),
        (
            r"NOT is_new AND (region = 'it\'s' OR region IS NULL)",
            "((NOT `is_new`) AND ((`region` = @e0) OR (`region` IS NULL)))",
            {"e0": "it's"},
        ),
        ("region NOT IN ('a', 'b')", "(NOT (`region` IN (@e0, @e1)))", {"e0": "a", "e1": "b"}),
        ("region IS NOT NULL -- a remark", "(NOT (`region` IS NULL))", {}),
        ("birth_year BETWEEN -1 AND 1990", "(`birth_year` BETWEEN @e0 AND @e1)", {"e0": -1, "e1": 1990}),
        ("is_new = FALSE", "(`is_new` = @e0)", {"e0": False}),
    ],
)
def test_conditions_are_written_anew_with_their_values_bound(
    where: str, sql: str, params: dict[str, object]
) -> None:
    found = Condition.parse(where, USERS)
    assert (found.sql, found.params) == (sql, params)
    assert {name: type(value) for name, value in found.params.items()} == {
        n: type(v) for n, v in params.items()
    }


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("", "not one SQL condition"),
        ("purchases_90d >", "not one SQL condition"),
        ("purchases_90d > 0; DROP TABLE users", "not one SQL condition"),
        ("purchases_90d > 0 GROUP BY region", "not one SQL condition"),
        ("purchases_90d > 0 UNION ALL SELECT 1", "not one SQL condition"),
        ("purchases_90d > 0 LIMIT 3", "not one SQL condition"),
        ("purchases_90d > 0) OR (TRUE", "not one SQL condition"),
        ("TRUE", "'TRUE' is not known here"),
        ("1 = 1", "compares no column"),
        ("region IN (SELECT region FROM staging.users)", "is not known here"),
        ("EXISTS (SELECT 1)", "is not known here"),
        ("region LIKE 'a%'", "is not known here"),
        ("LOWER(region) = 'a'", "compares no column"),
        ("RAND() < purchase_power", "compare it with a number"),
        ("region = @salt", "compare it with a text"),
        ("users.region = 'a'", "is no column of features.user_daily"),
        ("purchases_90 > 0", "Did you mean purchases_90d?"),
        ("ds = '2026-01-01'", "has no column 'ds' to ask"),
        ("region = 5", "`region` is a STRING; compare it with a text like 'x', not '5'"),
        ("purchases_90d = '5'", "`purchases_90d` is a INT64; compare it with a number"),
        ("region", "`region` is a STRING, where a BOOL is needed"),
        ("region > views_7d", "where a STRING is needed"),
        ("spend_7d > 1e400", "is no NUMERIC"),
        ("(" * 500 + "is_new" + ")" * 500, "not one SQL condition"),
        ("NOT " * 600, "has 2400 characters"),
    ],
)
def test_everything_else_is_refused(where: str, told: str) -> None:
    with pytest.raises(ExperimentError) as error:
        Condition.parse(where, USERS)
    assert told in str(error.value)


def test_a_date_is_a_date_and_a_time_is_refused() -> None:
    found = Condition.parse("last_date >= DATE '2026-01-05'", "features.user_category_affinity")
    assert found.params == {"e0": date(2026, 1, 5)}
    with pytest.raises(ExperimentError, match="registered_at` is a TIMESTAMP, which cannot be compared"):
        Condition.parse("registered_at > '2026-01-05'", "staging.users")
    with pytest.raises(ExperimentError, match="compare it with a date"):
        Condition.parse("last_date >= DATE '2026-13-05'", "features.user_category_affinity")


@given(st.text(max_size=60))
def test_whatever_stands_in_a_definition_is_refused_or_bound(text: str) -> None:
    """No letter of the condition but the name of a column reaches the statement."""
    for where in (text, f"region = '{text}'", f"{text} > 0"):
        try:
            found = Condition.parse(where, USERS)
        except ExperimentError:
            continue
        assert WRITTEN.fullmatch(found.sql)


def test_every_allowed_table_has_the_unit_and_its_days() -> None:
    for unit, tables in TABLES_OF.items():
        for name in tables:
            contract = schema.table(name)
            assert unit == "cluster" or contract.key == (f"{unit}_id",)
            assert contract.partition == "ds"
