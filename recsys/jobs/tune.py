"""Search hyper-parameters on later days, and write what was chosen into a versioned file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import yaml
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.evaluation.metrics import METRICS
from recsys.evaluation.tuning import SPACES, Chosen, Task, make_folds, of_retriever, periods, search
from recsys.evaluation.tuning_ranker import of_ranker
from recsys.jobs.inputs import read_shop
from recsys.ranking.revenue import Money
from recsys.ranking.shop import ShopData
from recsys.ranking.training import make_retrievers
from recsys.ranking.tuned import RANKER, Tuned, read_entries
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


@dataclass(frozen=True)
class Search:
    """How it is searched: validation ``periods`` [first, last], length of lists, metric, and how long."""

    periods: list[tuple[date, date]]
    k: int
    metric: str
    minutes: float
    most_trials: int | None

    @property
    def end(self) -> date:
        """The last day that is read."""
        return self.periods[-1][1]

    @property
    def label(self) -> str:
        """Name of what is maximised."""
        return f"{self.metric}@{self.k}"


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
    shared evenly over ``models``, by default all retrievers; each finishes at least one trial. In a shop ``ranker`` may
    be named too. The search is kept in a database file beside the models: the same call goes on with it.
    Written: ``include/tuned/<item_unit>.yaml`` below the home, or ``into``; what is not searched now keeps its entry.

    Raises:
        ModelError: no such model or metric, too little history, or a file of chosen values that cannot be read.
    """
    chosen = Tuned.read(settings.tuned_path)
    path = into or settings.tuned_path
    read_entries(path)  # what cannot be added to is refused before the search
    base = make_retrievers(settings.item_unit, settings.seed, chosen)
    known = [name for name in base if name in SPACES]
    names = list(models) or known
    if settings.item_unit == "item":
        known.append(RANKER)
    for name in names:
        if name not in known:
            raise ModelError(f"Nothing is known of how to tune {name!r}; choose from {', '.join(known)}.")
    if metric not in METRICS:
        raise ModelError(f"No metric {metric!r}; choose one of {', '.join(METRICS)}.")
    how = Search(
        periods(ds - timedelta(days=keep), days, folds), k, metric, minutes / len(names), most_trials
    )
    found: dict[str, Chosen] = {}
    with threadpool_limits(limits=1):
        data = _data(settings, how.end)
        cases = make_folds(data.daily, how.periods, by_day=settings.item_unit == "item")
        for name in names:
            if name == RANKER:
                task = _ranker(settings, data, how, chosen, progress)
            else:
                task = of_retriever(name, base[name], cases, k, metric)
            found[name] = _searched(settings, task, how, progress)
    about: dict[str, object] = {
        "read_until": str(how.end),
        "metric": how.label,
        "validation": _told(how.periods),
    }
    _write(path, found, settings, about)
    gains = {
        name: f"{c.default:.4f} -> {c.value:.4f} {dict(c.values) or 'stays'}" for name, c in found.items()
    }
    return {"read_until": str(how.end), "metric": how.label, "written": str(path), **gains}


def _ranker(
    settings: Settings,
    data: ShopData,
    how: Search,
    chosen: Tuned,
    progress: Callable[[str], None] | None,
) -> Task:
    return of_ranker(
        data,
        how.periods,
        k=how.k,
        metric=how.metric,
        money=Money(settings.price_cap, settings.price_exponent),
        seed=settings.seed,
        chosen=chosen,
        say=progress or (lambda message: None),
    )


def _searched(settings: Settings, task: Task, how: Search, progress: Callable[[str], None] | None) -> Chosen:
    database = settings.files_dir / FOLDER / "optuna.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    first, last = how.periods[0]
    named = f"{settings.item_unit} {task.name} {how.end} {task.periods}x{(last - first).days + 1} {how.label}"
    return search(
        task,
        label=how.label,
        study_name=named,
        storage=f"sqlite:///{database.absolute()}",
        seed=settings.seed,
        seconds=60 * how.minutes,
        most_trials=how.most_trials,
        progress=progress,
    )


def _told(parts: list[tuple[date, date]]) -> list[str]:
    return [f"{first} to {last}" for first, last in parts]


def _data(settings: Settings, end: date) -> ShopData:
    """What was done up to ``end`` as it was known then, by item, or by the group that a listing had first."""
    with open_warehouse(settings) as warehouse:
        data = read_shop(warehouse, settings, end)
        if settings.item_unit == "group":
            first = end - timedelta(days=settings.history_days)
            groups = warehouse.query(_GROUPS, {"first": first}, ds=end).to_pandas()
            group_of = groups.set_index(ITEM_ID)[GROUP_ID]
            daily = data.daily.assign(item_id=data.daily[ITEM_ID].map(group_of)).dropna(subset=ITEM_ID)
            data = replace(data, daily=daily)
    if data.daily.empty:
        raise ModelError(f"Nothing is known up to {end}; build the staging tables up to it first.")
    return data


def _write(path: Path, found: dict[str, Chosen], settings: Settings, about: dict[str, object]) -> None:
    """Add what was chosen to the file; a later reader sees the old text or the new one."""
    entries = read_entries(path)
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
