"""How a keyword would do for an item in a campaign: the chance of the slot, of a click, and of a purchase after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd

from recsys.errors import KeywordError
from recsys.keywords.features import FEATURES, Known, pair_features, word_counts
from recsys.keywords.labels import Week
from recsys.keywords.pairs import Pairs
from recsys.keywords.rankers import calibrate
from recsys.keywords.rankers.base import Examples, Model
from recsys.keywords.rankers.boosted import LightGBM, XGBoost
from recsys.keywords.rankers.calibrate import Curve
from recsys.keywords.rankers.logistic import Logistic
from recsys.keywords.rankers.network import Network, QuantisedNetwork
from recsys.keywords.relevance import fit_relevance, relevance_inputs
from recsys.keywords.winning import NAMES as WIN_NAMES
from recsys.keywords.winning import fit_winning, win_features
from recsys.models import store
from recsys.ranking.judge import Contributions, refuse_other_features
from recsys.ranking.platt import sigmoid
from recsys.schema import ITEM_ID

MODELS: Final[Mapping[str, Any]] = {
    model.kind: model for model in (Logistic, LightGBM, XGBoost, Network, QuantisedNetwork)
}
"""Models of clicks and purchases by name: classes of ``rankers.base.Model`` with a ``fit``."""
LATE: Final = 0.25
"""The part of the weeks, the last ones, that calibrates."""
SCORED: Final = (
    "p_click",
    "p_purchase",
    "p_win",
    "relevance",
    "covered_words",
    "title_words",
    "searches_7d",
    "searchers_7d",
    "category_conversion",
)
LEAST_CLICKS: Final = 100
"""Clicks after searches of a keyword in a category, of four weeks, below which no rate of purchases is told of them."""


@dataclass(frozen=True)
class KeywordRanker:
    """P(slot | search), P(click | ad shown), P(purchase | ad clicked) and relevance, of pairs of an item and a keyword.

    ``click`` and ``purchase`` are models of one kind, each with a ``curve`` that later weeks calibrated. The purchase
    model learns from clicked ads, whose clicks its features explain; its curve makes the *product* with P(click) right
    over all ads shown (entire-space, Ma et al., 2018), so that what is multiplied later is a rate of what was shown.
    """

    click: Model
    purchase: Model
    curves: tuple[Curve, Curve]
    winning: Logistic
    relevance: Logistic
    known: Known

    @classmethod
    def fit(
        cls,
        weeks: Sequence[Week],
        *,
        model: str = "logistic",
        seed: int,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Self:
        """Learn from the early weeks, calibrate on the last quarter of them (at least one).

        Args:
            weeks: in order of time, at least two.
            model: one of MODELS.
            seed: of every draw.
            parameters: of the model, by head (``click``, ``purchase``); what is missing stays at its default.

        Raises:
            KeywordError: fewer than two weeks, weeks out of order, an unknown model, or no ad shown in the early weeks.
        """
        _refuse(weeks, model)
        rng = np.random.default_rng(seed)
        late = max(1, round(LATE * len(weeks)))
        if not sum(week.outcomes["impressions"].sum() for week in weeks[:-late]):
            raise KeywordError("No ad was shown in the early weeks. Give more weeks, or later ones.")
        known = [week_knowledge(week) for week in weeks]
        inputs = [week_features(week, facts) for week, facts in zip(weeks, known, strict=True)]
        early = slice(0, len(weeks) - late)
        heads = {}
        for head, (good, tried) in HEADS.items():
            examples = examples_of(weeks[early], inputs[early], good, tried)
            chosen = dict((parameters or {}).get(head, {}))
            heads[head] = MODELS[model].fit(examples, FEATURES, seed=seed, **chosen)
        last = pd.concat([week.outcomes for week in weeks[-late:]], ignore_index=True)
        curves = fit_curves(heads, np.concatenate(inputs[-late:]), last, rng)
        relevance = fit_relevance(weeks, known, rng)
        logit = heads["click"].logit
        winning = _fit_winning(weeks, inputs, lambda features: curves[0](logit(features)))
        return cls(heads["click"], heads["purchase"], curves, winning, relevance, known[-1])

    def score(
        self,
        candidates: pd.DataFrame,
        items: pd.DataFrame,
        catalogue: pd.DataFrame,
        ad_rate: float | pd.Series,
    ) -> pd.DataFrame:
        """Candidates with SCORED beside them, in their order.

        p_click is per ad shown, p_purchase per click of it, p_win per search of the keyword: searches x p_win x p_click
        x p_purchase are purchases. ``relevance`` orders pairs by how well searchers of the keyword are served;
        ``covered_words`` are the words of the keyword that the item has, ``title_words`` those of its title, brand and
        size; ``category_conversion`` is purchases per click after searches of the keyword in the item's leaf category,
        as counted in four weeks, NaN where there were fewer than LEAST_CLICKS.

        Args:
            candidates: [item_id, keyword, ...].
            items: the items of the candidates, as of the day.
            catalogue: the keywords of the candidates, as of the day.
            ad_rate: the campaign's share of the price for the ad, one for all or by item_id.

        Raises:
            KeywordError: a candidate whose item is not among ``items``, or whose rate is not a share from 0 to 1.
        """
        if candidates.empty:
            return candidates.assign(**{name: pd.Series(dtype="float64") for name in SCORED})
        pairs, rate = Pairs.of(candidates, items, catalogue), _rates(candidates, ad_rate)
        if (pairs.item < 0).any():
            missing = candidates[ITEM_ID].to_numpy(object)[pairs.item < 0][0]
            raise KeywordError(f"Item {missing!r} has candidates but no row among the items; give its row.")
        features = pair_features(pairs, self.known)
        click, purchase = self.predict(features)
        winning = self.winning.logit(win_features(pairs, rate, np.log(click / (1 - click)), features))
        counts = word_counts(pairs)
        return candidates.assign(
            p_click=click,
            p_purchase=purchase,
            p_win=sigmoid(winning),
            relevance=sigmoid(self.relevance.logit(relevance_inputs(features))),
            covered_words=counts["shared"].astype(np.int64),
            title_words=counts["title_words"].astype(np.int64),
            searches_7d=pairs.of_keyword("searches_7d").astype(np.int64),
            searchers_7d=pairs.of_keyword("searchers_7d").astype(np.int64),
            category_conversion=_conversion(pairs),
        )

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Calibrated P(click | shown) and P(purchase | clicked) of ``features`` [pairs, FEATURES]: float64 each."""
        return (
            sigmoid(self.curves[0](self.click.logit(features))),
            sigmoid(self.curves[1](self.purchase.logit(features))),
        )

    def explain(self, features: np.ndarray) -> Contributions:
        """What each feature adds to the log-odds of a click, before calibration."""
        return self.click.explain(features)

    def save(self, folder: Path) -> None:
        """Write the ranker into ``folder``: arrays and a manifest, no pickle."""
        arrays = self.known.arrays()
        for name in _PARTS:
            arrays |= {f"{name}/{key}": value for key, value in getattr(self, name).arrays().items()}
        for name, curve in zip(HEADS, self.curves, strict=True):
            arrays |= curve.arrays(f"curve.{name}")
        store.save(folder, arrays, {"model": "keyword_ranker", "kind": self.click.kind})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a ranker back.

        Raises:
            ModelError: when it is damaged, or was trained on other features than this version computes.
            KeywordError: a kind of model that this version does not know.
        """
        kind = str(store.read_manifest(folder)["kind"])
        if kind not in MODELS:
            raise KeywordError(f"{folder} holds a keyword ranker {kind!r}; known are {', '.join(MODELS)}.")
        arrays = store.read_arrays(folder)

        def part(name: str) -> dict[str, np.ndarray]:
            return {
                key.partition("/")[2]: array for key, array in arrays.items() if key.startswith(f"{name}/")
            }

        click, purchase = (MODELS[kind].from_arrays(part(name)) for name in HEADS)
        refuse_other_features(click.names, FEATURES)
        curves = tuple(Curve.from_arrays(arrays, f"curve.{name}") for name in HEADS)
        winning, relevance = (Logistic.from_arrays(part(name)) for name in ("winning", "relevance"))
        refuse_other_features(winning.names, WIN_NAMES)
        return cls(click, purchase, (curves[0], curves[1]), winning, relevance, Known.from_arrays(arrays))


HEADS: Final = {"click": ("clicks", "impressions"), "purchase": ("purchases", "clicks")}
"""What is good, out of what, by model."""
_PARTS: Final = (*HEADS, "winning", "relevance")


def week_knowledge(week: Week) -> Known:
    """What was known on the eve of a week, beside the frames."""
    return Known.learn(week.items, week.catalogue, week.engaged, week.ads)


def week_features(week: Week, known: Known) -> np.ndarray:
    """The features of the outcomes of a week, as known on its eve: float32 [outcomes, FEATURES]."""
    return pair_features(Pairs.of(week.outcomes, week.items, week.catalogue), known)


def examples_of(weeks: Sequence[Week], inputs: Sequence[np.ndarray], good: str, tried: str) -> Examples:
    """``good`` out of ``tried`` of all weeks, without what was never tried."""
    outcomes = pd.concat([week.outcomes for week in weeks], ignore_index=True)
    all_tried = outcomes[tried].to_numpy(np.float64)
    all_good = np.minimum(outcomes[good].to_numpy(np.float64), all_tried)
    return Examples(np.concatenate(list(inputs)), all_good, all_tried).where(all_tried > 0)


def fit_curves(
    heads: Mapping[str, Model], features: np.ndarray, outcomes: pd.DataFrame, rng: np.random.Generator
) -> tuple[Curve, Curve]:
    """The curves of both heads, on later weeks than they were fitted on."""
    shown, clicked, bought = (
        outcomes[name].to_numpy(np.float64) for name in ("impressions", "clicks", "purchases")
    )
    clicked = np.minimum(clicked, shown)
    click = calibrate.calibrated(heads["click"].logit(features), clicked, shown, rng)
    p_click = sigmoid(click(heads["click"].logit(features)))
    # Each ad shown is expected p_click clicks: what was bought, out of these, is a rate of all that was shown.
    expected = np.maximum(shown * p_click, np.minimum(bought, shown))
    purchase = calibrate.calibrated(
        heads["purchase"].logit(features), np.minimum(bought, shown), expected, rng
    )
    return click, purchase


def _fit_winning(
    weeks: Sequence[Week], inputs: Sequence[np.ndarray], click: Callable[[np.ndarray], np.ndarray]
) -> Logistic:
    features = [
        win_features(
            Pairs.of(week.outcomes, week.items, week.catalogue),
            week.outcomes["ad_rate"].to_numpy(np.float64),
            click(rows),
            rows,
        )
        for week, rows in zip(weeks, inputs, strict=True)
    ]
    outcomes = pd.concat([week.outcomes for week in weeks], ignore_index=True)
    return fit_winning(np.concatenate(features), outcomes)


def _conversion(pairs: Pairs) -> np.ndarray:
    clicks, bought = pairs.in_category("clicks_28d"), pairs.in_category("purchases_28d")
    return np.where(clicks >= LEAST_CLICKS, np.minimum(bought / np.maximum(clicks, 1), 1.0), np.nan)


def _rates(candidates: pd.DataFrame, ad_rate: float | pd.Series) -> np.ndarray:
    if isinstance(ad_rate, pd.Series):
        rate = candidates[ITEM_ID].map(ad_rate).to_numpy(np.float64)
    else:
        rate = np.full(len(candidates), float(ad_rate))
    bad = ~((rate >= 0) & (rate <= 1))
    if bad.any():
        item = candidates[ITEM_ID].to_numpy(object)[bad][0]
        raise KeywordError(
            f"The ad rate of item {item!r} is {rate[bad][0]}; give a share of the price, from 0 to 1."
        )
    return rate


def _refuse(weeks: Sequence[Week], model: str) -> None:
    if model not in MODELS:
        raise KeywordError(f"No keyword ranker {model!r}; choose one of {', '.join(MODELS)}.")
    if len(weeks) < 2:
        raise KeywordError(
            f"A keyword ranker needs two weeks of ads or more, one to calibrate; got {len(weeks)}."
        )
    days = [week.ds for week in weeks]
    if days != sorted(set(days)):
        raise KeywordError(f"Weeks have to be in order of time, each once; got {', '.join(map(str, days))}.")
