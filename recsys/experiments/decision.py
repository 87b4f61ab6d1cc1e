"""What to do about an experiment: ship, stop, continue or invalid, by the first rule that holds.

The rules, in their order (``docs/decisions.md`` says why):

1. ``check``: a check that blocks has failed. Invalid: no number may be believed.
2. ``guardrail``: every arm has a guardrail that is worse than its margin, beyond its confidence sequence. Stop.
3. ``no_data``: there is no comparison with the control yet. Continue.
4. ``not_yet``: the design does not look on this day. Continue.
5. ``loss``: every arm that may be shipped loses on the primary metric. Stop.
6. ``guardrail_open``: an arm wins, and a guardrail may still be worse than its margin. Continue, or stop at the end.
7. ``win``: an arm wins, and every guardrail holds. Ship the arm with the largest gain.
8. ``inconclusive``: the design's last look found no difference. Stop.
9. ``undecided``: continue.

The days are gone through from the start: the first that ships or stops is what stands, and only a check undoes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from recsys.errors import ExperimentError
from recsys.experiments.definition import Experiment
from recsys.experiments.guardrails import BREACHED, HOLDS, decisive, gain_of, guardrails
from recsys.experiments.looks import decides_on, is_over, last_day
from recsys.experiments.outlook import power_left

SHIP, STOP, CONTINUE, INVALID = "ship", "stop", "continue", "invalid"
VERDICTS = (SHIP, STOP, CONTINUE, INVALID)
BY_RULE = "rule"
OVERRIDE, WITHDRAWN = "override", "withdrawn"
RULES_VERSION = 2
"""Goes into the hash of the inputs: other rules are another input."""
_OF_RESULT = (
    "metric", "scope", "segment", "segment_value", "arm", "users", "mean", "difference", "difference_low",
    "difference_high", "p_value", "p_adjusted", "bound_low", "bound_high", "relative_low", "relative_high", "role",
    "cuped_difference", "cuped_low", "cuped_high", "is_valid",
)  # fmt: skip
_OF_CHECK = ("check_id", "segment", "segment_value", "p_value", "observed", "success", "blocks")


@dataclass(frozen=True)
class Decision:
    """A verdict of ``VERDICTS``, the rule that gave it and why, in one sentence.

    ``power_left`` is the chance that a coming look shows a gain if the minimum effect is there (conditional power);
    None where no end, no minimum effect or no comparison is known.
    """

    verdict: str
    rule: str
    reason: str
    power_left: float | None = None


@dataclass(frozen=True)
class _Arm:
    """An arm against the control on one metric; ``gain`` counts in the direction that is better."""

    name: str
    gain: float
    wins: bool
    loses: bool
    told: str


def decide(
    experiment: Experiment, ds: date, read_outs: Mapping[date, pd.DataFrame], checks: pd.DataFrame
) -> Decision:
    """Decide on ``experiment`` at the end of ``ds``; what an earlier day has ended is told again.

    Args:
        experiment: its definition, declared before its start.
        ds: the data day.
        read_outs: rows of ``experiments.results`` of this experiment by day: those of ``needed_days``, and of every
            other day since the start that was read out, since bounds that hold on any day may have been crossed on it.
        checks: rows of ``experiments.checks`` of ``ds``.

    Raises:
        ExperimentError: the read-out of ``ds``, or of a look before it, is not there.
    """
    absent = [day for day in needed_days(experiment, ds) if day not in read_outs]
    if absent:
        raise ExperimentError(
            f"Experiment {experiment.id}: the decision of {ds} needs the read-outs of {', '.join(map(str, absent))}. "
            "Run the DAG experiment_metrics_daily for them first."
        )
    last = min(ds, last_day(experiment) or ds)
    totals = {day: total(rows) for day, rows in sorted(read_outs.items()) if day <= last or day == ds}
    left = power_left(experiment, last, totals[last])
    return Decision(*(_failed(checks) or _standing(experiment, ds, last, totals)), left)


def needed_days(experiment: Experiment, ds: date) -> list[date]:
    """Days up to ``ds`` without whose read-outs nothing is decided: looks, the last day, and ``ds``."""
    last = last_day(experiment)
    return sorted(day for day in {*experiment.looks, last or ds, ds} if day <= ds)


def total(results: pd.DataFrame) -> pd.DataFrame:
    """The rows that decide: of all days since the start, over all units."""
    return results[(results["scope"] == "cumulative") & (results["segment"] == "all")]


Found = tuple[str, str, str]
"""Verdict, rule, reason."""
_Harmed = Mapping[str, str]
"""Arms that may not be shipped, and the breaches of their guardrails."""


def _failed(checks: pd.DataFrame) -> Found | None:
    failed = checks[~checks["success"].astype(bool) & checks["blocks"].astype(bool)]
    if failed.empty:
        return None
    return INVALID, "check", f"{_listed(failed['check_id'])}: {failed['message'].iloc[0]}"


def _standing(experiment: Experiment, ds: date, last: date, read_outs: Mapping[date, pd.DataFrame]) -> Found:
    """What the first day that ended the experiment decided, else what the newest look says.

    Days after ``last`` count no more, and earlier ones that could not be believed never did.
    """
    harmed: dict[str, str] = {}
    said: Found | None = None
    for day, rows in read_outs.items():
        if day > last or (day < ds and not _is_believed(rows)):
            continue
        harmed = _breaches(experiment, rows) | harmed
        if harmed.keys() >= _treated(experiment):
            return _since(
                day, ds, (STOP, "guardrail", f"A guardrail is breached: {'; '.join(harmed.values())}.")
            )
        if decides_on(experiment, day):
            said = _at_look(experiment, day, rows, harmed)
            if said and said[0] != CONTINUE:
                return _since(day, ds, said)
    if last < ds and not _is_believed(read_outs[last]):
        return (
            INVALID,
            "check",
            f"No number of the last look, {last}, may be believed. Mend it and run it again.",
        )
    if not _compared(experiment, read_outs[last]):
        return CONTINUE, "no_data", "No arm can be compared with the control yet."
    return said or _since(last, ds, _waiting(experiment, last, read_outs[last], harmed))


def _since(day: date, ds: date, found: Found) -> Found:
    """What was decided before ``ds`` says when."""
    verdict, rule, reason = found
    return verdict, rule, reason if day == ds else f"{reason} Decided on {day}."


def _is_believed(rows: pd.DataFrame) -> bool:
    return "is_valid" not in rows or bool(rows["is_valid"].dropna().astype(bool).all())


def _treated(experiment: Experiment) -> set[str]:
    return {arm.name for arm in experiment.arms if arm.weight > 0} - {experiment.control}


def _breaches(experiment: Experiment, rows: pd.DataFrame) -> dict[str, str]:
    """What is told of the breached guardrails of a day, by arm."""
    found: dict[str, list[str]] = {}
    for guard in guardrails(experiment, rows):
        if guard.state == BREACHED:
            found.setdefault(guard.arm, []).append(guard.told)
    return {arm: "; ".join(told) for arm, told in found.items()}


def _waiting(experiment: Experiment, day: date, rows: pd.DataFrame, harmed: _Harmed) -> Found:
    """Nothing is shown: what comes next."""
    told, out = _told(_arms(experiment, rows)), _out(harmed)
    if is_over(experiment, day):
        nothing = "no arm that may be shipped" if harmed else "no difference"
        return STOP, "inconclusive", f"The last look found {nothing}: {told}.{out}"
    coming = [look for look in experiment.looks if look > day]
    if coming:
        return CONTINUE, "not_yet", f"The next look is at the end of {coming[0]}.{out}"
    if experiment.design.kind == "fixed":
        no_end = "The experiment has no end, and a fixed design decides at its end: set one."
        return CONTINUE, "not_yet", no_end + out
    return CONTINUE, "undecided", f"Nothing is shown yet: {told}.{out}"


def _at_look(experiment: Experiment, day: date, rows: pd.DataFrame, harmed: _Harmed) -> Found | None:
    """What the look of ``day`` decides; None where it decides nothing."""
    arms = [arm for arm in _arms(experiment, rows) if arm.name not in harmed]
    if arms and all(arm.loses for arm in arms):
        return STOP, "loss", f"{_told(arms)}.{_out(harmed)}"
    winners = sorted((arm for arm in arms if arm.wins), key=lambda arm: -arm.gain)
    for arm in winners:
        if not _open(experiment, rows, arm):
            return SHIP, "win", f"{arm.told}; every guardrail holds.{_out(harmed)}"
    if winners:
        best = winners[0]
        still_open = "; ".join(_open(experiment, rows, best))
        told = f"{best.told} at the look of {day}, but a guardrail is not shown to hold: {still_open}.{_out(harmed)}"
        return (STOP if is_over(experiment, day) else CONTINUE), "guardrail_open", told
    return None


def _open(experiment: Experiment, rows: pd.DataFrame, arm: _Arm) -> list[str]:
    """What is told of the guardrails of an arm that are not shown to hold."""
    return [guard.told for guard in guardrails(experiment, rows, arm.name) if guard.state != HOLDS]


def _out(harmed: _Harmed) -> str:
    """Which arms may not be shipped, as a sentence to be put behind another."""
    return f" Not to be shipped, a guardrail is breached: {'; '.join(harmed.values())}." if harmed else ""


def _compared(experiment: Experiment, rows: pd.DataFrame) -> bool:
    of_primary = rows[(rows["metric"] == experiment.primary) & (rows["arm"] != experiment.control)]
    return bool(of_primary["difference"].notna().any())


def _arms(experiment: Experiment, rows: pd.DataFrame) -> list[_Arm]:
    """Arms against the control on the primary metric, by the interval that the design decides on."""
    of_primary = rows[(rows["metric"] == experiment.primary) & (rows["arm"] != experiment.control)]
    fixed = experiment.design.kind == "fixed"
    found = []
    for row in of_primary.to_dict("records"):
        interval, gain = decisive(row, fixed=fixed), gain_of(row, fixed=fixed, alpha=experiment.alpha)
        if interval is None or gain is None:
            continue
        value, low, high = interval
        told = f"{row['label']} of {row['arm']} {value:+.4g} ({low:+.4g} to {high:+.4g})"
        found.append(_Arm(row["arm"], gain.value, gain.wins, gain.loses, told))
    return found


def inputs_hash(
    experiment: Experiment, ds: date, read_outs: Mapping[date, pd.DataFrame], checks: pd.DataFrame
) -> str:
    """SHA-256 of what a decision rests on: definition, figures to 10 digits, checks and rules, in a fixed order."""
    content = {
        "rules": RULES_VERSION,
        "definition": repr(experiment),
        "results": {str(day): _plain(total(rows), _OF_RESULT) for day, rows in sorted(read_outs.items())},
        "checks": _plain(checks, _OF_CHECK),
        "ds": str(ds),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _plain(frame: pd.DataFrame, columns: Sequence[str]) -> list[list[str]]:
    rows = [
        ["" if pd.isna(v) else f"{v:.10g}" if isinstance(v, float) else str(v) for v in row]
        for row in frame.reindex(columns=list(columns)).itertuples(index=False)
    ]
    return sorted(rows)


def standing(decisions: pd.DataFrame) -> pd.DataFrame:
    """The decision that stands of each experiment, from rows of ``experiments.decisions`` of all days.

    A person's newest decision stands until they, or another person, withdraw it; without one the newest of the rules.
    """
    ordered = decisions.sort_values(["experiment_id", "ds", "revision"])
    kept = []
    for _, mine in ordered.groupby("experiment_id", sort=True):
        people = mine[mine["decided_by"] != BY_RULE]
        overruled = len(people) and people.iloc[-1]["rule"] != WITHDRAWN
        of_rules = mine[mine["decided_by"] == BY_RULE]
        kept.append((people if overruled or of_rules.empty else of_rules).iloc[[-1]])
    return pd.concat(kept, ignore_index=True) if kept else decisions


def _listed(names: pd.Series[Any]) -> str:
    return ", ".join(dict.fromkeys(names))


def _told(arms: Sequence[_Arm]) -> str:
    return "; ".join(arm.told for arm in arms)
