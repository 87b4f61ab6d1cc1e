"""A kept world is known by the code that made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fingerprint import ALL, PROJECT, WORLD, digest_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("1")
    (tmp_path / "a" / "two.sql").write_text("SELECT 1")
    (tmp_path / "note.py").write_text("x")
    return tmp_path


def test_the_digest_follows_content_and_names_of_code_alone(tree: Path) -> None:
    digest = digest_of(("a",), tree)
    assert digest_of(("a",), tree) == digest and len(digest) == 10
    (tree / "a" / "figures.json").write_text("{}")
    (tree / "note.py").write_text("y")
    assert digest_of(("a",), tree) == digest
    assert digest_of(("a", "note.py"), tree) != digest
    (tree / "a" / "one.py").rename(tree / "a" / "other.py")
    renamed = digest_of(("a",), tree)
    (tree / "a" / "other.py").write_text("2")
    assert len({digest, renamed, digest_of(("a",), tree)}) == 3


def test_what_decides_on_a_world_is_there() -> None:
    assert all((PROJECT / place).exists() for place in (*WORLD, *ALL))
