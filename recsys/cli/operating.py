"""Keep a warehouse in order: its cost, its contracts, erasure, deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recsys.cli.common import Ds, Warehouse, console, existing, json_file, progress, show
from recsys.settings import Settings, parse_ds

app = typer.Typer()


@app.command()
def cost(
    ds: Ds,
    json: Annotated[Path | None, json_file("the figures")] = None,
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
