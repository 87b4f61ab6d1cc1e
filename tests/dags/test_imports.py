"""Reading a DAG costs less than a second and loads nothing heavy."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {
    "pandas",
    "numpy",
    "pyarrow",
    "duckdb",
    "sqlglot",
    "scipy",
    "sklearn",
    "torch",
    "implicit",
    "lightgbm",
    "xgboost",
}
HEAVY |= {"google.auth", "google.api_core", "google.cloud.bigquery", "airflow.providers.google.cloud"}
HEAVY |= {"great_expectations", "recsys.models", "recsys.features", "recsys.ranking", "recsys.jobs"}
PROGRAM = """
import importlib.util, json, sys, time
clock = time.perf_counter
started = clock()
from airflow.sdk import BaseOperator, CronDataIntervalTimetable
from airflow.triggers.base import BaseTrigger
seconds = {"airflow.sdk": clock() - started}
for path in sys.argv[1:]:
    for name in [n for n in sys.modules if n.startswith("recsys")]:  # each file pays for all of the project it needs
        del sys.modules[name]
    started = clock()
    spec = importlib.util.spec_from_file_location("dag_file", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    seconds[path] = clock() - started
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


def test_import_is_quick_and_light():
    files = sorted(map(str, (ROOT / "dags").glob("*.py")))
    env = {"PYTHONPATH": str(ROOT / "plugins"), "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"]}
    command = [sys.executable, "-c", PROGRAM, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    figures = json.loads(done.stdout.splitlines()[-1])
    for name, seconds in figures["seconds"].items():
        print(f"{seconds:.3f} s  {name}")
    assert not HEAVY & set(figures["modules"])
    assert all(figures["seconds"][file] < 1 for file in files)
