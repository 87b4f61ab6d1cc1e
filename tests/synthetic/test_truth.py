from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from recsys.errors import RecsysError
from recsys.synthetic import Truth, compare, oracle_lists, play, trending, true_rpu
from recsys.synthetic.draws import Draws
from recsys.synthetic.happenings import TYPE
from recsys.synthetic.play import dawn, open_pages
from recsys.synthetic.state import DAY, NEVER, day_start
from recsys.synthetic.tables import item_ids
from recsys.synthetic.truth import _measure
from recsys.synthetic.visits import RECOMMENDATION
from tests.synthetic.lived import Lived, everybody

REPLICATIONS = 12


@pytest.fixture(scope="module")
def policies(lived: Lived, tomorrow: date) -> dict[str, pd.DataFrame]:
    state, rng = lived.state, np.random.default_rng(0)
    open_ = np.flatnonzero((state.items["closed"] == NEVER) & ~state.items["auction"])
    random = pd.concat(
        [
            pd.DataFrame(
                {"user_id": f"u{u:06d}", "rank": np.arange(60), "item_id": item_ids(rng.choice(open_, 60))}
            )
            for u in range(state.n_users)
        ]
    )
    return {
        "random": random,
        "popularity": everybody(state, trending(state)["item_id"].to_numpy()),
        "oracle": oracle_lists(state, tomorrow, 60),
    }


@pytest.fixture(scope="module")
def truths(lived: Lived, tomorrow: date, policies: dict[str, pd.DataFrame]) -> dict[str, Truth]:
    return compare(lived.state, tomorrow, policies, REPLICATIONS)


def test_reading_minds_pays(truths: dict[str, Truth]) -> None:
    earned = {name: truth.summary() for name, truth in truths.items()}
    assert earned["oracle"]["rpu"] > 2 * earned["popularity"]["rpu"]
    assert earned["oracle"]["rpu"] > 2 * earned["random"]["rpu"]
    assert earned["oracle"]["ctr"] > 1.5 * earned["popularity"]["ctr"]
    assert earned["oracle"]["conversion"] > earned["popularity"]["conversion"] > 0
    on_page = {name: figures["rpu"] * figures["recommended_share"] for name, figures in earned.items()}
    assert on_page["oracle"] > 4 * on_page["popularity"]


def test_every_policy_meets_the_same_visitors(truths: dict[str, Truth]) -> None:
    assert np.array_equal(truths["oracle"].users, truths["popularity"].users)


def test_common_chances_sharpen_the_difference(
    lived: Lived, tomorrow: date, policies: dict[str, pd.DataFrame]
) -> None:
    shifted = policies["popularity"].assign(rank=lambda frame: frame["rank"].where(frame["rank"] > 1, 40))
    found = compare(lived.state, tomorrow, {"a": policies["popularity"], "b": shifted}, REPLICATIONS)
    paired = (found["a"].rpu - found["b"].rpu).std()
    apart = np.hypot(found["a"].rpu.std(), found["b"].rpu.std())
    assert paired < 0.7 * apart


def test_truth_is_reproducible_and_changes_nothing(
    lived: Lived, tomorrow: date, policies: dict[str, pd.DataFrame]
) -> None:
    before = lived.state.to_bytes()
    first = true_rpu(lived.state, tomorrow, policies["popularity"], 2).summary()
    assert first == true_rpu(lived.state, tomorrow, policies["popularity"], 2).summary()
    assert lived.state.to_bytes() == before


def test_the_order_of_a_list_frame_does_not_matter(
    lived: Lived, tomorrow: date, policies: dict[str, pd.DataFrame]
) -> None:
    lists = policies["oracle"]
    shuffled = lists.sample(frac=1, random_state=1)
    assert (
        true_rpu(lived.state, tomorrow, shuffled, 2).summary()
        == true_rpu(lived.state, tomorrow, lists, 2).summary()
    )


def test_truth_counts_money_as_the_experiment_does(
    lived: Lived, tomorrow: date, policies: dict[str, pd.DataFrame]
) -> None:
    """The same play, counted from inside and from its events: users shown a list, gross amount x take rate."""
    exact = replace(lived.config, broken_share=0.0, duplicate_share=0.0)
    state, lists = replace(lived.state, config=exact), policies["popularity"]
    morning, gone = dawn(state, tomorrow)
    draws = Draws(exact.seed, tomorrow)
    visit = open_pages(morning, tomorrow, gone, lists=lists, fallback=None, draws=draws)
    users, rpu, conversion, ctr, *_ = _measure(morning, visit)

    evening, day = play(state, tomorrow, lists)
    made = {name: np.concatenate([day.delivered[name], evening.waiting[name]]) for name in day.delivered}
    sent = pd.DataFrame(made)
    sent = sent[sent["day"] == day_start(tomorrow) // DAY]
    shown = sent[(sent["type"] == TYPE["impression"]) & (sent["surface"] == RECOMMENDATION)]
    clicks = sent[(sent["type"] == TYPE["view"]) & (sent["surface"] == RECOMMENDATION)]
    bought = sent[(sent["type"] == TYPE["purchase"]) & sent["user"].isin(shown["user"])]
    revenue = (bought["amount"] * evening.items["take"][bought["item"]]).sum()
    assert shown["user"].nunique() == users
    assert revenue / users == pytest.approx(rpu, rel=1e-9)
    assert bought["user"].nunique() / users == pytest.approx(conversion)
    assert len(clicks) / len(shown) == pytest.approx(ctr)


def test_oracle_lists_hold_what_may_be_shown(lived: Lived, policies: dict[str, pd.DataFrame]) -> None:
    lists, state = policies["oracle"], lived.state
    assert lists.groupby("user_id")["item_id"].nunique().eq(lists.groupby("user_id").size()).all()
    item = lists["item_id"].str.slice(1).astype(int).to_numpy()
    user = lists["user_id"].str.slice(1).astype(int).to_numpy()
    assert (state.items["closed"][item] == NEVER).all()
    assert (state.sellers["user"][state.items["seller"][item]] != user).all()
    assert lists["user_id"].nunique() == state.n_users


def test_a_truth_needs_a_replication(lived: Lived, tomorrow: date) -> None:
    with pytest.raises(RecsysError, match="1 replication or more"):
        compare(lived.state, tomorrow, {}, 0)
