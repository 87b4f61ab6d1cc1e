"""Experiment definitions: YAML in, frozen and checked objects out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import yaml

from recsys.errors import ExperimentError

UNITS = ("user",)
POLICIES = ("popularity", "hybrid")
FIELDS = {"id", "hypothesis", "unit", "salt", "start", "end", "control", "arms", "alpha"}


@dataclass(frozen=True)
class Arm:
    """One arm: its name, the policy that makes its lists, and its share of the units (0..1)."""

    name: str
    policy: str
    weight: float


@dataclass(frozen=True)
class Experiment:
    """One experiment. ``start`` and ``end`` are days on which lists are served, both inclusive."""

    id: str
    hypothesis: str
    unit: str
    salt: str
    start: date
    end: date | None
    control: str
    arms: tuple[Arm, ...]
    alpha: float

    def serves_on(self, day: date) -> bool:
        """Whether lists are served by arm on ``day``."""
        return self.start <= day and (self.end is None or day <= self.end)

    def is_assigned_on(self, ds: date) -> bool:
        """Whether units are recorded for data day ``ds``, whose lists are served on the day after."""
        return self.serves_on(ds + timedelta(days=1))

    @property
    def policies(self) -> dict[str, str]:
        """Policy of each arm, in the order of the file."""
        return {arm.name: arm.policy for arm in self.arms}

    @property
    def weights(self) -> dict[str, float]:
        """Configured share of each arm, in the order of the file."""
        return {arm.name: arm.weight for arm in self.arms}


def load_experiments(folder: Path) -> list[Experiment]:
    """Read every ``*.yaml`` of ``folder``, sorted by name.

    Raises:
        ExperimentError: names the file, the field, the value and what is allowed; also when two files share an id.
    """
    experiments = [parse_experiment(_read(path), str(path)) for path in sorted(folder.glob("*.yaml"))]
    ids = [experiment.id for experiment in experiments]
    for repeated in sorted({i for i in ids if ids.count(i) > 1}):
        raise ExperimentError(
            f"Two files under {folder} define experiment {repeated!r}; give each its own id."
        )
    return experiments


def parse_experiment(content: object, source: str) -> Experiment:
    """Check one definition and return it; ``source`` names it in errors."""
    if not isinstance(content, Mapping):
        raise ExperimentError(f"{source}: expected a mapping of fields, got {type(content).__name__}.")
    missing, unknown = sorted(FIELDS - {"end", "alpha"} - set(content)), sorted(set(content) - FIELDS)
    if missing or unknown:
        raise ExperimentError(f"{source}: missing fields {missing}, unknown fields {unknown}.")
    arms = _parse_arms(content["arms"], source)
    experiment = Experiment(
        id=str(content["id"]),
        hypothesis=str(content["hypothesis"]),
        unit=str(content["unit"]),
        salt=str(content["salt"]),
        start=content["start"],
        end=content.get("end"),
        control=str(content["control"]),
        arms=arms,
        alpha=float(content.get("alpha", 0.05)),
    )
    _check(experiment, source)
    return experiment


def _read(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ExperimentError(f"{path} is no valid YAML: {error}") from error


def _parse_arms(content: object, source: str) -> tuple[Arm, ...]:
    if not isinstance(content, Mapping) or len(content) < 2:
        raise ExperimentError(f"{source}: arms has to name at least two arms, got {content!r}.")
    arms = []
    for name, arm in content.items():
        if not isinstance(arm, Mapping) or set(arm) != {"policy", "weight"}:
            raise ExperimentError(f"{source}: arm {name!r} needs exactly policy and weight, got {arm!r}.")
        arms.append(Arm(str(name), str(arm["policy"]), float(arm["weight"])))
    return tuple(arms)


def _check(experiment: Experiment, source: str) -> None:
    problems = []
    if experiment.unit not in UNITS:
        problems.append(f"unit is {experiment.unit!r}; choose one of {UNITS}")
    for name, value in (("start", experiment.start), ("end", experiment.end)):
        if value is not None and type(value) is not date:
            problems.append(f"{name} is {value!r}; write a date as YYYY-MM-DD")
    if not problems and experiment.end is not None and experiment.end < experiment.start:
        problems.append(f"end {experiment.end} lies before start {experiment.start}")
    if not experiment.salt:
        problems.append("salt is empty; use a text of its own for every experiment")
    for arm in experiment.arms:
        if arm.policy not in POLICIES:
            problems.append(f"arm {arm.name!r} has policy {arm.policy!r}; choose one of {POLICIES}")
        if not 0 <= arm.weight <= 1:
            problems.append(f"arm {arm.name!r} has weight {arm.weight}; it has to lie in 0..1")
    if abs(sum(arm.weight for arm in experiment.arms) - 1) > 1e-9:
        problems.append(
            f"weights sum to {sum(arm.weight for arm in experiment.arms):g}; they have to sum to 1"
        )
    if experiment.control not in experiment.weights:
        problems.append(f"control {experiment.control!r} is no arm; arms are {list(experiment.weights)}")
    if not 0 < experiment.alpha < 1:
        problems.append(f"alpha is {experiment.alpha}; it has to lie between 0 and 1")
    if problems:
        raise ExperimentError(f"{source}: " + "; ".join(problems) + ".")
