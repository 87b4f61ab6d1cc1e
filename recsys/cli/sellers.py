"""The commands ``recsys sellers ...``: sellers worth following, for buyers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recsys.cli.common import Ds, Warehouse, console, existing, json_file, progress, show
from recsys.settings import parse_ds

app = typer.Typer(no_args_is_help=True)


@app.command()
def train(ds: Ds, warehouse: Warehouse = None) -> None:
    """Learn what the factors of a list are worth from the days up to a day; train_weekly does it."""
    from recsys.jobs import sellers_train as job

    show(job.run(existing(warehouse), parse_ds(ds)))


@app.command()
def score(ds: Ds, warehouse: Warehouse = None) -> None:
    """Make the lists of all active users, check them and publish them, as the DAG score_daily does."""
    from recsys.jobs import build, check
    from recsys.jobs import sellers_score as job

    settings, day = existing(warehouse), parse_ds(ds)
    for done in job.everybody(settings, day):
        progress(f"shard {done['shard']}: {done['users']} users, {done['rows']} rows")
    show(check.run(settings, day, stage="seller_lists"))
    show(build.run(settings, day, table="marts.seller_recommendations"))
    show(check.run(settings, day, stage="seller_published"))


@app.command()
def recommend(
    user: Annotated[str, typer.Option(help="Id of the user.", metavar="ID")],
    ds: Ds,
    places: Annotated[int, typer.Option(help="Places of the list to print.", min=1)] = 10,
    json: Annotated[Path | None, json_file("the whole list")] = None,
    warehouse: Warehouse = None,
) -> None:
    """Say which sellers a user would be shown on the day after, and why; the list is made anew.

    Example: `recsys sellers recommend --user u000889 --ds 2026-02-14`.
    """
    from recsys.jobs import sellers_score as job
    from recsys.jobs.sellers_look import print_list

    lists = job.one(existing(warehouse), parse_ds(ds), user)
    if json:
        lists.to_json(json, orient="records", date_format="iso", indent=2)
    print_list(lists, places, console)


@app.command()
def backtest(
    cut: Annotated[str, typer.Option(help="First day of the test period, YYYY-MM-DD.", metavar="DAY")],
    until: Annotated[str, typer.Option(help="Day after the last of the test period.", metavar="DAY")],
    k: Annotated[int, typer.Option(help="Length of the lists that are judged.", min=1)] = 10,
    json: Annotated[Path | None, json_file("the figures")] = None,
    warehouse: Warehouse = None,
) -> None:
    """Judge lists of the evening before a day by whom buyers newly followed or bought from since.

    Example: `recsys sellers backtest --cut 2026-02-08 --until 2026-02-15`.
    """
    from recsys.jobs import sellers_backtest as job

    found = job.run(existing(warehouse), parse_ds(cut), parse_ds(until), k, json_path=json, progress=progress)
    job.print_judged(found, k, console)
