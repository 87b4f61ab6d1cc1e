"""The benchmark of the statistics plays every kind, and its tables say what they are called."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import experiments
from bench.experiments import PARTS, aa, cuped, power, table
from bench.looks import looks
from recsys.experiments.populations import POPULATIONS


def test_every_kind_is_played_with_and_without() -> None:
    rows = aa(3, 1)
    assert [r["metric"] for r in rows if r["CUPED"] == "no" and r["winsorised"] == "no"] == list(POPULATIONS)
    assert len(rows) == 12 and all(0 <= r["rejected"] <= 1 for r in rows)  # type: ignore[operator]


def test_a_covariate_narrows_as_its_correlation_promises() -> None:
    *real, noise = cuped(20, 1)
    for row in real:
        assert row["width, of that without"] == pytest.approx(row["promised: sqrt(1 - r^2)"], rel=0.05)
        assert row["runs in which it was wider"] == 0
    assert noise["width, of that without"] == pytest.approx(1, abs=0.01)


def test_looking_daily_at_the_fixed_design_errs_more() -> None:
    rows = looks(40, 1)
    assert len(rows) == 4
    for row in rows:
        assert row["fixed, looked at daily"] > 0.12  # type: ignore[operator]
        assert row["always_valid"] < 0.12  # type: ignore[operator]


def test_units_are_planned_for_every_kind() -> None:
    rows = power(3, 1)
    assert len(rows) == 12
    assert all(0.79 < r["promised"] < 0.81 and 4_000 < r["units"] < 15_000 for r in rows)  # type: ignore[operator]


def test_the_script_prints_a_part_and_writes_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    target = tmp_path / "figures.json"
    monkeypatch.setitem(PARTS, "aa", lambda runs, seed: [{"metric": "x", "rejected": runs / 100}])
    monkeypatch.setattr(sys, "argv", ["experiments.py", "aa", "--runs", "5", "--json", str(target)])
    experiments.main()
    assert "| x | 0.0500 |" in capsys.readouterr().out
    assert json.loads(target.read_text(encoding="utf-8")) == {"aa": [{"metric": "x", "rejected": 0.05}]}
    assert table([{"a": "b", "c": 1}]).splitlines()[1] == "| --- | ---: |"
