"""Scoring 300 candidates of each of 100,000 users: features of pairs, click and buy trees, money, order.

    python bench/ranking.py --json ranking.json
    python bench/ranking.py --few 20000                    (time of a part, scaled up; memory as for all)
    python bench/ranking.py --users 5000 --items 20000     (smaller, to look around)

Users and live listings are those of ``bench.market``; what users did is drawn on top: 30 groups, 15 live listings, 6
categories each, heavy-tailed. Half of a user's candidates are of the categories they like, half of anywhere, and each
has the scores of four retrievers. Trees are grown by ``fit_boosted`` on pairs of this market with outcomes drawn from a
curved truth, as many as training takes (``Growth``). Naming candidates is not part of this (see ``retrieval.py``).

Two worker processes share the arrays and take the users in batches of the pipeline's size. Beside it, on a sample and
scaled up: ``lightgbm.Booster.predict`` with as many threads on pandas frames of the same pairs, trees alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pandas as pd
import psutil
from threadpoolctl import threadpool_limits

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.frames import liked, market_frames, names  # noqa: E402
from bench.machine import describe  # noqa: E402
from bench.market import LAST_DAY, Size, make_market  # noqa: E402
from recsys.features.pairs import PAIR_FEATURES, RETRIEVED, pair_features  # noqa: E402
from recsys.models import Popularity  # noqa: E402
from recsys.ranking.boosted import BoostedScorer, fit_boosted  # noqa: E402
from recsys.ranking.candidates import Candidates  # noqa: E402
from recsys.ranking.champion import Champion  # noqa: E402
from recsys.ranking.judge import Judged  # noqa: E402
from recsys.ranking.pipeline import BATCH_USERS, Ranker  # noqa: E402
from recsys.ranking.platt import sigmoid  # noqa: E402
from recsys.ranking.snapshot import Snapshot  # noqa: E402

SEED = 20260101
LEARNED_FROM = 250_000
STEPS = ("features", "trees", "money and order")
_shared: dict[str, Any] = {}


def candidates(
    snapshot: Snapshot, favourites: np.ndarray, users: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Audience rows, shelf positions and scores of retrievers of ``count`` pairs of each of ``users``."""
    rng = np.random.default_rng([SEED, int(users[0])])
    rows, shelf = np.repeat(users, count), snapshot.shelf
    theirs = liked(shelf.category_code, favourites[rows, rng.integers(0, 3, len(rows))], rng)
    items = np.where(rng.random(len(rows)) < 0.5, theirs, rng.integers(0, len(shelf), len(rows)))
    scores = {name: rng.random(len(rows), np.float32) for name in RETRIEVED}
    return rows, items, {name: np.where(s < 0.4, -np.inf, s) for name, s in scores.items()}


def grow(snapshot: Snapshot, favourites: np.ndarray, count: int, seed: int) -> BoostedScorer:
    """Trees on pairs of this market whose outcomes are drawn from a curved truth."""
    rng = np.random.default_rng(seed)
    users = max(1, min(len(snapshot.audience), LEARNED_FROM // count))
    chosen = np.sort(rng.choice(len(snapshot.audience), users, replace=False))
    features = pair_features(
        snapshot.shelf, snapshot.audience, *candidates(snapshot, favourites, chosen, count)
    )
    spread = features.std(axis=0)
    x = np.where(spread > 1e-6, (features - features.mean(axis=0)) / np.maximum(spread, 1e-6), 0)
    wish = x @ rng.normal(0, 0.15, x.shape[1]) + np.sin(2 * x) @ rng.normal(0, 0.15, x.shape[1])
    clicked = rng.random(len(x)) < sigmoid(wish - 2)
    bought = clicked & (rng.random(len(x)) < sigmoid(x @ rng.normal(0, 0.1, x.shape[1]) - 2.5))
    late = np.arange(len(x)) >= 0.8 * len(x)
    known = {"position": rng.integers(1, 51, len(x)).astype(float), "late": late, "seed": seed}
    return fit_boosted(features, bought, clicked, names=PAIR_FEATURES, **known)


def score(users: np.ndarray) -> tuple[dict[str, float], dict[str, float], int]:
    """Wall and CPU seconds by step, and the candidates kept, of one batch of users."""
    wall, cpu = dict.fromkeys(("draw", *STEPS), 0.0), dict.fromkeys(("draw", *STEPS), 0.0)
    ranker, snapshot = _shared["ranker"], _shared["snapshot"]
    clock = _Clock(wall, cpu)
    rows, items, retrieved = candidates(snapshot, _shared["favourites"], users, _shared["count"])
    clock.lap("draw")
    features = pair_features(snapshot.shelf, snapshot.audience, rows, items, retrieved)
    clock.lap("features")
    click, bought = ranker.champion.scorer._both(features)
    clock.lap("trees")
    found = Candidates(rows, items, np.zeros(len(rows), np.int8), np.zeros(len(rows), np.float32))
    pool = ranker._value(found, Judged(bought, p_click=np.maximum(click, bought)), "hybrid")
    clock.lap("money and order")
    return wall, cpu, len(pool)


class _Clock:
    """Adds the time since the last lap to a step."""

    def __init__(self, wall: dict[str, float], cpu: dict[str, float]) -> None:
        self.wall, self.cpu, self.last = wall, cpu, (time.perf_counter(), time.process_time())

    def lap(self, step: str) -> None:
        now = time.perf_counter(), time.process_time()
        self.wall[step] += now[0] - self.last[0]
        self.cpu[step] += now[1] - self.last[1]
        self.last = now


class Peak:
    """The most memory that this process and its children held together, sampled: GiB, shared pages counted once."""

    def __enter__(self) -> Peak:
        self.gib, self._done = 0.0, Event()
        self._thread = Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        me = psutil.Process()
        while True:
            held = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    held += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.gib = max(self.gib, held / 2**30)
            if self._done.wait(0.5):
                return


def batches(users: int) -> Iterator[np.ndarray]:
    """Users in batches of the pipeline's size."""
    for start in range(0, users, BATCH_USERS):
        yield np.arange(start, min(start + BATCH_USERS, users))


def plain(users: int, threads: int) -> dict[str, float]:
    """Seconds that LightGBM takes for pandas frames of the pairs of the first ``users``, scaled up to all."""
    snapshot, scorer = _shared["snapshot"], _shared["ranker"].champion.scorer
    chosen = np.arange(min(users, len(snapshot.audience)))
    pairs = candidates(snapshot, _shared["favourites"], chosen, _shared["count"])
    features = pair_features(snapshot.shelf, snapshot.audience, *pairs)
    frames = [pd.DataFrame(scorer._input(number, features)) for number in (0, 1)]
    started = time.perf_counter()
    for booster, frame in zip(scorer._boosters, frames, strict=True):
        booster.predict(frame, num_threads=threads)
    seconds = time.perf_counter() - started
    scale = len(snapshot.audience) / len(chosen)
    return {"users": len(chosen), "seconds": seconds, "scaled_seconds": seconds * scale}


def run(
    users: int,
    items: int,
    count: int,
    workers: int,
    *,
    few: int | None = None,
    seed: int = SEED,
    sample: int = 2_000,
) -> dict[str, Any]:
    """Make the market, grow trees, score everybody, or the first ``few``, and the yardstick."""
    started = time.perf_counter()
    with Peak() as making, threadpool_limits(1):
        market = make_market(Size("ranking", users, items, 0), seed)
        frames = market_frames(market, seed)
        snapshot = Snapshot.from_frames(frames, LAST_DAY)
        del frames
        favourites = snapshot.shelf.category_ids.get_indexer(names("c", 1_000))[
            market.users.favourites[:users]
        ]
        scorer = grow(snapshot, favourites, count, seed)
        with tempfile.TemporaryDirectory() as folder:  # as a worker reads it
            scorer.save(Path(folder))
            scorer = BoostedScorer.load(Path(folder))
        champion = Champion({"popularity": Popularity().fit(snapshot.history)}, scorer, {"ds": LAST_DAY})
        ranker = Ranker(champion, snapshot.shelf, snapshot.trending)
    _shared.update(ranker=ranker, snapshot=snapshot, favourites=favourites, count=count)
    scored = min(users, few or users)
    made, load, wall = time.perf_counter() - started, os.getloadavg()[0], time.perf_counter()
    context = multiprocessing.get_context("fork")  # what is there is shared, not copied
    with Peak() as scoring, ProcessPoolExecutor(workers, mp_context=context) as pool:
        parts = list(pool.map(score, batches(scored)))
    wall = time.perf_counter() - wall
    return {
        "machine": describe(),
        "users": users,
        "items": len(snapshot.shelf),
        "pairs": scored * count,
        "scored": scored,
        "features": len(PAIR_FEATURES),
        "trees": [text.count("Tree=") for text in scorer.models],
        "workers": workers,
        "making_seconds": made,
        "making_peak_gib": making.gib,
        "seconds": wall,
        "peak_gib": scoring.gib,
        "load": [load, os.getloadavg()[0]],
        "kept": sum(kept for _, _, kept in parts),
        "steps": {s: [sum(part[n][s] for part in parts) for n in (0, 1)] for s in ("draw", *STEPS)},
        "plain": plain(sample, workers),
    }


def told(result: dict[str, Any]) -> Iterator[str]:
    """The result as lines."""
    yield "{pairs:,} pairs of {scored:,} of {users:,} users, {items:,} listings".format(**result)
    yield "{features} features, {trees} trees for click and purchase".format(**result)
    yield "made in {making_seconds:.0f} s, peak {making_peak_gib:.2f} GiB".format(**result)
    yield "scored in {seconds:.1f} s by {workers} workers, peak {peak_gib:.2f} GiB of all processes".format(
        **result
    )
    if result["scored"] < result["users"]:
        yield "  scaled up to all: {:.0f} s".format(result["seconds"] * result["users"] / result["scored"])
    yield "load average {:.1f} before, {:.1f} after".format(*result["load"])
    for step, (wall, cpu) in result["steps"].items():
        each = cpu / result["pairs"] * 1e6
        yield f"  {step:<16}{wall:9.1f} s {cpu:9.1f} s CPU {each:8.2f} us a pair"
    yield (
        "plain LightGBM on pandas, trees alone: {seconds:.1f} s for {users:,} users, {scaled_seconds:.0f} s for all "
        "(scaled up)".format(**result["plain"])
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("users", 100_000), ("items", 200_000), ("candidates", 300), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--few", type=int, help="score the first so many users only; memory is that of all")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    result = run(given.users, given.items, given.candidates, given.workers, few=given.few, seed=given.seed)
    print("\n".join(told(result)))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
