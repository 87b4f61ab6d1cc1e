"""Rankers beside each other under one protocol: the early weeks teach, one tunes, the next calibrates, the last judge.

Nothing is chosen by the last weeks. A model is tuned for clicks and for purchases apart, by the log-loss on the tuning
week, and then learns from the early weeks and the tuning week with what was chosen.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import optuna
import pandas as pd
from sklearn.metrics import roc_auc_score

from recsys.errors import KeywordError
from recsys.keywords.features import FEATURES
from recsys.keywords.labels import CAMPAIGN_ID, Week
from recsys.keywords.ranker import HEADS, MODELS, examples_of, fit_curves, week_features, week_knowledge
from recsys.keywords.rankers.base import Examples
from recsys.keywords.rankers.calibrate import Curve, total_loss
from recsys.ranking.calibration import log_losses, standard_error
from recsys.ranking.platt import sigmoid

LEAST_WEEKS: Final = 4
BINS: Final = 10
_TREES: Final = {
    "rounds": (20, 400),
    "rate": (0.02, 0.15),
    "leaves": (3, 15),
    "least": (3.0, 60.0),
    "shrinkage": (1.0, 60.0),
    "columns": (0.3, 1.0),
}
_NETWORK: Final = {"width": (8, 64), "epochs": (3, 30), "rate": (3e-4, 6e-3), "decay": (0.05, 100.0)}
SPACES: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "logistic": {"penalty": (0.3, 3_000.0)},
    "lightgbm": _TREES,
    "xgboost": _TREES,
    "network": _NETWORK,
    "network_int8": _NETWORK,
}
"""What is searched, by the logarithm: the lowest and the highest of each parameter; whole numbers where both are."""


@dataclass(frozen=True)
class Slices:
    """The weeks of a comparison with their features: ``train`` teaches, ``tune`` chooses, ``calibrate``, ``test``."""

    weeks: tuple[Week, ...]
    inputs: tuple[np.ndarray, ...]
    test_weeks: int = 2

    @classmethod
    def of(cls, weeks: Sequence[Week], test_weeks: int = 2) -> Slices:
        """Compute the features of each week as known on its eve.

        Raises:
            KeywordError: fewer than one week to teach, one to tune, one to calibrate and ``test_weeks``.
        """
        if len(weeks) < max(LEAST_WEEKS, test_weeks + 3):
            raise KeywordError(
                f"{len(weeks)} weeks are too few to compare rankers; give {max(LEAST_WEEKS, test_weeks + 3)}."
            )
        inputs = [week_features(week, week_knowledge(week)) for week in weeks]
        return cls(tuple(weeks), tuple(inputs), test_weeks)

    def examples(self, part: str, head: str) -> Examples:
        """The examples of a part for a head."""
        last = len(self.weeks) - self.test_weeks
        where = {"train": slice(0, last - 2), "tune": slice(last - 2, last - 1), "both": slice(0, last - 1)}[
            part
        ]
        return examples_of(self.weeks[where], self.inputs[where], *HEADS[head])

    def outcomes(self, part: str) -> tuple[np.ndarray, pd.DataFrame]:
        """Features and outcomes of ``calibrate`` or ``test``."""
        last = len(self.weeks) - self.test_weeks
        where = slice(last - 1, last) if part == "calibrate" else slice(last, None)
        frames = [week.outcomes for week in self.weeks[where]]
        return np.concatenate(self.inputs[where]), pd.concat(frames, ignore_index=True)


def tune(slices: Slices, model: str, head: str, *, trials: int, seed: int) -> dict[str, Any]:
    """The parameters of least log-loss on the tuning week: TPE (Bergstra et al., 2011).

    The defaults stay, {}, where nothing beats them, the tuning week has no good or no bad ones, or ``trials`` is 0.
    """
    early, later = slices.examples("train", head), slices.examples("tune", head)
    if not trials or not 0 < later.good.sum() < later.tried.sum():
        return {}

    def loss(values: Mapping[str, Any]) -> float:
        p = sigmoid(MODELS[model].fit(early, FEATURES, seed=seed, **values).logit(later.features))
        return total_loss(p, later.good, later.tried) / later.tried.sum()

    def objective(trial: optuna.Trial) -> float:
        return loss({name: _suggest(trial, name, *ends) for name, ends in SPACES[model].items()})

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        study.optimize(objective, n_trials=trials)
    finally:
        optuna.logging.set_verbosity(before)
    return dict(study.best_params) if study.best_value < loss({}) else {}


def _suggest(trial: optuna.Trial, name: str, low: float, high: float) -> float:
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=True)
    return trial.suggest_float(name, low, high, log=True)


@dataclass(frozen=True)
class Result:
    """A model on the test weeks: ``table`` has a row per head; ``chosen`` the parameters by head; ``heads`` and
    ``curves`` what was fitted; ``losses`` [rows] the log-loss of each row of the test weeks by head."""

    model: str
    table: pd.DataFrame
    chosen: Mapping[str, Mapping[str, Any]]
    heads: Mapping[str, Any]
    curves: tuple[Curve, Curve]
    losses: Mapping[str, np.ndarray]


def judge(slices: Slices, model: str, *, trials: int, seed: int) -> Result:
    """Tune, fit, calibrate and judge one model.

    Each row of the table: head, impressions, good, auc, log_loss (per impression), rate_log_loss (that of the rate of
    the weeks before for all), ece (expected calibration error over BINS bins of as many impressions each), ratio
    (predicted / found), tune_seconds and fit_seconds (CPU). The head ``purchase`` is of P(click) x P(purchase | click).
    """
    rng, heads, chosen, seconds = np.random.default_rng(seed), {}, {}, {}
    for head in HEADS:
        started = time.process_time()
        chosen[head] = tune(slices, model, head, trials=trials, seed=seed)
        tuned = time.process_time()
        heads[head] = MODELS[model].fit(slices.examples("both", head), FEATURES, seed=seed, **chosen[head])
        seconds[head] = {"tune_seconds": tuned - started, "fit_seconds": time.process_time() - tuned}
    curves = fit_curves(heads, *slices.outcomes("calibrate"), rng)
    features, outcomes = slices.outcomes("test")
    click = sigmoid(curves[0](heads["click"].logit(features)))
    bought = click * sigmoid(curves[1](heads["purchase"].logit(features)))
    rows, losses = [], {}
    shown = outcomes["impressions"].to_numpy(np.float64)
    for head, p in (("click", click), ("purchase", bought)):
        good = np.minimum(outcomes[HEADS[head][0]].to_numpy(np.float64), shown)
        before = pd.concat([week.outcomes for week in slices.weeks[: -slices.test_weeks]])
        rate = float(before[HEADS[head][0]].sum() / before["impressions"].sum())
        rows.append({"head": head, **figures(p, good, shown, rate), **seconds[head]})
        losses[head] = good * log_losses(p, np.ones(len(p))) + (shown - good) * log_losses(
            p, np.zeros(len(p))
        )
    return Result(model, pd.DataFrame(rows), chosen, heads, curves, losses)


def figures(p: np.ndarray, good: np.ndarray, tried: np.ndarray, rate: float) -> dict[str, float]:
    """AUC, log-loss beside that of one ``rate``, and calibration of ``p`` where ``good`` of ``tried`` were good."""
    total = tried.sum()
    return {
        "impressions": float(total),
        "good": float(good.sum()),
        "auc": weighted_auc(p, good, tried),
        "log_loss": total_loss(p, good, tried) / total,
        "rate_log_loss": total_loss(np.full(len(p), rate), good, tried) / total,
        "ece": weighted_ece(p, good, tried),
        "ratio": float((p * tried).sum() / max(good.sum(), 1e-9)),
    }


def weighted_auc(p: np.ndarray, good: np.ndarray, tried: np.ndarray) -> float:
    """The chance that a good one has a higher ``p`` than a bad one; NaN without both."""
    if not 0 < good.sum() < tried.sum():
        return float("nan")
    outcome = np.repeat([1, 0], len(p))
    return float(roc_auc_score(outcome, np.tile(p, 2), sample_weight=np.concatenate([good, tried - good])))


def weighted_ece(p: np.ndarray, good: np.ndarray, tried: np.ndarray, bins: int = BINS) -> float:
    """Mean distance of predicted and found rates over ``bins`` bins of about as many tries (Naeini et al., 2015)."""
    order = np.argsort(p, kind="stable")
    place = np.cumsum(tried[order]) - tried[order] / 2
    code = np.minimum((place / tried.sum() * bins).astype(np.int64), bins - 1)
    gap = np.bincount(code, (tried * p - good)[order], bins)
    return float(np.abs(gap).sum() / tried.sum())


def against(result: Result, other: Result, slices: Slices) -> pd.DataFrame:
    """The log-loss per impression of one model less that of another: [head, difference, error], over campaigns."""
    _, outcomes = slices.outcomes("test")
    campaign, shown = outcomes[CAMPAIGN_ID].to_numpy(object), outcomes["impressions"].sum()
    rows = []
    for head, losses in result.losses.items():
        gap = losses - other.losses[head]
        error = standard_error(gap, campaign) * len(gap) / shown
        rows.append({"head": head, "difference": float(gap.sum() / shown), "error": error})
    return pd.DataFrame(rows)
