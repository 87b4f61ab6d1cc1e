"""Do near-duplicates of keywords come together, and nothing else? Planted variants whose phrase is known.

    python bench/keyword_clusters.py                                # 20,000 phrases, 108,000 distinct texts
    python bench/keyword_clusters.py --typed 3000000 --json f.json   # a million distinct texts
    python bench/keyword_clusters.py --days 7                        # the same texts, a seventh new on each day
    python bench/keyword_clusters.py --world var/worlds --played 28  # what the simulator's sellers and buyers typed

Precision and recall are over pairs of texts: a pair is right when both were typed for one phrase.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.keyword_world import played  # noqa: E402
from bench.planted_keywords import planted  # noqa: E402
from recsys.keywords.agreement import agreement  # noqa: E402
from recsys.keywords.cluster import clean, update  # noqa: E402
from recsys.keywords.filters import Policy, load_policy  # noqa: E402
from recsys.synthetic import preset  # noqa: E402
from recsys.synthetic.keyword_truth import phrase_of, typed_keywords  # noqa: E402


def by_noise(table: pd.DataFrame) -> dict[str, float]:
    """Share of the texts of each kind of noise that are with the clean text of their phrase."""
    clean_of = table[table["noise"] == "clean"].drop_duplicates("truth").set_index("truth")["keyword"]
    other = table[(table["noise"] != "clean") & table["truth"].isin(clean_of.index)]
    found = other["keyword"] == other["truth"].map(clean_of)
    return found.groupby(other["noise"]).agg(["mean", "size"]).query("size >= 200")["mean"].round(4).to_dict()


def compared(texts: pd.DataFrame, variants: pd.DataFrame) -> dict[str, object]:
    """Precision, recall and what was refused; texts without a truth (no phrase) should be."""
    table = texts.merge(variants[["raw", "keyword", "reason"]], on="raw", validate="one_to_one")
    meant = table[table["truth"].notna()]
    result = agreement(meant["keyword"].tolist(), meant["truth"].tolist())
    refused = table["reason"].notna()
    figures: dict[str, object] = {
        "texts": len(table),
        "phrases": int(meant["truth"].nunique()),
        "precision": round(result.precision, 4),
        "recall": round(result.recall, 4),
        "clusters": int(meant["keyword"].nunique()),
        "phrases refused": int(refused[meant.index].sum()),
    }
    if len(meant) < len(table):
        figures |= {
            "no phrase": len(table) - len(meant),
            "no phrase, refused": int(refused.sum() - refused[meant.index].sum()),
        }
    return figures | ({"found by noise": by_noise(table)} if "noise" in table else {})


def of_world(root: Path, days: int, seed: int) -> pd.DataFrame:
    """What was searched and typed for campaigns in a simulated marketplace, with the phrases meant."""
    config = preset("demo", users=20_000, campaign_share=0.3, seed=seed)
    world = played(config, days, root, lambda told: print(told, file=sys.stderr))
    eve = world.eves()[-1]
    typed = typed_keywords(world.state(eve)).drop_duplicates("keyword").set_index("keyword")["phrase"]
    texts = world.raw(eve).groupby("raw", as_index=False)["searchers"].sum()
    searched = pd.Series(phrase_of(texts["raw"]), index=texts.index, dtype=object)
    return texts.assign(truth=texts["raw"].map(typed).where(texts["raw"].isin(typed.index), searched))


def day_by_day(texts: pd.DataFrame, days: int, policy: Policy, seed: int) -> pd.DataFrame:
    """The variants after ``days`` days on each of which a share of the texts is typed first."""
    day = np.random.default_rng(seed).integers(0, days, len(texts))
    variants = clean(texts[day == 0], policy)
    for today in range(1, days):
        variants = update(variants, texts[day == today], policy, remembered=1.0)
    return variants


def main() -> None:
    """Plant, cluster, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phrases", type=int, default=20_000, help="How many phrases are meant.")
    parser.add_argument("--typed", type=int, default=185_000, help="How often phrases are typed in all.")
    parser.add_argument("--seed", type=int, default=1, help="Other words, other slips.")
    parser.add_argument("--days", type=int, default=1, help="Over how many days the texts are spread.")
    parser.add_argument("--world", type=Path, default=None, help="Play the simulator; keep its world here.")
    parser.add_argument("--played", type=int, default=28, help="Days of the simulator.")
    parser.add_argument("--json", type=Path, default=None, help="Write the figures here too.")
    options = parser.parse_args()
    if options.world:
        texts = of_world(options.world, options.played, options.seed)
    else:
        texts = planted(options.phrases, options.typed, options.seed)
    policy = load_policy(PROJECT / "include" / "keywords" / "policy.yaml")
    raw = texts[["raw", "searchers"]]
    wall, cpu = time.perf_counter(), time.process_time()
    variants = (
        clean(raw, policy) if options.days == 1 else day_by_day(raw, options.days, policy, options.seed)
    )
    figures: dict[str, object] = {
        "wall seconds": round(time.perf_counter() - wall, 1),
        "CPU seconds": round(time.process_time() - cpu, 1),
        "peak GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    figures |= compared(texts, variants)
    told = json.dumps(figures, indent=2, ensure_ascii=False)
    print(told)
    if options.json:
        options.json.write_text(told + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
