"""Run the services of docker-compose.yaml as processes of this machine, with the file's own commands and environment.

What a container would change is changed back, and nothing else: names of services become 127.0.0.1, ports free ones,
folders of volumes and of the image folders of this machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from recsys.jobs.airflow_local import _end_with_parent
from tests.dags.compose_file import ROOT, argv, compose, environment, read_env

PORTS = ("5432", "6379", "5000", "8080")
MLFLOW = ROOT / ".venv-mlflow" / "bin"
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
START_SECONDS = 240
STOP_SECONDS = 20


def missing() -> str | None:
    """Say what of the machine is missing to run the file's services, or None."""
    if not POSTGRES:
        return "PostgreSQL is not installed: apt-get install postgresql"
    if not shutil.which("redis-server"):
        return "Redis is not installed: apt-get install redis-server"
    return None


class Services:
    """All services of the file as a context manager: healthy inside it, gone after it.

    ``left_out`` says which could not be started here and why. ``extra`` is added to the environment of each.
    """

    def __init__(self, folder: Path, env_file: Path, extra: Mapping[str, str]) -> None:
        self.folder = folder
        self.ports = dict(zip(PORTS, _free_ports(len(PORTS) + 2), strict=False))
        log_ports = _free_ports(2)
        self.extra = dict(extra) | {
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": log_ports[0],
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": log_ports[1],
        }
        self.secrets = read_env(env_file)
        self.services: dict[str, dict[str, Any]] = compose(
            self.secrets | {"AIRFLOW_PORT": self.ports["8080"]}
        )["services"]
        self.left_out: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.done: set[str] = set()
        self.healthy: dict[str, float] = {}
        self.url = f"http://127.0.0.1:{self.ports['8080']}"

    def __enter__(self) -> Self:
        if not (MLFLOW / "mlflow").exists():
            self.left_out["mlflow"] = "MLflow is not installed: make mlflow"
        try:
            self._start_all()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def environment(self, name: str) -> dict[str, str]:
        """Environment of a service on this machine: that of its image and of the file, and no other."""
        programs = [str(MLFLOW)] if name == "mlflow" else [str(Path(sys.executable).parent)]
        path = [*programs, *map(str, POSTGRES[-1:]), "/usr/local/bin", "/usr/bin", "/bin"]
        own = {key: self.here(value) for key, value in environment(self.services[name]).items()}
        return {"PATH": ":".join(path), "LANG": "C.UTF-8"} | own | self.extra

    def here(self, text: str) -> str:
        """Write a text of the file as it holds on this machine."""
        text = re.sub(r"\b(postgres|redis|mlflow|api-server)(?=:\d)", "127.0.0.1", text)
        text = re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: self.ports[found[0]], text)
        text = text.replace("0.0.0.0", "127.0.0.1")
        text = re.sub(r"(?<!\w)/(?=(var/lib|data|opt/airflow)\b)", f"{self.folder}/", text)
        return text.replace("/opt/recsys", str(ROOT))

    def check(self, name: str) -> bool:
        """Run the health check of a service as the file says."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        command = [self.here(word) for word in words]
        if kind == "CMD-SHELL":
            command = ["sh", "-c", *command]
        env = self.environment(name)
        done = subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)
        return done.returncode == 0

    def log(self, name: str) -> str:
        """Return the last lines a service has printed."""
        file = self.folder / f"{name}.log"
        return "\n".join(file.read_text(errors="replace").splitlines()[-25:]) if file.exists() else ""

    def stop(self) -> None:
        """End every process group, those that store things last."""
        stores = [name for name in ("redis", "postgres") if name in self.processes]
        for names in ([name for name in self.processes if name not in stores], stores):
            for name in names:  # SIGINT: PostgreSQL ends the sessions that are open
                _signal(self.processes[name], signal.SIGINT if name == "postgres" else signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            for name in names:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.processes[name].wait(max(0.1, deadline - time.monotonic()))
                _signal(self.processes[name], signal.SIGKILL)
                self.processes.pop(name).wait()

    def alive(self) -> list[str]:
        """Return the processes of this machine that work in the folder of the services, whoever started them."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = [*process.cmdline(), *process.environ().values()]
                if process.pid != os.getpid() and any(str(self.folder) in word for word in words):
                    found.append(" ".join(process.cmdline()))
        return found

    def _start_all(self) -> None:
        """Start each service once those it depends on are as the file asks; then wait until all are healthy."""
        deadline = time.monotonic() + START_SECONDS
        wanted = [name for name in self.services if name not in self.left_out]
        while len(self.healthy) + len(self.done) < len(wanted):
            for name in wanted:
                if name not in self.processes and name not in self.done and self._may_start(name):
                    self._start(name)
            for name in [name for name in self.processes if name not in self.healthy]:
                self._look(name)
            assert time.monotonic() < deadline, (
                f"not healthy: {set(wanted) - set(self.healthy) - self.done}\n"
                + "\n".join(f"--- {name}\n{self.log(name)}" for name in wanted if name not in self.healthy)
            )
            time.sleep(0.5)

    def _may_start(self, name: str) -> bool:
        for needed, how in self.services[name].get("depends_on", {}).items():
            if how["condition"] == "service_healthy" and needed not in self.healthy:
                return False
            if how["condition"] == "service_completed_successfully" and needed not in self.done:
                return False
        return True

    def _look(self, name: str) -> None:
        """See whether a started service has ended, or become healthy."""
        code = self.processes[name].poll()
        if code is not None:
            assert code == 0 and "healthcheck" not in self.services[name], (
                f"{name} ended ({code}):\n{self.log(name)}"
            )
            del self.processes[name]
            self.done.add(name)
        elif "healthcheck" in self.services[name] and self.check(name):
            self.healthy[name] = time.monotonic()

    def _start(self, name: str) -> None:
        service = self.services[name]
        for volume in service.get("volumes", []):
            Path(self.here(volume.rpartition(":")[2])).mkdir(parents=True, exist_ok=True)
        if name == "postgres":
            command, user = self._prepare_postgres(service), _postgres_user()
        else:
            command, user = [self.here(word) for word in argv(service)], None
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env=self.environment(name),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  (no threads here)
                **_as(user),
            )

    def _prepare_postgres(self, service: Mapping[str, Any]) -> list[str]:
        """Do what the image of PostgreSQL does with its environment, and return its command."""
        given, user = service["environment"], _postgres_user()
        data = Path(self.here(service["volumes"][0].rpartition(":")[2]))
        password = self.folder / "postgres.password"
        password.write_text(given["POSTGRES_PASSWORD"])
        if user:
            for folder in (self.folder, *self.folder.parents):
                if folder.owner() == "root" and folder.stat().st_mode & 0o001 == 0:
                    folder.chmod(folder.stat().st_mode | 0o011)
            shutil.chown(password, user)
            shutil.chown(data, user)
        where = ["-D", str(data), f"--username={given['POSTGRES_USER']}", f"--pwfile={password}"]
        quick = ["--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        self._once([str(POSTGRES[-1] / "initdb"), *where, *quick], user)
        single = [str(POSTGRES[-1] / "postgres"), "--single", "-D", str(data), "postgres"]
        self._once(single, user, f'CREATE DATABASE "{given["POSTGRES_DB"]}";')
        password.unlink()
        listen = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        return [str(POSTGRES[-1] / "postgres"), "-D", str(data), "-p", self.ports["5432"], *listen]

    def _once(self, command: list[str], user: str | None, text: str = "") -> None:
        done = subprocess.run(
            command, input=text, cwd="/", capture_output=True, text=True, check=False, **_as(user)
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _postgres_user() -> str | None:
    """PostgreSQL refuses to run as root; Debian's package makes a user for it."""
    return "postgres" if os.geteuid() == 0 else None


def _as(user: str | None) -> dict[str, Any]:
    return {"user": user, "group": user, "extra_groups": []} if user else {}


def _free_ports(count: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
