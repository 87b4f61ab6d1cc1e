"""The bundle for Cloud Composer: whole, alone, and with packages that fit the image as far as that is documented."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from recsys.errors import SettingsError
from recsys.jobs import bundle
from recsys.settings import OTHERS, Settings

ROOT = Path(__file__).parents[2]
DAG_IDS = {file.stem for file in (ROOT / "dags").glob("*.py")}
RESERVED = re.compile(
    r"AIRFLOW__[A-Z0-9_]+__[A-Z0-9_]+|AIRFLOW_HOME|PATH|PROJECT_ID|PORT|GCS_BUCKET|REDIS_PASSWORD"
)
CLOUD = {
    "RECSYS_WAREHOUSE": "bigquery://synthetic-project/demo_",
    "RECSYS_WAIT": "reschedule",
    "RECSYS_CONTAINER": "projects/synthetic-project/locations/europe-west1/jobs/recsys-job",
}
ALONE = """
import json, os, sys
root = os.environ.pop("CHECKOUT")
sys.path[:] = [path for path in sys.path if path and not os.path.abspath(path).startswith(root + os.sep + "recsys")
               and os.path.abspath(path) not in (root, os.path.join(root, "plugins"))]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
"""
LOAD = (
    ALONE
    + """
from airflow import plugins_manager, settings
settings.prepare_syspath_for_config_and_plugins()
plugins_manager.ensure_plugins_loaded() if hasattr(plugins_manager, "ensure_plugins_loaded") else None
errors = plugins_manager.get_import_errors() if hasattr(plugins_manager, "get_import_errors") else plugins_manager.import_errors
by_plugins = sorted(name for name in sys.modules if name.startswith("recsys"))
heavy = sorted({"pandas", "duckdb", "sqlglot", "google.cloud.bigquery", "lightgbm", "sklearn"} & set(sys.modules))
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1])
from airflow.serialization.serialized_objects import DagSerialization
import recsys.settings
found = recsys.settings.Settings.load()
print(json.dumps({
    "plugin_errors": {str(key): str(value) for key, value in errors.items()},
    "by_plugins": by_plugins, "heavy": heavy,
    "import_errors": bag.import_errors, "dags": sorted(bag.dags),
    "tasks": {f"{dag_id}.{task.task_id}": task.task_type for dag_id, dag in bag.dags.items() for task in dag.tasks},
    "stored": {dag_id: DagSerialization.to_dict(dag) for dag_id, dag in bag.dags.items()},
    "home": found.home,
    "files": [str(found.sql_dir), str(found.expectations_dir), str(found.experiments_dir)],
    "from": sorted({os.path.dirname(module.__file__) for name, module in list(sys.modules.items())
                    if name.startswith("recsys") and getattr(module, "__file__", None)}),
}, default=str))
"""
)
SCHEDULE = (
    ALONE
    + """
from airflow.serialization.serialized_objects import DagSerialization
for stored in json.load(sys.stdin).values():
    dag = DagSerialization.from_dict(stored)
    assert dag.tasks and dag.timetable
    for task in dag.tasks:
        task.deps
print(json.dumps(sorted(name for name in sys.modules if name.startswith("recsys"))))
"""
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    target = tmp_path_factory.mktemp("composer") / "bundle"
    bundle.run(target)
    return target


def alone(program, folder, home, *arguments, text="", **environ):
    """Run a program in a new process that knows the bundle and nothing of this checkout."""
    env = {
        "PATH": os.environ["PATH"],
        "CHECKOUT": str(ROOT),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONDONTWRITEBYTECODE": "1",
        **environ,
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        cwd=folder,
        env=env,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def load(made, home, **environ):
    return alone(
        LOAD,
        made,
        home,
        str(made / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(made / "plugins"),
        AIRFLOW__CORE__DAGS_FOLDER=str(made / "dags"),
        **environ,
    )


@pytest.fixture(scope="module")
def loaded(made, tmp_path_factory):
    """What Airflow finds in the bundle alone, with the settings of Composer."""
    return load(made, tmp_path_factory.mktemp("home"), **CLOUD, RECSYS_HEAVY="cloud_run")


def test_the_bundle_loads_by_itself(made, loaded):
    assert loaded["import_errors"] == {}
    assert set(loaded["dags"]) == DAG_IDS
    assert loaded["home"] == str(made / "plugins")
    assert all(Path(folder).is_dir() for folder in loaded["files"])
    assert all(folder.startswith(str(made / "plugins")) for folder in loaded["from"])


def test_airflow_takes_no_module_of_the_package_for_a_plugin(loaded):
    assert loaded["plugin_errors"] == {}
    light = {"recsys", "recsys.errors", "recsys.settings", "recsys.yaml_files"}
    assert set(loaded["by_plugins"]) >= {"recsys_tasks", "recsys_order", "recsys_experiments_page"}
    assert {name for name in loaded["by_plugins"] if not name.startswith("recsys_")} <= light
    assert loaded["heavy"] == []


def test_without_its_airflowignore_the_package_would_be_loaded_as_plugins(made, tmp_path):
    """The test above can fail: the file is what keeps the plugin manager out."""
    ignore = made / "plugins" / ".airflowignore"
    text = ignore.read_text()
    ignore.unlink()
    try:
        loaded = load(made, tmp_path, **CLOUD)
    finally:
        ignore.write_text(text)
    assert loaded["heavy"] or loaded["plugin_errors"]


@pytest.mark.parametrize(
    ("heavy", "kind"),
    [("worker", "RecsysOperator"), ("cloud_run", "CloudRunJob"), ("kubernetes", "KubernetesJob")],
)
def test_each_place_for_heavy_jobs_loads(made, tmp_path, loaded, heavy, kind):
    found = loaded if heavy == "cloud_run" else load(made, tmp_path, **CLOUD, RECSYS_HEAVY=heavy)
    assert found["import_errors"] == {}
    assert {found["tasks"]["train_weekly.train"], found["tasks"]["score_daily.score"]} == {kind}


def test_the_scheduler_needs_no_plugins(made, loaded, tmp_path):
    """Composer gives plugins to neither scheduler nor triggerer: stored DAGs are read without anything of ours."""
    imported = alone(SCHEDULE, tmp_path, tmp_path / "home", text=json.dumps(loaded["stored"]))
    assert imported == []


def test_nothing_of_ours_runs_in_the_triggerer(loaded):
    waiting = {kind for task, kind in loaded["tasks"].items() if task.endswith(".after")}
    assert waiting == {"AfterSensor"}
    text = "".join(
        (ROOT / "plugins" / name).read_text() for name in ("recsys_bigquery.py", "recsys_cloud_run.py")
    )
    assert "Trigger)" not in text  # no trigger class of our own behind the providers' operators


def test_the_bundle_is_whole(made):
    plugins = made / "plugins"
    for folder in ("include/sql", "include/experiments", "expectations"):
        kept = {file.relative_to(ROOT) for file in (ROOT / folder).rglob("*") if file.is_file()}
        assert kept
        assert all((plugins / file).read_bytes() == (ROOT / file).read_bytes() for file in kept)
    modules = {file.relative_to(ROOT) for file in (ROOT / "recsys").rglob("*.py")}
    assert all((plugins / file).is_file() for file in modules)
    assert (plugins / "recsys/reports/templates").is_dir()


def test_the_bundle_holds_neither_secrets_nor_leftovers(made):
    names = [str(file.relative_to(made)) for file in made.rglob("*")]
    assert not [
        name for name in names if re.search(r"__pycache__|\.pyc$|(^|/)\.(env|git)$|tests?/|passwords", name)
    ]
    assert sum(file.stat().st_size for file in made.rglob("*") if file.is_file()) < 5_000_000


def test_the_manifest_names_every_file(made):
    listed = dict(reversed(line.split("  ", 1)) for line in (made / "MANIFEST").read_text().splitlines())
    files = {str(file.relative_to(made)): file for file in made.rglob("*") if file.is_file()}
    assert set(listed) == set(files) - {"MANIFEST"}
    for name, digest in listed.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest


def test_it_is_the_same_each_time_and_replaces_the_one_before(tmp_path):
    target = tmp_path / "again"
    bundle.run(target)
    before = (target / "MANIFEST").read_text()
    (target / "plugins" / "left_over.py").write_text("")
    bundle.run(target)
    assert (target / "MANIFEST").read_text() == before
    assert not (target / "plugins" / "left_over.py").exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SettingsError, match="no bundle"):
        bundle.run(tmp_path)
    assert (tmp_path / "mine.txt").exists()


def test_the_environment_is_one_that_composer_and_recsys_take(made):
    lines = [line for line in (made / "environment.env").read_text().splitlines() if not line.startswith("#")]
    given = dict(line.split("=", 1) for line in lines)
    known = {f"RECSYS_{field.name.upper()}" for field in fields(Settings)} - OTHERS
    assert set(given) <= known
    assert not [name for name in given if RESERVED.fullmatch(name)]
    assert not [value for value in given.values() if "," in value]  # gcloud separates by commas
    settings = Settings.load(given)
    assert settings.is_bigquery
    assert (settings.wait, settings.heavy) == ("reschedule", "cloud_run")
    assert str(settings.models_dir).startswith("/home/airflow/gcs/data/")


def test_every_package_is_in_the_image_or_asked_for(made):
    wanted = {
        bundle.normal(Requirement(line).name) for line in (ROOT / "requirements.txt").read_text().splitlines()
    }
    asked = {
        bundle.normal(Requirement(line).name) for line in (made / "requirements.txt").read_text().splitlines()
    }
    assert asked == wanted - set(bundle.IN_THE_IMAGE)


def test_what_is_asked_for_does_not_contradict_what_the_image_has(made):
    """As far as it is documented, and by what the packages installed here say of themselves; no network."""
    image = dict(line.split("==") for line in bundle.preinstalled())
    assert image["apache-airflow"].startswith("3.3.")
    checked = 0
    for line in (made / "requirements.txt").read_text().splitlines():
        wanted = Requirement(line)
        assert wanted.name not in image
        assert wanted.specifier.contains(version(wanted.name))  # what is tested is what is asked for
        for need in map(Requirement, requires(wanted.name) or []):
            name = bundle.normal(need.name)
            if name in image and (need.marker is None or need.marker.evaluate({"extra": ""})):
                assert need.specifier.contains(image[name]), (
                    f"{wanted.name} wants {need}, the image has {image[name]}"
                )
                checked += 1
    assert checked


def test_the_image_has_the_airflow_that_the_project_asks_for():
    image = dict(line.split("==") for line in bundle.preinstalled())
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        wanted = Requirement(line)
        if wanted.name in image:
            assert wanted.specifier.contains(image[wanted.name]), line
    assert re.fullmatch(r"composer-3-airflow-3\.3\.\d+-build\.\d+", bundle.image())


def test_packages_that_do_not_fit_are_named(monkeypatch):
    class Done:
        returncode, stdout, stderr = 1, "", "ERROR: Cannot install a==1 and b==2"

    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: Done)
    with pytest.raises(
        SettingsError, match=r"do not fit composer-3-airflow.*\n.*Cannot install a==1 and b==2"
    ):
        bundle.check()


def test_the_script_brings_code_before_dags_and_deletes_nothing_of_others(made):
    script = (made / "deploy.sh").read_text()
    subprocess.run(["bash", "-n", str(made / "deploy.sh")], check=True)
    assert os.access(made / "deploy.sh", os.X_OK)
    assert script.index("plugins/*.py") < script.index("cp dags/*.py")
    deleting = [line for line in script.splitlines() if "--delete" in line]
    assert len(deleting) == 1
    assert '"$bucket/plugins/$folder"' in deleting[0]


def test_the_script_says_what_gcloud_is_asked(made, tmp_path):
    """Run with a gcloud that only writes down its arguments."""
    fake = tmp_path / "gcloud"
    fake.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$*" >> "$LOG"\ncase "$*" in *describe*) echo gs://bucket/dags;; esac\n'
    )
    fake.chmod(0o755)
    log = tmp_path / "log"
    env = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "LOG": str(log),
        "PROJECT": "p",
        "REGION": "r",
        "ENVIRONMENT": "e",
    }
    script = str(made / "deploy.sh")
    refused = subprocess.run([script, "--all"], env=env, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "environment.env still names PROJECT" in refused.stderr
    subprocess.run([script], env=env, check=True, capture_output=True)
    asked = log.read_text().splitlines()
    assert asked[0].startswith("composer environments describe e --project p --location r")
    assert [line.split()[-1] for line in asked[1:]] == [
        "gs://bucket/plugins/recsys",
        "gs://bucket/plugins/include",
        "gs://bucket/plugins/expectations",
        "gs://bucket/plugins/",
        "gs://bucket/dags/",
    ]


def test_the_packages_named_as_part_of_the_image_are_airflow_s_own():
    for name in bundle.IN_THE_IMAGE:
        try:
            version(name)
        except PackageNotFoundError:
            pytest.fail(f"{name} is not installed here either")
