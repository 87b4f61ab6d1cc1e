"""What the DAGs do every day or week, by hand: tables, checks, models, lists."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys.cli.common import Ds, Warehouse, existing, progress, show
from recsys.errors import QualityError, SettingsError
from recsys.settings import parse_ds

app = typer.Typer()


@app.command()
def build(
    tables: Annotated[
        list[str], typer.Argument(help="Tables to build, like features.user_daily, or a dataset.")
    ],
    ds: Ds,
    until: Annotated[
        str | None, typer.Option(help="Build every day from --ds to this one.", metavar="DAY")
    ] = None,
    refresh: Annotated[
        bool, typer.Option(help="Take snapshots of the source again, even if they exist.")
    ] = False,
    warehouse: Warehouse = None,
) -> None:
    """Build tables from their SELECT under include/sql, one partition per data day, upstream first."""
    from recsys.jobs import build as job

    settings = existing(warehouse)
    last = parse_ds(until) if until else parse_ds(ds)
    show(
        job.history(
            settings,
            parse_ds(ds),
            last,
            tables,
            progress=lambda done: progress(
                f"{done.ds} {done.table}: {done.rows:,} rows in {done.seconds:.2f} s"
            ),
            refresh=refresh,
        )
    )


@app.command()
def check(
    tables: Annotated[
        list[str], typer.Argument(help="Tables to check, like marketplace.events, or a dataset.")
    ],
    ds: Ds,
    stage: Annotated[str, typer.Option(help="Name the results are recorded under.")] = "manual",
    warehouse: Warehouse = None,
) -> None:
    """Run the Great Expectations suites of tables and write their Data Docs; a critical failure exits 1."""
    from recsys.jobs import check as job

    settings = existing(warehouse)
    try:
        show(job.run(settings, parse_ds(ds), stage=stage, tables=tables))
    except QualityError:
        show({"data docs": job.build_docs(settings)})
        raise
    show({"data docs": job.build_docs(settings)})


@app.command()
def train(ds: Ds, warehouse: Warehouse = None) -> None:
    """Train the retrievers and the ranker on what was known by the end of a day; the gate decides on the champion."""
    from recsys.jobs import train as job

    show(job.run(existing(warehouse), parse_ds(ds), progress=progress))


@app.command()
def register(ds: Ds, warehouse: Warehouse = None) -> None:
    """Enter the champion of a day into the model registry (MLflow) and give it its aliases; train_weekly does it."""
    from recsys.jobs import register as job

    show(job.run(existing(warehouse), parse_ds(ds)))


@app.command()
def assign(ds: Ds, warehouse: Warehouse = None) -> None:
    """Record who takes part in each running experiment, in which arm, and since when."""
    from recsys.jobs import assign as job

    show(job.run(existing(warehouse), parse_ds(ds)))


@app.command()
def score(
    ds: Ds,
    shard: Annotated[
        int | None,
        typer.Option(help="Make the lists of this shard only, as one task of the DAG does.", min=0),
    ] = None,
    champion: Annotated[
        str | None,
        typer.Option(help="With --shard: data day of the model. Default: the newest.", metavar="DAY"),
    ] = None,
    *,
    first_user: Annotated[
        str | None,
        typer.Option(help="With --shard: its first user. Default: as the plan has it.", metavar="ID"),
    ] = None,
    last_user: Annotated[
        str | None,
        typer.Option(help="With --shard: its last user. Default: as the plan has it.", metavar="ID"),
    ] = None,
    warehouse: Warehouse = None,
) -> None:
    """Score every active user, check the lists and publish them, as the DAG score_daily does."""
    from recsys.jobs import check as check_job
    from recsys.jobs import plan_shards
    from recsys.jobs import score as job
    from recsys.jobs.build import run as build_table

    settings, day = existing(warehouse), parse_ds(ds)
    if shard is not None:
        show(
            job.run(
                settings,
                day,
                shard=shard,
                champion=champion,
                first_user=first_user,
                last_user=last_user,
            )
        )
        return
    if (champion, first_user, last_user) != (None, None, None):
        raise SettingsError(
            "--champion, --first-user and --last-user go with --shard; without it, scoring takes the newest champion "
            "and all users."
        )
    shards = plan_shards.run(settings, day)["shards"]
    assert isinstance(shards, list)
    for options in shards:
        progress(f"shard {options['shard']}: {job.run(settings, day, **options)}")
    show(check_job.run(settings, day, stage="lists", tables=["scoring.lists"]))
    show(build_table(settings, day, table="marts.recommendations"))
    show(check_job.run(settings, day, stage="published", tables=["marts.recommendations"]))
