"""The page for people with data of their own says what the contracts say, and its mapping runs."""

from __future__ import annotations

import re
from pathlib import Path

from recsys import schema
from recsys.jobs import load
from recsys.settings import PROJECT_ROOT, Settings
from tests.sources.test_mapping import SALES

PAGE = (PROJECT_ROOT / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_contracts() -> None:
    lines = PAGE.partition("<!-- tables -->")[2].partition("<!-- /tables -->")[0].strip().splitlines()[2:]
    wanted = [
        f"| {t.name.removeprefix('marketplace.')}{' (optional)' if t.optional else ''} | "
        + " ".join(c.name + "*" * c.required for c in t.columns)
        + " |"
        for t in schema.SOURCES
    ]
    assert lines == wanted


def test_the_event_types_are_listed() -> None:
    assert ", ".join(schema.EVENT_TYPES) in PAGE


def test_the_example_mapping_runs(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example
    (tmp_path / "m.yaml").write_text(example[1], encoding="utf-8")
    (tmp_path / "sales.csv").write_text(SALES, encoding="utf-8")
    settings = Settings.load({}, warehouse=str(tmp_path / "warehouse"))
    summary = load.run(settings, tmp_path / "sales.csv", tmp_path / "m.yaml", history=False)
    assert summary["skipped"] == {"no customer": 1}
