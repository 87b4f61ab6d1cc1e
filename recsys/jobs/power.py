"""Plan an experiment: the units it needs, or what so many units can show, judged by a history or by figures given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from recsys.errors import ExperimentError
from recsys.experiments.analysis.asked import parse_columns, parse_metrics, parse_weights, require_column
from recsys.experiments.analysis.units import Repeats, gather
from recsys.experiments.analysis.values import Values, values
from recsys.experiments.planning import (
    Planned,
    Terms,
    about,
    history_of,
    known_mean,
    known_rate,
    needed,
    reached,
    smallest,
    terms,
)
from recsys.experiments.statistics.history import History
from recsys.jobs.any_table import read_any
from recsys.settings import Settings

EFFECTS = (0.01, 0.02, 0.05, 0.1)
"""Relative lifts that are planned where none is asked for."""


@dataclass(frozen=True)
class Past:
    """A table of units before any treatment, and the metrics to plan."""

    source: str
    unit: str
    metrics: tuple[str, ...]
    covariate: str | None = None
    winsorise: float | None = None
    repeats: Repeats = "auto"


@dataclass(frozen=True)
class Question:
    """What to plan, as the command has it; see ``recsys experiment power --help``."""

    effects: tuple[float, ...] = ()
    units: int | None = None
    weights: str | None = None
    control: str | None = None
    alpha: float = 0.05
    target: float = 0.8
    design: str = "fixed"
    looks: int = 14


@dataclass(frozen=True)
class Row:
    """A plan of one metric: what it is without treatment, and the plan."""

    metric: str
    kind: str
    baseline: float
    plan: Planned

    def record(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        return {"metric": self.metric, "kind": self.kind, "baseline": self.baseline} | asdict(self.plan)


@dataclass(frozen=True)
class Answer:
    """Plans, the terms they keep, and notes on the history."""

    terms: Terms
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def record(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        kept = {"alpha": self.terms.alpha, "power": self.terms.target, "design": self.terms.design}
        return kept | {"results": [row.record() for row in self.rows]}


def run(
    settings: Settings,
    past: Past | None,
    asked: Question,
    *,
    mean: float | None = None,
    spread: float | None = None,
    rate: float | None = None,
    ds: date | None = None,
) -> Answer:
    """Plan every metric of ``past``, or a mean with its standard deviation, or a rate.

    Raises:
        ExperimentError: too little or too much is given, or a plan is impossible; says what.
    """
    kept = terms(
        parse_weights(asked.weights),
        asked.control,
        alpha=asked.alpha,
        target=asked.target,
        design=asked.design,
        looks=asked.looks,
    )
    notes: tuple[str, ...] = ()
    known: list[tuple[str, str, History]]
    if past is not None and mean is None and spread is None and rate is None:
        notes, taken = read_past(settings, past, ds)
        known = []
        for metric in taken:
            with about(metric.name):
                known.append((metric.name, metric.kind, history_of(metric, past.winsorise)))
    elif past is None and mean is not None and spread is not None and rate is None:
        known = [("mean", "mean", known_mean(mean, spread))]
    elif past is None and rate is not None and mean is None and spread is None:
        known = [("rate", "proportion", known_rate(rate))]
    else:
        raise ExperimentError(
            "Plan from a table (FILE_OR_TABLE with --unit and --metric), from --mean with --sd, or from --rate; "
            "give one of the three."
        )
    rows: list[Row] = []
    for name, kind, history in known:
        with about(name):
            rows += [Row(name, kind, history.baseline, plan) for plan in _plans(history, asked, kept)]
    return Answer(kept, tuple(rows), notes)


def read_past(settings: Settings, past: Past, ds: date | None = None) -> tuple[tuple[str, ...], list[Values]]:
    """Read the units of a table whatever their arm: notes on what was left out, and the numbers of every metric.

    Raises:
        ContractError: the file or table is not there or cannot be read.
        ExperimentError: a column is not there or holds no numbers.
    """
    frame = read_any(settings, past.source, ds)
    columns = list(frame.columns)
    units = gather(frame, require_column("--unit", past.unit, columns), None, past.repeats)
    covariate = parse_columns(past.covariate, columns) if past.covariate else ()
    taken = [values(units, metric, covariate, None) for metric in parse_metrics(past.metrics, columns)]
    return (*units.notes, *(note for metric in taken for note in metric.notes)), taken


def _plans(history: History, asked: Question, kept: Terms) -> list[Planned]:
    if asked.units is None:
        return [needed(history, effect, kept) for effect in asked.effects or EFFECTS]
    if asked.effects:
        return [reached(history, effect, asked.units, kept) for effect in asked.effects]
    return [smallest(history, asked.units, kept)]


def print_answer(found: Answer, console: Console) -> None:
    """Print a row per metric and effect."""
    for note in found.notes:
        console.print(f"  {note}.", markup=False, highlight=False, soft_wrap=True)
    kept = found.terms
    design = "one look at the end" if kept.design == "fixed" else f"{kept.design}, {kept.looks} looks"
    console.print(
        f"Shares {', '.join(f'{arm}={weight:g}' for arm, weight in kept.weights.items())}; alpha {kept.alpha:g}"
        + (f" over {len(kept.arms)} arms" if len(kept.arms) > 1 else "")
        + f", two-sided; {design}.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    grid = RichTable(box=None, padding=(0, 1, 0, 1))
    for name in ("metric", "today", "lift", "units in all", "power"):
        grid.add_column(name, justify="left" if name == "metric" else "right")
    for row in found.rows:
        plan = row.plan
        cells = (
            row.metric,
            f"{row.baseline:.4g}",
            f"{plan.effect:+.2%}",
            f"{plan.units:,}",
            f"{plan.power:.1%}",
        )
        grid.add_row(*map(Text, cells))
    console.print(grid)
