"""Which rows and columns name a person, table by table, and the SQL that takes them out; pure.

- A row *about* the person (``user_id`` or ``unit_id`` is theirs, or it is their own row as a seller) goes.
- A row about something else that *names* them as its seller stays, with ``forgotten`` in their place, and without the
  free text they wrote: other people's purchases, carts and lists hang on these listings.
- What belongs to their campaigns goes.
- A message of a check that quotes them loses its text.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product

from recsys import schema
from recsys.errors import ContractError

FORGOTTEN = "forgotten"
"""Stands where a seller's id stood; expectations/marketplace.items.sql knows it. Nobody may have it as an id."""
REMOVED = "The text was removed: it named a person who asked to be forgotten."
PERSON = ("user_id", "unit_id")
TEXTS = ("title", "description")
CAMPAIGNS = "marketplace.campaigns"
CHECKS = "monitoring.check_results"
MARK = "staging.arrivals"
"""Erased last: until then it tells on which days the person was active, so that a killed run can be finished."""
AGGREGATES = (
    "staging.item_daily",
    "staging.item_shown_daily",
    "staging.search_daily",
    "staging.search_item_daily",
)
"""Totals of a day over everybody, which are built again without the person: a query may be theirs alone."""
LONGEST = 40
"""Of a longer id this much is looked for in texts, which may have cut it short."""


@dataclass(frozen=True)
class Rule:
    """What is done to one table.

    ``delete`` and ``where`` are conditions, ``update`` new values by column for the rows ``where`` holds. In them
    ``{user}``, ``{texts}``, ``{campaigns}``, ``{closing}`` and their like stand for bound parameters; nothing else is
    ever put into them.
    """

    table: str
    delete: str = ""
    where: str = ""
    update: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_source(self) -> bool:
        """Whether the table belongs to the marketplace's own system."""
        return self.table.startswith("marketplace.")


def rules() -> tuple[Rule, ...]:
    """One rule for each table that may name a person, in the order in which they are applied."""
    made = [_rule(table) for table in schema.TABLES.values()]
    found = [rule for rule in made if rule.delete or rule.where]
    return tuple(sorted(found, key=lambda rule: (rule.table in (CAMPAIGNS, MARK)) + (rule.table == MARK)))


def _rule(table: schema.Table) -> Rule:
    names = table.column_names
    if table.name == CHECKS:
        observed = "CASE WHEN observed IN {texts} THEN NULL ELSE observed END"
        said = "(message IN {texts} OR COALESCE(observed, 'none') IN {texts})"
        return Rule(table.name, where=said, update={"message": "{removed}", "observed": observed})
    own = [name for name in PERSON if name in names]
    if schema.SELLER_ID in names and (schema.SELLER_ID in table.key or "campaign_id" in names):
        own.append(schema.SELLER_ID)
    delete = " OR ".join(f"{name} = {{user}}" for name in own)
    if "campaign_id" in names and schema.SELLER_ID not in names:
        delete = "campaign_id IN {campaigns}"
    update: dict[str, str] = {}
    if schema.SELLER_ID in names and schema.SELLER_ID not in own:
        update = {schema.SELLER_ID: "{forgotten}"} | {name: "NULL" for name in TEXTS if name in names}
        if table.name == "marketplace.items":
            update |= {
                "closed_at": "COALESCE(closed_at, GREATEST({closing}, listed_at))",
                "close_reason": "CASE WHEN closed_at IS NULL THEN {withdrawn} ELSE close_reason END",
            }
    return Rule(table.name, delete, f"{schema.SELLER_ID} = {{user}}" if update else "", update)


def checked(user: str) -> str:
    """Return ``user`` if it can be a person's id.

    Raises:
        ContractError: it is empty, or the word that stands for people who were forgotten.
    """
    if not user.strip() or user == FORGOTTEN or "\0" in user:
        raise ContractError(f"{user!r} is no id of a person; give the user_id whose data has to go.")
    return user


def pattern(user: str) -> str:
    """A regular expression that finds ``user`` in a text, however it was quoted there.

    It holds the id as it is and as Python, JSON and HTML write it, with no letter or digit right before or after it,
    so that looking for ``u1`` does not find ``u12``.

    Example:
        >>> bool(re.search(pattern("u1"), "for example 'u1 / i9'")), bool(re.search(pattern("u1"), "u12"))
        (True, False)
    """
    short = user[:LONGEST]
    plain = (short, repr(short)[1:-1], short.replace("'", "\\'"), short.replace("\\", "\\\\"))
    writers: tuple[Callable[[str], str], ...] = (
        str,
        html.escape,
        lambda text: html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        lambda text: html.escape(text, quote=False),
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    )
    written = {inner(outer(text)) for text, outer, inner in product(plain, writers, writers)}
    listed = "|".join(re.escape(text) for text in sorted(written, key=lambda text: (-len(text), text)))
    end = r"($|[^0-9A-Za-z])" if len(user) <= LONGEST else ""
    return rf"(^|[^0-9A-Za-z])({listed}){end}"


_NUMBER = re.compile(r"[-+0-9.e]+")
_BIGQUERY = {
    "user": "@user",
    "forgotten": "@forgotten",
    "removed": "@removed",
    "texts": "UNNEST(@texts)",
}
_LOCAL = {
    **{name: f"${name}" for name in ("user", "forgotten", "removed", "closing", "withdrawn")},
    "campaigns": "(SELECT UNNEST($campaigns))",
    "texts": "(SELECT UNNEST($texts))",
}


def _bound(sql: str, sigil: str, values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if re.search(rf"\{sigil}{name}\b", sql)}


def quoting(user: str, texts: Iterable[str | None]) -> list[str]:
    """Those of ``texts`` that name ``user``; numbers never do. At least one text, which may be no one's."""
    mention = re.compile(pattern(user))
    return [text for text in texts if text and not _NUMBER.fullmatch(text) and mention.search(text)] or [""]


def _kept(rule: Rule) -> str:
    """Condition of the rows that are changed and do not go."""
    return (
        f"{rule.where} AND NOT COALESCE({rule.delete}, FALSE)" if rule.where and rule.delete else rule.where
    )


def values(user: str) -> dict[str, object]:
    """What the parameters of every rule are bound to; the eraser finds the ``texts`` of checks that name the person."""
    return {
        "user": user,
        "forgotten": FORGOTTEN,
        "removed": REMOVED,
        "withdrawn": "withdrawn",
        "texts": [""],
    }


def local_count(rule: Rule, given: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """SELECT over one file (the view ``old``): how many rows go, and how many are changed; with what it binds."""
    parts = [f"COUNT(*) FILTER (WHERE {text})" if text else "0" for text in (rule.delete, _kept(rule))]
    sql = f"SELECT {parts[0]} AS deleted, {parts[1]} AS changed FROM old".format(**_LOCAL)
    return sql, _bound(sql, "$", given)


def local_rows(rule: Rule, given: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """SELECT over one file (the view ``old``): the rows that stay, as they are from now on; with what it binds."""
    columns = [
        f'CASE WHEN {rule.where} THEN {rule.update[name]} ELSE "{name}" END AS "{name}"'
        if name in rule.update
        else f'"{name}"'
        for name in schema.table(rule.table).column_names
    ]
    stays = f" WHERE NOT COALESCE({rule.delete}, FALSE)" if rule.delete else ""
    sql = f"SELECT {', '.join(columns)} FROM old{stays}".format(**_LOCAL)
    return sql, _bound(sql, "$", given)


def bigquery_statements(
    rule: Rule, target: str, given: Mapping[str, object]
) -> list[tuple[str, dict[str, object]]]:
    """DELETE and UPDATE of one BigQuery table, over the partitions ``@first..@last``; with what each binds.

    ``target`` is the quoted name of the table (of one part of it). The days are named because tables demand a filter
    on their partition; only partitions that hold a row in question are written again.
    """
    days = f"{schema.table(rule.table).partition} BETWEEN @first AND @last"
    found = []
    if rule.delete:
        found.append(f"DELETE FROM {target} WHERE {days} AND ({rule.delete})")
    if rule.where:
        new = ", ".join(f"{name} = {value}" for name, value in rule.update.items())
        found.append(f"UPDATE {target} SET {new} WHERE {days} AND {rule.where}")
    written = [text.format(**_BIGQUERY) for text in found]
    return [(sql, _bound(sql, "@", given)) for sql in written]


def bigquery_count(rule: Rule, target: str, given: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """SELECT of how many rows go (``deleted``) and how many are changed, over the same partitions."""
    days = f"{schema.table(rule.table).partition} BETWEEN @first AND @last"
    parts = [f"COUNTIF({text})" if text else "0" for text in (rule.delete, _kept(rule))]
    sql = f"SELECT {parts[0]} AS deleted, {parts[1]} AS changed FROM {target} WHERE {days}".format(
        **_BIGQUERY
    )
    return sql, _bound(sql, "@", given)
