"""The commands ``recsys keywords ...``: keywords for sellers who advertise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recsys.cli.common import Ds, Warehouse, console, existing, json_file, progress, show
from recsys.errors import SettingsError
from recsys.settings import parse_ds

app = typer.Typer(no_args_is_help=True)


@app.command()
def clean(ds: Ds, warehouse: Warehouse = None) -> None:
    """Build the keyword features of a day, and bring what was searched and typed into one keyword each."""
    from recsys.jobs import keywords_clean as job
    from recsys.jobs.build import history
    from recsys.jobs.keywords_inputs import FEATURES

    settings, day = existing(warehouse), parse_ds(ds)
    show(history(settings, day, day, FEATURES))
    show(job.run(settings, day))


@app.command()
def train(ds: Ds, warehouse: Warehouse = None) -> None:
    """Train the keyword retrievers and the keyword ranker on the weeks up to a day, after `clean`."""
    from recsys.jobs import keywords_train as job

    show(job.run(existing(warehouse), parse_ds(ds)))


@app.command()
def score(
    ds: Ds,
    shard: Annotated[
        int | None,
        typer.Option(help="Make the lists of this shard only, as one task of the DAG does.", min=0),
    ] = None,
    champion: Annotated[
        str, typer.Option(help="With --shard: data day of the model. Empty: no lists.", metavar="DAY")
    ] = "",
    *,
    first_item: Annotated[str, typer.Option(help="With --shard: its first listing.", metavar="ID")] = "",
    last_item: Annotated[str, typer.Option(help="With --shard: its last listing.", metavar="ID")] = "",
    warehouse: Warehouse = None,
) -> None:
    """Choose keywords for every live listing, check and publish them, as the DAG keywords_weekly does."""
    from recsys.jobs import build, check, keywords_plan
    from recsys.jobs import keywords_score as job

    settings, day = existing(warehouse), parse_ds(ds)
    if shard is not None:
        show(job.run(settings, day, shard, champion, first_item=first_item, last_item=last_item))
        return
    if champion or first_item or last_item:
        raise SettingsError("--champion, --first-item and --last-item go with --shard.")
    shards = keywords_plan.run(settings, day)["shards"]
    assert isinstance(shards, list)
    for options in shards:
        progress(f"shard {options['shard']}: {job.run(settings, day, **options)}")
    show(check.run(settings, day, stage="keyword_lists"))
    show(build.run(settings, day, table="marts.keyword_recommendations"))
    show(check.run(settings, day, stage="published_keywords"))
    show(build.run(settings, day, table="monitoring.keyword_adoption"))


@app.command()
def recommend(
    item: Annotated[
        str, typer.Option(help="Id of a listing; one put up a minute ago will do.", metavar="ID")
    ],
    ad_rate: Annotated[
        float | None,
        typer.Option(help="Share of the price the campaign pays. Default: its own, or the usual."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Most that the campaign may cost. Default: no bound.")
    ] = None,
    ds: Annotated[
        str | None,
        typer.Option("--ds", help="What is known of keywords. Default: the newest.", metavar="DAY"),
    ] = None,
    *,
    json: Annotated[Path | None, json_file("the keywords")] = None,
    warehouse: Warehouse = None,
) -> None:
    """Propose keywords for a listing, with the profit to be expected of each, and why.

    Example: `recsys keywords recommend --item i0012345 --ad-rate 0.05`.
    """
    from recsys.jobs import keywords_item as job

    settings = existing(warehouse)
    rows = job.run(settings, item, parse_ds(ds) if ds else None, ad_rate=ad_rate, budget=budget)
    if json:
        job.write_json(rows, json)
    job.print_list(rows, settings.currency, console)


@app.command()
def backtest(
    cut: Annotated[
        str, typer.Option(help="Evening of the lists; everything is learned up to then.", metavar="DAY")
    ],
    until: Annotated[
        str | None, typer.Option(help="Last day of the test. Default: a week after the cut.", metavar="DAY")
    ] = None,
    k: Annotated[int, typer.Option(help="Places of a list that count.", min=1)] = 10,
    *,
    json: Annotated[Path | None, json_file("the figures")] = None,
    warehouse: Warehouse = None,
) -> None:
    """Judge keyword lists by the campaigns that started in the week after: every retriever, the ranker, the set.

    Example: `recsys keywords backtest --cut 2026-02-05`.
    """
    from recsys.jobs import keywords_backtest as job

    last = parse_ds(until) if until else None
    figures, slices = job.run(existing(warehouse), parse_ds(cut), last, k)
    if json:
        job.write_json(figures, slices, json)
    job.print_figures(figures, k, console)
