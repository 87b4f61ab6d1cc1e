"""From YAML to ``Experiment``; what does not fit is told by file, field, value and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from pathlib import Path
from types import MappingProxyType

from recsys.errors import ExperimentError
from recsys.experiments.definition.checks import problems_between, problems_of
from recsys.experiments.definition.fields import Fields, is_number, refuse
from recsys.experiments.definition.model import (
    BUCKETS,
    DESIGNS,
    SPENDING,
    UNITS,
    Arm,
    Design,
    Eligibility,
    Experiment,
    Layer,
    RampStep,
)
from recsys.experiments.eligibility import TABLES_OF
from recsys.experiments.limits import MOST_LOOKS
from recsys.yaml_files import read_yaml

FIELDS = tuple(field.name for field in fields_of(Experiment))
REQUIRED = ("id", "hypothesis", "unit", "salt", "start", "control", "arms")
MOST_DAYS = 3650


def load_experiments(folder: Path) -> list[Experiment]:
    """Read every ``*.yaml`` of ``folder``, sorted by name.

    Raises:
        ExperimentError: names the file, the field, the value and what is allowed; also when two files share an id or a
            salt, or claim the same units of a layer at the same time.
    """
    files = sorted(folder.glob("*.yaml"))
    experiments = [parse_experiment(read_yaml(path, ExperimentError), str(path)) for path in files]
    refuse(str(folder), problems_between(experiments))
    return experiments


def parse_experiment(content: object, source: str) -> Experiment:
    """Check one definition and return it; ``source`` names it in errors.

    Raises:
        ExperimentError: tells everything that is wrong with it at once.
    """
    if not isinstance(content, Mapping):
        raise ExperimentError(f"{source}: expected a mapping of fields, got {type(content).__name__}.")
    problems: list[str] = []
    read = Fields(content, problems)
    read.known(FIELDS)
    missing = [name for name in REQUIRED if name not in content]
    if missing:
        refuse(source, [*problems, f"missing fields {missing}"])
    unit, start = read.choice("unit", UNITS, "user"), read.day("start")
    if start is None and not any(told.startswith("start ") for told in problems):
        read.problem("start", None, "write the first day of serving as YYYY-MM-DD")
    arms = _arms(read)
    refuse(source, problems if start is None or not arms else [])
    assert start is not None
    experiment = Experiment(
        id=read.text("id"),
        hypothesis=read.text("hypothesis"),
        unit=unit,
        salt=read.text("salt"),
        start=start,
        end=read.day("end"),
        control=read.text("control"),
        arms=arms,
        alpha=read.number("alpha", 0.05, (0, 1)) or 0.05,
        power=read.number("power", 0.8, (0, 1)) or 0.8,
        minimum_effect=read.number("minimum_effect", None, (0, 10)),
        eligibility=_eligibility(read, unit),
        layer=_layer(read),
        holdout=read.number("holdout", 0.0, (0, 1), ends="<") or 0.0,
        ramp=_ramp(read),
        primary=read.text("primary", "rpu"),
        secondary=_secondary(read),
        guardrails=_guardrails(read),
        design=_design(read),
        winsorise=read.number("winsorise", None, (0.5, 1)),
        covariate_days=read.whole("covariate_days", 0, (0, 365)),
        segments=read.texts("segments", ()),
        beside=read.texts("beside", ()),
        use=read.text("use") if content.get("use") is not None else None,
    )
    refuse(source, problems + problems_of(experiment))
    return experiment


def _arms(read: Fields) -> tuple[Arm, ...]:
    content = read.content["arms"]
    if not isinstance(content, Mapping) or len(content) < 2:
        read.problems.append(f"arms has to name at least two arms, got {content!r}")
        return ()
    arms = []
    for name, arm in content.items():
        if not isinstance(arm, Mapping) or not {"weight"} <= set(arm) <= {"policy", "weight"}:
            read.problems.append(
                f"arm {name!r} needs exactly policy and weight (weight alone where no lists are served), got {arm!r}"
            )
            continue
        weight, policy = arm["weight"], arm.get("policy")
        if not is_number(weight) or not 0 <= weight <= 1:
            read.problems.append(f"arm {name!r} has weight {weight!r}; it has to lie in 0..1")
            continue
        arms.append(Arm(str(name), None if policy is None else str(policy), float(weight)))
    return tuple(arms)


def _eligibility(read: Fields, unit: str) -> Eligibility | None:
    inner = read.mapping("eligibility")
    if inner is None:
        return None
    inner.known(("table", "where"))
    table = inner.choice("table", TABLES_OF[unit], TABLES_OF[unit][0])
    where = inner.text("where")
    return Eligibility(table, where) if where else None


def _layer(read: Fields) -> Layer | None:
    inner = read.mapping("layer")
    if inner is None:
        return None
    inner.known(("name", "first", "last", "share"))
    name, first = inner.text("name"), inner.whole("first", 0, (0, BUCKETS - 1))
    if ("last" in inner.content) == ("share" in inner.content):
        read.problem("layer", dict(inner.content), "write either its last bucket or its share of the buckets")
        return None
    last = inner.whole("last", BUCKETS - 1, (first, BUCKETS - 1))
    if "share" in inner.content:
        share = inner.number("share", 1.0, (0, 1), ends=">") or 1.0
        last = first + round(share * BUCKETS) - 1
        if not first <= last < BUCKETS:
            inner.problem("share", share, f"with first {first}, bucket {last} would be its last of 0..9999")
    return Layer(name, first, last)


def _ramp(read: Fields) -> tuple[RampStep, ...]:
    content = read.content.get("ramp")
    if content is None:
        return ()
    if not isinstance(content, list) or not all(isinstance(step, Mapping) for step in content):
        read.problem("ramp", content, "write a list of steps, like [{from: 2026-02-10, share: 0.1}]")
        return ()
    steps = []
    for number, step in enumerate(content, start=1):
        inner = Fields(step, read.problems, f"ramp[{number}]")
        inner.known(("from", "share"))
        day, share = inner.day("from"), inner.number("share", None, (0, 1), ends=">")
        if day is None or share is None:
            inner.problem("from", step, "a step needs from (a date) and share (a number up to 1)")
            continue
        steps.append(RampStep(day, share))
    return tuple(steps)


def _secondary(read: Fields) -> tuple[str, ...]:
    usual = tuple(name for name in ("conversion", "ctr") if name != read.content.get("primary"))
    return read.texts("secondary", usual)


def _guardrails(read: Fields) -> Mapping[str, float]:
    inner = read.mapping("guardrails")
    names = [] if inner is None else list(inner.content)
    margins = {str(name): inner.number(name, None, (0, 1), ends="<") for name in names if inner is not None}
    for name, margin in margins.items():
        if margin is None and inner is not None and inner.content.get(name) is None:
            inner.problem(name, None, "write the relative loss that is tolerated, as 0.02")
    return MappingProxyType({name: margin for name, margin in margins.items() if margin is not None})


def _design(read: Fields) -> Design:
    inner = read.mapping("design")
    if inner is None:
        return Design()
    inner.known(("kind", "looks", "days", "spending", "rho"))
    kind = inner.choice("kind", DESIGNS, "fixed")
    sequential = kind == "group_sequential"
    if not sequential:
        for name in ("looks", "days", "spending"):
            if name in inner.content:
                inner.problem(name, inner.content[name], f"a design of kind {kind} has no {name}")
        if kind == "fixed" and "rho" in inner.content:
            inner.problem("rho", inner.content["rho"], "a design of kind fixed has no rho")
        return Design(kind, rho=inner.number("rho", None, (0, float("inf"))))
    spending = inner.choice("spending", SPENDING, "obrien_fleming")
    rho = inner.number("rho", 2.0 if spending == "power" else None, (0, float("inf")))
    if rho is not None and spending != "power":
        inner.problem("rho", rho, "only spending: power has an exponent")
    return Design(kind, _looks(read, inner), spending, rho)


def _looks(read: Fields, inner: Fields) -> tuple[int, ...]:
    """Days of the looks, counted from the start: as listed, or so many at equal distances up to the end."""
    if ("looks" in inner.content) == ("days" in inner.content):
        read.problem("design", dict(inner.content), "write either looks (how many) or days (a list, from 1)")
        return ()
    if "days" in inner.content:
        days = inner.content["days"]
        listed = days if isinstance(days, list) else []
        if not listed or not all(type(day) is int and 1 <= day <= MOST_DAYS for day in listed):
            inner.problem("days", days, "write the days of the looks as a list, counted from the start (1)")
            return ()
        return tuple(listed)
    looks = inner.whole("looks", 1, (1, MOST_LOOKS))
    start, end = read.content.get("start"), read.day("end")
    if end is None:
        read.problem("end", None, "a number of looks needs an end; without one list their days")
        return ()
    length = (end - start).days + 1  # type: ignore[operator]  # the caller refused a start that is no date
    return tuple(-(-length * look // looks) for look in range(1, looks + 1))
