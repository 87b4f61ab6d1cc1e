"""Starting Airflow on this machine: what can be known without starting it."""

import socket
import stat

import pytest

from recsys.errors import DagError, SettingsError
from recsys.jobs.airflow_local import COMPONENTS, LocalAirflow, _password
from recsys.jobs.airflow_run import environment
from recsys.settings import Settings


def test_the_password_is_made_once_for_this_account_only(tmp_path):
    file = tmp_path / "passwords.json"
    password = _password(file)
    assert len(password) >= 12
    assert _password(file) == password
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=f"Port {port} is taken"),
            LocalAirflow(Settings.load({}), port),
        ):
            pass


def test_airflow_sees_the_warehouse_wherever_it_is_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert environment(Settings.load({}, warehouse="mine"))["RECSYS_WAREHOUSE"] == str(tmp_path / "mine")
    remote = Settings.load({}, warehouse="bigquery://project/prefix_")
    assert environment(remote)["RECSYS_WAREHOUSE"] == "bigquery://project/prefix_"


def test_a_process_that_ends_by_itself_is_reported_with_its_log(tmp_path):
    airflow = LocalAirflow(
        Settings.load({}), extra={"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    )
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; print('no such table'); sys.stdout.flush(); import os; os._exit(3)"
    )
    (tmp_path / "logs").mkdir()
    airflow.processes["scheduler"] = airflow._start(COMPONENTS[0])
    airflow.processes["scheduler"].wait(30)
    with pytest.raises(DagError, match=r"(?s)scheduler ended by itself \(3\).*no such table"):
        airflow.watch()
    airflow.stop()


def test_a_failed_command_shows_its_last_lines(tmp_path):
    airflow = LocalAirflow(Settings.load({}), extra={"AIRFLOW_HOME": str(tmp_path)})
    with pytest.raises(DagError, match="invalid choice: 'nonsense'"):
        airflow.cli("nonsense")
