"""Learning the ranker of a shop from replayed evenings: boosted, calibrated on a later one, and held to a gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta

import lightgbm as lgb
import numpy as np

from recsys.errors import ModelError
from recsys.features.shop_pairs import SHOP_FEATURES
from recsys.ranking.calibration import calibration
from recsys.ranking.candidates import Quotas
from recsys.ranking.leaks import refuse_leaks
from recsys.ranking.segments import judge_segments
from recsys.ranking.shop_data import ShopData
from recsys.ranking.shop_evenings import Evening, Outcome, replay_evening
from recsys.ranking.shop_heads import (
    REGULAR,
    Boost,
    Boosts,
    Lessons,
    fit_back,
    fit_buys,
    fit_joined,
    fit_orders,
    fit_pays,
    returns,
    slope_of,
)
from recsys.ranking.shop_scorer import BACK, BUYS, PAYS, Joined, ShopScorer
from recsys.ranking.training import fit_retrievers, gate, in_gate_half, make_retrievers
from recsys.ranking.tuned import RANKER, UNTUNED, Tuned

Progress = Callable[[str], None] | None
SHOP_QUOTAS = Quotas(groups=80, per_group=1, categories=0, per_category=0, trending=80, per_seller=80)


@dataclass(frozen=True)
class Recipe:
    """How the evenings are replayed; chosen on the cuts of docs/evaluation.md.

    Attributes:
        horizon: days in which a purchase counts.
        step: days between two evenings; the horizon is a multiple of it. The newest evenings, whose horizon is not over
            yet, count with as many days as are.
        evenings: how many at most.
        least_evenings: fewer cannot be calibrated on a later one and hold enough.
        least_known: days of history that an evening has to have.
        least_purchases: fewer purchases after all evenings, counted by customer and item, and trees learn chance.
        kept: share of the candidates not bought that are learned from.
        customers: at most per evening, drawn by chance.
        judging: customers of the evening that calibrates and judges, at most, likewise.
    """

    horizon: int = 39
    step: int = 13
    evenings: int = 8
    least_evenings: int = 7
    least_known: int = 95
    least_purchases: int = 10_000
    kept: float = 0.3
    customers: int = 3_000
    judging: int = 1_500
    boosts: Boosts = field(default_factory=Boosts)

    def with_boosts(self, chosen: Tuned) -> Recipe:
        """With the sizes of trees that a search has chosen, named ``<model>_<field>``, as in ``boost_values``.

        Raises:
            ModelError: the file names a size that there is not.
        """
        values = chosen.values.get(RANKER, {})
        chosen.refuse_unknown(RANKER, values, set(boost_values(self.boosts)))
        sizes = {model.name: getattr(self.boosts, model.name) for model in fields(Boosts)}
        for name, value in values.items():
            model, _, size = name.partition("_")
            sizes[model] = replace(sizes[model], **{size: value})
        return replace(self, boosts=Boosts(**sizes))


def boost_values(boosts: Boosts) -> dict[str, float]:
    """Every size by ``<model>_<field>``.

    Example:
        >>> boost_values(Boosts())["buys_leaves"]
        63
    """
    return {
        f"{model.name}_{size.name}": getattr(getattr(boosts, model.name), size.name)
        for model in fields(Boosts)
        for size in fields(Boost)
    }


@dataclass(frozen=True)
class Planned:
    """An evening to replay: ``known`` days of its outcome are known."""

    ds: date
    known: int


def plan_evenings(first: date, ds: date, recipe: Recipe) -> list[Planned]:
    """The evenings to replay, newest first, for a history from ``first`` to ``ds``.

    Example:
        >>> plan_evenings(date(2025, 1, 1), date(2025, 12, 31), Recipe(evenings=1))
        [Planned(ds=datetime.date(2025, 12, 18), known=13)]
    """
    planned = []
    for number in range(1, recipe.evenings + 1):
        evening = ds - timedelta(days=number * recipe.step)
        if (evening - first).days + 1 >= recipe.least_known:
            planned.append(Planned(evening, min(recipe.horizon, number * recipe.step)))
    return planned


def too_small(data: ShopData, planned: Sequence[Planned], recipe: Recipe) -> str | None:
    """Why the shop is too small for boosted trees; None if it is not."""
    if len(planned) < recipe.least_evenings:
        needed = recipe.least_known + recipe.least_evenings * recipe.step
        return f"the history from {data.first_day} is shorter than {needed} days"
    pairs = sum(
        len(data.paid_between(e.ds, e.ds + timedelta(days=e.known)).drop_duplicates(["user_id", "item_id"]))
        for e in planned
    )
    if pairs < recipe.least_purchases:
        return f"{pairs} purchases after {len(planned)} evenings are fewer than {recipe.least_purchases}"
    return None


def train_boosted(
    data: ShopData,
    seed: int,
    *,
    planned: Sequence[Planned],
    recipe: Recipe,
    chosen: Tuned = UNTUNED,
    progress: Progress = None,
) -> tuple[ShopScorer, dict[str, object]]:
    """Replay the ``planned`` evenings, newest first, and learn from them; also what the manifest has to say of it.

    The evening a horizon ago calibrates and judges, on different customers of all kinds, what was learned from the
    evenings before it, by what was known on it. Then everything is learned again with the newer evenings, and
    calibrated with the two slopes and the level found on the customers of both halves.

    Raises:
        ModelError: a feature knows the outcome, or the gate refused.
    """
    say = progress or (lambda message: None)
    evenings = replay(data, seed, planned=planned, recipe=recipe, chosen=chosen, say=say)
    split = recipe.horizon // recipe.step
    older = evenings[split:]
    later = _replay(data, planned[split - 1], seed, recipe, chosen=chosen, say=say, everyone=True)
    say("Learning from the older evenings, to calibrate and judge on a later one")
    horizons = [
        e.known for e in planned[: len(older)]
    ]  # as far from the later evening as these from the data day
    judged = _judged(older, horizons, later, seed, recipe)
    metrics, joined = _calibrate(judged, later, recipe)
    del older, later
    scorer, pairs, purchases = learn(evenings, seed, recipe, joined, say)
    facts = {
        "metrics": metrics,
        "training_days": sorted(str(e.ds) for e in planned),
        "calibration_days": [str(planned[split - 1].ds)],
        "pairs": pairs,
        "purchases": purchases,
        "parameters": {
            "seed": seed,
            "item_unit": "item",
            "horizon_days": recipe.horizon,
            "kept": recipe.kept,
            "ranker": {"kind": scorer.kind, **REGULAR, **boost_values(recipe.boosts)},
        },
    }
    return scorer, facts


def replay(
    data: ShopData,
    seed: int,
    *,
    planned: Sequence[Planned],
    recipe: Recipe,
    chosen: Tuned = UNTUNED,
    say: Callable[[str], None],
) -> list[Evening]:
    """The ``planned`` evenings with the customers who came back after each."""
    return [_replay(data, evening, seed, recipe, chosen=chosen, say=say) for evening in planned]


def learn(
    evenings: list[Evening], seed: int, recipe: Recipe, joined: Joined, say: Callable[[str], None]
) -> tuple[ShopScorer, int, int]:
    """Fit all models on ``evenings``; also how many pairs they hold, and how many of them were bought.

    Raises:
        ModelError: a feature knows the outcome.
    """
    lessons = _lessons(evenings, [e.known for e in evenings], recipe)
    back = fit_back(*returns(evenings, recipe.horizon), recipe.boosts.back, seed)
    pairs = len(lessons.bought)
    say(f"Learning P(purchase) from {pairs:,} pairs")
    models = {BUYS: fit_buys(lessons, recipe.boosts.buys, seed), BACK: back}
    say("Learning the order")
    models |= fit_orders(lessons, recipe.boosts.orders, seed)
    say("Learning the amount")
    models[PAYS], smear = fit_pays(lessons, recipe.boosts.pays, seed)
    scorer = ShopScorer(models, slope_of(models, lessons), joined, smear, recipe.horizon)
    return scorer, pairs, int(lessons.bought.sum())


def _replay(
    data: ShopData,
    planned: Planned,
    seed: int,
    recipe: Recipe,
    *,
    chosen: Tuned,
    say: Callable[[str], None],
    everyone: bool = False,
) -> Evening:
    """One evening with the customers who came back after it, or with ``everyone`` and all of their candidates."""
    say(f"Replaying {planned.ds}" + (" with all customers" if everyone else ""))
    snapshot = data.snapshot(planned.ds)
    retrievers = fit_retrievers(make_retrievers("item", seed, chosen), snapshot.history)
    bought = data.paid_between(planned.ds, planned.ds + timedelta(days=planned.known))
    outcome = Outcome.of(snapshot, bought)
    rng = np.random.default_rng((seed, planned.ds.toordinal(), int(everyone)))
    users = np.arange(len(snapshot.audience)) if everyone else np.unique(outcome.rows)
    return replay_evening(
        snapshot,
        retrievers,
        outcome,
        _some(users, recipe.judging if everyone else recipe.customers, rng),
        known=planned.known,
        keep=1.0 if everyone else recipe.kept,
        rng=rng,
        quotas=SHOP_QUOTAS,
    )


def _some(users: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return users if len(users) <= most else np.sort(rng.choice(users, most, replace=False))


def _lessons(evenings: Sequence[Evening], horizons: Sequence[int], recipe: Recipe) -> Lessons:
    lessons = Lessons.of(evenings, horizons, recipe.kept)
    refuse_leaks(SHOP_FEATURES, lessons.features, lessons.bought)
    return lessons


def _judged(
    older: Sequence[Evening], horizons: Sequence[int], later: Evening, seed: int, recipe: Recipe
) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of the pairs of ``later`` and of their customers' return, by what the older evenings taught."""
    lessons = _lessons(older, horizons, recipe)
    buys = lgb.Booster(model_str=fit_buys(lessons, recipe.boosts.buys, seed))
    whole = [e for e, horizon in zip(older, horizons, strict=True) if horizon >= recipe.horizon]
    back = lgb.Booster(model_str=fit_back(*returns(whole, recipe.horizon), recipe.boosts.back, seed))
    users, place = np.unique(later.rows, return_inverse=True)
    pair = buys.predict(later.features, raw_score=True, num_threads=1)
    customer = back.predict(later.customers[users], raw_score=True, num_threads=1)
    return np.asarray(pair), np.asarray(customer)[place]


def _calibrate(
    judged: tuple[np.ndarray, np.ndarray], later: Evening, recipe: Recipe
) -> tuple[dict[str, float], Joined]:
    """Calibrate on half of the customers, judge on the other half, and calibrate on both."""
    pair, customer = judged
    bought = later.days <= recipe.horizon
    users = later.user_ids.to_numpy(object)[later.rows]
    judges = in_gate_half(users)
    if not bought[judges].any() or not bought[~judges].any():
        raise ModelError(
            f"Hardly anybody of {later.ds} bought anything in the {recipe.horizon} days after; train on more days."
        )
    half = fit_joined(pair[~judges], customer[~judges], bought[~judges])
    p = half.p(pair[judges], customer[judges])
    fit = calibration(p, bought[judges], rate=float(bought[~judges].mean()), users=users[judges])
    gate(half, fit)
    metrics = {
        "log_loss": fit.log_loss,
        "prior_log_loss": fit.prior_log_loss,
        "noise": fit.noise,
        "ece": fit.ece,
        "purchase_rate": fit.positives / fit.rows,
        "purchases": float(fit.positives),
    } | judge_segments(
        p,
        bought[judges],
        users[judges],
        price=later.price[judges],
        category=later.category[judges],
        seller_is_new=later.seller_is_new[judges],
    )
    return {name: round(value, 8) for name, value in metrics.items()}, fit_joined(pair, customer, bought)
