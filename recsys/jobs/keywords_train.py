"""Train the keyword retrievers and the keyword ranker; the ranker has to predict a later week to replace the last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_limits

from recsys.errors import KeywordError
from recsys.jobs.keywords_inputs import WEEK, fill, read_frames, read_variants
from recsys.keywords.backtest import System
from recsys.keywords.champion import KeywordModel, newest_day
from recsys.keywords.compare import weighted_auc, weighted_ece
from recsys.keywords.labels import Week, week
from recsys.keywords.ranker import KeywordRanker, week_features, week_knowledge
from recsys.keywords.rankers.logistic import Logistic
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

WEEKS = 8
LEAST_WEEKS = 3
"""Two to fit and calibrate the ranker, and a later one that it is judged on."""
CONFIDENT = 1.645
LEAST_CLICKS = 20
"""With fewer clicks on ads than this in those weeks nothing can be learned of them."""


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Train on the weeks up to ``ds`` and write the keyword model of ``ds``.

    The keyword features of earlier weeks that no run has built are built first, so that weeks may be run in any order.
    A marketplace without campaigns, or whose campaigns are too young or have ceased, gets no new model: that is told,
    and is no error. A ranker that predicts the clicks of the last week, which it has not seen, worse than one rate for
    all, by more than chance, is refused, and the model before stays.

    Raises:
        WarehouseError: the features or cleaned keywords of ``ds`` are missing.
    """
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        variants = read_variants(warehouse, ds)
        days = fill(warehouse, [ds - WEEK * back for back in range(WEEKS + 1)])
        frames = [read_frames(warehouse, day, ds, variants) for day in days]
    weeks = [week(eve, later) for eve, later in pairwise(frames)]
    shown = [one.outcomes["impressions"].sum() > 0 for one in weeks]
    weeks = weeks[shown.index(True) :] if any(shown) else []
    clicks = int(sum(one.outcomes["clicks"].sum() for one in weeks))
    if len(weeks) < LEAST_WEEKS or clicks < LEAST_CLICKS:
        return {"skipped": f"{len(weeks)} weeks of ads with {clicks} clicks are too few to learn from."}
    try:
        with threadpool_limits(limits=1):
            metrics = judge(weeks, settings.seed, settings.keyword_model)
            if metrics["behind"] > metrics["by_chance"]:
                kept = newest_day(settings.models_dir, ds)
                return {"refused": metrics, "kept": kept.isoformat() if kept else None}
            system = System.fit(frames[-len(weeks) - 1 :], seed=settings.seed, model=settings.keyword_model)
    except KeywordError as error:  # no ad was shown, or no campaign started, of late
        return {"skipped": str(error)}
    facts = {
        "ds": str(ds),
        "weeks": [str(one.ds) for one in weeks],
        "clicks": clicks,
        "ranker": settings.keyword_model,
        "seed": settings.seed,
        "metrics": metrics,
    }
    model = KeywordModel(system, {**facts, "coefficients": _coefficients(system.ranker)})
    folder = model.save(settings.models_dir, ds)
    found = len(model.system.retrieval.phrases)
    return {"model": model.label, "folder": str(folder), **facts, "keywords": found}


def _coefficients(ranker: KeywordRanker) -> dict[str, dict[str, float]]:
    """Weights per standard deviation of a feature, the heaviest first, of every part that is a logistic regression."""
    parts = {name: getattr(ranker, name) for name in ("click", "purchase", "winning", "relevance")}
    tables = {name: part.coefficients() for name, part in parts.items() if isinstance(part, Logistic)}
    return {
        name: dict(zip(table["feature"], table["weight"].round(4).tolist(), strict=True))
        for name, table in tables.items()
    }


def judge(weeks: Sequence[Week], seed: int, model: str = "logistic") -> dict[str, float]:
    """How a ranker of the weeks before the last predicts the clicks of that one.

    ``log_loss`` is per ad shown, ``log_loss_of_one_rate`` that of their one rate of clicks. ``behind`` is how much more
    the ranker loses, ``by_chance`` how much that is by chance alone at most, with 95 % confidence: ads of one campaign
    and keyword count as one draw. ``auc`` (left out without clicks) and ``ece`` are of clicks, ``purchase_ratio`` tells
    how many purchases were expected of the ads shown per purchase made.

    Raises:
        KeywordError: no ad was shown in the last week.
    """
    ranker = KeywordRanker.fit(weeks[:-1], model=model, seed=seed)
    last, before = weeks[-1], [one.outcomes for one in weeks[:-1]]
    shown = last.outcomes["impressions"].to_numpy(np.float64)
    if not shown.sum():
        raise KeywordError(f"No ad was shown in the week after {last.ds}; train on an earlier day.")
    clicked = np.minimum(last.outcomes["clicks"].to_numpy(np.float64), shown)
    p, bought = ranker.predict(week_features(last, week_knowledge(last)))
    rate = sum(part["clicks"].sum() for part in before) / sum(part["impressions"].sum() for part in before)
    losses, usual = _losses(p, clicked, shown), _losses(np.full(len(p), rate), clicked, shown)
    more = losses - usual
    figures = {
        "log_loss": float(losses.sum() / shown.sum()),
        "log_loss_of_one_rate": float(usual.sum() / shown.sum()),
        "behind": float(more.sum() / shown.sum()),
        "by_chance": float(CONFIDENT * np.sqrt(len(more)) * more.std() / shown.sum()),
        "auc": weighted_auc(p, clicked, shown),
        "ece": weighted_ece(p, clicked, shown),
        "purchase_ratio": float((shown * p * bought).sum() / max(last.outcomes["purchases"].sum(), 1)),
    }
    return {name: value for name, value in figures.items() if not np.isnan(value)}


def _losses(p: np.ndarray, clicked: np.ndarray, shown: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return -(clicked * np.log(p) + (shown - clicked) * np.log1p(-p))
