"""Every retriever on MovieLens-100k, beside what others published for it. docs/benchmarks.md says what this shows.

  python bench/movielens.py --ratings ml-100k/ml-100k.inter --items ml-100k/ml-100k.item --models ease als bpr

Both files are inside the recbole package: pip download recbole --no-deps, then unpack recbole/dataset_example/ml-100k.
Every rating counts as an interaction, whatever its value. The settings were chosen on the validation tenth of one more
8:1:1 split, or on the item before the last.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.public import Split, judge, leave_last_out  # noqa: E402
from recsys.features.interactions import Interactions  # noqa: E402
from recsys.models import MODELS  # noqa: E402
from recsys.schema import ITEM_ID, USER_ID  # noqa: E402

K = 10
CHOSEN: dict[str, dict[str, object]] = {
    "popularity": {"half_life_days": None},
    "trending": {"window_days": 30, "baseline_days": 365},
    "item_knn": {"distance": "tfidf", "neighbours": 200, "neighbours_of": "candidate"},
    "content_based": {"half_life_days": None},
    "als": {"factors": 32, "alpha": 2.0, "regularization": 10.0},
    "ease": {"regularization": 500.0, "log_weights": False},
    "gf_cf": {"factors": 64, "alpha": 0.3},
    "two_tower": {"length": 100},
}


def random_split(events: pd.DataFrame, share: float, seed: int) -> Split:
    """A share of all ratings to fit on, the rest to find."""
    mixed = events.sample(frac=1, random_state=seed)
    cut = int(len(mixed) * share)
    known = mixed[cut:][USER_ID].isin(mixed[:cut][USER_ID])
    return Split(mixed[:cut], mixed[cut:][known][[USER_ID, ITEM_ID]])


def eight_one_one(events: pd.DataFrame, seed: int) -> tuple[Split, pd.DataFrame]:
    """A tenth of each user's ratings to find, a tenth for validation, both rounded down; the rest to fit on."""
    mixed = events.sample(frac=1, random_state=seed)
    tenth = mixed.groupby(USER_ID)[ITEM_ID].transform("size") // 10
    from_end = mixed.groupby(USER_ID).cumcount(ascending=False)
    train, test = mixed[from_end >= 2 * tenth], mixed[from_end < tenth]
    validation = mixed[(from_end >= tenth) & (from_end < 2 * tenth)]
    return Split(train, test[[USER_ID, ITEM_ID]]), validation[[USER_ID, ITEM_ID]]


def read(ratings: Path, items: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events [user_id, item_id, timestamp] in order of time, and content [item_id, title, category]."""
    events = pd.read_csv(
        ratings, sep="\t", names=[USER_ID, ITEM_ID, "rating", "timestamp"], header=0, dtype=str
    )
    events["timestamp"] = pd.to_datetime(events["timestamp"].astype(float), unit="s")
    events = events.sort_values(["timestamp", USER_ID, ITEM_ID], ignore_index=True).drop(columns="rating")
    content = pd.read_csv(items, sep="\t", names=[ITEM_ID, "title", "year", "genres"], header=0, dtype=str)
    words = content["genres"].str.split().map(lambda names: " ".join(f"genre{name}" for name in names))
    content["title"] = content["title"].fillna("") + " " + words
    return events, content[[ITEM_ID, "title"]].assign(category="decade " + content["year"].str[:3])


def figures(
    name: str, split: Split, content: pd.DataFrame, seen: pd.DataFrame | None = None
) -> dict[str, float]:
    """Fit, list ten for every user of the test without what they had, judge."""
    own = {"seed": 1} if "seed" in {field.name for field in fields(MODELS[name])} else {}
    catalogue = content[ITEM_ID] if name == "content_based" else None
    model = MODELS[name](**own, **CHOSEN.get(name, {}))  # type: ignore[arg-type]
    model.fit(Interactions.from_frame(split.train, item_ids=catalogue, content=content))
    had = split.train[[USER_ID, ITEM_ID]]
    lists = model.recommend(
        split.test[USER_ID].unique(), K, exclude=had if seen is None else pd.concat([had, seen])
    )
    return judge(lists, split.test, K)


def main() -> None:
    """Read the command line, run, print a line per model and protocol."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ratings", type=Path, required=True, help="ml-100k.inter")
    parser.add_argument("--items", type=Path, required=True, help="ml-100k.item")
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=sorted(MODELS))
    parser.add_argument("--protocols", nargs="+", default=["80:20", "75:25", "8:1:1", "last"])
    parser.add_argument("--seeds", type=int, default=3, help="random splits that figures are the mean of")
    given = parser.parse_args()
    events, content = read(given.ratings, given.items)
    for protocol in given.protocols:
        for name in given.models:
            found = []
            for seed in range(1 if protocol == "last" else given.seeds):
                seen = None
                if protocol == "last":
                    split = leave_last_out(events)
                elif protocol == "8:1:1":
                    split, seen = eight_one_one(events, seed)
                else:
                    split = random_split(events, int(protocol[:2]) / 100, seed)
                found.append(figures(name, split, content, seen))
            mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
            told = "  ".join(f"{key} {value:.4f}" for key, value in mean.items() if key != "users")
            print(f"{protocol:6} {name:14} {told}", flush=True)


if __name__ == "__main__":
    main()
