"""Rankers beside each other: the same lists, shown in closed loop, learned from on early days, judged on later ones.

    python bench/rankers.py --size demo --users 1500 --history 30 --days 14 --dir FOLDER --json FILE

A marketplace is played for ``--days`` days with the lists of the hybrid (``closed_loop``), once; what was shown and
what became of it, with the features of the evening before, is kept in ``--dir``. The first days are learned from, a
fifth of the days then calibrate (Platt, with price), and the last fifth judges. Nothing is chosen by the last.

* one rate: the purchase rate of all pairs for every pair; ordered by price alone.
* popularity: interest in a listing in the last 7 days; its log is calibrated to a probability. Not weighted by price.
* logistic: ``PairScorer``, as training fits it.
* direct: LightGBM on purchases alone, the position as a feature that is fixed at its mean afterwards.
* click x buy: ``BoostedScorer``, as training fits it.
* lambdamart: LambdaRank (Burges, 2010) over the lists of one user and day; the gain of a purchase is the mean price,
  capped, of its tenth of prices. Its score orders by money as it is; log-loss is of the score calibrated.

NDCG@10 is of what the user bought out of that day's list, ordered by probability; revenue@10 is the money spent on the
first ten of the list, ordered by p x min(price, 500). Both are means over the lists that sold something, with
intervals of 95 % from whole users drawn with replacement. What users would have done had a list been
in another order is unknown: it was shown in the champion's, and what stood high was seen by more.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.closed_loop import TRAIN_EVERY, Loop, _history, _publish  # noqa: E402
from bench.contenders import RANKERS, Answer, K, split  # noqa: E402
from bench.fingerprint import ALL, digest_of  # noqa: E402
from bench.machine import describe  # noqa: E402
from recsys.errors import ModelError  # noqa: E402
from recsys.evaluation.bootstrap import intervals  # noqa: E402
from recsys.evaluation.metrics import REVENUE, user_metrics  # noqa: E402
from recsys.jobs import build, simulate, train  # noqa: E402
from recsys.jobs.demo import FIRST_DAY  # noqa: E402
from recsys.ranking.calibration import calibration  # noqa: E402
from recsys.ranking.segments import price_decile_calibration  # noqa: E402
from recsys.ranking.training import Examples  # noqa: E402
from recsys.settings import Settings  # noqa: E402
from recsys.warehouse import open_warehouse  # noqa: E402

Say = Callable[[str], None]


def shown(loop: Loop, root: Path, say: Say) -> Examples:
    """The pairs that were shown in ``loop``, with their outcomes; played once for this code and kept under ``root``."""
    kept = root / f"{loop.name}-{loop.days}-{digest_of(ALL)}.npz"
    if not kept.is_file():
        pairs = _played(loop, root, say)
        known = {f.name: getattr(pairs, f.name) for f in fields(pairs)}
        np.savez(kept, **{name: values for name, values in known.items() if values is not None})
    with np.load(kept, allow_pickle=False) as arrays:
        return Examples(**{name: arrays[name] for name in arrays.files})


def _played(loop: Loop, root: Path, say: Say) -> Examples:
    base, world = _history(loop, root, say), root / f"run-{os.getpid()}"
    shutil.copytree(base, world, copy_function=os.link, dirs_exist_ok=True)
    settings = Settings(warehouse=str(world), home=str(PROJECT), shards=1, seed=loop.seed)
    first = FIRST_DAY + timedelta(days=loop.history_days)
    try:
        for number in range(loop.days):
            evening = first + timedelta(days=number - 1)
            if number % TRAIN_EVERY == 0:
                _train(settings, evening, say)
            _publish(settings, evening)
            played = evening + timedelta(days=1)
            simulate.run(settings, played)
            build.history(settings, played, played, ["staging", "features"])
        return _labelled(settings, first, played)
    finally:
        shutil.rmtree(world)


def _train(settings: Settings, evening: date, say: Say) -> None:
    try:
        train.run(settings, evening)
    except ModelError as refused:
        say(f"{evening}: {refused}")


def _labelled(settings: Settings, first: date, last: date) -> Examples:
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        outcomes = {day: train.outcome_of(warehouse, day, last) for day in days}
        parts = train._examples(warehouse, settings, outcomes, train.off_lists(warehouse, days, last))
    pairs = Examples.join([parts[day].listed for day in sorted(parts)])
    texts = {name: np.asarray(getattr(pairs, name)).astype(str) for name in ("users", "category")}
    return Examples(**{f.name: getattr(pairs, f.name) for f in fields(pairs)} | texts)


def judge(answer: Answer, test: Examples, seed: int) -> dict[str, Any]:
    """The figures of a ranker on the test pairs."""
    fit = calibration(answer.p, test.purchased, users=test.users)
    deciles = price_decile_calibration(answer.p, test.purchased, test.price, test.users)
    off = (deciles["expected"] - deciles["observed"]).abs()
    figures = {
        "log_loss": fit.log_loss,
        "ece": fit.ece,
        "price_decile_error": float(off.sum() / deciles["observed"].sum()),
    }
    for name, column, score in (("ndcg", "ndcg", answer.by_chance), ("revenue", REVENUE, answer.by_money)):
        table = _of_lists(score, test, seed)
        users = table.index.str.partition(" ").get_level_values(0).to_numpy(object)
        found = intervals(table[[column]].to_numpy(), seed, users=users)
        figures[f"{name}@{K}"] = [float(x[0]) for x in (found.value, found.low, found.high)]
    return figures | {"lists": len(table)}


def _of_lists(score: np.ndarray, test: Examples, seed: int) -> pd.DataFrame:
    chance = np.random.default_rng(seed).random(len(score))
    lists = pd.DataFrame({"item_id": np.arange(len(score)), "score": score, "chance": chance})
    lists["user_id"] = np.char.add(np.char.add(test.users.astype(str), " "), test.day.astype(str))
    lists = lists.sort_values(["user_id", "score", "chance"], ascending=[True, False, True])
    lists["rank"] = lists.groupby("user_id").cumcount() + 1
    bought = lists[test.purchased[lists["item_id"]] > 0].assign(revenue=lambda b: test.price[b["item_id"]])
    return user_metrics(lists, bought[["user_id", "item_id", "revenue"]], K)


def run(loop: Loop, root: Path, say: Say = lambda line: None) -> dict[str, Any]:
    """Make or read the data, fit every ranker, judge all on the same days."""
    root.mkdir(parents=True, exist_ok=True)
    data = split(shown(loop, root, say), loop.seed)
    parts = {name: getattr(data, name) for name in ("learn", "later", "test")}
    setup = {name: _size(part) for name, part in parts.items()} | {"world": loop.name, "seed": loop.seed}
    say(json.dumps(setup))
    say(f"{'':<12}{'log-loss':>10}{'ECE':>9}{'deciles':>9}   {'NDCG@10':<24}revenue@10")
    rows = {}
    for name, fit in RANKERS.items():
        started = time.process_time()
        answer = fit(data)
        cpu = time.process_time() - started
        rows[name] = judge(answer, data.test, loop.seed) | {"cpu_seconds": cpu}
        say(_line(name, rows[name]))
    return {"machine": describe(), "setup": setup, "rankers": rows}


def _size(part: Examples) -> dict[str, int]:
    return {
        "days": len(np.unique(part.day)),
        "pairs": len(part.users),
        "purchases": int(part.purchased.sum()),
    }


def _line(name: str, row: dict[str, Any]) -> str:
    ndcg, revenue = ("{:.4f} ({:.4f}-{:.4f})".format(*row[f"{metric}@{K}"]) for metric in ("ndcg", "revenue"))
    losses = f"{row['log_loss']:>10.5f}{row['ece']:>9.5f}{row['price_decile_error']:>9.3f}"
    return f"{name:<12}{losses}   {ndcg:<24}{revenue}"


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, measure, print a line per ranker, and write JSON where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="small")
    parser.add_argument("--users", type=int)
    parser.add_argument("--seed", type=int, default=Loop.seed)
    parser.add_argument("--history", type=int, default=40, help="days before the first lists")
    parser.add_argument("--days", type=int, default=21, help="days in closed loop")
    parser.add_argument("--dir", type=Path, default=PROJECT / "var" / "bench" / "rankers")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    loop = Loop(given.size, given.users, seed=given.seed, history_days=given.history, days=given.days)
    result = run(loop, given.dir, lambda line: print(line, flush=True))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
