"""What a person types when starting a run, its conf and its id, reaches no statement."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, TaskGroup

from recsys.settings import Settings
from recsys_tasks import RecsysOperator, sql
from tests.endpoint import BigQueryEndpoint
from tests.test_injection import FRAGMENTS

PROJECT = "test-project"


@pytest.fixture
def bigquery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryEndpoint]:
    with BigQueryEndpoint(tmp_path / "endpoint") as endpoint:
        named = {"RECSYS_WAREHOUSE": f"bigquery://{PROJECT}/demo_", "RECSYS_FILES": str(tmp_path / "files")}
        for name, value in {**endpoint.environment(PROJECT), **named}.items():
            monkeypatch.setenv(name, value)
        yield endpoint


def context(text: str) -> dict[str, Any]:
    """A run whose id, conf and note are all ``text``."""
    conf = {text: text, "table": text, "ds": text, "options": {"table": text}}
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    run = SimpleNamespace(run_id=text, conf=conf, logical_date=moment, start_date=moment)
    ti = SimpleNamespace(run_id=text, map_index=-1, max_tries=2, xcom_push=lambda **_: None)
    return {
        "dag_run": run,
        "run_id": text,
        "params": conf,
        "ti": ti,
        "task_instance": ti,
        "conf": conf,
        "ds": text,
    }


def test_no_task_takes_anything_from_the_run_by_a_template(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            for field in getattr(task, "template_fields", ()):
                if task.task_type in ("RecsysOperator", "BigQueryBuild"):
                    assert "{{" not in repr(getattr(task, field, "")), f"{dag.dag_id}.{task.task_id}: {field}"


@pytest.mark.parametrize("text", FRAGMENTS[:7])
def test_a_job_gets_the_options_of_the_dag_file(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    import types

    seen: list[dict[str, Any]] = []
    module = types.ModuleType("recsys.jobs.build")
    module.run = lambda settings, ds, **options: seen.append({"ds": str(ds), **options}) or {}  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "recsys.jobs.build", module)
    with DAG("d", schedule=None):
        task = RecsysOperator(task_id="t", job="build", options={"table": "staging.users"})
    given = context(text)
    task.render_template_fields(given)
    task.execute(given)
    assert seen == [{"ds": "2026-01-05", "table": "staging.users"}]


@pytest.mark.parametrize("text", FRAGMENTS[:7])
def test_a_statement_and_a_job_id_hold_nothing_of_the_run(bigquery: BigQueryEndpoint, text: str) -> None:
    from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse

    with DAG("features_daily", schedule=None), TaskGroup("g", prefix_group_id=False):
        task = sql("staging.users")
    given = context(text)
    task.render_template_fields(given)
    assert task.table == "staging.users"
    with BigQueryWarehouse(Settings.load()) as warehouse:
        task.hook = SimpleNamespace(get_job=lambda **_: None)
        task._find = lambda name: None
        name, _ = task._next_job(given)
        configuration = warehouse.spec("staging.users")
        from recsys.warehouse.bigquery.statement import build_configuration

        sent = build_configuration(
            configuration,
            datetime(2026, 1, 5, tzinfo=UTC).date(),
            warehouse.settings,
            task._labels(datetime(2026, 1, 5, tzinfo=UTC).date()),
        )
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,1024}", name), name
    assert text not in repr(sent)
