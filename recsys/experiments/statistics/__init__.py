"""Pure arithmetic over sufficient statistics: nothing here reads data.

docs/experiments-statistics.md has the formulas, their sources and what was chosen where the field offers several.
"""

from recsys.experiments.statistics.bayes import Posterior, best_arm
from recsys.experiments.statistics.compare import Comparison, Estimate, Kind, compare, estimate
from recsys.experiments.statistics.history import (
    Expected,
    History,
    MomentsHistory,
    QuantileHistory,
    ValuesHistory,
)
from recsys.experiments.statistics.moments import Moments
from recsys.experiments.statistics.multiple import benjamini_hochberg, holm
from recsys.experiments.statistics.power import Plan, minimum_effect, power, units_needed
from recsys.experiments.statistics.quantile import Values, compare_quantiles
from recsys.experiments.statistics.samples import (
    Interval,
    Sample,
    interval,
    mean_sample,
    ratio_sample,
    welch_difference,
)
from recsys.experiments.statistics.sequential import (
    Bounds,
    Spending,
    always_valid,
    always_valid_critical,
    always_valid_p_value,
    error_spent,
    group_sequential,
    sequential_interval,
)
from recsys.experiments.statistics.srm import SRM_ALPHA, sample_ratio_p_value
from recsys.experiments.statistics.winsorise import pooled_cap, winsorise

__all__ = [
    "SRM_ALPHA",
    "Bounds",
    "Comparison",
    "Estimate",
    "Expected",
    "History",
    "Interval",
    "Kind",
    "Moments",
    "MomentsHistory",
    "Plan",
    "Posterior",
    "QuantileHistory",
    "Sample",
    "Spending",
    "Values",
    "ValuesHistory",
    "always_valid",
    "always_valid_critical",
    "always_valid_p_value",
    "benjamini_hochberg",
    "best_arm",
    "compare",
    "compare_quantiles",
    "error_spent",
    "estimate",
    "group_sequential",
    "holm",
    "interval",
    "mean_sample",
    "minimum_effect",
    "pooled_cap",
    "power",
    "ratio_sample",
    "sample_ratio_p_value",
    "sequential_interval",
    "units_needed",
    "welch_difference",
    "winsorise",
]
