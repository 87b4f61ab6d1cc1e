"""How often the interval of an off-policy estimate holds what a policy truly earns: ``python -m bench.off_policy``.

A log is made by a policy that fills each list from the user's own pool of listings by a known draw. Another policy,
which orders the same pools by its own taste, is judged from that log alone, and beside it stands its true value: the
same day played many times with its lists for everybody. Repeated with new draws and new chances of the day.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from recsys.evaluation.off_policy import Method, OffPolicy, evaluate
from recsys.synthetic import MarketplaceConfig, State, Truth, compare, play, preset, start, trending
from recsys.synthetic.draws import Draws
from recsys.synthetic.play import Visit, dawn, open_pages
from recsys.synthetic.state import NEVER
from recsys.synthetic.tables import item_ids, user_ids
from recsys.synthetic.taste import Taste
from recsys.synthetic.visits import RECOMMENDATION


@dataclass(frozen=True)
class World:
    """An evening with a pool of listings per user [users, pool], and the policy to judge: the order of each pool.

    ``order`` [users, pool] names the places of the pool, best first; the lists hold the first ``places`` of them.
    """

    state: State
    ds: date
    pools: np.ndarray
    order: np.ndarray
    places: int

    def lists(self, order: np.ndarray) -> pd.DataFrame:
        """Lists of everybody: the first ``places`` of an order of the pools."""
        users, k = len(self.pools), self.places
        items = np.take_along_axis(self.pools, order[:, :k], axis=1)
        return pd.DataFrame(
            {
                "user_id": np.repeat(user_ids(np.arange(users)), k),
                "rank": np.tile(np.arange(1, k + 1), users),
                "item_id": item_ids(items.ravel()),
                "propensity": 1 / self.pools.shape[1],
            }
        )

    def truth(self, replications: int) -> Truth:
        """What the policy to judge truly earns."""
        return compare(self.state, self.ds, {"target": self.lists(self.order)}, replications)["target"]


def make_world(config: MarketplaceConfig, days: int, pool: int, places: int, seed: int) -> World:
    """Let a marketplace live for some days; then draw pools, and an order by what users like, blurred."""
    state, rng = start(config), np.random.default_rng(seed)
    for number in range(days):
        state, _ = play(state, config.first_day + timedelta(days=number), None, trending(state))
    items = state.items
    open_ = np.flatnonzero((items["closed"] == NEVER) & ~items["auction"])
    pools = np.array([rng.choice(open_, pool, replace=False) for _ in range(state.n_users)])
    ds = state.ds + timedelta(days=1)
    wish = Taste(state, ds).wish(np.repeat(np.arange(state.n_users), pool), pools.ravel())
    liking = np.log(wish.click).reshape(pools.shape) + rng.gumbel(size=pools.shape) / 2
    return World(state, ds, pools, np.argsort(-liking, axis=1), places)


def logs(world: World, replications: int, seed: int, offset: int = 10_000) -> Iterator[pd.DataFrame]:
    """Logs of the day under uniform lists: [user, item, rank, click, revenue], one row per shown place.

    Each place holds each listing of the pool with probability 1 / pool. ``offset`` keeps the chances of these days
    apart from those that the truth is made of.
    """
    rng, config = np.random.default_rng(seed), world.state.config
    morning, gone = dawn(world.state, world.ds)
    taste = Taste(morning, world.ds)
    for number in range(replications):
        order = rng.random(world.pools.shape).argsort(axis=1)
        draws = Draws(config.seed, world.ds, offset + number)
        visit = open_pages(
            morning, world.ds, gone, lists=world.lists(order), fallback=None, draws=draws, taste=taste
        )
        yield _shown(world, order, visit, morning.items["take"])


def _shown(world: World, order: np.ndarray, visit: Visit, take: np.ndarray) -> pd.DataFrame:
    rows, outcome = visit.rows, visit.outcome
    earned = np.zeros(len(rows["page"]))
    sold = np.array(outcome.sales.row, dtype=np.int64)
    earned[sold] = np.array(outcome.sales.price) * take[rows["item"][sold]]
    shown = (outcome.position > 0) & (visit.pages["surface"][rows["page"]] == RECOMMENDATION)
    user, item = visit.pages["user"][rows["page"][shown]], rows["item"][shown]
    listed = np.take_along_axis(world.pools, order[:, : world.places], axis=1)
    rank = (listed[user] == item[:, None]).argmax(axis=1) + 1
    return pd.DataFrame(
        {
            "user": user,
            "item": item,
            "rank": rank,
            "click": outcome.click[shown].astype(float),
            "revenue": earned[shown],
        }
    )


def judge(world: World, log: pd.DataFrame, reward: str, method: Method = "log") -> OffPolicy:
    """The estimate from one log; its prediction is the mean reward of the place, weak but honest."""
    user, rank = log["user"].to_numpy(), log["rank"].to_numpy()
    wanted = world.pools[user, world.order[user, rank - 1]] == log["item"].to_numpy()
    predicted = log.groupby("rank")[reward].transform("mean").to_numpy()
    return evaluate(
        user,
        log[reward].to_numpy(),
        np.full(len(log), 1 / world.pools.shape[1]),
        wanted.astype(float),
        predicted=predicted,
        baseline=predicted,
        method=method,
    )


def coverage(
    world: World, replications: int, true_replications: int, seed: int, methods: tuple[Method, ...] = ("log",)
) -> pd.DataFrame:
    """How often the intervals hold the truth: a row per reward, method and estimator.

    Columns: ``truth``; ``bias``, ``spread`` (standard deviation of the estimates) and ``half_width`` of the interval as
    shares of it; ``covered``; ``rewarded`` and ``effective_sample_size``, means over the runs.
    """
    truth = world.truth(true_replications)
    on_page = truth.recommended_share * truth.rpu_all * world.state.n_users
    true = {"click": truth.ctr.mean(), "revenue": on_page.mean() / truth.users.mean()}
    runs = []
    for log in logs(world, replications, seed):
        places = len(log) / log["user"].nunique()  # revenue is compared per user, since its truth is
        for reward in true:
            for method in methods:
                judged, scale = judge(world, log, reward, method), places if reward == "revenue" else 1.0
                sizes = {"rewarded": judged.rewarded, "effective_sample_size": judged.effective_sample_size}
                for name in ("ips", "snips", "dr"):
                    e = getattr(judged, name)
                    key = {"reward": reward, "method": method, "estimator": name}
                    runs.append(
                        key | {"value": e.value * scale, "low": e.low * scale, "high": e.high * scale} | sizes
                    )
    frame = pd.DataFrame(runs)
    frame["truth"] = frame["reward"].map(true)
    frame["covered"] = (frame["low"] <= frame["truth"]) & (frame["truth"] <= frame["high"])
    frame["half_width"] = (frame["high"] - frame["low"]) / 2 / frame["truth"]
    frame["bias"] = frame["value"] / frame["truth"] - 1
    by = frame.groupby(["reward", "method", "estimator"], sort=False)
    means = ["truth", "bias", "half_width", "covered", "rewarded", "effective_sample_size"]
    return by[means].mean().assign(spread=by["bias"].std(), runs=replications)


def main() -> None:
    """Print coverage and spread for clicks and money."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--pool", type=int, default=12)
    parser.add_argument("--places", type=int, default=6)
    parser.add_argument(
        "--buy-base", type=float, default=-2.6, help="how readily people buy; the default is usual"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    config = preset("small", users=options.users, buy_base=options.buy_base)
    world = make_world(config, 10, options.pool, options.places, options.seed)
    found = coverage(world, options.runs, 400, options.seed, ("log", "normal"))
    print(found.round(4).to_string())
    if options.json:
        options.json.write_text(
            found.reset_index().to_json(orient="records", indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
