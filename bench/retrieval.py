"""The best 100 of a million live listings for 100,000 users, filters on, beside what `implicit` takes for the same.

  python bench/retrieval.py --threads 2 --json retrieval.json
  python bench/retrieval.py --users 20000 --items 200000 --kinds tastes     (smaller, to look around)

Three kinds of vectors, float32, 64 wide:

* tastes: listings lie around 3,000 tastes of power-law size (Pareto 1.1) whose directions fall off along the axes, as
  those of trained models do; a listing is its taste plus a deviation of 0.6 of its length, a user a mixture of three
  tastes (Dirichlet 1) plus 0.3. All have length 1, as in two towers or content vectors.
* als: factors that `implicit` learns (8 sweeps) from made-up interactions: 2,000 tastes of power-law size, heavy-tailed
  activity and popularity, six tastes per user and 15% of strays. Listings nobody had are zeros.
* random: Gaussian noise, the worst case: no structure to use, and like no trained model.

The filters: 90% of listings are allowed; every user has 20 pairs that may not meet (own, bought), half of them the best
of 20,000 listings; 30% of listings go to one of 8 regions and are for its users alone. `implicit` knows none of
the three per user (it takes one list of items to leave out): it gets the allowed listings alone, and no regions.

`--faiss 32 64` adds an inverted file of faiss with so many lists per user: the allowed listings, no regions, no pairs.

Recall counts the exact list of a sample of users, in numpy, after the filters. Building the lists and measuring the
reach (on 256 other users) is told apart: it is done once, not per search.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.machine import describe  # noqa: E402
from recsys.models.base import top  # noqa: E402
from recsys.models.lists import Lists  # noqa: E402
from recsys.models.search import EVERYWHERE, Filters, nearest, reach_for  # noqa: E402

WIDTH, REGIONS, PAIRS = 64, 8, 20
Vectors = tuple[np.ndarray, np.ndarray]


def tastes(rng: np.random.Generator, n_users: int, n_items: int) -> Vectors:
    """Users and listings around tastes of power-law size."""
    count = 3_000
    share = rng.pareto(1.1, count) + 1
    share /= share.sum()
    axes = np.arange(WIDTH)

    def drawn(rows: int, fall: int) -> np.ndarray:
        spread = (1 / np.sqrt(1 + axes / fall)).astype(np.float32)
        values = rng.standard_normal((rows, WIDTH), np.float32) * spread
        return values / np.sqrt((spread**2).sum())

    centres = normalize(drawn(count, 4))
    items = normalize(centres[rng.choice(count, n_items, p=share)] + np.float32(0.6) * drawn(n_items, 8))
    liked = centres[rng.choice(count, (n_users, 3), p=share)]
    users = np.einsum("uj,ujd->ud", rng.dirichlet([1, 1, 1], n_users).astype(np.float32), liked)
    return normalize(users + np.float32(0.3) * drawn(n_users, 8)), items


def als(rng: np.random.Generator, n_users: int, n_items: int) -> Vectors:
    """Factors learned by ``implicit`` from made-up interactions."""
    from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415

    count = 2_000
    share = rng.pareto(1.1, count) + 1
    share /= share.sum()
    taste = np.sort(rng.choice(count, n_items, p=share))
    starts = np.searchsorted(taste, np.arange(count + 1))
    behind = np.concatenate([[0], np.cumsum(rng.pareto(1.2, n_items) + 0.2)])
    active = np.minimum(rng.lognormal(3.6, 1.0, n_users), 2_000).astype(int) + 5
    rows = np.repeat(np.arange(n_users), active)
    liked = rng.choice(count, (n_users, 6), p=share)[rows, np.minimum(rng.geometric(0.4, len(rows)) - 1, 5)]
    liked = np.where(rng.random(len(rows)) < 0.15, rng.choice(count, len(rows), p=share), liked)
    low, high = behind[starts[liked]], behind[starts[liked + 1]]
    columns = np.minimum(np.searchsorted(behind, low + rng.random(len(rows)) * (high - low)) - 1, n_items - 1)
    had = sparse.csr_matrix(
        (np.ones(len(rows), np.float32), (rows, np.maximum(columns, 0))), (n_users, n_items)
    )
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=WIDTH, iterations=8, regularization=0.05, alpha=2.0, random_state=1
        )
        model.fit(had, show_progress=False)
    return model.user_factors, model.item_factors


def noise(rng: np.random.Generator, n_users: int, n_items: int) -> Vectors:
    """Nothing but chance."""
    return rng.standard_normal((n_users, WIDTH), np.float32), rng.standard_normal(
        (n_items, WIDTH), np.float32
    )


KINDS: dict[str, Callable[[np.random.Generator, int, int], Vectors]] = {
    "tastes": tastes,
    "als": als,
    "random": noise,
}


def some_filters(rng: np.random.Generator, users: np.ndarray, items: np.ndarray) -> Filters:
    """Filters as the head of this file tells them; the pairs are near the user for half of them."""
    n_users, n_items = len(users), len(items)
    pool = np.where(rng.random(n_items) < 0.3, rng.integers(0, REGIONS, n_items), EVERYWHERE)
    near = rng.choice(n_items, min(n_items, 20_000), replace=False)
    pairs = rng.integers(0, n_items, (n_users, PAIRS))
    for start in range(0, n_users, 2_000):
        part = slice(start, start + 2_000)
        pairs[part, : PAIRS // 2] = near[top(users[part] @ items[near].T, PAIRS // 2)[0]]
    rows = np.repeat(np.arange(n_users), PAIRS)
    return Filters(rng.random(n_items) < 0.9, (rows, pairs.ravel()), rng.integers(0, REGIONS, n_users), pool)


def recall(
    users: np.ndarray, items: np.ndarray, filters: Filters, found: np.ndarray, sample: np.ndarray
) -> float:
    """Share of the exact lists of the ``sample`` that was found, by brute force."""
    rows, columns = filters.excluded
    hits, k = [], found.shape[1]
    for row in sample:
        scores = (items @ users[row])[None]
        scores[0, ~filters.allowed] = -np.inf
        if filters.user_pool is not None and filters.item_pool is not None:
            pool = filters.item_pool
            scores[0, (pool != EVERYWHERE) & (pool != filters.user_pool[row])] = -np.inf
        scores[0, columns[rows == row]] = -np.inf
        hits.append(np.isin(top(scores, k)[0][0], found[row]).mean())
    return float(np.mean(hits))


def by_implicit(users: np.ndarray, items: np.ndarray, filters: Filters, k: int, threads: int) -> int:
    """The same by ``implicit``: the allowed listings, no regions, no pairs."""
    from implicit.cpu.topk import topk  # noqa: PLC0415

    with threadpool_limits(threads, "blas"):
        ids, _ = topk(np.ascontiguousarray(items[filters.allowed]), users, k, num_threads=threads)
    return int(ids.size)


def by_faiss(
    users: np.ndarray, items: np.ndarray, filters: Filters, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """An inverted file of faiss over the allowed listings, as many lists as ours; recall against its exact index."""
    import faiss  # noqa: PLC0415

    faiss.omp_set_num_threads(options.threads)
    allowed = np.ascontiguousarray(items[filters.allowed])
    exact = faiss.IndexFlatIP(WIDTH)
    exact.add(allowed)
    sample = users[: min(100, len(users))]
    truth = exact.search(sample, options.k)[1]
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(WIDTH), WIDTH, len(items) // 1_000, faiss.METRIC_INNER_PRODUCT
    )
    index.train(allowed[::15])
    index.add(allowed)
    rows = []
    for lists in options.faiss:
        index.nprobe = lists
        found, row = measured(f"faiss {lists}", lambda: index.search(users, options.k)[1])
        hits = [np.isin(a, b).mean() for a, b in zip(truth, found, strict=False)]
        rows.append(row | {"users": len(users), "recall": float(np.mean(hits))})
    return rows


def measured(name: str, call: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """What ``call`` returns, and its wall seconds, CPU seconds and the load that stood beside it."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = call()
    row = {"step": name, "seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    row |= {
        "load": os.getloadavg()[0],
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    return value, row


def run(kind: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every step for one kind of vectors, a row each."""
    rng = np.random.default_rng(options.seed)
    users, items = KINDS[kind](rng, options.users, options.items)
    filters, k = some_filters(rng, users, items), options.k
    sample = rng.choice(len(users), min(options.sample, len(users)), replace=False)
    tuning = np.sort(rng.choice(len(users), min(256, len(users)), replace=False))
    theirs = _of(filters, tuning)
    rows = []
    with threadpool_limits(options.threads, "blas"):
        lists, row = measured("build", lambda: Lists.build(items, rng))
    rows.append(row)
    reach, row = measured("reach", lambda: reach_for(lists, users[tuning], k, options.recall, filters=theirs))
    rows.append(row | {"reach": reach})
    search = partial(nearest, lists, k=k, threads=options.threads)
    found, row = measured("approximate", lambda: search(users, reach=reach, filters=filters)[0])
    rows.append(row | {"users": len(users), "recall": recall(users, items, filters, found, sample)})
    del found
    few = np.arange(min(options.few or len(users), len(users)))
    if kind in options.exact:
        found, row = measured("exact", lambda: search(users[few], filters=_of(filters, few))[0])
        seen = sample[sample < len(few)]
        rows.append(row | {"users": len(few), "recall": recall(users, items, filters, found, seen)})
    if kind in options.implicit:
        _, row = measured("implicit", lambda: by_implicit(users[few], items, filters, k, options.threads))
        rows.append(row | {"users": len(few)})
    if options.faiss:
        rows += by_faiss(users[few], items, filters, options)
    return [{"kind": kind} | row for row in rows]


def _of(filters: Filters, rows: np.ndarray) -> Filters:
    """The filters of some users; ``rows`` ascending."""
    user, item = filters.excluded
    mine = np.isin(user, rows)
    assert filters.user_pool is not None
    return replace(
        filters, excluded=(np.searchsorted(rows, user[mine]), item[mine]), user_pool=filters.user_pool[rows]
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, print a line per step, and write JSON where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("users", 100_000), ("items", 1_000_000), ("k", 100), ("sample", 1_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--few", type=int, help="exact search and implicit for the first so many users only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recall", type=float, default=0.98, help="what the reach is measured for")
    for name, what in (
        ("kinds", "vectors to search"),
        ("exact", "also exact"),
        ("implicit", "also implicit"),
    ):
        default = [*KINDS] if name == "kinds" else ["tastes"]
        parser.add_argument(f"--{name}", nargs="*", choices=KINDS, default=default, help=what)
    parser.add_argument(
        "--faiss", nargs="*", type=int, default=[], help="also faiss (pip install faiss-cpu): lists per user"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    rows = []
    print("kind         step          users  seconds  CPU seconds  recall   load  peak GiB")
    for kind in options.kinds:
        for row in run(kind, options):
            rows.append(row)
            told = f"{row['recall']:.4f}" if "recall" in row else ""
            numbers = f"{row['seconds']:9.1f} {row['cpu_seconds']:12.1f} {told:>7} {row['load']:6.1f}"
            print(
                f"{kind:<12} {row['step']:<12}{row.get('users', ''):>7}{numbers} {row['peak_gib']:9.2f}",
                flush=True,
            )
    if options.json:
        settings = {name: value for name, value in vars(options).items() if name != "json"}
        content = {"machine": describe(), "settings": settings, "rows": rows}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
