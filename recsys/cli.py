"""The ``recsys`` command: one thin command per job. Every command says what it read, what it wrote and what is next."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from recsys.errors import QualityError, RecsysError, SettingsError
from recsys.settings import Settings, parse_ds

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A revenue-optimising recommender for consumer-to-consumer marketplaces. "
    "Start with `recsys demo`, or bring your own data with `recsys import`.",
)
console = Console()
errors = Console(stderr=True)

Warehouse = Annotated[
    str | None,
    typer.Option(
        "--warehouse", "-w", help="Folder of the warehouse. Default: RECSYS_WAREHOUSE, else var/warehouse."
    ),
]
Size = Literal["small", "demo"]
Ds = Annotated[str, typer.Option("--ds", help="Data day, YYYY-MM-DD.", metavar="DAY")]


def main() -> None:
    """Run the command line; a known error prints one message and exits 1, without a traceback."""
    try:
        app()
    except RecsysError as error:
        errors.print(f"[bold red]Error:[/] {type(error).__name__}:", end=" ")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


def existing(warehouse: str | None) -> Settings:
    """Settings of a command that reads a warehouse; one that is not there is an error."""
    from recsys.warehouse.base import require_warehouse

    return require_warehouse(Settings.load(warehouse=warehouse))


def show(summary: dict[str, object]) -> None:
    """Print a job's summary, one line a value."""
    for name, value in summary.items():
        console.print(f"  {name.replace('_', ' ')}: {value}", markup=False, highlight=False)


def progress(message: str) -> None:
    """Print one step of long work."""
    console.print(f"  {message}", markup=False, highlight=False)


@app.command()
def demo(
    days: Annotated[int, typer.Option(help="Days that lists are served by arm.", min=1)] = 5,
    size: Annotated[Size, typer.Option(help="Size of the marketplace.")] = "demo",
    warehouse: Warehouse = None,
) -> None:
    """Watch it work: a synthetic marketplace, the real DAGs day by day, and what each arm earned against the truth."""
    from recsys.jobs import demo as job

    job.run(Settings.load(warehouse=warehouse), days=days, size=size, console=console)


@app.command()
def airflow(
    port: Annotated[int, typer.Option(help="Port of the Airflow UI.")] = 8080,
    print_env: Annotated[
        bool, typer.Option(help="Start nothing; print the environment to `eval` in a shell.")
    ] = False,
    warehouse: Warehouse = None,
) -> None:
    """Start Airflow on this machine over the local warehouse; prints where to look and how to log in.

    With `eval "$(recsys airflow --print-env)"` the `airflow` command of that shell finds the same DAGs and warehouse.
    """
    from recsys.jobs import airflow_local, airflow_run

    settings = Settings.load(warehouse=warehouse)
    if print_env:
        for name, value in airflow_run.environment(settings).items():
            print(f"export {name}={shlex.quote(value)}")
    else:
        airflow_local.run(settings, port=port, console=console)


@app.command("import")
def import_(
    path: Annotated[
        Path, typer.Argument(help="A folder with one file per source table, or one foreign file.")
    ],
    mapping: Annotated[
        Path | None, typer.Option(help="YAML that maps a foreign file onto the source tables.")
    ] = None,
    history: Annotated[
        bool, typer.Option(help="Also stage every imported day, so that windows are full.")
    ] = True,
    warehouse: Warehouse = None,
) -> None:
    """Load your own data: Parquet or CSV files, checked against the table contracts before anything is written.

    Examples: `recsys import my_tables/`, `recsys import shop.parquet --mapping examples/online_retail.yaml`.
    """
    from recsys.jobs import load

    show(
        load.run(
            Settings.load(warehouse=warehouse), path, mapping=mapping, history=history, progress=progress
        )
    )


@app.command()
def tables(
    name: Annotated[
        str | None, typer.Argument(help="A table, like staging.events, or a dataset. Default: list all.")
    ] = None,
    warehouse: Warehouse = None,
) -> None:
    """List the tables, what each is for and the days it has; of one table, its key and columns."""
    from recsys.jobs import look

    look.print_tables(existing(warehouse), name, console)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A SELECT in BigQuery's dialect.")],
    ds: Annotated[
        str | None,
        typer.Option(
            help="Day bound to @ds (YYYY-MM-DD); rows known later are hidden. It does not pick a day: "
            "add WHERE ds = @ds.",
            metavar="DAY",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Rows to print at most. Default: 100; with --csv, all.", min=0)
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    warehouse: Warehouse = None,
) -> None:
    """Query the warehouse in BigQuery's dialect and print a table; the settings are bound as @timezone and so on.

    Example: `recsys sql "SELECT event_type, COUNT(*) AS n FROM staging.events GROUP BY 1 ORDER BY n DESC"`.
    """
    from recsys.jobs import look

    look.print_rows(
        existing(warehouse), query, parse_ds(ds) if ds else None, console, limit=limit, as_csv=csv
    )


@app.command()
def simulate(
    ds: Ds,
    warehouse: Warehouse = None,
) -> None:
    """Play one day of the synthetic marketplace: users see the lists published the evening before, and act.

    The first day starts a new world; each later one goes on where the day before ended. `recsys demo` plays a
    whole history first.
    """
    from recsys.jobs import simulate as job

    show(job.run(Settings.load(warehouse=warehouse), parse_ds(ds)))


@app.command()
def truth(
    ds: Ds,
    replications: Annotated[int, typer.Option(help="Times the day is played for each policy.")] = 30,
    warehouse: Warehouse = None,
) -> None:
    """Play a day for each policy alone and record what it truly earns; only a synthetic marketplace knows."""
    from recsys.jobs import truth as job

    show(job.run(existing(warehouse), parse_ds(ds), replications=replications))


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
    """Record the arm of every active user for each running experiment."""
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


@app.command()
def results(ds: Ds, warehouse: Warehouse = None) -> None:
    """Print revenue per user, conversion and click-through by arm, with intervals, up to a day."""
    from recsys.jobs import report

    report.print_results(existing(warehouse), parse_ds(ds), console)


@app.command()
def report(ds: Ds, warehouse: Warehouse = None) -> None:
    """Write the HTML report of a day: arms, intervals, truth where known, failed checks, rejected events, lists."""
    from recsys.jobs import report as job

    show(job.run(existing(warehouse), parse_ds(ds)))


@app.command()
def explain(
    user: Annotated[str, typer.Option(help="Id of the user.", metavar="ID")],
    ds: Ds,
    places: Annotated[int, typer.Option(help="Places of the list to print.", min=1)] = 10,
    json: Annotated[
        Path | None, typer.Option(help="File to write every place of the list to, with its reserve.")
    ] = None,
    warehouse: Warehouse = None,
) -> None:
    """Say why a user was shown a list: a reason for each place, the factors of the money, what moved the ranker.

    Example: `recsys explain --user u000889 --ds 2026-02-14`.
    """
    from recsys.jobs import explain as job
    from recsys.reports.placements import print_placements

    print_placements(job.run(existing(warehouse), parse_ds(ds), user, json), console, places)


@app.command()
def backtest(
    cut: Annotated[str, typer.Option(help="First day of the test period, YYYY-MM-DD.", metavar="DAY")],
    until: Annotated[str, typer.Option(help="Day after the last of the test period.", metavar="DAY")],
    k: Annotated[int, typer.Option(help="Length of the lists that are judged.")] = 10,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to.")] = None,
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
    warehouse: Warehouse = None,
) -> None:
    """Train on all before a day, test on what customers bought from then on; prints a row per model.

    Example: `recsys backtest --cut 2011-11-01 --until 2011-12-10 --k 10 --json figures.json`.
    """
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
    minutes: Annotated[float, typer.Option(help="Time to search, shared by the retrievers.", min=0.0)] = 10.0,
    days: Annotated[int, typer.Option(help="Days of a validation period.", min=1)] = 14,
    folds: Annotated[int, typer.Option(help="Validation periods, one after the other.", min=1)] = 2,
    keep: Annotated[int, typer.Option(help="Last days that are left for a test and not read.", min=1)] = 14,
    *,
    k: Annotated[int, typer.Option(help="Length of the lists that are judged.", min=1)] = 10,
    metric: Annotated[str, typer.Option(help="What is maximised: ndcg, recall, revenue, ...")] = "ndcg",
    model: Annotated[
        list[str] | None, typer.Option(help="A retriever to tune; may be repeated. Default: all.")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(help="File to write. Default: include/tuned/ITEM_UNIT.yaml, which training reads."),
    ] = None,
    warehouse: Warehouse = None,
) -> None:
    """Search the retrievers' settings on later days; the same command goes on where it was stopped."""
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


@app.command()
def cost(
    ds: Ds,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to.")] = None,
    warehouse: Warehouse = None,
) -> None:
    """Show what a day costs in BigQuery: bytes and price of every query, the ceiling, growth with the history.

    BigQuery itself is asked by dry runs, which are free; of a local warehouse the files are measured.
    """
    from recsys.jobs import bill
    from recsys.jobs import cost as job

    bill.print_bill(job.run(existing(warehouse), parse_ds(ds), json), console)


@app.command()
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be changed.")] = False,
    replace: Annotated[
        list[str] | None,
        typer.Option(help="A table that may be dropped, to be built anew; may be repeated.", metavar="TABLE"),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the contracts of recsys/schema.py to include/schema.")
    ] = False,
    warehouse: Warehouse = None,
) -> None:
    """Bring a warehouse to the table contracts of this version: what is safe is applied, the rest is refused.

    Run it after an upgrade, before the first DAG. On BigQuery it also makes the datasets and tables.
    """
    from recsys.jobs import migrate as job

    if record:
        show(job.record(Settings.load(warehouse=warehouse), replace=replace or (), tell=progress))
        return
    show(job.run(existing(warehouse), dry_run=dry_run, replace=replace or (), tell=progress))


@app.command()
def forget(
    user: Annotated[str, typer.Option(help="Id of the person, as in user_id and seller_id.", metavar="ID")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Also build the features of every later day again, without them."),
    ] = False,
    keep_source: Annotated[
        bool, typer.Option("--keep-source", help="Go on though the marketplace's own tables still name them.")
    ] = False,
    receipt: Annotated[
        str | None,
        typer.Option(
            help="Receipt of an earlier run, to add to its entry. Default: a new one, printed once."
        ),
    ] = None,
    warehouse: Warehouse = None,
) -> None:
    """Remove a person's data from every table, check, report and model, and keep a proof that does not name them.

    Keep the receipt it prints with the request: only with it can the proof be tied to the person.
    """
    from datetime import UTC, datetime

    from recsys.jobs import forget as job

    show(
        job.run(
            existing(warehouse),
            user,
            at=datetime.now(UTC),
            dry_run=dry_run,
            rebuild=rebuild,
            keep_source=keep_source,
            receipt=receipt,
            tell=progress,
        )
    )


@app.command()
def bundle(
    target: Annotated[
        Path, typer.Argument(help="Folder to write; what an earlier bundle left is replaced.")
    ] = Path("dist/composer"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; resolve its packages with those of the image.")
    ] = False,
) -> None:
    """Lay out what the bucket of a Cloud Composer environment needs: DAGs, plugins, SQL, suites, package, commands."""
    from recsys.jobs import bundle as job

    show(job.check() if check else job.run(target))
