"""Business rules over lists: pin, boost, bury, block, as YAML in and checked objects out.

A rule names listings by what they are; names in a file are compared with the shelf's, and never become part of a query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from recsys.errors import RuleError, did_you_mean, nearest
from recsys.experiments.definition import POLICIES
from recsys.features.shelf import Shelf
from recsys.yaml_files import read_yaml

ACTIONS = ("pin", "boost", "bury", "block")
NAMED = ("item_id", "group_id", "seller_id", "category_id", "brand")
"""Conditions that name values."""
RANGED = ("price", "age_days", "seller_days")
"""Conditions that bound a number: ``min`` and ``max``, both inclusive."""
FLAGS = ("is_auction",)
FIELDS = ("id", "action", "where", "factor", "position", "regions", "policies", "start", "end", "note")
PERSONAL = tuple(policy for policy in POLICIES if policy != "popularity")
"""What pin, boost and bury act on unless they name policies: the popular lists are what others are compared with."""


@dataclass(frozen=True)
class Rule:
    """One rule. ``where``: values of NAMED, (min, max) of RANGED, truth of FLAGS; all of them have to hold.

    ``factor`` multiplies the score (boost, bury); ``position`` is the place in the list, from 1 (pin). ``regions`` are
    those of users, none for all. ``start`` and ``end`` are the days on which lists are served, both inclusive.
    """

    id: str
    action: str
    where: Mapping[str, tuple[object, ...]]
    factor: float = 1.0
    position: int = 0
    regions: tuple[str, ...] = ()
    policies: tuple[str, ...] = POLICIES
    start: date | None = None
    end: date | None = None
    source: str = ""

    def holds_on(self, day: date, policy: str) -> bool:
        """Whether the rule acts on lists of ``policy`` that are served on ``day``."""
        begun = self.start is None or self.start <= day
        return begun and (self.end is None or day <= self.end) and policy in self.policies

    def mask(self, shelf: Shelf) -> np.ndarray:
        """The listings that the rule names, bool [listings]."""
        found = np.ones(len(shelf), bool)
        for name, values in self.where.items():
            if name in NAMED:
                found &= _is_one_of(shelf, name, values)
                continue
            number = _number(shelf, name)
            if name in FLAGS:
                found &= (number > 0.5) == values[0]
            else:
                found &= (number >= _bound(values[0], -np.inf)) & (number <= _bound(values[1], np.inf))
        return found


@dataclass(frozen=True)
class View:
    """What the rules make of the shelf for the users of some regions.

    Attributes:
        allowed: listings that may be shown, bool [listings].
        factor: what scores are multiplied by, float64 [listings].
        pins: place from 1, and which listings may stand there, in order of places.
        named: shelf positions of allowed listings that a pin names by id: they are candidates for everybody.
    """

    allowed: np.ndarray
    factor: np.ndarray
    pins: tuple[tuple[int, np.ndarray], ...]
    named: np.ndarray


@dataclass(frozen=True)
class Rules:
    """All rules of a folder, by id."""

    rules: tuple[Rule, ...] = ()

    def on(self, day: date, policy: str) -> Rules:
        """Those that act on lists of ``policy`` served on ``day``."""
        return Rules(tuple(rule for rule in self.rules if rule.holds_on(day, policy)))

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that some rule names: their users see the shelf in their own way."""
        return tuple(sorted({region for rule in self.rules for region in rule.regions}))

    def view(self, shelf: Shelf, region: str | None) -> View:
        """What the rules for users of ``region`` (None: of one that no rule names) make of the shelf."""
        mine = [rule for rule in self.rules if not rule.regions or region in rule.regions]
        allowed, factor = np.ones(len(shelf), bool), np.ones(len(shelf))
        masks = {rule.id: rule.mask(shelf) for rule in mine}
        for rule in mine:
            if rule.action == "block":
                allowed &= ~masks[rule.id]
            elif rule.action != "pin":
                factor[masks[rule.id]] *= rule.factor
        pinning = sorted((r for r in mine if r.action == "pin"), key=lambda r: (r.position, r.id))
        pins = tuple((rule.position, masks[rule.id] & allowed) for rule in pinning)
        by_id = [masks[rule.id] for rule in pinning if "item_id" in rule.where]
        named = np.flatnonzero(np.logical_or.reduce(by_id) & allowed) if by_id else np.empty(0, np.int64)
        return View(allowed, factor, pins, named)


def load_rules(folder: Path) -> Rules:
    """Read every ``*.yaml`` of ``folder``, sorted by name; a folder that is not there has no rules.

    Raises:
        RuleError: names the file, the rule, the value and what is allowed; also two rules with one id, or two pins
            that may meet at one place.
    """
    files = sorted(folder.glob("*.yaml"))
    rules = [rule for path in files for rule in parse_rules(read_yaml(path, RuleError), str(path))]
    for one, other in combinations(rules, 2):
        if one.id == other.id:
            raise RuleError(f"{other.source}: rule {one.id!r} is in {one.source} too; give each its own id.")
        if one.action == other.action == "pin" and one.position == other.position and _meet(one, other):
            raise RuleError(
                f"{other.source}: rules {one.id!r} and {other.id!r} both pin place {one.position}; "
                "give them other places, or days, regions or policies that do not meet."
            )
    return Rules(tuple(sorted(rules, key=lambda rule: rule.id)))


def parse_rules(content: object, source: str) -> list[Rule]:
    """Check the rules of one file; ``source`` names it in errors. An empty file has none."""
    if content is None:
        return []
    if not isinstance(content, Mapping) or set(content) != {"rules"}:
        raise RuleError(f"{source}: expected one field, rules, with a list of rules; got {_short(content)}.")
    listed = content["rules"] or []
    if not isinstance(listed, list):
        raise RuleError(
            f"{source}: rules is {_short(listed)}; write a list, each rule beginning with '- id:'."
        )
    return [_parse(rule, f"{source}: rule {number}") for number, rule in enumerate(listed, 1)]


def _parse(content: object, where: str) -> Rule:
    if not isinstance(content, Mapping):
        raise RuleError(f"{where} is {_short(content)}; write id, action and where.")
    name, action = content.get("id"), content.get("action")
    if not isinstance(name, str) or not name:
        raise RuleError(f"{where}: id is {name!r}; give the rule a name in quotes.")
    source, where = where.partition(": rule ")[0], f"{where} ({name!r})"
    for field in content:
        if field not in FIELDS:
            told = did_you_mean(nearest(str(field), FIELDS)) or f" Known: {', '.join(FIELDS)}."
            raise RuleError(f"{where} has a field {field!r}, and there is none of that name.{told}")
    if action not in ACTIONS:
        raise RuleError(f"{where}: action is {action!r}; choose one of {', '.join(ACTIONS)}.")
    usual = POLICIES if action == "block" else PERSONAL
    rule = Rule(
        id=name,
        action=str(action),
        where=_conditions(content.get("where"), where),
        factor=_factor(content, where),
        position=_position(content, where),
        regions=_strings(content.get("regions", []), f"{where}: regions"),
        policies=_strings(content.get("policies", list(usual)), f"{where}: policies"),
        start=_day(content.get("start"), f"{where}: start"),
        end=_day(content.get("end"), f"{where}: end"),
        source=source,
    )
    odd = sorted(set(rule.policies) - set(POLICIES))
    if odd or not rule.policies:
        raise RuleError(f"{where}: policies are {list(rule.policies)}; choose from {', '.join(POLICIES)}.")
    if rule.start and rule.end and rule.end < rule.start:
        raise RuleError(f"{where}: it ends on {rule.end}, before it starts on {rule.start}; swap the days.")
    return rule


def _conditions(content: object, where: str) -> dict[str, tuple[object, ...]]:
    known = (*NAMED, *RANGED, *FLAGS)
    if not isinstance(content, Mapping) or not content:
        raise RuleError(f"{where}: where is {_short(content)}; name listings by {', '.join(known)}.")
    out: dict[str, tuple[object, ...]] = {}
    for name, value in content.items():
        at = f"{where}: where {name}"
        if name in NAMED:
            out[name] = _strings(value, at)
            if not out[name]:
                raise RuleError(f"{at} is empty, so the rule would never act; name a value or leave it out.")
        elif name in RANGED:
            out[name] = _range(value, at)
        elif name in FLAGS:
            if not isinstance(value, bool):
                raise RuleError(f"{at} is {value!r}; write true or false.")
            out[name] = (value,)
        else:
            told = did_you_mean(nearest(str(name), known)) or f" Known: {', '.join(known)}."
            raise RuleError(f"{where}: there is no condition {name!r}.{told}")
    return out


def _strings(value: object, at: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    for one in values:
        if not isinstance(one, str):
            raise RuleError(
                f"{at}: {one!r} is no text; write it in quotes, or it may lose its leading zeros."
            )
    return tuple(values)


def _range(value: object, at: str) -> tuple[object, ...]:
    if not isinstance(value, Mapping) or not value or set(value) - {"min", "max"}:
        raise RuleError(f"{at} is {_short(value)}; write {{min: ..., max: ...}} or one of them.")
    for bound in value.values():
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise RuleError(f"{at}: {bound!r} is no number; write one without quotes or units.")
    low, high = value.get("min"), value.get("max")
    if low is not None and high is not None and high < low:
        raise RuleError(f"{at}: max {high} is below min {low}; swap them.")
    return low, high


def _factor(content: Mapping[str, object], where: str) -> float:
    action, value = content["action"], content.get("factor")
    if action not in {"boost", "bury"}:
        if value is not None:
            raise RuleError(f"{where}: factor is {value!r}, which only boost and bury have; leave it out.")
        return 1.0
    low, high = (1.0, 100.0) if action == "boost" else (0.0, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
        other = " To remove listings use block." if action == "bury" else ""
        raise RuleError(
            f"{where}: factor is {value!r}; {action} takes one above {low:g} and below {high:g}.{other}"
        )
    return float(value)


def _position(content: Mapping[str, object], where: str) -> int:
    value = content.get("position")
    if content["action"] != "pin":
        if value is not None:
            raise RuleError(f"{where}: position is {value!r}, which only pin has; leave it out.")
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RuleError(f"{where}: position is {value!r}; pin takes the place in the list, from 1.")
    return value


def _day(value: object, at: str) -> date | None:
    if value is None or (isinstance(value, date) and type(value) is date):
        return value
    raise RuleError(f"{at} is {value!r}; write a day without quotes or time, like 2026-01-31.")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _meet(one: Rule, other: Rule) -> bool:
    """Whether both may act on one list."""
    days = (one.start or date.min) <= (other.end or date.max) and (other.start or date.min) <= (
        one.end or date.max
    )
    regions = not one.regions or not other.regions or set(one.regions) & set(other.regions)
    return days and bool(regions) and bool(set(one.policies) & set(other.policies))


def _is_one_of(shelf: Shelf, name: str, values: tuple[object, ...]) -> np.ndarray:
    if name == "item_id":
        return np.asarray(shelf.item_ids.isin(values))
    ids = {"group_id": shelf.group_ids, "seller_id": shelf.seller_ids, "category_id": shelf.category_ids}
    codes = {"group_id": shelf.group_code, "seller_id": shelf.seller_code, "category_id": shelf.category_code}
    if name == "brand":
        wanted = shelf.brands.get_indexer(pd.Index([str(value).lower() for value in values], dtype=object))
        return np.isin(shelf.brand_code, wanted[wanted >= 0])
    wanted = ids[name].get_indexer(pd.Index(values, dtype=object))
    return np.isin(codes[name], wanted[wanted >= 0])


def _number(shelf: Shelf, name: str) -> np.ndarray:
    if name == "age_days":
        return np.expm1(shelf.item_feature("log_age").astype(np.float64)).round(4)
    return {"price": shelf.price, "seller_days": shelf.seller_days}.get(
        name, shelf.item_feature("is_auction")
    )


def _bound(value: object, none: float) -> float:
    return none if value is None else float(str(value))
