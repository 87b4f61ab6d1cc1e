"""What is on disk is whole, whatever happened while it was written."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import ModelError
from recsys.models import store


def save(folder: Path, value: float = 1.0) -> None:
    store.save(
        folder, {"x": np.array([value]), "names": np.array(["a", "日本"], dtype=object)}, {"model": "m"}
    )


def test_arrays_and_strings_come_back(tmp_path: Path) -> None:
    save(tmp_path / "m")
    arrays = store.read_arrays(tmp_path / "m")
    assert arrays["x"].tolist() == [1.0]
    assert arrays["names"].tolist() == ["a", "日本"]
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["model"] == "m"
    assert set(manifest["sha256"]) == {"arrays.npz"}


def test_saving_again_replaces_and_leaves_nothing_aside(tmp_path: Path) -> None:
    save(tmp_path / "m")
    save(tmp_path / "m", 2.0)
    assert store.read_arrays(tmp_path / "m")["x"].tolist() == [2.0]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_the_same_content_is_left_alone(tmp_path: Path) -> None:
    save(tmp_path / "m")
    before = (tmp_path / "m").stat().st_ino
    save(tmp_path / "m")
    assert (tmp_path / "m").stat().st_ino == before


def test_a_damaged_model_is_mended_by_saving_again(tmp_path: Path) -> None:
    save(tmp_path / "m")
    (tmp_path / "m" / "arrays.npz").write_bytes(b"")
    save(tmp_path / "m")
    assert store.read_arrays(tmp_path / "m")["x"].tolist() == [1.0]


def test_a_full_disk_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "m")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(ModelError, match="No space left on device"):
        save(tmp_path / "m", 2.0)
    assert store.read_arrays(tmp_path / "m")["x"].tolist() == [1.0]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
