"""Play experiments on resampled data: does the test keep its error, and find what the planning promised?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from recsys.errors import ExperimentError
from recsys.experiments.analysis.values import Values
from recsys.experiments.planning import about, check_effect, history_of, reached, smallest, terms
from recsys.experiments.populations import POPULATIONS
from recsys.experiments.simulation import Draw, Played, Setting, play, resample
from recsys.experiments.statistics.history import History
from recsys.jobs.power import Past, read_past
from recsys.settings import Settings

BUILT_IN_UNITS = 8_000
HISTORY_UNITS = 200_000
"""Units drawn from a population made here, to plan on."""


@dataclass(frozen=True)
class Question:
    """What to play, as the command has it; see ``recsys experiment simulate --help``."""

    runs: int = 1_000
    units: int | None = None
    effect: float | None = None
    alpha: float = 0.05
    target: float = 0.8
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """What one kind of experiment showed.

    ``rejected`` is the error of an A/A and the power of an A/B; ``promised`` is what it should be, and ``error`` the
    Monte-Carlo standard error of such a count. ``coverage`` is of the interval of the relative lift.
    """

    metric: str
    kind: str
    cuped: bool
    winsorised: bool
    units: int
    effect: float
    rejected: float
    promised: float
    error: float
    coverage: float
    ks_p_value: float | None

    @property
    def as_promised(self) -> bool:
        """Whether the count is as near to the promise as 99 of 100 are."""
        return abs(self.rejected - self.promised) <= 2.58 * self.error


@dataclass(frozen=True)
class Answer:
    """All that was played, and notes on the data."""

    runs: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def record(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        return {
            "runs": self.runs,
            "results": [asdict(row) | {"as_promised": row.as_promised} for row in self.rows],
        }


@dataclass(frozen=True)
class _Case:
    name: str
    taken: Values
    draw: Draw
    units: int


def run(
    settings: Settings,
    past: Past | None,
    asked: Question,
    ds: date | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Answer:
    """Play an A/A and an A/B of every metric, without and with what was asked for (covariate, winsorising).

    Without ``past`` the units are those of ``recsys.experiments.populations``: revenue with a heavy tail and zeros,
    conversion, click-through, hours. The lift of the A/B is ``effect``, or the smallest that so many units can show
    with the power asked.

    Raises:
        ContractError: the file or table is not there or cannot be read.
        ExperimentError: a metric cannot be played.
    """
    if asked.runs < 1:
        raise ExperimentError(f"{asked.runs} runs show nothing; play at least 1, better 1,000.")
    if asked.effect is not None:
        check_effect(asked.effect)
    rng = np.random.default_rng(asked.seed)
    notes, cases = _built_in(rng) if past is None else _of_table(settings, past, ds)
    rows: list[Row] = []
    for case in cases:
        for cuped, winsorise in _variants(case.taken, past):
            rows += _play(case, cuped, winsorise, asked, rng)
            progress(f"{case.name}: {'CUPED, ' if cuped else ''}{asked.runs:,} A/A and A/B played")
    return Answer(asked.runs, tuple(rows), notes)


def _built_in(rng: np.random.Generator) -> tuple[tuple[str, ...], list[_Case]]:
    cases = []
    for name, known in POPULATIONS.items():
        columns = known.draw(HISTORY_UNITS, rng)
        nowhere = np.zeros(len(columns), dtype=np.int64)
        taken = Values(name, known.kind, columns, nowhere, known.has_covariate, known.quantile, ())
        cases.append(_Case(name, taken, known.draw, BUILT_IN_UNITS))
    return (), cases


def _of_table(settings: Settings, past: Past, ds: date | None) -> tuple[tuple[str, ...], list[_Case]]:
    notes, taken = read_past(settings, past, ds)
    cases = []
    for metric in taken:
        with about(metric.name):
            cases.append(_Case(metric.name, metric, resample(metric.columns), len(metric.columns)))
    return notes, cases


def _variants(taken: Values, past: Past | None) -> list[tuple[bool, float | None]]:
    caps: Sequence[float | None] = (None,)
    if past is not None and past.winsorise is not None and taken.kind in {"mean", "ratio"}:
        caps = (None, past.winsorise)
    return [(cuped, cap) for cuped in ((False, True) if taken.cuped else (False,)) for cap in caps]


def _play(
    case: _Case, cuped: bool, winsorise: float | None, asked: Question, rng: np.random.Generator
) -> list[Row]:
    units = asked.units or case.units
    if units < 4:
        raise ExperimentError(
            f"{units} units of {case.name} are no experiment; give at least 4 with --units."
        )
    kept = terms(None, None, alpha=asked.alpha, target=asked.target, design="fixed", looks=1)
    with about(case.name):
        history = _history(case.taken, cuped, winsorise)
        plan = smallest(history, units, kept) if asked.effect is None else None
        effect = plan.effect if plan is not None else asked.effect or 0.0
        promised = reached(history, effect, units, kept).power if effect else asked.alpha
    rows = []
    for lift, share in ((0.0, asked.alpha), (effect, promised)):
        setting = Setting(
            case.taken.kind,
            (units - units // 2, units // 2),
            lift,
            asked.alpha,
            cuped=cuped,
            winsorise=winsorise,
            quantile=case.taken.quantile,
        )
        played = play(case.draw, setting, asked.runs, rng)
        rows.append(_row(case.name, units, played, share))
    return rows


def _history(taken: Values, cuped: bool, winsorise: float | None) -> History:
    return history_of(
        Values(taken.name, taken.kind, taken.columns, taken.arm, cuped, taken.quantile, ()), winsorise
    )


def _row(name: str, units: int, played: Played, promised: float) -> Row:
    setting = played.setting
    return Row(
        name,
        setting.kind,
        setting.cuped,
        setting.winsorise is not None,
        units,
        setting.effect,
        played.rejected,
        promised,
        played.monte_carlo_error(promised),
        played.relative_coverage(setting.effect),
        played.ks_p_value if setting.effect == 0 else None,
    )


def print_answer(found: Answer, console: Console) -> None:
    """Print a row per metric and kind of experiment."""
    for note in found.notes:
        console.print(f"  {note}.", markup=False, highlight=False, soft_wrap=True)
    grid = RichTable(box=None, padding=(0, 1, 0, 1))
    for name in ("metric", "with", "lift", "found", "promised", "lift covered", "KS p"):
        grid.add_column(name, justify="left" if name in {"metric", "with"} else "right")
    for row in found.rows:
        extra = [word for word, on in (("CUPED", row.cuped), ("winsorised", row.winsorised)) if on]
        cells = (
            row.metric,
            ", ".join(extra),
            f"{row.effect:+.2%}" if row.effect else "none",
            f"{row.rejected:.1%}",
            f"{row.promised:.1%} ± {1.96 * row.error:.1%}",
            f"{row.coverage:.1%}",
            "" if row.ks_p_value is None else f"{row.ks_p_value:.3f}",
        )
        grid.add_row(*map(Text, cells))
    console.print(grid)
    wrong = [row for row in found.rows if not row.as_promised]
    console.print(
        f"{found.runs:,} experiments each. "
        + (
            f"{len(wrong)} of {len(found.rows)} shares are further from the promise than chance explains (1 in 100)."
            if wrong
            else "Every share is as near to the promise as chance allows."
        ),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
