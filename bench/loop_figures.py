"""What came out of a closed loop: means with intervals, calibration by price, kinds of users, young listings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self

import numpy as np

RESAMPLES = 2_000
BLOCK = 5
"""Days next to each other share a model and a shelf, so they are resampled together; fewer where days are few."""
DECILES = 10


@dataclass(frozen=True)
class Pairs:
    """Users and listings of their lists that were on screen: price, predicted chance of a purchase, and whether."""

    price: np.ndarray
    predicted: np.ndarray
    bought: np.ndarray


@dataclass
class Day:
    """One morning, played with every policy.

    ``rpu``: revenue per user by replication; ``segments`` [kinds of users, (users, revenue, buyers)], ``fresh``
    (purchases, of listings younger than a day, revenue, theirs) and ``reach`` (impressions, listings shown) are sums
    over the replications.
    """

    ds: date
    kinds: tuple[str, ...]
    rpu: dict[str, np.ndarray]
    segments: dict[str, np.ndarray]
    fresh: dict[str, np.ndarray]
    reach: dict[str, np.ndarray]
    pairs: list[Pairs] = field(default_factory=list)

    @classmethod
    def empty(cls, ds: date, policies: Sequence[str], kinds: tuple[str, ...], replications: int) -> Self:
        """A day of which nothing was measured yet."""
        return cls(
            ds,
            kinds,
            {name: np.zeros(replications) for name in policies},
            {name: np.zeros((len(kinds), 3)) for name in policies},
            {name: np.zeros(4) for name in policies},
            {name: np.zeros(2) for name in policies},
        )


def figures(days: Sequence[Day], seed: int) -> dict[str, Any]:
    """Everything as plain numbers: ``rpu`` [mean, low, high], ``ratios`` of the first policy to each other one,
    ``daily``, ``calibration`` by decile of price, ``segments``, ``fresh``, ``reach``. Intervals hold 95 % and come from
    resampling blocks of days."""
    daily = {name: np.array([day.rpu[name].mean() for day in days]) for name in days[0].rpu}
    draw = _draws(len(days), seed)
    first = next(iter(daily))
    return {
        "rpu": {name: _interval(values, draw, lambda v: v.mean(axis=-1)) for name, values in daily.items()},
        "ratios": {
            f"{first} / {name}": _ratio(daily[first], values, draw)
            for name, values in daily.items()
            if name != first
        },
        "daily": [
            {"ds": str(day.ds), **{n: round(float(v.mean()), 5) for n, v in day.rpu.items()}} for day in days
        ],
        "calibration": calibration([pairs for day in days for pairs in day.pairs], _blocks(days)),
        "segments": {name: _segments(days, name) for name in daily},
        "fresh": {name: _fresh(days, name) for name in daily},
        "reach": {
            name: {
                "impressions": float(sum(day.reach[name][0] for day in days)),
                "listings_per_day": float(np.mean([day.reach[name][1] / len(day.rpu[name]) for day in days])),
            }
            for name in daily
        },
    }


def calibration(pairs: Sequence[Pairs], block: np.ndarray) -> list[dict[str, float]]:
    """By decile of the price of what was on screen: what was predicted against what happened.

    ``error`` is (predicted - bought) / bought, ``noise`` the standard error of it that chance alone gives, from the
    spread between the groups of ``pairs`` that ``block`` numbers.
    """
    if not pairs or not sum(len(part.price) for part in pairs):
        return []
    edges = np.quantile(np.concatenate([part.price for part in pairs]), np.linspace(0, 1, DECILES + 1)[1:-1])
    sums = np.zeros((int(block.max()) + 1, DECILES, 3))
    for number, part in zip(block, pairs, strict=True):
        decile = np.searchsorted(edges, part.price, side="right")
        for place, values in enumerate((np.ones(len(decile)), part.predicted, part.bought)):
            sums[number, :, place] += np.bincount(decile, values, DECILES)
    rows = []
    for decile in range(DECILES):
        n, predicted, bought = sums[:, decile].sum(axis=0)
        gap = sums[:, decile, 1] - sums[:, decile, 2] * predicted / max(bought, 1e-9)
        rows.append(
            {
                "decile": decile + 1,
                "price_to": float(edges[decile]) if decile < DECILES - 1 else float("inf"),
                "pairs": n,
                "purchases": bought,
                "predicted": predicted / max(n, 1),
                "rate": bought / max(n, 1),
                "error": predicted / max(bought, 1e-9) - 1,
                "noise": float(np.sqrt((gap**2).sum()) / max(bought, 1e-9)),
            }
        )
    return [{name: round(float(value), 6) for name, value in row.items()} for row in rows]


def _blocks(days: Sequence[Day]) -> np.ndarray:
    return np.array([number for number, day in enumerate(days) for _ in day.pairs], int)


def _draws(n: int, seed: int) -> np.ndarray:
    """Days of each resample [RESAMPLES, about n], in blocks of neighbours, round the end."""
    rng, block = np.random.default_rng(seed), min(BLOCK, max(1, n // 4))
    starts = rng.integers(0, n, (RESAMPLES, -(-n // block)))
    return ((starts[:, :, None] + np.arange(block)) % n).reshape(RESAMPLES, -1)[:, :n]


def _interval(
    values: np.ndarray, draw: np.ndarray, of: Callable[[np.ndarray], np.ndarray]
) -> dict[str, float]:
    low, high = np.quantile(of(values[draw]), [0.025, 0.975])
    return {
        "mean": round(float(of(values)), 5),
        "low": round(float(low), 5),
        "high": round(float(high), 5),
    }


def _ratio(one: np.ndarray, other: np.ndarray, draw: np.ndarray) -> dict[str, float]:
    """Ratio of the means over the days."""
    low, high = np.quantile(one[draw].mean(axis=1) / other[draw].mean(axis=1), [0.025, 0.975])
    return {
        "mean": round(float(one.mean() / other.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def _segments(days: Sequence[Day], name: str) -> dict[str, dict[str, float]]:
    total = sum(day.segments[name] for day in days)
    return {
        kind: {
            "users": float(users),
            "rpu": round(float(revenue / max(users, 1)), 5),
            "conversion": round(float(buyers / max(users, 1)), 5),
        }
        for kind, (users, revenue, buyers) in zip(days[0].kinds, np.asarray(total), strict=True)
    }


def _fresh(days: Sequence[Day], name: str) -> dict[str, float]:
    purchases, fresh, revenue, of_fresh = np.asarray(sum(day.fresh[name] for day in days))
    return {
        "share_of_purchases": round(float(fresh / max(purchases, 1)), 5),
        "share_of_revenue": round(float(of_fresh / max(revenue, 1e-9)), 5),
    }


def print_figures(result: dict[str, Any]) -> None:
    """Tables in Markdown."""
    print(f"\n{result['setup']}, {result['seconds']} s\n")
    print("| policy | true RPU a day (95 %) | listings shown a day | purchases of listings < 1 day |")
    print("| --- | ---: | ---: | ---: |")
    for name, rpu in result["rpu"].items():
        print(
            f"| {name} | {rpu['mean']:.4f} ({rpu['low']:.4f}-{rpu['high']:.4f}) | "
            f"{result['reach'][name]['listings_per_day']:.0f} | {result['fresh'][name]['share_of_purchases']:.1%} |"
        )
    print()
    for name, ratio in result["ratios"].items():
        print(f"{name}: {ratio['mean']:.3f} ({ratio['low']:.3f}-{ratio['high']:.3f})")
    print("\n| users | policy | user days | RPU | conversion |\n| --- | --- | ---: | ---: | ---: |")
    for name, kinds in result["segments"].items():
        for kind, row in kinds.items():
            print(
                f"| {kind} | {name} | {row['users'] / result['setup']['replications']:.0f} | "
                f"{row['rpu']:.4f} | {row['conversion']:.4f} |"
            )
    print("\n| price decile | up to | purchases | predicted | happened | error | standard error |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in result["calibration"]:
        print(
            f"| {row['decile']} | {row['price_to']:.1f} | {row['purchases']:.0f} | {row['predicted']:.5f} | "
            f"{row['rate']:.5f} | {row['error']:+.1%} | {row['noise']:.1%} |"
        )
