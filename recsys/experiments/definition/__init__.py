"""Experiment definitions: YAML in, frozen and checked objects out. See ``docs/experiment-definition.md``."""

from recsys.experiments.definition.checks import check_metrics
from recsys.experiments.definition.model import (
    BUCKETS,
    CONTAINED,
    DESIGNS,
    POLICIES,
    SPENDING,
    UNITS,
    Arm,
    Design,
    Eligibility,
    Experiment,
    Layer,
    RampStep,
)
from recsys.experiments.definition.parse import load_experiments, parse_experiment

__all__ = [
    "BUCKETS",
    "CONTAINED",
    "DESIGNS",
    "POLICIES",
    "SPENDING",
    "UNITS",
    "Arm",
    "Design",
    "Eligibility",
    "Experiment",
    "Layer",
    "RampStep",
    "check_metrics",
    "load_experiments",
    "parse_experiment",
]
