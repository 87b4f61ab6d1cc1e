from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from recsys.synthetic import State, adverts, play, preset, queries, start, wording
from recsys.synthetic.draws import Draws
from recsys.synthetic.play import dawn, open_pages
from recsys.synthetic.tables import source_tables
from tests.synthetic.lived import Lived, live


@pytest.fixture(scope="module")
def advertised() -> Lived:
    return live(preset("small", users=1_500, seed=11, campaign_share=0.4), 12)


def _phrase(state: State, item: int, **other: int) -> int:
    one = {name: state.items[name][[item]] for name in ("leaf", "noun", "brand", "first")}
    one |= {name: np.array([value]) for name, value in other.items()}
    modifier = (
        queries.brand_modifier(one["brand"])
        if "first" not in other
        else queries.attribute_modifier(one["first"])
    )
    return int(queries.encode(one["leaf"], one["noun"], modifier, np.array([0]))[0])


def test_a_listing_fits_a_phrase_as_far_as_it_is_what_the_phrase_names(advertised: Lived) -> None:
    state = advertised.state
    item = int(np.flatnonzero((state.items["leaf"] == 0) & (state.items["brand"] >= 0))[0])
    own = state.items["brand"][item]
    wrong = next(a for a in range(20) if a not in (state.items["first"][item], state.items["second"][item]))
    phrases = {
        "right": _phrase(state, item),
        "other brand": _phrase(state, item, brand=own + 1),
        "other noun": _phrase(state, item, noun=(state.items["noun"][item] + 1) % 3),
        "other attribute": _phrase(state, item, first=wrong),
        "other leaf": _phrase(state, item, leaf=20),
        "none": wording.NO_PHRASE,
    }
    fit = adverts.relevance(state.items, np.full(len(phrases), item), np.array([*phrases.values()]))
    found = dict(zip(phrases, fit.tolist(), strict=True))
    assert found == {
        "right": 1.0,
        "other brand": adverts.OTHER_BRAND,
        "other noun": adverts.OTHER_NOUN,
        "other attribute": adverts.OTHER_ATTRIBUTE,
        "other leaf": pytest.approx(adverts.OTHER_LEAF),
        "none": 0.0,
    }


def test_slots_go_to_running_campaigns_that_bid_on_the_phrase(advertised: Lived) -> None:
    daily = advertised.campaign_daily
    tables = source_tables(advertised.state)
    campaigns = tables["marketplace.campaigns"].set_index("campaign_id")
    assert daily["impressions"].sum() > 1_000
    shown = campaigns.loc[daily["campaign_id"]].reset_index(drop=True)
    day = pd.to_datetime(daily["report_date"]).dt.tz_localize("UTC").reset_index(drop=True)
    assert (shown["started_at"] <= day).all()
    assert (shown["ended_at"].isna() | (shown["ended_at"] >= day)).all()
    assert (
        tables["marketplace.items"].set_index("item_id").loc[campaigns["item_id"], "sale_type"] == "fixed"
    ).all()
    running = campaigns[campaigns["ended_at"].isna()]
    assert not running["item_id"].duplicated().any()


def test_a_keyword_with_a_slip_gets_no_slot_however_often_its_phrase_is_sought(advertised: Lived) -> None:
    keywords = advertised.state.keywords
    table = source_tables(advertised.state)["marketplace.campaign_keywords"]
    dead = (keywords["query"] < 0) | wording.slipped(keywords["wording"])
    assert 0.05 < dead.mean() < 0.25
    shown = table.merge(advertised.campaign_daily, on=["campaign_id", "keyword"], how="left")
    assert (
        shown.loc[
            np.isin(shown["campaign_id"] + shown["keyword"], (table["campaign_id"] + table["keyword"])[dead]),
            "impressions",
        ]
        .isna()
        .all()
    )


def test_what_fits_gets_more_slots_clicks_and_purchases(advertised: Lived) -> None:
    state = advertised.state
    keywords = state.keywords
    fit = adverts.relevance(state.items, state.campaigns["item"][keywords["campaign"]], keywords["query"])
    table = source_tables(state)["marketplace.campaign_keywords"].assign(fit=fit > 0.5)
    got = table.merge(advertised.campaign_daily, on=["campaign_id", "keyword"]).groupby("fit")
    total = got[["impressions", "clicks", "purchases"]].sum()
    seen = total["impressions"] / table["fit"].value_counts()
    assert seen[True] > 1.5 * seen[False]
    rate = total["clicks"] / total["impressions"]
    assert rate[True] > 3 * rate[False]


def test_the_higher_rate_wins_more_slots() -> None:
    state = live(preset("small", users=1_500, seed=11, campaign_share=0.4), 4).state
    rich = state.copy()
    odd = np.arange(len(rich.campaigns["item"])) % 2 == 1
    rich.campaigns["ad_rate"][odd] *= 4
    ds = state.ds + timedelta(days=1)
    wins = {}
    for name, world in (("before", state), ("after", rich)):
        evening, day = play(world, ds)
        owner = evening.keywords["campaign"][day.reported["keyword"]]
        mine = (owner < len(odd)) & (owner % 2 == 1)
        wins[name] = day.reported["impressions"][mine].sum() / day.reported["impressions"].sum()
    assert wins["after"] > wins["before"] + 0.05


def test_ads_change_neither_who_comes_nor_what_is_searched() -> None:
    pages, promoted = [], []
    for share in (0.5, 0.0):
        config = preset("small", seed=3, campaign_share=share)
        morning, gone = dawn(start(config), config.first_day)
        draws = Draws(config.seed, config.first_day)
        visit = open_pages(morning, config.first_day, gone, lists=None, fallback=None, draws=draws)
        pages.append(visit.pages)
        promoted.append(len(morning.campaigns["item"]))
    assert promoted[0] > 5
    assert promoted[1] == 0
    for name, values in pages[0].items():
        assert np.array_equal(values, pages[1][name]), name
