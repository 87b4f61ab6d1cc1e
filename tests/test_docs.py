"""The documents keep up with the code: commands, settings, links, folders."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

from recsys.cli import app
from recsys.settings import PROJECT_ROOT, Settings

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").rglob("*.md"))]


def commands(group: Any = None, prefix: str = "") -> dict[str, Any]:
    """Every command by what is typed after `recsys`; of a group its commands, not the group."""
    found: dict[str, Any] = {}
    for name, command in (group or typer.main.get_command(app)).commands.items():
        nested = hasattr(command, "commands")
        found |= commands(command, f"{prefix}{name} ") if nested else {prefix + name: command}
    return found


def test_the_readme_lists_every_command_in_the_order_of_the_help() -> None:
    assert re.findall(r"^\| `recsys ([a-z -]+)` \|", README, re.MULTILINE) == list(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_explains_itself(name: str) -> None:
    command = commands()[name]
    assert command.help and len(command.help) > 30
    for parameter in command.params:
        if parameter.name != "help":
            assert getattr(parameter, "help", None), f"recsys {name}: {parameter.name} has no help"


def test_the_readme_lists_every_setting_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `RECSYS_([A-Z_]+)` \| (?:`([^`]*)`|none) \|", README, re.MULTILINE))
    expected = {f.name.upper(): str(f.default) for f in fields(Settings)}
    expected |= {"WAREHOUSE": "var/warehouse", "HOME": "."}
    assert listed == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_folder_the_readme_names_exists() -> None:
    for name in re.findall(r"^\| `([a-z_]+(?:/[a-z_]+)*)/`", README, re.MULTILINE):
        assert (PROJECT_ROOT / name).exists(), name
