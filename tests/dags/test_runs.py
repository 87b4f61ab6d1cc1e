"""Whole DAGs, run by Airflow in this process, with jobs that only record what they are asked."""

from datetime import date
from operator import itemgetter

import pytest

from recsys.errors import DagError, QualityError
from recsys.jobs.airflow_run import run_dag
from recsys.schema import FEATURES, KEYWORDS, SOURCES, STAGING
from recsys.settings import Settings
from recsys.warehouse.tables import load_spec
from tests.dags.conftest import KEYWORD_SHARDS, SHARDS

DAY = date(2011, 11, 30)


def test_features_are_built_in_the_order_of_their_headers(calls):
    seen = []
    result = run_dag("features_daily", DAY, progress=seen.append)
    assert result["tasks"] == len(seen) == len(calls) + 1
    assert seen[0] == "features_daily 2011-11-30: after"
    assert {ds for _, ds, _ in calls} == {DAY}
    assert calls[0][2] == {"stage": "sources", "tables": [table.name for table in SOURCES]}
    features = [table.name for table in FEATURES]
    checked = calls.index(("check", DAY, {"stage": "features", "tables": features}))
    assert set(features) <= {options.get("table") for _, _, options in calls[:checked]}
    built = [options["table"] for options in calls.of("build")]
    assert sorted(built) == sorted(table.name for table in (*STAGING, *FEATURES))
    for table in built:
        upstream = set(load_spec(Settings.load().sql_dir, table).upstream) & set(built)
        assert upstream <= set(built[: built.index(table)])


def test_users_are_scored_shard_by_shard_and_published_once(calls):
    run_dag("score_daily", DAY)
    jobs = [job for job, _, _ in calls]
    assert jobs[:2] == ["build", "plan_shards"]
    assert sorted(calls.of("score"), key=itemgetter("shard")) == SHARDS
    assert sorted(calls.of("sellers_score"), key=itemgetter("shard")) == SHARDS
    asked = [options.get("stage") or options.get("table") or job for job, _, options in calls]
    items = ["score", "lists", "marts.recommendations", "published"]
    sellers = ["sellers_score", "seller_lists", "marts.seller_recommendations", "seller_published"]
    for chain in (items, sellers):
        assert [name for name in asked if name in chain] == [chain[0]] * 2 + chain
    assert len(calls) == 2 + len([*SHARDS, *SHARDS]) + 2 * 3
    assert calls.of("check")[0]["tables"][0].startswith("scoring.")


def test_the_other_dags_run_their_jobs(calls):
    for dag_id in ("train_weekly", "experiment_assignment_daily", "experiment_metrics_daily"):
        run_dag(dag_id, DAY)
    names = [options.get("table", job) for job, _, options in calls]
    names.remove("sellers_train")  # beside train, in either order
    jobs = ["train", "register", "assign", "declare", "fill", "results", "decide"]
    assert [name for name in names if "." not in name] == jobs
    assert names[3] == "declare"
    assert set(names[4:6]) == {"experiments.exposures", "experiments.unit_daily"}
    assert names[7] == "experiments.unit_totals"
    assert set(names[8:10]) == {"experiments.metrics_daily", "experiments.value_counts"}


def test_keywords_are_proposed_shard_by_shard_and_published_once(calls):
    run_dag("keywords_weekly", DAY)
    names = [options.get("stage") or options.get("table") or job for job, _, options in calls]
    assert names[0] == "campaigns"
    assert set(names[1:5]) == {table.name for table in KEYWORDS if table.name.startswith("features.")}
    assert names[5:] == [
        *("keyword_features", "keywords_clean", "keyword_texts", "keywords_train", "keywords_plan"),
        *("keywords_score", "keywords_score", "keyword_lists", "marts.keyword_recommendations"),
        *("published_keywords", "monitoring.keyword_adoption"),
    ]
    assert sorted(calls.of("keywords_score"), key=itemgetter("shard")) == KEYWORD_SHARDS


def test_a_critical_check_stops_everything_downstream(calls):
    def fail(job, options):
        if options.get("stage") == "sources":
            raise QualityError("marketplace.events: 3 rows have no event_id.")

    calls.fail = fail
    with pytest.raises(
        DagError, match=r"check_sources: QualityError: marketplace\.events: 3 rows have no event_id"
    ):
        run_dag("features_daily", DAY)
    assert [job for job, _, _ in calls] == ["check"]


def test_lists_that_fail_their_check_are_not_published(calls):
    def fail(job, options):
        if job == "check":
            raise QualityError("scoring.lists: 1 item is sold.")

    calls.fail = fail
    with pytest.raises(DagError, match="1 item is sold"):
        run_dag("score_daily", DAY)
    assert {"table": "marts.recommendations"} not in calls.of("build")


def test_one_failed_shard_stops_the_publish(calls):
    def fail(job, options):
        if options.get("shard") == 1:
            raise RuntimeError("out of memory")

    calls.fail = fail
    with pytest.raises(DagError, match="score: out of memory"):
        run_dag("score_daily", DAY)
    assert len(calls.of("score")) == 3
    assert calls.of("check") == []
    assert {"table": "marts.recommendations"} not in calls.of("build")


def test_a_day_can_run_again_after_a_failure(calls):
    def fail(job, options):
        raise QualityError("no features")

    calls.fail = fail
    with pytest.raises(DagError, match="no features"):
        run_dag("experiment_assignment_daily", DAY)
    calls.fail = lambda job, options: None
    run_dag("experiment_assignment_daily", DAY)
    assert len(calls) == 2


def test_a_run_is_about_the_day_of_the_marketplace(calls, monkeypatch):
    monkeypatch.setenv("RECSYS_TIMEZONE", "America/New_York")
    run_dag("experiment_assignment_daily", DAY)
    assert calls == [("assign", DAY, {})]


def test_an_unknown_dag_is_named_with_those_there_are():
    with pytest.raises(DagError, match=r"no DAG 'nightly'.*features_daily"):
        run_dag("nightly", DAY)
