"""The command line is a veneer: options reach the job, and a known error is one message and exit code 1."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from recsys import cli
from recsys.cli import start
from recsys.errors import QualityError
from recsys.jobs import assign, backtest, build, check, decide, demo, evaluation, load, train
from recsys.settings import Settings
from recsys.synthetic.config import PRESETS
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


def test_sql_prints_numbers_plainly_and_text_as_it_is(warehouse: Path) -> None:
    query = "SELECT NUMERIC '9.50' AS a, NUMERIC '0' AS b, NUMERIC '100' AS c, '[bold]' AS d, [NUMERIC '1.5'] AS e"
    result = runner.invoke(cli.app, ["sql", query, "-w", str(warehouse)])
    assert [cell.strip() for cell in result.output.splitlines()[3].split("│")[1:-1]] == [
        "9.5",
        "0",
        "100",
        "[bold]",
        "[1.5]",
    ]


def test_sql_binds_the_settings(warehouse: Path) -> None:
    query = "SELECT @history_days AS days, @timezone AS zone, @ds AS day"
    result = runner.invoke(cli.app, ["sql", query, "--ds", "2026-02-10", "--csv", "-w", str(warehouse)])
    assert result.output == "days,zone,day\n90,UTC,2026-02-10\n"


def test_sql_prints_a_wide_row_below(warehouse: Path) -> None:
    query = f"SELECT {', '.join(f'CONCAT(name, name) AS column_{n}' for n in range(11))} FROM marketplace.item_category"
    result = runner.invoke(cli.app, ["sql", query, "--limit", "1", "-w", str(warehouse)])
    lines = result.output.splitlines()
    assert (lines[0], lines[1], lines[-1]) == ("row 1", "  column_0:  CoatsCoats", "1 of 2 rows")


def test_csv_is_all_rows_with_nothing_for_null(warehouse: Path) -> None:
    query = "SELECT category_id, parent_id FROM marketplace.item_category ORDER BY 1"
    result = runner.invoke(cli.app, ["sql", query, "--csv", "-w", str(warehouse)])
    assert result.output == "category_id,parent_id\nc1,\nc2,c1\n"


def test_tables_lists_all_or_tells_about_one(warehouse: Path) -> None:
    users = pd.DataFrame({"user_id": ["u"], "birth_year": None, "gender": None, "region": None})
    users["registered_at"] = pd.Timestamp("2026-01-01", tz="UTC")
    with open_warehouse(Settings(warehouse=str(warehouse))) as opened:
        for day in (1, 3):
            opened.write("staging.users", users, date(2026, 1, day))
    lines = runner.invoke(cli.app, ["tables", "-w", str(warehouse)]).output.splitlines()
    found = next(n for n, line in enumerate(lines) if line.startswith("staging.users "))
    assert lines[found].endswith("  2026-01-01..2026-01-03 (2 days)")
    assert lines[found + 1] == "  Users as they were known at the end of ds."
    one = runner.invoke(cli.app, ["tables", "staging.users", "-w", str(warehouse)]).output
    for told in (
        r"key: user_id, within one ds",
        r"user_id +STRING +required",
        r"birth_year +INT64\n",
        "2 days",
    ):
        assert re.search(told, one), told
    of_dataset = runner.invoke(cli.app, ["tables", "marts", "-w", str(warehouse)]).output
    assert re.search(r"marts\.recommendations +none", of_dataset)
    assert "staging" not in of_dataset


@pytest.mark.parametrize(
    "arguments",
    [
        ["sql", "SELECT 1 AS x"],
        ["tables"],
        *(
            [name, "--ds", "2026-02-10"]
            for name in ("train", "assign", "score", "results", "report", "truth")
        ),
        *([name, "staging", "--ds", "2026-02-10"] for name in ("build", "check")),
        ["backtest", "--cut", "2026-02-01", "--until", "2026-02-10"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_warehouse_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(SystemExit):
        main(monkeypatch, *arguments, "--warehouse", str(missing))
    printed = " ".join(capsys.readouterr().err.split())
    assert f"WarehouseError: {missing} does not exist; `make run` or `recsys import` makes one" in printed
    assert not missing.exists()


def test_the_demo_refuses_a_size_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch, demo)
    assert runner.invoke(cli.app, ["demo", "--size", "huge", "-w", str(tmp_path)]).exit_code == 2
    assert spy.args == ()
    assert runner.invoke(cli.app, ["demo", "--size", "small", "-w", str(tmp_path)]).exit_code == 0
    assert set(get_args(start.Size)) == set(PRESETS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sql", "SELECT * FROM marketplace.nothing"], "marketplace.nothing"),
        (["sql", "SELECT @ds AS day"], "pass --ds DAY"),
        (["sql", "SELECT @histry_days AS days"], "Did you mean @history_days?"),
        (["tables", "nothing"], "there is no table nothing"),
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
    spy, docs = Spy(monkeypatch, check), Spy(monkeypatch, check, "build_docs", returns="index.html")
    arguments = ["check", "marketplace.items", "--ds", "2026-02-10", "--stage", "sources"]
    assert runner.invoke(cli.app, [*arguments, "-w", str(warehouse)]).exit_code == 0
    assert spy.options == {"stage": "sources", "tables": ["marketplace.items"]}
    assert docs.args == spy.args[:1]


def test_a_failed_check_still_writes_the_data_docs(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise QualityError("broken")

    monkeypatch.setattr(check, "run", fail)
    docs = Spy(monkeypatch, check, "build_docs", returns="index.html")
    arguments = ["check", "marketplace.items", "--ds", "2026-02-10", "-w", str(warehouse)]
    assert isinstance(runner.invoke(cli.app, arguments).exception, QualityError)
    assert len(docs.args) == 1


def test_import_hands_over_the_mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch, load)
    arguments = ["import", "shop.csv", "--mapping", "m.yaml", "--no-history", "-w", str(tmp_path)]
    assert runner.invoke(cli.app, arguments).exit_code == 0
    assert spy.args[1] == Path("shop.csv")
    assert (spy.options["mapping"], spy.options["history"]) == (Path("m.yaml"), False)


def test_backtest_prints_a_row_per_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"ndcg@5": 0.27, "recall@5": 0.26, "revenue@5": 117.0, "users": 1540}
    lead = {"ndcg@5": {"difference": 0.05, "low": 0.04, "high": 0.06}}
    figures = {"models": {"als": row}, "paired": {"against": "als", "models": {"hybrid": lead}}}
    spy = Spy(monkeypatch, backtest, returns=figures)
    arguments = ["backtest", "--cut", "2011-11-01", "--until", "2011-12-10", "--k", "5", "-w", str(tmp_path)]
    result = runner.invoke(cli.app, arguments)
    assert spy.args[1:] == (date(2011, 11, 1), date(2011, 12, 10), 5)
    assert "0.270" in result.output
    assert "1,540" in result.output
    assert "hybrid against als" in result.output and "+0.050 (+0.040 to +0.060)" in result.output


WRITERS = (
    ["backtest", "--cut", "2011-11-01", "--until", "2011-12-10"],
    ["cost", "--ds", "2026-02-10"],
    ["explain", "--user", "u", "--ds", "2026-02-10"],
    ["experiment", "analyze", "users.csv", "--unit", "user_id", "--arm", "arm", "--metric", "revenue"],
    ["experiment", "power", "--rate", "0.04"],
    ["experiment", "simulate"],
    ["keywords", "backtest", "--cut", "2026-02-05"],
    ["keywords", "recommend", "--item", "i"],
    ["sellers", "backtest", "--cut", "2026-02-08", "--until", "2026-02-15"],
    ["sellers", "recommend", "--user", "u", "--ds", "2026-02-10"],
)


@pytest.mark.parametrize("arguments", WRITERS, ids=" ".join)
def test_a_file_that_could_not_be_written_is_refused_before_the_work(
    tmp_path: Path, arguments: list[str]
) -> None:
    for path, told in ((tmp_path / "missing" / "found.json", "make it first"), (tmp_path, "is a directory")):
        result = runner.invoke(cli.app, [*arguments, "--json", str(path)])
        printed = " ".join(result.output.replace("│", "").split())
        assert result.exit_code == 2, printed
        assert "--json" in printed and told in printed
    assert list(tmp_path.iterdir()) == []


def test_every_command_that_writes_json_is_tried() -> None:
    def commands(group: Any, *names: str) -> Iterator[tuple[str, ...]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from commands(command, *names, name)
            elif any("--json" in parameter.opts for parameter in command.params):
                yield (*names, name)

    found = set(commands(typer.main.get_command(cli.app)))
    assert found == {tuple(part for part in argv[:2] if not part.startswith("-")) for argv in WRITERS}


@pytest.mark.parametrize("k", ["0", "-1"])
def test_a_list_has_a_place_or_more(warehouse: Path, monkeypatch: pytest.MonkeyPatch, k: str) -> None:
    spy = Spy(monkeypatch, backtest)
    arguments = ["backtest", "--cut", "2011-11-01", "--until", "2011-12-10", "--k", k, "-w", str(warehouse)]
    assert runner.invoke(cli.app, arguments).exit_code == 2
    assert spy.args == ()


def test_evaluate_hands_over_what_is_judged(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch, evaluation, returns={"evaluation": "evaluation.html"})
    result = runner.invoke(cli.app, ["evaluate", "--ds", "2026-02-14", "--days", "3", "-w", str(warehouse)])
    assert spy.args[1] == date(2026, 2, 14)
    assert (spy.options["days"], spy.options["users"], spy.options["k"]) == (3, 1000, 10)
    assert "evaluation.html" in result.output


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


def test_an_override_names_who_and_why_and_is_given_or_withdrawn(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(monkeypatch, decide, "override")
    asked = [
        "experiment",
        "override",
        "e",
        "--ds",
        "2026-02-14",
        "--by",
        "p-17",
        "--why",
        "x",
        "-w",
        str(warehouse),
    ]
    assert runner.invoke(cli.app, [*asked, "--verdict", "stop"]).exit_code == 0
    assert spy.args[1:] == (date(2026, 2, 14), "e")
    assert spy.options == {"by": "p-17", "why": "x", "verdict": "stop"}
    assert runner.invoke(cli.app, [*asked, "--withdraw"]).exit_code == 0
    assert spy.options["verdict"] is None
    for unclear in ([], ["--withdraw", "--verdict", "stop"], ["--verdict", "maybe"]):
        assert runner.invoke(cli.app, [*asked, *unclear]).exit_code == 2
