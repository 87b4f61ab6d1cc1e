"""Print what was measured, stage by stage, and how it grew from a tenth of the size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGETS = {"generate": 600, "features": 60, "score": 300}
"""Seconds each stage may take at full size on two cores; memory 8 GiB."""
LEAST_SHOWN = 0.3

Results = dict[str, Any]


def print_results(root: Path) -> None:
    """Print the tables of every size that was measured, in Markdown."""
    found = {size: _read(root / f"{size}.json") for size in ("tenth", "full")}
    full, tenth = found["full"], found["tenth"]
    shown = full or tenth
    if not shown:
        return
    print("\nMachine: " + ", ".join(f"{key} {value}" for key, value in shown["machine"].items()))
    print(f"Date: {shown['date']}\n")
    print("\n".join(summary(full, tenth)))
    for stage in ("features", "train", "score", "check", "compare"):
        print("\n".join(["", f"{stage}:", "", *details(stage, full, tenth)]))


def summary(full: Results | None, tenth: Results | None) -> list[str]:
    """One line per stage."""
    lines = [
        "| stage | seconds | limit | CPU seconds | rows written | rows/s | peak memory | cores busy with other work | "
        "1/10: seconds | CPU against 1/10 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in (full or tenth or {"stages": {}})["stages"]:
        big, small = _stage(full, name), _stage(tenth, name)
        shown = big or small
        if shown:
            rows, cpu = sum(task["rows"] for task in shown["tasks"]), _cpu(shown)
            lines.append(
                f"| {name} | {shown['seconds']:.1f} | {TARGETS.get(name, '')} | {cpu:.0f} | {rows:,} | "
                f"{rows / shown['seconds']:,.0f} | {shown['peak_mib'] / 1024:.2f} GiB | {shown['others']:.1f} | "
                f"{_seconds(small)} | {_growth(big, small)} |"
            )
    return lines


def details(name: str, full: Results | None, tenth: Results | None) -> list[str]:
    """One line per task of a stage that took long enough to matter."""
    big, small = _stage(full, name), _stage(tenth, name)
    shown = big or small
    if not shown:
        return ["not measured"]
    lines = [
        "| task | seconds | CPU seconds | rows written | rows/s | peak memory | 1/10: seconds | CPU against 1/10 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    before = {task["name"]: task for task in (small or {"tasks": []})["tasks"]}
    for task in sorted(shown["tasks"], key=lambda task: -task["seconds"]):
        if task["seconds"] >= LEAST_SHOWN:
            old = before.get(task["name"])
            lines.append(
                f"| {task['name']} | {task['seconds']:.2f} | {task['cpu_seconds']:.2f} | {task['rows']:,} | "
                f"{task['rows'] / task['seconds']:,.0f} | {task['peak_mib']:,.0f} MiB | {_seconds(old)} | "
                f"{_growth(task if big else None, old)} |"
            )
    return lines


def _read(path: Path) -> Results | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _stage(results: Results | None, name: str) -> Results | None:
    return results["stages"].get(name) if results else None


def _seconds(measured: Results | None) -> str:
    return f"{measured['seconds']:.2f}" if measured else ""


def _cpu(measured: Results) -> float:
    """CPU seconds of a stage or of a task."""
    if "tasks" in measured:
        return float(sum(task["cpu_seconds"] for task in measured["tasks"]))
    return float(measured["cpu_seconds"])


def _growth(big: Results | None, small: Results | None) -> str:
    return f"{_cpu(big) / max(_cpu(small), 1e-9):.1f}x" if big and small else ""
