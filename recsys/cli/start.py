"""Watch it work on this machine."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

import typer

from recsys.cli.common import Warehouse, console
from recsys.settings import Settings

app = typer.Typer()
Size = Literal["small", "demo"]


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
