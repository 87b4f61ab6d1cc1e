"""Many days in closed loop: what the hybrid truly earns beside popularity and an oracle that can read minds.

    python bench/closed_loop.py                          # 30 days of the demo marketplace
    python bench/closed_loop.py --users 800 --days 3     # small and quick

A marketplace lives through its history without a recommender, once; the result is kept in ``--dir`` and every run plays
on from a copy. Then each day all users see the lists of the hybrid that were published the evening before, the day is
built into staging and features, a model is trained once a week, and lists are made and published for the next day:
the jobs of the DAGs, called one after the other. Each morning the day is also played with the lists of every other
policy, from the same state and with the same chances.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.fingerprint import WORLD, digest_of  # noqa: E402
from bench.loop_figures import Day, Pairs, figures, print_figures  # noqa: E402
from recsys.errors import ModelError  # noqa: E402
from recsys.evaluation.market import expanded  # noqa: E402
from recsys.experiments.definition import POLICIES  # noqa: E402
from recsys.features.audience import FEW  # noqa: E402
from recsys.jobs import build, plan_shards, score, simulate, train  # noqa: E402
from recsys.jobs.demo import FEATURE_DAYS, FIRST_DAY, HISTORY_DAYS  # noqa: E402
from recsys.jobs.inputs import read_snapshot  # noqa: E402
from recsys.ranking.snapshot import Snapshot  # noqa: E402
from recsys.schema import table  # noqa: E402
from recsys.settings import Settings  # noqa: E402
from recsys.synthetic import State, deals, oracle_lists, trending, trials  # noqa: E402
from recsys.synthetic.config import BEHAVIOURS  # noqa: E402
from recsys.synthetic.state import DAY, day_start  # noqa: E402
from recsys.synthetic.visits import numbers_of  # noqa: E402
from recsys.warehouse import open_warehouse  # noqa: E402

HYBRID, ORACLE = "hybrid", "oracle"
TRAIN_EVERY = 7
SINGLES = ("item_knn", "als", "own_history")
SEGMENTS = ("new", "few", "warm")
LISTS, CALIBRATION = "marts.recommendations", "marts.list_calibration"
ASSIGNMENTS = "experiments.assignments"


@dataclass(frozen=True)
class Loop:
    """What is played: ``size`` and ``users`` as for ``recsys simulate``, and how often each morning is played."""

    size: str = "demo"
    users: int | None = None
    behaviour: str | None = None
    seed: int = 20260101
    history_days: int = HISTORY_DAYS
    days: int = 30
    replications: int = 5
    ration: float = 0.0
    singles: bool = False
    early: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Of the folder that keeps the history."""
        return f"{self.size}-{self.users or 'all'}-{self.seed}-{self.history_days}" + (
            f"-{self.behaviour}" if self.behaviour else ""
        )


def main() -> None:
    """Read the command line, play, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--days", type=int, default=Loop.days)
    parser.add_argument("--size", default=Loop.size)
    parser.add_argument("--users", type=int)
    parser.add_argument("--behaviour", help="of buyers; see recsys/synthetic/behaviour.py")
    parser.add_argument("--seed", type=int, default=Loop.seed)
    parser.add_argument("--history", type=int, default=Loop.history_days, help="days before the first lists")
    parser.add_argument(
        "--replications", type=int, default=Loop.replications, help="plays of each morning by policy"
    )
    parser.add_argument(
        "--dir", type=Path, default=PROJECT / "var" / "bench" / "loop", help="where worlds are kept"
    )
    parser.add_argument("--ration", type=float, default=Loop.ration, help="as RECSYS_RATION")
    parser.add_argument(
        "--early",
        type=int,
        nargs="*",
        default=[],
        metavar="DAY",
        help="days after which to train too, like 2 4",
    )
    parser.add_argument("--singles", action="store_true", help="also measure every retriever by itself")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    loop = Loop(
        given.size,
        given.users,
        given.behaviour,
        given.seed,
        given.history,
        given.days,
        given.replications,
        given.ration,
        given.singles,
        tuple(given.early),
    )
    result = run(loop, given.dir, lambda line: print(line, flush=True))
    print_figures(result)
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def run(loop: Loop, root: Path, say: Callable[[str], None] = lambda line: None) -> dict[str, object]:
    """Play ``loop`` under ``root`` and return its figures; see ``loop_figures.figures``."""
    started = time.perf_counter()
    base = _history(loop, root, say)
    folder = root / f"run-{os.getpid()}"
    shutil.copytree(base, folder, copy_function=os.link, dirs_exist_ok=True)
    settings = Settings(
        warehouse=str(folder), home=str(PROJECT), shards=1, seed=loop.seed, ration=loop.ration
    )
    try:
        days = list(_days(loop, settings, say))
    finally:
        shutil.rmtree(folder)
    setup = {
        "behaviour": loop.behaviour or BEHAVIOURS[0],
        "size": loop.size,
        "users": loop.users,
        "seed": loop.seed,
        "history_days": loop.history_days,
    }
    setup |= {
        "days": loop.days,
        "replications": loop.replications,
        "ration": loop.ration,
        "early": list(loop.early),
    }
    return {"setup": setup, "seconds": round(time.perf_counter() - started), **figures(days, loop.seed)}


def _history(loop: Loop, root: Path, say: Callable[[str], None]) -> Path:
    """The world before the first list, with its staging and the features that training reads; made once, as long as the
    code that makes it stays as it is."""
    base = root / f"{loop.name}-{digest_of(WORLD)}"
    if base.exists():
        return base
    say(f"History of {loop.history_days} days")
    aside = root / f"{base.name}-{os.getpid()}"
    settings = Settings(warehouse=str(aside), home=str(PROJECT), seed=loop.seed)
    last = FIRST_DAY + timedelta(days=loop.history_days - 1)
    simulate.history(
        settings, FIRST_DAY, loop.history_days, size=loop.size, users=loop.users, behaviour=loop.behaviour
    )
    build.history(settings, FIRST_DAY, last, ["staging"])
    build.history(settings, last - timedelta(days=FEATURE_DAYS), last, ["features"])
    aside.rename(base)
    return base


def _days(loop: Loop, settings: Settings, say: Callable[[str], None]) -> Iterator[Day]:
    evening = FIRST_DAY + timedelta(days=loop.history_days - 1)
    train.run(settings, evening)
    _publish(settings, evening)
    for number in range(1, loop.days + 1):
        day = _measured(loop, settings, evening + timedelta(days=1))
        say(f"{day.ds}: " + ", ".join(f"{name} {values.mean():.3f}" for name, values in day.rpu.items()))
        yield day
        evening = day.ds
        if number == loop.days:
            return
        simulate.run(settings, evening)
        build.history(settings, evening, evening, ["staging", "features"])
        if number % TRAIN_EVERY == 0 or number in loop.early:
            try:
                train.run(settings, evening)
            except ModelError as refused:
                say(f"{evening}: {refused}")
        _publish(settings, evening)


def _publish(settings: Settings, ds: date) -> None:
    """Lists of the hybrid for everybody: no experiment runs."""
    build.run(settings, ds, table=CALIBRATION)
    with open_warehouse(settings) as warehouse:
        warehouse.write(ASSIGNMENTS, pd.DataFrame(columns=table(ASSIGNMENTS).column_names), ds)
    for shard in plan_shards.run(settings, ds)["shards"]:  # type: ignore[attr-defined]
        score.run(settings, ds, **shard)
    build.run(settings, ds, table=LISTS)


def _measured(loop: Loop, settings: Settings, ds: date) -> Day:
    """Play day ``ds`` with every policy, from the state and the knowledge of the evening before."""
    evening = ds - timedelta(days=1)
    state = State.from_bytes((simulate.state_folder(settings) / f"ds={evening}.npz").read_bytes())
    with open_warehouse(settings) as warehouse:
        snapshot = read_snapshot(warehouse, settings, evening)
        published = warehouse.read(LISTS, evening)
    ranker = score.make_ranker(settings, snapshot)
    lists = {name: score.rank_users(ranker, snapshot, None, name) for name in POLICIES if name != HYBRID}
    if loop.singles:
        users, retrievers = np.arange(len(snapshot.audience)), ranker.champion.retrievers
        lists |= {name: expanded(retrievers[name], snapshot, users, ranker.list_size) for name in SINGLES}
    lists = {HYBRID: published, **lists, ORACLE: oracle_lists(state, ds)}
    return _play(loop, state, ds, lists, snapshot)


def _play(loop: Loop, state: State, ds: date, lists: dict[str, pd.DataFrame], snapshot: Snapshot) -> Day:
    day = Day.empty(ds, tuple(lists), SEGMENTS, loop.replications)
    keys = _keys(lists[HYBRID])
    order = np.argsort(keys)
    keys, p = keys[order], lists[HYBRID]["p_purchase"].to_numpy(np.float64)[order]
    count = dict.fromkeys(lists, 0)
    segment = np.empty(0)
    for name, morning, visit in trials(state, ds, lists, loop.replications, trending(state)):
        if not len(segment):
            segment = _segments(snapshot, morning.n_users)
        made, place = deals(morning, visit), count[name]
        count[name] += 1
        counted = np.isin(made.buyer, made.exposed)
        day.rpu[name][place] = made.revenue[counted].sum() / max(len(made.exposed), 1)
        buyer, revenue = made.buyer[counted], made.revenue[counted]
        for number in range(len(SEGMENTS)):
            of_buyer = segment[buyer] == number
            day.segments[name][number] += (
                (segment[made.exposed] == number).sum(),
                revenue[of_buyer].sum(),
                len(np.unique(buyer[of_buyer])),
            )
        item = made.item[counted]
        age = day_start(ds) - morning.items["listed"][item]
        fresh = (age > 0) & (age < DAY)
        day.fresh[name] += (len(item), fresh.sum(), revenue.sum(), revenue[fresh].sum())
        day.reach[name] += _reach(visit.rows["item"][made.shown])
        if name == HYBRID:
            user, shown = visit.outcome.user[made.shown], visit.rows["item"][made.shown]
            pairs = np.unique(user.astype(np.int64) << 32 | shown)
            at = np.minimum(np.searchsorted(keys, pairs), max(len(keys) - 1, 0))
            listed = keys[at] == pairs if len(keys) else np.zeros(len(pairs), bool)
            bought = np.isin(pairs[listed], made.buyer.astype(np.int64) << 32 | made.item)
            price = morning.items["price"][pairs[listed] & 0xFFFFFFFF]
            day.pairs.append(Pairs(price, p[at[listed]], bought))
    return day


def _keys(lists: pd.DataFrame) -> np.ndarray:
    return numbers_of(lists["user_id"]) << 32 | numbers_of(lists["item_id"])


def _reach(items: np.ndarray) -> np.ndarray:
    """Impressions, and listings that had any."""
    return np.array([len(items), len(np.unique(items))], float)


def _segments(snapshot: Snapshot, n_users: int) -> np.ndarray:
    """By user number: which of SEGMENTS, by what was known of them the evening before."""
    known = np.zeros(n_users)
    known[numbers_of(pd.Series(snapshot.audience.user_ids))] = snapshot.audience.variety
    return np.digitize(known, [1, FEW])


if __name__ == "__main__":
    main()
