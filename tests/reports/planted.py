"""Rows of a made-up experiment as the tables would hold them: three arms, metrics of each kind, segments, decisions."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd

from recsys.experiments.definition import Experiment, parse_experiment
from recsys.reports.experiment import Evidence
from recsys.schema import table
from recsys.warehouse import Warehouse

START = date(2026, 2, 1)
LAST = date(2026, 2, 14)
ID = "planted_lists"
METRICS: dict[str, tuple[str, str, str, float, float, float]] = {
    "rpu": ("Revenue per user", "mean", "primary", 0.52, 0.05, 0.5),
    "conversion": ("Conversion", "proportion", "secondary", 0.081, 0.03, 0.6),
    "ctr": ("Click-through", "ratio", "secondary", 0.0312, -0.004, 0.25),
    "aov": ("Average order value", "ratio", "other", 34.2, 0.01, 0.4),
    "cancel_rate": ("Cancel rate", "ratio", "guardrail", 0.043, 0.02, 0.5),
}
"""Label, kind, role, control's mean, relative lift of the first arm, half of the relative interval on day 1."""
ARMS = {"popularity": None, "hybrid": 1.0, "hybrid_bold": -0.6}


CONTENT: dict[str, Any] = {
    "id": ID,
    "hypothesis": "Personal lists ordered by expected revenue raise revenue per user.",
    "unit": "user",
    "salt": "planted_1",
    "start": START,
    "end": date(2026, 2, 28),
    "control": "popularity",
    "arms": {
        "popularity": {"policy": "popularity", "weight": 0.4},
        "hybrid": {"policy": "hybrid", "weight": 0.4},
        "hybrid_bold": {"policy": "hybrid", "weight": 0.2},
    },
    "minimum_effect": 0.03,
    "guardrails": {"cancel_rate": 0.1},
    "design": {"kind": "always_valid"},
    "secondary": ["conversion", "ctr"],
    "segments": ["region"],
}
"""The definition, as a file under ``include/experiments`` has it."""


def definition(**changes: Any) -> Experiment:
    return parse_experiment(CONTENT | changes, "planted")


def row(
    metric: str, arm: str, day: int, segment: str = "all", value: str = "all", **changes: Any
) -> dict[str, Any]:
    label, kind, role, base, lift, width = METRICS[metric]
    share = 1.0 if segment == "all" else 0.3
    half = width / (day + 1) ** 0.5 / (share**0.5) / 3
    mean = base * (1 + lift * (ARMS[arm] or 0.0))
    made: dict[str, Any] = dict.fromkeys(table("experiments.results").column_names)
    made |= {
        "experiment_id": ID, "metric": metric, "label": label, "kind": kind, "role": role, "scope": "cumulative",
        "segment": segment, "segment_value": value, "arm": arm, "policy": arm.removesuffix("_bold"),
        "control": "popularity", "users": int(share * (4000 if arm != "hybrid_bold" else 2000) * (1 + 0.35 * day)),
        "mean": mean, "mean_low": mean - base * half / 1.6, "mean_high": mean + base * half / 1.6,
        "srm_p_value": 0.41, "is_valid": True, "direction": "down" if metric == "cancel_rate" else "up",
        "cap": 120.0 if metric == "rpu" else None, "probability_best": 0.88 if arm == "hybrid" else 0.06,
        "ds": START + timedelta(days=day),
    }  # fmt: skip
    if ARMS[arm] is not None:
        relative = lift * (ARMS[arm] or 0.0) * (1 + 1.5 / (day + 1))
        made |= {
            "difference": base * relative * 1.04, "difference_low": base * (relative * 1.04 - 1.25 * half),
            "difference_high": base * (relative * 1.04 + 1.25 * half), "relative": relative,
            "relative_low": relative - half, "relative_high": relative + half,
            "bound_low": base * (relative - 1.5 * half), "bound_high": base * (relative + 1.5 * half),
            "p_value": 0.0004 if abs(relative) > half else 0.21, "p_adjusted": 0.0024 if abs(relative) > half else 0.42,
            "cuped_difference": base * relative, "cuped_low": base * (relative - half),
            "cuped_high": base * (relative + half),
            "variance_reduction": 0.36, "expected_loss": 0.001, "method": "Welch",
        }  # fmt: skip
    return made | changes


def results(days: int = 14, **changes: Any) -> pd.DataFrame:
    rows = [row(metric, arm, day, **changes) for day in range(days) for metric in METRICS for arm in ARMS]
    rows += [
        row("rpu", arm, days - 1, "region", value, **changes)
        for value in ("north", "south", "<i>west</i>")
        for arm in ARMS
    ]
    return pd.DataFrame(rows)


def checks(day: date = LAST) -> pd.DataFrame:
    rows = [
        ("sample_ratio", "all", "all", 0.41, "", True, True, "The split is the configured one."),
        ("sample_ratio", "region", "north", 0.012, "", True, True, "The split is the configured one."),
        ("interference", "all", "all", None, "planted_clusters, split by cluster: Revenue per cluster of hybrid +1.8 % (-7.9 % to +11.5 %)", False, False,
         "Buyers were split and a listing has a stock of one: a lift may be sales taken from the other arm."),
        ("missing_days", "all", "all", None, "0", True, True, "Every day has a read-out."),
    ]  # fmt: skip
    columns = [
        name for name in table("experiments.checks").column_names if name not in {"experiment_id", "ds"}
    ]
    return pd.DataFrame(rows, columns=columns).assign(experiment_id=ID, ds=day)


def decisions() -> pd.DataFrame:
    rows = [
        (1, "continue", "undecided", "Nothing is shown yet.", "a1" * 32, "rule", None, 0.62, date(2026, 2, 10)),
        (2, "ship", "win", "hybrid +0.027 at the look of 2026-02-13; every guardrail holds.", "b2" * 32, "rule", None,
         0.97, date(2026, 2, 13)),
        (3, "continue", "override", "A person decided.", "b2" * 32, "p0042", "One more weekend, says the <b>owner</b>.",
         0.97, LAST),
    ]  # fmt: skip
    columns = [name for name in table("experiments.decisions").column_names if name != "experiment_id"]
    return pd.DataFrame(rows, columns=columns).assign(experiment_id=ID)


def evidence(**changes: Any) -> Evidence:
    parts: dict[str, Any] = {
        "experiment_id": ID,
        "definition": definition(),
        "day": LAST,
        "results": results(),
        "checks": checks(),
        "decisions": decisions(),
        "currency": "EUR",
        "money": frozenset({"rpu", "aov"}),
        "days": tuple(START + timedelta(days=n) for n in range(14)),
    }
    return Evidence(**(parts | changes))


def plant(warehouse: Warehouse) -> None:
    """Write all of it, a partition a day."""
    tables = {"results": results(), "checks": checks(), "decisions": decisions()}
    for name, frame in tables.items():
        for day, rows in frame.groupby("ds"):
            warehouse.write(f"experiments.{name}", rows.reset_index(drop=True), day)
