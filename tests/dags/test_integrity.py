"""Every DAG file is wiring, documented, and safe to schedule."""

import ast
import importlib.util
from pathlib import Path

import pytest

from recsys.schema import EXPERIMENTS, FEATURES, KEYWORDS, STAGING
from recsys.settings import Settings
from recsys.warehouse.tables import load_spec

FILES = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))
EXPECTED = {
    "features_daily",
    "train_weekly",
    "score_daily",
    "keywords_weekly",
    "experiment_assignment_daily",
    "experiment_metrics_daily",
}


def test_the_dags_are_those_of_the_files(dags):
    assert set(dags) == EXPECTED == {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dag_file_is_wiring_on_two_screens(file):
    tree = ast.parse(file.read_text())
    functions = [
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef)
    ]
    assert functions == [file.stem]
    assert len(file.read_text().splitlines()) <= 60


@pytest.mark.parametrize("dag_id", sorted(EXPECTED))
def test_a_dag_says_whose_it_is_and_what_to_do_when_it_fails(dags, dag_id):
    dag = dags[dag_id]
    spec = importlib.util.spec_from_file_location(dag_id, dag.fileloc)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert dag.doc_md == module.__doc__
    assert "\nTriage\n- " in dag.doc_md
    assert "recsys" in dag.tags
    assert {task.owner for task in dag.tasks} == {"recsys"}


@pytest.mark.parametrize("dag_id", sorted(EXPECTED))
def test_a_dag_is_scheduled_explicitly(dags, dag_id):
    dag = dags[dag_id]
    assert dag.catchup is False
    expected = "CronTriggerTimetable" if dag_id.endswith("weekly") else "CronDataIntervalTimetable"
    assert type(dag.timetable).__name__ == expected
    for task in dag.tasks:
        assert task.retries >= 1
        assert task.retry_exponential_backoff
        assert not task.depends_on_past


def test_every_table_is_built_by_exactly_one_dag(dags):
    built = [
        task.task_id for dag in dags.values() for task in dag.tasks if getattr(task, "job", "") == "build"
    ]
    tables = [table.name for table in (*STAGING, *FEATURES, *KEYWORDS, *EXPERIMENTS)]
    tables += ["marts.recommendations", "marts.list_calibration", "marts.seller_recommendations"]
    tables += ["monitoring.keyword_adoption"]
    by_job = {"scoring.keyword_variants", "scoring.keyword_lists"}
    by_job |= {f"experiments.{name}" for name in ("assignments", "metrics", "results", "checks", "decisions")}
    assert sorted(built) == sorted(set(tables) - by_job)


@pytest.mark.parametrize("dag_id", ["features_daily", "experiment_metrics_daily"])
def test_tables_are_wired_as_their_sql_headers_say(dags, dag_id):
    tasks = {task.task_id: task for task in dags[dag_id].tasks if getattr(task, "job", "") == "build"}
    for table, task in tasks.items():
        upstream = set(load_spec(Settings.load().sql_dir, table).upstream) & set(tasks)
        assert task.upstream_task_ids & set(tasks) == upstream, table


def test_nothing_is_built_before_the_sources_are_checked(dags):
    dag = dags["features_daily"]
    after_check = dag.get_task("check_sources").get_flat_relative_ids(upstream=False)
    assert after_check == set(dag.task_ids) - {"after", "check_sources"}
    features = {table.name for table in FEATURES}
    assert dag.get_task("check_features").get_flat_relative_ids(upstream=True) >= features


def test_nothing_is_published_before_the_lists_are_checked(dags):
    dag = dags["score_daily"]
    assert dag.get_task("marts.recommendations").upstream_task_ids == {"check_lists"}
    assert dag.get_task("check_lists").upstream_task_ids == {"score"}
    assert dag.get_task("marts.seller_recommendations").upstream_task_ids == {"check_seller_lists"}
    assert dag.get_task("check_seller_lists").upstream_task_ids == {"sellers_score"}
    assert {task.task_id for task in dag.leaves} == {"check_published", "check_seller_published"}


def test_no_keyword_is_published_before_the_keyword_lists_are_checked(dags):
    dag = dags["keywords_weekly"]
    assert dag.get_task("marts.keyword_recommendations").upstream_task_ids == {"check_keyword_lists"}
    assert dag.get_task("check_keyword_lists").upstream_task_ids == {"keywords_score"}
    assert dag.get_task("keywords_score").get_flat_relative_ids(upstream=True) >= {
        "check_keyword_features",
        "check_keyword_texts",
    }
    assert {task.task_id for task in dag.leaves} == {"monitoring.keyword_adoption"}
    items = dag.get_task("features.keyword_items")
    assert items.upstream_task_ids == {"features.campaign_history", "features.keyword_engaged"}


def test_dags_wait_for_what_they_stand_on(dags):
    waits = {dag_id: dag.get_task("after").dag_ids for dag_id, dag in dags.items()}
    assert waits == {
        "features_daily": (),
        "train_weekly": ("features_daily",),
        "keywords_weekly": ("features_daily", "experiment_assignment_daily"),
        "experiment_assignment_daily": ("features_daily",),
        "score_daily": ("features_daily", "experiment_assignment_daily"),
        "experiment_metrics_daily": ("features_daily", "experiment_assignment_daily"),
    }
    unfinished = {dag_id: dag.get_task("after").unfinished for dag_id, dag in dags.items()}
    assert {dag_id: names for dag_id, names in unfinished.items() if names} == {
        "score_daily": ("train_weekly",)
    }
    earlier = {dag_id: dag.get_task("after").earlier for dag_id, dag in dags.items()}
    assert {dag_id: names for dag_id, names in earlier.items() if names} == {
        "experiment_metrics_daily": ("features_daily", "experiment_assignment_daily", "score_daily")
    }
    for dag in dags.values():
        assert {task.task_id for task in dag.roots} == {"after"}


def test_no_dag_waits_for_one_that_waits_for_it(dags):
    waits = {}
    for dag_id, dag in dags.items():
        task = dag.get_task("after")
        waits[dag_id] = {*task.dag_ids, *task.unfinished, *task.earlier}
    while waits:
        free = {dag_id for dag_id, others in waits.items() if not others & set(waits)}
        assert free, waits
        waits = {dag_id: others for dag_id, others in waits.items() if dag_id not in free}
