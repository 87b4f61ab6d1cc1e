"""What every test session prints at its end, and what it runs last."""

from __future__ import annotations

import sys

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Judge the statements that were sent to BigQuery when all have been sent."""
    items.sort(key=lambda item: "googlesql/test_emitted.py" in item.nodeid)


@pytest.fixture
def wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands print 400 columns wide, whatever terminal there is and whatever variables other tests have left."""
    from recsys.cli.common import console

    monkeypatch.setattr(console, "_width", 400)
    monkeypatch.setattr(console, "_height", 100)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much SQL was held against Google's analyzer and engine, if those tests ran."""
    record = sys.modules.get("tests.googlesql.record")
    lines = record.lines() if record else []
    if lines:
        terminalreporter.write_line(f"GoogleSQL: {', '.join(lines)}.")
