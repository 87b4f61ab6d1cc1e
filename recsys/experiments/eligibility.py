"""Who may enter an experiment: a condition on the columns of one allowed table, read, checked and bound.

The text of a definition never reaches the warehouse. It is parsed; a short list of forms is known, all else is
refused; the condition is written anew from columns of the table's contract and ``@parameters``, and every value in it
is bound.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError

from recsys import schema
from recsys.errors import ExperimentError, did_you_mean, nearest

TABLES_OF = {
    "user": ("features.user_daily", "staging.users"),
    "seller": ("features.seller_daily", "staging.sellers"),
    "campaign": ("staging.campaigns",),
    "cluster": ("staging.item_category",),
}
"""Tables that can say who is eligible, by unit; the first is asked where a definition names none."""
FORMS = "comparisons, BETWEEN, IN (...), IS NULL, AND, OR, NOT and parentheses over columns and values"
COMPARISONS: dict[type[Any], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
CLASSES = {
    "STRING": "a text like 'x'",
    "INT64": "a number",
    "FLOAT64": "a number",
    "NUMERIC": "a number",
    "BOOL": "TRUE or FALSE",
    "DATE": "a date like DATE '2026-01-05'",
}
"""Types that can be compared, and the values that each is compared with."""
LONGEST = 2_000


@dataclass(frozen=True)
class Condition:
    """A condition ready for a WHERE: its text in GoogleSQL, the values it binds, and the columns it reads."""

    sql: str
    params: dict[str, object]
    columns: tuple[str, ...]

    @classmethod
    def parse(cls, where: str, table: str) -> Condition:
        """Read a condition on the columns of ``table``.

        Raises:
            ExperimentError: it is no condition, uses a form that is not among those known, or a column that the table
                does not have, or compares a column with a value of another type.

        Example:
            >>> found = Condition.parse("purchases_90d > 0 AND region IN ('north', 'south')", "features.user_daily")
            >>> found.sql
            '((`purchases_90d` > @e0) AND (`region` IN (@e1, @e2)))'
            >>> found.params
            {'e0': 0, 'e1': 'north', 'e2': 'south'}
        """
        if len(where) > LONGEST:
            raise ExperimentError(f"has {len(where)} characters; write it in {LONGEST} or fewer")
        try:
            return cls._parse(where, schema.table(table))
        except (SqlglotError, RecursionError) as error:
            raise ExperimentError(f"is {where!r}, which is not one SQL condition; write {FORMS}") from error

    @classmethod
    def _parse(cls, where: str, contract: schema.Table) -> Condition:
        parsed = Dialect.get_or_raise("bigquery").parse_into(exp.Condition, where)
        if len(parsed) != 1 or parsed[0] is None:
            raise ExperimentError(f"is {where!r}, which is not one SQL condition; write {FORMS}")
        writer = _Writer(where, contract)
        sql = writer.condition(parsed[0])
        return cls(sql, writer.params, tuple(sorted(writer.columns)))


class _Writer:
    """Writes a parsed condition anew, binding what it compares with."""

    def __init__(self, where: str, contract: schema.Table) -> None:
        self.where = where
        self.contract = contract
        self.types = {c.name: c.type for c in contract.columns if c.name != contract.partition}
        self.params: dict[str, object] = {}
        self.columns: set[str] = set()

    def condition(self, node: Any) -> str:
        """Text of something that is true, false or NULL."""
        if isinstance(node, exp.Paren):
            return self.condition(node.this)
        if isinstance(node, exp.Not):
            return f"(NOT {self.condition(node.this)})"
        if isinstance(node, exp.And | exp.Or):
            return f"({self.condition(node.left)} {node.key.upper()} {self.condition(node.right)})"
        if type(node) in COMPARISONS:
            return self.comparison(node)
        return self.predicate(node)

    def predicate(self, node: Any) -> str:
        """Text of a condition on one column."""
        if isinstance(node, exp.Between) and not node.args.get("symmetric"):
            name, type_ = self.column(node.this)
            low, high = (self.value(node.args[end], type_, name) for end in ("low", "high"))
            return f"({name} BETWEEN {low} AND {high})"
        if isinstance(node, exp.In) and node.expressions:
            name, type_ = self.column(node.this)
            values = ", ".join(self.value(one, type_, name) for one in node.expressions)
            return f"({name} IN ({values}))"
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            return f"({self.column(node.this)[0]} IS NULL)"
        if isinstance(node, exp.Column):
            name, type_ = self.column(node)
            self.need(type_, "BOOL", name)
            return name
        raise self.refusal(f"{_shown(node)} is not known here; write {FORMS}")

    def comparison(self, node: Any) -> str:
        """A column against a value, a value against a column, or two columns of like types."""
        sign, left, right = COMPARISONS[type(node)], node.left, node.right
        if not isinstance(left, exp.Column) and not isinstance(right, exp.Column):
            raise self.refusal(f"{_shown(node)} compares no column")
        if isinstance(left, exp.Column) and isinstance(right, exp.Column):
            (one, of), (other, type_) = self.column(left), self.column(right)
            self.need(type_, of, other)
            return f"({one} {sign} {other})"
        if isinstance(left, exp.Column):
            name, type_ = self.column(left)
            return f"({name} {sign} {self.value(right, type_, name)})"
        name, type_ = self.column(right)
        return f"({self.value(left, type_, name)} {sign} {name})"

    def column(self, node: Any) -> tuple[str, str]:
        """Text and type of a column of the table."""
        if not isinstance(node, exp.Column) or node.table:
            raise self.refusal(f"{_shown(node)} is no column of {self.contract.name}; write {FORMS}")
        type_ = self.types.get(node.name)
        if type_ is None:
            close = did_you_mean(nearest(node.name, self.types))
            raise self.refusal(
                f"{self.contract.name} has no column {node.name!r} to ask; it has {', '.join(self.types)}.{close}"
            )
        self.columns.add(node.name)
        return f"`{node.name}`", type_

    def value(self, node: Any, type_: str, column: str) -> str:
        """Bind a value that suits a type, and return its parameter."""
        if type_ not in CLASSES:
            raise self.refusal(f"{column} is a {type_}, which cannot be compared here; use another column")
        value = _read(node)
        suits = {
            "STRING": isinstance(value, str),
            "BOOL": isinstance(value, bool),
            "DATE": isinstance(value, date),
        }.get(type_, isinstance(value, Decimal))
        if not suits:
            raise self.refusal(f"{column} is a {type_}; compare it with {CLASSES[type_]}, not {_shown(node)}")
        if isinstance(value, Decimal) and type_ == "NUMERIC" and value != _numeric(value):
            raise self.refusal(
                f"{_shown(node)} is no NUMERIC: 18 digits before and 9 after the point at most"
            )
        if isinstance(value, Decimal) and type_ != "NUMERIC":
            whole = value == value.to_integral_value() and abs(value) < 2**63
            value = int(value) if whole and type_ == "INT64" else float(value)
        name = f"e{len(self.params)}"
        self.params[name] = value
        return f"@{name}"

    def need(self, type_: str, wanted: str, column: str) -> None:
        """Refuse a column whose type does not go with another's."""
        if type_ not in CLASSES or CLASSES[type_] != CLASSES.get(wanted):
            raise self.refusal(f"{column} is a {type_}, where a {wanted} is needed")

    def refusal(self, why: str) -> ExperimentError:
        """Make the error that names the condition."""
        return ExperimentError(f"is {self.where!r}: {why}")


def _numeric(value: Decimal) -> Decimal | None:
    """What a NUMERIC keeps of a number; None where it has no room for it."""
    return round(value, 9) if abs(value) < Decimal(10) ** 18 else None


def _read(node: Any) -> object:
    """Value of a literal: a number as Decimal, so that none is rounded before its column's type is known."""
    value: object = None
    if isinstance(node, exp.Paren):
        value = _read(node.this)
    elif isinstance(node, exp.Neg):
        inner = _read(node.this)
        value = -inner if isinstance(inner, Decimal) else None
    elif isinstance(node, exp.Boolean):
        value = bool(node.this)
    elif isinstance(node, exp.Literal):
        value = str(node.this) if node.is_string else Decimal(str(node.this))
    elif isinstance(node, exp.Cast) and node.to.is_type("date") and isinstance(node.this, exp.Literal):
        with suppress(ValueError):
            value = date.fromisoformat(str(node.this.this))
    return value


def _shown(node: Any) -> str:
    return repr(node.sql(dialect="bigquery")) if isinstance(node, exp.Expr) else repr(node)
