"""From labelled pairs to a champion: retrievers, pair scorer, calibration on later days, gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.errors import ModelError
from recsys.features.interactions import Interactions
from recsys.features.pairs import PAIR_FEATURES, pair_features
from recsys.models import ALS, EASE, ItemKNN, OwnHistory, Popularity, Recommender
from recsys.ranking.calibration import Calibration, calibration
from recsys.ranking.scorer import PairScorer, calibrated, fit_scorer
from recsys.ranking.snapshot import Snapshot

MOST_GROUPS = 20_000
PAIRS_AT_ONCE = 200_000
LEAST_FOR_ECE = 50


@dataclass(frozen=True)
class Examples:
    """Labelled pairs of one or more days: features [pairs, PAIR_FEATURES]; ``clicked`` is None without clicks."""

    features: np.ndarray
    purchased: np.ndarray
    clicked: np.ndarray | None = None

    @classmethod
    def join(cls, parts: Sequence[Examples]) -> Examples:
        """One after the other."""
        clicked = [p.clicked for p in parts if p.clicked is not None]
        return cls(
            np.concatenate([p.features for p in parts]),
            np.concatenate([p.purchased for p in parts]),
            np.concatenate(clicked) if len(clicked) == len(parts) else None,
        )


def make_retrievers(item_unit: str, seed: int) -> dict[str, Recommender]:
    """The retrievers of the hybrid, unfitted, by name."""
    models: list[Recommender] = [Popularity(), ItemKNN(), ALS(seed=seed), OwnHistory()]
    if item_unit == "item":
        models.append(EASE())
    return {model.name: model for model in models}


def fit_retrievers(models: Mapping[str, Recommender], history: Interactions) -> dict[str, Recommender]:
    """Fit on the MOST_GROUPS groups that most users had to do with; rarer ones are reached by category and trend."""
    users = np.bincount(history.matrix.indices, minlength=len(history.item_ids))
    kept = np.sort(np.argsort(-users, kind="stable")[:MOST_GROUPS])
    inside = history.onto(history.item_ids[kept])
    return {name: model.fit(inside) for name, model in models.items()}


def label_pairs(
    snapshot: Snapshot,
    retrievers: Mapping[str, Recommender],
    rows: np.ndarray,
    items: np.ndarray,
    *,
    purchased: np.ndarray,
    clicked: np.ndarray | None = None,
) -> Examples:
    """Features, as known at the end of the snapshot's day, of pairs whose outcome came later; ``rows`` ascending.

    ``retrievers`` must know the histories of that day and no later one.
    """
    parts = []
    for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // PAIRS_AT_ONCE)):
        users, place = np.unique(rows[part], return_inverse=True)
        catalogue = next(iter(retrievers.values())).item_ids
        column = catalogue.get_indexer(snapshot.shelf.group_ids)[snapshot.shelf.group_code[items[part]]]
        retrieved = {}
        for name, model in retrievers.items():
            scores = model.scores(snapshot.audience.user_ids[users])
            retrieved[name] = np.where(column >= 0, scores[place, column], -np.inf)
        parts.append(pair_features(snapshot.shelf, snapshot.audience, rows[part], items[part], retrieved))
    return Examples(np.concatenate(parts), purchased, clicked)


def train_scorer(
    train: Examples, later: Examples, seed: int, kept: float = 1.0
) -> tuple[PairScorer, dict[str, float]]:
    """Fit on ``train``, calibrate on ``later`` days, pass the gate; also the metrics of the later days.

    ``kept`` is the share of pairs without a purchase that ``train`` still holds.

    Raises:
        ModelError: no purchase to learn from or to calibrate on, or the gate refused.
    """
    rng = np.random.default_rng(seed)
    raw = fit_scorer(
        train.features, train.purchased, names=PAIR_FEATURES, rng=rng, clicked=train.clicked, kept=kept
    )
    scorer = calibrated(raw, later.features, later.purchased)
    fit = calibration(scorer.predict(later.features), later.purchased)
    gate(scorer, fit)
    metrics = {
        "log_loss": fit.log_loss,
        "prior_log_loss": fit.prior_log_loss,
        "ece": fit.ece,
        "purchase_rate": fit.positives / fit.rows,
    }
    return scorer, {name: round(value, 8) for name, value in metrics.items()}


def gate(scorer: PairScorer, fit: Calibration) -> None:
    """Refuse a scorer that is not fit to publish; the champion before it stays.

    Raises:
        ModelError: coefficients are not finite; the log-loss is worse than that of the mean purchase rate by more than
            chance (one standard error); or, with purchases enough to tell, the expected calibration error exceeds half
            of that rate.
    """
    rate = fit.positives / fit.rows
    if not np.isfinite(scorer.coefficients).all():
        raise ModelError("Gate: the ranker has coefficients that are not finite. The old champion stays.")
    if fit.log_loss > fit.prior_log_loss + fit.noise:
        raise ModelError(
            f"Gate: log-loss {fit.log_loss:.5f} on the calibration days is worse than {fit.prior_log_loss:.5f}, that "
            "of the mean purchase rate. The old champion stays."
        )
    if fit.positives >= LEAST_FOR_ECE and fit.ece > 0.5 * rate:
        raise ModelError(
            f"Gate: calibration error {fit.ece:.5f} exceeds half of the purchase rate {rate:.5f}. "
            "The old champion stays."
        )
