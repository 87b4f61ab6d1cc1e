from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from recsys.errors import RecsysError
from recsys.synthetic import State, play, preset, queries
from recsys.synthetic.offers import adoption_chance, read_offers
from recsys.synthetic.state import NEVER, Columns
from recsys.synthetic.tables import item_ids, source_tables
from tests.synthetic.lived import live


@pytest.fixture(scope="module")
def world() -> State:
    return live(preset("small", users=1_500, seed=11, campaign_share=0.6), 2).state


def _offers(state: State, texts: tuple[str, ...] = ("Dresses", "red dress", "no such thing")) -> pd.DataFrame:
    open_ = item_ids(np.flatnonzero(state.items["closed"] == NEVER))
    frame = pd.DataFrame({"item_id": np.repeat(open_, len(texts)), "keyword": np.tile(texts, len(open_))})
    return frame.assign(rank=np.tile(np.arange(1, len(texts) + 1), len(open_)))


def _new(before: State, after: State) -> Columns:
    first = len(before.campaigns["item"])
    rows = after.keywords["campaign"] >= first
    return {name: values[rows] for name, values in after.keywords.items()}


def test_some_take_what_is_offered_and_nothing_else(world: State) -> None:
    ds = world.ds + timedelta(days=1)
    without, _ = play(world, ds)
    offered, _ = play(world, ds, offered=_offers(world).sample(frac=1, random_state=1))
    table = source_tables(offered)["marketplace.campaign_keywords"]
    new = table[table["campaign_id"] >= f"c{len(world.campaigns['item']):05d}"]
    takers = new.groupby("campaign_id")["keyword"].agg(tuple)
    took = takers.map(lambda texts: set(texts) <= {"dress", "red dress"})
    assert 0.2 < took.mean() < 0.6
    assert set(new.loc[new["campaign_id"].isin(took[took].index), "origin"]) == {"recommended"}
    # The others type what they would have typed, and the campaigns are the same.
    assert np.array_equal(without.campaigns["item"], offered.campaigns["item"])
    left, right = _new(world, without), _new(world, offered)
    others = [int(c[1:]) for c in took[~took].index]
    for name in ("query", "wording", "origin"):
        assert np.array_equal(
            left[name][np.isin(left["campaign"], others)], right[name][np.isin(right["campaign"], others)]
        )


def test_careful_sellers_of_dear_things_take_more(world: State) -> None:
    open_ = np.flatnonzero(world.items["closed"] == NEVER)
    chance = adoption_chance(world, open_)
    assert 0.3 < chance.mean() < 0.5
    for reason in (np.log(world.items["price"][open_]), world.items["quality"][open_]):
        assert np.corrcoef(chance, reason)[0, 1] > 0.15


def test_offers_are_read_by_what_they_say(world: State) -> None:
    read = read_offers(_offers(world).head(6))
    assert [queries.text(q) for q in read["query"].tolist()] == ["dress", "red dress"] * 2
    assert (np.diff(read["item"]) >= 0).all()
    assert read_offers(None) is None
    with pytest.raises(RecsysError, match="lack rank; give item_id"):
        read_offers(_offers(world).drop(columns="rank"))
