"""Play the synthetic marketplace, and ask it for the truth."""

from __future__ import annotations

from typing import Annotated

import typer

from recsys.cli.common import Ds, Warehouse, existing, show
from recsys.settings import Settings, parse_ds

app = typer.Typer()


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
    replications: Annotated[int, typer.Option(help="Times the day is played for each policy.", min=1)] = 30,
    warehouse: Warehouse = None,
) -> None:
    """Play a day for each policy alone and record what it truly earns; only a synthetic marketplace knows."""
    from recsys.jobs import truth as job

    show(job.run(existing(warehouse), parse_ds(ds), replications=replications))
