"""Play experiments on resampled data: does the test keep its error, and find what the planning promised?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from recsys.errors import ExperimentError
from recsys.experiments.analysis.values import Values
from recsys.experiments.planning import check_effect, history_of, reached, smallest, terms
from recsys.experiments.populations import POPULATIONS
from recsys.experiments.simulation import Draw, Played, Setting, lift_as_tested, play, resample
from recsys.experiments.statistics.history import History
from recsys.jobs.power import Past, read_past
from recsys.settings import Settings

BUILT_IN_UNITS = 8_000
HISTORY_UNITS = 200_000
"""Units drawn from a population made here, to plan on."""
NEAR = 2.58
"""Monte-Carlo standard errors that a share may be from its promise: 99 of 100 are no further."""
UNIFORM = 0.001
"""Kolmogorov-Smirnov p-value below which the p-values of an A/A are not uniform."""


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
    Monte-Carlo standard error of such a count. ``effect`` is the lift that was given to the treatment, ``tested_lift``
    that of the metric as it is tested, which is less where values are winsorised. ``coverage`` is how often the
    interval of the relative lift held the latter, with its own promise and error.
    """

    metric: str
    kind: str
    cuped: bool
    winsorised: bool
    units: int
    effect: float
    tested_lift: float
    rejected: float
    promised: float
    error: float
    coverage: float
    coverage_promised: float
    coverage_error: float
    ks_p_value: float | None

    @property
    def finds_as_promised(self) -> bool:
        """Whether the rejections are as near to the promise as 99 of 100 such counts are."""
        return abs(self.rejected - self.promised) <= NEAR * self.error

    @property
    def covers_as_promised(self) -> bool:
        """Whether the interval held the lift as often as promised, as near as 99 of 100 such counts are."""
        return abs(self.coverage - self.coverage_promised) <= NEAR * self.coverage_error

    @property
    def is_uniform(self) -> bool:
        """Whether the p-values of an A/A may be uniform; those of an A/B need not be."""
        return self.ks_p_value is None or self.ks_p_value >= UNIFORM

    @property
    def as_promised(self) -> bool:
        """Whether everything is as near to its promise as chance allows."""
        return self.finds_as_promised and self.covers_as_promised and self.is_uniform

    def record(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        return asdict(self) | {"as_promised": self.as_promised, "reason": None}


@dataclass(frozen=True)
class Unplayed:
    """A kind of experiment that could not be played, and the reason."""

    metric: str
    kind: str
    cuped: bool
    winsorised: bool
    reason: str

    def record(self) -> dict[str, object]:
        """Return what ``--json`` writes; None for every figure."""
        names = (*(field.name for field in fields(Row)), "as_promised")
        return dict.fromkeys(names) | asdict(self)


@dataclass(frozen=True)
class Answer:
    """All that was played or could not be, and notes on the data."""

    runs: int
    rows: tuple[Row | Unplayed, ...]
    notes: tuple[str, ...]

    @property
    def played(self) -> list[Row]:
        """The rows that have figures."""
        return [row for row in self.rows if isinstance(row, Row)]

    def record(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        return {"runs": self.runs, "results": [row.record() for row in self.rows]}


@dataclass(frozen=True)
class _Case:
    """A metric to play; without ``draw`` its units are drawn from those that are known."""

    name: str
    taken: Values
    units: int
    draw: Draw | None = None


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
    with the power asked. What cannot be played has a row with the reason, and the others are played.

    Raises:
        ContractError: the file or table is not there or cannot be read.
        ExperimentError: no metric can be played, or an effect is -1 or less; says why.
    """
    if asked.runs < 1:
        raise ExperimentError(f"{asked.runs} runs show nothing; play at least 1, better 1,000.")
    if asked.effect is not None:
        check_effect(asked.effect)
    rng = np.random.default_rng(asked.seed)
    notes, cases = _built_in(rng) if past is None else _of_table(settings, past, ds)
    rows = [row for case in cases for row in _rows(case, past, asked, rng, progress)]
    found = Answer(asked.runs, tuple(rows), notes)
    if not found.played:
        told = dict.fromkeys(
            f"Metric {row.metric}: {row.reason}" for row in rows if isinstance(row, Unplayed)
        )
        raise ExperimentError(" ".join(told))
    return found


def _built_in(rng: np.random.Generator) -> tuple[tuple[str, ...], list[_Case]]:
    cases = []
    for name, known in POPULATIONS.items():
        columns = known.draw(HISTORY_UNITS, rng)
        nowhere = np.zeros(len(columns), dtype=np.int64)
        taken = Values(name, known.kind, columns, nowhere, known.has_covariate, known.quantile, ())
        cases.append(_Case(name, taken, BUILT_IN_UNITS, known.draw))
    return (), cases


def _of_table(settings: Settings, past: Past, ds: date | None) -> tuple[tuple[str, ...], list[_Case]]:
    notes, taken = read_past(settings, past, ds)
    return notes, [_Case(metric.name, metric, len(metric.columns)) for metric in taken]


def _variants(taken: Values, past: Past | None) -> list[tuple[bool, float | None]]:
    caps: Sequence[float | None] = (None,)
    if past is not None and past.winsorise is not None and taken.kind in {"mean", "ratio"}:
        caps = (None, past.winsorise)
    return [(cuped, cap) for cuped in ((False, True) if taken.cuped else (False,)) for cap in caps]


def _rows(
    case: _Case,
    past: Past | None,
    asked: Question,
    rng: np.random.Generator,
    progress: Callable[[str], None],
) -> list[Row | Unplayed]:
    """Play one metric, plain and with what was asked for; one row tells a reason that holds for all of them."""
    rows: list[Row | Unplayed] = []
    for cuped, winsorise in _variants(case.taken, past):
        try:
            rows += _play(case, cuped, winsorise, asked, rng)
            progress(f"{case.name}: {'CUPED, ' if cuped else ''}{asked.runs:,} A/A and A/B played")
        except ExperimentError as error:
            rows.append(Unplayed(case.name, case.taken.kind, cuped, winsorise is not None, str(error)))
    reasons = {row.reason if isinstance(row, Unplayed) else None for row in rows}
    return rows if None in reasons or len(reasons) > 1 else rows[:1]


def _play(
    case: _Case, cuped: bool, winsorise: float | None, asked: Question, rng: np.random.Generator
) -> list[Row]:
    units = asked.units or case.units
    if units < 4:
        raise ExperimentError(
            f"{units} units of {case.name} are no experiment; give at least 4 with --units."
        )
    kept = terms(None, None, alpha=asked.alpha, target=asked.target, design="fixed", looks=1)
    draw = case.draw or resample(case.taken.columns)
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
        played = play(draw, setting, asked.runs, rng)
        rows.append(_row(case, units, played, share))
    return rows


def _history(taken: Values, cuped: bool, winsorise: float | None) -> History:
    return history_of(
        Values(taken.name, taken.kind, taken.columns, taken.arm, cuped, taken.quantile, ()), winsorise
    )


def _row(case: _Case, units: int, played: Played, promised: float) -> Row:
    setting = played.setting
    lift = lift_as_tested(case.taken.columns, setting)
    return Row(
        case.name,
        setting.kind,
        setting.cuped,
        setting.winsorise is not None,
        units,
        setting.effect,
        lift,
        played.rejected,
        promised,
        played.monte_carlo_error(promised),
        played.relative_coverage(lift),
        1 - setting.alpha,
        played.monte_carlo_error(1 - setting.alpha),
        played.ks_p_value if setting.effect == 0 else None,
    )


def print_answer(found: Answer, console: Console) -> None:
    """Print a row per metric and kind of experiment; what is not as promised has a mark."""
    for note in found.notes:
        console.print(f"  {note}.", markup=False, highlight=False, soft_wrap=True)
    unplayed = len(found.played) < len(found.rows)
    names = ("metric", "with", "lift", "found", "promised", "lift covered", "KS p")
    grid = RichTable(box=None, padding=(0, 1, 0, 1))
    for name in (*names, *(["not played"] if unplayed else [])):
        grid.add_column(name, justify="left" if name in {"metric", "with", "not played"} else "right")
    for row in found.rows:
        extra = [word for word, on in (("CUPED", row.cuped), ("winsorised", row.winsorised)) if on]
        figures = _figures(row) if isinstance(row, Row) else [""] * 5
        reason = row.reason if isinstance(row, Unplayed) else ""
        grid.add_row(*map(Text, (row.metric, ", ".join(extra), *figures, *([reason] if unplayed else []))))
    console.print(grid)
    console.print(_verdict(found), markup=False, highlight=False, soft_wrap=True)


def _figures(row: Row) -> list[str]:
    def marked(text: str, as_promised: bool) -> str:
        return text if as_promised else f"! {text}"

    return [
        f"{row.effect:+.2%}" if row.effect else "none",
        marked(f"{row.rejected:.1%}", row.finds_as_promised),
        f"{row.promised:.1%} ± {1.96 * row.error:.1%}",
        marked(f"{row.coverage:.1%} ± {1.96 * row.coverage_error:.1%}", row.covers_as_promised),
        "" if row.ks_p_value is None else marked(f"{row.ks_p_value:.3f}", row.is_uniform),
    ]


def _verdict(found: Answer) -> str:
    wrong = [row for row in found.played if not row.as_promised]
    told = (
        f"{len(wrong)} of {len(found.played)} rows are further from a promise, marked !, than chance explains (1 in "
        f"100 for a share, KS p below {UNIFORM:g})."
        if wrong
        else "Every share found and covered is as near to the promise as chance allows, and every A/A is uniform."
    )
    return f"{found.runs:,} experiments each. {told}"
