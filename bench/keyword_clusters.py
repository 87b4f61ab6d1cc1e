"""Do near-duplicates of keywords come together, and nothing else? Planted variants whose phrase is known.

    python bench/keyword_clusters.py                                # 20,000 phrases, 100,000 texts typed
    python bench/keyword_clusters.py --texts 1000000 --json f.json   # a million distinct texts

Precision and recall are over pairs of texts: a pair is right when both were typed for one phrase.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.planted_keywords import planted  # noqa: E402
from recsys.keywords.agreement import agreement  # noqa: E402
from recsys.keywords.cluster import clean  # noqa: E402
from recsys.keywords.filters import load_policy  # noqa: E402

TYPED_A_TEXT = 1.85
"""How often has to be typed for one more distinct text, roughly."""


def by_noise(table: pd.DataFrame) -> dict[str, float]:
    """Share of the texts of each kind of noise that are with the clean text of their phrase."""
    clean_of = table[table["noise"] == "clean"].drop_duplicates("truth").set_index("truth")["keyword"]
    other = table[(table["noise"] != "clean") & table["truth"].isin(clean_of.index)]
    found = other["keyword"] == other["truth"].map(clean_of)
    return found.groupby(other["noise"]).agg(["mean", "size"]).query("size >= 200")["mean"].round(4).to_dict()


def main() -> None:
    """Plant, cluster, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phrases", type=int, default=20_000, help="How many phrases are meant.")
    parser.add_argument("--texts", type=int, default=100_000, help="About how many distinct texts are typed.")
    parser.add_argument("--seed", type=int, default=1, help="Other words, other slips.")
    parser.add_argument("--json", type=Path, default=None, help="Write the figures here too.")
    options = parser.parse_args()
    texts = planted(options.phrases, int(options.texts * TYPED_A_TEXT), options.seed)
    policy = load_policy(PROJECT / "include" / "keywords" / "policy.yaml")
    wall, cpu = time.perf_counter(), time.process_time()
    variants = clean(texts[["raw", "searchers"]], policy)
    figures: dict[str, object] = {
        "texts": len(texts),
        "phrases": int(texts["truth"].nunique()),
        "wall seconds": round(time.perf_counter() - wall, 1),
        "CPU seconds": round(time.process_time() - cpu, 1),
        "peak GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    table = texts.merge(variants[["raw", "keyword", "reason"]], on="raw", validate="one_to_one")
    result = agreement(table["keyword"].tolist(), table["truth"].tolist())
    figures |= {
        "precision": round(result.precision, 4),
        "recall": round(result.recall, 4),
        "clusters": int(table["keyword"].nunique()),
        "refused": int(table["reason"].notna().sum()),
        "recall by noise": by_noise(table),
    }
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
