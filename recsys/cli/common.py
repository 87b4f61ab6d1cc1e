"""What every command shares: options, settings, and how a summary is printed."""

from __future__ import annotations

from typing import Annotated

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
