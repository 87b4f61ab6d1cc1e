"""The campaign experiment in the synthetic marketplace, where campaigns compete for the same slots and buyers.

Three plays of each world from the same evening: half of the listings are offered keywords, all are, none is. What use
of the offer does if everybody has it is the difference of the last two among those who take it; the split shows less or
more, since offered campaigns take slots from the others. Effects on campaigns, after ``DAYS`` days.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd

from recsys.experiments.statistics import Moments, effect_of_use
from recsys.synthetic import State, adverts, play, preset, queries, start, trending
from recsys.synthetic.keyword_truth import KeywordTruth
from recsys.synthetic.offers import would_take
from recsys.synthetic.state import NEVER
from recsys.synthetic.tables import item_ids
from recsys.synthetic.vocabulary import LEAVES

USERS, HISTORY, STARTS, DAYS = 3_000, 6, 8, 14
"""Users of a world; days before; days on which campaigns enter; days of the whole experiment."""
OFFERED = 6
Mask = np.ndarray
Row = dict[str, object]


def market(worlds: int, seed: int) -> list[Row]:
    """Play ``worlds`` marketplaces; one row per outcome, over all of their campaigns."""
    frames: dict[str, list[pd.DataFrame]] = {"split": [], "all": [], "none": []}
    for world in range(worlds):
        evening = _history(seed + world)
        lot = np.random.default_rng(seed + world).random(10**6) < 0.5
        offered: dict[str, Callable[[np.ndarray], Mask]] = {
            "split": lambda item, lot=lot: lot[item],
            "all": lambda item: np.ones(len(item), dtype=bool),
            "none": lambda item: np.zeros(len(item), dtype=bool),
        }
        for name, who in offered.items():
            frames[name].append(_played(evening, who))
    plays = {name: pd.concat(parts, ignore_index=True) for name, parts in frames.items()}
    return [_row(plays, outcome) for outcome in ("purchase rate", "clicks", "impressions", "revenue")]


def _history(seed: int) -> State:
    config = preset("demo", users=USERS, seed=seed, campaign_share=0.3, suggested_keywords=0.0)
    state = start(config)
    for _ in range(HISTORY):
        state, _ = play(state, state.ds + timedelta(days=1), None, trending(state))
    return state


def _played(state: State, who: Callable[[np.ndarray], Mask]) -> pd.DataFrame:
    """One row per campaign that started in time: arm, whether it took (or would have taken) the offer, outcomes."""
    first, reports, takes = len(state.campaigns["item"]), [], []
    for day in range(DAYS):
        ds = state.ds + timedelta(days=1)
        open_ = np.flatnonzero((state.items["closed"] == NEVER) & ~state.items["auction"])
        offers = _offers(state, open_[who(open_)]) if day < STARTS else None
        before = len(state.campaigns["item"])
        state, made = play(state, ds, None, trending(state), offers)
        started = state.campaigns["item"][before:]
        if day < STARTS:
            takes.append(would_take(state, ds, started))
        reports.append(
            pd.DataFrame(made.reported).assign(campaign=state.keywords["campaign"][made.reported["keyword"]])
        )
    taking = np.concatenate(takes)
    campaign = np.arange(first, first + len(taking))
    daily = pd.concat(reports).groupby("campaign")[["impressions", "clicks", "purchases", "revenue"]].sum()
    found = daily.reindex(campaign, fill_value=0).reset_index(drop=True)
    offered = who(state.campaigns["item"][campaign])
    return found.assign(offered=offered, taking=taking, used=offered & taking)


def _offers(state: State, item: np.ndarray) -> pd.DataFrame:
    """For each listing the phrases that fit it, most searched first: what a good system would offer."""
    truth = KeywordTruth(state, state.ds + timedelta(days=1), np.random.default_rng(0))
    parts = []
    for leaf in range(len(LEAVES)):
        mine = item[state.items["leaf"][item] == leaf]
        phrases = truth.phrases(leaf)
        phrases = phrases[np.argsort(-truth.searches(phrases), kind="stable")]
        pairs = np.repeat(mine, len(phrases)), np.tile(phrases, len(mine))
        fits = adverts.relevance(state.items, *pairs).reshape(len(mine), len(phrases)) == 1.0
        row, place = np.nonzero(fits & (fits.cumsum(axis=1) <= OFFERED))
        parts.append(pd.DataFrame({"item": mine[row], "query": phrases[place], "rank": place}))
    found = pd.concat(parts, ignore_index=True)
    text = {number: queries.text(number) for number in found["query"].unique().tolist()}
    return found.assign(item_id=item_ids(found["item"].to_numpy()), keyword=found["query"].map(text))


def _row(plays: dict[str, pd.DataFrame], outcome: str) -> Row:
    split = plays["split"]
    arms = []
    for offered in (False, True):
        rows = split[split["offered"] == offered]
        value, used = _outcome(rows, outcome), rows["used"].to_numpy(float)
        arms.append(Moments.of(value, used, value * used))
    found = effect_of_use("proportion" if outcome == "purchase rate" else "mean", *arms, alpha=0.05)
    assert found is not None and found.effect is not None and found.naive is not None
    everybody, nobody = (
        _outcome(plays[name][plays[name]["taking"]], outcome).mean() for name in ("all", "none")
    )
    return {
        "outcome per campaign": outcome,
        "campaigns": len(split),
        "used": found.used,
        "takers, nobody offered": float(nobody),
        "effect if all are offered": float(everybody - nobody),
        "split: effect of use": found.effect.value,
        "low": found.effect.low,
        "high": found.effect.high,
        "naive": found.naive.value,
        "naive low": found.naive.low,
        "naive high": found.naive.high,
    }


def _outcome(rows: pd.DataFrame, outcome: str) -> np.ndarray:
    if outcome == "purchase rate":
        return (rows["purchases"] > 0).to_numpy(float)
    return rows[outcome].to_numpy(float)
