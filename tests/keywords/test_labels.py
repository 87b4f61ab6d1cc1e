"""Examples of a week: what was known on the eve, beside what came after it and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recsys.errors import KeywordError
from recsys.keywords.features import FEATURES
from recsys.keywords.labels import Frames, week
from recsys.keywords.ranker import week_features, week_knowledge
from tests.keywords.ads import world

FRAMES = world(weeks=2, items=40)


def test_a_week_has_what_came_between_two_days() -> None:
    one, two = week(FRAMES[0], FRAMES[1]), week(FRAMES[1], FRAMES[2])
    both = week(FRAMES[0], replace(FRAMES[2], ds=FRAMES[2].ds))
    for name in ("impressions", "clicks", "purchases"):
        added = one.outcomes[name].to_numpy() + two.outcomes[name].to_numpy()
        np.testing.assert_array_equal(both.outcomes[name], added)
    assert one.outcomes["clicks"].sum() > 0
    assert (one.outcomes["searches"] == 80).all()
    assert (both.outcomes["searches"] == 160).all()  # 80 a week, for two weeks


def test_nothing_of_the_week_itself_is_in_the_features() -> None:
    eve, later = FRAMES[1], FRAMES[2]
    busy = replace(
        later,
        items=later.items.assign(views_30d=999, likes_30d=99, price=1.0),
        typed={
            "demand": later.typed["demand"].assign(clicks_28d=9_999, purchases_28d=999),
            "history": later.typed["history"].assign(clicks=5_000, impressions=9_000),
            "engaged": later.typed["engaged"].assign(clicks=500),
        },
    )
    known = week_knowledge(week(eve, later))
    plain, changed = (week_features(week(eve, after), known) for after in (later, busy))
    np.testing.assert_array_equal(plain, changed)
    moved = replace(eve, items=eve.items.assign(views_30d=999))
    assert not np.array_equal(week_features(week(moved, later), known), plain, equal_nan=True)


def test_an_item_listed_in_the_week_comes_without_its_later_views() -> None:
    eve, later = FRAMES[0], FRAMES[1]
    new = later.items["item_id"].iloc[0]
    found = week(replace(eve, items=eve.items.iloc[1:]), later)
    row = found.items.set_index("item_id").loc[new]
    assert (row[["views_30d", "likes_30d", "age_days"]] == 0).all()
    assert new in set(found.outcomes["item_id"])
    features = week_features(found, week_knowledge(week(eve, later)))
    of_new = features[(found.outcomes["item_id"] == new).to_numpy()]
    assert not of_new[:, FEATURES.index("log_views")].any()
    gone = week(replace(eve, items=eve.items.iloc[1:]), replace(later, items=later.items.iloc[1:]))
    assert new not in set(gone.outcomes["item_id"])


def test_a_campaign_counts_searches_while_it_ran() -> None:
    eve, later = FRAMES[0], FRAMES[1]
    history = later.history.copy()
    history["started_at"] = pd.Timestamp(eve.ds, tz="UTC") + pd.Timedelta(
        days=6
    )  # five days of the week are gone
    history["ended_at"] = pd.Timestamp(later.ds, tz="UTC")  # and so is the last
    history["impressions"] = eve.history["impressions"]
    found = week(eve, replace(later, typed={**later.typed, "history": history})).outcomes
    np.testing.assert_allclose(found["searches"], 80 / 7)
    history["started_at"] = history["ended_at"] = pd.Timestamp(eve.ds, tz="UTC")
    assert week(eve, replace(later, typed={**later.typed, "history": history})).outcomes.empty


def test_days_end_at_midnight_in_the_time_zone_of_the_marketplace() -> None:
    eve, later = (replace(frame, timezone="America/Los_Angeles") for frame in FRAMES[:2])
    midnight = pd.Timestamp(eve.ds, tz="UTC") + pd.Timedelta(days=1, hours=8)
    history = later.history.assign(impressions=eve.history["impressions"], ended_at=midnight)
    gone = week(eve, replace(later, typed={**later.typed, "history": history}))
    assert gone.outcomes.empty
    history["ended_at"] = midnight + pd.Timedelta(days=1)
    found = week(eve, replace(later, typed={**later.typed, "history": history})).outcomes
    np.testing.assert_allclose(found["searches"], 80 / 7)


def test_typed_variants_of_one_keyword_are_one_row() -> None:
    typed = pd.DataFrame({"raw": ["red coat", "Red Coat", "spam"], "keyword": ["red coat", "red coat", None]})
    base = FRAMES[0].history.iloc[[0]]
    history = pd.concat([base.assign(keyword=raw, clicks=3.0) for raw in typed["raw"]])
    demand = pd.DataFrame({"query": ["red coat"], "category_id": ["c0"]}).assign(
        **dict.fromkeys(["searches_7d", "searchers_7d", "searches_28d", "searchers_28d"], 5),
        **dict.fromkeys(["clicks_28d", "purchases_28d", "revenue_28d"], 1),
    )
    engaged = pd.DataFrame({"query": ["Red Coat"], "item_id": ["i0000"], "clicks": [1], "purchases": [0]})
    parts = {"items": FRAMES[0].items, "demand": demand, "engaged": engaged, "variants": typed}
    later = Frames.of(FRAMES[1].ds, history=history, **parts)
    eve = Frames.of(FRAMES[0].ds, history=history.assign(clicks=1.0), **parts)
    (row,) = week(eve, later).outcomes.to_dict("records")
    assert (row["keyword"], row["clicks"]) == ("red coat", 4.0)
    assert later.engaged["keyword"].tolist() == ["red coat"]


def test_a_new_canonical_form_makes_no_new_clicks() -> None:
    plain = week(FRAMES[0], FRAMES[1])
    renamed = FRAMES[1].variants.assign(keyword=FRAMES[1].variants["keyword"].str.upper())
    later = Frames.of(FRAMES[1].ds, items=FRAMES[1].items, variants=renamed, **FRAMES[1].typed)
    assert later.history["keyword"].str.isupper().all()
    found = week(FRAMES[0], later)
    pd.testing.assert_frame_equal(found.outcomes, plain.outcomes)
    pd.testing.assert_frame_equal(found.found, plain.found)
    # a text of this week alone goes to the form that its cluster had on the eve
    new = pd.DataFrame({"raw": ["rde coat"], "keyword": ["RED COAT"]})
    both = pd.concat([renamed, pd.DataFrame({"raw": ["RED COAT"], "keyword": ["RED COAT"]}), new])
    eve = Frames.of(
        FRAMES[0].ds,
        items=FRAMES[0].items,
        variants=pd.concat(
            [FRAMES[0].variants, pd.DataFrame({"raw": ["RED COAT"], "keyword": ["red coat"]})]
        ),
        **FRAMES[0].typed,
    )
    typed = FRAMES[1].typed["history"].replace({"keyword": {"red coat": "rde coat"}})
    later = Frames.of(
        FRAMES[1].ds, items=FRAMES[1].items, variants=both, **{**FRAMES[1].typed, "history": typed}
    )
    pd.testing.assert_frame_equal(week(eve, later).outcomes, plain.outcomes)


def test_a_text_of_the_week_alone_goes_to_the_form_that_its_cluster_had() -> None:
    texts = pd.DataFrame(
        {"raw": ["coat red", "coats red", "hat"], "keyword": ["coat red", "coat red", "hat"]}
    )
    # "red coat" is new, and overtakes; the third text of the cluster was another keyword on the eve
    raws = ["coat red", "coats red", "hat", "red coat", "Red Coat", "scarf"]
    later = pd.DataFrame({"raw": raws, "keyword": ["red coat"] * 5 + ["scarf"]})
    eve = Frames.of(FRAMES[0].ds, items=FRAMES[0].items, variants=texts, **FRAMES[0].typed)
    typed = FRAMES[1].typed["history"].head(4).assign(keyword=["Red Coat", "hat", "coats red", "scarf"])
    frames = Frames.of(
        FRAMES[1].ds,
        items=FRAMES[1].items,
        variants=later.sample(frac=1, random_state=2),
        **{**FRAMES[1].typed, "history": typed},
    )
    found = frames.in_forms_of(eve)
    assert found.history["keyword"].tolist() == ["coat red", "hat", "coat red", "scarf"]
    again = found.in_forms_of(eve)
    pd.testing.assert_frame_equal(again.history, found.history)


def test_an_eve_after_the_week_is_refused() -> None:
    with pytest.raises(KeywordError, match="a later day"):
        week(FRAMES[1], FRAMES[1])
