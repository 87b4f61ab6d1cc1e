"""Every GoogleSQL text of the project, found mechanically: files, measures of checks, and statements inside modules."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from recsys import schema
from recsys.experiments import enrolment
from recsys.experiments.assignment import BUCKET_SQL
from recsys.experiments.eligibility import Condition
from recsys.experiments.metrics import MEASURES
from recsys.jobs import backtest, inputs, plan_shards
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse.tables import load_spec

PARAMETER = re.compile(r"@([a-z_][a-z_0-9]*)")
SQL_DIR = PROJECT_ROOT / "include" / "sql"
_STATEMENT = re.compile(r"^\s*(SELECT|WITH)\b.*\bFROM\b", re.DOTALL)
_FRAGMENT = re.compile(r"\bSELECT\b.*\bFROM\b", re.DOTALL)
DUCKDB_ONLY = (
    "recsys/sources/",
    *(
        f"recsys/warehouse/{name}.py"
        for name in ("engine", "local", "sizes", "partitions", "pruning", "eraser")
    ),
)
"""These speak DuckDB's own dialect to an engine of their own, never to BigQuery."""
NO_SQL = ("recsys/warehouse/dialect/", "recsys/cli/")
"""These speak about SQL: messages to a person."""
BIGQUERY_ONLY = ("recsys/warehouse/bigquery/", "recsys/warehouse/erasure.py")
"""These speak to BigQuery alone, over its own names of tables: ``test_emitted`` analyses what they send."""
FILLS: dict[frozenset[str], tuple[dict[str, str], ...]] = {
    frozenset(): ({},),
    frozenset({"users"}): ({"users": "TRUE"}, {"users": inputs._MINE}, {"users": inputs.DRAWN}),
    frozenset({"measures"}): ({"measures": ", ".join(MEASURES)},),
    frozenset({"id", "table", "where"}): (plan_shards.OF_USERS, plan_shards.OF_ITEMS),
    frozenset({"item", "join"}): (
        {"item": "actions.item_id", "join": ""},
        {"item": "groups_.group_id", "join": backtest._GROUPS},
    ),
}
"""What the placeholders of a template are filled with: texts of the program, never input."""
_WHERE = {
    "features.user_daily": "purchases_90d >= 1 OR region IN ('x') OR NOT is_new OR region IS NOT NULL",
    "staging.item_category": "level <= 1 OR name <> 'x'",
    "staging.campaigns": "ad_rate >= 0 AND seller_id IS NOT NULL",
}
"""Conditions of definitions: what stands in a statement is what ``Condition`` writes of them."""
_DAILY, _CATEGORIES, _CAMPAIGNS = (
    {"unit": "user_id", "table": table, "where": Condition.parse(where, table).sql}
    for table, where in _WHERE.items()
)
FILLS |= {
    frozenset({"unit", "table", "where"}): (_DAILY, _DAILY | {"where": "TRUE"}),
    frozenset({"where"}): ({"where": "TRUE"},),
    frozenset({"bucket", "eligible", "drawn"}): tuple(
        {"bucket": BUCKET_SQL, "eligible": template.format(**fill), "drawn": drawn}
        for template, fill in (
            (enrolment.DAILY, _DAILY),
            (enrolment.CLUSTERS, _CATEGORIES),
            (enrolment.CAMPAIGNS, _CAMPAIGNS),
        )
        for drawn in ("TRUE", " AND ".join(enrolment.DRAW.format(n=n) for n in range(3)))
    ),
}


@dataclass(frozen=True)
class Text:
    """One text: where it begins, and the table whose contract its columns are, if it makes one."""

    name: str
    path: Path
    line: int
    sql: str
    table: str | None = None

    @property
    def parameters(self) -> list[str]:
        """Names the text binds."""
        return sorted(set(PARAMETER.findall(_without_comments(self.sql))))


def files() -> list[Text]:
    """Every ``include/sql/<dataset>/<table>.sql``."""
    found = []
    for path in sorted(SQL_DIR.glob("*/*.sql")):
        table = f"{path.parent.name}.{path.stem}"
        found.append(Text(table, path, 1, load_spec(SQL_DIR, table).sql, table))
    return found


def measures() -> list[Text]:
    """Every ``expectations/<table>.sql``."""
    folder = PROJECT_ROOT / "expectations"
    return [
        Text(path.stem, path, 1, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.sql"))
    ]


def inline() -> list[Text]:
    """Every statement that stands in a module, its placeholders filled in each way that the program does."""
    return [text for path in sorted((PROJECT_ROOT / "recsys").rglob("*.py")) for text in _of_module(path)]


def _of_module(path: Path) -> list[Text]:
    found = []
    for node in strings(path):
        if not _STATEMENT.match(node.value):
            continue
        slots = frozenset(name for _, name, _, _ in string.Formatter().parse(node.value) if name)
        for number, fill in enumerate(FILLS[slots]):
            name = f"{path.relative_to(PROJECT_ROOT)}:{node.lineno}" + (f" ({number + 1})" if number else "")
            sql = node.value.format(**fill) if slots else node.value
            found.append(Text(name, path, node.lineno, sql))
    return found


def strings(path: Path) -> list[ast.Constant]:
    """Texts in a module that speak SQL to the warehouse; not docstrings, nor pieces of f-strings."""
    if str(path.relative_to(PROJECT_ROOT)).startswith((*DUCKDB_ONLY, *NO_SQL, *BIGQUERY_ONLY)):
        return []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    told |= {piece for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for piece in node.values}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in told
        if _FRAGMENT.search(node.value)
    ]


def fragments() -> list[tuple[str, str]]:
    """Place and text of what holds a SELECT without being a statement: it has to be one of the fills."""
    return [
        (f"{path.relative_to(PROJECT_ROOT)}:{node.lineno}", node.value)
        for path in sorted((PROJECT_ROOT / "recsys").rglob("*.py"))
        for node in strings(path)
        if not _STATEMENT.match(node.value)
    ]


_BEGINS = re.compile(
    r"^\s*(SELECT|WITH|INSERT|DELETE|UPDATE|MERGE|CREATE|DROP|ALTER|TRUNCATE)\b[^a-z]*$|^\s*SELECT\s"
)


def composed() -> set[str]:
    """Modules that put a statement together out of pieces, in an f-string or by ``+``."""
    return {
        str(path.relative_to(PROJECT_ROOT))
        for path in sorted((PROJECT_ROOT / "recsys").rglob("*.py"))
        if not str(path.relative_to(PROJECT_ROOT)).startswith((*DUCKDB_ONLY, *NO_SQL, *BIGQUERY_ONLY))
        and _composes(path)
    }


def _composes(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else None
        first = node.left if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) else first
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and _BEGINS.match(first.value):
            return True
    return False


def parameters(text: Text, settings: Settings, ds: date) -> dict[str, Any]:
    """A value for each parameter: a setting by its name, or what jobs bind besides.

    Raises:
        KeyError: a parameter that is neither.
    """
    days = {"ds": ds, "until": ds, "newest": ds, "cut": ds - timedelta(days=7), "day": ds - timedelta(days=1)}
    days["last"] = ds
    days["first"] = ds - timedelta(days=90)
    others: Mapping[str, Any] = days | {
        "days": 7,
        "shape_days": 28,
        "oldest": 13,
        "latest": 0,
        "most_pairs": 1_000_000,
        "lists": "search",
        "shards": 3,
        "most": 1_000_000,
        "first_item": "i1",
        "last_item": "i9",
        "first_user": "u1",
        "last_user": "u3",
        "ranks": 8,
        "item": "i5",
        "category": "c3",
        "user": "u2",
        "policy": "hybrid",
        "experiment": "x2",
        "lead": 1,
        "places": 5,
        "use_at": MEASURES.index("keywords_adopted"),
        "start": datetime.combine(ds, time(), UTC),
        **dict.fromkeys(("salt", *(f"draw{n}_salt" for n in range(3))), "s"),
        **dict.fromkeys((f"draw{n}_first" for n in range(3)), 10),
        **dict.fromkeys((f"draw{n}_last" for n in range(3)), 9_500),
        "e0": 1,
        "e1": "x",
    }
    return {name: others[name] if name in others else _setting(settings, name) for name in text.parameters}


def _setting(settings: Settings, name: str) -> Any:
    try:
        return getattr(settings, name)
    except AttributeError:
        raise KeyError(f"@{name} is no setting; say in tests/googlesql/texts.py what the job binds") from None


def contract_columns(text: Text) -> list[tuple[str, str]]:
    """Columns and types that the table of ``text`` has by its contract."""
    assert text.table
    return [(column.name, column.type) for column in schema.table(text.table).columns]


def _without_comments(sql: str) -> str:
    return re.sub(r"--[^\n]*", "", sql)
