"""From labelled pairs to a champion: retrievers, pair scorer, calibration on later days, gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
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
from recsys.ranking.boosted import LEAST_CLICKS, LEAST_PURCHASES, BoostedScorer, Growth, fit_boosted
from recsys.ranking.calibration import Calibration, calibration, log_losses, standard_error
from recsys.ranking.judge import Scorer
from recsys.ranking.leaks import refuse_leaks
from recsys.ranking.platt import PRIOR, fit_platt, log_price_of
from recsys.ranking.scorer import (
    CLICK_PENALTY,
    MEMORY,
    PURCHASE_PENALTY,
    PairScorer,
    calibrated,
    fit_scorer,
    remembering,
)
from recsys.ranking.segments import judge_segments, listed_as
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.tuned import UNTUNED, Tuned

MOST_GROUPS = 20_000
PAIRS_AT_ONCE = 200_000
ENOUGH_PURCHASES = 50
"""With fewer purchases in the gate half the ranker need not prove itself, only not fail: see ``gate``."""
LEAST_TO_COMPARE = 20
"""With fewer purchases on days that it has not seen, the champion is not compared."""
PROOF = 2.0
"""Standard errors that a difference of log-losses has to exceed to count."""


LATE_SHARE = 0.2
"""Trees stop growing by the last training days, the fewest that hold this share of the purchases."""
FeatureScorer = PairScorer | BoostedScorer
"""Rankers that are learned from PAIR_FEATURES."""


@dataclass(frozen=True)
class Examples:
    """Labelled pairs of one or more days: features [pairs, PAIR_FEATURES], outcomes, and whose pairs they are.

    ``clicked`` is None without clicks, ``position`` (in the list, from 1) where nothing was shown. ``day`` is the
    ordinal of the evening that the features are of; ``price``, ``category``, ``seller_is_new`` are the listing's.
    ``off_list`` marks pairs that stood on a page of a search or of browsing; None: all stood in lists.
    """

    features: np.ndarray
    purchased: np.ndarray
    users: np.ndarray
    clicked: np.ndarray | None = None
    position: np.ndarray | None = None
    day: np.ndarray | None = None
    price: np.ndarray | None = None
    category: np.ndarray | None = None
    seller_is_new: np.ndarray | None = None
    off_list: np.ndarray | None = None

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
            all_of([p.day for p in parts]),
            all_of([p.price for p in parts]),
            all_of([p.category for p in parts]),
            all_of([p.seller_is_new for p in parts]),
            all_of([p.off_list for p in parts]),
        )

    def take(self, chosen: np.ndarray) -> Examples:
        """The pairs under a mask, or at positions, ``chosen``."""
        values = (getattr(self, f.name) for f in fields(self))
        return Examples(*(None if v is None else v[chosen] for v in values))  # type: ignore[arg-type]

    @property
    def listed(self) -> Examples:
        """The pairs that stood in lists."""
        return self if self.off_list is None else self.take(~self.off_list)

    @property
    def late(self) -> np.ndarray:
        """Which pairs are of the last days: the fewest that hold LATE_SHARE of the purchases."""
        if self.day is None:
            return np.zeros(len(self.purchased), bool)
        order = np.argsort(-self.day, kind="stable")
        reached = np.searchsorted(np.cumsum(self.purchased[order]), LATE_SHARE * self.purchased.sum())
        return np.asarray(self.day >= self.day[order[min(reached, len(order) - 1)]])


def make_retrievers(item_unit: str, seed: int, chosen: Tuned = UNTUNED) -> dict[str, Recommender]:
    """The retrievers of the hybrid, unfitted, by name; a shop has one model more than once, with other settings.

    They have the values that ``recsys tune`` has ``chosen``.
    """
    models: list[Recommender] = [Popularity(), ItemKNN(), ALS(seed=seed), OwnHistory()]
    if item_unit != "item":
        return chosen.of({model.name: model for model in models})
    models += [EASE(), BasketEASE(), UserKNN(), Transition()]
    variants = {
        "ease_recent": EASE(regularization=30.0, half_life_days=90.0),
        "user_knn_recent": UserKNN(window_days=42),
    }
    return chosen.of({model.name: model for model in models} | variants)


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
    off_list: np.ndarray | None = None,
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
    return Examples(
        np.concatenate(parts),
        purchased,
        snapshot.audience.user_ids.to_numpy(object)[rows],
        clicked,
        position,
        day=np.full(len(rows), snapshot.ds.toordinal()),
        **listed_as(snapshot.shelf, items),
        off_list=off_list,
    )


def in_gate_half(users: np.ndarray) -> np.ndarray:
    """Which pairs judge the ranker: those of every other user by hash; the rest calibrate it. Same on every day."""
    ids, place = np.unique(users.astype(str), return_inverse=True)
    return np.array([crc32(f"gate {user}".encode()) >> 16 & 1 == 1 for user in ids], bool)[place]


def train_scorer(
    train: Examples,
    later: Examples,
    seed: int,
    *,
    kept: float = 1.0,
    champion: Scorer | None = None,
    champion_saw: int = 0,
    memory: float = MEMORY,
) -> tuple[FeatureScorer, dict[str, float]]:
    """Fit rankers on ``train``, keep the better one, calibrate it and pass the gate, on different users of ``later``.

    Pairs off lists teach the logistic regression alone; everything is calibrated and judged on lists.

    Half of the users of the ``later`` days calibrate each ranker and say which to keep: a logistic regression, or
    boosted trees where clicks and enough purchases are known and their log-loss is lower by more than chance. The other
    half is for the gate and the metrics; the ranker has seen nothing of it. Once they have passed, trees are calibrated
    on both halves, and a logistic regression is fitted again on all days.

    Args:
        train: pairs to learn from.
        later: pairs of later days.
        seed: of what is drawn.
        kept: share of the pairs without a purchase that ``train`` still holds; below 1 nothing is fitted again.
        champion: the scorer in place. If it is learned from the same features, it is judged on the same pairs.
        champion_saw: ordinal of the last evening that it has learned from; it is judged on later ones.
        memory: share of its weights that the logistic regression keeps (``remembering``).

    Raises:
        ModelError: no purchase to learn from or to calibrate on, a feature that knows the outcome, or the gate refused.
    """
    refuse_leaks(PAIR_FEATURES, train.features, train.purchased)
    shown = later.listed
    judges = in_gate_half(shown.users)
    half, unseen = shown.take(~judges), shown.take(judges)
    if not len(unseen.purchased):
        raise ModelError("No user is left to judge the ranker by. Train on more days.")
    fitted = partial(_fit_remembering, seed=seed, kept=kept, champion=champion, memory=memory)
    losses: dict[str, tuple[np.ndarray, FeatureScorer, FeatureScorer]] = {}
    refused = None
    rankers: list[FeatureScorer] = [fitted(train), *fit_trees(train.listed, seed)]
    for raw in rankers:
        try:
            ready = calibrate(raw, half)
        except ModelError as error:  # one that cannot be calibrated does not stop the other
            refused = error
            continue
        losses[raw.kind] = (log_losses(ready.predict(half.features), half.purchased), raw, ready)
    if refused is not None and not losses:
        raise refused
    _, best, judged = losses[_preferred({kind: loss for kind, (loss, _, _) in losses.items()}, half.users)]
    p = judged.predict(unseen.features)
    fit = calibration(p, unseen.purchased, rate=float(half.purchased.mean()), users=unseen.users)
    metrics = {
        "log_loss": fit.log_loss,
        "prior_log_loss": fit.prior_log_loss,
        "noise": fit.noise,
        "ece": fit.ece,
        "purchase_rate": fit.positives / fit.rows,
        "purchases": float(fit.positives),
    }
    metrics |= {f"{kind}_calibration_loss": float(loss.mean()) for kind, (loss, _, _) in losses.items()}
    behind = None
    fair = np.ones(len(p), bool) if unseen.day is None else unseen.day > champion_saw
    if isinstance(champion, FeatureScorer) and unseen.purchased[fair].sum() >= LEAST_TO_COMPARE:
        new = unseen.take(fair)
        theirs = log_losses(champion.predict(new.features), new.purchased)
        gap = log_losses(p[fair], new.purchased) - theirs
        behind = float(gap.mean()), standard_error(gap, new.users)
        metrics["champion_log_loss"] = float(theirs.mean())
        metrics["log_loss_beside_champion"] = float((theirs + gap).mean())
    gate(judged, fit, behind)
    metrics |= _judge_segments(p, unseen)
    told = {name: round(value, 8) for name, value in metrics.items()}
    if isinstance(best, PairScorer) and kept == 1.0:
        return _on_all_days(train, later, fitted), told
    return calibrate(best, shown), told


def _on_all_days(train: Examples, later: Examples, fitted: Callable[[Examples], PairScorer]) -> PairScorer:
    """The logistic regression that passed, fitted with the ``later`` days too: the nearest to those it is for.

    It is calibrated on what two others say of these days, each fitted with the other half of their users.
    """
    shown = later.listed
    judges, judges_shown = in_gate_half(later.users), in_gate_half(shown.users)
    raw = np.empty(len(judges_shown))
    for half, half_shown in ((judges, judges_shown), (~judges, ~judges_shown)):
        raw[half_shown] = fitted(Examples.join([train, later.take(~half)])).logit(shown.features[half_shown])
    platt = fit_platt(raw, log_price_of(PAIR_FEATURES, shown.features), shown.purchased)
    return replace(fitted(Examples.join([train, later])), platt=platt)


def _preferred(losses: Mapping[str, np.ndarray], users: np.ndarray) -> str:
    """Which ranker to keep: the first, unless a later one is ahead by more than PROOF standard errors over users.

    The lists of the next days hold what no list held before. Where the first, a straight line, goes on as it did, trees
    say what they said at the edge; so they have to prove their lead.
    """
    first, *others = losses
    for kind in others:
        lead = losses[first] - losses[kind]
        if lead.mean() > PROOF * standard_error(lead, users):
            return kind
    return first


def fit_trees(train: Examples, seed: int) -> list[BoostedScorer]:
    """Boosted trees fitted on ``train``, uncalibrated; none where there is not enough to learn from."""
    late = train.late
    if train.clicked is None or train.position is None:
        return []
    enough = train.purchased[~late].sum() >= LEAST_PURCHASES and train.clicked[~late].sum() >= LEAST_CLICKS
    if not enough or not train.purchased[late].any():
        return []
    return [
        fit_boosted(
            train.features,
            train.purchased,
            train.clicked,
            position=train.position,
            late=late,
            names=PAIR_FEATURES,
            seed=seed,
        )
    ]


def fit_logistic(pairs: Examples, seed: int, kept: float = 1.0) -> PairScorer:
    """A logistic regression fitted on ``pairs``, uncalibrated; ``kept`` as ``fit_scorer`` has it."""
    return fit_scorer(
        pairs.features,
        pairs.purchased,
        names=PAIR_FEATURES,
        rng=np.random.default_rng(seed),
        clicked=pairs.clicked,
        position=pairs.position,
        off_list=pairs.off_list,
        kept=kept,
    )


def _fit_remembering(
    pairs: Examples, *, seed: int, kept: float, champion: Scorer | None, memory: float
) -> PairScorer:
    fresh = fit_logistic(pairs, seed, kept)
    if isinstance(champion, PairScorer) and memory > 0:
        fresh = remembering(fresh, champion, memory)
    if not np.isfinite(fresh.coefficients).all():
        raise ModelError("The ranker has coefficients that are not finite. The old champion stays.")
    return fresh


def ranker_parameters(scorer: FeatureScorer, memory: float = MEMORY) -> dict[str, object]:
    """Kind of a ranker and the hyper-parameters that it was learned with, by name."""
    if isinstance(scorer, BoostedScorer):
        own: dict[str, object] = asdict(Growth())
    else:
        own = {"click_penalty": CLICK_PENALTY, "purchase_penalty": PURCHASE_PENALTY, "memory": memory}
    return {"kind": scorer.kind, **own, "calibration_penalty": PRIOR}


def calibrate(raw: FeatureScorer, later: Examples) -> FeatureScorer:
    """``raw`` calibrated on pairs of later days.

    Raises:
        ModelError: these days have no purchase, or the ranker orders them backwards.
    """
    if isinstance(raw, BoostedScorer):
        return raw.calibrated(later.features, later.purchased)
    return calibrated(raw, later.features, later.purchased)


def _judge_segments(p: np.ndarray, unseen: Examples) -> dict[str, float]:
    """The gate over price and segments, see ``judge_segments``; of replayed pairs it says the figures alone.

    Those are bought without having been shown: a ranker that begins on them is held to nothing by kind of listing, and
    the lists it makes are what its successor is judged by.
    """
    if unseen.price is None:
        return {"cells_judged": 0.0}
    assert unseen.seller_is_new is not None
    assert unseen.category is not None
    return judge_segments(
        p,
        unseen.purchased,
        unseen.users,
        price=unseen.price,
        category=unseen.category,
        seller_is_new=unseen.seller_is_new,
        may_refuse=unseen.position is not None,
    )


def gate(scorer: object, fit: Calibration, behind: tuple[float, float] | None = None) -> None:
    """Refuse a scorer that is not fit to publish; the champion before it stays.

    With ENOUGH_PURCHASES its log-loss has to be lower than that of one rate for all by more than PROOF standard
    errors, and its expected calibration error at most half of the purchase rate more than chance would make it. With
    fewer, which is a marketplace that has hardly begun, nothing could be proven: it is refused only if it is worse by
    more than one standard error.

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
    if enough and fit.ece - fit.ece_by_chance > 0.5 * rate:
        raise ModelError(
            f"Gate: calibration error {fit.ece:.5f}, of which chance makes {fit.ece_by_chance:.5f}, exceeds it by more "
            f"than half of the purchase rate {rate:.5f}. {stays}"
        )
    if behind is not None and behind[0] > PROOF * behind[1]:
        raise ModelError(
            f"Gate: log-loss on unseen users is worse than the champion's by {behind[0]:.5f} (standard error "
            f"{behind[1]:.5f}), on the days that the champion has not learned from. {stays}"
        )
