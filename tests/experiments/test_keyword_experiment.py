"""The definition that docs/keyword-experiments.md proposes can be read, and decides on what the page says."""

from __future__ import annotations

import re

import yaml

from bench import campaign_experiment
from recsys.experiments.definition import Experiment, check_metrics, parse_experiment
from recsys.settings import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "keyword-experiments.md").read_text(encoding="utf-8")


def proposed() -> Experiment:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    return parse_experiment(yaml.safe_load(block), "docs/keyword-experiments.md")


def test_the_definition_is_the_one_the_bench_decides_on() -> None:
    read, played = proposed(), campaign_experiment.EXPERIMENT
    assert (read.id, read.unit, read.primary, read.guardrails) == (
        played.id,
        played.unit,
        played.primary,
        played.guardrails,
    )
    assert (read.start, read.end, read.design.kind) == (played.start, played.end, played.design.kind)
    assert (read.minimum_effect, read.alpha, read.power) == (0.01, 0.05, 0.8)
    assert read.arms == played.arms


def test_its_metrics_are_measured_for_sellers() -> None:
    check_metrics([proposed()], campaign_experiment.METRICS)
