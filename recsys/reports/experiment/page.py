"""The pages: the list of experiments, one experiment, and a message. HTML that needs no script and no other file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from functools import cache

from jinja2 import Environment, PackageLoader, select_autoescape

from recsys.experiments.definition import Experiment
from recsys.reports.experiment.answers import answers
from recsys.reports.experiment.evidence import BETTER, INVALID, UNCLEAR, WORSE, Lift
from recsys.reports.experiment.lift import CLASSES, interval_bar, lift_chart, reach
from recsys.reports.experiment.readout import STATES, ReadOut
from recsys.reports.experiment.words import (
    NBSP,
    effect_of_use,
    measure,
    measures,
    p_value,
    percent,
    percents,
    verdict_word,
    words,
)

SECTIONS = (
    ("arms", "Arms"),
    ("lift", "Lift over time"),
    ("metrics", "Metrics"),
    ("use", "By use"),
    ("guardrails", "Guardrails"),
    ("checks", "Checks"),
    ("segments", "Segments"),
    ("power", "Power left"),
    ("decisions", "Decision log"),
)
USE_NOTE = (
    "Units choose whether to use an offer. The effect of use is that of the offer, over what the offer adds to use: on "
    "the units that used it because it was offered, if the offer acts through use alone. It is for one look, and "
    "does not decide. Naive is those of the arm who used it against those who did not; they differ anyway, so it is "
    "not to be trusted."
)
ONE_LOOK_NOTE = (
    "This design looks more than once, and decides on the interval that holds at every look. Intervals of the lift and "
    "p-values are for one look: read every day, they find something by chance."
)
TONES = {BETTER: "good", WORSE: "bad", UNCLEAR: "calm", INVALID: "quiet"}
GUARD_TONE = {"holds": "good", "open": "calm", "breached": "bad", None: "quiet"}
GUARD_WORD = {"holds": "Holds", "open": "Not shown yet", "breached": "Breached", None: "Not measured"}
DESIGNS = {"fixed": "fixed horizon", "group_sequential": "group-sequential", "always_valid": "always valid"}
ORDER = ("running", "ended", "planned", "undefined")


def render_list(rows: Sequence[ReadOut], folder: str) -> str:
    """All experiments with state and verdict, those that run first; ``folder`` is where definitions are put."""
    ordered = sorted(rows, key=lambda one: (ORDER.index(one.state), one.id))
    return (
        environment().get_template("experiment_list.html").render(rows=ordered, folder=folder, states=STATES)
    )


def render_page(one: ReadOut, *, letters: bool = True) -> str:
    """One experiment; ``letters`` adds links to the read-outs that can be mailed."""
    reference = one.primary[0] if one.primary else None
    unit = one.unit(reference) if reference else ""
    arms = list(dict.fromkeys(lift.arm for lift in one.history if lift.effect))
    return (
        environment()
        .get_template("experiment_page.html")
        .render(
            one=one,
            answers=answers(one),
            facts=facts(one),
            sections=[place for place in SECTIONS if place[0] != "use" or one.by_use],
            definition=definition(one.definition) if one.definition else (),
            reference=reference,
            level=f"{100 * one.level:g}{NBSP}%",
            bounded=any(lift.bound for lift in one.history),
            series=[(arm, CLASSES[n % len(CLASSES)]) for n, arm in enumerate(arms)],
            wide=lift_chart(one.history, unit, width=1100, height=300),
            narrow=lift_chart(one.history, unit, width=350, height=260),
            power=one.decision.power_left if one.decision else None,
            letters=letters,
        )
    )


def render_message(title: str, message: str, *, link: tuple[str, str] | None = None, back: str = "") -> str:
    """A page that only says something; ``link`` is an address and its text, ``back`` leads to the list."""
    template = environment().get_template("experiment_message.html")
    return template.render(title=title, message=message, link=link, back=back)


def facts(one: ReadOut) -> list[str]:
    """One line about an experiment: state, days, design, how fresh the figures are."""
    found = [STATES[one.state]]
    if one.definition:
        start, end = one.definition.start, one.definition.end
        found.append(f"{start:%d %b %Y} to {end:%d %b %Y}" if end else f"from {start:%d %b %Y}, no end set")
        found.append(DESIGNS[one.definition.design.kind])
        found.append(f"drawn by {one.definition.unit}")
    if one.primary:
        found.append(f"data up to {one.primary[0].day:%d %b %Y}")
    return found


def definition(experiment: Experiment) -> list[tuple[str, str]]:
    """Name and value of what was declared before the start."""
    arms = [f"{arm.name} {percent(arm.weight, sign=False)}" for arm in experiment.arms]
    ramp = [f"{percent(step.share, 0, sign=False)} from {step.day:%d %b %Y}" for step in experiment.ramp]
    guardrails = [f"{name} (may lose {percent(m, sign=False)})" for name, m in experiment.guardrails.items()]
    looks = [f"{day:%d %b}" for day in experiment.looks]
    minimum, layer, who = experiment.minimum_effect, experiment.layer, experiment.eligibility
    rows = (
        ("Arms", ", ".join(arms)),
        ("Control", experiment.control),
        ("Primary metric", experiment.primary),
        ("Secondary", ", ".join(experiment.secondary)),
        ("Guardrails", ", ".join(guardrails)),
        (
            "Looks",
            ", ".join(looks) if looks else "every day" if experiment.design.kind == "always_valid" else "",
        ),
        ("Error rate, power", f"{experiment.alpha:g}, {experiment.power:g}"),
        ("Minimum effect", percent(minimum, sign=False) if minimum else ""),
        ("Ramp", ", ".join(ramp)),
        ("Hold-out", percent(experiment.holdout, sign=False) if experiment.holdout else ""),
        ("Layer", f"{layer.name}, buckets {layer.first} to {layer.last}" if layer else ""),
        ("Eligible", f"{who.table}: {who.where}" if who else "everybody"),
        ("Money capped at quantile", f"{experiment.winsorise:g}" if experiment.winsorise else ""),
        ("Used by", experiment.use or ""),
        ("Stands beside it", ", ".join(experiment.beside)),
        ("CUPED", f"{experiment.covariate_days} days before the start" if experiment.covariate_days else ""),
    )
    return [(name, value) for name, value in rows if value]


def tone_of(lift: Lift, one: ReadOut) -> str:
    """Colour of a lift: what its interval says, of the primary metric on the day that decides; quiet where nothing may
    be believed."""
    judged = (other.says for other in one.judged if lift in one.primary and other.arm == lift.arm)
    return TONES[next(judged, lift.says)] if one.is_valid else TONES[INVALID]


def checked(one: ReadOut) -> str:
    """What the checks of a read-out came to, in a few words."""
    failed = [check for check in one.checks if check.failed]
    if not one.checks:
        return "not checked"
    blocking = sum(check.blocks for check in failed)
    if blocking:
        return f"{blocking} block{'s' if blocking == 1 else ''}"
    if failed:
        return f"{len(failed)} warning{'s' if len(failed) > 1 else ''}"
    skipped = sum(not check.was_run for check in one.checks)
    return f"passed, {skipped} not checked" if skipped else "passed"


@cache
def environment() -> Environment:
    """The templates, with the words that pages and letters share; HTML is escaped."""
    made = Environment(
        loader=PackageLoader("recsys.reports"),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "day": _day,
        "words": words,
        "checked": checked,
        "md": _markdown,
    }
    made.filters |= filters
    made.globals |= {
        **{
            f.__name__: f
            for f in (measure, measures, percent, percents, p_value, verdict_word, effect_of_use)
        },
        "interval_bar": interval_bar,
        "reach": reach,
        "tone_of": tone_of,
        "guard_tone": GUARD_TONE,
        "guard_word": GUARD_WORD,
        "use_note": USE_NOTE,
        "one_look_note": ONE_LOOK_NOTE,
    }
    return made


def _day(value: date) -> str:
    return f"{value:%d %b %Y}"


def _markdown(value: object) -> str:
    """Escape what Markdown would read as markup, and what would end a cell of a table."""
    flat = " ".join(str(value).split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", flat)
