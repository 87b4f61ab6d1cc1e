"""Boosted trees for P(click) and P(purchase | click), over every listing that was shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import lightgbm as lgb
import numpy as np

from recsys.errors import ModelError
from recsys.features.audience import Audience
from recsys.features.pairs import PAIR_FEATURES, pair_features
from recsys.features.shelf import ITEM_FEATURES, Shelf
from recsys.models import store
from recsys.ranking.calibration import log_losses
from recsys.ranking.judge import Contributions, Judged, refuse_other_features
from recsys.ranking.platt import Platt, fit_platt, log_odds, log_price_of, sigmoid

POSITION = "log_position"
MOST_NEGATIVES = 500_000
LEAST_PURCHASES, LEAST_CLICKS = 100, 1_000
"""With fewer of them to learn from, trees are not grown at all."""
STEEPEST = 30.0
LISTINGS_AT_ONCE = 200_000
"""Whose quality is computed: of ten million at once the features would take gigabytes."""


@dataclass(frozen=True)
class Growth:
    """How trees are grown: small steps and strong shrinkage, since purchases are few."""

    rounds: int = 150
    patience: int = 15
    learning_rate: float = 0.1
    click_leaves: int = 15
    purchase_leaves: int = 7
    least_in_leaf: int = 200
    shrinkage: float = 20.0
    bins: int = 63

    def parameters(self, leaves: int, seed: int) -> dict[str, Any]:
        """For LightGBM: one thread, the same trees every time."""
        return {
            "learning_rate": self.learning_rate,
            "num_leaves": leaves,
            "min_data_in_leaf": self.least_in_leaf,
            "lambda_l2": self.shrinkage,
            "max_bin": self.bins,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "boost_from_average": False,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "seed": seed,
            "verbosity": -1,
        }


@dataclass(frozen=True)
class BoostedScorer:
    """p = P(click) x P(purchase | click), both LightGBM (Ke et al., 2017), the product calibrated by ``platt``.

    Entire-space modelling (Ma et al., 2018): the second model is never fitted on clicked pairs alone, which are not a
    fair sample of those it is asked about. Its loss is that of the *product* over all pairs shown.

    ``levels`` are the log-odds that the two start from. The position in the list is the last feature of P(click);
    scoring fixes it at ``position``, its mean in training. ``kept`` is the share of pairs without a click that were
    trained on: P(click) is corrected by p / (p + (1 - p) / kept), and P(purchase | click) needs no correction.
    """

    kind: ClassVar[str] = "boosted"

    names: tuple[str, ...]
    models: tuple[str, str]
    levels: tuple[float, float]
    position: float
    kept: float = 1.0
    platt: Platt = field(default_factory=Platt)
    typical: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        """Parse the models once."""
        object.__setattr__(self, "_boosters", tuple(lgb.Booster(model_str=text) for text in self.models))

    def _log_odds(self, number: int, features: np.ndarray) -> np.ndarray:
        booster: lgb.Booster = self._boosters[number]  # type: ignore[attr-defined]
        raw = booster.predict(self._input(number, features), raw_score=True, num_threads=1)
        return np.asarray(raw, np.float64) + self.levels[number]

    def _input(self, number: int, features: np.ndarray) -> np.ndarray:
        if number:
            return features
        place = np.full((len(features), 1), self.position, np.float32)
        return np.hstack([features, place])

    def click(self, features: np.ndarray) -> np.ndarray:
        """P(click) of pairs with ``features`` [pairs, names] at the mean position: float64."""
        if not len(features):
            return np.zeros(0)
        return sigmoid(self._log_odds(0, features) + np.log(self.kept))

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Promised probability of a purchase for each row of ``features`` [pairs, names]: float64 in (0, 1)."""
        return np.minimum(self._both(features)[1], self.platt.most)

    def _both(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        click = self.click(features)
        if not len(features):
            return click, click
        raw = log_odds(click * sigmoid(self._log_odds(1, features)))
        logit = self.platt.logit(raw, log_price_of(self.names, features))
        return click, sigmoid(np.clip(logit.astype(np.float64), -STEEPEST, STEEPEST))

    def judge(
        self,
        shelf: Shelf,
        audience: Audience,
        rows: np.ndarray,
        items: np.ndarray,
        retrieved: Mapping[str, np.ndarray],
    ) -> Judged:
        """Judge pairs, see ``judge.Scorer``."""
        click, bought = self._both(pair_features(shelf, audience, rows, items, retrieved))
        return Judged(bought, p_click=np.maximum(click, bought), most=self.platt.most)

    def contributions(
        self,
        shelf: Shelf,
        audience: Audience,
        rows: np.ndarray,
        items: np.ndarray,
        retrieved: Mapping[str, np.ndarray],
    ) -> Contributions:
        """What each feature adds to the log-odds of a click and of a purchase after it (TreeSHAP, Lundberg et al.,
        2020), and price through the calibration; what the product of the two takes away again is in the base."""
        return self.explain(pair_features(shelf, audience, rows, items, retrieved))

    def explain(self, features: np.ndarray) -> Contributions:
        """``contributions`` of pairs with ``features`` [pairs, names]."""
        values = np.zeros((len(features), len(self.names)))
        if not len(features):
            return Contributions(self.names, values, np.zeros(0))
        for number, booster in enumerate(self._boosters):  # type: ignore[attr-defined]
            shares = booster.predict(self._input(number, features), pred_contrib=True, num_threads=1)
            values += self.platt.slope * np.asarray(shares)[:, : len(self.names)]
        price = log_price_of(self.names, features)
        if "log_price" in self.names:
            values[:, self.names.index("log_price")] += self.platt.tilt * price
        return Contributions(self.names, values, log_odds(self._both(features)[1]) - values.sum(axis=1))

    def quality(self, shelf: Shelf) -> np.ndarray:
        """Log-odds of each listing for a pair that is typical in all else, see ``judge.Scorer``."""
        first = self.names.index(ITEM_FEATURES[0])
        out = np.empty(len(shelf))
        for start in range(0, len(shelf), LISTINGS_AT_ONCE):
            part = shelf.features[start : start + LISTINGS_AT_ONCE]
            features = np.repeat(self.typical[None, :], len(part), axis=0)
            features[:, first : first + len(ITEM_FEATURES)] = part
            out[start : start + len(part)] = log_odds(self._both(features)[1])
        return out

    def save(self, folder: Path) -> None:
        """Write the scorer into ``folder``: LightGBM's text as bytes, the rest as arrays."""
        texts = {
            name: np.frombuffer(text.encode(), np.uint8)
            for name, text in zip(("click", "purchase"), self.models, strict=True)
        }
        numbers = np.array([*self.levels, self.position, self.kept, *astuple(self.platt)])
        names = np.array(self.names, dtype=object)
        arrays = {**texts, "names": names, "numbers": numbers, "typical": self.typical}
        store.save(folder, arrays, {"model": self.kind})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a scorer back.

        Raises:
            ModelError: when it is damaged, or was trained on other features than this version computes.
        """
        arrays = store.read_arrays(folder)
        names = tuple(arrays["names"])
        refuse_other_features(names, PAIR_FEATURES)
        click, bought, position, kept, *platt = (float(x) for x in arrays["numbers"])
        models = (arrays["click"].tobytes().decode(), arrays["purchase"].tobytes().decode())
        return cls(names, models, (click, bought), position, kept, Platt(*platt), arrays["typical"])

    def calibrated(self, features: np.ndarray, purchased: np.ndarray) -> Self:
        """The same trees, calibrated on pairs of later days.

        Raises:
            ModelError: these days have no purchase, or the scorer orders them backwards.
        """
        plain = replace(self, platt=Platt())
        price = log_price_of(self.names, features)
        return replace(self, platt=fit_platt(log_odds(plain.predict(features)), price, purchased))


def fit_boosted(
    features: np.ndarray,
    purchased: np.ndarray,
    clicked: np.ndarray,
    *,
    position: np.ndarray,
    late: np.ndarray,
    names: tuple[str, ...],
    seed: int,
    growth: Growth | None = None,
) -> BoostedScorer:
    """Grow both models on pairs that were shown, uncalibrated: ``features`` [pairs, names], outcomes 0/1.

    ``late`` marks the last days of the pairs: growth stops when the loss on them no longer falls. A purchase counts as
    a click. Pairs without either beyond MOST_NEGATIVES are sampled.

    Raises:
        ModelError: fewer than LEAST_PURCHASES purchases or LEAST_CLICKS clicks, or no day to stop on.
    """
    bought, opened = purchased > 0, (clicked > 0) | (purchased > 0)
    if bought[~late].sum() < LEAST_PURCHASES or opened[~late].sum() < LEAST_CLICKS or not bought[late].any():
        raise ModelError(
            f"Trees need {LEAST_PURCHASES} purchases and {LEAST_CLICKS} clicks, and a purchase on the last days; "
            f"found {int(bought[~late].sum())}, {int(opened[~late].sum())} and {int(bought[late].sum())}."
        )
    keep, kept = sample_negatives(opened, MOST_NEGATIVES, np.random.default_rng(seed))
    features, bought, opened, late = features[keep], bought[keep], opened[keep], late[keep]
    place = np.log1p(position[keep, None]).astype(np.float32)
    trees = _Trees(np.hstack([features, place]), late, growth or Growth(), seed)
    levels = (
        float(log_odds(opened[~late].mean()[None])[0]),
        float(log_odds((bought[~late].sum() / opened[~late].sum())[None])[0]),
    )
    click, logit = trees.grow(opened, levels[0])
    purchase = _Trees(features, late, growth or Growth(), seed).grow_after(bought, sigmoid(logit), levels[1])
    typical = np.median(features, axis=0).astype(np.float32)
    return BoostedScorer(names, (click, purchase), levels, float(place.mean()), kept, typical=typical)


def sample_negatives(positive: np.ndarray, most: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Places of all positives and of at most ``most`` others, ascending, and the share of the others that is kept."""
    negatives = np.flatnonzero(~positive)
    if len(negatives) <= most:
        return np.arange(len(positive)), 1.0
    chosen = rng.choice(negatives, most, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(positive), chosen])), most / len(negatives)


class _Trees:
    """Grows models on the early pairs and stops on the late ones."""

    def __init__(self, features: np.ndarray, late: np.ndarray, growth: Growth, seed: int) -> None:
        self.features, self.late, self.growth, self.seed = features, late, growth, seed

    def grow(self, outcome: np.ndarray, level: float) -> tuple[str, np.ndarray]:
        """A model of ``outcome`` as text, and its log-odds of all pairs."""
        parameters = self.growth.parameters(self.growth.click_leaves, self.seed)
        booster = self._train({**parameters, "objective": "binary"}, outcome, level, None)
        text = booster.model_to_string(num_iteration=booster.best_iteration)
        raw = booster.predict(self.features, raw_score=True, num_iteration=booster.best_iteration)
        return text, np.asarray(raw) + level

    def grow_after(self, outcome: np.ndarray, click: np.ndarray, level: float) -> str:
        """A model of ``outcome`` given a click, by the loss of ``click`` x its probability over all pairs."""

        def objective(raw: np.ndarray, data: lgb.Dataset) -> tuple[np.ndarray, np.ndarray]:
            return product_gradients(raw, click[~self.late], outcome[~self.late])

        def loss(raw: np.ndarray, data: lgb.Dataset) -> tuple[str, float, bool]:
            p = click[self.late] * sigmoid(raw)
            return "loss", float(log_losses(p, outcome[self.late]).mean()), False

        parameters = self.growth.parameters(self.growth.purchase_leaves, self.seed + 1)
        parameters |= {"objective": objective, "metric": "None", "min_sum_hessian_in_leaf": 1e-2}
        booster = self._train(parameters, outcome, level, loss)
        return str(booster.model_to_string(num_iteration=booster.best_iteration))

    def _train(self, parameters: dict[str, Any], outcome: np.ndarray, level: float, loss: Any) -> lgb.Booster:
        early, late = ~self.late, self.late
        # bins of the parameters are those of the data, so they go along
        data = lgb.Dataset(
            self.features[early],
            outcome[early].astype(np.float32),
            init_score=np.full(int(early.sum()), level),
            params={name: v for name, v in parameters.items() if name != "objective"},
        )
        check = lgb.Dataset(
            self.features[late],
            outcome[late].astype(np.float32),
            init_score=np.full(int(late.sum()), level),
            reference=data,
        )
        return lgb.train(
            parameters,
            data,
            self.growth.rounds,
            valid_sets=[check],
            feval=loss,
            callbacks=[lgb.early_stopping(self.growth.patience, verbose=False)],
        )


def product_gradients(
    raw: np.ndarray, click: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First and expected second derivative, by ``raw``, of the log-loss of p = click x sigmoid(raw).

    d/draw -log p = -(1 - q); d/draw -log(1 - p) = p (1 - q) / (1 - p); the Fisher information is p (1 - q)^2 / (1 - p).
    """
    q = sigmoid(raw)
    p = np.minimum(click * q, 1 - 1e-7)
    lost = p * (1 - q) / (1 - p)
    return np.where(outcome > 0, q - 1, lost), np.maximum(lost * (1 - q), 1e-9)
