"""The top 50 keywords of a million listings out of 500,000: what every retriever and their union take.

  python bench/keyword_retrieval.py --slots 2 --json keyword_retrieval.json
  python bench/keyword_retrieval.py --items 50000 --keywords 20000     (smaller, to look around)

A made-up marketplace: 40 parent categories with 25 leaves each, of sizes that fall off as 1 / rank^0.7. A leaf has 12
to 60 nouns, a parent 120 brands, all together 400 attributes and 20,000 models, drawn by Zipf. A phrase is a noun of
its leaf with a brand, an attribute or a model, or some of them; a title is brand, one to four attributes, noun, model
and three words that no phrase has. A phrase is searched in its leaf, one in ten in another leaf of the parent too.
Each phrase led to three listings with its noun. It says what the work costs; bench/keywords.py tells the quality.

Retrievers are fitted once (told apart), saved, and loaded by each of the processes that share the listings.
They are taught by a sample only (--taught listings, one epoch of the two towers): it changes nothing in what a search
costs. Without PyTorch the two towers are left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.machine import Task, describe, run_stage  # noqa: E402
from recsys.keywords.retrieve import RETRIEVERS, Retrieval  # noqa: E402
from recsys.keywords.retriever import Phrases  # noqa: E402
from recsys.models.neural import AVAILABLE  # noqa: E402

PARENTS, LEAVES = 40, 25
BRANDS, ATTRIBUTES, MODELS, STRAYS = 120, 400, 20_000, 50_000
BLOCK = 50_000
SETTINGS: dict[str, dict[str, Any]] = {
    "embedding": {"most": 50_000},
    "two_tower": {"epochs": 1, "patience": 0, "most_pairs": 100_000},
}
SYLLABLES = [c + v for c in "bcdfghjklmnprtvwz" for v in ("a", "e", "i", "o", "u", "an", "or", "il")]


def zipf(rng: np.random.Generator, count: int, size: np.ndarray | int, power: float = 0.8) -> np.ndarray:
    """Numbers below ``size`` (one for each of ``count``, or one for all), small ones the most often."""
    return (rng.random(count) ** (1 / (1 - power)) * size).astype(np.int64)


class Market:
    """Leaves with their words, from which phrases and titles are made."""

    def __init__(self, rng: np.random.Generator) -> None:
        count = PARENTS * LEAVES
        self.rng = rng
        self.weight = (1 + rng.permutation(count)) ** -0.7
        self.weight /= self.weight.sum()
        self.nouns = rng.integers(12, 61, count)
        starts = np.cumsum([0, self.nouns.sum(), PARENTS * BRANDS, ATTRIBUTES, MODELS])
        self.noun_at = starts[0] + np.cumsum(self.nouns) - self.nouns
        self.brand_at, self.attribute_at, self.model_at, self.stray_at = starts[1:]
        self.words = _words(int(starts[-1] + STRAYS))

    def drawn(self, count: int, attributes: int) -> np.ndarray:
        """[count, 4 + attributes]: leaf, noun, brand, model and attributes as numbers of words."""
        leaf = self.rng.choice(len(self.weight), count, p=self.weight)
        noun = self.noun_at[leaf] + zipf(self.rng, count, self.nouns[leaf], 0.5)
        brand = self.brand_at + leaf // LEAVES * BRANDS + zipf(self.rng, count, BRANDS)
        model = self.model_at + zipf(self.rng, count, MODELS)
        some = [self.attribute_at + zipf(self.rng, count, ATTRIBUTES) for _ in range(attributes)]
        return np.column_stack([leaf, noun, brand, model, *some])

    def text(self, numbers: np.ndarray) -> list[str]:
        """Words of each row; -1 is none."""
        table = self.words
        return [" ".join([table[n] for n in row if n >= 0]) for row in numbers.tolist()]

    def catalogue(self, count: int) -> tuple[pd.DataFrame, np.ndarray]:
        """``count`` distinct phrases in their leaves, as a catalogue; and leaf and noun of each."""
        kept = np.empty((0, 5), np.int64)
        while len(kept) < count:
            rows = self.drawn(count, 1)
            named = self.rng.random((count, 3)) < [0.45, 0.25, 0.45]
            rows[:, 2:] = np.where(named, rows[:, 2:], -1)
            kept = np.concatenate([kept, rows])
            kept = kept[np.sort(np.unique(kept, axis=0, return_index=True)[1])]
        kept = kept[:count]
        text = self.text(kept[:, [2, 4, 1, 3]])
        searchers = (self.rng.pareto(1.1, count) + 1).astype(np.int64)
        table = pd.DataFrame({"keyword": text, "leaf": kept[:, 0], "searchers_28d": searchers, "share": 1.0})
        also = table[self.rng.random(count) < 0.1]
        sibling = also["leaf"] // LEAVES * LEAVES + (also["leaf"] + 1) % LEAVES
        table = pd.concat([table, also.assign(leaf=sibling, share=0.1)], ignore_index=True)
        table["category_id"] = [f"c{leaf}" for leaf in table.pop("leaf")]
        return table, kept[:, :2]

    def items(self, count: int) -> tuple[pd.DataFrame, np.ndarray]:
        """Listings with what retrievers read of them; and leaf and noun of each."""
        rows = self.drawn(count, 4)
        attributes = np.where(np.arange(4) <= self.rng.integers(0, 4, count)[:, None], rows[:, 4:], -1)
        strays = self.stray_at + zipf(self.rng, 3 * count, STRAYS).reshape(count, 3)
        title = self.text(np.column_stack([attributes, rows[:, 1], rows[:, 3], strays]))
        frame = pd.DataFrame(
            {
                "item_id": [f"i{number}" for number in range(count)],
                "category_id": [f"c{leaf}" for leaf in rows[:, 0]],
                "parent_category_id": [f"p{leaf // LEAVES}" for leaf in rows[:, 0]],
                "title": title,
                "brand": self.text(rows[:, 2:3]),
                "size": None,
                "condition": self.rng.choice(["new", "good", "fair"], count),
                "price": np.round(self.rng.lognormal(3, 1, count), 2),
            }
        )
        return frame, rows[:, :2]

    def engaged(self, keywords: pd.Series, phrases: np.ndarray, items: np.ndarray) -> pd.DataFrame:
        """Three listings of its leaf and noun that each phrase led to, where there are any."""
        width = len(self.words)
        key = items[:, 0] * width + items[:, 1]
        order = np.argsort(key, kind="stable")
        wanted = phrases[:, 0] * width + phrases[:, 1]
        low, high = (np.searchsorted(key[order], wanted, side) for side in ("left", "right"))
        row = np.repeat(np.flatnonzero(high > low), 3)
        item = order[(low[row] + self.rng.random(len(row)) * (high - low)[row]).astype(np.int64)]
        frame = pd.DataFrame(
            {"keyword": keywords.to_numpy()[row], "item_id": [f"i{at}" for at in item], "clicks": 1}
        )
        return frame.assign(purchases=0).drop_duplicates(["keyword", "item_id"], ignore_index=True)


def _words(count: int) -> list[str]:
    size = len(SYLLABLES)
    return [SYLLABLES[n % size] + SYLLABLES[n // size % size] + SYLLABLES[n // size**2] for n in range(count)]


def share(folder: str, number: int, most: int) -> int:
    """Keywords of one share of the listings, block by block; how many candidates there were."""
    retrieval = Retrieval.load(Path(folder) / "model")
    items, rows = pd.read_parquet(Path(folder) / f"items{number}.parquet"), 0
    for start in range(0, len(items), BLOCK):
        rows += len(retrieval.candidates(items.iloc[start : start + BLOCK], most))
    return rows


def prepare(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Make the marketplace, fit and save; CPU seconds of each step."""
    market = Market(np.random.default_rng(options.seed))
    catalogue, phrases = market.catalogue(options.keywords)
    items, of_items = market.items(options.items)
    engaged = market.engaged(catalogue["keyword"].iloc[: len(phrases)], phrases, of_items)
    for number, part in enumerate(np.array_split(np.arange(len(items)), options.shares)):
        items.iloc[part].to_parquet(folder / f"items{number}.parquet")
    taught = items[items["item_id"].isin(engaged["item_id"])].iloc[: options.taught]
    known, retrievers, seconds = Phrases.of(catalogue, items), {}, {}
    for name in options.retrievers:
        begun = time.process_time()
        retrievers[name] = RETRIEVERS[name](seed=options.seed, **SETTINGS.get(name, {})).fit(
            known, engaged, taught
        )
        seconds[f"fit {name}"] = time.process_time() - begun
        print(f"fit {name}: {seconds[f'fit {name}']:.0f} s CPU", flush=True)
    begun = time.process_time()
    Retrieval(known, retrievers).save(folder / "model")
    seconds["save"] = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_seconds": seconds, "peak_mib": peak, "engaged": len(engaged), "taught": len(taught)}


def main() -> None:
    """Fit once, then time the lists of all listings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--keywords", type=int, default=500_000)
    parser.add_argument("--taught", type=int, default=200_000)
    parser.add_argument("--most", type=int, default=50)
    parser.add_argument("--shares", type=int, default=8)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--retrievers", nargs="+", choices=list(RETRIEVERS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.retrievers = options.retrievers or [n for n in RETRIEVERS if AVAILABLE or n != "two_tower"]
    with tempfile.TemporaryDirectory() as folder:
        fitted = prepare(Path(folder), options)
        tasks = [Task(f"share {n}", share, (folder, n, options.most)) for n in range(options.shares)]
        stage = run_stage("lists", tasks, options.slots, lambda line: print(line, flush=True))
    result = {
        "items": options.items,
        "keywords": options.keywords,
        "retrievers": options.retrievers,
        "fit": fitted,
        "seconds": stage.seconds,
        "cpu_seconds": sum(task.cpu_seconds for task in stage.tasks),
        "candidates": sum(task.rows for task in stage.tasks),
        "peak_mib": stage.peak_mib,
        "others_cores": stage.others,
        "machine": describe(),
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
