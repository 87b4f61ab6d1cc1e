"""From the sufficient statistics of ``experiments.metrics_daily`` to the rows of ``experiments.results``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from recsys.experiments.definition import Experiment
from recsys.experiments.statistics import (
    Sample,
    interval,
    mean_sample,
    ratio_sample,
    sample_ratio_p_value,
    welch_difference,
)

SRM_ALPHA = 0.001
ALL = "all"
"""Segment, and value of it, of what counts every unit."""


@dataclass(frozen=True)
class Metric:
    """A metric: name, what a report calls it, kind, role, and how its sample comes from one arm's statistics."""

    name: str
    label: str
    kind: str
    role: str
    sample: Callable[[Mapping[str, Any]], Sample | None]


METRICS = (
    Metric(
        "rpu",
        "Revenue per user",
        "mean",
        "primary",
        lambda s: mean_sample(int(s["units"]), float(s["num"]), float(s["num_num"])),
    ),
    Metric(
        "conversion",
        "Conversion",
        "proportion",
        "secondary",
        lambda s: mean_sample(int(s["units"]), float(s["num"]), float(s["num_num"])),
    ),
    Metric(
        "ctr",
        "Click-through",
        "ratio",
        "secondary",
        lambda s: ratio_sample(
            int(s["units"]),
            float(s["num"]),
            float(s["den"]),
            float(s["num_num"]),
            float(s["den_den"]),
            float(s["num_den"]),
        ),
    ),
)


def read_out(experiment: Experiment, metrics_daily: pd.DataFrame) -> pd.DataFrame:
    """One row per metric, scope and arm, with intervals, the difference to control and the sample-ratio check.

    Args:
        experiment: the definition whose weights the sample ratio is held against.
        metrics_daily: rows of ``experiments.metrics_daily`` of one data day and this experiment.

    Returns:
        Columns of ``experiments.results`` that are known, but ``ds``. ``is_valid`` is False where the sample ratio
        is off (p < 0.001): no number of that scope may be believed then.
    """
    rows: list[dict[str, object]] = []
    whole = metrics_daily[metrics_daily["segment"] == ALL]
    for scope, of_scope in whole.groupby("scope", sort=True):
        counts = {str(arm): int(units) for arm, units in of_scope.groupby("arm")["units"].max().items()}
        srm = sample_ratio_p_value(counts, experiment.weights)
        for metric in METRICS:
            of_metric = of_scope[of_scope["metric"] == metric.name]
            by_arm: dict[str, dict[str, Any]] = {str(row["arm"]): row for row in _records(of_metric)}
            samples = {arm: metric.sample(by_arm[arm]) for arm in experiment.weights if arm in by_arm}
            rows += [
                {
                    "experiment_id": experiment.id,
                    "metric": metric.name,
                    "scope": scope,
                    "arm": arm,
                    "policy": experiment.policies[arm],
                    "control": experiment.control,
                    "users": counts[arm],
                    **_estimates(
                        sample, samples.get(experiment.control), arm == experiment.control, experiment.alpha
                    ),
                    "srm_p_value": srm,
                    "is_valid": srm is None or srm >= SRM_ALPHA,
                    "segment": ALL,
                    "segment_value": ALL,
                    "role": metric.role,
                    "label": metric.label,
                    "kind": metric.kind,
                    "direction": "up",
                }
                for arm, sample in samples.items()
            ]
    return pd.DataFrame(rows)


def _estimates(
    sample: Sample | None, control: Sample | None, is_control: bool, alpha: float
) -> dict[str, object]:
    names = ("mean", "mean_low", "mean_high", "difference", "difference_low", "difference_high", "p_value")
    estimates: dict[str, object] = dict.fromkeys(names)
    if sample is None:
        return estimates
    own = interval(sample, alpha)
    estimates |= {"mean": own.value, "mean_low": own.low, "mean_high": own.high}
    if control is not None and not is_control:
        lift = welch_difference(sample, control, alpha)
        estimates |= {
            "difference": lift.value,
            "difference_low": lift.low,
            "difference_high": lift.high,
            "p_value": lift.p_value,
        }
    return estimates


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
