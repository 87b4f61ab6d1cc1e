"""Read what came of it: results by arm, the day's report, why a list is as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recsys.cli.common import Ds, Warehouse, console, existing, json_file, show
from recsys.settings import parse_ds

app = typer.Typer()


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
    json: Annotated[Path | None, json_file("every place of the list, with its reserve,")] = None,
    warehouse: Warehouse = None,
) -> None:
    """Say why a user was shown a list: a reason for each place, the factors of the money, what moved the ranker.

    Example: `recsys explain --user u000889 --ds 2026-02-14`.
    """
    from recsys.jobs import explain as job
    from recsys.reports.placements import print_placements

    print_placements(job.run(existing(warehouse), parse_ds(ds), user, json), console, places)
