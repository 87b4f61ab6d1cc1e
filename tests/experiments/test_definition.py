"""Experiment files: good ones load, bad ones say what to write."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from recsys.errors import ExperimentError
from recsys.experiments.definition import load_experiments, parse_experiment
from recsys.settings import Settings


def content(**changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "id": "e",
        "hypothesis": "h",
        "unit": "user",
        "salt": "s",
        "start": date(2026, 2, 10),
        "control": "a",
        "arms": {"a": {"policy": "popularity", "weight": 0.5}, "b": {"policy": "hybrid", "weight": 0.5}},
    }
    return good | changes


def test_the_project_s_own_experiments_load() -> None:
    experiments = load_experiments(Settings.load({}).experiments_dir)
    assert [e.id for e in experiments] == ["hybrid_vs_popularity"]


def test_days_are_inclusive_and_assignment_starts_the_day_before_serving() -> None:
    experiment = parse_experiment(content(end=date(2026, 2, 12)), "x")
    assert [experiment.serves_on(date(2026, 2, d)) for d in (9, 10, 12, 13)] == [False, True, True, False]
    assert [experiment.is_assigned_on(date(2026, 2, d)) for d in (8, 9, 11, 12)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unit": "shop"}, "unit is 'shop'; choose one of"),
        ({"unit": "seller"}, "lists are made for users, so leave it out where the unit is seller"),
        ({"start": "tomorrow"}, "start is 'tomorrow'; write a date as YYYY-MM-DD"),
        ({"end": date(2026, 1, 1)}, "lies before start"),
        ({"salt": ""}, "salt is ''; write a text"),
        ({"control": "c"}, "control 'c' is no arm"),
        ({"alpha": 2}, "alpha is 2; it has to lie between 0 and 1"),
        ({"arms": {"a": {"policy": "popularity", "weight": 1}}}, "at least two arms"),
        (
            {"arms": {"a": {"policy": "x", "weight": 0.5}, "b": {"policy": "hybrid", "weight": 0.5}}},
            "policy 'x'",
        ),
        (
            {"arms": {"a": {"policy": "hybrid", "weight": 0.5}, "b": {"policy": "hybrid", "weight": 0.6}}},
            "sum to 1.1",
        ),
        (
            {"arms": {"a": {"policy": "hybrid"}, "b": {"policy": "hybrid", "weight": 0.6}}},
            "exactly policy and weight",
        ),
        ({"colour": "red"}, "unknown field colour.*; the fields are id, "),
        ({"ramps": []}, r"unknown field ramps \(did you mean ramp\?\)"),
    ],
)
def test_bad_definitions_name_the_value_and_the_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        parse_experiment(content(**changes), "file.yaml")


def test_a_missing_field_and_a_repeated_id_are_refused(tmp_path: Path) -> None:
    incomplete = content()
    del incomplete["salt"]
    with pytest.raises(ExperimentError, match=r"missing fields \['salt'\]"):
        parse_experiment(incomplete, "file.yaml")
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content()))
    with pytest.raises(ExperimentError, match="define experiment 'e'"):
        load_experiments(tmp_path)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ExperimentError, match=r"broken\.yaml is no valid YAML"):
        load_experiments(tmp_path)
