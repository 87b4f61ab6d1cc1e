"""Campaigns that start week after week: what lists of an evening are judged by, and what is learned by then."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from recsys.errors import KeywordError
from recsys.keywords.adoption import Adoption
from recsys.keywords.backtest import (
    FULL,
    POPULARITY,
    SOLD,
    TAKEN_AND_SOLD,
    UNION,
    System,
    backtest,
    popularity,
    systems,
)
from recsys.keywords.labels import Frames
from recsys.keywords.rankers.base import Examples
from recsys.keywords.rankers.boosted import LightGBM
from recsys.keywords.trial import Trial
from tests.keywords.ads import FIRST, world

WEEKS = 5


def staggered() -> list[Frames]:
    """The world of ads, where a fifth of the campaigns starts on the second day of each week."""
    frames = []
    for frame in world(weeks=WEEKS, items=150, shown=60):
        history = frame.typed["history"]
        number = history["campaign_id"].str[1:].astype(int) % WEEKS
        started = pd.Timestamp(FIRST, tz="UTC") + pd.to_timedelta(7 * number + 2, unit="D")
        known = started < pd.Timestamp(frame.ds, tz="UTC") + pd.Timedelta(days=1)
        listed = pd.Timestamp(FIRST, tz="UTC") - pd.Timedelta(days=3)
        history = history.assign(started_at=started)[known].reset_index(drop=True)
        frames.append(changed(frame, history, frame.items.assign(listed_at=listed)))
    return frames


def changed(frame: Frames, history: pd.DataFrame, items: pd.DataFrame | None = None) -> Frames:
    """The same day with other campaigns, or listings."""
    typed = {**frame.typed, "history": history}
    given = frame.items if items is None else items
    return Frames.of(frame.ds, items=given, variants=frame.variants, **typed)


@pytest.fixture(scope="module")
def frames() -> list[Frames]:
    return staggered()


@pytest.fixture(scope="module")
def system(frames: list[Frames]) -> System:
    return System.fit(frames[:-1], seed=1, names=("graph", "embedding"))


def test_a_trial_holds_the_campaigns_of_its_week_alone(frames: list[Frames]) -> None:
    trial = Trial.of(frames[2], frames[4])
    assert set(trial.campaigns["campaign_id"].str[1:].astype(int) % WEEKS) == {2}
    assert set(trial.items["item_id"]) == set(trial.campaigns["item_id"]) == set(trial.bids["item_id"])
    assert trial.campaigns["age_days"].unique().tolist() == [3 + 7 * 2 + 2]
    later = frames[4].history.set_index(["campaign_id", "keyword"])
    for row in trial.wanted.itertuples():
        did = later.loc[(row.campaign_id, row.keyword)]
        assert did["clicks"] > 0
        assert row.gain == (3.0 if did["purchases"] > 0 else 1.0)
    sold = later.groupby("campaign_id")["purchases"].sum()
    assert (sold[trial.wanted["campaign_id"].unique()] > 0).all()
    with pytest.raises(KeywordError, match="No campaign started"):
        Trial.of(frames[4], replace(frames[4], ds=frames[4].ds + timedelta(days=7)))


def test_what_was_proposed_is_no_wish_of_the_sellers(frames: list[Frames]) -> None:
    """A list that is found again in what was taken over from a list says nothing."""
    whole = Trial.of(frames[2], frames[4])
    history = frames[4].typed["history"]
    first = whole.wanted["campaign_id"].unique()[0]
    kept = history["keyword"].where(history["campaign_id"] == first)
    proposed = history.assign(origin=history["origin"].where(kept.notna(), "recommended"))
    again = history[history["campaign_id"] == first].assign(origin="recommended")  # the same text from both
    both = Trial.of(frames[2], changed(frames[4], pd.concat([proposed, again], ignore_index=True)))
    assert both.bids.loc[both.bids["own"], "campaign_id"].unique().tolist() == [first]
    assert both.wanted["campaign_id"].unique().tolist() == [first]
    pairs = ["campaign_id", "keyword"]
    assert both.wanted_with_proposed[pairs].to_numpy().tolist() == whole.wanted[pairs].to_numpy().tolist()


def test_what_was_proposed_does_not_teach_what_sellers_take(
    frames: list[Frames], system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an item with a keyword typed and one proposed, the second is unknown; of one with none typed, all are."""
    given: list[Examples] = []
    monkeypatch.setattr(LightGBM, "fit", lambda examples, *_, **__: given.append(examples))
    trial = Trial.of(frames[-2], frames[-1])
    items = trial.items["item_id"].iloc[:3]
    named = system.retrieval.candidates(trial.items[trial.items["item_id"].isin(items)])
    lists = {item: rows["keyword"].tolist() for item, rows in named.groupby("item_id")}
    a, b, c = items
    rows = [(a, lists[a][0], True), (a, lists[a][1], False), (b, lists[b][0], False), (c, lists[c][0], True)]
    bids = pd.DataFrame(rows, columns=["item_id", "keyword", "own"]).assign(
        campaign_id=lambda t: t["item_id"]
    )
    Adoption.fit(named, bids, trial.items, trial.eve.catalogue, system.ranker.known, seed=1)
    assert given[0].good.sum() == 2
    assert given[0].tried.sum() == len(given[0].tried) == len(lists[a]) - 1 + len(lists[c])


def test_what_ran_before_midnight_of_the_marketplace_was_known_on_the_eve(frames: list[Frames]) -> None:
    def here(frame: Frames) -> Frames:
        history = frame.typed["history"]
        night = pd.Timestamp(frames[2].ds, tz="UTC") + pd.Timedelta(days=1, hours=7)  # 23:00 of the eve
        moved = history.assign(started_at=history["started_at"].where(history["started_at"] < night, night))
        return replace(changed(frame, moved), timezone="America/Los_Angeles")

    assert len(Trial.of(frames[2], frames[4]).campaigns)
    with pytest.raises(KeywordError, match="No campaign started"):
        Trial.of(here(frames[2]), here(frames[4]))


def test_a_listing_that_was_sold_meanwhile_had_a_piece_to_sell(frames: list[Frames]) -> None:
    gone = replace(frames[4], items=frames[4].items.assign(stock=0))
    eve = replace(frames[2], items=frames[2].items.iloc[:0])
    assert (Trial.of(eve, gone).items["stock"] == 1).all()


def test_nothing_that_was_learned_knows_the_week_that_judges(frames: list[Frames], system: System) -> None:
    trial = Trial.of(frames[-2], frames[-1])
    later = changed(frames[-1], frames[-1].typed["history"].assign(purchases=0))
    other = Trial.of(frames[-2], later)
    assert len(trial.wanted) > 9
    assert other.wanted.empty
    pd.testing.assert_frame_equal(systems(other, system)[1], systems(trial, system)[1])


def test_every_system_is_judged_and_what_sellers_take_tells_most(frames: list[Frames]) -> None:
    figures, parts = backtest(frames[:-1], frames[-1], seed=1, names=("graph",))
    told = figures.set_index("system")
    assert list(told.index) == [POPULARITY, "graph", UNION, SOLD, TAKEN_AND_SOLD, FULL]
    assert told["mrr_all@10"].between(0, 1).all()
    assert told["several"].tolist() == told["several_with_proposed"].tolist(), "nothing was proposed here"
    assert told.loc[FULL, "mrr_all@10"] > 1.5 * told.loc[POPULARITY, "mrr_all@10"]
    assert told["several"].nunique() == told["single"].nunique() == 1
    assert parts.loc[parts["slice"] == "age", "value"].tolist() == ["7 days or more"]
    with pytest.raises(KeywordError, match="3 or more"):
        backtest(frames[:2], frames[2], seed=1)


def test_listings_that_do_not_teach_are_still_as_they_were_on_the_evening(
    frames: list[Frames], system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(System, "fit", lambda *_, **__: system)
    monkeypatch.setattr(
        "recsys.keywords.backtest.systems", lambda trial, *_: asked.append(trial) or systems(trial, system)
    )
    eve, past = frames[-2], [*frames[:-2], replace(frames[-2], items=frames[-2].items.iloc[:0])]
    for given in (None, eve):
        backtest(past, frames[-1], eve=given, seed=1)
    listed_later, listed_before = (trial.items["views_30d"].to_numpy() for trial in asked)
    assert not listed_later.any()
    views = eve.items.set_index("item_id")["views_30d"]
    assert listed_before.tolist() == views[asked[1].items["item_id"]].tolist()


def test_adoption_tells_what_sellers_type_and_is_the_same_after_a_reload(
    frames: list[Frames], system: System, tmp_path: Path
) -> None:
    trial = Trial.of(frames[-2], frames[-1])
    scored = systems(trial, system)[1]
    typed = pd.MultiIndex.from_frame(trial.bids[["item_id", "keyword"]])
    took = pd.MultiIndex.from_frame(scored[["item_id", "keyword"]]).isin(typed)
    assert scored.loc[took, "p_adopt"].mean() > 3 * scored.loc[~took, "p_adopt"].mean()
    system.adoption.save(tmp_path / "adoption")
    again = replace(system, adoption=Adoption.load(tmp_path / "adoption"))
    pd.testing.assert_frame_equal(systems(trial, again)[1], scored)


def test_adoption_needs_somebody_who_took_a_candidate(frames: list[Frames], system: System) -> None:
    trial = Trial.of(frames[-2], frames[-1])
    candidates = system.retrieval.candidates(trial.items)
    with pytest.raises(KeywordError, match="typed"):
        Adoption.fit(
            candidates,
            trial.bids.assign(keyword="never named"),
            trial.items,
            trial.eve.catalogue,
            system.ranker.known,
            seed=1,
        )


def test_popular_in_the_category_counts_the_searches_that_lead_there() -> None:
    catalogue = pd.DataFrame(
        {
            "keyword": ["gift", "coat", "gift", "hat"],
            "category_id": ["c0", "c0", "c1", "c1"],
            "searches_28d": [900, 100, 900, 300],
            "share": [0.1, 1.0, 0.9, 1.0],
        }
    )
    items = pd.DataFrame({"item_id": ["i1", "i2", "i3"], "category_id": ["c0", "c1", "c9"]})
    lists = popularity(catalogue, items)
    assert lists.groupby("item_id")["keyword"].agg(list).to_dict() == {
        "i1": ["coat", "gift"],
        "i2": ["gift", "hat"],
    }
