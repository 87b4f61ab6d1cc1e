"""The read-out as a letter: HTML for a mail (tables and styles inside, no picture and no script), and Markdown."""

from __future__ import annotations

from recsys.reports.experiment.answers import answers
from recsys.reports.experiment.evidence import Interval, Lift
from recsys.reports.experiment.page import GUARD_WORD, checked, environment, facts
from recsys.reports.experiment.readout import ReadOut
from recsys.reports.experiment.words import effect_of_use, measure, measures, p_value, percent, percents

OFTEN_NOTE = (
    "This design looks more than once: intervals are those of the difference, and hold at every look. There is no "
    "p-value, since that of one look finds something by chance when it is read every day."
)


def render_letter(one: ReadOut) -> str:
    """The read-out as one HTML file that mail programs show: no style sheet, no drawing, 640 pixels wide."""
    return environment().get_template("experiment_letter.html").render(**_content(one))


def render_markdown(one: ReadOut) -> str:
    """The same in Markdown, tables included; what stands in the tables of the warehouse is escaped."""
    return environment().get_template("experiment_letter.md").render(**_content(one))


def _content(one: ReadOut) -> dict[str, object]:
    believed = one.is_valid  # figures of a broken experiment are not sent around
    return {
        "one": one,
        "often_note": "" if one.is_fixed else OFTEN_NOTE,
        "interval": "Interval" if one.is_fixed else "At every look",
        "answers": answers(one),
        "facts": facts(one),
        "metrics": [_row(lift, one) for lift in (*one.primary, *one.others) if believed],
        "by_use": [_use(lift, one) for lift in one.by_use],
        "guardrails": [_guardrail(lift, one) for lift in one.guardrails if believed],
        "failed": [check for check in one.checks if not check.success],
        "checked": checked(one),
    }


def _row(lift: Lift, one: ReadOut) -> dict[str, str]:
    unit = one.unit(lift)
    return {
        "metric": _metric(lift, one),
        "arm": lift.arm,
        "control": measure(lift.control_mean, lift, unit),
        "mean": measure(lift.mean.value if lift.mean else None, lift, unit),
        "lift": percent(lift.relative.value if lift.relative else None),
        "interval": _interval(lift, one),
        "p": p_value(lift.p_value if lift.p_adjusted is None else lift.p_adjusted),
    }


def _interval(lift: Lift, one: ReadOut) -> str:
    """Of the lift; where a design looks often, of the difference, and at every look: a letter may go out each day."""
    return percents(lift.relative) if one.is_fixed else measures(lift.bound, lift, one.unit(lift))


def _of_control(lift: Lift) -> Interval | None:
    """What holds at every look as a part of the control's value, as the margin beside it is."""
    bound, control = lift.bound, abs(lift.control_mean or 0.0)
    return (
        Interval(*(end / control for end in (bound.value, bound.low, bound.high)))
        if bound and control
        else None
    )


def _use(lift: Lift, one: ReadOut) -> dict[str, str]:
    unit, (effect, ends) = one.unit(lift), effect_of_use(lift, one.unit(lift))
    naive = lift.use.naive.value if lift.use and lift.use.naive else None
    return {
        "metric": lift.label,
        "arm": lift.arm,
        "used": percent(lift.use.used if lift.use else None, sign=False),
        "offer": measure(lift.effect.value if lift.effect else None, lift, unit, sign=True),
        "effect": effect,
        "interval": ends,
        "naive": measure(naive, lift, unit, sign=True),
    }


def _metric(lift: Lift, one: ReadOut) -> str:
    return lift.label + (" (may be overstated)" if one.overstated(lift) else "")


def _guardrail(lift: Lift, one: ReadOut) -> dict[str, str]:
    return {
        "metric": _metric(lift, one),
        "arm": lift.arm,
        "interval": percents(lift.relative if one.is_fixed else _of_control(lift)),
        "margin": percent(lift.margin, sign=False),
        "state": GUARD_WORD[lift.guarded],
    }
