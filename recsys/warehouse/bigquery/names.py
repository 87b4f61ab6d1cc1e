"""Names in BigQuery: which project and datasets an address means, and what a table, partition or label is called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from recsys import schema
from recsys.errors import ContractError, SettingsError, WarehouseError

SCHEME = "bigquery://"
LEDGER = "monitoring.builds"
"""The table that says which partitions are there; see ``ledger``. It has no contract: no SQL file may read it."""
PARTED = (
    "scoring.lists",
    "scoring.steps",
    "scoring.seller_lists",
    "scoring.keyword_lists",
    "monitoring.check_results",
)
"""Tables that mapped tasks write in parts: views over one table per part."""
WHOLE = "whole"
_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_]{0,200}")
_PART = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FOREIGN = re.compile(r"([A-Za-z0-9_]{1,1024})\.([A-Za-z0-9_-]{1,1024})")


@dataclass(frozen=True)
class Address:
    """A project, and the prefix that the names of its datasets begin with.

    Table names come from the contracts only, so no text from outside becomes an identifier; ``foreign`` is for those of
    a person's own tables, and takes letters, digits, '_' and '-' only.

    Example:
        >>> Address.parse("bigquery://my-project/demo_").table("staging.events")
        'my-project.demo_staging.events'
    """

    project: str
    prefix: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ``bigquery://PROJECT/PREFIX``; the prefix may be left out.

        Raises:
            SettingsError: it is written otherwise, or has characters that BigQuery does not allow.
        """
        project, _, prefix = url.removeprefix(SCHEME).partition("/")
        if not (url.startswith(SCHEME) and _PROJECT.fullmatch(project) and _PREFIX.fullmatch(prefix)):
            raise SettingsError(
                f"RECSYS_WAREHOUSE is {url!r}; write it as bigquery://PROJECT/PREFIX, like "
                "bigquery://my-project/demo_ (a project id, and letters, digits and '_' before the dataset names)."
            )
        return cls(project, prefix)

    def __str__(self) -> str:
        return f"{SCHEME}{self.project}/{self.prefix}"

    def dataset(self, name: str) -> str:
        """Name of the dataset that holds the tables ``name.*``.

        Example:
            >>> Address("my-project", "demo_").dataset("staging")
            'demo_staging'
        """
        if name not in {table.partition(".")[0] for table in schema.TABLES}:
            raise WarehouseError(f"No tables belong to a dataset {name!r}.")
        return f"{self.prefix}{name}"

    def reference(self, table: str, ds: date | None = None, part: str | None = None) -> dict[str, str]:
        """REST TableReference of a table, of a part of it, or of its partition ``ds``."""
        dataset, _, name = checked(table).partition(".")
        if part is not None:
            name = part_name(table, part).partition(".")[2]
        if ds is not None:
            name += "$" + ds.isoformat().replace("-", "")
        return {"projectId": self.project, "datasetId": self.dataset(dataset), "tableId": name}

    def foreign(self, table: str) -> dict[str, str]:
        """REST TableReference of a table without a contract, ``dataset.table`` of the project, without the prefix.

        Raises:
            ContractError: it is written otherwise, or has other characters.

        Example:
            >>> Address("my-project", "demo_").foreign("mydata.users")["datasetId"]
            'mydata'
        """
        found = _FOREIGN.fullmatch(table)
        if found is None:
            raise ContractError(
                f"{table!r} is no name of a table; write DATASET.TABLE, of letters, digits, '_' and, in the table, '-'."
            )
        return {"projectId": self.project, "datasetId": found[1], "tableId": found[2]}

    def table(self, table: str, ds: date | None = None, part: str | None = None) -> str:
        """Full name ``project.dataset.table``, with ``$YYYYMMDD`` for a partition."""
        return ".".join(self.reference(table, ds, part).values())

    def quoted(self, table: str, part: str | None = None) -> str:
        """Full name as SQL writes it, each piece quoted, so that the last one is the alias."""
        return ".".join(f"`{piece}`" for piece in self.reference(table, part=part).values())

    def partition(self, table: str, ds: date, part: str | None = None) -> str:
        """Table id with its partition decorator.

        Example:
            >>> Address("my-project").partition("staging.events", date(2026, 1, 1))
            'events$20260101'
        """
        return self.reference(table, ds, part)["tableId"]


def checked(table: str) -> str:
    """Return ``table`` if it has a contract (or is the ledger).

    Raises:
        ContractError: no such table.
    """
    return table if table == LEDGER else schema.table(table).name


def part_name(table: str, part: str) -> str:
    """Name of the table that holds one part of ``table``.

    Raises:
        WarehouseError: ``table`` has no parts, or ``part`` has other characters than a name may have.

    Example:
        >>> part_name("scoring.lists", "003")
        'scoring.lists__003'
    """
    if table not in PARTED:
        raise WarehouseError(f"{table} is written whole; only {', '.join(PARTED)} have parts.")
    if not _PART.fullmatch(part):
        raise WarehouseError(f"{table}: part {part!r} may have letters, digits, '_' and '-' only.")
    return f"{table}__{part}"


def quoted_name(name: str) -> str:
    """Write one name as SQL does, in backquotes, whatever is in it.

    Example:
        >>> quoted_name("of `x`")
        '`of \\\\`x\\\\``'
    """
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def label(text: str) -> str:
    """Make ``text`` a label value: lower case, letters, digits, ``_`` and ``-``, 63 at most.

    Example:
        >>> label("staging.user_item_daily")
        'staging-user_item_daily'
    """
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]
