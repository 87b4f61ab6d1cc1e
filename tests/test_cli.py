"""The command line is a veneer: options reach the job, and a known error is one message and exit code 1."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from recsys import cli
from recsys.jobs import assign, backtest, build, check, load, train
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

runner = CliRunner()


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    folder = tmp_path / "warehouse"
    rows = pd.DataFrame(
        {"category_id": ["c1", "c2"], "parent_id": [None, "c1"], "name": ["Coats", "靴"], "level": [1, 2]}
    )
    open_warehouse(Settings(warehouse=str(folder))).write("marketplace.item_category", rows)
    return folder


class Spy:
    """Stands in for a job's function and keeps what it was called with."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str = "run", returns: Any = None
    ) -> None:
        self.args: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}
        self.returns = {"rows": 7} if returns is None else returns
        monkeypatch.setattr(module, name, self)

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.args, self.options = args, options
        return self.returns


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["recsys", *arguments])
    cli.main()


def test_sql_speaks_bigquery_and_prints_a_table(warehouse: Path) -> None:
    query = (
        "SELECT name, SAFE_DIVIDE(level, 0) AS nothing FROM marketplace.item_category ORDER BY level LIMIT 1"
    )
    result = runner.invoke(cli.app, ["sql", query, "--warehouse", str(warehouse)])
    assert result.exit_code == 0, result.output
    assert "Coats" in result.output
    assert "1 of 1 rows" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sql", "SELECT * FROM marketplace.nothing"], "marketplace.nothing"),
        (["assign", "--ds", "yesterday"], "write it as YYYY-MM-DD"),
        (["assign", "--ds", "2026-02-10"], "features.user_daily"),
    ],
)
def test_a_known_error_is_one_message_without_traceback(
    warehouse: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(monkeypatch, *arguments, "--warehouse", str(warehouse))
    assert stopped.value.code == 1
    printed = " ".join(capsys.readouterr().err.split())
    assert message in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(("command", "module"), [("train", train), ("assign", assign)])
def test_a_daily_command_hands_the_day_to_its_job(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch, command: str, module: Any
) -> None:
    spy = Spy(monkeypatch, module)
    result = runner.invoke(cli.app, [command, "--ds", "2026-02-10", "--warehouse", str(warehouse)])
    assert result.exit_code == 0, result.output
    assert spy.args[1] == date(2026, 2, 10)
    assert spy.args[0].warehouse == str(warehouse)
    assert "rows: 7" in result.output


def test_build_takes_a_range(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch, build, "history")
    arguments = ["build", "staging", "--ds", "2026-02-10", "--until", "2026-02-12", "--refresh"]
    assert runner.invoke(cli.app, [*arguments, "-w", str(warehouse)]).exit_code == 0
    assert spy.args[1:] == (date(2026, 2, 10), date(2026, 2, 12), ["staging"])
    assert spy.options["refresh"] is True


def test_check_names_its_stage(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch, check)
    arguments = ["check", "marketplace.items", "--ds", "2026-02-10", "--stage", "sources"]
    assert runner.invoke(cli.app, [*arguments, "-w", str(warehouse)]).exit_code == 0
    assert spy.options == {"stage": "sources", "tables": ["marketplace.items"]}


def test_import_hands_over_the_mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch, load)
    arguments = ["import", "shop.csv", "--mapping", "m.yaml", "--no-history", "-w", str(tmp_path)]
    assert runner.invoke(cli.app, arguments).exit_code == 0
    assert spy.args[1] == Path("shop.csv")
    assert (spy.options["mapping"], spy.options["history"]) == (Path("m.yaml"), False)


def test_backtest_prints_a_row_per_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"models": {"als": {"ndcg@5": 0.27, "recall@5": 0.26, "revenue@5": 117.0, "users": 1540}}}
    spy = Spy(monkeypatch, backtest, returns=figures)
    arguments = ["backtest", "--cut", "2011-11-01", "--until", "2011-12-10", "--k", "5", "-w", str(tmp_path)]
    result = runner.invoke(cli.app, arguments)
    assert spy.args[1:] == (date(2011, 11, 1), date(2011, 12, 10), 5)
    assert "0.270" in result.output
    assert "1,540" in result.output


def test_airflow_prints_an_environment_that_a_shell_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "it's mine"
    result = runner.invoke(cli.app, ["airflow", "--print-env", "-w", str(folder)])
    assert result.exit_code == 0
    assert "export AIRFLOW__CORE__DAGS_FOLDER=" in result.output
    assert f"export RECSYS_WAREHOUSE={shlex.quote(str(folder))}" in result.output


def test_help_needs_no_pandas() -> None:
    import subprocess

    code = "import sys; import recsys.cli; print(json.dumps([m for m in ('pandas', 'duckdb', 'airflow') if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
