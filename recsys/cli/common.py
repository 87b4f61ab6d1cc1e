"""What every command shares: options, settings, and how a summary is printed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from recsys.settings import Settings

console = Console()
errors = Console(stderr=True)

Warehouse = Annotated[
    str | None,
    typer.Option(
        "--warehouse", "-w", help="Folder of the warehouse. Default: RECSYS_WAREHOUSE, else var/warehouse."
    ),
]
Ds = Annotated[str, typer.Option("--ds", help="Data day, YYYY-MM-DD.", metavar="DAY")]


def json_file(what: str) -> Any:
    """The option ``--json`` of a command that may write ``what``; refused before the work where it cannot be."""
    return typer.Option(
        help=f"File to write {what} to.",
        metavar="FILE",
        dir_okay=False,
        writable=True,
        callback=_with_folder,
    )


def _with_folder(path: Path | None) -> Path | None:
    if path is not None and not os.access(path.parent, os.W_OK):
        raise typer.BadParameter(
            f"there is no folder {path.parent} that can be written to; make it first, or name a file elsewhere."
        )
    return path


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
