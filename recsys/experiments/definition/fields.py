"""Reading one mapping of YAML: each value is taken as a type, and what is wrong with it is collected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from recsys.errors import ExperimentError, nearest


class Fields:
    """The fields of one mapping. ``problems`` gathers what is wrong, so that one error tells it all."""

    def __init__(self, content: Mapping[Any, Any], problems: list[str], inside: str = "") -> None:
        self.content = content
        self.problems = problems
        self.inside = f"{inside}." if inside else ""

    def known(self, names: Iterable[str]) -> None:
        """Refuse fields that are not among ``names``; a typing error is answered with the nearest name."""
        for unknown in sorted(set(map(str, self.content)) - set(names)):
            close = " or ".join(nearest(unknown, names))
            meant = f" (did you mean {close}?)" if close else ""
            self.problems.append(
                f"unknown field {self.inside}{unknown}{meant}; the fields are {', '.join(names)}"
            )

    def text(self, name: str, default: str = "") -> str:
        """A text; numbers and the like are taken as they are written."""
        value = self.content.get(name, default)
        if value is None or isinstance(value, list | Mapping) or not str(value).strip():
            self.problem(name, value, "write a text")
            return default
        if isinstance(value, bool):
            self.problem(name, value, "quote it; YAML reads on, off, yes and no as true and false")
            return default
        return str(value)

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """One of a few texts."""
        value = str(self.content.get(name, default))
        if value not in allowed:
            self.problem(name, value, f"choose one of {allowed}")
            return default
        return value

    def day(self, name: str) -> date | None:
        """A date without a time; None where the field is left out or empty."""
        value = self.content.get(name)
        if value is not None and type(value) is not date:
            self.problem(name, value, "write a date as YYYY-MM-DD")
            return None
        return value

    def number(
        self, name: str, default: float | None, between: tuple[float, float], *, ends: str = ""
    ) -> float | None:
        """A number between two ends, of which those in ``ends`` ("<" the lower, ">" the upper) are allowed."""
        value, (low, high) = self.content.get(name), between
        if value is None:
            return default
        inside = is_number(value) and (
            low < value < high or (value == low and "<" in ends) or (value == high and ">" in ends)
        )
        if not inside:
            where = f"{low:g} (included)" if "<" in ends else f"{low:g}"
            until = f"{high:g} (included)" if ">" in ends else f"{high:g}"
            self.problem(name, value, f"it has to lie between {where} and {until}")
            return default
        return float(value)

    def whole(self, name: str, default: int, between: tuple[int, int]) -> int:
        """A whole number between two ends, both allowed."""
        value = self.content.get(name, default)
        if type(value) is not int or not between[0] <= value <= between[1]:
            self.problem(name, value, f"write a whole number between {between[0]} and {between[1]}")
            return default
        return value

    def texts(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of distinct texts; empty where the field is empty."""
        value = self.content.get(name, list(default))
        if value is None:
            return ()
        names = [str(one) for one in value] if isinstance(value, list) else []
        if not isinstance(value, list) or not all(names) or len(set(names)) != len(names):
            self.problem(name, value, "write a list of distinct names, like [a, b]")
            return default
        return tuple(names)

    def mapping(self, name: str) -> Fields | None:
        """A mapping inside this one; None where the field is left out or empty."""
        value = self.content.get(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.problem(name, value, "write a mapping of fields")
            return None
        return Fields(value, self.problems, f"{self.inside}{name}")

    def problem(self, name: str, value: object, remedy: str) -> None:
        """Note what is wrong with one field."""
        self.problems.append(f"{self.inside}{name} is {value!r}; {remedy}")


def is_number(value: object) -> bool:
    """Whether a YAML value is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def refuse(source: str, problems: list[str]) -> None:
    """Raise one error that tells every problem, if there is any.

    Raises:
        ExperimentError: begins with ``source``.
    """
    if problems:
        raise ExperimentError(f"{source}: " + "; ".join(problems) + ".")
