"""The arms a person means: ``True`` for ``true``, ``1.0`` for ``1``, and which arm is the control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recsys.errors import ExperimentError

CONTROLS = ("control", "ctrl", "baseline", "a", "0", "false", "off")
"""What a control is called, in any case; the first of them that is an arm is it."""


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Sort arms: numbers by their size, then names whatever their case."""
    return tuple(sorted(names, key=_place))


def control_of(arms: Sequence[str], asked: str | None) -> str:
    """Return the arm that is asked for, or the one that has a control's name, or the first.

    Raises:
        ExperimentError: no arm has the name asked for.

    Example:
        >>> control_of(("Treatment", "control"), None), control_of(("0", "1"), "1.0")
        ('control', '1')
    """
    if asked is None:
        return next((arm for name in CONTROLS for arm in arms if arm.lower() == name), arms[0])
    found = meant(asked, arms)
    if found is None:
        raise ExperimentError(f"The control {asked!r} is no arm of the table; arms are {', '.join(arms)}.")
    return found


def weights_of(arms: Sequence[str], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the planned share by arm as the table spells it; a name that is no arm stays, for an arm without units.

    Raises:
        ExperimentError: an arm has no weight, or two.
    """
    found: dict[str, float] = {}
    for name, weight in weights.items():
        arm = meant(name, arms) or name
        if arm in found:
            raise ExperimentError(f"Arm {arm!r} has two weights, one of them as {name!r}; give it one.")
        found[arm] = weight
    unknown = [arm for arm in arms if arm not in found]
    if unknown:
        raise ExperimentError(
            f"Arm(s) {', '.join(unknown)} of the table have no weight; --weights has to name every arm, and names "
            f"{', '.join(weights)}."
        )
    return found


def meant(name: str, arms: Sequence[str]) -> str | None:
    """Return the arm of just this name, else the only one that differs in case or as 1.0 does from 1; else None."""
    if name in arms:
        return name
    alike = [arm for arm in arms if _spelling(arm) == _spelling(name)]
    return alike[0] if len(alike) == 1 else None


def _spelling(name: str) -> str:
    number = _number(name)
    return name.strip().casefold() if number is None else repr(number)


def _place(name: str) -> tuple[int, float, str, str]:
    number = _number(name)
    return (1, 0.0, name.casefold(), name) if number is None else (0, number, "", name)


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None
