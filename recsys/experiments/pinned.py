"""What was declared of an experiment when it was first measured, held against what its file says today."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from recsys.experiments.checks import Check
from recsys.experiments.definition import Experiment

CHECK = "definition"
NONE = "none"
DECIDES = ("unit", "salt", "start", "control", "arms", "primary", "alpha", "design")
"""Where one of these was changed, another experiment is read, or by another rule: the error rate is another."""


def declared(experiment: Experiment) -> dict[str, str]:
    """What decides of a definition, each field as a text that can be compared and shown."""
    design, layer, who = experiment.design, experiment.layer, experiment.eligibility
    days = f"days {', '.join(map(str, design.days))}" if design.days else None
    rho = f"rho {design.rho}" if design.rho is not None else None
    found = {
        "unit": experiment.unit,
        "salt": experiment.salt,
        "start": experiment.start,
        "end": experiment.end,
        "control": experiment.control,
        "arms": _listed(
            f"{arm.name} {arm.weight}{f' with {arm.policy}' if arm.policy else ''}" for arm in experiment.arms
        ),
        "primary": experiment.primary,
        "alpha": experiment.alpha,
        "design": _listed(part for part in (design.kind, days, design.spending, rho) if part),
        "guardrails": _listed(f"{name} {margin}" for name, margin in sorted(experiment.guardrails.items())),
        "winsorise": experiment.winsorise,
        "covariate_days": experiment.covariate_days,
        "ramp": _listed(f"{step.share} from {step.day}" for step in experiment.ramp),
        "eligibility": f"{who.table}: {who.where}" if who else None,
        "layer": f"{layer.name} {layer.first}..{layer.last}" if layer else None,
        "holdout": experiment.holdout,
    }
    return {name: NONE if value is None or value == "" else str(value) for name, value in found.items()}


def unchanged(experiment: Experiment, first: str | None) -> Check:
    """Whether a definition still says what it said on the first measured day.

    Args:
        experiment: as its file says today.
        first: ``observed`` of the first check of this kind; None where there is none, and today's is the first.

    The check keeps in ``observed`` what was declared first, so that every day of the experiment knows it. It blocks
    where one of ``DECIDES`` was changed, or the end that a fixed design had: the day on which it decides is then chosen
    by who knows the result. Other fields warn.
    """
    now = declared(experiment)
    then: Mapping[str, str] = now if first is None else json.loads(first)
    changed = {name: (then[name], now[name]) for name in now if name in then and then[name] != now[name]}
    kept = json.dumps(dict(then))
    if not changed:
        told = "What decides is as it was declared on the first measured day."
        return Check(CHECK, True, True, told, observed=kept)
    moved = "end" in changed and changed["end"][0] != NONE and experiment.design.kind == "fixed"
    blocks = moved or not changed.keys().isdisjoint(DECIDES)
    fields = "; ".join(f"{name} was {old}, is {new}" for name, (old, new) in changed.items())
    remedy = (
        "The error rate is not the declared one. Set it back, or start a new experiment with its own id and salt."
        if blocks
        else "The read-out follows what is declared now. Set it back, or say so beside the result."
    )
    return Check(
        CHECK, False, blocks, f"Changed since the first measured day: {fields}. {remedy}", observed=kept
    )


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts)
