"""What the files beside the tables tell of a person, and how it is taken out: checks, reports, models."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from recsys.errors import RecsysError
from recsys.jobs import check, report
from recsys.models import store
from recsys.settings import Settings
from recsys.warehouse.erasure import REMOVED, pattern
from recsys.warehouse.files import replacing

REPORTS = "_reports"
SYNTHETIC = "_synthetic"
"""The played marketplace: numbers of people who do not exist, out of which it makes ids when it writes tables."""
_HISTORY = ("rows", "columns", "weights", "days")


class Traces:
    """The files below ``settings.files_dir`` that may name one person, by id or by the titles of their listings."""

    def __init__(self, settings: Settings, user: str, titles: Iterable[str]) -> None:
        self.settings = settings
        self.user = user
        self.mention = re.compile(pattern(user))
        self.titles = {
            text for title in titles for text in (title, html.escape(title), html.escape(title, False))
        }
        self.quality = settings.files_dir / check.QUALITY_DIR

    def named_in(self, text: str) -> bool:
        """Whether a text names the person or shows a title of theirs."""
        return bool(self.mention.search(text)) or any(title in text for title in self.titles)

    def reports(self) -> list[Path]:
        """Reports that name the person."""
        return self._texts(self.settings.files_dir / REPORTS, "*.html")

    def validations(self) -> list[Path]:
        """Kept results of checks that name the person."""
        return self._texts(check.validations_dir(self.settings), "*/*.json")

    def pages(self) -> list[Path]:
        """Pages of the Data Docs that name the person."""
        return self._texts(self.quality / "docs", "**/*.html")

    def models(self) -> list[Path]:
        """Folders of models that hold the person's history."""
        found = sorted(self.settings.models_dir.rglob(store.ARRAYS))
        return [path.parent for path in found if self.user in _users(path.parent)]

    def _texts(self, folder: Path, glob: str) -> list[Path]:
        return [p for p in sorted(folder.glob(glob)) if p.is_file() and self.named_in(_text(p))]

    def erase(self) -> dict[str, int]:
        """Take the person out of every file; return how many files were changed, by kind."""
        reports, validations, pages, models = self.reports(), self.validations(), self.pages(), self.models()
        for path in reports:
            path.unlink()
        for path in validations:
            content = _redacted(json.loads(_text(path)), self.named_in)
            with replacing(path) as aside:
                aside.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        if pages:
            shutil.rmtree(self.quality / "docs", ignore_errors=True)
        for folder in models:
            forget_history(folder, self.user, self.settings.models_dir)
        found = {"reports": reports, "validations": validations, "data docs": pages, "models": models}
        return {name: len(paths) for name, paths in found.items() if paths}

    def make_again(self, days: Iterable[date], docs: bool) -> None:
        """Write the reports of ``days`` and the Data Docs again, from tables that no longer name the person."""
        for day in days:
            try:
                report.run(self.settings, day)
            except (
                RecsysError
            ):  # its tables are gone by now; a report can be made again, a person's data cannot stay
                continue
        if docs:
            check.build_docs(self.settings)

    def left(self) -> list[Path]:
        """Every file that still names the person, of whatever kind; tables are counted elsewhere."""
        return [path for path in self._all() if self._holds(path)]

    def _all(self) -> Iterator[Path]:
        root = self.settings.files_dir
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            if path.is_file() and path.suffix != ".parquet" and path.relative_to(root).parts[0] != SYNTHETIC:
                yield path

    def _holds(self, path: Path) -> bool:
        if path.suffix != ".npz":
            return bool(self.mention.search(_text(path)))
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return any(
                    arrays[n].dtype.kind == "U" and (arrays[n] == self.user).any() for n in arrays.files
                )
        except (ValueError, OSError, BadZipFile):
            return bool(self.mention.search(_text(path)))


def day_of(path: Path) -> date:
    """Day of a report."""
    return date.fromisoformat(path.stem.removeprefix("ds="))


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


def _redacted(content: object, named_in: Callable[[str], bool]) -> object:
    if isinstance(content, dict):
        return {REMOVED if named_in(k) else k: _redacted(v, named_in) for k, v in content.items()}
    if isinstance(content, list):
        return [_redacted(value, named_in) for value in content]
    return REMOVED if isinstance(content, str) and named_in(content) else content


def _users(folder: Path) -> list[str]:
    with np.load(folder / store.ARRAYS, allow_pickle=False) as arrays:
        return arrays["history.user_ids"].tolist() if "history.user_ids" in arrays.files else []


def forget_history(folder: Path, user: str, root: Path) -> None:
    """Drop the history of one user from a saved model, and seal it and the folders around it, up to ``root``, again.

    What it has learned about items stays: sums over everybody.
    """
    arrays, manifest = store.read_arrays(folder), store.read_manifest(folder)
    users = arrays["history.user_ids"]
    gone = int(np.flatnonzero(users == user)[0])
    rows = arrays["history.rows"]
    kept = rows != gone
    for name in _HISTORY:
        arrays[f"history.{name}"] = arrays[f"history.{name}"][kept]
    left = arrays["history.rows"]
    arrays["history.rows"] = np.where(left > gone, left - 1, left).astype(rows.dtype)
    arrays["history.user_ids"] = np.delete(users, gone)
    if "history.segments" in arrays:
        arrays["history.segments"] = np.delete(arrays["history.segments"], gone)
    store.save(folder, arrays, {name: value for name, value in manifest.items() if name != "sha256"})
    for outer in folder.parents:
        if not outer.is_relative_to(root) or not (outer / store.MANIFEST).is_file():
            break
        around = json.loads((outer / store.MANIFEST).read_text(encoding="utf-8"))
        store.seal(outer, {name: value for name, value in around.items() if name != "sha256"})
