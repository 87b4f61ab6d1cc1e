"""Keywords for campaigns, judged by the campaigns that came later: popularity, each retriever, their union, the system.

    python bench/keywords.py                       # two evenings of the test period
    python bench/keywords.py --cuts 35 42          # earlier evenings, on which everything was chosen
    python bench/keywords.py --users 2000 --days 63 --cuts 42 49    # small and quick

A marketplace is played once and kept in ``--dir``. On each evening of ``--cuts`` (days since its start) everything is
cleaned, indexed and learned from what was known by then, and lists are made for the campaigns that start in the next
seven days, most of them for listings that did not exist on the evening. Two weeks after the evening it is seen which
campaigns sold, and with which of their keywords: NDCG@10 where several were clicked, MRR@10 where one was.
Lists are judged by keywords that sellers typed themselves, and beside it by all: some came from the marketplace's box.

Beside them stands who knows the simulator: for every listing the chance that its seller types a phrase, and the clicks
and sales it would bring. What is left to know is which phrases a seller happened to type and who happened to come.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.keyword_world import WEEK, World, played, variants_of  # noqa: E402
from bench.machine import describe  # noqa: E402
from recsys.keywords.backtest import FULL, POPULARITY, System, ranked, systems  # noqa: E402
from recsys.keywords.catalogue import canonical, renamed  # noqa: E402
from recsys.keywords.choose import SetRules, choose  # noqa: E402
from recsys.keywords.evaluate import (  # noqa: E402
    CLICKED,
    SOLD,
    about_lists,
    campaign_metrics,
    slices,
    stability,
    summary,
)
from recsys.keywords.filters import load_policy  # noqa: E402
from recsys.keywords.labels import Frames  # noqa: E402
from recsys.keywords.retrieve import RETRIEVERS  # noqa: E402
from recsys.keywords.trial import WITH_PROPOSED, Trial  # noqa: E402
from recsys.schema import ITEM_ID  # noqa: E402
from recsys.synthetic import tables, wording  # noqa: E402
from recsys.synthetic.config import preset  # noqa: E402
from recsys.synthetic.keyword_truth import KeywordTruth  # noqa: E402

K, DEEP = 10, 50
PAST = 5
"""Evenings that are learned from, a week apart."""
POLICY = PROJECT / "include" / "keywords" / "policy.yaml"
SEER = "who knows the simulator"


@dataclass(frozen=True)
class Setup:
    """What is measured: the size of the world, the evenings, and how the ranker is made."""

    users: int
    campaign_share: float
    seed: int
    days: int
    cuts: tuple[int, ...]
    model: str
    names: tuple[str, ...] | None


def main() -> None:
    """Read the command line, measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--campaigns", type=float, default=0.25, help="share of listings with a campaign")
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--days", type=int, default=70)
    parser.add_argument("--cuts", type=int, nargs="+", default=[49, 56], help="evenings; multiples of 7")
    parser.add_argument("--model", default="logistic", help="of clicks and purchases")
    parser.add_argument("--retrievers", nargs="+", help="all that can be had")
    parser.add_argument("--dir", type=Path, default=PROJECT / "var" / "bench" / "keywords")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    setup = Setup(
        given.users,
        given.campaigns,
        given.seed,
        given.days,
        tuple(given.cuts),
        given.model,
        tuple(given.retrievers) if given.retrievers else None,
    )
    figures = run(setup, given.dir)
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def run(setup: Setup, root: Path) -> dict[str, Any]:
    """Figures of every system, over the campaigns of all cuts."""
    config = preset("demo", users=setup.users, campaign_share=setup.campaign_share, seed=setup.seed)
    world = played(config, setup.days, root, print)
    started, cpu = time.perf_counter(), time.process_time()
    tables: dict[tuple[str, str], list[pd.DataFrame]] = {}
    deep: dict[tuple[str, str], list[pd.DataFrame]] = {}
    facts, sliced, steady = [], [], []
    before: tuple[Trial, pd.DataFrame] | None = None
    for cut in setup.cuts:
        trial, system, made, about = _cut(world, setup, world.first + timedelta(days=cut - 1))
        facts.append(about)
        if before is not None:
            steady.append(_steadiness(before[0], before[1], trial.eve, system))
        before = (trial, made[FULL])
        for end, wanted in trial.judged_by.items():
            judged = {name: (lists, wanted) for name, lists in made.items()}
            judged[SEER] = (_foreseen(world, trial, setup.seed, own=not end), _by_phrase(wanted))
            for name, (lists, phrases) in judged.items():
                tables.setdefault((name, end), []).append(campaign_metrics(lists, phrases, K))
                deep.setdefault((name, end), []).append(campaign_metrics(lists, phrases, DEEP))
        sliced.append(trial.wanted)
        told = {f"{name}{end}": summary(parts[-1]) for (name, end), parts in tables.items()}
        print(f"cut {cut}, {time.process_time() - cpu:.0f} CPU s so far; NDCG@{K} and MRR@{K}:")
        print("\n".join(f"  {name}: {it.ndcg:.3f} {it.mrr:.3f}" for name, it in told.items()), flush=True)
    figures: dict[str, dict[str, float]] = {}
    for (name, end), parts in tables.items():
        known = summary(pd.concat(parts)).as_dict(K)
        known[f"recall@{DEEP}"] = summary(pd.concat(deep[name, end])).recall
        figures.setdefault(name, {}).update({f"{metric}{end}": value for metric, value in known.items()})
    best = pd.concat(tables[FULL, ""])
    return {
        "setup": {**vars(setup), "played_until": str(world.first + timedelta(days=setup.days - 1))},
        "machine": describe() | {"load": os.getloadavg()[0]},
        "seconds": round(time.perf_counter() - started),
        "cpu_seconds": round(time.process_time() - cpu),
        "systems": figures,
        "lists": facts,
        "stability": steady,
        "slices": slices(best, pd.concat(sliced)).to_dict("records"),
    }


def _cut(
    world: World, setup: Setup, eve: date
) -> tuple[Trial, System, dict[str, pd.DataFrame], dict[str, dict[str, float]]]:
    """A trial, what was learned by its eve, the lists of every system, and what these are like."""
    policy = load_policy(POLICY)
    variants = variants_of(world, policy, eve)
    days = [day for day in world.eves() if day <= eve][-PAST:]
    past = [world.frames(day, variants) for day in days]
    end = eve + timedelta(days=2 * WEEK)
    later = world.frames(end, variants_of(world, policy, end, variants))
    trial = Trial.of(past[-1], later)
    system = System.fit(past, seed=setup.seed, model=setup.model, names=setup.names)
    made, scored = systems(trial, system, SetRules())
    relevance = scored[["item_id", "keyword", "relevance"]]
    about = {
        name: about_lists(
            lists.merge(relevance, on=["item_id", "keyword"], how="left"), trial.eve.catalogue, K
        )
        for name, lists in made.items()
    }
    return trial, system, made, about


def _foreseen(world: World, trial: Trial, seed: int, *, own: bool) -> pd.DataFrame:
    """Numbers of phrases by chance to be typed x expected gain for clicks and sales: [item_id, keyword, rank].

    With ``own`` the chance is that the seller types it, else that it is bid on, proposed or not. The truth is that of a
    week after the evening, when all listings of the trial are there.
    """
    day = trial.eve.ds + timedelta(days=WEEK)
    state = world.state(day)
    truth = KeywordTruth(state, day, np.random.default_rng(seed))
    number = {item: at for at, item in enumerate(tables.item_ids(np.arange(state.n_items)))}
    asked = (trial.wanted if own else trial.wanted_with_proposed)[ITEM_ID]
    parts = []
    for item_id, rate in trial.rates()[lambda rates: rates.index.isin(asked)].items():
        item = number[str(item_id)]
        typed = truth.typed(item, own=own)
        brings = truth.of_item(item, typed["query"].to_numpy(), float(rate), WEEK)
        clicks = brings["searches"] * brings["p_win"] * brings["p_click"].fillna(0.0)
        clicked, sold = (1 - np.exp(-values) for values in (clicks, brings["wishes"].fillna(0.0)))
        gain = CLICKED * clicked + (SOLD - CLICKED) * sold
        score = typed["chance"] * gain
        parts.append(pd.DataFrame({ITEM_ID: item_id, "keyword": typed["query"].astype(str), "score": score}))
    found = pd.concat(parts, ignore_index=True)
    return ranked(found, found["score"].to_numpy())


def _by_phrase(wanted: pd.DataFrame) -> pd.DataFrame:
    """What is wanted, with the numbers of phrases in place of texts, as the lists of ``_foreseen`` have them."""
    read = wanted.assign(keyword=[str(wording.read(text)) for text in wanted["keyword"]])
    by = [name for name in read.columns if name != "gain"]
    return read.groupby(by, dropna=False, as_index=False)["gain"].max()


def _steadiness(trial: Trial, lists: pd.DataFrame, eve: Frames, system: System) -> dict[str, float]:
    """Share of keywords that stay in the lists of listings that are still there on the next cut."""
    rates = trial.rates()
    items = eve.items[eve.items["is_live"] & eve.items["item_id"].isin(rates.index)]
    items = items.assign(ad_rate=items["item_id"].map(rates)).reset_index(drop=True)
    scored = system.scored(items, eve.catalogue, rates)
    lists = renamed(lists, canonical(eve.variants))
    told: dict[str, float] = {"items": len(items)}
    for name, loyalty in (("loyalty as set", SetRules().loyalty), ("no loyalty", 0.0)):
        now = choose(scored, items, SetRules(loyalty=loyalty), previous=lists)
        told[name] = stability(now, lists, K)
        told[f"{name}, expected profit"] = float(now.groupby("item_id")["marginal_profit"].sum().mean())
    return told


def show(figures: dict[str, Any]) -> None:
    """Print the table of systems, how the full one compares, and its slices."""
    table = pd.DataFrame(figures["systems"]).T
    single = [name for name in table.index if name in RETRIEVERS]
    for end, whose in (("", "what sellers typed"), (WITH_PROPOSED, "what was proposed to them, too")):
        print(f"judged by {whose}:")
        names = [name for name in table if name.endswith(WITH_PROPOSED) == bool(end)]
        print(table[names].rename(columns=lambda name: name.removesuffix(WITH_PROPOSED)).round(3).to_string())
        _compare(table, single, (f"ndcg@{K}{end}", f"mrr@{K}{end}"))
    for cut in figures["lists"]:
        print(pd.DataFrame(cut).T.round(2).to_string())
    for told in figures["stability"]:
        print("stability: " + ", ".join(f"{name} {value:.3f}" for name, value in told.items()))
    print(pd.DataFrame(figures["slices"]).round(3).to_string(index=False))
    print(f"{figures['cpu_seconds']} CPU s, {figures['seconds']} s; {figures['machine']}")


def _compare(table: pd.DataFrame, single: list[str], metrics: tuple[str, str]) -> None:
    """Print how many times the best of ``single`` retrievers, and popularity, the set is."""
    for metric in metrics:
        full = table.loc[FULL, metric]
        print(
            f"{metric}: {full:.3f}, {full / table.loc[single, metric].max():.2f} x the best single retriever, "
            f"{full / table.loc[POPULARITY, metric]:.2f} x popularity in the category"
        )


if __name__ == "__main__":
    main()
