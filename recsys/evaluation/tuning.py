"""Choosing hyper-parameters on later days that are not the test: a search with pruning, a budget, and a memory.

Each trial is judged on validation periods that follow one another, trained on what was before each. One that is behind
the median of the others after a period is given up (Akiba et al., 2019, "Optuna"; the sampler is TPE, Bergstra et al.,
2011). The first trial is the values in place, so the choice is never worse than they are on these periods; it is only
taken when it is better by more than PROOF standard errors of the difference over users: the best of many trials is
judged on the periods that chose it. What it is worth, only later days tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import optuna
import pandas as pd

from recsys.errors import ModelError
from recsys.evaluation.metrics import user_metrics
from recsys.evaluation.split import temporal_split
from recsys.features.interactions import Interactions
from recsys.models import Recommender
from recsys.schema import ITEM_ID, USER_ID

HALF_LIFE_DAYS = 30.0
STARTUP_TRIALS = 5
Value = float | int | str | bool


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, by their logarithm unless ``even``."""

    low: float
    high: float
    whole: bool = False
    even: bool = False


SPACES: dict[str, dict[str, Range | tuple[Value, ...]]] = {
    "popularity": {"half_life_days": Range(1.0, 60.0)},
    "item_knn": {"neighbours": Range(20, 400, whole=True), "distance": ("cosine", "bm25", "tfidf")},
    "als": {
        "factors": Range(16, 128, whole=True),
        "regularization": Range(0.005, 1.0),
        "alpha": Range(0.5, 40.0),
    },
    "ease": {"regularization": Range(10.0, 3_000.0), "log_weights": (True, False)},
    "own_history": {"half_life_days": Range(14.0, 720.0)},
    "user_knn": {"neighbours": Range(20, 400, whole=True), "half_life_days": Range(20.0, 365.0)},
    "basket_ease": {"regularization": Range(5.0, 1_000.0), "half_life_days": Range(30.0, 720.0)},
    "transition": {"regularization": Range(3.0, 1_000.0), "half_life_days": Range(30.0, 365.0)},
}
"""What is searched, by retriever and field."""


@dataclass(frozen=True)
class Fold:
    """One validation period: what was known before it, and what known users bought in it."""

    history: Interactions
    bought: pd.DataFrame


PROOF = 3.0
"""Standard errors that the best trial has to be ahead by. Of 30 trials that differ by chance alone, the best is ahead
by one in most searches."""


@dataclass(frozen=True)
class Chosen:
    """The outcome for one retriever: values to take ({} where those in place stay), and the figures behind it.

    ``value`` and ``default`` are the metric of the best trial and of the values in place, ``error`` the standard error
    of their difference over users; ``trials`` counts finished ones, ``pruned`` those given up.
    """

    values: Mapping[str, Value]
    value: float
    default: float
    error: float
    trials: int
    pruned: int


def periods(end: date, days: int, folds: int) -> list[tuple[date, date]]:
    """Validation periods of ``days`` days, oldest first, the last of which ends with ``end``: [first, last].

    Example:
        >>> [f"{first:%d} to {last:%d}" for first, last in periods(date(2026, 1, 31), 10, 2)]
        ['12 to 21', '22 to 31']
    """
    lasts = [end - timedelta(days=days * back) for back in range(folds - 1, -1, -1)]
    return [(last - timedelta(days=days - 1), last) for last in lasts]


def make_folds(actions: pd.DataFrame, parts: Sequence[tuple[date, date]], *, by_day: bool) -> list[Fold]:
    """Split ``actions`` [user_id, item_id, event_date, views, likes, carts, purchases, revenue] at each period.

    ``by_day``: a retriever learns from the days on which a user did something, as in a shop; else from one weight per
    user and item that fades, as where listings are one-off.

    Raises:
        ModelError: a period in which no known user bought anything.
    """
    found = []
    for first, last in parts:
        past = actions[actions["event_date"] < pd.Timestamp(first)]
        bought = temporal_split(actions[actions["purchases"] > 0], first, last + timedelta(days=1)).bought
        if bought.empty:
            raise ModelError(
                f"No user known before {first} bought anything from {first} to {last}; take longer periods, or others."
            )
        frame = _days(past) if by_day else _faded(past, first - timedelta(days=1))
        found.append(Fold(Interactions.from_frame(frame, as_of=first - timedelta(days=1)), bought))
    return found


def _days(past: pd.DataFrame) -> pd.DataFrame:
    weight = np.where(past["purchases"] > 0, 1.0, 0.1)
    return past[[USER_ID, ITEM_ID]].assign(weight=weight, timestamp=past["event_date"])


def _faded(past: pd.DataFrame, ds: date) -> pd.DataFrame:
    age = (pd.Timestamp(ds) - past["event_date"]).dt.days
    points = past["views"] + 3 * past["likes"] + 4 * past["carts"] + 8 * past["purchases"]
    rows = past.assign(weight=points * np.exp2(-age / HALF_LIFE_DAYS))
    grouped = rows.groupby([USER_ID, ITEM_ID], sort=True)
    frame = grouped.agg(weight=("weight", "sum"), timestamp=("event_date", "max")).reset_index()
    return frame[frame["weight"] > 0]


def _score(model: Recommender, fold: Fold, k: int, metric: str) -> pd.Series:
    users = np.sort(fold.bought[USER_ID].unique().astype(object))
    lists = model.fit(fold.history).recommend(list(users), k)
    return user_metrics(lists, fold.bought, k)[metric]


@dataclass(frozen=True)
class Task:
    """What is searched: ``space`` by field, the values in place, and ``score``, the metric of each user on a period.

    ``score(values, number)`` judges values on the validation period ``number`` of ``periods``.
    """

    name: str
    space: Mapping[str, Range | tuple[Value, ...]]
    in_place: Mapping[str, Value]
    score: Callable[[Mapping[str, Value], int], pd.Series]
    periods: int


def of_retriever(name: str, model: Recommender, folds: Sequence[Fold], k: int, metric: str) -> Task:
    """The search for the values of one retriever."""

    def score(values: Mapping[str, Value], number: int) -> pd.Series:
        return _score(replace(model, **values), folds[number], k, metric)

    space = SPACES[name]
    return Task(name, space, {field: getattr(model, field) for field in space}, score, len(folds))


def search(
    task: Task,
    *,
    label: str,
    study_name: str,
    storage: str | None,
    seed: int,
    seconds: float,
    most_trials: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Chosen:
    """Search a space until ``seconds`` are over or the study holds ``most_trials`` trials; ``label`` names the metric.

    A study in ``storage`` (an SQLAlchemy address; None for none) goes on where it was left: finished trials are neither
    lost nor made again.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    say = progress or (lambda message: None)
    study = optuna.create_study(
        study_name=study_name,
        storage=storage,
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
    )
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=STARTUP_TRIALS)
    if not study.trials:
        study.enqueue_trial(dict(task.in_place))
    else:
        say(f"{task.name}: going on after {len(study.trials)} trials")
    until = time.monotonic() + seconds
    while time.monotonic() < until or not _finished(study):
        if most_trials is not None and len(study.trials) >= most_trials and _finished(study):
            break
        study.optimize(lambda trial: _try(trial, task), n_trials=1)
        last = study.trials[-1]
        told = f"{last.value:.4f}" if last.state.name == "COMPLETE" else last.state.name.lower()
        say(f"{task.name}: trial {last.number} {label} {told}, best {study.best_value:.4f}")
    return _choose(study, task)


def _finished(study: optuna.Study) -> bool:
    return any(trial.state.name == "COMPLETE" for trial in study.trials)


def _try(trial: optuna.Trial, task: Task) -> float:
    values = {name: _suggest(trial, name, where) for name, where in task.space.items()}
    done: list[float] = []
    for number in range(task.periods):
        done.append(float(task.score(values, number).mean()))
        trial.report(float(np.mean(done)), number)
        if number < task.periods - 1 and trial.should_prune():
            raise optuna.TrialPruned
    return float(np.mean(done))


def _suggest(trial: optuna.Trial, name: str, where: Range | tuple[Value, ...]) -> Value:
    if isinstance(where, tuple):
        found = trial.suggest_categorical(name, where)
        assert isinstance(found, str | int | float | bool)
        return found
    if where.whole:
        return trial.suggest_int(name, int(where.low), int(where.high), log=not where.even)
    return trial.suggest_float(name, where.low, where.high, log=not where.even)


def _choose(study: optuna.Study, task: Task) -> Chosen:
    """The best values, if they beat those in place by more than PROOF errors of the difference."""
    values = {name: _rounded(value) for name, value in study.best_params.items()}
    best, base = (
        [task.score(given, number) for number in range(task.periods)] for given in (values, task.in_place)
    )
    gaps = [(b - a).to_numpy() for b, a in zip(best, base, strict=True)]
    error = float(np.sqrt(sum(g.var(ddof=1) / len(g) if len(g) > 1 else np.inf for g in gaps)) / len(gaps))
    gain = float(np.mean([g.mean() for g in gaps]))
    default = float(np.mean([b.mean() for b in base]))
    states = [trial.state.name for trial in study.trials]
    return Chosen(
        values=values if gain > PROOF * error else {},
        value=default + gain,
        default=default,
        error=error,
        trials=states.count("COMPLETE"),
        pruned=states.count("PRUNED"),
    )


def _rounded(value: Value) -> Value:
    return float(f"{value:.4g}") if isinstance(value, float) else value
