"""Judge keyword lists of an evening by the campaigns that started in the week after it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from recsys.errors import KeywordError
from recsys.jobs.keywords_clean import variants_of
from recsys.jobs.keywords_inputs import WEEK, fill, read_frames
from recsys.jobs.keywords_score import set_rules
from recsys.jobs.keywords_train import WEEKS
from recsys.keywords.backtest import backtest
from recsys.keywords.trial import WITH_PROPOSED
from recsys.settings import Settings
from recsys.warehouse import open_warehouse


def run(
    settings: Settings, cut: date, until: date | None = None, k: int = 10
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What each system proposed on the evening of ``cut``, judged by what campaigns then sold with up to ``until``.

    Everything is learned from the weeks up to ``cut``; texts are cleaned anew, as known on each of the two days.
    Nothing is written but keyword features of days that lack them.

    Returns:
        A row per system, and the slices of the set, as of ``recsys.keywords.backtest.backtest``.

    Raises:
        KeywordError: ``until`` is less than a week after ``cut``, nothing is staged, or no campaign started.
    """
    end = until or cut + WEEK
    if end < cut + WEEK:
        raise KeywordError(
            f"The test ends on {end}, less than a week after {cut}; give --until {cut + WEEK} or later."
        )
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        days = fill(warehouse, [*(cut - WEEK * back for back in range(WEEKS + 1)), end])
        if cut not in days or end not in days:
            raise KeywordError(
                f"Searches of {cut} or {end} are not staged; run `recsys build staging` for them."
            )
        variants = variants_of(warehouse, settings, cut, None)
        past = [read_frames(warehouse, day, cut, variants) for day in days if day <= cut]
        later = read_frames(warehouse, end, end, variants_of(warehouse, settings, end, variants))
        eve = read_frames(warehouse, cut, end, variants)  # with the listings that were advertised since
        return backtest(
            past,
            later,
            eve=eve,
            seed=settings.seed,
            model=settings.keyword_model,
            rules=set_rules(settings),
            k=k,
        )


def print_figures(figures: pd.DataFrame, k: int, console: Console) -> None:
    """Print a row per system, simple ones first: how well it found what campaigns then sold with, and what it named.

    What sellers typed themselves comes first; beside it what counts keywords that were proposed to them too.
    """
    several, single, *with_proposed = (
        int(figures[f"{name}{end}"].iloc[0]) for end in ("", WITH_PROPOSED) for name in ("several", "single")
    )
    console.print(
        f"{several} campaigns sold with several keywords that their sellers typed (NDCG), {single} with one (MRR); "
        f"recall of both at {k}. With keywords that were proposed to them: {with_proposed[0]} and {with_proposed[1]}.",
        highlight=False,
    )
    columns = {
        "NDCG": f"ndcg@{k}",
        "MRR": f"mrr@{k}",
        "recall": f"recall@{k}",
        "NDCG with proposed": f"ndcg@{k}{WITH_PROPOSED}",
        "MRR with proposed": f"mrr@{k}{WITH_PROPOSED}",
        "relevance": "relevance",
        "phrases": "phrases",
    }
    table = Table("system", *columns, box=None)
    for row in figures.to_dict("records"):
        table.add_row(str(row["system"]), *(f"{row[name]:.3f}" for name in columns.values()))
    console.print(table)


def write_json(figures: pd.DataFrame, slices: pd.DataFrame, path: Path) -> None:
    """Write both tables of figures."""
    systems, parts = (table.to_json(orient="records") for table in (figures, slices))
    path.write_text(f'{{"systems": {systems},\n "slices": {parts}}}\n', encoding="utf-8")
