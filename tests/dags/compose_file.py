"""docker-compose.yaml and Dockerfile as data: stages of the image, variables filled in, what each service would run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yaml"
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<sign>:?[-?])(?P<word>[^}]*))?\})")


@dataclass
class Stage:
    """One ``FROM`` of a Dockerfile, with what it inherits from the stage below."""

    name: str
    base: str
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    user: str = ""
    copies: list[tuple[list[str], str]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


def stages(text: str) -> dict[str, Stage]:
    """Read a Dockerfile of FROM, RUN, COPY, ENV, USER, WORKDIR, ENTRYPOINT and CMD; anything else is refused."""
    found: dict[str, Stage] = {}
    stage = Stage("", "")
    for keyword, rest in _instructions(text):
        if keyword == "FROM":
            base, _, name = rest.split()
            stage = Stage(name, base)
            if base in found:
                below = found[base]
                stage.environment = dict(below.environment)
                stage.entrypoint, stage.command, stage.user = below.entrypoint, below.command, below.user
                stage.copies, stage.runs = list(below.copies), list(below.runs)
            found[name] = stage
        elif keyword == "ENV":
            stage.environment |= dict(word.split("=", 1) for word in shlex.split(rest))
        elif keyword == "COPY":
            *sources, target = [word for word in rest.split() if not word.startswith("--")]
            stage.copies.append((sources, target))
        elif keyword in ("ENTRYPOINT", "CMD"):
            setattr(stage, "entrypoint" if keyword == "ENTRYPOINT" else "command", json.loads(rest))
        elif keyword == "USER":
            stage.user = rest
        elif keyword == "RUN":
            stage.runs.append(rest)
        else:
            assert keyword == "WORKDIR", f"unknown instruction {keyword}"
    return found


def _instructions(text: str) -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    lines = [line.strip() for line in joined.splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], " ".join(line.split(maxsplit=1)[1].split())) for line in lines]


def fill(value: Any, variables: Mapping[str, str]) -> Any:
    """Fill in ``${NAME}``, ``${NAME:-default}``, ``${NAME-default}`` and ``${NAME:?message}`` as Compose does.

    Raises:
        KeyError: a variable that has to be set is not; the message is the file's own.
    """
    if isinstance(value, dict):
        return {key: fill(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, variables) for item in value]
    return _VARIABLE.sub(lambda found: _one(found, variables), value) if isinstance(value, str) else value


def _one(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found["dollar"]:
        return "$"
    given = variables.get(found["name"])
    sign = found["sign"] or ""
    if given or (given is not None and not sign.startswith(":")):
        return given
    if sign.endswith("?"):
        raise KeyError(f"{found['name']}: {found['word']}")
    return found["word"] or ""


def compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """Read docker-compose.yaml with its variables filled in."""
    filled: dict[str, Any] = fill(yaml.safe_load(COMPOSE_FILE.read_text()), variables)
    return filled


def read_env(file: Path) -> dict[str, str]:
    """Read a file of NAME=value lines."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a service: its image's own, then what the file says."""
    image = _stage(service)
    return (image.environment if image else {}) | {
        name: str(value) for name, value in service.get("environment", {}).items()
    }


def argv(service: Mapping[str, Any]) -> list[str]:
    """Return what the service runs: entrypoint and command, of the file or else of its image."""
    image = _stage(service)
    entrypoint = service.get("entrypoint", image.entrypoint if image else [])
    return [*entrypoint, *service.get("command", [])]


def _stage(service: Mapping[str, Any]) -> Stage | None:
    if "build" not in service:
        return None
    return stages((ROOT / "Dockerfile").read_text())[service["build"]["target"]]
