"""The shape of the project: every room is in the layer contract, the top level is the agreed one."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest

from recsys.settings import PROJECT_ROOT


def test_every_room_is_in_the_layer_contract() -> None:
    pyproject = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = pyproject["tool"]["importlinter"]["contracts"]
    listed = set(re.findall(r"recsys\.(\w+)", " ".join(contract["layers"])))
    rooms = {
        path.stem
        for path in (PROJECT_ROOT / "recsys").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__"}
    assert rooms <= listed, "a room without a place in the layers"


def test_each_requirement_is_pinned() -> None:
    def names(file: str) -> set[str]:
        lines = (PROJECT_ROOT / file).read_text(encoding="utf-8").splitlines()
        found = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines if not line.startswith(("#", "-")))
        return {match.group().lower().replace("_", "-") for match in found if match}

    pinned = names("constraints.txt")
    files = (
        "requirements.txt",
        "requirements-dev.txt",
        "requirements-neural.txt",
        "requirements-notebooks.txt",
    )
    assert set().union(*map(names, files)) <= pinned
    assert names("requirements-notebooks.txt") - {"matplotlib"} <= names("requirements.txt")
    assert "://" not in (PROJECT_ROOT / "constraints.txt").read_text(encoding="utf-8")


@pytest.mark.skipif(
    not (PROJECT_ROOT / ".git").exists(), reason="not a git checkout: tracked files are unknown"
)
def test_nothing_large_or_generated_is_tracked() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    paths = [PROJECT_ROOT / name for name in tracked if name]
    assert [p.name for p in paths if p.exists() and p.stat().st_size > 1_000_000] == []
    assert [
        p.name for p in paths if p.suffix in {".parquet", ".npz", ".pkl", ".pickle", ".joblib", ".db"}
    ] == []
