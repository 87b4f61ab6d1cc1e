"""May a challenger replace the champion? Judged on the same users, by what each of them loses or gains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.errors import ModelError
from recsys.evaluation.bootstrap import intervals

MARGIN = 0.05
"""Share of the champion's mean that a challenger may fall short by."""


@dataclass(frozen=True)
class Verdict:
    """The challenger's mean difference to the champion with its interval, and the ``margin`` it may fall short by; all
    in the unit of the metric."""

    difference: float
    low: float
    high: float
    margin: float

    @property
    def is_worse(self) -> bool:
        """Proven to lose more than the margin: all of the interval lies below it."""
        return self.high < -self.margin

    @property
    def is_no_worse(self) -> bool:
        """Proven not to lose more than the margin, which is non-inferiority (Piaggio et al. 2012)."""
        return self.low > -self.margin


def compare_with_champion(
    challenger: np.ndarray,
    champion: np.ndarray,
    seed: int,
    *,
    margin: float = MARGIN,
    users: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Verdict:
    """Hold a challenger against the champion, value by value; a higher value is better.

    Args:
        challenger: its value of each user and occasion, say revenue in the first k places, float [rows].
        champion: that of the champion for the same users and occasions.
        seed: of the bootstrap over users.
        margin: share of the champion's mean.
        users: user of each row; None: every row is a user of its own.
        confidence: of the interval.

    Raises:
        ModelError: nobody was judged, or the two are not of one length.

    Example:
        >>> compare_with_champion(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]), seed=1).is_no_worse
        True
    """
    if len(challenger) != len(champion):
        raise ModelError(
            f"The challenger was judged on {len(challenger)} rows and the champion on {len(champion)}; "
            "judge both on the same users."
        )
    found = intervals(
        (challenger - champion)[:, None], seed, users=users, confidence=confidence, method="bca"
    )
    return Verdict(
        float(found.value[0]), float(found.low[0]), float(found.high[0]), margin * abs(float(champion.mean()))
    )


def refuse_worse(verdict: Verdict, metric: str, *, strict: bool = False) -> None:
    """Raise where the challenger may not replace the champion.

    By default a challenger is refused that is proven worse by more than the margin; ``strict`` refuses one that is not
    proven to be within it, which takes many users: with few, two equal models would be told apart by chance.

    Raises:
        ModelError: it is refused; the champion stays.
    """
    refused = not verdict.is_no_worse if strict else verdict.is_worse
    if refused:
        raise ModelError(
            f"Gate: {metric} is {verdict.difference:+.4f} to the champion's (interval {verdict.low:+.4f} to "
            f"{verdict.high:+.4f}), where {-verdict.margin:.4f} is allowed. The old champion stays."
        )
