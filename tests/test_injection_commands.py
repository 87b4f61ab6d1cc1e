"""SQL injection through commands, mappings, profiles and imported files; see tests/test_injection.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from recsys.cli import app
from recsys.errors import ContractError, RecsysError, SettingsError, SqlError
from recsys.jobs import load, look
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.test_injection import DAY, FRAGMENTS, frame

RUN_IT = [
    "COPY (SELECT 1) TO '{}'",
    "ATTACH '{}' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "SET memory_limit = '1TB'",
    "SELECT * FROM read_csv('{}')",
    "SELECT * FROM read_parquet('{}')",
    "SELECT * FROM read_text('{}')",
    "SELECT * FROM '{}'",
    "SELECT * FROM `{}`",
    "SELECT * FROM glob('/*')",
    "SELECT read_text('{}')",
    "SELECT getenv('HOME')",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM duckdb_settings()",
    "SELECT 1; DROP TABLE staging.users",
    "SELECT 1; COPY (SELECT 1) TO '{}'",
    "CREATE TABLE x AS SELECT 1 AS one",
    "DROP TABLE staging.users",
    "DELETE FROM staging.users WHERE TRUE",
    "UPDATE staging.users SET region = 'x' WHERE TRUE",
    "INSERT INTO staging.users SELECT 1",
    "MERGE staging.users USING staging.users ON FALSE WHEN NOT MATCHED THEN INSERT ROW",
    "TRUNCATE TABLE staging.users",
    "ALTER TABLE staging.users DROP COLUMN region",
    "EXPORT DATA OPTIONS(uri='{}') AS SELECT 1",
    "LOAD DATA INTO staging.users FROM FILES(format='CSV', uris=['{}'])",
    "EXECUTE IMMEDIATE 'SELECT 1'",
    "CALL pragma_version()",
    "BEGIN TRANSACTION",
    "CREATE TEMP FUNCTION f() RETURNS INT64 LANGUAGE js AS 'return 1'; SELECT f()",
    "SELECT * FROM EXTERNAL_QUERY('connection', 'SELECT 1')",
    "SELECT * FROM other_project.dataset.people",
    "WITH x AS (DELETE FROM staging.users RETURNING *) SELECT * FROM x",
    "EXPLAIN SELECT 1",
    "SELECT SESSION_USER()",
]


@pytest.mark.parametrize("text", RUN_IT)
def test_recsys_sql_reads_and_nothing_else(tmp_path: Path, text: str) -> None:
    target = tmp_path / "secret.csv"
    target.write_text("a,b\n1,2\n", encoding="utf-8")
    settings = Settings.load({}, warehouse=str(tmp_path / "w"))
    with open_warehouse(settings) as opened:
        opened.write("staging.users", frame("staging.users"), DAY)
    with pytest.raises(SqlError):
        look.print_rows(settings, text.format(target), None, Console(quiet=True))
    with open_warehouse(settings) as opened:
        assert len(opened.read("staging.users", DAY)) == 1
    assert target.read_text(encoding="utf-8") == "a,b\n1,2\n"
    assert {p.name for p in tmp_path.iterdir()} == {"secret.csv", "w"}


COMMANDS: list[Callable[[str], list[str]]] = [
    lambda t: ["tables", t],
    lambda t: ["build", t, "--ds", "2026-01-05"],
    lambda t: ["build", "staging.users", "--ds", t],
    lambda t: ["build", "staging.users", "--ds", "2026-01-05", "--until", t],
    lambda t: ["check", t, "--ds", "2026-01-05"],
    lambda t: ["check", "marketplace.users", "--ds", "2026-01-05", "--stage", t],
    lambda t: ["score", "--ds", "2026-01-05", "--shard", "0", "--champion", t],
    lambda t: ["score", "--ds", "2026-01-05", "--shard", t],
    lambda t: ["score", "--ds", "2026-01-05", "--shard", "0", "--first-user", t, "--last-user", t],
    lambda t: ["simulate", "--ds", t],
    lambda t: ["sql", "SELECT 1 AS one", "--ds", t],
    lambda t: ["backtest", "--cut", t, "--until", "2026-01-06"],
    lambda t: ["migrate", "--replace", t],
    lambda t: ["experiment", "analyze", t, "--unit", "user_id", "--arm", "region", "--metric", "birth_year"],
    lambda t: ["experiment", "analyze", "staging.users", "--unit", t, "--arm", "region", "--metric", t],
    lambda t: ["tables", "--warehouse", f"bigquery://my-project/{t}"],
]


@pytest.mark.parametrize("text", FRAGMENTS[:7])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: " ".join(c("X"))[:40])
def test_no_option_of_a_command_reaches_sql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[[str], list[str]], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_WAREHOUSE", str(tmp_path / "w"))
    monkeypatch.setenv("RECSYS_FILES", str(tmp_path / "w"))
    with open_warehouse(Settings.load()) as opened:
        opened.write("staging.users", frame("staging.users"), DAY)
    given_ = command(text)
    result = CliRunner().invoke(app, given_)
    assert result.exit_code != 0
    assert isinstance(result.exception, RecsysError | SystemExit), repr(result.exception)
    with open_warehouse(Settings.load()) as opened:
        assert len(opened.read("staging.users", DAY)) == 1
    assert {p.name for p in tmp_path.iterdir()} == {"w"}


@pytest.mark.parametrize("sql", [s for s in RUN_IT if "staging" in s or "{}" in s])
@pytest.mark.parametrize("place", ["tables", "with", "skip"])
def test_a_mapping_reads_its_own_file_and_nothing_else(tmp_path: Path, place: str, sql: str) -> None:
    source, secret = tmp_path / "rows.csv", tmp_path / "secret.csv"
    source.write_text("id\nu1\n", encoding="utf-8")
    secret.write_text("a\n1\n", encoding="utf-8")
    text = sql.format(secret)
    content: dict = {
        "tables": dict.fromkeys(("users", "sellers", "item_category", "items", "events"), "SELECT 1 AS x")
    }
    if place == "tables":
        content["tables"]["users"] = text
    elif place == "with":
        content["with"] = {'x"; DROP TABLE y; --': text}
    else:
        content["skip"] = [{"reason": "'; --", "where": f"TRUE THEN 1 END FROM ({text}) --"}]
    mapping = tmp_path / "m.yaml"
    mapping.write_text(yaml.safe_dump(content), encoding="utf-8")
    settings = Settings.load({}, warehouse=str(tmp_path / "w"))
    with pytest.raises(ContractError):
        load.run(settings, source, mapping=mapping)
    assert secret.read_text(encoding="utf-8") == "a\n1\n"
    assert not list((tmp_path / "w").rglob("*.parquet")) if (tmp_path / "w").exists() else True


@pytest.mark.parametrize("text", FRAGMENTS)
def test_a_profile_brings_settings_and_no_sql(tmp_path: Path, text: str) -> None:
    root = tmp_path / "w"
    root.mkdir()
    for content in (
        {text: 1},
        {"warehouse": text},
        {"timezone": text},
        {"item_unit": text},
        {"late_days": text},
    ):
        (root / "marketplace.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        with pytest.raises(SettingsError):
            Settings.load({}, warehouse=str(root))


@pytest.mark.parametrize("text", FRAGMENTS)
def test_columns_and_files_of_an_import_are_names_not_code(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "it's [x]*"
    folder.mkdir()
    quoted = text.replace('"', '""').replace("\n", " ").replace("\r", " ")
    (folder / "users.csv").write_text(
        f'user_id,registered_at,"{quoted}"\nu1,2026-01-01 00:00:00,1\n', encoding="utf-8"
    )
    with pytest.raises(ContractError, match=r"cannot be imported|does not fit"):
        load.run(Settings.load({}, warehouse=str(tmp_path / "w")), folder)
    assert not (tmp_path / "w").exists() or not list((tmp_path / "w").rglob("*.parquet"))
