"""Airflow for the tests: a home of its own, the DAGs and plugins of this checkout, and jobs that only record."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DAGS = ROOT / "dags"
JOBS = (
    *("build", "check", "train", "register", "plan_shards", "score", "sellers_train", "sellers_score"),
    *("assign", "declare", "fill", "results", "decide"),
    *("keywords_clean", "keywords_train", "keywords_plan", "keywords_score"),
)
SHARDS: list[dict[str, Any]] = [
    {"shard": shard, "champion": "2011-11-27", "first_user": first, "last_user": last}
    for shard, (first, last) in enumerate(
        [("", "$(RECSYS_WAREHOUSE) $$"), ("--shard=7", "{{ 7 * 7 }}"), ("é ü", "用户 \U0001f600")]
    )
]
"""Options of ``score``, as ``plan_shards`` names them; whatever an id looks like, it stays a value."""

KEYWORD_SHARDS: list[dict[str, Any]] = [
    {"shard": shard, "champion": "2011-11-27", "first_item": first, "last_item": last}
    for shard, (first, last) in enumerate([("i1", "--shard=7"), ("i2", "商品 1")])
]
"""The same of ``keywords_score``."""

# Airflow reads its home when it is imported, so this has to happen before any test module imports it.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="recsys-airflow-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "plugins")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
sys.path.insert(0, str(ROOT / "plugins"))


class Calls(list[tuple[str, date, dict[str, Any]]]):
    """What the fake jobs were asked, in order; ``fail`` makes some of them raise."""

    def __init__(self) -> None:
        super().__init__()
        self.fail: Callable[[str, dict[str, Any]], None] = lambda job, options: None

    def of(self, job: str) -> list[dict[str, Any]]:
        """Options of every call of one job."""
        return [options for name, _, options in self if name == job]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """Replace every job by one that records its options and returns a small summary."""
    calls = Calls()

    def fake(job: str) -> types.ModuleType:
        def run(settings: object, ds: date, **options: Any) -> dict[str, object]:
            calls.append((job, ds, options))
            calls.fail(job, options)
            named = {"plan_shards": SHARDS, "keywords_plan": KEYWORD_SHARDS}
            return {"shards": named[job]} if job in named else {"rows": 1}

        module = types.ModuleType(f"recsys.jobs.{job}")
        module.run = run  # type: ignore[attr-defined]
        return module

    for job in JOBS:
        monkeypatch.setitem(sys.modules, f"recsys.jobs.{job}", fake(job))
    yield calls


@pytest.fixture(scope="session")
def dags() -> dict[str, Any]:
    """Every DAG of the project by its id; an import error fails the test that asks."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=DAGS)
    assert not bag.import_errors
    return dict(bag.dags)
