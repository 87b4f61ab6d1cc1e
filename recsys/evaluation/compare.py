"""Many models over many occasions: means with intervals, and what each has over the best single one, user by user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.evaluation.bootstrap import intervals
from recsys.evaluation.metrics import METRICS, user_metrics
from recsys.features.audience import FEW
from recsys.features.interactions import Interactions
from recsys.schema import USER_ID

HYBRID = "hybrid"
MODEL, OCCASION, SEGMENT = "model", "occasion", "segment"
WITHOUT, FEW_GROUPS, WITH_HISTORY = "without", "few", "with history"
ORDER_BY = "ndcg"
"""The single models are held against each other by this."""


@dataclass(frozen=True)
class Figure:
    """An estimate and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """What came out, by model and metric (names of ``METRICS``).

    Attributes:
        figures: means over users and occasions, with intervals.
        paired: the same users' difference to the model ``against``, with intervals; all models but that one.
        against: the best single model by NDCG; the hybrid is none.
        users: users (counted on each occasion) that were judged.
        about_lists: what is no mean over judged users: coverage and the like, by model.
    """

    k: int
    figures: Mapping[str, Mapping[str, Figure]]
    paired: Mapping[str, Mapping[str, Figure]]
    against: str
    users: int
    about_lists: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def models(self) -> dict[str, dict[str, float]]:
        """Figures by model: {"ndcg@k": .., "recall@k": .., "revenue@k": .., "users": .., and the others}."""
        found = {}
        for model, row in self.figures.items():
            found[model] = {f"{name}@{self.k}": figure.value for name, figure in row.items()}
            found[model] |= {f"{name}@{self.k}": v for name, v in self.about_lists.get(model, {}).items()}
            found[model]["users"] = self.users
        return found

    def as_dict(self) -> dict[str, object]:
        """{"models", "intervals": {model: {"ndcg@k": [low, high]}}, "paired": {"against", "models"}}."""

        def named(row: Mapping[str, Figure], whole: bool) -> dict[str, object]:
            return {
                f"{name}@{self.k}": {"difference": f.value, "low": f.low, "high": f.high}
                if whole
                else [f.low, f.high]
                for name, f in row.items()
            }

        return {
            "models": self.models(),
            "intervals": {model: named(row, False) for model, row in self.figures.items()},
            "paired": {
                "against": self.against,
                "models": {model: named(row, True) for model, row in self.paired.items()},
            },
        }


@dataclass(frozen=True)
class Occasion:
    """One making of lists: ``lists`` [user_id, item_id, rank] by model, and what was ``bought`` then
    [user_id, item_id, revenue, segment], segment being None or the kind of purchase it is."""

    name: str
    lists: Mapping[str, pd.DataFrame]
    bought: pd.DataFrame


def judge(occasions: Sequence[Occasion], k: int, segment: str | None = None) -> pd.DataFrame:
    """Judge every model on every occasion: [model, occasion, user_id, METRICS], a row per model and buyer.

    With ``segment`` by the purchases of that kind alone, and by those who made them.
    """
    parts = []
    for occasion in occasions:
        bought = occasion.bought
        if segment is not None:
            bought = bought[bought[SEGMENT] == segment]
        for name, frame in occasion.lists.items():
            rows = user_metrics(frame, bought, k).reset_index()
            parts.append(rows.assign(**{MODEL: name, OCCASION: occasion.name}))
    return pd.concat(parts, ignore_index=True)[[MODEL, OCCASION, USER_ID, *METRICS]]


def acquaintance(bought: pd.DataFrame, history: Interactions) -> pd.DataFrame:
    """``bought`` with its segment: by a user WITHOUT a history, with FEW_GROUPS, fewer than FEW, or WITH_HISTORY."""
    place = history.user_ids.get_indexer(pd.Index(bought[USER_ID]))
    groups = np.where(place >= 0, np.diff(history.matrix.indptr)[place], 0)
    kinds = np.array([WITHOUT, FEW_GROUPS, WITH_HISTORY], dtype=object)
    return bought.assign(**{SEGMENT: kinds[np.digitize(groups, [1, FEW])]})


def by_segment(occasions: Sequence[Occasion], k: int, seed: int) -> dict[str, dict[str, object]]:
    """Means and intervals by kind of purchase.

    Users are drawn as in ``compare``.

    Returns:
        {segment: {"purchases", "users", "models": {name: {"ndcg@k": ..}}, "intervals": {name: {"ndcg@k": [low,
        high]}}}}; users counted on each occasion.
    """
    bought = pd.concat([occasion.bought for occasion in occasions])
    found: dict[str, dict[str, object]] = {}
    for segment, purchases in bought[SEGMENT].value_counts(sort=False).sort_index().items():
        by_model = _by_model(judge(occasions, k, str(segment)))
        users = next(iter(by_model.values())).index.get_level_values(USER_ID).to_numpy(object)
        ends = intervals(np.hstack([table.to_numpy() for table in by_model.values()]), seed, users=users)
        names = [(model, f"{metric}@{k}") for model in by_model for metric in METRICS]
        means: dict[str, dict[str, float]] = {model: {} for model in by_model}
        bounds: dict[str, dict[str, list[float]]] = {model: {} for model in by_model}
        for (model, metric), value, low, high in zip(names, ends.value, ends.low, ends.high, strict=True):
            means[model][metric] = float(value)
            bounds[model][metric] = [float(low), float(high)]
        found[str(segment)] = {
            "purchases": int(purchases),
            "users": len(users),
            "models": means,
            "intervals": bounds,
        }
    return found


def _by_model(judged: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """METRICS by model, each by (occasion, user_id) in the same order."""
    return {
        str(name): rows.set_index([OCCASION, USER_ID])[list(METRICS)].sort_index()
        for name, rows in judged.groupby(MODEL, sort=False)
    }


def compare(
    judged: pd.DataFrame,
    k: int,
    seed: int,
    *,
    about_lists: Mapping[str, Mapping[str, float]] | None = None,
    whole: str = HYBRID,
    method: str = "bca",
) -> Comparison:
    """Means, intervals and paired differences of ``judged`` (rows of ``judge``, one after the other).

    Users are drawn whole, with all their occasions, and the same ones for every model. The model to beat is the
    single one with the highest NDCG on these very users, which favours it a little.

    Raises:
        ModelError: nobody was judged, or there is no single model to compare with.
    """
    names = list(dict.fromkeys(judged[MODEL]))
    singles = [name for name in names if name != whole]
    if judged.empty or not singles:
        raise ModelError("Nothing to compare: no user was judged, or there is no model beside the hybrid.")
    by_model = _by_model(judged)
    against = max(singles, key=lambda name: by_model[name][ORDER_BY].mean())
    best = by_model[against]
    users = best.index.get_level_values(USER_ID).to_numpy(object)

    def bounded(table: np.ndarray) -> dict[str, Figure]:
        found = intervals(table, seed, users=users, method=method)
        ends = zip(found.value, found.low, found.high, strict=True)
        return {name: Figure(*(float(v) for v in one)) for name, one in zip(METRICS, ends, strict=True)}

    return Comparison(
        k=k,
        figures={name: bounded(by_model[name].to_numpy()) for name in names},
        paired={
            name: bounded(by_model[name].to_numpy() - best.to_numpy()) for name in names if name != against
        },
        against=against,
        users=len(best),
        about_lists=about_lists or {},
    )


def mean_of(parts: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Mean over occasions of figures by model and name; NaN is no figure, and a name without any is left out."""
    found: dict[str, dict[str, float]] = {}
    for model in parts[0] if parts else ():
        table = pd.DataFrame([part[model] for part in parts])
        found[model] = {str(name): float(value) for name, value in table.mean().dropna().items()}
    return found
