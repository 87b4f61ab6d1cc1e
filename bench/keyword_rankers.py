"""Rankers of keywords beside each other: how sharp, how true, how fast, and what 8 bits cost.

    python bench/keyword_rankers.py --users 4000 --share 0.3 --days 84 --trials 20 --dir FOLDER --json FILE

A marketplace with many campaigns is played once and kept (``keyword_world``). Its weeks are split by time
(``keywords.compare``): the early ones teach, one tunes, one calibrates, the last two judge.

* figures: AUC, log-loss per ad shown beside that of one rate for all, calibration error, and CPU seconds.
* truth: the chances that the simulator knows, of phrases that buyers search, for listings drawn at random: rank
  correlation with those predicted, and the share of the best ten's sales that the first ten predicted have.
* latency: CPU time of the models, and of a whole answer with its features, for one item with 50 candidates.
* 8 bits: size, latency and AUC of the network with weights of 8 bits against 32; and, where PyTorch is installed, the
  latency of the same layers in its own quantised kernels.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from bench.keyword_world import World, played, variants_of
from bench.machine import describe
from recsys.keywords.compare import Result, Slices, against, judge
from recsys.keywords.filters import load_policy
from recsys.keywords.labels import Week, week
from recsys.keywords.ranker import MODELS, KeywordRanker
from recsys.keywords.rankers.network import Network
from recsys.models.neural import AVAILABLE, require_torch
from recsys.settings import PROJECT_ROOT
from recsys.synthetic.config import preset
from recsys.synthetic.keyword_truth import KeywordTruth
from recsys.synthetic.play import dawn

CANDIDATES, REPEATS = 50, 300
AD_RATE = 0.07
FIRST_WEEKS = 2
"""Weeks without 28 days of searches behind them, left out."""


def weeks_of(world: World) -> list[Week]:
    """Every week of the world but the first ones."""
    policy, frames, variants = load_policy(PROJECT_ROOT / "include" / "keywords" / "policy.yaml"), [], None
    for eve in world.eves():
        variants = variants_of(world, policy, eve, variants)
        frames.append(world.frames(eve, variants))
    return [week(eve, later) for eve, later in pairwise(frames)][FIRST_WEEKS:]


def truth_of(world: World, last: Week, listings: int, rng: np.random.Generator) -> pd.DataFrame:
    """[item_id, keyword, relevance, searches, p_win, p_click, p_purchase, wishes] for the week after the last eve."""
    day = last.ds + timedelta(days=1)
    morning, _ = dawn(world.state(last.ds), day)
    truth = KeywordTruth(morning, day, rng)
    known = last.items[last.items["is_live"] & (last.items["age_days"] > 0)]["item_id"]
    parts = []
    for item in rng.choice(known, listings, replace=False):
        number = int(item[1:])
        phrases = truth.phrases(int(morning.items["leaf"][number]))
        parts.append(truth.of_item(number, phrases, AD_RATE, 7.0).assign(item_id=item))
    table = pd.concat(parts, ignore_index=True)
    table["keyword"] = table["keyword"].str.lower()
    return table[table["keyword"].isin(set(last.catalogue["keyword"])) & table["p_click"].notna()]


def against_truth(ranker: KeywordRanker, last: Week, truth: pd.DataFrame) -> dict[str, float]:
    """Rank correlations with the truth, and the share of the best ten's sales."""
    found = ranker.score(truth[["item_id", "keyword"]], last.items, last.catalogue, AD_RATE)
    sales = found[["searches_7d", "p_win", "p_click", "p_purchase"]].prod(axis=1)
    pairs = {name: (found[name], truth[name]) for name in ("p_win", "p_click", "p_purchase", "relevance")}
    told = {
        name: float(spearmanr(*both)[0])
        for name, both in {**pairs, "sales": (sales, truth["wishes"])}.items()
    }
    shares = []
    for _, rows in truth.assign(sales=sales).groupby("item_id"):
        best = rows["wishes"].nlargest(10).sum()
        shares.append(rows.nlargest(10, "sales")["wishes"].sum() / best)
    return told | {"share_of_best_10": float(np.mean(shares))}


def microseconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """CPU time of one call, the median of ten runs of ``repeats`` / 10 calls."""
    call()
    times = []
    for _ in range(10):
        started = time.process_time()
        for _ in range(repeats // 10):
            call()
        times.append((time.process_time() - started) / (repeats // 10))
    return float(np.median(times)) * 1e6


def latency(ranker: KeywordRanker, last: Week, features: np.ndarray) -> dict[str, float]:
    """CPU time for one item: both models on 50 candidates, and the whole answer."""
    item = last.items[last.items["is_live"]].iloc[[0]]
    keywords = last.catalogue[last.catalogue["category_id"] == item["category_id"].iloc[0]]["keyword"]
    keywords = keywords.drop_duplicates().head(CANDIDATES)
    candidates = pd.DataFrame({"item_id": item["item_id"].iloc[0], "keyword": keywords})
    part = last.catalogue[last.catalogue["keyword"].isin(keywords)]
    some = features[:CANDIDATES]
    return {
        "models_us": microseconds(lambda: ranker.predict(some)),
        "answer_ms": microseconds(lambda: ranker.score(candidates, item, part, AD_RATE), 50) / 1e3,
    }


def eight_bits(network: Network, features: np.ndarray) -> dict[str, Any]:
    """Size and CPU time of a network by the bits of its weights, one item and 10,000 candidates at once."""
    small = network.quantised()
    many = np.tile(features, (10_000 // len(features) + 1, 1))[:10_000]
    told: dict[str, Any] = {}
    for name, model in (("float32", network), ("int8", small)):
        told[name] = {
            "weight_bytes": sum(weights.nbytes for weights, _ in model.layers),
            "bytes": sum(
                a.nbytes for key, a in model.arrays().items() if key[:4] in {"weig", "bias", "step"}
            ),
            "item_us": microseconds(lambda model=model: model.logit(features[:CANDIDATES])),
            "10000_ms": microseconds(lambda model=model: model.logit(many), 20) / 1e3,
        }
    gap = np.abs(small.logit(features) - network.logit(features))
    told["logit_gap"] = {"mean": float(gap.mean()), "largest": float(gap.max())}
    if AVAILABLE and hasattr(require_torch().ao, "quantization"):
        told["torch"] = in_torch(network, many)
    return told


def in_torch(network: Network, many: np.ndarray) -> dict[str, float]:
    """CPU time of the same layers in PyTorch, in float32 and by its dynamic quantisation: microseconds."""
    torch = require_torch()
    torch.set_num_threads(1)
    parts = []
    for weights, bias in network.layers:
        linear = torch.nn.Linear(*weights.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(weights.T))
            linear.bias.copy_(torch.tensor(bias))
        parts += [linear, torch.nn.ReLU()]
    plain = torch.nn.Sequential(*parts[:-1]).eval()
    small = torch.ao.quantization.quantize_dynamic(plain, {torch.nn.Linear}, dtype=torch.qint8)
    inputs = torch.tensor(network.scale.inputs(many).astype(np.float32))
    told = {}
    with torch.inference_mode():
        for name, model in (("float32", plain), ("int8", small)):
            told[f"{name}_item_us"] = microseconds(lambda model=model: model(inputs[:CANDIDATES]))
            told[f"{name}_10000_us"] = microseconds(lambda model=model: model(inputs), 50)
    return told


def shown(result: Result, base: Result, slices: Slices) -> dict[str, Any]:
    """The figures of a model as they go into the JSON, and printed."""
    table = result.table.merge(against(result, base, slices), on="head")
    print(f"\n{result.model}\n{table.round(5).to_string(index=False)}\n{dict(result.chosen)}", flush=True)
    return {"figures": table.to_dict("records"), "chosen": {h: dict(v) for h, v in result.chosen.items()}}


def why(results: Mapping[str, Result], features: np.ndarray) -> dict[str, Any]:
    """The coefficients of the straight line, and the mean size of SHAP values of both kinds of trees."""
    told = {}
    for head in ("click", "purchase"):
        told[f"logistic {head}"] = (
            results["logistic"].heads[head].coefficients().set_index("feature")["weight"].head(12)
        )
        for name in ("lightgbm", "xgboost"):
            shares = results[name].heads[head].explain(features)
            size = pd.Series(np.abs(shares.values).mean(axis=0), shares.names)
            told[f"{name} {head}"] = size.sort_values(ascending=False).head(12)
    for name, values in told.items():
        print(f"\n{name}\n{values.round(3).to_string()}")
    return {name: values.round(4).to_dict() for name, values in told.items()}


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, kind, default in (
        ("users", int, 4_000),
        ("share", float, 0.3),
        ("days", int, 84),
        ("trials", int, 20),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--listings", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    config = preset("demo", users=options.users, campaign_share=options.share)
    world = played(config, options.days, options.dir, print)
    weeks = weeks_of(world)
    slices, results, told = Slices.of(weeks), {}, {}
    features, _ = slices.outcomes("test")
    truth = truth_of(world, weeks[-1], options.listings, np.random.default_rng(options.seed))
    base = KeywordRanker.fit(
        weeks[: -slices.test_weeks], seed=options.seed
    )  # slot and relevance are one for all
    for name in MODELS:
        results[name] = judge(slices, name, trials=options.trials, seed=options.seed)
        told[name] = shown(results[name], results["logistic"], slices)
        ranker = replace(base, **results[name].heads, curves=results[name].curves)
        told[name]["truth"] = against_truth(ranker, weeks[-1], truth)
        told[name]["latency"] = latency(ranker, weeks[-1], features)
        print(
            {key: np.round(list(told[name][key].values()), 3).tolist() for key in ("truth", "latency")},
            flush=True,
        )
    told["eight_bits"] = eight_bits(results["network"].heads["click"], features)
    print("\n8 bits", json.dumps(told["eight_bits"], indent=1))
    told |= {
        "why": why(results, features),
        "machine": describe(),
        "options": vars(options) | {"dir": "", "json": ""},
    }
    if options.json:
        options.json.write_text(json.dumps(told, indent=1, default=float))


if __name__ == "__main__":
    main()
