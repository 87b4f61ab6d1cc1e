"""What a split of buyers measures where every listing can be sold once, beside the truth that only a simulator knows.

    python bench/interference.py                         # thirty marketplaces, about seven minutes of one core
    python bench/interference.py --worlds 2 --days 4     # small and quick

Each marketplace lives twenty days without a recommender and is then played on from the same evening, once for each
way to serve two policies: the treatment to everybody, the control to everybody (their difference is the truth), each to
half of the buyers, each to half of the clusters. Sales of one day are missing from the shelf of the next. The treatment
is the list by true expected revenue (``synthetic.oracle_lists``), the control what was looked at most; the shelf is
scarce on purpose.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from recsys.experiments.checks import interference  # noqa: E402
from recsys.experiments.statistics import Moments, compare  # noqa: E402
from recsys.synthetic import State, oracle_lists, play, preset, start, trending  # noqa: E402
from recsys.synthetic.tables import item_ids, user_ids  # noqa: E402
from recsys.synthetic.visits import numbers_of  # noqa: E402
from recsys.synthetic.vocabulary import LEAVES  # noqa: E402

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
HISTORY_DAYS, PRE_DAYS, LIST = 20, 14, 50
ALPHA = 0.05
TREATED, CONTROL, BUYERS, CATEGORIES, CLUSTERS = (
    "treatment",
    "control",
    "user split",
    "category",
    "category x region",
)


@dataclass(frozen=True)
class Setup:
    """``scarcity``: listings a day against the demo marketplace of as many users; ``sessions`` a user and day."""

    users: int = 800
    days: int = 12
    worlds: int = 30
    scarcity: float = 0.12
    sessions: float = 2.0
    seed: int = 20260101


@dataclass
class Sales:
    """Platform revenue of some days by buyer and by cell (leaf category, region), and who saw a list."""

    by_user: Floats
    by_cell: Floats
    exposed: Mask

    @classmethod
    def none(cls, users: int, regions: int) -> Sales:
        """Nothing sold yet."""
        return cls(np.zeros(users), np.zeros((len(LEAVES), regions)), np.zeros(users, dtype=bool))

    def add(self, state: State, events: pd.DataFrame) -> None:
        """Count a day's events; what arrives twice or is broken counts as the staging would."""
        shown = events[(events["event_type"] == "impression") & (events["surface"] == "recommendation")]
        seen = numbers_of(shown["user_id"].dropna())
        self.exposed[seen[seen >= 0]] = True
        bought = events[(events["event_type"] == "purchase") & (events["amount"] > 0)]
        bought = bought.dropna(subset=["user_id", "item_id"]).drop_duplicates("event_id")
        user, item = numbers_of(bought["user_id"]), numbers_of(bought["item_id"])
        known = (user >= 0) & (user < state.n_users) & (item >= 0) & (item < state.n_items)
        user, item = user[known], item[known]
        revenue = bought["amount"].to_numpy(np.float64)[known] * state.items["take"][item]
        np.add.at(self.by_user, user, revenue)
        np.add.at(self.by_cell, (state.items["leaf"][item], state.users["region"][user]), revenue)


def main() -> None:
    """Read the command line, play, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, kind in (("users", int), ("days", int), ("worlds", int), ("seed", int)):
        parser.add_argument(f"--{name}", type=kind, default=getattr(Setup, name))
    parser.add_argument("--scarcity", type=float, default=Setup.scarcity, help="listings against the demo's")
    parser.add_argument("--sessions", type=float, default=Setup.sessions, help="a user and day")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = vars(parser.parse_args())
    target = given.pop("json")
    result = run(Setup(**given), lambda line: print(line, flush=True))
    print_figures(result)
    if target:
        target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def run(setup: Setup, say: Callable[[str], None] = lambda line: None) -> dict[str, object]:
    """Play all worlds; ``estimates`` gives, by name, the figure of each world."""
    began = time.process_time()
    worlds = []
    for number in range(setup.worlds):
        worlds.append(one_world(setup, setup.seed + number))
        say(f"world {number + 1}: " + ", ".join(f"{name} {value:.3f}" for name, value in worlds[-1].items()))
    estimates = {name: [world[name] for world in worlds] for name in worlds[0]}
    return {"setup": vars(setup), "cpu_seconds": round(time.process_time() - began), "estimates": estimates}


def one_world(setup: Setup, seed: int) -> dict[str, float]:
    """Every way to serve the two policies, from one evening on; revenue per exposed user."""
    rng = np.random.default_rng(seed)
    evening, before = _history(setup, seed)
    most, regions = before.by_user.size, before.by_cell.shape[1]
    buyers = rng.random(most) < 0.5
    categories = np.tile((rng.permutation(len(LEAVES)) < len(LEAVES) // 2)[:, None], (1, regions))
    clusters = rng.random((len(LEAVES), regions)) < 0.5
    everybody, nobody = np.ones(most, dtype=bool), np.zeros(most, dtype=bool)
    served: dict[str, Mask] = {
        TREATED: everybody, CONTROL: nobody, BUYERS: buyers, CATEGORIES: categories, CLUSTERS: clusters
    }  # fmt: skip
    found = {name: _play(setup, evening, treated, before) for name, treated in served.items()}
    own = {name: sales.by_user[sales.exposed].mean() for name, sales in found.items()}
    return {
        "truth": own[TREATED] - own[CONTROL],
        TREATED: own[TREATED],
        CONTROL: own[CONTROL],
        **_buyers(found[BUYERS], buyers),
        CATEGORIES: _clusters(found[CATEGORIES], categories, before),
        CLUSTERS: _clusters(found[CLUSTERS], clusters, before),
    }


def _history(setup: Setup, seed: int) -> tuple[State, Sales]:
    """The evening before the experiment, and the sales of the last PRE_DAYS days, which size the clusters."""
    base = preset("demo", users=setup.users)
    listings = base.listings_per_day * setup.scarcity
    state = start(
        preset(
            "demo", users=setup.users, seed=seed, listings_per_day=listings, sessions_per_user=setup.sessions
        )
    )
    sales = Sales.none(4 * setup.users, int(state.users["region"].max()) + 1)
    for day in range(HISTORY_DAYS):
        state, made = play(state, _next(state), None, trending(state))
        if day >= HISTORY_DAYS - PRE_DAYS:
            sales.add(state, made.events)
    return state, sales


def _next(state: State) -> date:
    return state.ds + timedelta(days=1)


def _play(setup: Setup, state: State, treated: Mask, before: Sales) -> Sales:
    sales = Sales.none(before.by_user.size, before.by_cell.shape[1])
    for _ in range(setup.days):
        state, made = play(state, _next(state), lists(state, treated), trending(state))
        sales.add(state, made.events)
    return sales


def lists(state: State, treated: Mask) -> pd.DataFrame:
    """Lists of everybody for the day after: user_id, rank, item_id.

    ``treated`` says by user, shape (users,), or by leaf category and region, shape (leaves, regions), whose places the
    treatment fills; the control fills the others. A list of both goes by the rank that each place has in its own.
    """
    usual = numbers_of(trending(state, LIST)["item_id"])
    old_user, old_item = np.repeat(np.arange(state.n_users), len(usual)), np.tile(usual, state.n_users)
    old_rank = np.tile(np.arange(1, len(usual) + 1), state.n_users)
    keep = ~_is_treated(state, treated, old_user, old_item)
    parts = [np.stack([old_user, old_rank, old_item])[:, keep]]
    if treated.any():
        best = oracle_lists(state, _next(state), LIST)
        new = np.stack([numbers_of(best["user_id"]), best["rank"].to_numpy(), numbers_of(best["item_id"])])
        parts.append(new[:, _is_treated(state, treated, new[0], new[2])])
    user, rank, item = np.concatenate(parts, axis=1)
    order = np.lexsort((rank, user))
    frame = pd.DataFrame({"user_id": user_ids(user[order]), "item_id": item_ids(item[order])})
    return frame.assign(rank=frame.groupby("user_id").cumcount() + 1)


def _is_treated(
    state: State, treated: Mask, user: npt.NDArray[np.int64], item: npt.NDArray[np.int64]
) -> Mask:
    if treated.ndim == 1:
        return np.asarray(treated[user])
    return np.asarray(treated[state.items["leaf"][item], state.users["region"][user]])


def _buyers(sales: Sales, treated: Mask) -> dict[str, float]:
    """What the experiment would report: the difference of the arms' revenue per exposed user, and its interval."""
    arms = [Moments.of(sales.by_user[sales.exposed & arm]) for arm in (~treated, treated)]
    found = compare("mean", *arms, alpha=ALPHA)
    assert found is not None, "an arm without users"
    return {BUYERS: found.difference, "low": found.low, "high": found.high}


def _clusters(sales: Sales, treated: Mask, before: Sales) -> float:
    """Revenue of treated and other cells, each by what the cells sold before, brought to revenue per exposed user."""
    rates = [sales.by_cell[arm].sum() / before.by_cell[arm].sum() for arm in (treated, ~treated)]
    return float((rates[0] - rates[1]) * before.by_cell.sum() / sales.exposed.sum())


def print_figures(result: Mapping[str, object]) -> None:
    """Side by side: the truth, what each split says, and how far that is off, as means over the worlds."""
    estimates = {name: np.array(values) for name, values in result["estimates"].items()}  # type: ignore[attr-defined]
    truth = estimates["truth"]
    print(
        f"\nRevenue per user, treatment minus control, {len(truth)} worlds, {result['cpu_seconds']} CPU seconds\n"
    )
    print("| | estimate | off by | of the truth |\n| --- | ---: | ---: | ---: |")
    print(f"| true global effect | {_mean(truth)} | | |")
    for name in (BUYERS, CATEGORIES, CLUSTERS):
        bias = estimates[name] - truth
        print(f"| {name} | {_mean(estimates[name])} | {_mean(bias)} | {bias.mean() / truth.mean():+.0%} |")
    covered = np.mean((estimates["low"] <= truth) & (truth <= estimates["high"]))
    print(f"\nThe 95 % interval of the user split held the truth in {covered:.0%} of the worlds.")
    beside = [f"{name} {estimates[name].mean():+.3f}" for name in (CATEGORIES, CLUSTERS)]
    warning = interference(beside)
    print(f"Check {warning.check_id}: {warning.message}")


def _mean(values: Floats) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():+.3f} ± {error:.3f}"


if __name__ == "__main__":
    main()
