"""YAML that people write: what cannot be read is told with the file, the line and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.errors import ExperimentError, RecsysError
from recsys.experiments.definition import load_experiments
from recsys.experiments.metrics import load_metrics
from recsys.jobs.load import read_profile
from recsys.keywords.filters import load_policy
from recsys.ranking.rules import load_rules
from recsys.ranking.tuned import Tuned
from recsys.settings import Settings
from recsys.sources.mapping import load_mapping
from recsys.yaml_files import read_yaml

READERS: dict[str, Callable[[Path], object]] = {
    "experiments": lambda path: load_experiments(path.parent),
    "metrics": load_metrics,
    "rules": lambda path: load_rules(path.parent),
    "tuned": Tuned.read,
    "policy": load_policy,
    "mapping": load_mapping,
    "profile": lambda path: Settings.load({}, warehouse=str(path.parent)),
    "profile of an import": lambda path: read_profile(path.parent, None),
}
"""Whatever reads YAML, from a file named as a profile is."""


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"# a\nend: 2026-02-30\n", r"2026-02-30 is no timestamp .*line 2"),
        (b"# a\nnote: caf\xe9\n", "line 2 has the byte 0xe9, which is no UTF-8; save the file as UTF-8"),
        (b"a: 1\na: 2\n", "the key 'a' stands in line 1 already; keep one of them.*line 2"),
        (b"off: 1\n", "the key off is read as bool, not as a text; quote it"),
        (b"a: [", "expected the node content"),
    ],
)
def test_every_reader_names_the_file_and_the_line(
    tmp_path: Path, reader: str, content: bytes, told: str
) -> None:
    path = tmp_path / "marketplace.yaml"
    path.write_bytes(content)
    with pytest.raises(RecsysError) as refused:
        READERS[reader](path)
    assert re.search(rf"marketplace\.yaml cannot be read as YAML: .*{told}", str(refused.value), re.DOTALL)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: {alpha: 1, b: {}, alpha: 2}", "the key 'alpha' stands in line 1 already"),
        ("a: 1\n'a': 2", "the key 'a' stands in line 1 already"),
        ("- {a: 1}\n- {b: 1,\n   b: 2}", "the key 'b' stands in line 2 already"),
        ("01: a", "the key 01 is read as int, not as a text"),
        ("~: a", "the key ~ is read as null"),
        ("2026-01-05: a", "the key 2026-01-05 is read as timestamp"),
        ("? [a]\n: b", "found unhashable key"),
        ("a: !!bool maybe", "maybe is no bool"),
        ("a: !!timestamp soon", "soon is no timestamp"),
        ("a: !!python/name:os.system x", "could not determine a constructor"),
    ],
)
def test_what_would_be_misread_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ExperimentError, match=re.escape(told)):
        read_yaml(tmp_path / "a.yaml", ExperimentError)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ExperimentError, match=re.escape(f"{path} cannot be read: ")):
            read_yaml(path, ExperimentError)


def test_a_mapping_may_be_merged_and_its_keys_overridden(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("y: &y {a: 1, b: 1}\nx: &x {<<: *y, a: 2}\nz: {<<: *x, a: 3}\n'off': on\n<<: *x\n")
    usual = {"y": {"a": 1, "b": 1}, "x": {"a": 2, "b": 1}, "z": {"a": 3, "b": 1}}
    assert read_yaml(path, ExperimentError) == usual | {"off": True, "a": 2, "b": 1}
    path.write_text("")
    assert read_yaml(path, ExperimentError) is None
