"""Keywords are offered to half of the sellers, who use them or not: is the effect that the engine gives the true one?

    python bench/campaign_experiment.py                        # interval, power and decide
    python bench/campaign_experiment.py interval --runs 10000
    python bench/campaign_experiment.py market --worlds 10     # the whole synthetic marketplace; some minutes

  interval  thousands of experiments whose truth is known by integration (bench/campaign_world.py): how often each
            interval holds it, of the offer, of use by Fieller and by the delta method, and of "used against not".
  power     sellers needed to find a lift of 1 % with 80 % power at 5 %, and how often it is then found.
  decide    go or no-go by the rules of ``experiments.decision``, with nothing to find, a lift, a loss, and a lift that
            costs campaigns; 200 experiments each at most.
  market    the marketplace with ads: split, everybody offered, nobody offered.

A share p counted over n runs has the standard error sqrt(p (1 - p) / n): 0.2 points near 95 % with 10,000 runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.campaign_market import market  # noqa: E402
from bench.campaign_world import KINDS, OUTCOMES, Sellers, Truth, World, draw, truth  # noqa: E402
from bench.experiments import table  # noqa: E402
from recsys import schema  # noqa: E402
from recsys.experiments.analysis.values import Values  # noqa: E402
from recsys.experiments.decision import decide as decide_on  # noqa: E402
from recsys.experiments.definition import Arm, Design, Experiment  # noqa: E402
from recsys.experiments.metrics import load_metrics  # noqa: E402
from recsys.experiments.planning import history_of, needed, terms  # noqa: E402
from recsys.experiments.readout import COLUMNS, read_out  # noqa: E402
from recsys.experiments.statistics import Moments, compare, effect_of_use  # noqa: E402
from recsys.experiments.statistics.instrument import Bounded, EffectOfUse  # noqa: E402

Row = dict[str, object]
SELLERS = 4_000
ADOPTIONS = (0.4, 0.1, 0.005)
LIFT = 0.01
"""The relative lift that is planned for."""
FOUND = 0.08
"""The lift of purchases by use that the experiments of ``decide`` are large enough for."""
MARGIN = 0.03
"""The relative loss of campaigns that is tolerated."""


def interval(runs: int, seed: int) -> list[Row]:
    """Count how often intervals hold the truth."""
    rows = []
    for adoption in ADOPTIONS:
        world, rng = World(adoption=adoption), np.random.default_rng(seed)
        known = {name: truth(world, name) for name in OUTCOMES}
        seen: dict[str, list[list[float]]] = {name: [] for name in OUTCOMES}
        for _ in range(runs):
            arms = [draw(world, SELLERS, offered, rng) for offered in (False, True)]
            for name, true in known.items():
                found = effect_of_use(KINDS[name], *(_moments(arm, name) for arm in arms), alpha=0.05)
                assert found is not None
                seen[name].append(_held(found, true))
        for name, true in known.items():
            middle, off = np.nanmedian(np.array(seen[name])[:, :2], axis=0).tolist()
            held = dict(zip(HELD, np.array(seen[name])[:, 2:].mean(axis=0).tolist(), strict=True))
            figures = {"true effect of use": true.use, "median estimate": middle, "median naive": off}
            rows.append({"outcome": name, "used": true.share} | figures | held)
    return rows


HELD = ("offer holds", "use holds (Fieller)", "use holds (delta)", "relative holds", "naive holds")


def _held(found: EffectOfUse, true: Truth) -> list[float]:
    """Estimate, naive estimate and what holds the truth; where nothing can be said, nothing is ruled out."""
    naive = found.naive or Bounded(np.nan, None, None)
    return [
        np.nan if found.effect is None else found.effect.value,
        naive.value,
        found.offer.low <= true.offer <= found.offer.high,
        found.effect is None or found.effect.holds(true.use),
        found.delta is None or found.delta.holds(true.use),
        found.relative is None or found.relative.holds(true.relative),
        naive.holds(true.use),
    ]


def _moments(arm: Sellers, outcome: str) -> Moments:
    values = arm.outcome(outcome)
    return Moments.of(values, arm.used, values * arm.used)


def power(runs: int, seed: int) -> list[Row]:
    """Plan for a lift of 1 % over all sellers, and over those alone who use the offer."""
    asked = terms(None, None, alpha=0.05, target=0.8, design="fixed", looks=1)
    rng = np.random.default_rng(seed)
    past, rows = draw(World(), 500_000, False, rng), []
    for name, covariate in ((name, on) for name in OUTCOMES for on in (False, True)):
        columns = [past.outcome(name)] + ([past.before.astype(np.float64)] if covariate else [])
        taken = Values(
            name, KINDS[name], np.column_stack(columns), np.zeros(500_000, np.int64), covariate, None, ()
        )
        true = truth(World(), name)
        among_users = LIFT * true.share * true.baseline / true.mean
        plans = [needed(history_of(taken), lift, asked) for lift in (LIFT, among_users)]
        found = ""
        if KINDS[name] == "proportion" and not covariate:
            found = f"{_found(plans[0].units // 2, float(columns[0].mean()), runs, rng):.3f}"
        rows.append(
            {
                "outcome": name,
                "CUPED": "yes" if covariate else "no",
                "mean per seller": float(columns[0].mean()),
                "sellers, 1 % over all": f"{plans[0].units:,}",
                "promised": plans[0].power,
                "found": found,
                "lift over all if 1 % among users": among_users,
                "sellers, 1 % among users": f"{plans[1].units:,}",
            }
        )
    return rows


def _found(units: int, rate: float, runs: int, rng: np.random.Generator) -> float:
    """How often the score test finds the lift in arms of so many units each."""
    hits = 0
    for old, new in zip(
        rng.binomial(units, rate, runs), rng.binomial(units, rate * (1 + LIFT), runs), strict=True
    ):
        arms = [Moments.from_sums(units, [count], [[count]]) for count in (old, new)]
        result = compare("proportion", *arms, alpha=0.05)
        hits += result is not None and result.p_value <= 0.05
    return hits / runs


def decide(runs: int, seed: int) -> list[Row]:
    """Play experiments to their end and let the rules decide."""
    worlds = {
        "nothing": World(lift=0.0),
        f"lift of {FOUND:.0%} by use": World(lift=FOUND),
        f"loss of {FOUND:.0%} by use": World(lift=-FOUND),
        f"lift of {FOUND:.0%} by use, {2 * MARGIN:.0%} fewer campaigns": World(lift=FOUND, fewer=2 * MARGIN),
    }
    history = draw(World(), 400_000, False, np.random.default_rng(seed + 1))
    taken = Values(
        "", "proportion", history.outcome("purchase rate")[:, None], np.zeros(400_000, int), False, None, ()
    )
    true = truth(World(lift=FOUND), "purchase rate")
    asked = terms(None, None, alpha=0.05, target=0.8, design="fixed", looks=1)
    units = needed(history_of(taken), true.offer / true.mean, asked).units // 2
    rows = []
    for name, world in worlds.items():
        rng, found = np.random.default_rng(seed), Counter[str]()
        for _ in range(min(runs, 200)):
            found[_decided(world, units, rng)] += 1
        total = sum(found.values())
        rows.append(
            {"world": name, "sellers": f"{2 * units:,}", "experiments": total}
            | {
                rule: found[rule] / total
                for rule in ("win", "guardrail_open", "guardrail", "loss", "inconclusive")
            }
        )
    return rows


METRICS = load_metrics(PROJECT / "include" / "metrics.yaml")
END = date(2026, 3, 29)
EXPERIMENT = Experiment(
    id="keywords_offered",
    hypothesis="Sellers who are offered keywords sell more through ads, and start no fewer campaigns.",
    unit="seller",
    salt="keywords_offered_1",
    start=date(2026, 3, 2),
    end=END,
    control="none",
    arms=(Arm("none", "no_keywords", 0.5), Arm("offered", "keywords", 0.5)),
    primary="ad_purchase_rate",
    secondary=(),
    guardrails={"campaigns_per_seller": MARGIN},
    design=Design(),
)
_PASSED = pd.DataFrame({"check_id": ["sample_ratio"], "message": [""], "success": [True], "blocks": [True]})
_NO_VALUES = pd.DataFrame(columns=schema.table("experiments.value_counts").column_names)


def _decided(world: World, units: int, rng: np.random.Generator) -> str:
    rows = []
    for name, offered in (("none", False), ("offered", True)):
        arm = draw(world, units, offered, rng)
        rows += [_sums("ad_purchase_rate", name, arm.outcome("purchase rate"))]
        rows += [_sums("campaigns_per_seller", name, arm.campaigns.astype(np.float64))]
    seen = {END: read_out(EXPERIMENT, METRICS, pd.DataFrame(rows), _NO_VALUES, ds=END, rng=rng)}
    return decide_on(EXPERIMENT, END, seen, _PASSED).rule


def _sums(metric: str, arm: str, values: np.ndarray) -> Row:
    row: Row = {"metric": metric, "arm": arm, "units": len(values), "cap": None, "scope": "cumulative"}
    row |= {"segment": "all", "segment_value": "all"}
    row |= dict.fromkeys([*COLUMNS, *(f"{a}_{b}" for i, a in enumerate(COLUMNS) for b in COLUMNS[i:])], 0.0)
    return row | {"num": float(values.sum()), "num_num": float(values @ values)}


PARTS: dict[str, Callable[[int, int], list[Row]]] = {"interval": interval, "power": power, "decide": decide}


def main() -> None:
    """Play, print tables and, where asked, write all figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "market", []], metavar="part", help="see above")
    parser.add_argument("--runs", type=int, default=4_000)
    parser.add_argument("--worlds", type=int, default=10, help="of the marketplace")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, list[Row]] = {}
    for part in options.parts or PARTS:
        began = time.process_time()
        number = options.worlds if part == "market" else options.runs
        play = market if part == "market" else PARTS[part]
        figures[part] = play(number, options.seed)
        took = time.process_time() - began
        print(f"\n{part}, {number:,} runs, {took:.0f} s of CPU\n\n{table(figures[part])}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
