"""Lay out what the bucket of a Cloud Composer environment needs, and check that its packages fit those of the image."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from recsys.errors import SettingsError
from recsys.settings import PROJECT_ROOT

COMPOSER = PROJECT_ROOT / "include" / "composer"
FOLDERS = ("recsys", "include", "expectations")
"""Under plugins/ in the bucket: there the package is on the path, and finds its folders beside itself."""
IN_THE_IMAGE = (
    "apache-airflow",
    "apache-airflow-providers-google",
    "apache-airflow-providers-standard",
    "google-cloud-bigquery",
    "google-cloud-bigquery-storage",
    "jinja2",
    "pyyaml",
)
"""Of our requirements, what Airflow with Google's provider cannot be without."""
_SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "composer", "compose", "mlflow")


def run(target: Path) -> dict[str, object]:
    """Write the bundle into ``target``, which is emptied first, with a list of its files and their SHA-256.

    Raises:
        SettingsError: ``target`` holds something else.
    """
    if target.exists() and any(target.iterdir()) and not (target / "MANIFEST").exists():
        raise SettingsError(f"{target} holds files that are no bundle; choose another folder, or empty it.")
    shutil.rmtree(target, ignore_errors=True)
    dags, plugins = target / "dags", target / "plugins"
    for folder, source in ((dags, "dags"), (plugins, "plugins")):
        folder.mkdir(parents=True)
        for file in sorted((PROJECT_ROOT / source).glob("*.py")):
            shutil.copy(file, folder)
    shutil.copy(PROJECT_ROOT / "plugins" / ".airflowignore", plugins)
    for name in FOLDERS:
        shutil.copytree(PROJECT_ROOT / name, plugins / name, ignore=_SKIPPED)
    (dags / ".airflowignore").write_text("# Every file here is a DAG; what they import is in plugins/.\n")
    (target / "requirements.txt").write_text("\n".join(requirements()) + "\n")
    for name in ("environment.env", "deploy.sh"):
        shutil.copy(COMPOSER / name, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(target)}" for file in files]
    (target / "MANIFEST").write_text("\n".join(lines) + "\n")
    size = sum(file.stat().st_size for file in files)
    return {"folder": str(target), "files": len(files), "kilobytes": round(size / 1000), "next": "deploy.sh"}


def check() -> dict[str, object]:
    """Let pip resolve the bundle's packages together with those that the image is documented to have.

    Raises:
        SettingsError: they do not fit; says what pip says.
    """
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-input"]
    wanted = [*requirements(), *preinstalled()]
    done = subprocess.run(  # noqa: S603  (our own interpreter)
        [*command, "--disable-pip-version-check", *wanted], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-20:])
        raise SettingsError(f"The packages of the bundle do not fit {image()}:\n{last}")
    would = done.stdout.strip().splitlines()[-1].removeprefix("Would install ").split()
    return {
        "image": image(),
        "documented": len(preinstalled()),
        "added": len(requirements()),
        "resolved": len(would),
    }


def requirements() -> list[str]:
    """Return the packages that Composer has to install, each with the version that the project is tested with.

    pandas, NumPy and PyArrow are in the image in a version that is not documented; they only have to be new enough.
    """
    pins = dict(_pairs((PROJECT_ROOT / "constraints.txt").read_text(), "=="))
    found = []
    for line in (PROJECT_ROOT / "requirements.txt").read_text().splitlines():
        name = normal(re.split(r"[<>=!~\[;]", line, maxsplit=1)[0])
        if name in ("numpy", "pandas", "pyarrow"):
            found.append(line)
        elif name and name not in IN_THE_IMAGE:
            found.append(f"{name}=={pins[name]}")
    return found


def preinstalled() -> list[str]:
    """Return the packages that the image is documented to have, as ``name==version``."""
    text = (COMPOSER / "preinstalled.txt").read_text()
    return [f"{name}=={version}" for name, version in _pairs(text, "==")]


def image() -> str:
    """Return the name of the Composer image that ``preinstalled`` is about."""
    found = re.search(r"^# image: (\S+?),", (COMPOSER / "preinstalled.txt").read_text(), re.MULTILINE)
    assert found
    return found[1]


def normal(name: str) -> str:
    """Write the name of a package as the index does."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _pairs(text: str, sign: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if sign in line and not line.startswith("#"):
            name, version = line.split(sign)
            yield normal(name), version.strip()
