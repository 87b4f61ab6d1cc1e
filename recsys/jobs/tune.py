"""Search the retrievers' hyper-parameters on later days, and write what was chosen into a versioned file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import yaml
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.evaluation.metrics import METRICS
from recsys.evaluation.tuning import SPACES, Chosen, make_folds, periods, search
from recsys.jobs.inputs import read_shop
from recsys.ranking.training import make_retrievers
from recsys.ranking.tuned import tuned_file
from recsys.schema import GROUP_ID, ITEM_ID
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

FOLDER = "_tuning"
_GROUPS = """
SELECT item_id, group_id
FROM features.item_group
WHERE ds BETWEEN @first AND @ds
QUALIFY ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY ds) = 1
ORDER BY item_id
"""
_HEAD = "# Written by `recsys tune`, read when retrievers are made. Judge by days after `read_until` alone.\n"


def run(
    settings: Settings,
    ds: date,
    minutes: float = 10.0,
    *,
    days: int = 14,
    folds: int = 2,
    keep: int = 14,
    k: int = 10,
    metric: str = "ndcg",
    models: tuple[str, ...] = (),
    most_trials: int | None = None,
    into: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, object]:
    """Choose values on ``folds`` periods of ``days`` days that end ``keep`` days before ``ds``.

    The last ``keep`` days are left for a test; nothing that happened or became known in them is read. The budget is
    shared evenly over the retrievers; each finishes at least one trial. The search is kept in a database file beside
    the models: the same call goes on with it. Written: ``include/tuned/<item_unit>.yaml``, or ``into``; retrievers not
    searched now keep their entry there.

    Raises:
        ModelError: no such retriever or metric, or too little history.
    """
    end = ds - timedelta(days=keep)
    base = make_retrievers(settings.item_unit, settings.seed)
    known = [name for name in base if name in SPACES]
    names = list(models) or known
    for name in names:
        if name not in known:
            raise ModelError(f"No retriever {name!r} to tune; choose from {', '.join(known)}.")
    if metric not in METRICS:
        raise ModelError(f"No metric {metric!r}; choose one of {', '.join(METRICS)}.")
    parts = periods(end, days, folds)
    cases = make_folds(_actions(settings, end), parts, by_day=settings.item_unit == "item")
    database = settings.files_dir / FOLDER / "optuna.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Chosen] = {}
    with threadpool_limits(limits=1):
        for name in names:
            found[name] = search(
                base[name],
                cases,
                k=k,
                metric=metric,
                study_name=f"{settings.item_unit} {name} {end} {folds}x{days} {metric}@{k}",
                storage=f"sqlite:///{database.absolute()}",
                seed=settings.seed,
                seconds=60 * minutes / len(names),
                most_trials=most_trials,
                progress=progress,
            )
    path = into or tuned_file(settings.item_unit)
    _write(
        path, found, settings, {"read_until": str(end), "metric": f"{metric}@{k}", "validation": _told(parts)}
    )
    gains = {
        name: f"{c.default:.4f} -> {c.value:.4f} {dict(c.values) or 'stays'}" for name, c in found.items()
    }
    return {"read_until": str(end), "metric": f"{metric}@{k}", "written": str(path), **gains}


def _told(parts: list[tuple[date, date]]) -> list[str]:
    return [f"{first} to {last}" for first, last in parts]


def _actions(settings: Settings, end: date) -> pd.DataFrame:
    """What was done up to ``end`` as it was known then, by item, or by the group that a listing had first."""
    with open_warehouse(settings) as warehouse:
        daily = read_shop(warehouse, settings, end).daily
        if settings.item_unit == "group":
            first = end - timedelta(days=settings.history_days)
            groups = warehouse.query(_GROUPS, {"first": first}, ds=end).to_pandas()
            group_of = groups.set_index(ITEM_ID)[GROUP_ID]
            daily = daily.assign(item_id=daily[ITEM_ID].map(group_of)).dropna(subset=ITEM_ID)
    if daily.empty:
        raise ModelError(f"Nothing is known up to {end}; build the staging tables up to it first.")
    return daily


def _write(path: Path, found: dict[str, Chosen], settings: Settings, about: dict[str, object]) -> None:
    """Add what was chosen to the file; a later reader sees the old text or the new one."""
    old = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    entries = dict((old or {}).get("models", {}))
    for name, chosen in found.items():
        values = dict(chosen.values) or entries.get(name, {}).get(
            "values", {}
        )  # what is in place may be chosen too
        figures = {
            key: round(value, 5) if isinstance(value, float) else value
            for key, value in asdict(chosen).items()
        }
        entries[name] = figures | {"values": values, "seed": settings.seed} | about
    text = _HEAD + yaml.safe_dump(
        {"item_unit": settings.item_unit, "models": dict(sorted(entries.items()))}, sort_keys=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
