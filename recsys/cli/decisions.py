"""Which experiments there are and what was decided on them: the read-out, and the command that overrules it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from recsys.cli.common import Ds, Warehouse, console, existing, show
from recsys.settings import Settings, parse_ds

app = typer.Typer()


@app.command()
def override(
    experiment: Annotated[str, typer.Argument(help="Id of the experiment.", metavar="EXPERIMENT")],
    *,
    ds: Ds,
    by: Annotated[str, typer.Option(help="Id of the person who decides.", metavar="PERSON")],
    why: Annotated[str, typer.Option(help="Their reason, for the log.", metavar="TEXT")],
    verdict: Annotated[
        Literal["ship", "stop", "continue", "invalid"] | None, typer.Option(help="What to do instead.")
    ] = None,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Leave the decision to the rules again.")
    ] = False,
    warehouse: Warehouse = None,
) -> None:
    """Overrule the verdict on an experiment, by name and with a reason; both stay in the log.

    It stands, whatever is computed later, until it is withdrawn.

    Example: `recsys experiment override hybrid_vs_popularity --ds 2026-02-14 --verdict stop --by p-17 --why "..."`.
    """
    from recsys.jobs import decide

    if withdraw == (verdict is not None):
        raise typer.BadParameter("give either --verdict or --withdraw.")
    show(decide.override(existing(warehouse), parse_ds(ds), experiment, by=by, why=why, verdict=verdict))


@app.command()
def report(
    experiment: Annotated[
        str | None,
        typer.Argument(help="Id of the experiment. Default: all that were read out.", metavar="EXPERIMENT"),
    ] = None,
    *,
    ds: Ds,
    warehouse: Warehouse = None,
) -> None:
    """Write the read-out of experiments as HTML and Markdown, to be mailed; the page in Airflow shows the same.

    Example: `recsys experiment report hybrid_vs_popularity --ds 2026-02-14`.
    """
    from recsys.jobs import experiment_report

    show(experiment_report.run(existing(warehouse), parse_ds(ds), experiment))


@app.command("list")
def list_(ds: Ds) -> None:
    """Read every definition, refuse what is wrong, and print which run, who takes part and when to look.

    Example: `recsys experiment list --ds 2026-02-14`.
    """
    from recsys.jobs import experiment_list

    experiment_list.print_list(Settings.load(), parse_ds(ds), console)
