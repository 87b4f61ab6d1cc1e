"""What could be wrong with an experiment, told so that a verdict can be blocked; pure: counts in, checks out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date

import pandas as pd

from recsys.experiments.definition import Experiment
from recsys.experiments.limits import MOST_WRONG
from recsys.experiments.statistics import FEW_CLUSTERS, SRM_ALPHA, sample_ratio_p_value

ALL = "all"
"""Segment, and value of it, of what counts every unit."""
DAY = "day"
"""Segment of a check of units first exposed on one day, which is the value."""
NOT_CHECKED = "not checked"
"""What was observed where a check could not be made: it has not passed, and does not block."""
INTERFERENCE = (
    "Buyers are split and a listing has a stock of one, so a sale in one arm can be a sale taken from the other: the "
    "difference tends to overstate what a launch for everybody would bring."
)


@dataclass(frozen=True)
class Check:
    """One row of ``experiments.checks``: ``blocks`` tells whether its failure makes the verdict invalid."""

    check_id: str
    success: bool
    blocks: bool
    message: str
    segment: str = ALL
    segment_value: str = ALL
    p_value: float | None = None
    observed: str | None = None


def frame(experiment_id: str, checks: Iterable[Check]) -> pd.DataFrame:
    """Checks as rows of ``experiments.checks``, without ``ds``."""
    return pd.DataFrame([{"experiment_id": experiment_id, **asdict(check)} for check in checks])


def sample_ratios(experiment: Experiment, units: pd.DataFrame) -> list[Check]:
    """Hold the units of each arm against its share of the buckets: over all, by segment, by day of first exposure.

    That share is the configured weight, unless the weight is finer than a bucket: an honest split then has the share.

    Args:
        experiment: whose shares count.
        units: columns segment, segment_value, arm, units. Segment "all" is the total, "day" the units by the day they
            were first exposed on, any other a dimension known before the experiment.

    Each fails below p = .001. The total then blocks; a segment or a day only if it is also below .001 / (tests of its
    dimension), after Bonferroni: of 90 honest days, one is below .001 in nearly one experiment of ten.
    """
    found = []
    for segment, of_segment in units.groupby("segment", sort=True):
        tested = {
            str(value): (_counts(rows), sample_ratio_p_value(_counts(rows), experiment.shares))
            for value, rows in of_segment.groupby("segment_value", sort=True)
        }
        for value, (counts, p) in tested.items():
            success = p is None or p >= SRM_ALPHA
            blocks = segment == ALL or (p is not None and p * len(tested) < SRM_ALPHA)
            found.append(
                Check(
                    "sample_ratio",
                    success,
                    blocks,
                    _ratio_message(success, counts, p),
                    str(segment),
                    value,
                    p,
                    _listed(counts),
                )
            )
    return found


def _counts(rows: pd.DataFrame) -> dict[str, int]:
    return {str(arm): int(n) for arm, n in rows.groupby("arm")["units"].sum().items()}


def _ratio_message(success: bool, counts: Mapping[str, int], p: float | None) -> str:
    if p is None:
        return "There are no units of two arms to compare."
    if success:
        return f"The arms have their shares (p = {p:.2g})."
    return (
        f"The split of units is not the configured one (p = {p:.2g}; {_listed(counts)}). Look for lost impressions, "
        "filters that differ by arm, or a changed definition."
    )


def two_arms(exposed: int, in_two: int) -> Check:
    """Units that lists of two arms were made for or shown to; they count for the arm they saw first."""
    if not in_two:
        return Check("two_arms", True, True, "No unit was in two arms.", observed="0")
    return Check(
        "two_arms",
        False,
        in_two > MOST_WRONG * exposed,
        f"{in_two:,} of {exposed:,} exposed units were in two arms. Was the salt, a weight or the list of arms changed "
        "while it ran?",
        observed=str(in_two),
    )


def exposed_before_assigned(exposed: int, early: int) -> Check:
    """Units exposed before the day from which lists of their arm could be served, or never assigned at all."""
    if not early:
        return Check(
            "early_exposure", True, True, "Every unit was assigned before it was exposed.", observed="0"
        )
    return Check(
        "early_exposure",
        False,
        early > MOST_WRONG * exposed,
        f"{early:,} of {exposed:,} exposed units saw a list of an arm before they were assigned to it, or without.",
        observed=str(early),
    )


def missing_days(experiment: Experiment, ds: date, present: Sequence[date]) -> Check:
    """Days of the run, up to ``ds``, of which nothing was recorded."""
    wanted = pd.date_range(experiment.start, ds).date
    absent = [day for day in wanted if day not in set(present)]
    if not absent:
        return Check("missing_days", True, True, "Every day since the start is there.", observed="0")
    shown = ", ".join(map(str, absent[:5])) + (" and more" if len(absent) > 5 else "")
    return Check(
        "missing_days",
        False,
        True,
        f"{len(absent)} days are missing: {shown}. Run experiment_metrics_daily for them.",
        observed=str(len(absent)),
    )


def pre_period(label: str, metric: str, arm: str, p_value: float | None, *, is_primary: bool) -> Check:
    """Whether an arm differed from the control before the experiment began, on one metric."""
    if p_value is None:
        told = f"Not checked: nothing of {label} of {arm} before the start can be compared."
        return Check(f"pre_period:{metric}:{arm}", False, False, told, observed=NOT_CHECKED)
    success = p_value >= SRM_ALPHA
    told = (
        f"{label} of {arm} did not differ before the start."
        if success
        else f"{label} of {arm} differed before the start (p = {p_value:.2g}): the split was not at random."
    )
    return Check(f"pre_period:{metric}:{arm}", success, is_primary, told, p_value=p_value)


def no_pre_period() -> Check:
    """The row of an experiment that declares no days before its start."""
    told = (
        "Not checked: whether the arms differed before the start. It takes covariate_days, say 28, in the definition, "
        "declared before the start."
    )
    return Check("pre_period", False, False, told, observed=NOT_CHECKED)


def few_clusters(counts: Mapping[str, int]) -> Check:
    """Whether every arm has clusters enough for its intervals; with few of them a result is a hint, and no verdict."""
    success = min(counts.values(), default=0) >= FEW_CLUSTERS
    told = (
        f"Every arm has {FEW_CLUSTERS} clusters or more ({_listed(counts)})."
        if success
        else f"An arm has fewer than {FEW_CLUSTERS} clusters ({_listed(counts)}): intervals hold the truth less "
        "often than they say. Draw smaller clusters, or hold the sums by cluster against statistics.permutation_test."
    )
    return Check("few_clusters", success, False, told, observed=_listed(counts))


def guardrail(label: str, metric: str, arm: str, state: str, told: str) -> Check:
    """A guardrail of one arm. A breach does not make the verdict invalid: its arm is not shipped."""
    words = {
        "breached": f"{label} of {arm} is worse than its margin: {told}.",
        "holds": f"{label} of {arm} is within its margin: {told}.",
        "open": f"{label} of {arm} may still be worse than its margin: {told}.",
    }
    return Check(f"guardrail:{metric}:{arm}", state != "breached", False, words[state], observed=state)


def interference(beside: Sequence[str] = ()) -> Check:
    """The warning beside money of a split of buyers. ``beside``: its lifts, and those of a split by cluster."""
    more = f" Beside it: {'; '.join(beside)}." if beside else ""
    return Check("interference", False, False, INTERFERENCE + more, observed="; ".join(beside) or None)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{arm} {n:,}" for arm, n in counts.items())
