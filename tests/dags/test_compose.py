"""docker-compose.yaml and Dockerfile, checked without Docker: shape, references, and that Airflow knows every setting."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from recsys.jobs.airflow_local import COMPONENTS, LocalAirflow
from recsys.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICE_KEYS = {
    "build",
    "image",
    "restart",
    "user",
    "environment",
    "volumes",
    "depends_on",
    "command",
    "ports",
    "healthcheck",
}


def test_every_airflow_component_is_a_service():
    assert set(COMPOSE["services"]) == {"postgres", "migrate", *COMPONENTS}
    for name in COMPONENTS:
        assert COMPOSE["services"][name]["command"] == [name]


def test_services_have_known_keys_and_refer_to_what_exists():
    assert set(COMPOSE) == {"name", "x-airflow", "services", "volumes"}
    for service in COMPOSE["services"].values():
        assert set(service) <= SERVICE_KEYS
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
        for volume in service["volumes"]:
            source = re.sub(r"\$\{[A-Z_]+:-(\w+)\}", r"\1", volume).split(":")[0]
            assert source in COMPOSE["volumes"]


def test_what_is_published_is_for_this_machine_only():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("source", ["docker-compose.yaml", "Dockerfile", "recsys airflow"])
def test_airflow_and_recsys_know_every_setting(source, tmp_path, monkeypatch):
    from airflow.configuration import conf

    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    texts = {
        "docker-compose.yaml": " ".join(COMPOSE["services"]["scheduler"]["environment"]),
        "Dockerfile": DOCKERFILE,
        "recsys airflow": " ".join(set(LocalAirflow(Settings.load({})).env)),
    }
    names = set(re.findall(r"\bAIRFLOW__[A-Z_]+|\bRECSYS_[A-Z_]+", texts[source]))
    assert names
    settings = {f"RECSYS_{field.name.upper()}" for field in fields(Settings)}
    for name in names:
        if name.startswith("RECSYS_"):
            assert name in settings
        else:
            section, option = name.removeprefix("AIRFLOW__").lower().split("__")
            assert option in conf.configuration_description[section]["options"], name


def test_a_zone_that_is_not_set_is_that_of_the_warehouse(tmp_path):
    given = COMPOSE["x-airflow"]["environment"]["RECSYS_TIMEZONE"]
    assert given == "${RECSYS_TIMEZONE-}"  # nothing set: the empty string
    (tmp_path / "marketplace.yaml").write_text("timezone: Europe/Paris")
    for value, zone in [("", "Europe/Paris"), ("Asia/Tokyo", "Asia/Tokyo")]:
        settings = Settings.load({"RECSYS_WAREHOUSE": str(tmp_path), "RECSYS_TIMEZONE": value})
        assert settings.timezone == zone


def test_the_services_may_run_as_the_owner_of_a_bound_folder():
    assert COMPOSE["x-airflow"]["user"] == "${AIRFLOW_UID:-50000}:0"
    assert "useradd --create-home --uid 50000 airflow" in DOCKERFILE
    writable = re.search(r"--group root --mode 2775 (.*)", DOCKERFILE)[1].split()
    volumes = [volume.rpartition(":")[2] for volume in COMPOSE["x-airflow"]["volumes"]]
    assert writable == volumes


def test_the_image_holds_every_folder_the_project_needs():
    for folder in ("recsys", "plugins", "dags", "include", "expectations"):
        assert f"COPY --chown=airflow {folder} {folder}" in DOCKERFILE
        assert (ROOT / folder).is_dir()
