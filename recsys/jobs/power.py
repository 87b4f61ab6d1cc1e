"""Plan an experiment: the units it needs, or what so many units can show, judged by a history or by figures given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from typing import cast

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
    check_effect,
    history_of,
    known_mean,
    known_rate,
    needed,
    reached,
    smallest,
    terms,
)
from recsys.experiments.statistics.history import History
from recsys.experiments.statistics.power import baseline_of
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
    """A plan of one metric: what it is without treatment, and the plan; without one, the reason.

    ``effect`` is None where no effect was asked for, or the reason holds for all of them.
    """

    metric: str
    kind: str
    baseline: float | None
    effect: float | None
    plan: Planned | None
    reason: str | None = None

    def record(self) -> dict[str, object]:
        """Return what ``--json`` writes; None for a number that does not exist."""
        known: dict[str, object] = {"metric": self.metric, "kind": self.kind, "baseline": self.baseline}
        none = {"units": None, "units_by_arm": None, "effect": self.effect, "power": None}
        return known | (none if self.plan is None else asdict(self.plan)) | {"reason": self.reason}


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

    A metric that cannot be planned has a row with the reason, and the others are planned.

    Raises:
        ExperimentError: too little or too much is given, an effect is -1 or less, or no metric can be planned; says
            what.
    """
    kept = terms(
        parse_weights(asked.weights),
        asked.control,
        alpha=asked.alpha,
        target=asked.target,
        design=asked.design,
        looks=asked.looks,
    )
    for effect in asked.effects:
        check_effect(effect)
    notes: tuple[str, ...] = ()
    known: list[tuple[str, str, Callable[[], History]]]
    if past is not None and mean is None and spread is None and rate is None:
        notes, taken = read_past(settings, past, ds)
        known = [(m.name, m.kind, partial(history_of, m, past.winsorise)) for m in taken]
    elif past is None and mean is not None and spread is not None and rate is None:
        known = [("mean", "mean", partial(known_mean, mean, spread))]
    elif past is None and rate is not None and mean is None and spread is None:
        known = [("rate", "proportion", partial(known_rate, rate))]
    else:
        raise ExperimentError(
            "Plan from a table (FILE_OR_TABLE with --unit and --metric), from --mean with --sd, or from --rate; "
            "give one of the three."
        )
    rows = [row for metric in known for row in _rows(*metric, asked, kept)]
    if all(row.plan is None for row in rows):
        told = dict.fromkeys(f"Metric {row.metric}: {row.reason}" for row in rows)
        raise ExperimentError(" ".join(told))
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


def _rows(name: str, kind: str, past: Callable[[], History], asked: Question, kept: Terms) -> list[Row]:
    """Plan one metric for every effect; one row tells a reason that holds for all of them."""
    try:
        history = past()
        baseline = baseline_of(history)
    except ExperimentError as error:
        return [Row(name, kind, None, None, None, str(error))]
    effects: tuple[float | None, ...] = asked.effects or ((None,) if asked.units else EFFECTS)
    rows = []
    for effect in effects:
        try:
            plan = _plan(history, effect, asked.units, kept)
            rows.append(Row(name, kind, baseline, plan.effect, plan))
        except ExperimentError as error:
            rows.append(Row(name, kind, baseline, effect, None, str(error)))
    reasons = {row.reason for row in rows}
    return rows if None in reasons or len(reasons) > 1 else [replace(rows[0], effect=None)]


def _plan(history: History, effect: float | None, units: int | None, kept: Terms) -> Planned:
    if units is None:
        return needed(history, cast("float", effect), kept)
    return smallest(history, units, kept) if effect is None else reached(history, effect, units, kept)


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
    unplanned = any(row.plan is None for row in found.rows)
    for name in ("metric", "today", "lift", "units in all", "power", *(["not planned"] if unplanned else [])):
        grid.add_column(name, justify="left" if name in {"metric", "not planned"} else "right")
    for row in found.rows:
        plan = row.plan
        cells = (
            row.metric,
            "" if row.baseline is None else f"{row.baseline:.4g}",
            "" if row.effect is None else f"{row.effect:+.2%}",
            "" if plan is None else f"{plan.units:,}",
            "" if plan is None else f"{plan.power:.1%}",
            *([row.reason or ""] if unplanned else []),
        )
        grid.add_row(*map(Text, cells))
    console.print(grid)
