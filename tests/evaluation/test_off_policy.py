"""Off-policy estimates: known answers by hand, refusals, and the simulator's true value within the interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.off_policy import World, coverage, judge, logs, make_world
from recsys.errors import ModelError
from recsys.evaluation.off_policy import OffPolicy, evaluate
from recsys.synthetic import preset

USERS = np.array(["a", "a", "b", "c", "c"])
REWARDS = np.array([2.0, 0.0, 4.0, 30.0, 0.0])
PROPENSITIES = np.array([0.5, 0.25, 0.1, 0.2, 1.0])
TARGETS = np.array([1.0, 0.5, 0.2, 0.0, 1.0])
# Weights: 2, 2, 2, 0, 1; rewards times weights: 4, 0, 8, 0, 0.


def judged(**options: object) -> OffPolicy:
    return evaluate(USERS, REWARDS, PROPENSITIES, TARGETS, **options)  # type: ignore[arg-type]


def test_the_sums_are_those_made_by_hand() -> None:
    found = judged()
    assert found.ips.value == pytest.approx(12 / 5)
    assert found.snips is not None
    assert found.snips.value == pytest.approx(12 / 7)
    assert found.effective_sample_size == pytest.approx(49 / 13)
    assert found.mean_weight == pytest.approx(7 / 5)
    assert (found.rows, found.users, found.matched, found.rewarded) == (5, 3, 4, 2)
    assert found.dr is None


def test_the_doubly_robust_sum_is_the_one_made_by_hand() -> None:
    shown = np.array([1.0, 1.0, 3.0, 9.0, 0.5])
    wanted = np.array([1.5, 1.0, 3.0, 2.0, 0.5])
    found = judged(predicted=shown, baseline=wanted)
    by_hand = [1.5 + 2 * 1, 1.0 + 2 * -1, 3.0 + 2 * 1, 2.0, 0.5 + 1 * -0.5]
    assert found.dr is not None
    assert found.dr.value == pytest.approx(np.mean(by_hand))


def test_clipping_and_capping_say_what_they_took() -> None:
    found = judged(clip=1.5, cap=3.0)
    assert found.ips.value == pytest.approx((1.5 * 2 + 1.5 * 3) / 5)
    assert found.clipped == pytest.approx(1.5 / 7)
    assert found.capped == pytest.approx(1 - (2 + 3 + 3) / 36)
    assert (found.clip, found.cap) == (1.5, 3.0)
    assert found.mean_weight == pytest.approx(7 / 5)  # support is told before clipping


def test_a_policy_judged_by_its_own_log_gets_the_mean_of_the_log() -> None:
    found = evaluate(USERS, REWARDS, PROPENSITIES, PROPENSITIES)
    assert found.snips is not None
    assert found.ips.value == found.snips.value == pytest.approx(REWARDS.mean())
    assert found.effective_sample_size == pytest.approx(len(REWARDS))


def test_what_is_never_matched_is_worth_nothing_and_has_no_snips() -> None:
    found = evaluate(USERS, REWARDS, PROPENSITIES, np.zeros(5))
    assert (found.ips.value, found.snips, found.effective_sample_size, found.mean_weight) == (
        0.0,
        None,
        0.0,
        0.0,
    )


def test_repeating_a_users_rows_tells_nothing_new() -> None:
    # Five copies of each row, all of the same users: as wide an interval as before; as new users: narrower.
    rng = np.random.default_rng(3)
    users, rewards = np.arange(200), rng.random(200)
    ones = np.ones(200)
    for method in ("log", "normal", "bootstrap"):

        def width(who: np.ndarray, method: str = method) -> float:
            many = [np.tile(a, len(who) // 200) for a in (rewards, ones / 2, ones / 2)]
            ips = evaluate(who, *many, method=method).ips  # type: ignore[arg-type]
            return ips.high - ips.low

        assert width(np.tile(users, 5)) == pytest.approx(width(users))
        assert width(np.arange(1000)) < 0.5 * width(users)


def test_the_intervals_differ_in_shape_and_agree_where_there_is_much_data() -> None:
    rng = np.random.default_rng(4)
    n = 4_000
    rewards = (rng.random(n) < 0.3).astype(float)
    found = {
        m: evaluate(np.arange(n), rewards, np.ones(n), np.ones(n), method=m).ips
        for m in ("log", "normal", "bootstrap")
    }
    expected = 1.96 * np.sqrt(0.3 * 0.7 / n)
    for e in found.values():
        assert (e.high - e.low) / 2 == pytest.approx(expected, rel=0.08)
    log, normal = found["log"], found["normal"]
    assert log.low * log.high == pytest.approx(log.value**2)
    assert normal.low + normal.high == pytest.approx(2 * normal.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"propensities": np.array([0.5, 0.0, 0.1, 0.2, 1.0])}, "Propensity 0.0 .* not in"),
        ({"propensities": np.array([0.5, np.nan, 0.1, 0.2, 1.0])}, "Propensity nan"),
        ({"targets": np.array([1.0, 1.5, 0.2, 0.0, 1.0])}, "probability 1.5"),
        ({"users": np.array(["a"] * 5)}, "two users"),
        ({"rewards": np.array([np.inf, 0, 0, 0, 0])}, "not finite"),
        ({"clip": 0.0}, "Clip 0.0"),
        ({"level": 1.0}, "Confidence 1.0"),
        ({"predicted": np.zeros(5)}, "predictions for the shown and for the wanted"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object], message: str) -> None:
    given: dict[str, object] = {
        "users": USERS,
        "rewards": REWARDS,
        "propensities": PROPENSITIES,
        "targets": TARGETS,
    }
    with pytest.raises(ModelError, match=message):
        evaluate(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world() -> World:
    # Without ads, which no list decides on.
    config = preset(
        "small", users=1_000, seed=14, click_base=-1.0, buy_base=0.5, mood_mean=0.9, campaign_share=0.0
    )
    return make_world(config, days=3, pool=8, places=4, seed=3)


def test_the_interval_holds_what_the_policy_truly_earns(world: World) -> None:
    found = coverage(world, replications=60, true_replications=60, seed=5)
    assert (found["covered"] >= 0.9).all(), found.to_string()
    # Not because it is wide: the estimates spread as much as the interval says, around the truth.
    ratio = found["half_width"] / (1.96 * found["spread"])
    assert ratio.between(0.75, 1.4).all(), found.to_string()
    assert (found["bias"].abs() < 4 * found["spread"] / np.sqrt(60)).all(), found.to_string()


def test_without_weights_the_log_says_what_it_served_and_not_what_the_policy_earns(world: World) -> None:
    # The policy to judge differs from the one that logged by more than the error of the mean over these logs.
    naive, weighted = [], []
    for log in logs(world, 20, seed=6):
        naive.append(log["click"].mean())
        weighted.append(judge(world, log, "click").ips.value)
    truth = float(world.truth(40).ctr.mean())
    error = np.std(weighted, ddof=1) / np.sqrt(len(weighted))
    assert abs(np.mean(weighted) - truth) < 3 * error
    assert abs(np.mean(naive) - truth) > 3 * error


def test_mean_weight_is_the_share_of_the_policy_that_the_log_supports(world: World) -> None:
    # Take half of each pool from the logging policy: what the target would show of it can never match.
    rng, sizes = np.random.default_rng(8), []
    (log,) = logs(world, 1, seed=9)
    user, rank = log["user"].to_numpy(), log["rank"].to_numpy()
    users, pool = world.pools.shape
    for _ in range(50):
        kept = rng.random((users, pool)).argsort(axis=1) < pool // 2
        drawn = np.where(kept, rng.random((users, pool)), -1.0).argmax(axis=1)  # one of the kept, evenly
        wanted = world.order[user, rank - 1]
        sizes.append(
            evaluate(
                user,
                np.zeros(len(user)),
                np.full(len(user), 2 / pool),
                (drawn[user] == wanted).astype(float),
            ).mean_weight
        )
    assert np.mean(sizes) == pytest.approx(0.5, abs=0.03)


def test_the_log_has_the_columns_it_promises(world: World) -> None:
    (log,) = logs(world, 1, seed=2)
    assert list(log.columns) == ["user", "item", "rank", "click", "revenue"]
    assert log["rank"].between(1, world.places).all()
    assert isinstance(log, pd.DataFrame)
    assert log["click"].sum() > 50
    assert (log.loc[log["revenue"] > 0, "click"] == 1).all()
