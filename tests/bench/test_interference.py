"""The interference bench: who is shown whose places, and that the bench runs."""

from __future__ import annotations

import numpy as np
import pytest

from bench import interference
from recsys.synthetic import State, oracle_lists, trending
from recsys.synthetic.visits import numbers_of

SMALL = interference.Setup(users=120, days=2, worlds=2, scarcity=0.5)


@pytest.fixture(scope="module")
def evening() -> State:
    return interference._history(SMALL, 7)[0]


def pairs(frame: object) -> set[tuple[str, str]]:
    return set(zip(frame["user_id"], frame["item_id"], strict=True))  # type: ignore[index]


def test_each_buyer_gets_the_list_of_their_policy(evening: State) -> None:
    half = np.arange(evening.n_users) % 2 == 0
    made = interference.lists(evening, half)
    best, usual = oracle_lists(evening, interference._next(evening)), trending(evening, interference.LIST)
    treated = half[numbers_of(made["user_id"])]
    assert pairs(made[treated]) <= pairs(best)
    assert set(made.loc[~treated, "item_id"]) == set(usual["item_id"])
    assert (made.groupby("user_id")["rank"].max() == made.groupby("user_id").size()).all()


def test_a_cluster_is_filled_by_its_policy_alone(evening: State) -> None:
    regions = int(evening.users["region"].max()) + 1
    cells = np.random.default_rng(1).random((len(interference.LEAVES), regions)) < 0.5
    made = interference.lists(evening, cells)
    best, usual = (
        pairs(oracle_lists(evening, interference._next(evening))),
        trending(evening, interference.LIST),
    )
    user, item = numbers_of(made["user_id"]), numbers_of(made["item_id"])
    treated = cells[evening.items["leaf"][item], evening.users["region"][user]]
    assert 0 < treated.sum() < len(made)
    assert pairs(made[treated]) <= best
    assert set(made.loc[~treated, "item_id"]) <= set(usual["item_id"])
    assert not made.duplicated(["user_id", "item_id"]).any()


def test_the_bench_prints_them_side_by_side_and_the_warning(capsys: pytest.CaptureFixture[str]) -> None:
    result = interference.run(SMALL)
    interference.print_figures(result)
    printed = capsys.readouterr().out
    for words in (
        "true global effect",
        "user split",
        "category x region",
        "Check interference: Buyers are split",
    ):
        assert words in printed
    estimates = result["estimates"]
    assert estimates["truth"] == pytest.approx(  # type: ignore[index]
        np.subtract(estimates["treatment"], estimates["control"])  # type: ignore[index]
    )
