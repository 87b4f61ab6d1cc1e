"""The four questions of who decides, answered in plain words from a read-out."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.reports.experiment.evidence import BETTER, INVALID, WORSE, Lift
from recsys.reports.experiment.readout import ReadOut
from recsys.reports.experiment.words import (
    NBSP,
    measure,
    measures,
    p_value,
    percent,
    percents,
    verdict_word,
    words,
)

NOT_BELIEVED = "No number may be believed"
TODO = {
    "ship": "Serve it to everybody.",
    "stop": "Switch it off and keep the control.",
    "continue": "Let it run.",
    "invalid": "Find the cause before anything else; then start anew.",
    "": "The rule has not spoken yet.",
}


@dataclass(frozen=True)
class Answer:
    """A question, its answer in a few words, what stands behind it, and a tone: good, bad, warn, calm or quiet."""

    question: str
    short: str
    long: str
    tone: str


def answers(made: ReadOut) -> tuple[Answer, ...]:
    """Is it better, how sure are we, what could be wrong, what to do: in this order."""
    return (_better(made), _sure(made), _wrong(made), _todo(made))


def _better(made: ReadOut) -> Answer:
    best = made.judged[0] if made.judged else None
    question = "Does it earn more?" if best is None or best.metric in made.money else "Is it better?"
    if best is None or best.effect is None:
        waiting = "Nobody has been counted yet." if best is None else "There are too few units to compare."
        return Answer(question, "Not known yet", waiting, "quiet")
    if not made.is_valid:
        stopping = [words(check.name) for check in made.checks if check.stops] or ["The sample ratio"]
        return Answer(question, NOT_BELIEVED, f"A check blocks: {stopping[0]}.", "warn")
    change = percent(best.relative.value) if best.relative else _difference(best, made)
    if made.is_fixed and made.state == "running":
        short, tone = f"Not to be decided yet: {change} so far", "calm"
        return Answer(
            question, short, f"{_beside(best, made)}. The design decides once, at its end.{_rest(made)}", tone
        )
    stands = made.decision is not None and made.decision.rule in {"win", "loss"}
    short, tone = {
        BETTER: (f"Yes: {change} {made.label.lower()}", "good"),
        WORSE: (f"No: {change} {made.label.lower()}", "bad"),
    }.get(
        made.says, (f"{'Shown at an earlier look' if stands else 'Not known yet'}: {change} so far", "calm")
    )
    return Answer(question, short, f"{_beside(best, made)}.{_rest(made)}", tone)


def _sure(made: ReadOut) -> Answer:
    question = "How sure are we?"
    best = made.judged[0] if made.judged else None
    if best is None or best.effect is None:
        return Answer(question, "Not at all", "There is no interval yet.", "quiet")
    if not made.is_valid:
        return Answer(question, "Not at all", "An interval of a broken experiment means nothing.", "warn")
    level = f"{100 * made.level:g}{NBSP}%"
    if made.is_fixed:
        shown = percents(best.relative) if best.relative else measures(best.effect, best, made.unit(best))
        looks = "It holds on the day set beforehand, not on the first day that looks good."
        if len(made.judged) > 1:
            looks += f" It is of one arm alone; adjusted for {len(made.judged)} arms p is {p_value(best.p_adjusted)}."
    else:
        shown = measures(best.decisive, best, made.unit(best)) if best.decisive else "none on this day"
        looks = (
            f"It holds at every look; on a single day set beforehand it would be {percents(best.relative)}."
        )
    chance = best.probability_best
    said = (
        f" {best.arm} is best with probability {percent(chance, 0, sign=False)}."
        if chance is not None
        else ""
    )
    return Answer(
        question,
        f"{level} interval: {shown}",
        looks + said,
        "good" if made.says in {BETTER, WORSE} else "calm",
    )


def _wrong(made: ReadOut) -> Answer:
    question = "What could be wrong?"
    if not made.checks:
        return Answer(question, "Not checked yet", "No check has run on this day.", "quiet")
    failed = [check for check in made.checks if check.failed]
    blocking = [check for check in failed if check.stops]
    if blocking:
        more = f" And {len(blocking) - 1} more that block." if len(blocking) > 1 else ""
        return Answer(question, f"Blocked: {words(blocking[0].name)}", blocking[0].message + more, "bad")
    if failed:
        count = f"{len(failed)} warning{'s' if len(failed) > 1 else ''}"
        return Answer(question, f"{count}, nothing that blocks", failed[0].message, "warn")
    skipped = [check for check in made.checks if not check.was_run]
    if skipped:
        passed = f"Checks passed: {len(made.checks) - len(skipped)}; not made: {len(skipped)}."
        return Answer(question, "Nothing found, not all checked", f"{passed} {skipped[0].message}", "calm")
    return Answer(question, "Nothing found", f"All {len(made.checks)} checks passed.", "good")


def _todo(made: ReadOut) -> Answer:
    word, tone, _ = verdict_word(made.verdict)
    decision = made.decision
    told = decision is not None and decision.rule != "check"  # what blocks is told above
    reason = f" {decision.reason}" if decision and told else ""
    reason += f" Why: {decision.why}" if decision and decision.why else ""
    return Answer("What to do?", word, TODO.get(made.verdict, "").strip() + reason, tone)


def _beside(lift: Lift, made: ReadOut) -> str:
    unit = made.unit(lift)
    own = lift.mean.value if lift.mean else None
    return (
        f"{lift.arm} {measure(own, lift, unit)}, {lift.control} {measure(lift.control_mean, lift, unit)}: "
        f"{_difference(lift, made)} ({measures(lift.effect, lift, unit)})"
    )


def _difference(lift: Lift, made: ReadOut) -> str:
    value = lift.effect.value if lift.effect else None
    return measure(value, lift, made.unit(lift), sign=True)


def _rest(made: ReadOut) -> str:
    rest = [
        f"{lift.arm} {percent(lift.relative.value)}"
        for lift in made.judged[1:]
        if lift.relative and lift.says != INVALID
    ]
    return f" The others: {', '.join(rest)}." if rest else ""
