"""From the rows of the tables to what a read-out says: four answers, then the evidence behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pandas as pd

from recsys.experiments.checks import NOT_CHECKED
from recsys.experiments.decision import standing
from recsys.experiments.definition import Experiment
from recsys.experiments.looks import last_day
from recsys.experiments.pinned import CHECK as DEFINITION
from recsys.reports.experiment.evidence import (
    ALL,
    ALPHA,
    BETTER,
    UNCLEAR,
    WORSE,
    Evidence,
    Interval,
    Lift,
    lifts,
    number,
    text,
)

ROLES = {"primary": 0, "secondary": 1, "guardrail": 2}
INTERFERENCE = "interference"
SHOWN = 3
STATES = {"planned": "Planned", "running": "Running", "ended": "Ended", "undefined": "Not defined any more"}


@dataclass(frozen=True)
class ArmRow:
    """One arm: what it should have got, and what it got. ``share`` is that of the users of all arms."""

    name: str
    policy: str | None
    is_control: bool
    weight: float | None
    users: int
    share: float | None
    mean: Interval | None
    probability_best: float | None


@dataclass(frozen=True)
class Check:
    """One row of ``experiments.checks``; ``about`` names the segment, empty where it is about everybody."""

    name: str
    about: str
    success: bool
    blocks: bool
    p_value: float | None
    observed: str | None
    message: str

    @property
    def was_run(self) -> bool:
        """Whether there was anything to check; else it has neither passed nor failed."""
        return self.success or self.observed != NOT_CHECKED

    @property
    def failed(self) -> bool:
        """Whether it was run and did not pass."""
        return self.was_run and not self.success

    @property
    def result(self) -> str:
        """What came of it, in a word or two."""
        if not self.was_run:
            return "Not checked"
        return "Passed" if self.success else "Blocks" if self.blocks else "Warning"

    @property
    def stops(self) -> bool:
        """Whether it makes every number unbelievable."""
        return self.blocks and not self.success

    @property
    def tone(self) -> str:
        """good, warn, bad or quiet."""
        if not self.was_run:
            return "quiet"
        return "good" if self.success else "bad" if self.blocks else "warn"


@dataclass(frozen=True)
class Decision:
    """One row of ``experiments.decisions``."""

    revision: int
    day: date
    verdict: str
    rule: str
    reason: str
    decided_by: str
    why: str | None
    inputs_hash: str
    power_left: float | None


@dataclass(frozen=True)
class ReadOut:
    """What a page and a letter are made from; everything in reading order.

    ``history`` holds the primary metric since the start, one lift per day and arm beside the control; ``primary`` its
    last day, the best arm first, and ``judged`` the same on the day that decides: no day after the last look does.
    ``others`` holds the remaining metrics but guardrails; ``segments`` lifts by dimension;
    ``decision`` the one that stands, ``decisions`` all of them, the newest first.
    """

    id: str
    day: date
    days: tuple[date, ...]
    currency: str
    money: frozenset[str]
    definition: Experiment | None
    hypothesis: str
    state: str
    is_valid: bool
    label: str
    control: str
    decision: Decision | None
    arms: tuple[ArmRow, ...]
    primary: tuple[Lift, ...]
    judged: tuple[Lift, ...]
    history: tuple[Lift, ...]
    others: tuple[Lift, ...]
    guardrails: tuple[Lift, ...]
    segments: dict[str, tuple[Lift, ...]]
    checks: tuple[Check, ...]
    decisions: tuple[Decision, ...]

    @property
    def verdict(self) -> str:
        """Of the decision that stands; empty where nothing was decided."""
        return self.decision.verdict if self.decision else ""

    @property
    def is_fixed(self) -> bool:
        """Whether the design decides once, at its end."""
        return self.definition is None or self.definition.design.kind == "fixed"

    @property
    def level(self) -> float:
        """Confidence of the intervals, as a share."""
        return 1 - (self.definition.alpha if self.definition else ALPHA)

    @property
    def units(self) -> str:
        """What was drawn at random, as the heading of a column."""
        return f"{self.definition.unit}s".capitalize() if self.definition else "Units"

    @property
    def interference(self) -> Check | None:
        """The warning that a lift may be sales taken from the other arm; None where buyers were not split."""
        return next(
            (check for check in self.checks if check.name == INTERFERENCE and not check.success), None
        )

    @property
    def says(self) -> str:
        """What the primary metric came to, and no more than the rules say: a gain of the best arm, or a loss of all."""
        if not self.judged:
            return UNCLEAR
        best, *rest = (lift.says for lift in self.judged)
        return UNCLEAR if best == WORSE and set(rest) - {WORSE} else best

    @property
    def by_use(self) -> tuple[Lift, ...]:
        """Lifts beside which the effect of use is known, each once; none where nothing may be believed."""
        found = dict.fromkeys((*self.primary, *self.others, *self.guardrails))
        return tuple(lift for lift in found if lift.use is not None) if self.is_valid else ()

    def overstated(self, lift: Lift) -> bool:
        """Whether that warning is about this metric: money."""
        return self.interference is not None and lift.metric in self.money

    def unit(self, lift: Lift) -> str:
        """What a metric counts, to be printed behind it; empty where nothing helps."""
        return self.currency if lift.metric in self.money else ""


def read(evidence: Evidence) -> ReadOut:
    """Read the rows; nothing in them may be missing but what the contracts allow to be NULL."""
    definition = evidence.definition
    known = lifts(evidence.results, definition)
    last = max((lift.day for lift in known), default=evidence.day)
    now = [lift for lift in known if lift.day == last]
    whole = [lift for lift in now if lift.segment == ALL]
    named = next((lift.metric for lift in whole if lift.role == "primary"), "rpu")
    name = definition.primary if definition else named
    of_primary = [lift for lift in whole if lift.metric == name]
    primary = tuple(sorted((lift for lift in of_primary if not lift.is_control), key=_best_first))
    decisions = _decisions(evidence.decisions)
    checks = _checks(evidence.checks)
    holds = _decisions(standing(evidence.decisions))
    treated = [lift for lift in known if lift.metric == name and not lift.is_control]
    others = sorted((x for x in whole if x.metric != name and not x.is_control), key=_in_order)
    return ReadOut(
        id=evidence.experiment_id,
        day=evidence.day,
        days=evidence.days,
        currency=evidence.currency,
        money=evidence.money,
        definition=definition,
        hypothesis=definition.hypothesis if definition else "",
        state=state_of(definition, evidence.day),
        is_valid=all(lift.is_valid for lift in of_primary) and not any(check.stops for check in checks),
        label=of_primary[0].label if of_primary else "Revenue per user",
        control=definition.control if definition else of_primary[0].control if of_primary else "",
        decision=holds[0] if holds else None,
        arms=_arms(definition, of_primary),
        primary=primary,
        judged=_judged(definition, treated, last),
        history=tuple(lift for lift in treated if lift.segment == ALL),
        others=tuple(lift for lift in others if lift.role != "guardrail"),
        guardrails=tuple(lift for lift in whole if not lift.is_control and _is_guarded(lift)),
        segments=_segments(lift for lift in now if lift.metric == name and not lift.is_control),
        checks=checks,
        decisions=decisions,
    )


def state_of(definition: Experiment | None, day: date) -> str:
    """planned, running, ended or undefined, by the end of data day ``day``."""
    if definition is None:
        return "undefined"
    if day < definition.start:
        return "planned"
    return "ended" if definition.end is not None and day >= definition.end else "running"


def _judged(definition: Experiment | None, treated: Sequence[Lift], last: date) -> tuple[Lift, ...]:
    """Lifts of the day that decides: the newest, but none after the last look. The shown gains first, then the best.

    Without that day's rows, a later one decides nothing.
    """
    ended = last_day(definition) if definition else None
    day = last if ended is None else min(ended, last)
    found = [lift for lift in treated if lift.segment == ALL and lift.day in {day, last}]
    own = [lift for lift in found if lift.day == day] or [replace(lift, is_shown=False) for lift in found]
    return tuple(sorted(own, key=lambda lift: (lift.says != BETTER, *_best_first(lift))))


def _best_first(lift: Lift) -> tuple[bool, float, str]:
    sign = -1 if lift.direction == "down" else 1
    return lift.effect is None, -sign * (lift.effect.value if lift.effect else 0), lift.arm


def _is_guarded(lift: Lift) -> bool:
    """A metric may have a margin and another role besides."""
    return lift.margin is not None or lift.role == "guardrail"


def _in_order(lift: Lift) -> int:
    return ROLES.get(lift.role, len(ROLES))


def _arms(definition: Experiment | None, rows: Sequence[Lift]) -> tuple[ArmRow, ...]:
    by_arm = {row.arm: row for row in rows}
    weights = definition.weights if definition else {}
    policies = definition.policies if definition else {}
    control = definition.control if definition else rows[0].control if rows else ""
    total = sum(row.users for row in rows)
    made = []
    for name in dict.fromkeys([*weights, *by_arm]):
        row = by_arm.get(name)
        users = row.users if row else 0
        made.append(
            ArmRow(
                name=name,
                policy=policies.get(name) or (row.policy if row else None),
                is_control=name == control,
                weight=weights.get(name),
                users=users,
                share=users / total if total else None,
                mean=row.mean if row and row.is_valid else None,
                probability_best=row.probability_best if row and row.is_valid else None,
            )
        )
    return tuple(made)


def _segments(rows: Any) -> dict[str, tuple[Lift, ...]]:
    found: dict[str, list[Lift]] = {}
    for lift in rows:
        if lift.segment != ALL:
            found.setdefault(lift.segment, []).append(lift)
    return {name: tuple(of_segment) for name, of_segment in found.items()}


def _checks(frame: pd.DataFrame) -> tuple[Check, ...]:
    """What failed first, what blocks before all, then what was not checked. Of parts of the units (segments, days) the
    SHOWN worst that failed have rows of their own; the others that failed, and those that passed, make one row each."""
    made: list[Check] = []
    parts: dict[tuple[str, str, bool], list[Check]] = {}
    for row in frame.to_dict("records"):
        segment, success = str(row["segment"]), bool(row["success"])
        check = Check(
            name=str(row["check_id"]),
            about="" if segment == ALL else f"{segment} {row['segment_value']}",
            success=success,
            blocks=bool(row["blocks"]),
            p_value=number(row["p_value"]),
            observed=None if row["check_id"] == DEFINITION else text(row["observed"]),
            message=str(row["message"]),
        )
        (made if segment == ALL else parts.setdefault((check.name, segment, success), [])).append(check)
    for (_, segment, success), found in parts.items():
        found.sort(key=lambda check: (not check.blocks, 1.0 if check.p_value is None else check.p_value))
        shown = 0 if success else SHOWN
        made += found[:shown] + _together(found[shown:], segment)
    return tuple(
        sorted(
            made,
            key=lambda check: (
                check.success,
                not check.was_run,
                not check.blocks,
                check.about.startswith("by "),
            ),
        )
    )


def _together(found: Sequence[Check], segment: str) -> list[Check]:
    """One check for many of the same result, the one of the least p-value first; none for none."""
    if not found:
        return []
    word = "passed" if found[0].success else "more failed"
    least = "" if found[0].p_value is None else "; the least p-value is shown"
    told = replace(found[0], about=f"by {segment}", observed=None, message=f"{len(found)} {word}{least}.")
    return [told]


def _decisions(frame: pd.DataFrame) -> tuple[Decision, ...]:
    made = [
        Decision(
            revision=int(row["revision"]),
            day=pd.Timestamp(row["ds"]).date(),
            **{name: str(row[name]) for name in ("verdict", "rule", "reason", "decided_by", "inputs_hash")},
            why=text(row["why"]),
            power_left=number(row["power_left"]),
        )
        for row in frame.to_dict("records")
    ]
    return tuple(sorted(made, key=lambda decision: (decision.day, decision.revision), reverse=True))
