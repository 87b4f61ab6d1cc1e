"""Are the statistics of experiments right? Thousands of experiments whose truth is known.

    python bench/experiments.py                      # all parts, 2,000 runs each
    python bench/experiments.py aa --runs 500        # one part: aa, looks, power or cuped
    python bench/experiments.py --json figures.json

  aa     both arms alike, for every kind, with and without CUPED and winsorising: how often the test rejects, whether
         its p-values are uniform (Kolmogorov-Smirnov), how often the interval holds 0.
  looks  both arms alike, looked at every day: how often any look rejects, under each design and under the fixed one.
  power  the lift and the units that the planning asks for: how often it is found.
  cuped  widths with and without the covariate, beside what the correlation promises.

A share p counted over n runs has the standard error sqrt(p (1 - p) / n): half a point near 5 % with 2,000 runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.looks import looks  # noqa: E402
from recsys.experiments.analysis.values import Values  # noqa: E402
from recsys.experiments.planning import history_of, needed, terms  # noqa: E402
from recsys.experiments.populations import POPULATIONS, revenue  # noqa: E402
from recsys.experiments.simulation import Played, Setting, play  # noqa: E402
from recsys.experiments.statistics.moments import Moments  # noqa: E402

Row = dict[str, object]
WINSORISE = 0.99
EFFECTS = {
    "revenue": 0.15,
    "conversion": 0.1,
    "click-through": 0.08,
    "median hours": 0.1,
    "p90 of hours": 0.12,
}
"""Smallest lifts that matter, for the power; small enough to ask for thousands of units."""
UNITS = 4_000


def variants(kind: str) -> list[tuple[bool, float | None]]:
    """(with CUPED, winsorised at) that make sense of a kind."""
    caps = (None, WINSORISE) if kind in {"mean", "ratio"} else (None,)
    return [(cuped, cap) for cuped in ((False, True) if kind != "quantile" else (False,)) for cap in caps]


def aa(runs: int, seed: int) -> list[Row]:
    """Play both arms alike."""
    rows = []
    for name, drawn in POPULATIONS.items():
        for cuped, cap in variants(drawn.kind):
            setting = Setting(drawn.kind, (UNITS, UNITS), cuped=cuped, winsorise=cap, quantile=drawn.quantile)
            played = play(drawn.draw, setting, runs, np.random.default_rng(seed))
            rows.append(
                {
                    "metric": name,
                    "CUPED": _yes(cuped),
                    "winsorised": _yes(cap),
                    "rejected": played.rejected,
                    "KS p-value": played.ks_p_value,
                    "interval holds 0": played.coverage(0.0),
                    "lift interval holds 0": played.relative_coverage(0.0),
                    "in Monte-Carlo error": _yes(_as_promised(played)),
                }
            )
    return rows


def power(runs: int, seed: int) -> list[Row]:
    """Play the lift that was stated with the units that the planning asks for."""
    rows = []
    asked = terms(None, None, alpha=0.05, target=0.8, design="fixed", looks=1)
    for name, drawn in POPULATIONS.items():
        past = drawn.draw(500_000, np.random.default_rng(seed + 1))
        for cuped, cap in variants(drawn.kind):
            known = Values(name, drawn.kind, past, np.zeros(len(past), np.int64), cuped, drawn.quantile, ())
            plan = needed(history_of(known, cap), EFFECTS[name], asked)
            arms = plan.units_by_arm["control"], plan.units_by_arm["treatment"]
            setting = Setting(
                drawn.kind, arms, plan.effect, cuped=cuped, winsorise=cap, quantile=drawn.quantile
            )
            played = play(drawn.draw, setting, runs, np.random.default_rng(seed))
            rows.append(
                {
                    "metric": name,
                    "CUPED": _yes(cuped),
                    "winsorised": _yes(cap),
                    "stated lift": plan.effect,
                    "units": plan.units,
                    "promised": plan.power,
                    "found": played.rejected,
                    "points off": 100 * (played.rejected - plan.power),
                    "lift interval holds it": played.relative_coverage(plan.effect),
                }
            )
    return rows


def cuped(runs: int, seed: int) -> list[Row]:
    """Set the widths with a covariate beside those without, of the same draws."""
    rows = []
    for name, drawn in POPULATIONS.items():
        if not drawn.has_covariate:
            continue
        plain, adjusted = (
            play(
                drawn.draw,
                Setting(drawn.kind, (UNITS, UNITS), cuped=on),
                runs,
                np.random.default_rng(seed),
            )
            for on in (False, True)
        )
        correlation = _correlation(drawn.kind, drawn.draw(400_000, np.random.default_rng(seed + 1)))
        shrunk = (adjusted.highs - adjusted.lows) / (plain.highs - plain.lows)
        rows.append(
            {
                "metric": name,
                "correlation": correlation,
                "width, of that without": adjusted.width / plain.width,
                "promised: sqrt(1 - r^2)": float(np.sqrt(1 - correlation**2)),
                "units needed, of those without": float(adjusted.differences.var() / plain.differences.var()),
                "promised: 1 - r^2": 1 - correlation**2,
                "runs in which it was wider": float((shrunk > 1).mean()),
            }
        )
    noise = play(_with_noise, Setting("mean", (UNITS, UNITS)), runs, np.random.default_rng(seed))
    useless = play(
        _with_noise, Setting("mean", (UNITS, UNITS), cuped=True), runs, np.random.default_rng(seed)
    )
    rows.append(
        {
            "metric": "revenue, a covariate of pure noise",
            "correlation": 0.0,
            "width, of that without": useless.width / noise.width,
            "promised: sqrt(1 - r^2)": 1.0,
            "units needed, of those without": float(useless.differences.var() / noise.differences.var()),
            "promised: 1 - r^2": 1.0,
            "runs in which it was wider": float(
                (useless.highs - useless.lows > noise.highs - noise.lows).mean()
            ),
        }
    )
    return rows


def _with_noise(units: int, rng: np.random.Generator) -> np.ndarray:
    rows = revenue(units, rng)
    rows[:, 1] = rng.normal(size=units)
    return rows


def _correlation(kind: str, rows: np.ndarray) -> float:
    """Correlation of what a unit adds to the metric with what it adds to the covariate."""
    if kind == "ratio":
        mean = rows.mean(axis=0)
        rows = np.column_stack(
            [rows[:, place] - mean[place] / mean[place + 1] * rows[:, place + 1] for place in (0, 2)]
        )
    spread = Moments.of(*rows.T).covariance
    return float(spread[0, 1] / np.sqrt(spread[0, 0] * spread[1, 1]))


def _as_promised(played: Played) -> bool:
    """Whether the rejections are as near to alpha as 95 of 100 such counts are."""
    alpha = played.setting.alpha
    return abs(played.rejected - alpha) <= 1.96 * played.monte_carlo_error(alpha)


def _yes(value: object) -> str:
    return "yes" if value else "no"


PARTS: dict[str, Callable[[int, int], list[Row]]] = {"aa": aa, "looks": looks, "power": power, "cuped": cuped}


def table(rows: list[Row]) -> str:
    """Write the rows as a Markdown table."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" + " ---: |" * (len(names) - 1)]
    for row in rows:
        cells = [f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Play, print tables and, where asked, write all figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, list[Row]] = {}
    for part in options.parts or PARTS:
        started = time.process_time()
        figures[part] = PARTS[part](options.runs, options.seed)
        print(
            f"\n{part}, {options.runs:,} runs, {time.process_time() - started:.0f} s of CPU\n\n{table(figures[part])}"
        )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
