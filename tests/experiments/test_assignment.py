"""One function from unit to arm: published values, uniform, independent, and nobody is ever moved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsys.experiments.assignment import (
    BUCKET_SQL,
    arms_of,
    assign,
    buckets,
    draws,
    holdout_salt,
    takes_part,
)
from recsys.experiments.definition import BUCKETS, Arm, Experiment, Layer, RampStep
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from recsys.warehouse.functions import farm_fingerprint, farm_fingerprints

UNITS = [f"u{i:06d}" for i in range(20_000)]
START = date(2026, 1, 1)


def experiment(*weights: float, salt: str = "salt_1", **changes: object) -> Experiment:
    arms = tuple(Arm(f"arm{i}", "hybrid", weight) for i, weight in enumerate(weights))
    return Experiment("e", "h", "user", salt, START, None, "arm0", arms, **changes)  # type: ignore[arg-type]


def random_ids(count: int, seed: int = 0) -> list[str]:
    """Ids of every length from 0 to 100, of letters that are one to four bytes in UTF-8."""
    rng = np.random.default_rng(seed)
    letters = np.array([*"abcxyz0189_-:.'\"\\ \t\n%@", *"äßñ", *"ユー永字", *"🙂𝄞"])
    return ["".join(rng.choice(letters, length)) for length in rng.integers(0, 101, count)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1footrue", -1541654101129638711),
        ("2applefalse", 2794438866806483259),
        ("3true", -4880158226897771312),
    ],
)
def test_fingerprint_gives_the_published_values(text: str, value: int) -> None:
    assert farm_fingerprint(text) == value
    assert farm_fingerprints(["x", text]).tolist() == [farm_fingerprint("x"), value]


def test_bucket_takes_mod_before_abs() -> None:
    value = farm_fingerprint("s:u1")
    expected = abs(value) % BUCKETS  # Python's abs has no overflow, and |x| mod n = |x mod_sql n|
    assert buckets("s", ["u1"]).tolist() == [expected]


def test_duckdb_gives_the_buckets_of_python(tmp_path_factory: pytest.TempPathFactory) -> None:
    ids = random_ids(10_000)
    settings = Settings.load({}, warehouse=str(tmp_path_factory.mktemp("w")))
    with open_warehouse(settings) as warehouse:
        found = warehouse.query(
            f"SELECT unit_id, {BUCKET_SQL} AS bucket FROM UNNEST(@ids) AS unit_id",
            {"ids": ids, "salt": "s_1"},
        )
        nothing = warehouse.query(
            "SELECT FARM_FINGERPRINT(x) AS x FROM UNNEST(['1footrue', NULL, '3true']) AS x"
        )
    assert found.column("unit_id").to_pylist() == ids
    assert found.column("bucket").to_pylist() == buckets("s_1", ids).tolist()
    assert set(nothing.column("x").to_pylist()) == {-1541654101129638711, None, -4880158226897771312}


def test_buckets_are_uniform() -> None:
    counts = np.bincount(buckets("salt_1", UNITS) // 100, minlength=100)
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(
    ("weights", "taken"),
    [
        ((0.5, 0.5), (5000, 5000)),
        ((0.07, 0.13, 0.8), (700, 1300, 8000)),
        ((1 / 3, 1 / 3, 1 / 3), (3333, 3334, 3333)),
        ((0.3333333333, 0.3333333333, 0.3333333333), (3333, 3334, 3333)),
        ((0.3333, 0.3333, 0.3334), (3333, 3333, 3334)),
        ((0.00015, 0.99985), (1, 9999)),
        ((0.99985, 0.00015), (9998, 2)),
        ((0.0, 1.0), (0, 10000)),
    ],
)
def test_shares_are_those_of_the_buckets_that_arms_take(
    weights: tuple[float, ...], taken: tuple[int, ...]
) -> None:
    made = experiment(*weights)
    arms = arms_of(made, np.arange(BUCKETS))
    assert tuple((arms == arm.name).sum() for arm in made.arms) == taken
    assert tuple(made.shares.values()) == tuple(buckets / BUCKETS for buckets in taken)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.1, 0.9), (0.2, 0.3, 0.5), (0.0, 1.0), (0.25,) * 4])
def test_arms_get_their_weights(weights: tuple[float, ...]) -> None:
    arms, bucket = assign(experiment(*weights), UNITS)
    for i, weight in enumerate(weights):
        assert (arms == f"arm{i}").mean() == pytest.approx(weight, abs=0.015)
    assert bucket.min() >= 0
    assert bucket.max() < BUCKETS


def test_every_bucket_has_an_arm_and_an_arm_has_its_share_of_them_exactly() -> None:
    thirds = experiment(1 / 3, 1 / 3, 1 / 3)
    found: dict[str, set[int]] = {}
    for arm, bucket in zip(*assign(thirds, [f"u{i}" for i in range(200_000)]), strict=True):
        found.setdefault(arm, set()).add(int(bucket))
    assert [(min(found[a]), max(found[a])) for a in ("arm0", "arm1", "arm2")] == [
        (0, 3332),
        (3333, 6666),
        (6667, 9999),
    ]


def test_every_pair_of_draws_is_independent() -> None:
    """Arms of several experiments, the layer, the hold-out and the ramp: no draw says anything about another.

    Chi-square over each pair; the smallest of so many p-values is held to Bonferroni's bound at 0.001.
    """
    one = experiment(0.5, 0.5, salt="a", layer=Layer("a"), holdout=0.5)
    salts = ["a", "b", "salt_1", "salt_2", "layer:b", *(salt for salt, _, _ in draws(one, (0, 9)))]
    assert salts[5:] == ["layer:a", holdout_salt("user"), "ramp:a"]
    quarters = {salt: buckets(salt, UNITS) // (BUCKETS // 4) for salt in salts}
    tables = {
        pair: np.histogram2d(quarters[pair[0]], quarters[pair[1]], bins=4)[0]
        for pair in combinations(salts, 2)
    }
    p_values = {pair: stats.chi2_contingency(table).pvalue for pair, table in tables.items()}
    assert min(p_values.values()) > 0.001 / len(p_values), p_values
    assert max(p_values.values()) < 1 - 1e-6  # nor too even to be chance
    assert stats.chi2_contingency(np.histogram2d(quarters["a"], quarters["a"], bins=4)[0]).pvalue == 0


def test_arm_does_not_depend_on_who_else_is_there() -> None:
    alone, _ = assign(experiment(0.5, 0.5), [UNITS[7]])
    together, _ = assign(experiment(0.5, 0.5), UNITS)
    assert alone[0] == together[7]


@st.composite
def ramps(draw: Callable) -> tuple[RampStep, ...]:
    shares = sorted(draw(st.sets(st.integers(1, BUCKETS), min_size=1, max_size=5)))
    days = [0, *sorted(draw(st.sets(st.integers(1, 60), min_size=len(shares) - 1, max_size=len(shares) - 1)))]
    return tuple(
        RampStep(START + timedelta(days=day), share / BUCKETS)
        for day, share in zip(days, shares, strict=True)
    )


@given(ramps(), st.lists(st.text(max_size=20), min_size=1, max_size=200, unique=True))
def test_a_ramp_only_lets_in_and_moves_nobody(steps: tuple[RampStep, ...], units: list[str]) -> None:
    ramped, whole = experiment(0.3, 0.7, ramp=steps), experiment(0.3, 0.7)
    before = np.zeros(len(units), dtype=bool)
    for day in range(62):
        inside = takes_part(ramped, units, START + timedelta(days=day))
        assert (inside | ~before).all(), "who is in stays in"
        before = inside
    assert (assign(ramped, units)[0] == assign(whole, units)[0]).all()
    assert not takes_part(ramped, units, START - timedelta(days=1)).any()


def test_a_ramp_lets_in_its_share_of_every_arm() -> None:
    ramped = experiment(0.2, 0.8, ramp=(RampStep(START, 0.1), RampStep(START + timedelta(days=3), 0.5)))
    arms, _ = assign(ramped, UNITS)
    for days, share in ((0, 0.1), (2, 0.1), (3, 0.5), (9, 0.5)):
        day = START + timedelta(days=days)
        inside = takes_part(ramped, UNITS, day)
        assert ramped.share_on(day) == share
        assert inside.mean() == pytest.approx(share, abs=0.01)
        assert (arms[inside] == "arm0").mean() == pytest.approx(0.2, abs=0.03)


@given(
    st.lists(st.integers(1, BUCKETS - 1), min_size=1, max_size=4, unique=True),
    st.lists(st.text(max_size=20), min_size=1, max_size=200, unique=True),
)
def test_each_unit_is_in_exactly_one_experiment_of_a_layer(cuts: list[int], units: list[str]) -> None:
    edges = [0, *sorted(cuts), BUCKETS]
    inside = [
        takes_part(experiment(0.5, 0.5, salt=f"s{i}", layer=Layer("one", first, last - 1)), units, START)
        for i, (first, last) in enumerate(pairwise(edges))
    ]
    assert (np.sum(inside, axis=0) == 1).all()


def test_held_out_units_are_the_same_in_every_experiment() -> None:
    few = ~takes_part(experiment(0.5, 0.5, salt="a", holdout=0.02), UNITS, START)
    many = ~takes_part(experiment(0.5, 0.5, salt="b", holdout=0.1), UNITS, START)
    assert few.mean() == pytest.approx(0.02, abs=0.005)
    assert many.mean() == pytest.approx(0.1, abs=0.01)
    assert (many | ~few).all(), "the larger hold-out contains the smaller"
