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
        return backtest(past, later, eve=eve, seed=settings.seed, rules=set_rules(settings), k=k)


def print_figures(figures: pd.DataFrame, k: int, console: Console) -> None:
    """Print a row per system, simple ones first: how well it found what campaigns then sold with, and what it named."""
    several, single = (int(figures[name].iloc[0]) for name in ("several", "single"))
    console.print(
        f"{several} campaigns sold with several keywords (NDCG), {single} with one (MRR); recall of both at {k}.",
        highlight=False,
    )
    table = Table("system", "NDCG", "MRR", "recall", "relevance", "phrases", box=None)
    for row in figures.to_dict("records"):
        told = [row[name] for name in (f"ndcg@{k}", f"mrr@{k}", f"recall@{k}", "relevance", "phrases")]
        table.add_row(str(row["system"]), *(f"{value:.3f}" for value in told))
    console.print(table)


def write_json(figures: pd.DataFrame, slices: pd.DataFrame, path: Path) -> None:
    """Write both tables of figures."""
    systems, parts = (table.to_json(orient="records") for table in (figures, slices))
    path.write_text(f'{{"systems": {systems},\n "slices": {parts}}}\n', encoding="utf-8")
