"""Heavy jobs in containers: the providers' own operators, up to the call of the API, which is recorded."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from recsys.cli import app
from recsys.errors import SettingsError
from recsys_containers import arguments, environment
from recsys_tasks import RecsysOperator, job
from tests.dags.conftest import SHARDS

RUN_JOB = "projects/synthetic-project/locations/europe-west1/jobs/recsys-job"
IMAGE = "europe-docker.pkg.dev/synthetic-project/recsys/job:1"
HOSTILE = [
    "x; rm -rf /",
    "$(touch /tmp/x)",
    "--warehouse=elsewhere",
    "{{ ti.log.info('x') }}",
    "' OR 1=1 --",
    "a\nb",
]


class Ti(SimpleNamespace):
    """As much of a running task instance as the providers ask for."""

    def __init__(self) -> None:
        super().__init__(
            dag_id="score_daily",
            task_id="score",
            run_id="scheduled__2026-01-05",
            map_index=1,
            try_number=1,
            start_date=datetime.now(UTC),
            pushed={},
        )

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def context(conf: dict[str, Any] | None = None) -> dict[str, Any]:
    run = SimpleNamespace(
        logical_date=datetime(2026, 1, 5, tzinfo=UTC), conf=conf or {}, dag_id="score_daily", run_id="r"
    )
    ti = Ti()
    dag = SimpleNamespace(is_subdag=False)
    return {"dag": dag, "dag_run": run, "ti": ti, "task_instance": ti, "run_id": "r", "params": conf or {}}


@pytest.fixture
def cloud(monkeypatch):
    """Settings of Composer over BigQuery, as environment variables."""
    for name, value in {
        "RECSYS_WAREHOUSE": "bigquery://synthetic-project/demo_",
        "RECSYS_FILES": "/home/airflow/gcs/data/recsys",
        "RECSYS_HOME": "/home/airflow/gcs/plugins",
        "RECSYS_TIMEZONE": "Europe/Paris",
        "RECSYS_SHARDS": "8",
        "MLFLOW_TRACKING_URI": "https://mlflow.example.org",
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": "google-cloud-platform://?project=synthetic-project",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def run_job(cloud):
    """Cloud Run, with a client that only records what it is asked to run."""
    from airflow.providers.google.cloud.hooks.cloud_run import CloudRunHook

    cloud.setenv("RECSYS_HEAVY", "cloud_run")
    cloud.setenv("RECSYS_CONTAINER", RUN_JOB)
    asked = []

    class Client:
        def run_job(self, request):
            asked.append(request)
            metadata = SimpleNamespace(log_uri="", name=f"{RUN_JOB}/executions/recsys-job-1")
            return SimpleNamespace(metadata=metadata, operation=SimpleNamespace(name="operations/1"))

        def get_job(self, request):
            from google.cloud.run_v2 import Job

            return Job(name=RUN_JOB)

    cloud.setattr(CloudRunHook, "get_conn", lambda self, **where: Client())
    return asked


@pytest.fixture
def pods(cloud):
    """A cluster that only records the pods it is asked to make."""
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
    from airflow.sdk import BaseHook

    cloud.setenv("RECSYS_HEAVY", "kubernetes")
    cloud.setenv("RECSYS_CONTAINER", IMAGE)
    cloud.setenv("RECSYS_POD_BUCKET", "synthetic-bucket/data/recsys")
    made = []

    def create(self, pod_request_obj, context):
        made.append(pod_request_obj)
        return pod_request_obj

    hook = SimpleNamespace(is_in_cluster=False, get_namespace=lambda: "recsys")
    cloud.setattr(KubernetesPodOperator, "get_or_create_pod", create)
    cloud.setattr(KubernetesPodOperator, "hook", hook)
    cloud.setattr(BaseHook, "get_connection", lambda name: SimpleNamespace(extra_dejson={}))
    return made


def test_a_heavy_job_runs_in_the_worker_by_default(monkeypatch):
    monkeypatch.delenv("RECSYS_HEAVY", raising=False)
    assert type(job("train", heavy=True)) is RecsysOperator


def test_training_is_one_execution_of_the_cloud_run_job(run_job):
    task = job("train", heavy=True)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context())
    (request,) = run_job
    assert type(request).__name__ == "RunJobRequest"
    assert request.name == RUN_JOB
    (container,) = request.overrides.container_overrides
    assert list(container.args) == ["train", "--ds=2026-01-05"]
    assert {item.name: item.value for item in container.env} == {
        "RECSYS_WAREHOUSE": "bigquery://synthetic-project/demo_",
        "RECSYS_TIMEZONE": "Europe/Paris",
        "RECSYS_SHARDS": "8",
        "MLFLOW_TRACKING_URI": "https://mlflow.example.org",
    }
    assert request.overrides.task_count == 1
    trigger = deferred.value.trigger
    assert (trigger.project_id, trigger.location, trigger.job_name) == tuple(RUN_JOB.split("/")[1::2])
    assert deferred.value.method_name == "execute_complete"


def test_a_cloud_run_job_ends_as_its_execution_ended(run_job):
    done = {"status": "Success", "job_name": "recsys-job", "execution_name": ""}
    assert job("train", heavy=True).execute_complete(context(), done) == {"job": "recsys-job"}
    failed = {
        "status": "Fail",
        "operation_error_code": 1,
        "operation_error_message": "ModelError: no champion",
    }
    with pytest.raises(Exception, match="ModelError: no champion"):
        job("train", heavy=True).execute_complete(context(), failed)


def test_training_is_one_pod(pods):
    task = job("train", heavy=True)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context())
    (pod,) = pods
    (container,) = pod.spec.containers
    assert container.image == IMAGE
    assert not container.command  # the image's own entrypoint, no shell
    assert container.args == ["train", "--ds=2026-01-05"]
    env = {item.name: item.value for item in container.env}
    assert env["RECSYS_WAREHOUSE"] == "bigquery://synthetic-project/demo_"
    assert env["RECSYS_FILES"] == container.volume_mounts[0].mount_path == "/mnt/recsys"
    assert not {"RECSYS_HOME", "RECSYS_HEAVY", "RECSYS_CONTAINER"} & set(env)
    (volume,) = pod.spec.volumes
    assert volume.csi.volume_attributes == {
        "bucketName": "synthetic-bucket",
        "mountOptions": "implicit-dirs,only-dir=data/recsys",
    }
    assert pod.metadata.annotations["gke-gcsfuse/volumes"] == "true"
    assert container.resources.requests == {"cpu": "4", "memory": "16Gi"}
    assert container.resources.limits == {"memory": "16Gi"}
    assert container.security_context["runAsNonRoot"] is True
    assert pod.metadata.namespace == "recsys"
    assert deferred.value.method_name == "trigger_reentry"


@pytest.mark.parametrize("where", ["run_job", "pods"])
def test_shards_are_mapped_one_container_each(where, request):
    asked = request.getfixturevalue(where)
    with DAG("score_daily", schedule=None):
        score = job("score", each=job("plan_shards", returns="shards").output, heavy=True)
    assert score.is_mapped
    assert score.upstream_task_ids == {"plan_shards"}
    merge = score.expand_input.value["options"].callables[0]
    for shard in SHARDS:
        task = score.unmap({"options": merge(shard)})
        with pytest.raises(TaskDeferred):
            task.execute(context())
    sent = [
        list(item.overrides.container_overrides[0].args)
        if where == "run_job"
        else item.spec.containers[0].args
        for item in asked
    ]
    if where == "pods":  # Kubernetes replaces $(NAME), and $$ by $
        assert "--last-user=$$(RECSYS_WAREHOUSE) $$$$" in sent[0]
        sent = [[word.replace("$$", "$") for word in words] for words in sent]
    assert sent == [["score", "--ds=2026-01-05", *arguments(shard)] for shard in SHARDS]


@pytest.mark.parametrize("where", ["run_job", "pods"])
@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_run_reaches_a_container_as_more_than_one_argument(where, text, request):
    """The value of an option is one word of a list; the conf of a run reaches neither arguments nor environment."""
    asked = request.getfixturevalue(where)
    task = job("score", heavy=True, champion=text)
    with pytest.raises(TaskDeferred):
        task.execute(context(conf={"champion": text, "args": [text], text: text}))
    sent, env = sent_by(where, asked[0])
    if where == "pods":
        sent = [word.replace("$$", "$") for word in sent]
    assert sent == ["score", "--ds=2026-01-05", f"--champion={text}"]
    assert text not in "".join(env) + "".join(env.values())
    with pytest.raises(SettingsError, match="no data day"):
        parse(sent)


def sent_by(where, request):
    if where == "run_job":
        (container,) = request.overrides.container_overrides
        return list(container.args), {item.name: item.value for item in container.env}
    (container,) = request.spec.containers
    return container.args, {item.name: item.value for item in container.env}


def parse(words):
    """What the command line makes of the words: the day it reads, or its error."""
    from recsys.settings import parse_ds

    command = typer.main.get_command(app).commands[words[0]]
    given = command.make_context(words[0], list(words[1:])).params
    assert given["warehouse"] is None
    parse_ds(given["champion"])


@pytest.mark.parametrize("heavy", ["cloud_run", "kubernetes"])
def test_the_operators_render_nothing_but_job_and_options(cloud, heavy):
    cloud.setenv("RECSYS_HEAVY", heavy)
    assert tuple(job("train", heavy=True).template_fields) == ("job", "options")


@pytest.mark.parametrize(
    "options",
    [{"a-b": 1}, {"a b": 1}, {"-x": 1}, {"shard": None}, {"shard": [1]}, {"shard": True}, {"shard": 1.5}],
)
def test_what_is_no_option_is_refused(options):
    with pytest.raises(SettingsError, match="cannot go to a container"):
        arguments(options)


def test_a_container_cannot_return_what_later_tasks_read():
    with pytest.raises(SettingsError, match=r"plan_shards is heavy.*returns nothing"):
        job("plan_shards", heavy=True, returns="shards")


def test_a_folder_is_no_warehouse_for_a_container(run_job, monkeypatch):
    monkeypatch.setenv("RECSYS_WAREHOUSE", "/srv/warehouse")
    with pytest.raises(AirflowFailException, match=r"folder /srv/warehouse.*RECSYS_HEAVY=worker"):
        job("train", heavy=True).execute(context())
    assert run_job == []


def test_a_container_that_is_not_named_is_told_how_to_name_it(run_job, monkeypatch):
    monkeypatch.setenv("RECSYS_CONTAINER", "recsys-job")
    with pytest.raises(AirflowFailException, match="projects/PROJECT/locations/REGION/jobs/JOB"):
        job("train", heavy=True).execute(context())
    assert run_job == []


def test_an_image_that_is_not_named_is_told_how_to_name_it(pods, monkeypatch):
    monkeypatch.delenv("RECSYS_CONTAINER")
    with pytest.raises(AirflowFailException, match="has to name an image"):
        job("train", heavy=True).execute(context())
    assert pods == []


def test_folders_and_secrets_of_the_worker_stay_in_the_worker():
    kept = environment(
        {
            "RECSYS_HOME": "/h",
            "RECSYS_FILES": "/f",
            "RECSYS_SEED": "7",
            "RECSYS_CURRENCY": "",
            "AIRFLOW__X": "s",
        }
    )
    assert kept == {"RECSYS_SEED": "7"}


@pytest.mark.parametrize("heavy", ["worker", "cloud_run", "kubernetes"])
def test_every_heavy_job_of_the_dags_is_a_command(heavy, monkeypatch):
    """The DAGs load with each setting, and what they send is read by the command line of the image."""
    from airflow.dag_processing.dagbag import DagBag

    from tests.dags.conftest import DAGS

    monkeypatch.setenv("RECSYS_HEAVY", heavy)
    bag = DagBag(dag_folder=DAGS)
    assert not bag.import_errors
    kinds = {"worker": "RecsysOperator", "cloud_run": "CloudRunJob", "kubernetes": "KubernetesJob"}
    sent = [("train_weekly", "train", {}), *(("score_daily", "score", shard) for shard in SHARDS)]
    for dag, name, options in sent:
        task = bag.dags[dag].get_task(name)
        assert task.task_type == kinds[heavy]
        words = [f"--ds={date(2026, 1, 5)}", *arguments(options)]
        given = typer.main.get_command(app).commands[name].make_context(name, words).params
        assert {key: given[key] for key in options} == options
