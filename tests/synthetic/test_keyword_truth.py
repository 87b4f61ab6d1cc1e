from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from recsys.errors import RecsysError
from recsys.synthetic import adverts, preset, queries
from recsys.synthetic.campaigns import report
from recsys.synthetic.draws import Draws
from recsys.synthetic.keyword_truth import KeywordTruth, phrase_of, sold, typed_keywords
from recsys.synthetic.play import dawn, open_pages
from recsys.synthetic.state import NEVER, Array, State
from tests.synthetic.lived import live

World = tuple[State, Array, date, KeywordTruth]


@pytest.fixture(scope="module")
def world() -> World:
    state = live(preset("small", users=1_500, seed=11, campaign_share=0.4), 5).state
    ds = date.fromordinal(state.ds.toordinal() + 1)
    morning, gone = dawn(state, ds)
    return morning, gone, ds, KeywordTruth(morning, ds, np.random.default_rng(1))


def test_expected_figures_are_what_many_plays_of_the_day_give(world: World) -> None:
    morning, gone, ds, truth = world
    got, searched, plays = np.zeros((3, len(morning.keywords["query"]))), np.zeros(20_000), 40
    for replication in range(plays):
        visit = open_pages(morning, ds, gone, lists=None, fallback=None, draws=Draws(5, ds, replication + 1))
        made = report(morning, visit.rows, visit.outcome)
        for row, name in enumerate(("impressions", "clicks", "purchases")):
            got[row, made["keyword"]] += made[name] / plays
        query = visit.pages["query"][visit.pages["query"] >= 0]
        searched += np.bincount(queries.canonical(query), minlength=20_000) / plays
    phrases = queries.all_phrases()
    assert truth.searches(phrases).sum() == pytest.approx(searched.sum(), rel=0.03)
    assert np.corrcoef(truth.searches(phrases), searched[phrases])[0, 1] > 0.98
    # Listings that stay, and keywords that are the only one of their campaign for a phrase.
    field = adverts.competing(morning)
    pair = field["item"] * 100_000 + field["query"]
    alone = np.bincount(np.unique(pair, return_inverse=True)[1])[np.unique(pair, return_inverse=True)[1]] == 1
    rows = np.flatnonzero(alone & (gone[field["item"]] == NEVER))[::8]
    rate = morning.campaigns["ad_rate"][morning.keywords["campaign"][field["row"]]]
    frames = [truth.of_item(int(field["item"][r]), field["query"][[r]], rate[r]).iloc[0] for r in rows]
    shown = sum(f["searches"] * f["p_win"] for f in frames)
    clicks = np.nansum([f["searches"] * f["p_win"] * f["p_click"] for f in frames])
    real = got[:, field["row"][rows]].sum(axis=1)
    assert shown == pytest.approx(real[0], rel=0.2)
    assert clicks == pytest.approx(real[1], rel=0.2)
    assert sum(f["wishes"] for f in frames) == pytest.approx(real[2], rel=0.5)


def test_what_is_typed_is_known_by_its_chance(world: World) -> None:
    morning, _, _, truth = world
    items = np.arange(0, 400, 4)
    typed = [truth.typed(int(item)).assign(item=item) for item in items]
    assert all(
        frame["chance"].is_monotonic_decreasing and frame["chance"].between(0, 1).all() for frame in typed
    )
    likely = np.array([frame.iloc[0][["item", "query"]] for frame in typed], dtype=np.int64)
    assert (adverts.relevance(morning.items, likely[:, 0], likely[:, 1]) == 1).mean() > 0.95
    # Campaigns of the world hold the phrases as often as was said, over all listings.
    names = morning.keywords["query"], morning.campaigns["item"][morning.keywords["campaign"]]
    held = {(int(item), int(query)) for query, item in zip(*names, strict=True)}
    promoted = np.unique(morning.campaigns["item"])[:300]
    said = [truth.typed(int(item)).assign(item=item) for item in promoted]
    hits = sum((row.item, row.query) in held for frame in said for row in frame.itertuples())
    assert hits == pytest.approx(sum(frame["chance"].sum() for frame in said), rel=0.1)


def test_what_sellers_type_themselves_leaves_out_what_the_box_proposes(world: World) -> None:
    morning, _, _, truth = world
    promoted = np.unique(morning.campaigns["item"])[:300]
    keywords = morning.keywords
    own = keywords["origin"] == 0
    held = set(
        zip(
            morning.campaigns["item"][keywords["campaign"][own]].tolist(),
            keywords["query"][own].tolist(),
            strict=True,
        )
    )
    said = [truth.typed(int(item), own=True).assign(item=item) for item in promoted]
    hits = sum((row.item, row.query) in held for frame in said for row in frame.itertuples())
    assert hits == pytest.approx(sum(frame["chance"].sum() for frame in said), rel=0.1)


def test_a_higher_rate_wins_more_and_a_better_fit_sells_more(world: World) -> None:
    morning, _, _, truth = world
    item = int(morning.campaigns["item"][-1])
    low, high = (truth.best_set(item, rate, k=8) for rate in (0.02, 0.12))
    assert high["wishes"].sum() > low["wishes"].sum()
    assert high["wishes"].is_monotonic_decreasing
    assert high["relevance"].iloc[0] == 1.0
    own = truth.phrases(int(morning.items["leaf"][item]))
    everything = truth.of_item(item, own, 0.06)
    fits = everything["relevance"] == 1.0
    assert everything.loc[fits, "wishes"].mean() > 5 * everything.loc[~fits, "wishes"].mean()


def test_a_set_earns_less_than_its_parts_because_there_is_one_piece(world: World) -> None:
    morning, _, _, truth = world
    item = int(morning.campaigns["item"][-1])
    best = truth.best_set(item, 0.05, k=3, days=2_000)
    parts = [truth.set_profit(item, np.array([q]), 0.05, days=2_000) for q in best["query"]]
    together = truth.set_profit(item, best["query"].to_numpy(), 0.05, days=2_000)
    assert max(parts) * 0.999 < together < sum(parts)
    assert together <= morning.items["price"][item] * 0.95 * morning.items["stock"][item]


def test_sales_end_with_the_stock() -> None:
    assert sold(np.array([0.0, 0.1, 50.0]), 1) == pytest.approx([0.0, 1 - np.exp(-0.1), 1.0])
    assert sold(np.array([1.0]), 2)[0] == pytest.approx(1 * np.exp(-1) + 2 * (1 - 2 * np.exp(-1)))


def test_what_was_meant_is_known_of_every_keyword(world: World) -> None:
    found = typed_keywords(world[0])
    read = phrase_of(found["keyword"])
    meant = found["phrase"].notna() & ~found["slip"]
    assert 0.02 < found["phrase"].isna().mean() < 0.1
    assert [r for r, known in zip(read, meant, strict=True) if known] == [
        queries.text(int(queries.canonical(np.array([q]))[0])) for q in world[0].keywords["query"][meant]
    ]
    nothing = found["phrase"].isna()
    assert not any(reading for reading, no in zip(read, nothing, strict=True) if no)
    assert set(found["origin"]) == {"seller", "recommended"}
    assert (found.loc[found["phrase"].isna(), "relevance"] == 0).all()


def test_an_ad_rate_is_a_share(world: World) -> None:
    with pytest.raises(RecsysError, match=r"between 0 and 1, not 6\.0"):
        world[3].of_item(0, np.array([0]), 6.0)
