"""What a read-out gives away: segments out of their shares, arms that differed before, guardrails, other splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import pandas as pd

from recsys.experiments.checks import (
    ALL,
    Check,
    few_clusters,
    guardrail,
    no_pre_period,
    pre_period,
    sample_ratios,
)
from recsys.experiments.decision import total
from recsys.experiments.definition import Experiment
from recsys.experiments.guardrails import guardrails
from recsys.experiments.metrics import Metric, pick
from recsys.experiments.readout import CUMULATIVE, before, records
from recsys.experiments.statistics import Kind, compare


def of_read_out(
    experiment: Experiment, metrics: Mapping[str, Metric], metrics_daily: pd.DataFrame, results: pd.DataFrame
) -> list[Check]:
    """Sample ratio by segment, difference before the start by metric, the guardrails, and how many clusters there are.

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
    whole = so_far[(so_far["metric"] == experiment.primary) & (so_far["segment"] == ALL)]
    counts = {str(row["arm"]): int(row["units"]) for row in records(whole)}
    return [
        *([few_clusters(counts)] if experiment.unit == "cluster" else []),
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
        return [no_pre_period()]
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
            found.append(
                pre_period(metric.label_of(experiment.unit), metric.name, arm, p_value, is_primary=primary)
            )
    return found


def money(experiment: Experiment, metrics: Mapping[str, Metric], results: pd.DataFrame) -> list[str]:
    """Metrics of money that an experiment names or measures, in the order of ``metrics``."""
    known = {*experiment.metrics, *results["metric"]}
    return [name for name, metric in metrics.items() if metric.money and name in known]


def beside(
    experiment: Experiment,
    metrics: Mapping[str, Metric],
    running: Sequence[Experiment],
    results: Mapping[str, pd.DataFrame],
    blocked: Collection[str] = (),
) -> list[str]:
    """Relative lifts of money, with their intervals, of an experiment and of those that its definition puts beside it.

    Relative, since a difference per cluster or seller is no difference per user. A metric is told where both measure
    it: those of money that the experiment names, or every one where it names none.

    Args:
        experiment: a split of buyers.
        metrics: declarations by name.
        running: every experiment that is read out on the day.
        results: their rows of ``experiments.results``, by id.
        blocked: ids of those of which a check that blocks has failed; no figure of theirs is told.
    """
    if not experiment.beside or experiment.id in blocked:
        return []
    units = {one.id: one.unit for one in running}
    measured = money(experiment, metrics, results[experiment.id])
    asked = [name for name in measured if name in experiment.metrics] or measured
    told, common = [], set()
    for other in experiment.beside:
        if other not in units:
            told.append(f"{other}: not read out on this day")
        elif other in blocked:
            told.append(
                f"{other}, split by {units[other]}: a check blocks it, so no number of it may be believed"
            )
        else:
            lifts = _lifts(results[other], asked)
            common |= {row["metric"] for row in lifts}
            found = _told(lifts) or "nothing to compare yet"
            told.append(f"{other}, split by {units[other]}: {found}")
    own = _told(_lifts(results[experiment.id], [name for name in asked if name in common]))
    return [f"{experiment.id}, split by {experiment.unit}: {own}", *told] if own else told


def _lifts(results: pd.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows that decide of some metrics which have a relative lift, in the order of ``names``."""
    rows = total(results)
    rows = rows[
        rows["metric"].isin(names) & rows[["relative", "relative_low", "relative_high"]].notna().all(axis=1)
    ]
    return sorted(records(rows), key=lambda row: names.index(row["metric"]))


def _told(lifts: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{row['label']} of {row['arm']} {100 * row['relative']:+.1f} % "
        f"({100 * row['relative_low']:+.1f} % to {100 * row['relative_high']:+.1f} %)"
        for row in lifts
    )
