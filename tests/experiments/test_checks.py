"""Checks: what each finds, what it lets pass, and which of them blocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from recsys.experiments import checks
from recsys.experiments.assignment import arms_of
from recsys.experiments.checks import Check
from recsys.experiments.definition import BUCKETS
from recsys.schema import table
from tests.experiments.test_decision import START, experiment

DAYS = [START + timedelta(days=n) for n in range(10)]


def units(*rows: tuple[str, str, int, int]) -> pd.DataFrame:
    """Segment, its value, and the units of the arms old and new."""
    made = [
        {"segment": s, "segment_value": v, "arm": arm, "units": n}
        for s, v, *both in rows
        for arm, n in zip(("old", "new"), both, strict=True)
    ]
    return pd.DataFrame(made)


def ratio(*rows: tuple[str, str, int, int]) -> dict[tuple[str, str], Check]:
    found = checks.sample_ratios(experiment(), units(*rows))
    return {(check.segment, check.segment_value): check for check in found}


def test_a_split_that_is_not_the_configured_one_blocks() -> None:
    good = ratio(("all", "all", 5000, 5040))["all", "all"]
    bad = ratio(("all", "all", 5000, 5400))["all", "all"]
    assert (good.success, bad.success, bad.blocks) == (True, False, True)
    assert bad.p_value is not None and bad.p_value < 0.001
    assert bad.observed == "new 5,400, old 5,000"


def test_weights_of_the_definition_count() -> None:
    third = experiment(
        arms=tuple(replace(arm, weight=w) for arm, w in zip(experiment().arms, (2 / 3, 1 / 3), strict=True))
    )
    assert checks.sample_ratios(third, units(("all", "all", 6660, 3340)))[0].success
    assert not checks.sample_ratios(experiment(), units(("all", "all", 6660, 3340)))[0].success


def test_a_weight_finer_than_a_bucket_counts_as_the_buckets_it_takes() -> None:
    """.00015 takes two buckets of 10,000: of ten million units 2,000, and not the 1,500 that it asks for."""
    weights = (0.99985, 0.00015)
    fine = experiment(
        arms=tuple(replace(arm, weight=w) for arm, w in zip(experiment().arms, weights, strict=True))
    )
    taken = (arms_of(fine, np.arange(BUCKETS)) == fine.arms[1].name).sum()
    assert taken == 2
    honest, asked = ((10_000_000 - units, units) for units in (2_000, 1_500))
    assert checks.sample_ratios(fine, units(("all", "all", *honest)))[0].success
    assert not checks.sample_ratios(fine, units(("all", "all", *asked)))[0].success


def test_one_day_of_many_just_below_the_level_warns_and_a_lost_day_blocks() -> None:
    honest = [("day", str(day), 500, 505) for day in DAYS[:-1]]
    slight = ratio(*honest, ("day", str(DAYS[-1]), 500, 610))["day", str(DAYS[-1])]
    assert (slight.success, slight.blocks) == (False, False), "p = .00095 of ten days"
    lost = ratio(*honest, ("day", str(DAYS[-1]), 500, 700))["day", str(DAYS[-1])]
    assert (lost.success, lost.blocks) == (False, True)


def test_honest_days_block_an_experiment_less_than_once_in_a_thousand() -> None:
    """Of 400 experiments of 30 days, .001 * 30 per experiment would make 12 fail and 0.4 block."""
    rng, failed, blocked = np.random.default_rng(3), 0, 0
    for _ in range(400):
        new = rng.binomial(1000, 0.5, 30)
        found = ratio(*[("day", str(n), 1000 - int(k), int(k)) for n, k in enumerate(new)])
        failed += any(not check.success for check in found.values())
        blocked += any(not check.success and check.blocks for check in found.values())
    assert 3 <= failed <= 25
    assert blocked <= 3


def test_a_single_arm_or_nobody_has_no_ratio() -> None:
    assert ratio(("region", "north", 0, 0))["region", "north"].success


@pytest.mark.parametrize(
    ("found", "success", "blocks"),
    [
        (checks.two_arms(10_000, 0), True, True),
        (checks.two_arms(10_000, 10), False, False),
        (checks.two_arms(10_000, 11), False, True),
        (checks.exposed_before_assigned(10_000, 0), True, True),
        (checks.exposed_before_assigned(10_000, 10), False, False),
        (checks.exposed_before_assigned(10_000, 11), False, True),
        (checks.pre_period("RPU", "rpu", "new", 0.002, is_primary=True), True, True),
        (checks.pre_period("RPU", "rpu", "new", 0.0005, is_primary=True), False, True),
        (checks.pre_period("CTR", "ctr", "new", 0.0005, is_primary=False), False, False),
        (checks.pre_period("RPU", "rpu", "new", None, is_primary=True), False, False),
        (checks.no_pre_period(), False, False),
        (checks.guardrail("Bounces", "bounce_rate", "new", "breached", "x"), False, False),
        (checks.guardrail("Bounces", "bounce_rate", "new", "open", "x"), True, False),
        (checks.interference(), False, False),
    ],
)
def test_what_fails_and_what_blocks(found: Check, success: bool, blocks: bool) -> None:
    assert (found.success, found.blocks) == (success, blocks)


def test_missing_days_are_named() -> None:
    assert checks.missing_days(experiment(), DAYS[3], DAYS[:4]).success
    found = checks.missing_days(experiment(), DAYS[3], [DAYS[0], DAYS[3], date(2020, 1, 1)])
    assert (found.success, found.blocks, found.observed) == (False, True, "2")
    assert f"{DAYS[1]}, {DAYS[2]}" in found.message


def test_the_warning_tells_what_stands_beside_it() -> None:
    assert "Beside it" not in checks.interference().message
    assert "by cluster +0.1" in checks.interference(["by cluster +0.1"]).message


def test_rows_are_those_of_the_table() -> None:
    frame = checks.frame("e", [checks.interference(), checks.two_arms(5, 0)])
    assert set(frame.columns) | {"ds"} == set(table("experiments.checks").column_names)
    assert frame["experiment_id"].tolist() == ["e", "e"]


@pytest.mark.parametrize(
    ("counts", "success"), [({"a": 30, "b": 44}, True), ({"a": 200, "b": 29}, False), ({}, False)]
)
def test_few_clusters_are_told_and_do_not_block(counts: dict[str, int], success: bool) -> None:
    check = checks.few_clusters(counts)
    assert (check.success, check.blocks) == (success, False)
    assert all(f"{arm} {n}" in check.message for arm, n in counts.items())
