"""Bring data in and look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recsys.cli.common import Warehouse, console, existing, progress, show
from recsys.settings import Settings, parse_ds

app = typer.Typer()


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
