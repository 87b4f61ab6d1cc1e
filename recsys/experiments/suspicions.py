"""What a read-out gives away: segments out of their shares, arms that differed before, guardrails, other splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import pandas as pd

from recsys.experiments.checks import ALL, Check, guardrail, pre_period, sample_ratios
from recsys.experiments.decision import total
from recsys.experiments.definition import Experiment
from recsys.experiments.guardrails import guardrails
from recsys.experiments.metrics import Metric, pick
from recsys.experiments.readout import CUMULATIVE, before, records
from recsys.experiments.statistics import Kind, compare

CONTAINED = ("cluster", "seller", "campaign")
"""Units that hold the listings of which the arms would otherwise compete for the same."""


def of_read_out(
    experiment: Experiment, metrics: Mapping[str, Metric], metrics_daily: pd.DataFrame, results: pd.DataFrame
) -> list[Check]:
    """Sample ratio by segment, difference before the start by metric, and the guardrails.

    Args:
        experiment: its definition.
        metrics: declarations by name.
        metrics_daily: rows of ``experiments.metrics_daily`` of the day and this experiment.
        results: the rows of ``experiments.results`` made of them.
    """
    if results.empty:
        return []
    so_far = metrics_daily[metrics_daily["scope"] == CUMULATIVE]
    segments = so_far[(so_far["metric"] == experiment.primary) & (so_far["segment"] != ALL)]
    guards = guardrails(experiment, total(results))
    return [
        *sample_ratios(experiment, segments),
        *_before(experiment, metrics, so_far[so_far["segment"] == ALL]),
        *(
            guardrail(guard.label, guard.metric, guard.arm, guard.state, guard.told)
            for guard in guards
            if guard.arm
        ),
    ]


def _before(experiment: Experiment, metrics: Mapping[str, Metric], rows: pd.DataFrame) -> list[Check]:
    if not experiment.covariate_days:
        return []
    found = []
    for name, of_metric in rows.groupby("metric", sort=True):
        metric = pick(metrics, str(name), f"Experiment {experiment.id}")
        kind = (
            "ratio" if metric.kind == "ratio" else "mean"
        )  # a unit that bought before has a number, not 0 or 1
        arms = {str(row["arm"]): before(row, kind) for row in records(of_metric)}
        control = arms.pop(experiment.control, None)
        for arm, moments in arms.items():
            told = control and compare(cast(Kind, kind), control, moments, alpha=experiment.alpha)
            p_value = told.p_value if told else None
            primary = metric.name == experiment.primary
            found.append(pre_period(metric.label, metric.name, arm, p_value, is_primary=primary))
    return found


def beside(
    experiment: Experiment, running: Sequence[Experiment], results: Mapping[str, pd.DataFrame]
) -> list[str]:
    """Read-outs of the same metric and policies from experiments whose unit contains what buyers compete for."""
    told = []
    for other in running:
        rows = results[other.id]
        if other.unit not in CONTAINED or rows.empty:
            continue
        rows = total(rows)
        rows = rows[(rows["metric"] == experiment.primary) & rows["difference"].notna()]
        pairs = {(experiment.policies[experiment.control], policy) for policy in experiment.policies.values()}
        told += [
            f"{other.id}, split by {other.unit}: {row['arm']} {row['difference']:+.4g} "
            f"({row['difference_low']:+.4g} to {row['difference_high']:+.4g})"
            for row in records(rows)
            if (other.policies[other.control], other.policies[row["arm"]]) in pairs
        ]
    return told
