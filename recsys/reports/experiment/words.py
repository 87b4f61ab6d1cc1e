"""Figures and intervals as a reader wants them: signs, percent, money, and a word for each verdict."""

from __future__ import annotations

from math import floor, log10

from recsys.reports.experiment.evidence import Interval, Lift

NBSP = "\u00a0"
NONE = "–"
VERDICTS = {
    "ship": ("Ship", "good", "✓"),
    "stop": ("Stop", "bad", "■"),
    "continue": ("Continue", "calm", "▶"),
    "invalid": ("Invalid", "warn", "!"),
    "": ("No decision yet", "quiet", "○"),
}
"""Verdict of ``experiments.decisions``: what it is called, its tone, and a sign that does not need colour."""


def verdict_word(verdict: str) -> tuple[str, str, str]:
    """Word, tone and sign of a verdict; one that is not known keeps its name."""
    return VERDICTS.get(verdict, (verdict.capitalize(), "quiet", "○"))


def words(name: object) -> str:
    """An identifier as words: ``guardrail:cancel_rate`` becomes "Guardrail, cancel rate"."""
    return str(name).replace("_", " ").replace(":", ", ").capitalize()


def plain(value: float | None, digits: int = 4) -> str:
    """So many significant digits, thousands apart, a true minus sign."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace("-", "−")
    if abs(value) < 1e-5:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}×10^{int(exponent)}".replace("-", "−")
    decimals = digits - 1 - floor(log10(abs(value)))
    return f"{value:.{decimals}f}".replace("-", "−")


def percent(value: float | None, digits: int = 1, *, sign: bool = True) -> str:
    """A share as percent: ``+4.2 %``."""
    if value is None:
        return NONE
    rounded = round(100 * value, digits) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''},.{digits}f}{NBSP}%".replace("-", "−")


def p_value(value: float | None) -> str:
    """A p-value, never 0."""
    if value is None:
        return NONE
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def measure(value: float | None, lift: Lift, unit: str, *, sign: bool = False) -> str:
    """A value of a metric, or with ``sign`` a difference of it, in its unit; shares as percent, their differences as
    percentage points."""
    if value is None:
        return NONE
    if is_share(lift, unit):
        points = plain(100 * value, 3)
        return f"{'+' if sign and value > 0 else ''}{points}{NBSP}{'pp' if sign else '%'}"
    shown = plain(value, 3 if sign else 4)
    shown = f"+{shown}" if sign and value > 0 else shown
    return f"{shown}{NBSP}{unit}" if unit else shown


def measures(interval: Interval | None, lift: Lift, unit: str) -> str:
    """The ends of an interval of a difference: ``−0.01 to +0.03 EUR``."""
    if interval is None:
        return NONE
    low, high = (measure(end, lift, unit, sign=True) for end in (interval.low, interval.high))
    return f"{low.partition(NBSP)[0]} to {high}"


def effect_of_use(lift: Lift, unit: str) -> tuple[str, str]:
    """The effect of use and the ends of its interval; an end that there is none of is "unbounded"."""
    use = lift.use
    if use is None or use.effect is None:
        return NONE, "the offer does not raise use"
    low, high = (
        "unbounded" if end is None else measure(end, lift, unit, sign=True) for end in (use.low, use.high)
    )
    return measure(use.effect, lift, unit, sign=True), f"{low} to {high}"


def is_share(lift: Lift, unit: str) -> bool:
    """Whether a metric reads best as percent: a proportion, or a ratio below 1 of things that have no unit."""
    small = lift.control_mean is not None and 0 < lift.control_mean < 1
    return lift.kind == "proportion" or (lift.kind == "ratio" and not unit and small)


def percents(interval: Interval | None) -> str:
    """The ends of an interval of a relative lift: ``+1.2 % to +7.1 %``."""
    return NONE if interval is None else f"{percent(interval.low)} to {percent(interval.high)}"
