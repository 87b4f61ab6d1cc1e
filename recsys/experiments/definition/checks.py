"""Whether the fields of a definition fit each other, and whether definitions fit beside each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

from recsys.errors import ExperimentError, nearest
from recsys.experiments.definition.model import (
    BUCKETS,
    CONTAINED,
    OFFERED_FROM,
    POLICIES_OF,
    Experiment,
)
from recsys.experiments.eligibility import Condition
from recsys.experiments.metrics import SEGMENTS, Metric, pick

RESERVED = ("holdout:", "layer:", "ramp:")
"""Salts of the other draws begin so; an experiment's may not, or its arms would follow them."""

ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
"""The page of an experiment has its id in its address, which takes no slash."""


def problems_of(experiment: Experiment) -> list[str]:
    """What is wrong with one definition; empty where nothing is."""
    return [
        *_id(experiment),
        *_days_and_draws(experiment),
        *_arms(experiment),
        *_policies(experiment),
        *_ramp(experiment),
        *_metrics(experiment),
        *_eligibility(experiment),
        *_beside(experiment),
    ]


def _id(experiment: Experiment) -> list[str]:
    if not experiment.id or ID.fullmatch(experiment.id):
        return []
    return [
        f"id is {experiment.id!r}; it is part of its page's address, so write A-Z, a-z, 0-9, _, - and . alone, and no "
        ". first"
    ]


def _days_and_draws(experiment: Experiment) -> list[str]:
    end, found = experiment.end, []
    if end is not None and end < experiment.start:
        found.append(f"end {end} lies before start {experiment.start}")
    if 0 < experiment.holdout * BUCKETS < 1:
        found.append(f"holdout is {experiment.holdout}; the least is one bucket, {1 / BUCKETS}")
    if experiment.salt.startswith(RESERVED):
        found.append(f"salt is {experiment.salt!r}; it may not begin with {', '.join(RESERVED)}")
    days = experiment.design.days
    if any(later <= earlier for earlier, later in pairwise(days)):
        found.append(f"design looks on days {list(days)}; each look has to be later than the one before")
    if end is not None and days and experiment.looks[-1] > end:
        found.append(f"design looks last on {experiment.looks[-1]}, after the end {end}")
    return found


def _arms(experiment: Experiment) -> list[str]:
    found, total = [], sum(arm.weight for arm in experiment.arms)
    for arm in experiment.arms:
        if 0 < arm.weight * BUCKETS < 1:
            found.append(f"arm {arm.name!r} has weight {arm.weight}; the least is one bucket, {1 / BUCKETS}")
    if abs(total - 1) > 1e-9:
        found.append(f"weights sum to {total:g}; they have to sum to 1")
    else:
        found += [
            f"arm {arm.name!r} has weight {arm.weight}, but is left no bucket when the weights before it are rounded; "
            f"write every weight as a multiple of {1 / BUCKETS}"
            for arm in experiment.arms
            if arm.weight * BUCKETS >= 1 and not experiment.shares[arm.name]
        ]
    if experiment.control not in experiment.weights:
        found.append(f"control {experiment.control!r} is no arm; arms are {list(experiment.weights)}")
    elif experiment.weights[experiment.control] == 0:
        found.append(f"control {experiment.control!r} has weight 0; nothing could be compared with it")
    if len(experiment.weights) < len(experiment.arms):
        found.append(f"two arms have the same name; arms are {[arm.name for arm in experiment.arms]}")
    return found


def _policies(experiment: Experiment) -> list[str]:
    known = POLICIES_OF.get(experiment.unit)
    stated = {arm.name: arm.policy for arm in experiment.arms if arm.policy is not None}
    if known is None:
        return [
            f"arm {name!r} has policy {policy!r}; lists are made for users and keywords for sellers, so leave it out "
            f"where the unit is {experiment.unit}"
            for name, policy in stated.items()
        ]
    if experiment.unit != "user" and not stated:
        return []
    spared = "" if experiment.unit == "user" else ", or leave it out of every arm"
    found = [
        f"arm {arm.name!r} has policy {arm.policy!r}; choose one of {known}{spared}"
        for arm in experiment.arms
        if arm.policy not in known
    ]
    if experiment.unit != "seller":
        return found
    days = {experiment.start, *(step.day for step in experiment.ramp)}
    return found + [
        f"{day} is a {day:%A}; the keywords that sellers are offered change on Mondays, so start, and take each step "
        "of a ramp, on one"
        for day in sorted(days)
        if day.weekday() != OFFERED_FROM
    ]


def _ramp(experiment: Experiment) -> list[str]:
    steps, found = experiment.ramp, []
    if steps and steps[0].day != experiment.start:
        found.append(f"ramp begins on {steps[0].day}; its first step is the start, {experiment.start}")
    for earlier, later in pairwise(steps):
        if later.day <= earlier.day:
            found.append(f"ramp step {later.day} does not come after {earlier.day}; order the steps by date")
        if later.share <= earlier.share:
            found.append(
                f"ramp goes from {earlier.share:g} to {later.share:g} on {later.day}; a share only grows, since nobody "
                "leaves an experiment (set an end to stop it)"
            )
    if steps and experiment.end is not None and steps[-1].day > experiment.end:
        found.append(f"ramp step {steps[-1].day} comes after the end {experiment.end}")
    found += [
        f"ramp share {step.share} is less than one bucket, {1 / BUCKETS}"
        for step in steps
        if not step.buckets
    ]
    return found


def _metrics(experiment: Experiment) -> list[str]:
    both = {experiment.primary} & set(experiment.secondary)
    return [f"metric {name!r} is primary and secondary; name it once" for name in sorted(both)]


def _eligibility(experiment: Experiment) -> list[str]:
    if experiment.eligibility is None:
        return []
    try:
        Condition.parse(experiment.eligibility.where, experiment.eligibility.table)
    except ExperimentError as error:
        return [f"eligibility.where {str(error).removesuffix('.')}"]
    return []


def _beside(experiment: Experiment) -> list[str]:
    found = []
    if experiment.beside and experiment.unit != "user":
        found.append(
            f"beside is {list(experiment.beside)}; it stands beside a split of buyers, so leave it out where the unit "
            f"is {experiment.unit}"
        )
    if experiment.id in experiment.beside:
        found.append(f"beside names {experiment.id!r}, which is the experiment itself; name another")
    return found


def problems_between(experiments: Sequence[Experiment]) -> list[str]:
    """What keeps definitions from running beside each other: shared ids, salts and units of a layer, bad links."""
    found = [
        f"two files define experiment {name!r}; give each its own id"
        for name, times in sorted(Counter(e.id for e in experiments).items())
        if times > 1
    ]
    if found:
        return found
    for one, other in combinations(experiments, 2):
        if one.salt == other.salt:
            found.append(
                f"{one.id!r} and {other.id!r} share the salt {one.salt!r}, so the arms of one would follow those of "
                "the other; give each its own"
            )
        if one.layer is None or other.layer is None or one.layer.name != other.layer.name:
            continue
        if one.unit != other.unit:
            found.append(
                f"{one.id!r} ({one.unit}) and {other.id!r} ({other.unit}) share layer {one.layer.name!r}; a layer "
                "divides units of one kind"
            )
        elif one.layer.meets(other.layer) and _overlap(one, other):
            found.append(
                f"{one.id!r} (buckets {one.layer.first}..{one.layer.last}) and {other.id!r} (buckets "
                f"{other.layer.first}..{other.layer.last}) run at the same time in layer {one.layer.name!r}; give them "
                "ranges that do not meet"
            )
    return found + _links(experiments)


def _links(experiments: Sequence[Experiment]) -> list[str]:
    units, found = {experiment.id: experiment.unit for experiment in experiments}, []
    for one, name in [(experiment, name) for experiment in experiments for name in experiment.beside]:
        if name not in units:
            close = " or ".join(nearest(name, set(units) - {one.id}))
            meant = f" (did you mean {close}?)" if close else ""
            found.append(
                f"{one.id!r} has {name!r} beside it, which no file defines{meant}; defined are {', '.join(units)}"
            )
        elif units[name] not in CONTAINED:
            found.append(
                f"{one.id!r} has {name!r} beside it, whose unit is {units[name]}; name an experiment whose unit is one "
                f"of {CONTAINED}"
            )
    return found


def _overlap(one: Experiment, other: Experiment) -> bool:
    """Whether there is a day on which both serve."""
    begins = max(one.start, other.start)
    return all(experiment.serves_on(begins) for experiment in (one, other))


def check_metrics(experiments: Sequence[Experiment], metrics: Mapping[str, Metric]) -> None:
    """Hold every metric that is named to those declared and to the unit it is measured for; segments to those known.

    Raises:
        ExperimentError: names the experiment, the metric or segment, and what there is.
    """
    for experiment in experiments:
        where = f"experiment {experiment.id!r}"
        for name in filter(None, (*experiment.metrics, experiment.use)):
            metric = pick(metrics, name, where)
            if not metric.suits(experiment.unit):
                suited = ", ".join(other.name for other in metrics.values() if other.suits(experiment.unit))
                raise ExperimentError(
                    f"{where}: metric {name!r} is measured for the unit {metric.unit}, not {experiment.unit}; "
                    f"those of its unit are {suited}."
                )
        if (
            experiment.unit == "seller"
            and metrics[experiment.primary].of_ads
            and not experiment.offers_keywords
        ):
            raise ExperimentError(
                f"{where}: metric {experiment.primary!r} is of ads, and sellers without a policy are exposed when a "
                "listing of theirs is shown in a list, which their ads may bring about. Give each arm the policy "
                "keywords (they are offered, as ever) or no_keywords; sellers are then exposed when assigned."
            )
        if experiment.use and metrics[experiment.use].kind != "proportion":
            raise ExperimentError(
                f"{where}: use is {experiment.use!r}, a {metrics[experiment.use].kind}; name a metric of the kind "
                "proportion, which counts the units that used what they were offered."
            )
        for segment in experiment.segments:
            if segment not in SEGMENTS:
                raise ExperimentError(f"{where}: segment {segment!r}; choose of {', '.join(SEGMENTS)}.")
