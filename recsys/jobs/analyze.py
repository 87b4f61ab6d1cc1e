"""Compare the arms of any table that has a unit, an arm and numbers: a CSV or Parquet file, or a warehouse table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import groupby

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from recsys.experiments.analysis.analyse import Analysis, Ends, analyse
from recsys.experiments.analysis.asked import (
    parse_columns,
    parse_metrics,
    parse_weights,
    require_column,
)
from recsys.experiments.analysis.units import Repeats
from recsys.experiments.statistics.multiple import holm
from recsys.jobs.any_table import read_any
from recsys.settings import Settings


@dataclass(frozen=True)
class Question:
    """What to compare, as the command has it; see ``recsys experiment analyze --help``."""

    unit: str
    arm: str
    metrics: tuple[str, ...]
    covariate: str | None = None
    control: str | None = None
    weights: str | None = None
    alpha: float = 0.05
    winsorise: float | None = None
    repeats: Repeats = "auto"
    seed: int = 0
    used: str | None = None


def run(settings: Settings, source: str, asked: Question, ds: date | None = None) -> Analysis:
    """Read ``source`` and compare its arms.

    Raises:
        ContractError: the file or the table is not there or cannot be read.
        ExperimentError: a column, a metric, a weight or a value is not what it has to be; says which and the remedy.
    """
    frame = read_any(settings, source, ds)
    require_column("--unit", asked.unit, frame.columns)
    require_column("--arm", asked.arm, frame.columns)
    if asked.used is not None:
        require_column("--used", asked.used, frame.columns)
    return analyse(
        frame,
        asked.unit,
        asked.arm,
        parse_metrics(asked.metrics, list(frame.columns)),
        covariate=parse_columns(asked.covariate, list(frame.columns)) if asked.covariate else (),
        control=asked.control,
        weights=parse_weights(asked.weights),
        alpha=asked.alpha,
        winsorise=asked.winsorise,
        repeats=asked.repeats,
        seed=asked.seed,
        used=asked.used,
    )


def print_analysis(found: Analysis, console: Console) -> None:
    """Print what was left out, the sample-ratio check, and a row per metric and arm."""
    for note in found.notes:
        style = "bold red" if note in found.alarms else None
        console.print(f"  {note}.", markup=False, highlight=False, soft_wrap=True, style=style)
    counts = ", ".join(f"{arm} {count:,}" for arm, count in found.counts.items())
    checked = "not checked" if found.srm_p_value is None else f"p = {found.srm_p_value:.3g}"
    console.print(f"Units: {counts}. Sample ratio {checked}.", markup=False, highlight=False, soft_wrap=True)
    _print_rows(found, console)
    _print_use(found, console)
    if found.blocked:
        console.print("Blocked:", style="bold red", highlight=False, end=" ")
        console.print(
            f"{'; '.join(found.reasons)}. No difference may be believed; find out what lost, added or moved units "
            "first.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _print_rows(found: Analysis, console: Console) -> None:
    console.print(
        f"Against {found.control}, {100 * (1 - found.alpha):.4g}% intervals:", markup=False, highlight=False
    )
    adjusted = iter(holm([row.p_value for row in found.results]))
    for metric, rows in groupby(found.results, key=lambda row: (row.metric, row.method)):
        console.print(f"\n{metric[0]} ({metric[1]})", markup=False, highlight=False, style="bold")
        grid = RichTable(box=None, padding=(0, 1, 0, 1))
        several = len(found.results) > 1
        for name in (
            "arm",
            "units",
            "value",
            "difference",
            "relative",
            "p",
            *(["p, Holm"] if several else []),
        ):
            grid.add_column(name, justify="left" if name == "arm" else "right")
        for row in rows:
            cells = (
                row.arm,
                f"{row.n:,}",
                _number(row.mean),
                _with_interval(row.difference, row.difference_ci, "{:.4g}"),
                _with_interval(row.relative, row.relative_ci, "{:+.2%}"),
                *(_p_value(p) for p in (row.p_value, next(adjusted))[: 1 + several]),
            )
            grid.add_row(*map(Text, cells))
        console.print(grid)


def _print_use(found: Analysis, console: Console) -> None:
    """What using the offer did, with the comparison of users and others beside it, which is none."""
    for row in found.by_use or ():
        weak = "; the offer hardly moves use" if row.weak else ""
        console.print(f"\n{row.metric}, by use in {row.arm}", markup=False, highlight=False, style="bold")
        lines = (
            f"used {row.used:.1%}, in {row.control} {row.used_control:.1%} (first stage F {row.strength:.4g}{weak})",
            f"effect on those whom the offer moved {_with_interval(row.effect, row.effect_ci, '{:.4g}') or 'unknown'}",
            f"relative to theirs without it {_with_interval(row.relative, row.relative_ci, '{:+.2%}') or 'unknown'}",
            f"naive, used against not: {_with_interval(row.naive, row.naive_ci, '{:.4g}') or 'unknown'}; "
            "those who use it differ anyway, so this is no effect",
        )
        for line in lines:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _p_value(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _with_interval(value: float | None, ends: Ends, form: str) -> str:
    if value is None:
        return ""
    low, high = ("unbounded" if end is None else form.format(end) for end in ends)
    return f"{form.format(value)} ({low} to {high})"
