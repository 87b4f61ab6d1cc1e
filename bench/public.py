"""Judge one model on a public split, with the library used as a library.

Two kinds of data, told apart by the first word:

  splits     a train file and a test file in the form "user item item ...", one line per user, as LightGCN gives them
             for Gowalla, Yelp2018 and Amazon-Book. The model is fitted on the train file; every user of the test file
             gets the best k items not in their train line.
  sequences  one file of histories in order of time, either "user item item ..." one line per user, or "user item" one
             line per event (SASRec's Beauty.txt and ml-1m.txt). The last item of every history with three or more
             items is the test; it is ranked among all items that the history does not hold (leave one out, full
             ranking, no sampled negatives). The model is fitted on all before it. SASRec and the two towers keep the
             item before the last from training to tell when to stop, which is the usual validation item.

Figures are means over the users of the test, with a list or without:

  recall@k   hits / items of the user's test, never capped by k
  ndcg@k     sum of 1 / log2(place + 1) over the hits / the same with min(k, items of the test) hits on top
  hit@k      1 if any of the k is in the test, else 0
  mrr@k      1 / place of the first hit, 0 when none is among the k

For a sequence, with its one test item, recall@k and hit@k are the same. A test item that no train line holds counts as
missed.

Settings are those of the papers where they give any (function settings); --set changes one. --choose tries the few of
GRIDS on a part of the training data (a tenth of each user's items, or the item before the last) and takes the best by
NDCG; the test is not read for it.

Examples:

  python bench/public.py splits --train gowalla/train.txt --test gowalla/test.txt --model gf_cf --k 20
  python bench/public.py splits --train amazon-book/train.txt --test amazon-book/test.txt --model gf_cf --set alpha=0
  python bench/public.py splits --train yelp2018/train.txt --test yelp2018/test.txt --model als --choose
  python bench/public.py sequences --file Beauty.txt --model sasrec --k 10
  python bench/public.py sequences --file ml-1m.txt --model sasrec --k 10 --json sasrec.json

Memory and time: everything is sparse but the scores of a batch of users, with one exception. EASE inverts a dense
matrix of items x items: 6 GiB for Gowalla's 41,000 items, 31 GiB for Amazon-Book's 92,000, where it is refused on a
machine with less; GF-CF is the closed form that goes there. The neural models need PyTorch (requirements-neural.txt),
use a GPU where there is one, and take hours on a few cores for the large sets.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from recsys.errors import ModelError, RecsysError  # noqa: E402
from recsys.features.interactions import Interactions  # noqa: E402
from recsys.models import MODELS, Recommender  # noqa: E402
from recsys.schema import ITEM_ID, RANK, USER_ID  # noqa: E402

LONG = 60
NOT_HERE = {"content_based": "it needs what is written about the items", "trending": "it needs days"}
GRIDS: dict[str, dict[str, tuple[object, ...]]] = {
    "item_knn": {"distance": ("cosine", "tfidf", "bm25"), "neighbours": (10, 50, 200)},
    "als": {"alpha": (2.0, 20.0), "regularization": (1.0, 10.0, 50.0), "factors": (64, 128)},
    "bpr": {"regularization": (0.001, 0.01, 0.03), "learning_rate": (0.001, 0.003)},
    "ease": {"regularization": (100.0, 300.0, 1000.0)},
    "gf_cf": {"alpha": (0.0, 0.1, 0.3), "factors": (64, 256)},
    "sasrec": {"dropout": (0.2, 0.5)},
    "two_tower": {"dropout": (0.2, 0.5)},
}


@dataclass(frozen=True)
class Split:
    """Interactions to fit on, [user_id, item_id(, timestamp)], and those to find, [user_id, item_id]."""

    train: pd.DataFrame
    test: pd.DataFrame

    @property
    def shape(self) -> tuple[int, int]:
        """Users and items of the training data."""
        return self.train[USER_ID].nunique(), self.train[ITEM_ID].nunique()


def settings(model: str, split: Split) -> dict[str, object]:
    """Settings for data like this: those of the papers where they give any."""
    users, items = split.shape
    long = len(split.train) / max(users, 1) > LONG
    attention: dict[str, object] = {  # Kang and McAuley, 2018
        "length": 200 if long else 50,
        "dropout": 0.2 if long else 0.5,
        "validation_users": users,
    }
    known: dict[str, dict[str, object]] = {
        "popularity": {"half_life_days": None},
        "own_history": {"half_life_days": None},
        # Few neighbours where histories are short, as the searched settings of Open-CF-Benchmark (10 for Amazon-Book).
        "item_knn": {"distance": "tfidf", "neighbours": 200 if long else 20, "neighbours_of": "candidate"},
        "als": {"factors": 64, "alpha": 2.0 if long else 20.0, "regularization": 10.0},
        "bpr": {"epochs": 100},
        "ease": {  # 500 on MovieLens (Steck, 2019), 1000 on the sparser sets (later searches)
            "regularization": 500.0 if long else 1000.0,
            "max_items": items,
            "log_weights": False,
        },
        "gf_cf": {"factors": 256, "alpha": 0.3},  # Shen et al., 2021
        "sasrec": attention,
        "two_tower": attention,
    }
    return known.get(model, {})


def read_splits(train: Path, test: Path) -> Split:
    """Read "user item item ..." lines of a train and a test file."""
    return Split(read_lists(train), read_lists(test))


def read_lists(path: Path) -> pd.DataFrame:
    """[user_id, item_id] in the order of the file; a pair that repeats within a line counts once."""
    users, items = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        user, *had = line.split()[:1] + list(dict.fromkeys(line.split()[1:])) if line.strip() else [""]
        users += [user] * len(had)
        items += had
    if not users:
        raise RecsysError(f"{path} holds no line 'user item item ...'.")
    return pd.DataFrame({USER_ID: users, ITEM_ID: items}, dtype=object)


def read_sequences(path: Path) -> pd.DataFrame:
    """[user_id, item_id, timestamp], the timestamp telling the place in the history."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines or min(map(len, lines)) < 2:
        raise RecsysError(f"{path} is neither 'user item item ...' per user nor 'user item' per event.")
    users = [line[0] for line in lines for _ in line[1:]]
    frame = pd.DataFrame(
        {USER_ID: users, ITEM_ID: [item for line in lines for item in line[1:]]}, dtype=object
    )
    place = frame.groupby(USER_ID, sort=False).cumcount()
    return frame.assign(timestamp=pd.Timestamp("2000-01-01") + pd.to_timedelta(place, unit="min"))


def leave_last_out(events: pd.DataFrame) -> Split:
    """The last item of every history of three or more is the test."""
    from_end = events.groupby(USER_ID, sort=False).cumcount(ascending=False)
    length = events.groupby(USER_ID, sort=False)[ITEM_ID].transform("size")
    last = (from_end == 0) & (length >= 3)
    return Split(events[~last], events.loc[last, [USER_ID, ITEM_ID]])


def hold_out(train: pd.DataFrame, seed: int) -> Split:
    """Keep a tenth of each user's items, at least one, of users with two or more."""
    mixed = train.sample(frac=1, random_state=seed)
    place = mixed.groupby(USER_ID).cumcount()
    length = mixed.groupby(USER_ID)[ITEM_ID].transform("size")
    held = (place < np.ceil(length / 10)) & (length >= 2)
    return Split(mixed[~held], mixed.loc[held, [USER_ID, ITEM_ID]])


def judge(lists: pd.DataFrame, test: pd.DataFrame, k: int) -> dict[str, float]:
    """The figures that the help of this script defines, and the number of users.

    ``lists`` is [user_id, item_id, rank], rank from 1; ``test`` is [user_id, item_id], every pair once.
    """
    wanted = test.groupby(USER_ID)[ITEM_ID].size()
    hits = lists[lists[RANK] <= k].merge(test, on=[USER_ID, ITEM_ID])
    by_user = hits[RANK].groupby(hits[USER_ID])
    found = by_user.size().reindex(wanted.index, fill_value=0)
    gain = (1 / np.log2(hits[RANK] + 1)).groupby(hits[USER_ID]).sum().reindex(wanted.index, fill_value=0)
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))[np.minimum(wanted, k) - 1]
    return {
        f"recall@{k}": float((found / wanted).mean()),
        f"ndcg@{k}": float((gain / ideal).mean()),
        f"hit@{k}": float((found > 0).mean()),
        f"mrr@{k}": float((1 / by_user.min()).reindex(wanted.index, fill_value=0).mean()),
        "users": len(wanted),
    }


def fitted(name: str, split: Split, parameters: Mapping[str, object]) -> Recommender:
    """Fit the model on the training data."""
    model = MODELS[name](**parameters)  # type: ignore[arg-type]
    if name == "ease":
        _refuse_what_does_not_fit(int(str(parameters.get("max_items", split.shape[1]))))
    return model.fit(Interactions.from_frame(split.train))


def run(
    name: str, split: Split, parameters: Mapping[str, object], k: int, keep_seen: bool = False
) -> dict[str, float]:
    """Fit, list the best ``k`` for every user of the test, judge; the seconds of both are told too."""
    started = time.perf_counter()
    model = fitted(name, split, parameters)
    between = time.perf_counter()
    users = split.test[USER_ID].unique()
    exclude = None if keep_seen else split.train[[USER_ID, ITEM_ID]]
    lists = model.recommend(users, k, exclude=exclude)
    figures = judge(lists, split.test, k)
    return figures | {
        "fit_seconds": between - started,
        "recommend_seconds": time.perf_counter() - between,
    }


def choose(
    name: str, inner: Split, start: dict[str, object], k: int, say: Callable[[str], None]
) -> dict[str, object]:
    """The settings of the model's grid with the best NDCG on ``inner``, a part of the training data."""
    grid = GRIDS.get(name, {})
    best, found = dict(start), -1.0
    for values in product(*grid.values()):
        tried = start | dict(zip(grid, values, strict=True))
        ndcg = run(name, inner, tried, k)[f"ndcg@{k}"]
        say(f"  {dict(zip(grid, values, strict=True))}: NDCG {ndcg:.4f} on held-out training data")
        if ndcg > found:
            best, found = tried, ndcg
    return best


def _refuse_what_does_not_fit(items: int) -> None:
    needed = items**2 * 4
    free = _free_memory()
    if needed * 1.5 > free:
        raise ModelError(
            f"EASE inverts a dense matrix of items x items: {items:,} items are {needed / 2**30:.0f} GiB, half as much "
            f"again while it works, and {free / 2**30:.0f} GiB are free. Take --model gf_cf, which stays sparse, or "
            "--set max_items=20000 to learn the most popular alone, which is no longer the published EASE."
        )


def _free_memory() -> int:
    """Bytes that a process may still take, the cache of files counted as free where Linux says so."""
    told = Path("/proc/meminfo")
    for line in told.read_text(encoding="ascii").splitlines() if told.is_file() else ():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _setting(model: str, text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    known = [field.name for field in fields(MODELS[model])]
    if name not in known:
        raise ModelError(f"{model} has no setting {name!r}; it has {', '.join(known)}.")
    try:
        parsed = json.loads(value.replace("None", "null").replace("True", "true").replace("False", "false"))
    except json.JSONDecodeError:
        parsed = value
    return name, tuple(parsed) if isinstance(parsed, list) else parsed


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="{splits,sequences}")
    splits = kinds.add_parser("splits", help="a train and a test file, 'user item item ...' per line")
    splits.add_argument("--train", type=Path, required=True, help="the file to fit on")
    splits.add_argument("--test", type=Path, required=True, help="the file to find")
    sequences = kinds.add_parser("sequences", help="one file in order of time; the last item is the test")
    sequences.add_argument("--file", type=Path, required=True, help="the histories")
    for kind, k in ((splits, 20), (sequences, 10)):
        kind.add_argument("--model", required=True, choices=sorted(set(MODELS) - set(NOT_HERE)))
        kind.add_argument("--k", type=int, default=k, help=f"length of the lists (default {k})")
        kind.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting")
        kind.add_argument(
            "--choose", action="store_true", help="choose settings on held-out training data first"
        )
        kind.add_argument("--keep-seen", action="store_true", help="let lists hold what the history holds")
        kind.add_argument("--seed", type=int, help="another seed, where the model has one")
        kind.add_argument("--json", type=Path, help="write figures and settings here too")
    given = parser.parse_args()
    try:
        _report(given)
    except (RecsysError, OSError) as error:
        sys.exit(f"{error}")


def _report(given: argparse.Namespace) -> None:
    ordered = given.kind == "sequences"
    split = leave_last_out(read_sequences(given.file)) if ordered else read_splits(given.train, given.test)
    users, items = split.shape
    print(
        f"{users:,} users, {items:,} items, {len(split.train):,} interactions to fit on; {len(split.test):,} to find"
    )
    parameters = settings(given.model, split) | dict(_setting(given.model, text) for text in given.set)
    if given.seed is not None and "seed" in {field.name for field in fields(MODELS[given.model])}:
        parameters["seed"] = given.seed
    if given.choose:
        inner = leave_last_out(split.train) if ordered else hold_out(split.train, given.seed or 0)
        parameters = choose(given.model, inner, parameters, given.k, print)
    print(f"{given.model} {parameters}", flush=True)
    figures = run(given.model, split, parameters, given.k, given.keep_seen)
    for name, value in figures.items():
        print(f"  {name:18} {value:.4f}" if isinstance(value, float) else f"  {name:18} {value:,}")
    if given.json:
        told = {"model": given.model, "parameters": parameters, "shape": [users, items], "figures": figures}
        given.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
