"""What to do about an experiment: ship, stop, continue or invalid, by the first rule that holds.

The rules, in their order (``docs/decisions.md`` says why):

1. ``check``: a check that blocks has failed. Invalid: no number may be believed.
2. ``guardrail``: a guardrail is worse than its margin, beyond its confidence sequence. Stop, whatever else is gained.
3. ``no_data``: there is no comparison with the control yet. Continue.
4. ``not_yet``: the design does not look on this day. Continue.
5. ``loss``: every arm loses on the primary metric. Stop.
6. ``guardrail_open``: an arm wins, and a guardrail may still be worse than its margin. Continue, or stop at the end.
7. ``win``: an arm wins, and every guardrail holds. Ship the arm with the largest gain.
8. ``inconclusive``: the design's last look found no difference. Stop.
9. ``undecided``: continue.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.definition import Experiment
from recsys.experiments.guardrails import BREACHED, HOLDS, decisive, guardrails
from recsys.experiments.looks import elapsed, is_over, last_day

SHIP, STOP, CONTINUE, INVALID = "ship", "stop", "continue", "invalid"
VERDICTS = (SHIP, STOP, CONTINUE, INVALID)
BY_RULE = "rule"
OVERRIDE, WITHDRAWN = "override", "withdrawn"
RULES_VERSION = 1
"""Goes into the hash of the inputs: other rules are another input."""
_OF_RESULT = (
    "metric", "scope", "segment", "segment_value", "arm", "users", "mean", "difference", "difference_low",
    "difference_high", "p_value", "p_adjusted", "bound_low", "bound_high", "relative_low", "relative_high", "role",
    "cuped_difference", "cuped_low", "cuped_high",
)  # fmt: skip
_OF_CHECK = ("check_id", "segment", "segment_value", "p_value", "observed", "success", "blocks")


@dataclass(frozen=True)
class Decision:
    """A verdict of ``VERDICTS``, the rule that gave it and why, in one sentence.

    ``power_left`` is the chance that the experiment, run to its planned end, will still show its minimum effect if the
    effect is there (conditional power); None where no end, no minimum effect or no comparison is known.
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
    """Decide on ``experiment`` at the end of ``ds``.

    Args:
        experiment: its definition, declared before its start.
        ds: the data day.
        read_outs: rows of ``experiments.results`` of this experiment by day: of ``ds``, and of every look up to it.
        checks: rows of ``experiments.checks`` of ``ds``.

    Raises:
        ExperimentError: the read-out of ``ds``, or of a look before it, is not there.
    """
    looks = [day for day in experiment.looks if day <= ds] if _is_grouped(experiment) else []
    absent = [day for day in [*looks, ds] if day not in read_outs]
    if absent:
        raise ExperimentError(
            f"Experiment {experiment.id}: the decision of {ds} needs the read-outs of {', '.join(map(str, absent))}. "
            "Run the DAG experiment_metrics_daily for them first."
        )
    now = total(read_outs[ds])
    left = power_left(experiment, ds, now)
    totals = {day: total(read_outs[day]) for day in [*looks, ds]}
    found = _forbidden(experiment, now, checks) or _looked(experiment, ds, totals)
    return Decision(*(found or _waiting(experiment, ds, now)), left)


def total(results: pd.DataFrame) -> pd.DataFrame:
    """The rows that decide: of all days since the start, over all units."""
    return results[(results["scope"] == "cumulative") & (results["segment"] == "all")]


Found = tuple[str, str, str]
"""Verdict, rule, reason."""


def _forbidden(experiment: Experiment, now: pd.DataFrame, checks: pd.DataFrame) -> Found | None:
    """What ends the matter whatever the primary metric says."""
    failed = checks[~checks["success"].astype(bool) & checks["blocks"].astype(bool)]
    if len(failed):
        return INVALID, "check", f"{_listed(failed['check_id'])}: {failed['message'].iloc[0]}"
    harmed = [guard.told for guard in guardrails(experiment, now) if guard.state == BREACHED]
    if harmed:
        return STOP, "guardrail", f"A guardrail is breached: {'; '.join(harmed)}."
    if not _compared(experiment, now):
        return CONTINUE, "no_data", "No arm can be compared with the control yet."
    return None


def _looked(experiment: Experiment, ds: date, read_outs: Mapping[date, pd.DataFrame]) -> Found | None:
    """What the looks up to ``ds`` decided: the first that ends the experiment counts, else what the last one said."""
    days = [day for day in experiment.looks if day <= ds] if _is_grouped(experiment) else [ds]
    found = [decided for day in days if (decided := _at_look(experiment, day, read_outs[day]))]
    return next((decided for decided in found if decided[0] != CONTINUE), found[-1] if found else None)


def _waiting(experiment: Experiment, ds: date, now: pd.DataFrame) -> Found:
    """Nothing is shown: what comes next."""
    arms = _told(_arms(experiment, now))
    if is_over(experiment, ds):
        return STOP, "inconclusive", f"The last look found no difference: {arms}."
    coming = [day for day in experiment.looks if day > ds]
    if coming:
        return CONTINUE, "not_yet", f"The next look is at the end of {coming[0]}."
    if experiment.design.kind == "fixed":
        return (
            CONTINUE,
            "not_yet",
            "The experiment has no end, and a fixed design decides at its end: set one.",
        )
    return CONTINUE, "undecided", f"Nothing is shown yet: {arms}."


def _at_look(experiment: Experiment, day: date, rows: pd.DataFrame) -> Found | None:
    """What a look decides; None where it decides nothing, or the design does not look on ``day``."""
    if experiment.design.kind == "fixed" and not is_over(experiment, day):
        return None
    arms = _arms(experiment, rows)
    winners = sorted((arm for arm in arms if arm.wins), key=lambda arm: -arm.gain)
    if arms and all(arm.loses for arm in arms):
        return STOP, "loss", f"{_told(arms)} at the look of {day}."
    for arm in winners:
        guards = guardrails(experiment, rows, arm.name)
        still_open = [guard.told for guard in guards if guard.state != HOLDS]
        if not still_open:
            return SHIP, "win", f"{arm.told} at the look of {day}; every guardrail holds."
    if winners:
        told = f"{winners[0].told} at the look of {day}, but a guardrail is not shown to hold: {'; '.join(still_open)}."
        return (STOP if is_over(experiment, day) else CONTINUE), "guardrail_open", told
    return None


def _is_grouped(experiment: Experiment) -> bool:
    return experiment.design.kind == "group_sequential"


def _compared(experiment: Experiment, rows: pd.DataFrame) -> bool:
    of_primary = rows[(rows["metric"] == experiment.primary) & (rows["arm"] != experiment.control)]
    return bool(of_primary["difference"].notna().any())


def _arms(experiment: Experiment, rows: pd.DataFrame) -> list[_Arm]:
    """Arms against the control on the primary metric, by the interval that the design decides on."""
    of_primary = rows[(rows["metric"] == experiment.primary) & (rows["arm"] != experiment.control)]
    fixed = experiment.design.kind == "fixed"
    found = []
    for row in of_primary.to_dict("records"):
        interval = decisive(row, fixed=fixed)
        if interval is None:
            continue
        value, low, high = interval
        sign = 1 if row["direction"] == "up" else -1
        lower, upper = sorted((sign * low, sign * high))
        shown = not fixed or _adjusted(row) <= experiment.alpha
        told = f"{row['label']} of {row['arm']} {value:+.4g} ({low:+.4g} to {high:+.4g})"
        found.append(_Arm(row["arm"], sign * value, shown and lower > 0, shown and upper < 0, told))
    return found


def _adjusted(row: Mapping[Any, Any]) -> float:
    return float(row["p_value"] if pd.isna(row["p_adjusted"]) else row["p_adjusted"])


def power_left(experiment: Experiment, ds: date, rows: pd.DataFrame) -> float | None:
    """Conditional power at the planned end under the minimum effect, of the arm that does best.

    With the B-value B(t) = Z sqrt(t) of Lan and Wittes (1988), "The B-value: a tool for monitoring data", and drift d =
    effect / standard error at the end: Phi((B(t) + d (1 - t) - z) / sqrt(1 - t)). The information fraction t is
    ``looks.elapsed``; the critical value z is that of a fixed test at the end.
    """
    mine = rows[rows["metric"] == experiment.primary]
    control = mine.loc[mine["arm"] == experiment.control, "mean"].dropna()
    if last_day(experiment) is None or experiment.minimum_effect is None or control.empty:
        return None
    fraction = min(elapsed(experiment, ds), 1.0)
    critical = float(stats.norm.isf(experiment.alpha / 2))
    found = []
    for row in mine.to_dict("records"):
        interval = decisive(row, fixed=True)
        error = 0.0 if interval is None else (interval[2] - interval[1]) / 2 / critical
        if interval is None or error <= 0 or fraction <= 0:
            continue
        gain = interval[0] if row["direction"] == "up" else -interval[0]
        drift = experiment.minimum_effect * abs(float(control.iloc[0])) / (error * math.sqrt(fraction))
        gap = gain / error * math.sqrt(fraction) + drift * (1 - fraction) - critical
        found.append(float(stats.norm.cdf(gap / math.sqrt(1 - fraction))) if fraction < 1 else float(gap > 0))
    return max(found, default=None)


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
        for row in frame[list(columns)].itertuples(index=False)
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
