"""Google's analyzer reads every text of the project: it means something, and returns what its contract says."""

from __future__ import annotations

import pytest

from recsys.settings import PROJECT_ROOT
from tests.googlesql import record, texts
from tests.googlesql.gate import fault
from tests.googlesql.texts import Text

FILES, MEASURES, INLINE = texts.files(), texts.measures(), texts.inline()
TEXTS = {
    "SQL files analysed": FILES,
    "measures of checks analysed": MEASURES,
    "statements in modules analysed": INLINE,
}


@pytest.mark.parametrize(
    ("kind", "text"),
    [pytest.param(kind, text, id=text.name) for kind, found in TEXTS.items() for text in found],
)
def test_the_analyzer_accepts_it(kind: str, text: Text) -> None:
    record.total(kind, (text.name for text in TEXTS[kind]))
    assert fault(text) is None
    record.done(kind, text.name)


def test_nothing_is_overlooked() -> None:
    assert len(FILES) == len(list((PROJECT_ROOT / "include" / "sql").rglob("*.sql")))
    assert len(MEASURES) == len(list((PROJECT_ROOT / "expectations").glob("*.sql")))
    fills = {value for fill in texts.FILLS.values() for values in fill for value in values.values()}
    strays = [place for place, text in texts.fragments() if text not in fills]
    assert strays == [], "a piece of SQL that no template takes: add it to FILLS of tests/googlesql/texts.py"


def test_sql_is_composed_only_where_its_statements_are_analysed() -> None:
    assert texts.composed() == set()
