"""Pure arithmetic over sufficient statistics: nothing here reads data.

docs/experiments-statistics.md has the formulas, their sources and what was chosen where the field offers several.
"""

from recsys.experiments.statistics.bayes import Posterior, best_arm
from recsys.experiments.statistics.cluster import (
    FEW_CLUSTERS,
    Permutation,
    compare_clusters,
    permutation_test,
    sums_by_cluster,
)
from recsys.experiments.statistics.compare import Comparison, Estimate, Kind, compare, estimate
from recsys.experiments.statistics.history import (
    Expected,
    History,
    MomentsHistory,
    QuantileHistory,
    ValuesHistory,
)
from recsys.experiments.statistics.instrument import EffectOfUse, effect_of_use
from recsys.experiments.statistics.moments import Moments
from recsys.experiments.statistics.multiple import benjamini_hochberg, holm
from recsys.experiments.statistics.power import Plan, minimum_effect, power, units_needed
from recsys.experiments.statistics.quantile import Values, compare_quantiles
from recsys.experiments.statistics.sequential import (
    Bounds,
    Spending,
    accrued_information,
    always_valid,
    always_valid_critical,
    always_valid_p_value,
    error_spent,
    group_sequential,
    sequential_interval,
)
from recsys.experiments.statistics.srm import SRM_ALPHA, sample_ratio_p_value
from recsys.experiments.statistics.switchback import Cells, switchback
from recsys.experiments.statistics.winsorise import pooled_cap, winsorise

__all__ = [
    "FEW_CLUSTERS",
    "SRM_ALPHA",
    "Bounds",
    "Cells",
    "Comparison",
    "EffectOfUse",
    "Estimate",
    "Expected",
    "History",
    "Kind",
    "Moments",
    "MomentsHistory",
    "Permutation",
    "Plan",
    "Posterior",
    "QuantileHistory",
    "Spending",
    "Values",
    "ValuesHistory",
    "accrued_information",
    "always_valid",
    "always_valid_critical",
    "always_valid_p_value",
    "benjamini_hochberg",
    "best_arm",
    "compare",
    "compare_clusters",
    "compare_quantiles",
    "effect_of_use",
    "error_spent",
    "estimate",
    "group_sequential",
    "holm",
    "minimum_effect",
    "permutation_test",
    "pooled_cap",
    "power",
    "sample_ratio_p_value",
    "sequential_interval",
    "sums_by_cluster",
    "switchback",
    "units_needed",
    "winsorise",
]
