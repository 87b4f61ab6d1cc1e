"""Judge models and policies, and tune them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from recsys.cli.common import Ds, Warehouse, console, existing, json_file, progress, show
from recsys.settings import parse_ds

app = typer.Typer()


@app.command()
def backtest(
    cut: Annotated[str, typer.Option(help="First day of the test period, YYYY-MM-DD.", metavar="DAY")],
    until: Annotated[str, typer.Option(help="Day after the last of the test period.", metavar="DAY")],
    k: Annotated[int, typer.Option(help="Length of the lists that are judged.", min=1)] = 10,
    json: Annotated[Path | None, json_file("the figures")] = None,
    *,
    origins: Annotated[
        int | None,
        typer.Option(
            help="Parts of the period that get lists of their own. Default: one a day; of a shop or by group, one.",
            min=1,
        ),
    ] = None,
    by_group: Annotated[
        bool, typer.Option("--by-group", help="Judge groups of listings, not the live listings themselves.")
    ] = False,
    users: Annotated[
        int | None,
        typer.Option(
            help="Of a marketplace: list for so many users a day and all buyers. Default: all.", min=1
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a marketplace: a model to judge beside the hybrid's retrievers; may be repeated. Default: "
            "trending, user_knn, ease, gf_cf, bpr."
        ),
    ] = None,
    warehouse: Warehouse = None,
) -> None:
    """Train on all before a day, test on what customers bought from then on; prints a row per model.

    Example: `recsys backtest --cut 2011-11-01 --until 2011-12-10 --k 10 --json figures.json`.
    """
    from recsys.evaluation.market import OTHERS
    from recsys.jobs import backtest as job

    settings = existing(warehouse)
    figures = job.run(
        settings,
        parse_ds(cut),
        parse_ds(until),
        k,
        origins=origins,
        by_group=by_group,
        most_users=users,
        others=tuple(model or OTHERS),
        json_path=json,
        progress=progress,
    )
    job.print_figures(figures, k, console)


@app.command()
def evaluate(
    ds: Ds,
    days: Annotated[int, typer.Option(help="Days up to then whose lists are judged.", min=1)] = 5,
    users: Annotated[
        int, typer.Option(help="Users a day to make lists for, beside every buyer.", min=1)
    ] = 1_000,
    k: Annotated[int, typer.Option(help="Places of a list that are judged.", min=1)] = 10,
    warehouse: Warehouse = None,
) -> None:
    """Write the evaluation report up to a day: figures with intervals, calibration, who is shown, projected revenue.

    The lists are made anew by the champion of each evening; nothing is trained.
    """
    from recsys.jobs import evaluation as job

    show(job.run(existing(warehouse), parse_ds(ds), days=days, users=users, k=k, progress=progress))


@app.command("off-policy")
def off_policy(
    ds: Ds,
    days: Annotated[int, typer.Option(help="Days of the log, up to --ds.", min=1)] = 7,
    *,
    lists: Annotated[
        Path | None,
        typer.Option(
            help="Lists of the policy to judge: Parquet or CSV with user_id, item_id, rank, for several evenings ds, "
            "and optionally expected. Default: the best of what could be drawn, at every drawn place."
        ),
    ] = None,
    reward: Annotated[
        Literal["revenue", "purchases", "clicks"], typer.Option(help="What is counted.")
    ] = "revenue",
    model: Annotated[
        Literal["item", "item-position"],
        typer.Option(help="What a reward depends on: the item alone, or also which drawn place it has."),
    ] = "item",
    clip: Annotated[float | None, typer.Option(help="Largest weight that counts. Default: none.")] = None,
    cap: Annotated[
        float | None, typer.Option(help="Largest payment that counts. Default: the price cap of the ranking.")
    ] = None,
    interval: Annotated[
        Literal["log", "normal", "bootstrap"],
        typer.Option(help="How intervals are made, users being the draws."),
    ] = "log",
    support: Annotated[
        float, typer.Option(help="Share of the policy that has to have been possible.", min=0.0, max=1.0)
    ] = 0.5,
    warehouse: Warehouse = None,
) -> None:
    """Judge a policy by yesterday's logs: IPS, SNIPS and doubly robust estimates at the places that are drawn."""
    from recsys.jobs import off_policy as job

    question = job.Question(reward, model, clip, cap, interval, support)
    show(job.run(existing(warehouse), parse_ds(ds), days, lists, question))


@app.command()
def tune(
    ds: Ds,
    minutes: Annotated[float, typer.Option(help="Time to search, shared by what is tuned.", min=0.0)] = 10.0,
    days: Annotated[int, typer.Option(help="Days of a validation period.", min=1)] = 14,
    folds: Annotated[int, typer.Option(help="Validation periods, one after the other.", min=1)] = 2,
    keep: Annotated[int, typer.Option(help="Last days that are left for a test and not read.", min=1)] = 14,
    *,
    k: Annotated[int, typer.Option(help="Length of the lists that are judged.", min=1)] = 10,
    metric: Annotated[str, typer.Option(help="What is maximised: ndcg, recall, revenue, ...")] = "ndcg",
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A retriever to tune, or of a shop the ranker; may be repeated. Default: all retrievers."
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            help="File to write. Default: include/tuned/ITEM_UNIT.yaml, which training reads.", dir_okay=False
        ),
    ] = None,
    warehouse: Warehouse = None,
) -> None:
    """Search the settings of retrievers and ranker on later days; the same command goes on where it was stopped."""
    from recsys.jobs import tune as job

    show(
        job.run(
            existing(warehouse),
            parse_ds(ds),
            minutes,
            days=days,
            folds=folds,
            keep=keep,
            k=k,
            metric=metric,
            models=tuple(model or ()),
            into=into,
            progress=progress,
        )
    )
