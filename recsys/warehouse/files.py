"""Replace a file in one step, so that a reader sees the old bytes or the new ones and a kill leaves the old."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from recsys.errors import WarehouseError

_ASIDE = re.compile(r"^\.(?P<name>.+)\.(?P<owner>[^.~]+~\d+~\d+)\.[0-9a-f]{8}\.tmp$")


def owner() -> str:
    """Name this process: host, pid and start time, so that a pid used again is told apart."""
    return f"{_host()}~{os.getpid()}~{_started(os.getpid()) or 0}"


def is_gone(name: str) -> bool:
    """Tell whether the process called ``name`` is known to have ended. One of another host never is."""
    host, pid, started = name.split("~")
    if host != _host():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return _started(int(pid)) not in (int(started), None)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; on leaving, sync it to disk and move it over ``path``.

    When the body raises, what was written aside is removed and ``path`` stays as it was. What killed writers of the
    same file left behind is removed too.

    Raises:
        WarehouseError: when the disk refuses (full, read-only); names the path and the remedy.
    """
    aside = path.with_name(f".{path.name}.{owner()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        yield aside
        _sync(aside)
        aside.replace(path)
        _sync(path.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise cannot_write(path, error) from error
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def cannot_write(path: Path, error: Exception) -> WarehouseError:
    """Say that ``path`` was not written, why, and what to do; a disk may also refuse what a build reads or spills."""
    return WarehouseError(
        f"Could not write {path}: {error}. What was there before is untouched. "
        "Free disk space (or fix the folder's permissions), then run the same command again."
    )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the one lock of ``folder``. The system lets go of it when the process ends, however it ends.

    Raises:
        WarehouseError: the disk refuses.
    """
    path = folder / ".lock"
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("a", encoding="utf-8"))
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise cannot_write(path, error) from error
        stack.callback(
            fcntl.flock, file, fcntl.LOCK_UN
        )  # closing would not do where a fork holds it open too
        yield


def mark(path: Path) -> None:
    """Make ``path`` say which process changes what it stands for, for ``marked``."""
    with replacing(path) as aside:
        aside.write_text(owner(), encoding="utf-8")


def marked(path: Path) -> str | None:
    """Name of the process that made the mark ``path``; None where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def sweep(path: Path) -> None:
    """Remove what writers of ``path`` that have since died left beside it."""
    for candidate in path.parent.glob(f".{path.name}.*.tmp"):
        match = _ASIDE.match(candidate.name)
        if match and match["name"] == path.name and is_gone(match["owner"]):
            candidate.unlink(missing_ok=True)


def sweep_folder(folder: Path) -> None:
    """Remove what writers of any file of ``folder`` that have since died left there."""
    for candidate in folder.glob(".*.tmp"):
        match = _ASIDE.match(candidate.name)
        if match and is_gone(match["owner"]):
            candidate.unlink(missing_ok=True)


def stamps(paths: Iterable[Path]) -> dict[Path, tuple[int, ...] | None]:
    """Tell each file apart from one that replaces it: inode, size and times; None for one that is gone."""
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) or "host"


def _started(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
