"""What another policy would have earned, from logs of what was shown and how likely it was to be shown.

Under the item-position model (Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen, 2018, "Offline Evaluation of
Ranking Policies with Click Models") a place earns by the item it holds and by where it is, whatever stands beside it.
So each shown place is a draw of its own: its item a was put there with propensity mu, the policy to judge would have
put it there with probability pi, and its reward r counts with the weight w = pi / mu.

IPS = mean(w r) (Horvitz and Thompson, 1952); SNIPS = sum(w r) / sum(w) (Swaminathan and Joachims, 2015); the doubly
robust estimate is mean(q(pi) + w (r - q)) with a prediction q of the reward (Dudik, Langford and Li, 2011). All are
means per shown place. Rewards of one user are dependent, so intervals treat users as the draws.

Weighted rewards are skewed: most places earn nothing. An interval that is symmetric on the log scale holds the truth
more often than a symmetric one, and is the default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.experiments.statistics import Moments, estimate

Method = Literal["log", "normal", "bootstrap"]
RESAMPLES = 2_000
ENOUGH_REWARDED = 15
"""With fewer rewarded places than this that a policy could have shown, an interval held the truth less often than it
says (docs/off-policy.md): a rare reward that the log did not happen to hold leaves no trace in the variance."""
_AT_ONCE = 100


@dataclass(frozen=True)
class Estimate:
    """Reward per shown place, with its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OffPolicy:
    """The value of a policy that was not served, and how far the log can be believed about it.

    Attributes:
        ips: inverse propensity score, from all rows; what has no support counts as earning nothing.
        snips: self-normalised: the mean over what has support; None where nothing matched.
        dr: doubly robust; None without predictions.
        rows: shown places.
        users: users they belong to: the independent draws.
        matched: rows that the policy could have shown.
        rewarded: those of them that earned something; under ENOUGH_REWARDED no interval is to be believed.
        effective_sample_size: (sum w)^2 / sum w^2, in rows (Kong, 1992).
        mean_weight: mean of the weights before clipping. It is 1 in expectation where the log supports everything that
            the policy does, and the share of it that has support where it does not.
        clip: largest weight allowed; None for none.
        clipped: share of the sum of the weights that clipping took away.
        cap: largest reward that counts; None for none.
        capped: share of the sum of the rewards that the cap took away.
        level: confidence of the intervals.
        method: how they were made.
    """

    ips: Estimate
    snips: Estimate | None
    dr: Estimate | None
    rows: int
    users: int
    matched: int
    rewarded: int
    effective_sample_size: float
    mean_weight: float
    clip: float | None
    clipped: float
    cap: float | None
    capped: float
    level: float
    method: Method


def evaluate(
    users: np.ndarray,
    rewards: np.ndarray,
    propensities: np.ndarray,
    targets: np.ndarray,
    *,
    predicted: np.ndarray | None = None,
    baseline: np.ndarray | None = None,
    clip: float | None = None,
    cap: float | None = None,
    level: float = 0.95,
    method: Method = "log",
    seed: int = 0,
) -> OffPolicy:
    """Judge a policy by shown places; every array is [rows].

    Args:
        users: whose page it was.
        rewards: what the shown item earned, in clicks, purchases or money.
        propensities: probability with which it was put in its place, in (0, 1].
        targets: probability with which the policy to judge would have put it there.
        predicted: q of the shown item in its place; matters only where ``targets`` is above 0.
        baseline: q of what the policy would have put there, in expectation over its choices. Both or none.
        clip: largest weight; a larger one counts as this, which lowers IPS and its variance.
        cap: largest reward; a larger one counts as this, so the value is that of capped rewards.
        level: confidence of the intervals.
        method: Student's t with the delta method over users, on the log scale (for an estimate above 0) or plain; or
            percentiles of a bootstrap of users.
        seed: of the bootstrap.

    Raises:
        ModelError: fewer than two users, or values that are no probabilities or not finite.

    Example:
        >>> found = evaluate(np.arange(4), np.array([1.0, 0, 1, 0]), np.full(4, 0.5), np.array([1.0, 1, 0, 0]))
        >>> found.ips.value, found.snips.value, found.effective_sample_size
        (0.5, 0.5, 2.0)
    """
    _check(users, rewards, propensities, targets, clip=clip, cap=cap, level=level)
    if (predicted is None) != (baseline is None):
        raise ModelError("A doubly robust estimate takes predictions for the shown and for the wanted item.")
    raw = targets / propensities
    w = raw if clip is None else np.minimum(raw, clip)
    r = rewards if cap is None else np.minimum(rewards, cap)
    user = pd.factorize(users)[0]
    make = _Maker(user, level, method, seed)
    ones = np.ones(len(r))
    dr = None
    if predicted is not None and baseline is not None:
        dr = make.ratio(baseline + np.where(w > 0, w * (r - predicted), 0.0), ones)
    return OffPolicy(
        ips=make.ratio(w * r, ones),
        snips=make.ratio(w * r, w) if w.sum() > 0 else None,
        dr=dr,
        rows=len(r),
        users=int(user.max()) + 1,
        matched=int((targets > 0).sum()),
        rewarded=int(((targets > 0) & (rewards > 0)).sum()),
        effective_sample_size=float(w.sum() ** 2 / (w**2).sum()) if w.sum() > 0 else 0.0,
        mean_weight=float(raw.mean()),
        clip=clip,
        clipped=_lost(raw, w),
        cap=cap,
        capped=_lost(rewards, r),
        level=level,
        method=method,
    )


def _check(
    users: np.ndarray,
    rewards: np.ndarray,
    propensities: np.ndarray,
    targets: np.ndarray,
    *,
    clip: float | None,
    cap: float | None,
    level: float,
) -> None:
    if len(set(users)) < 2:
        raise ModelError("An off-policy estimate needs shown places of two users or more; choose more days.")
    if not np.isfinite(rewards).all():
        raise ModelError("A reward is not finite; look for missing amounts in the log.")
    wrong = ~((propensities > 0) & (propensities <= 1))
    if wrong.any():
        raise ModelError(
            f"Propensity {propensities[wrong][0]} of a shown place is not in (0, 1]; what was drawn is logged with the "
            "probability of its draw, everything else with 1."
        )
    wrong = ~((targets >= 0) & (targets <= 1 + 1e-9))
    if wrong.any():
        raise ModelError(f"The policy's probability {targets[wrong][0]} of an item is not in [0, 1].")
    if (clip is not None and clip <= 0) or (cap is not None and cap <= 0):
        raise ModelError(f"Clip {clip} and cap {cap} have to be above 0, or left out.")
    if not 0 < level < 1:
        raise ModelError(f"Confidence {level} is not between 0 and 1.")


def _lost(before: np.ndarray, after: np.ndarray) -> float:
    total = float(before.sum())
    return 1 - float(after.sum()) / total if total else 0.0


@dataclass(frozen=True)
class _Maker:
    """Makes ratios of two sums over rows into estimates, users being the draws."""

    user: np.ndarray
    level: float
    method: Method
    seed: int

    def ratio(self, numerator: np.ndarray, denominator: np.ndarray) -> Estimate:
        """sum(numerator) / sum(denominator), whose terms of one user belong together."""
        num, den = (np.bincount(self.user, weights=values) for values in (numerator, denominator))
        value = float(num.sum() / den.sum())
        low, high = (self._percentiles if self.method == "bootstrap" else self._normal)(num, den)
        return Estimate(value, low, high)

    def _normal(self, num: np.ndarray, den: np.ndarray) -> tuple[float, float]:
        found = estimate("ratio", Moments.of(num, den), alpha=1 - self.level)
        assert found is not None
        value = found.mean
        if self.method == "log" and value > 0:
            times = math.exp(min((found.high - value) / value, 700.0))
            return value / times, value * times
        return found.low, found.high

    def _percentiles(self, num: np.ndarray, den: np.ndarray) -> tuple[float, float]:
        rng, n, values = np.random.default_rng(self.seed), len(num), []
        for _ in range(RESAMPLES // _AT_ONCE):
            times = rng.multinomial(n, np.full(n, 1 / n), size=_AT_ONCE)
            below = times @ den
            values.append((times @ num)[below > 0] / below[below > 0])
        tail = (1 - self.level) / 2
        low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
        return float(low), float(high)
