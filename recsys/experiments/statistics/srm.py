"""Sample ratio: do the arms hold the units that their weights ask for?"""

from __future__ import annotations

from collections.abc import Mapping

from scipy import stats

SRM_ALPHA = 0.001
"""Below this p-value the split is broken and no number of the experiment may be believed."""


def sample_ratio_p_value(counts: Mapping[str, int], weights: Mapping[str, float]) -> float | None:
    """Pearson chi-square p-value of the units per arm against the *configured* weights.

    Arms of weight 0 take no part, nor do their degrees of freedom; a unit in such an arm is a mismatch by itself
    (p = 0), as is one in an arm without a weight. None when there is nothing to compare (no units, or a single arm
    with weight).

    Example:
        >>> round(sample_ratio_p_value({"a": 5100, "b": 4900}, {"a": 0.5, "b": 0.5}), 4)
        0.0455
    """
    if any(count > 0 and weights.get(arm, 0) <= 0 for arm, count in counts.items()):
        return 0.0
    arms = [arm for arm, weight in weights.items() if weight > 0]
    observed = [counts.get(arm, 0) for arm in arms]
    total, share = sum(observed), sum(weights[arm] for arm in arms)
    if total == 0 or len(arms) < 2:
        return None
    expected = [total * weights[arm] / share for arm in arms]
    return float(stats.chisquare(observed, expected).pvalue)
