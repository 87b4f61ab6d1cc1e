"""The command that reads every definition says what runs, and what is wrong."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from rich.console import Console
from typer.testing import CliRunner

from recsys.cli import app
from recsys.errors import ExperimentError
from recsys.jobs import experiment_list
from recsys.settings import Settings
from tests.jobs.test_assign import EVE, START, define, settings

__all__ = ["settings"]


def test_each_state_and_the_next_look(settings: Settings) -> None:
    define(settings, "a", end=START + timedelta(days=9), ramp=[{"from": START, "share": 0.25}])
    define(settings, "b", start=START + timedelta(days=5), layer={"name": "l", "last": 99}, holdout=0.02)
    define(settings, "c", end=START + timedelta(days=9), design={"kind": "group_sequential", "looks": 2})
    a, b, c = experiment_list.run(settings, EVE)
    assert (a["state"], a["let in"], a["next look"], a["arms"]) == (
        "running",
        "0.25",
        "2026-02-19",
        "a 0.5, b 0.5",
    )
    assert (b["state"], b["let in"], b["layer"], b["held out"]) == ("planned", "0", "l 0..99", "0.02")
    assert (b["days"], b["next look"]) == ("2026-02-15 to …", "at the end")
    assert c["next look"] == "2026-02-14"
    later = experiment_list.run(settings, START + timedelta(days=9))
    assert [(row["state"], row["next look"]) for row in later] == [
        ("ended", "at the end"),
        ("running", "at the end"),
        ("ended", "over"),
    ]


def test_what_is_wrong_is_an_error_and_nothing_is_no_error(settings: Settings) -> None:
    console = Console(record=True, width=200)
    experiment_list.print_list(settings, START, console)
    assert "No experiment is defined" in console.export_text()
    define(settings, "a", primary="rpuu")
    with pytest.raises(ExperimentError, match="'rpuu'"):
        experiment_list.run(settings, START)


@pytest.mark.usefixtures("wide_console")
def test_the_command_prints_the_project_s_own() -> None:
    found = CliRunner().invoke(app, ["experiment", "list", "--ds", "2026-02-09"])
    assert found.exit_code == 0
    assert "hybrid_vs_popularity" in found.output
    assert str(date(2026, 2, 10)) in found.output
