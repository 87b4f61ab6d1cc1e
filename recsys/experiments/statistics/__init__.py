"""Pure arithmetic over sufficient statistics: nothing here reads data."""

from recsys.experiments.statistics.compare import Comparison, Estimate, Kind, compare, estimate
from recsys.experiments.statistics.moments import Moments
from recsys.experiments.statistics.samples import (
    Interval,
    Sample,
    interval,
    mean_sample,
    ratio_sample,
    welch_difference,
)
from recsys.experiments.statistics.srm import SRM_ALPHA, sample_ratio_p_value

__all__ = [
    "SRM_ALPHA",
    "Comparison",
    "Estimate",
    "Interval",
    "Kind",
    "Moments",
    "Sample",
    "compare",
    "estimate",
    "interval",
    "mean_sample",
    "ratio_sample",
    "sample_ratio_p_value",
    "welch_difference",
]
