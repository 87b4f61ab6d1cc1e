"""Models on disk: arrays in npz, everything else in a JSON manifest with the SHA-256 of every file. No pickle.

The same model gives the same bytes: npz members carry no time, JSON keys are sorted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy import sparse

from recsys.errors import ModelError

MANIFEST = "manifest.json"
ARRAYS = "arrays.npz"


def save(folder: Path, arrays: Mapping[str, np.ndarray], manifest: Mapping[str, object]) -> None:
    """Write ``arrays`` and ``manifest`` into ``folder``; a reader sees the old folder or the new one, never half.

    Strings are stored as fixed-width unicode, so that loading never unpickles.

    Raises:
        ModelError: the disk is full or not writable; what was in the folder stays.
    """
    plain = {name: array.astype(str) if array.dtype == object else array for name, array in arrays.items()}
    with replacing(folder) as aside:
        np.savez_compressed(aside / ARRAYS, **dict(sorted(plain.items())))  # type: ignore[arg-type]
        seal(aside, manifest)


def of_sparse(name: str, matrix: sparse.csr_array) -> dict[str, np.ndarray]:
    """The arrays of a sparse matrix, to be saved; its shape is what the caller knows."""
    return {f"{name}.{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}


def as_sparse(name: str, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> sparse.csr_array:
    """The matrix that ``of_sparse`` took apart under ``name``."""
    parts = tuple(arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
    return sparse.csr_array(parts, shape=shape)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into; at the end it takes the place of ``folder``, unless something failed.

    Raises:
        ModelError: the disk is full or not writable; what was in the folder stays.
    """
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        yield aside
        _swap(aside, folder)
    except OSError as error:
        raise ModelError(
            f"{folder} could not be written: {error.strerror}. What was there stays; free space or fix the rights, "
            "then run it again."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def seal(folder: Path, manifest: Mapping[str, object]) -> None:
    """Write the manifest of ``folder``: the given facts and the SHA-256 of every other file in it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    digests = {str(p.relative_to(folder)): _sha256(p) for p in files}
    text = json.dumps(
        {**manifest, "sha256": digests}, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False
    )
    with (folder / MANIFEST).open("w", encoding="utf-8") as handle:
        handle.write(text + "\n")
        handle.flush()
        os.fsync(handle.fileno())


def _swap(aside: Path, folder: Path) -> None:
    """Put ``aside`` in the place of ``folder``; where that holds the same already, leave it alone."""
    if _same(aside, folder):
        return
    old = folder.with_name(f".{folder.name}.old.{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _same(aside: Path, folder: Path) -> bool:
    try:
        return read_manifest(folder) == read_manifest(aside)
    except ModelError:  # the folder is absent, or damaged and to be replaced
        return False


def read_manifest(folder: Path) -> dict[str, object]:
    """Read the manifest and check every file against its SHA-256.

    Raises:
        ModelError: when the manifest or a file is missing, or a file is not the one that was saved.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError(
            f"No model in {folder}: {MANIFEST} is missing. Train one with `recsys train --ds DAY`."
        )
    manifest: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    digests = manifest["sha256"]
    assert isinstance(digests, dict)
    for name, digest in digests.items():
        if not (folder / name).is_file() or _sha256(folder / name) != digest:
            raise ModelError(
                f"{folder / name} is missing or damaged: its SHA-256 is not the saved one. Train again."
            )
    return manifest


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Read the arrays; strings come back as object arrays of str."""
    with np.load(folder / ARRAYS, allow_pickle=False) as stored:
        return {
            n: stored[n].astype(object) if stored[n].dtype.kind == "U" else stored[n] for n in stored.files
        }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
