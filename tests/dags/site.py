"""Airflow's own web server with the plugins of this checkout over a planted warehouse, and a browser to look at it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recsys.jobs.airflow_local import USER, LocalAirflow, _password
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse import open_warehouse
from tests.reports import planted

ARTEFACTS = PROJECT_ROOT / "var" / "artefacts"
"""Screenshots of the last test run."""
PAGE = "recsys-experiments/"
SECRET = "synthetic-secret-of-this-test-only-and-long-enough-for-it-0123456789"
START_SECONDS = 120


@dataclass(frozen=True)
class Answer:
    """What the server said; ``text`` of an error page too."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Site:
    """A running server: ``url`` ends with a slash; ``warehouse`` is the folder it reads."""

    url: str
    password: str
    warehouse: Path

    def get(self, path: str, token: str | None = None, method: str = "GET", **headers: str) -> Answer:
        """Ask without following anything but redirects."""
        given = headers | ({"Authorization": f"Bearer {token}"} if token else {})
        return self._send(urllib.request.Request(self.url + path, headers=given, method=method))

    def token(self) -> str:
        """Log in as a program does."""
        body = json.dumps({"username": USER, "password": self.password}).encode()
        request = urllib.request.Request(
            f"{self.url}auth/token", body, {"Content-Type": "application/json"}, method="POST"
        )
        return str(json.loads(self._send(request).text)["access_token"])

    @staticmethod
    def _send(request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read().decode())


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Site]:
    """Serve a planted warehouse: one experiment with read-outs, one that is only defined."""
    settings = planted_settings(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    extra = {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW__API_AUTH__JWT_SECRET": SECRET,
    }
    airflow = LocalAirflow(settings, port, extra)
    (airflow.home / "logs").mkdir(parents=True)
    airflow.password = _password(airflow.home / "passwords.json")
    airflow.cli("db", "migrate")
    try:
        airflow.processes["api-server"] = airflow._start("api-server")
        site = Site(f"{airflow.url}/", airflow.password, Path(settings.warehouse))
        _wait(airflow, site)
        yield site
    finally:
        for process in airflow.processes.values():  # nothing of it is kept, so nothing has to be put in order
            os.killpg(process.pid, signal.SIGKILL)
        airflow.stop()


def planted_settings(folder: Path) -> Settings:
    """A home with two definitions, and a warehouse with the read-outs of one."""
    home = folder / "home"
    (home / "include" / "experiments").mkdir(parents=True)
    shutil.copy(PROJECT_ROOT / "include" / "metrics.yaml", home / "include")
    soon = {"id": "planted_soon", "salt": "planted_2", "start": "2026-03-01", "end": None, "design": None}
    for content in (planted.CONTENT, planted.CONTENT | soon):
        path = home / "include" / "experiments" / f"{content['id']}.yaml"
        text = yaml.safe_dump({name: value for name, value in content.items() if value is not None})
        path.write_text(text.replace("'2026-03-01'", "2026-03-01"), encoding="utf-8")
    settings = Settings.load({}, warehouse=str(folder / "warehouse"), home=str(home))
    with open_warehouse(settings) as warehouse:
        planted.plant(warehouse)
    return settings


def _wait(airflow: LocalAirflow, site: Site) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        airflow._refuse_ended()
        with contextlib.suppress(OSError):
            if site.get("api/v2/monitor/health").status == 200:
                return
        time.sleep(0.3)
    raise TimeoutError(f"The web server is not up after {START_SECONDS} s; see {airflow.home / 'logs'}.")


def no_browser() -> str:
    """Why there is no browser to test with; empty where there is one."""
    absent = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return (
        f"{' and '.join(absent)} not installed (apt-get install chromium chromium-driver)" if absent else ""
    )


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Debian's Chromium without a screen, driven by Selenium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


def size(driver: Any, width: int, height: int = 900, *, dark: bool = False) -> None:
    """Look through a window of ``width`` CSS pixels; a narrow one is a phone."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def screenshot(driver: Any, name: str, width: int) -> Path:
    """Keep a picture of the whole page as a test artefact, and return where."""
    height = driver.execute_script("return document.documentElement.scrollHeight")
    size(driver, width, height)
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    path = ARTEFACTS / f"{name}.png"
    assert driver.save_screenshot(str(path))
    return path
