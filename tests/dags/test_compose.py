"""docker-compose.yaml, Dockerfile and .env, checked without Docker: schema, references, secrets, settings."""

from __future__ import annotations

import importlib.util
import re
import stat
import subprocess
import sys
from dataclasses import fields

import pytest
import yaml

from recsys.jobs.airflow_local import COMPONENTS, LocalAirflow
from recsys.settings import OTHERS, Settings
from tests.dags.compose_file import (
    COMPOSE_FILE,
    ROOT,
    argv,
    compose,
    environment,
    fill,
    read_env,
    stages,
)

COMPOSE = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = stages(DOCKERFILE)
AIRFLOW = [name for name, service in SERVICES.items() if service.get("image") == "recsys-airflow"]


@pytest.fixture(scope="module")
def env():
    spec = importlib.util.spec_from_file_location("compose_env", ROOT / "include" / "compose" / "env.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def filled(env, tmp_path):
    env.write(tmp_path / ".env")
    return compose(read_env(tmp_path / ".env"))


def validate(file):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_file_is_what_the_compose_specification_asks_for():
    done = validate(COMPOSE_FILE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("  healthcheck:", "  healthchecks:"),
        ("condition: service_healthy", "condition: healthy"),
        ("image: ", "imag: "),
    ],
)
def test_what_the_compose_specification_lacks_is_refused(right, wrong, tmp_path):
    text = COMPOSE_FILE.read_text()
    assert right in text
    broken = tmp_path / "docker-compose.yaml"
    broken.write_text(text.replace(right, wrong))
    assert validate(broken).returncode != 0


def test_every_process_is_a_service():
    assert set(SERVICES) == {"postgres", "redis", "mlflow", "init", *COMPONENTS}
    for name in COMPONENTS:
        assert argv(SERVICES[name]) == ["airflow", name]  # as `make up` starts it


def test_services_refer_to_what_exists():
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed]
        for volume in service["volumes"]:
            source = re.sub(r"\$\{[A-Z_]+:-(\w+)\}", r"\1", volume).split(":")[0]
            assert source in COMPOSE["volumes"]
        if "build" in service:
            assert service["build"]["target"] in STAGES
            assert service["image"] == f"recsys-{service['build']['target']}"


def test_every_service_that_stays_has_a_health_check():
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) == (name != "init"), name


def test_what_is_published_is_for_this_machine_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("source", ["docker-compose.yaml", "Dockerfile", "recsys airflow"])
def test_airflow_and_recsys_know_every_setting(source, tmp_path, monkeypatch):
    from airflow.configuration import conf

    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    texts = {
        "docker-compose.yaml": " ".join(SERVICES["scheduler"]["environment"]),
        "Dockerfile": DOCKERFILE,
        "recsys airflow": " ".join(set(LocalAirflow(Settings.load({})).env)),
    }
    names = set(re.findall(r"\bAIRFLOW__[A-Z_]+|\bRECSYS_[A-Z_]+", texts[source])) - OTHERS
    assert names
    settings = {f"RECSYS_{field.name.upper()}" for field in fields(Settings)}
    for name in names:
        if name.startswith("RECSYS_"):
            assert name in settings
        else:
            section, option = name.removeprefix("AIRFLOW__").lower().split("__")
            assert option in conf.configuration_description[section]["options"], name


def test_a_zone_that_is_not_set_is_that_of_the_warehouse(filled, tmp_path):
    assert filled["services"]["scheduler"]["environment"]["RECSYS_TIMEZONE"] == ""
    (tmp_path / "marketplace.yaml").write_text("timezone: Europe/Paris")
    for value, zone in [("", "Europe/Paris"), ("Asia/Tokyo", "Asia/Tokyo")]:
        settings = Settings.load({"RECSYS_WAREHOUSE": str(tmp_path), "RECSYS_TIMEZONE": value})
        assert settings.timezone == zone


def test_no_secret_is_in_the_file_and_none_has_a_default(env):
    text = COMPOSE_FILE.read_text()
    for name in env.SECRETS:
        uses = re.findall(rf"\$\{{{name}[^}}]*\}}", text)
        assert uses, f"{name} is made and not used"
        assert set(uses) == {f"${{{name}:?run make env}}"}
    with pytest.raises(KeyError, match="run make env"):
        compose({})
    secret = re.compile(r"(?i)(password|secret|key|token)")
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if secret.search(name) and not name.endswith("_FILE"):
                assert str(value).startswith("${"), f"{name} is written in the file"


def test_secrets_are_made_once_and_for_the_owner_only(env, tmp_path):
    file = tmp_path / ".env"
    assert env.write(file) == list(env.SECRETS)
    first = read_env(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(set(first.values())) == len(env.SECRETS)
    assert all(len(value) >= 32 and re.fullmatch(r"[\w=-]+", value) for value in first.values())
    assert env.write(file) == []
    assert read_env(file) == first
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_a_secret_that_is_there_is_kept_and_others_are_added(env, tmp_path):
    file = tmp_path / ".env"
    file.write_text("AIRFLOW_PORT=8081\nPOSTGRES_PASSWORD=synthetic")
    file.chmod(0o644)
    assert "POSTGRES_PASSWORD" not in env.write(file)
    assert file.read_text().startswith("AIRFLOW_PORT=8081\nPOSTGRES_PASSWORD=synthetic\nREDIS_PASSWORD=")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_fernet_key_is_one(env):
    from cryptography.fernet import Fernet

    Fernet(env.SECRETS["AIRFLOW_FERNET_KEY"]())


def test_the_secrets_stay_out_of_commits_and_images():
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    assert {".env*", ".git"} <= set((ROOT / ".dockerignore").read_text().splitlines())
    for stage in STAGES.values():
        assert "." not in [source for sources, _ in stage.copies for source in sources]
        assert not [name for name in stage.environment if re.search("PASSWORD|SECRET|KEY|TOKEN", name)]


def test_all_airflow_services_share_their_secrets(filled):
    secret = ("FERNET_KEY", "SECRET_KEY", "JWT_SECRET", "SQL_ALCHEMY_CONN")
    seen = {
        tuple(value for name, value in environment(filled["services"][name]).items() if name.endswith(secret))
        for name in AIRFLOW
    }
    (values,) = seen
    assert len(values) == 4


def test_airflow_is_told_where_mlflow_is(filled):
    assert environment(filled["services"]["scheduler"])["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    allowed = next(word for word in filled["services"]["mlflow"]["command"] if "allowed-hosts" in word)
    assert "mlflow:5000" in allowed


def test_variables_are_filled_in_as_compose_does():
    variables = {"SET": "x", "EMPTY": ""}
    text = "${SET} ${SET:-y} ${EMPTY-y}| ${EMPTY:-y} ${NONE-y} ${NONE:-y} $$HOME"
    assert fill(text, variables) == "x x | y y y $HOME"
    with pytest.raises(KeyError, match="NONE: say so"):
        fill({"a": ["${NONE:?say so}"]}, variables)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_what_an_image_copies_is_there(name):
    for sources, target in STAGES[name].copies:
        for source in sources:
            assert (ROOT / source).exists(), source
            assert target in ("./", source)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_an_image_runs_as_a_number_that_is_not_root(name):
    assert STAGES[name].user == "50000:0"
    assert "useradd --create-home --uid 50000 --gid 0 recsys" in " ".join(STAGES[name].runs)


@pytest.mark.parametrize(
    ("name", "program"), [("job", "recsys"), ("airflow", "airflow"), ("mlflow", "mlflow")]
)
def test_an_image_runs_its_program(name, program):
    assert STAGES[name].entrypoint == [program]


@pytest.mark.parametrize("name", [*AIRFLOW, "mlflow"])
def test_a_service_may_write_to_its_volumes(name):
    service = SERVICES[name]
    made = " ".join(STAGES[service["build"]["target"]].runs)
    for volume in service["volumes"]:
        folder = volume.rpartition(":")[2]
        assert re.search(rf"install --directory --owner recsys --group root --mode 2775 {folder}\b", made), (
            folder
        )
    if name != "mlflow":
        assert service["user"] == "${AIRFLOW_UID:-50000}:0"


def test_the_images_hold_every_folder_the_project_needs():
    def held(name):
        return {source for sources, _ in STAGES[name].copies for source in sources}

    assert {"recsys", "include", "expectations"} <= held("job")
    assert {"plugins", "dags"} <= held("airflow") - held("job")


def test_the_image_for_heavy_jobs_has_no_airflow_and_needs_none():
    """``recsys train`` and ``recsys score`` import nothing of Airflow, which that image leaves out."""
    assert "grep --invert-match '^apache-airflow' requirements.txt" in " ".join(STAGES["job"].runs)
    program = (
        "import sys; sys.modules['airflow'] = None\n"
        "import recsys.cli, recsys.jobs.train, recsys.jobs.score, recsys.jobs.check, recsys.jobs.backtest"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
