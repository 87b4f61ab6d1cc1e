"""Tables as they come, cleaned by the rules of docs/experiments.md: the same once more in plain loops."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ExperimentError
from recsys.experiments.analysis.analyse import analyse
from recsys.experiments.analysis.asked import parse_metrics

Row = tuple[str, str, str, str]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["", " u1", *(f"u{n}" for n in range(1, 9))]),
        st.sampled_from(["a", "a", "a ", "b", "b", ""]),
        st.sampled_from(["0", "1", "2", "2.5", "", "NULL"]),
        st.sampled_from(["1", "3", "", "n/a"]),
    ),
    min_size=6,
    max_size=24,
)


def plainly(rows: list[Row]) -> dict[str, Any]:
    """Units of each arm, and of each metric the units and the value by arm."""
    kept = [(n, unit.strip(), arm.strip(), x, y) for n, (unit, arm, x, y) in enumerate(rows)]
    kept = [row for row in kept if row[1] and row[2]]
    arms: dict[str, set[str]] = defaultdict(set)
    for _, unit, arm, _, _ in kept:
        arms[unit].add(arm)
    kept = [row for row in kept if len(arms[row[1]]) == 1]
    as_written: dict[str, list[Row]] = defaultdict(list)
    for n, unit, *_ in kept:
        as_written[unit].append((unit, *rows[n][1:]))
    if all(len(set(same)) == 1 for same in as_written.values()):
        seen: set[str] = set()
        kept = [row for row in kept if not (row[1] in seen or seen.add(row[1]))]  # type: ignore[func-returns-value]
    found: dict[str, Any] = {"counts": defaultdict(int), "x": defaultdict(list), "x/y": defaultdict(list)}
    for unit in as_written:
        (arm,) = arms[unit]
        found["counts"][arm] += 1
        mine = [(_number(x), _number(y)) for _, of, _, x, y in kept if of == unit]
        values = [x for x, _ in mine if x is not None]
        if values:
            found["x"][arm].append(sum(values))
        both = [(x, y) for x, y in mine if x is not None and y is not None]
        if both:
            found["x/y"][arm].append((sum(x for x, _ in both), sum(y for _, y in both)))
    return found


def _number(text: str) -> float | None:
    return float(text) if text not in {"", "NULL", "n/a"} else None


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_the_rules_of_the_guide(rows: list[Row]) -> None:
    frame = pd.DataFrame(rows, columns=["unit", "arm", "x", "y"], dtype="str")
    expected = plainly(rows)
    try:
        found = analyse(
            frame, "unit", "arm", parse_metrics(["x:mean", "x/y"], ["unit", "arm", "x", "y"]), control=None
        )
    except ExperimentError:
        named = {arm.strip() for unit, arm, *_ in rows if unit.strip() and arm.strip()}
        assert len(named) < 2 or not expected["counts"]
        return
    assert {arm: n for arm, n in found.counts.items() if n} == dict(expected["counts"])
    for result in found.results:
        of = expected[result.metric]
        assert result.n == len(of["b"])
        if min(len(of["a"]), len(of["b"])) >= 1:
            a, b = (_value(of[arm]) for arm in ("a", "b"))
            assert result.mean == pytest.approx(b) and result.difference == pytest.approx(b - a, abs=1e-9)
        else:
            assert result.difference is None
        assert (result.method == "too few units") == (min(len(of["a"]), len(of["b"])) < 2)


def _value(units: list[Any]) -> float:
    if isinstance(units[0], tuple):
        return float(sum(num for num, _ in units) / sum(den for _, den in units))
    return float(sum(units) / len(units))
