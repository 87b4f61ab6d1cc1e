"""Run tasks the way a scheduler with a few workers does, and measure what each took.

A task is one call in a fresh Python process, whose start and imports count, as in an Airflow worker. It starts as soon
as what it needs is done and a slot is free; of several ready ones that which most others wait for goes first, as
Airflow's default weight rule has it.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

SAMPLE_SECONDS = 0.05
MIB = 1024 * 1024


@dataclass(frozen=True)
class Task:
    """``call(*args)`` returns the rows it wrote. ``needs`` names tasks of the same run."""

    name: str
    call: Callable[..., int]
    args: tuple[Any, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What one process took: wall seconds from start to answer, CPU seconds, rows written, peak of resident MiB."""

    name: str
    seconds: float
    cpu_seconds: float
    rows: int
    peak_mib: float

    @property
    def rows_per_second(self) -> float:
        """Rows written per wall second."""
        return self.rows / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Stage:
    """A run of tasks: wall seconds from first to last, and the peak of all its processes together.

    ``others`` is how many cores everything else on the machine kept busy meanwhile, on average: near 0 when the figures
    hold for a machine of its own.
    """

    name: str
    seconds: float
    peak_mib: float
    others: float
    tasks: list[Measured] = field(default_factory=list)


def run_stage(name: str, tasks: Sequence[Task], slots: int, progress: Callable[[str], None]) -> Stage:
    """Run ``tasks``, at most ``slots`` at a time.

    Raises:
        RuntimeError: a task failed; the others are stopped. Holds the task's traceback.
    """
    context = multiprocessing.get_context("spawn")
    weight = {task.name: _waiting(task.name, tasks) for task in tasks}
    waiting = sorted(tasks, key=lambda task: (-weight[task.name], task.name))
    running: dict[Connection, tuple[Task, multiprocessing.process.BaseProcess, float]] = {}
    done: dict[str, Measured] = {}
    started, busy, peak = time.perf_counter(), _busy(), 0.0
    try:
        while waiting or running:
            for task in [t for t in waiting if set(t.needs) <= set(done)][: slots - len(running)]:
                waiting.remove(task)
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(sender, task), name=task.name)
                running[receiver] = (task, process, time.perf_counter())
                process.start()
                sender.close()
            peak = max(peak, sum(_resident(process.pid) for _, process, _ in running.values()))
            for receiver in wait(list(running), timeout=SAMPLE_SECONDS):
                done_task = _result(receiver, *running.pop(receiver))  # type: ignore[arg-type]
                done[done_task.name] = done_task
                progress(_line(done_task))
    finally:
        for _, process, _ in running.values():
            process.terminate()
    seconds = time.perf_counter() - started
    others = _busy() - busy - sum(task.cpu_seconds for task in done.values())
    return Stage(name, seconds, peak, max(0.0, others / seconds), [done[task.name] for task in tasks])


def _waiting(name: str, tasks: Sequence[Task]) -> int:
    """How many tasks wait for ``name``, directly or through others."""
    found = {name}
    while more := {task.name for task in tasks if found & set(task.needs)} - found:
        found |= more
    return len(found) - 1


def _work(sender: Connection, task: Task) -> None:
    try:
        rows = int(task.call(*task.args))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        sender.send((rows, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))
    except Exception:
        sender.send(traceback.format_exc())


def _result(
    receiver: Connection, task: Task, process: multiprocessing.process.BaseProcess, started: float
) -> Measured:
    try:
        answer = receiver.recv()
    except EOFError:
        answer = "the process ended without an answer (killed for memory, perhaps)"
    seconds = time.perf_counter() - started
    process.join()
    if not isinstance(answer, tuple):
        raise RuntimeError(f"{task.name} failed: {answer}")
    rows, cpu_seconds, peak = answer
    return Measured(task.name, seconds, cpu_seconds, rows, peak)


def _busy() -> float:
    """CPU seconds that all processes of the machine have used."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _resident(pid: int | None) -> float:
    try:
        return psutil.Process(pid).memory_info().rss / MIB
    except psutil.Error:
        return 0.0


def _line(task: Measured) -> str:
    times = f"{task.seconds:8.2f} s {task.cpu_seconds:8.2f} s CPU"
    return f"{task.name:<34}{times} {task.rows:>12,} rows {task.peak_mib:>8,.0f} MiB"


def describe() -> dict[str, object]:
    """Describe this machine without naming it: CPU, cores, memory, load, and the versions that matter."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
    } | {name: version(name) for name in ("duckdb", "pandas", "numpy", "scikit-learn", "implicit")}


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
