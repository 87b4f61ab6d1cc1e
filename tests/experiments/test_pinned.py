"""A definition held against what it said first: what blocks, what warns, what may change."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from recsys.experiments.checks import Check
from recsys.experiments.definition import parse_experiment
from recsys.experiments.pinned import unchanged
from tests.experiments.test_definition import content

END = date(2026, 2, 19)
FIRST: dict[str, Any] = {
    "end": END,
    "guardrails": {"cancel_rate": 0.1},
    "winsorise": 0.999,
    "covariate_days": 14,
    "ramp": [{"from": date(2026, 2, 10), "share": 0.5}],
}
LOOKS = {"kind": "group_sequential", "looks": 2}
DAYS = {"kind": "group_sequential", "days": [5, 10]}


def changed(first: dict[str, Any], now: dict[str, Any]) -> Check:
    """What is told of a definition ``first`` of which some fields were changed to those of ``now``."""
    kept = unchanged(parse_experiment(content(**first), "x"), None)
    assert kept.success
    return unchanged(parse_experiment(content(**(first | now)), "x"), kept.observed)


def test_what_does_not_decide_may_change_and_order_does_not_matter() -> None:
    now = {"hypothesis": "other", "segments": ["region"], "secondary": ["aov"], "minimum_effect": 0.1}
    first = FIRST | {"guardrails": {"cancel_rate": 0.1, "bounce_rate": 0.2}}
    assert changed(first, {}).success
    assert changed(first, now | {"guardrails": {"bounce_rate": 0.2, "cancel_rate": 0.1}}).success


@pytest.mark.parametrize(
    ("now", "told", "blocks"),
    [
        ({"alpha": 0.1}, "alpha was 0.05, is 0.1", True),
        ({"primary": "aov"}, "primary was rpu, is aov", True),
        ({"end": date(2026, 3, 9)}, "end was 2026-02-19, is 2026-03-09", True),
        ({"end": date(2026, 2, 15)}, "end was 2026-02-19, is 2026-02-15", True),
        ({"design": {"kind": "always_valid"}}, "design was fixed, is always_valid", True),
        ({"control": "b"}, "control was a, is b", True),
        (
            {
                "arms": {
                    "a": {"policy": "popularity", "weight": 0.4},
                    "b": {"policy": "hybrid", "weight": 0.6},
                }
            },
            "arms was a 0.5 with popularity, b 0.5 with hybrid, is a 0.4 with popularity, b 0.6 with hybrid",
            True,
        ),
        ({"guardrails": {"cancel_rate": 0.2}}, "guardrails was cancel_rate 0.1, is cancel_rate 0.2", False),
        ({"guardrails": {}}, "guardrails was cancel_rate 0.1, is none", False),
        ({"winsorise": None}, "winsorise was 0.999, is none", False),
        ({"covariate_days": 7}, "covariate_days was 14, is 7", False),
        ({"ramp": []}, "ramp was 0.5 from 2026-02-10, is none", False),
    ],
)
def test_a_changed_field_is_told_with_what_it_was(now: dict[str, Any], told: str, blocks: bool) -> None:
    found = changed(FIRST, now)
    assert told in found.message
    assert (found.success, found.blocks) == (False, blocks)


def test_an_end_that_moves_looks_blocks_and_one_that_moves_none_warns() -> None:
    later = {"end": date(2026, 3, 9)}
    grouped = changed(FIRST | {"design": LOOKS}, later)
    assert "days 5, 10, obrien_fleming, is group_sequential, days 14, 28" in grouped.message
    assert grouped.blocks
    for first in ({"design": DAYS}, {"design": {"kind": "always_valid"}}):
        assert not changed(FIRST | first, later).blocks
    assert not changed({}, {"end": END}).blocks, "a fixed design that had no end has none to move"


def test_what_was_declared_first_is_kept_through_changes() -> None:
    first = changed(FIRST, {})
    assert changed(FIRST, {"alpha": 0.1}).observed == first.observed
    assert unchanged(parse_experiment(content(**FIRST), "x"), first.observed) == first
