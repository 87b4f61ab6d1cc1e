"""docs/sql.md lists what passes, and nothing that does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys.settings import PROJECT_ROOT
from recsys.warehouse.dialect import translate
from recsys.warehouse.tables import parse_spec

TEXT = (PROJECT_ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
PROVEN = "\n".join(
    (Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("values.txt", "queries.txt")
)


def listed() -> list[str]:
    table = TEXT.split("## What passes")[1].split("Known to differ")[0]
    return sorted(set(re.findall(r"\b[A-Z][A-Z0-9_]{1,}\b", table)) - {"STRING", "DATE", "TIMESTAMP"})


@pytest.mark.parametrize("function", listed())
def test_what_the_page_lists_is_proven_by_values(function: str) -> None:
    assert re.search(rf"\b{function}\b", PROVEN), f"add values of {function} to values.txt or queries.txt"


def test_the_header_on_the_page_is_one() -> None:
    header = TEXT.split("```sql\n")[1].split("SELECT")[0]
    bare = "\n".join(re.sub(r"\s{2,}.*$", "", line) for line in header.splitlines())
    spec = parse_spec(f"{bare}\nSELECT 1 AS x", "staging.users")
    assert spec.params == ("history_days", "timezone")
    assert spec.snapshot_once


def test_the_page_names_the_folder_that_exists() -> None:
    assert (PROJECT_ROOT / "recsys" / "warehouse" / "dialect").is_dir()
    translate("SELECT 1 AS x")
