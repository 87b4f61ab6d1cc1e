"""The deployment plan: its sums are right, its commands are commands, its names exist."""

from __future__ import annotations

import re
import subprocess
from dataclasses import fields

import pytest
import yaml

from recsys import schema
from recsys.experiments.definition import parse_experiment
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse.bigquery.names import PARTED

PLAN = (PROJECT_ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
PAGES = [PLAN, (PROJECT_ROOT / "docs" / "retention.md").read_text(encoding="utf-8")]
TIB, GIB = 2**40, 2**30


def rows(name: str) -> dict[str, list[str]]:
    block = PLAN.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0]
    lines = [line.strip().strip("|").split("|") for line in block.strip().splitlines()[2:]]
    return {cells[0].strip().strip("*"): [cell.strip() for cell in cells[1:]] for cells in lines}


def number(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.mark.parametrize("size", range(3))
def test_every_sum_of_the_estimate_follows_from_its_inputs(size: int) -> None:
    given = {name: number(cells[0]) for name, cells in rows("inputs").items()}
    table = {name: cells[size] for name, cells in rows("estimate").items()}
    markets, users, shards = (number(table[n]) for n in ("marketplaces", "users of each", "shards"))
    cpus, memory = map(float, table["vCPU and GiB of a job"].split(" and "))
    daily = users * (given["day, tables and checks"] + given["day, each shard"] * shards) * 1e3
    monthly = markets * (30 * daily + 4 * users * given["training"] * 1e3) / TIB
    seconds = 30 * shards * number(table["seconds a shard"]) + 4 * number(table["seconds a training"])
    each = cpus * given["Cloud Run CPU"] + memory * given["Cloud Run memory"]
    expected = {
        "GB read a day": markets * daily / 1e9,
        "TiB read a month": monthly,
        "queries $": monthly * given["query"],
        "storage $": markets * users * given["kept"] * 1e3 / GIB * given["storage"],
        "Cloud Run $": markets * seconds * each,
        "Composer $": number(table["DCUs"]) * given["hours"] * given["Composer"],
    }
    total = sum(value for name, value in expected.items() if name.endswith("$"))
    expected |= {"a month $": total, "$ per 1,000 users": total / (markets * users / 1000)}
    for name, value in expected.items():
        digits = len(table[name].partition(".")[2])
        assert table[name] == f"{value:,.{digits}f}", name


def test_the_measured_inputs_are_those_of_the_page_on_cost() -> None:
    cost = (PROJECT_ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    assert "monthly users x (111 KB + 3.85 KB x shards)" in cost
    assert "= 262 GB" in cost
    assert "6.25 US dollars per TiB" in cost
    assert "0.02 US dollars per GiB" in cost


def test_seconds_are_those_of_the_benchmarks() -> None:
    table = rows("estimate")
    assert [number(n) for n in table["seconds a shard"][:2]] == [37 + 30, round(37 * 6.5 + 30)]
    assert [number(n) for n in table["seconds a training"][:2]] == [209 + 30, round(209 * 9.5 + 30)]


@pytest.mark.parametrize("block", re.findall(r"```bash\n(.*?)```", PLAN, re.DOTALL))
def test_commands_are_what_a_shell_can_read(block: str) -> None:
    done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=["deployment", "retention"])
def test_settings_tables_and_commands_exist(page: str) -> None:
    from typer.main import get_command

    from recsys.cli import app

    known = {f"RECSYS_{f.name.upper()}" for f in fields(Settings)}
    assert set(re.findall(r"RECSYS_[A-Z_]+[A-Z]", page)) <= known
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name, rest in re.findall(
        r"recsys (build|check|cost|forget|migrate|backtest|results)\b([^`\n]*)", page
    ):
        options = {o for parameter in commands[name].params for o in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest.split("  #")[0])) <= options, f"recsys {name} {rest}"
    datasets = {name.partition(".")[0] for name in schema.TABLES}
    names = {*schema.TABLES, "monitoring.builds", "marts.recommendations_restored"}
    for name in re.findall(rf"\b((?:{'|'.join(datasets)})\.[a-z_]+)\b", page):
        base = name.split("__")[0]
        assert base in names or base in PARTED or name.startswith("staging.snapshot_"), name


def test_the_canary_is_an_experiment() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PLAN, re.DOTALL)
    experiment = parse_experiment(yaml.safe_load(text), "docs/deployment.md")
    assert experiment.weights == {"hybrid": 0.01, "popularity": 0.99}
