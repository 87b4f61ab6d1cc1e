"""Airflow on this machine: scheduler, DAG processor, triggerer and UI as four processes that stop together."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console

from recsys.errors import DagError, SettingsError
from recsys.jobs.airflow_run import environment
from recsys.settings import Settings

COMPONENTS = ("scheduler", "dag-processor", "triggerer", "api-server")
HEALTH_KEYS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
START_SECONDS = 120
STOP_SECONDS = 20
USER = "admin"
PR_SET_PDEATHSIG = 1


def run(settings: Settings, port: int = 8080, console: Console | None = None) -> None:
    """Start Airflow over the warehouse of ``settings``, say where to look, and stay until Ctrl-C.

    Raises:
        SettingsError: the port is taken.
        DagError: a process did not start, or ended by itself; names its log.
    """
    console = console or Console()
    console.print("Starting Airflow; about half a minute the first time.")
    signal.signal(signal.SIGTERM, _interrupt)
    with LocalAirflow(settings, port) as airflow:
        for line in (
            f"Airflow: {airflow.url}",
            f"Log in:  {USER} / {airflow.password}",
            f"Logs:    {airflow.home / 'logs'}",
            "DAGs start paused. Switch them on in the UI, then choose Trigger > Backfill for the days you want.",
            'From another shell: eval "$(.venv/bin/recsys airflow --print-env)", then .venv/bin/airflow ...',
            "Ctrl-C stops everything.",
        ):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        try:
            airflow.watch()
        except KeyboardInterrupt:
            console.print("Stopping.")


class LocalAirflow:
    """The four processes, as a context manager: healthy inside it, gone after it, however it is left.

    SQLite and LocalExecutor, which Airflow 3 allows together; the UI listens on this machine only. ``settings``
    says which warehouse the tasks see; ``extra`` environment variables win over everything.
    """

    def __init__(self, settings: Settings, port: int = 8080, extra: dict[str, str] | None = None) -> None:
        self.url = f"http://localhost:{port}"
        self.port = port
        outer = os.environ | environment(settings) | (extra or {})
        self.home = Path(outer["AIRFLOW_HOME"])
        self.env = outer | self._own_environment() | (extra or {})
        self.password = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        _refuse_taken_port(self.port)
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.home / "logs").mkdir(exist_ok=True)
        self.password = _password(self.home / "passwords.json")
        try:
            self.cli("db", "migrate")
            for name in COMPONENTS:
                self.processes[name] = self._start(name)
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def cli(self, *arguments: str) -> str:
        """Run ``airflow ARGUMENTS`` in the same environment and return what it printed.

        Raises:
            DagError: it failed; the message ends with its last lines.
        """
        done = subprocess.run(  # noqa: S603  (our own interpreter)
            [sys.executable, "-m", "airflow", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise DagError(f"airflow {' '.join(arguments)} failed:\n{last}")
        return done.stdout

    def watch(self) -> None:
        """Stay as long as all four processes live."""
        while True:
            self._refuse_ended()
            time.sleep(1)

    def stop(self) -> None:
        """Ask each process and its children to end, and kill what has not after a while."""
        for process in self.processes.values():
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            _signal_group(process, signal.SIGKILL)
            process.wait()
        self.processes.clear()

    def _own_environment(self) -> dict[str, str]:
        return {
            # SQLite has one writer; on a busy machine five seconds, the default, are not enough to get its turn.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
            or f"sqlite:///{self.home.absolute()}/airflow.db?timeout=60",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(max(2, os.cpu_count() or 2)),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__API__HOST": "localhost",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.port + 1),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(self.port + 2),
        }

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        with self._log(name).open("wb") as log:
            return subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "airflow", name],
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  (no threads here)
            )

    def _log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        health: dict[str, Any] = {}
        while time.monotonic() < deadline:
            self._refuse_ended()
            health = _health(self.url)
            if all(health.get(key, {}).get("status") == "healthy" for key in HEALTH_KEYS):
                return
            time.sleep(0.5)
        raise DagError(
            f"Airflow is not healthy after {START_SECONDS} s: {health}. Logs: {self.home / 'logs'}."
        )

    def _refuse_ended(self) -> None:
        for name, process in self.processes.items():
            if process.poll() is not None:
                last = "\n".join(self._log(name).read_text(errors="replace").splitlines()[-15:])
                raise DagError(
                    f"The {name} ended by itself ({process.returncode}); {self._log(name)} ends with:\n{last}"
                )


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SettingsError(
                f"Port {port} is taken; is Airflow running already? Choose another: --port 8090."
            ) from error


def _password(path: Path) -> str:
    """Read the password of the one user, made at the first start; the file is for this account's eyes only."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({USER: secrets.token_urlsafe(12)}, file)
    return str(json.loads(path.read_text())[USER])


def _health(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310
            return dict(json.load(answer))
    except (OSError, ValueError):
        return {}


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _end_with_parent() -> None:
    """Ask Linux to end this process when the one that started it is killed and cannot do so itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
