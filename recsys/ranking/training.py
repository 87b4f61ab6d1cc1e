"""From labelled pairs to a champion: retrievers, pair scorer, calibration on later days, gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from recsys.errors import ModelError
from recsys.features.interactions import Interactions
from recsys.features.pairs import PAIR_FEATURES, pair_features
from recsys.models import (
    ALS,
    EASE,
    BasketEASE,
    ItemKNN,
    OwnHistory,
    Popularity,
    Recommender,
    Transition,
    UserKNN,
)
from recsys.ranking.calibration import Calibration, calibration, log_losses, standard_error
from recsys.ranking.judge import Scorer
from recsys.ranking.scorer import PairScorer, calibrated, fit_scorer
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.tuned import tuned

MOST_GROUPS = 20_000
PAIRS_AT_ONCE = 200_000
ENOUGH_PURCHASES = 50
"""With fewer purchases in the gate half the ranker need not prove itself, only not fail: see ``gate``."""
PROOF = 2.0
"""Standard errors that a difference of log-losses has to exceed to count."""


@dataclass(frozen=True)
class Examples:
    """Labelled pairs of one or more days: features [pairs, PAIR_FEATURES], outcomes, and whose pairs they are.

    ``clicked`` is None without clicks, ``position`` (in the list, from 1) where nothing was shown.
    """

    features: np.ndarray
    purchased: np.ndarray
    users: np.ndarray
    clicked: np.ndarray | None = None
    position: np.ndarray | None = None

    @classmethod
    def join(cls, parts: Sequence[Examples]) -> Examples:
        """One after the other."""

        def all_of(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
            known = [array for array in arrays if array is not None]
            return np.concatenate(known) if len(known) == len(parts) else None

        return cls(
            np.concatenate([p.features for p in parts]),
            np.concatenate([p.purchased for p in parts]),
            np.concatenate([p.users for p in parts]),
            all_of([p.clicked for p in parts]),
            all_of([p.position for p in parts]),
        )


def make_retrievers(item_unit: str, seed: int) -> dict[str, Recommender]:
    """The retrievers of the hybrid, unfitted, by name; a shop has one model more than once, with other settings.

    Where ``recsys tune`` has chosen values for one, it has these (``ranking.tuned``).
    """
    models: list[Recommender] = [Popularity(), ItemKNN(), ALS(seed=seed), OwnHistory()]
    if item_unit != "item":
        return tuned({model.name: model for model in models}, item_unit)
    models += [EASE(), BasketEASE(), UserKNN(), Transition()]
    variants = {
        "ease_recent": EASE(regularization=30.0, half_life_days=90.0),
        "user_knn_recent": UserKNN(window_days=42),
    }
    return tuned({model.name: model for model in models} | variants, item_unit)


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
    position: np.ndarray | None = None,
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
    users = snapshot.audience.user_ids.to_numpy(object)[rows]
    return Examples(np.concatenate(parts), purchased, users, clicked, position)


def in_gate_half(users: np.ndarray) -> np.ndarray:
    """Which pairs judge the ranker: those of every other user by hash; the rest calibrate it. Same on every day."""
    ids, place = np.unique(users.astype(str), return_inverse=True)
    return np.array([crc32(f"gate {user}".encode()) >> 16 & 1 == 1 for user in ids], bool)[place]


def train_scorer(
    train: Examples, later: Examples, seed: int, kept: float = 1.0, champion: Scorer | None = None
) -> tuple[PairScorer, dict[str, float]]:
    """Fit on ``train``; calibrate on half of the users of ``later`` days; pass the gate on the other half.

    The metrics are those of the gate half, which the judged scorer has seen nothing of. A scorer that passes is then
    calibrated once more, on both halves. ``kept`` is the share of pairs without a purchase that ``train`` still holds;
    ``champion`` is the scorer in place, judged on the same pairs.

    Raises:
        ModelError: no purchase to learn from or to calibrate on, or the gate refused.
    """
    rng = np.random.default_rng(seed)
    raw = fit_scorer(
        train.features,
        train.purchased,
        names=PAIR_FEATURES,
        rng=rng,
        clicked=train.clicked,
        position=train.position,
        kept=kept,
    )
    judges = in_gate_half(later.users)
    judged = calibrated(raw, later.features[~judges], later.purchased[~judges])
    features, bought, users = (a[judges] for a in (later.features, later.purchased, later.users))
    if not len(bought):
        raise ModelError("No user is left to judge the ranker by. Train on more days.")
    p = judged.predict(features)
    fit = calibration(p, bought, rate=float(later.purchased[~judges].mean()), users=users)
    metrics = {
        "log_loss": fit.log_loss,
        "prior_log_loss": fit.prior_log_loss,
        "noise": fit.noise,
        "ece": fit.ece,
        "purchase_rate": fit.positives / fit.rows,
        "purchases": float(fit.positives),
    }
    behind = None
    if isinstance(champion, PairScorer):
        theirs = log_losses(champion.predict(features), bought)
        gap = log_losses(p, bought) - theirs
        behind = float(gap.mean()), standard_error(gap, users)
        metrics["champion_log_loss"] = float(theirs.mean())
    gate(judged, fit, behind)
    scorer = calibrated(raw, later.features, later.purchased)
    return scorer, {name: round(value, 8) for name, value in metrics.items()}


def gate(scorer: object, fit: Calibration, behind: tuple[float, float] | None = None) -> None:
    """Refuse a scorer that is not fit to publish; the champion before it stays.

    With ENOUGH_PURCHASES its log-loss has to be lower than that of one rate for all by more than PROOF standard
    errors, and its expected calibration error at most half of the purchase rate. With fewer, which is a marketplace
    that has hardly begun, nothing could be proven: it is refused only if it is worse by more than one standard error.

    Args:
        scorer: the scorer.
        fit: its fit to pairs that it has not seen.
        behind: by how much its log-loss on them is above that of the champion in place, and the standard error.

    Raises:
        ModelError: one of these is not met, it is behind the champion by more than PROOF standard errors, or
            coefficients are not finite.
    """
    stays = "The old champion stays."
    finite = not isinstance(scorer, PairScorer) or np.isfinite(scorer.coefficients).all()
    if not finite or not np.isfinite(fit.log_loss):
        raise ModelError(f"Gate: the ranker has coefficients that are not finite. {stays}")
    rate, lead = fit.positives / fit.rows, fit.prior_log_loss - fit.log_loss
    enough = fit.positives >= ENOUGH_PURCHASES
    if lead <= (PROOF if enough else -1.0) * fit.noise:
        raise ModelError(
            f"Gate: log-loss {fit.log_loss:.5f} on unseen users is "
            + ("not lower by more than chance than " if enough else "worse by more than chance than ")
            + f"{fit.prior_log_loss:.5f}, that of one rate for all (standard error {fit.noise:.5f}). {stays}"
        )
    if enough and fit.ece > 0.5 * rate:
        raise ModelError(
            f"Gate: calibration error {fit.ece:.5f} exceeds half of the purchase rate {rate:.5f}. {stays}"
        )
    if behind is not None and behind[0] > PROOF * behind[1]:
        raise ModelError(
            f"Gate: log-loss {fit.log_loss:.5f} on unseen users is worse than the champion's by {behind[0]:.5f} "
            f"(standard error {behind[1]:.5f}). {stays}"
        )
