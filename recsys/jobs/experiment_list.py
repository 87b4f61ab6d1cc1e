"""Every experiment that is defined: which runs, who takes part, in which arms, and when the result may be looked at."""

from __future__ import annotations

from datetime import date, timedelta

from rich.console import Console
from rich.table import Table

from recsys.experiments.definition import Experiment, check_metrics, load_experiments
from recsys.experiments.metrics import load_metrics
from recsys.settings import Settings


def run(settings: Settings, ds: date) -> list[dict[str, str]]:
    """One row per definition, as it stands when the lists of ``ds`` are served: on the day after.

    Raises:
        ExperimentError: a definition is wrong, two of them cannot run beside each other, or a metric is not declared.
    """
    experiments = load_experiments(settings.experiments_dir)
    if experiments:
        check_metrics(experiments, load_metrics(settings.metrics_path))
    return [_row(experiment, ds + timedelta(days=1)) for experiment in experiments]


def print_list(settings: Settings, ds: date, console: Console) -> None:
    """Print the rows of ``run``."""
    rows = run(settings, ds)
    if not rows:
        console.print(f"No experiment is defined in {settings.experiments_dir}.")
        return
    told = Table(title=f"Experiments on {ds + timedelta(days=1)}, when the lists of {ds} are served")
    for name in rows[0]:
        told.add_column(name)
    for row in rows:
        told.add_row(*row.values())
    console.print(told)


def _row(experiment: Experiment, day: date) -> dict[str, str]:
    layer, end = experiment.layer, experiment.end
    due = [look for look in experiment.looks if look >= day]
    looks = {"always_valid": "any day", "fixed": "at the end"}.get(experiment.design.kind, "over")
    return {
        "experiment": experiment.id,
        "state": _state(experiment, day),
        "days": f"{experiment.start} to {end or '…'}",
        "unit": experiment.unit,
        "arms": ", ".join(f"{arm.name} {arm.weight:.4g}" for arm in experiment.arms),
        "let in": f"{experiment.share_on(day):.4g}",
        "layer": f"{layer.name} {layer.first}..{layer.last}" if layer else "",
        "held out": f"{experiment.holdout:.4g}",
        "metric": experiment.primary,
        "next look": str(due[0]) if due else looks,
    }


def _state(experiment: Experiment, day: date) -> str:
    if day < experiment.start:
        return "planned"
    return "running" if experiment.serves_on(day) else "ended"
