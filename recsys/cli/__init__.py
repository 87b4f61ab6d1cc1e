"""The ``recsys`` command: one thin command per job. Every command says what it read, what it wrote and what is next.

A module of this package holds the commands of one theme, as a ``typer.Typer`` of its own; this one puts them together,
in the order of the help. A group of commands (``recsys group command``) is added with its name.
"""

from __future__ import annotations

import sys

import typer

from recsys.cli import (
    daily,
    data,
    decisions,
    experiment,
    judging,
    keywords,
    operating,
    reading,
    sellers,
    simulation,
    start,
)
from recsys.cli.common import errors
from recsys.errors import RecsysError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A revenue-optimising recommender for consumer-to-consumer marketplaces. "
    "Start with `recsys demo`, or bring your own data with `recsys import`.",
)
for theme in (start, data, simulation, daily, reading, judging, operating):
    app.add_typer(theme.app)
experiment.app.add_typer(decisions.app)
app.add_typer(
    keywords.app,
    name="keywords",
    help="Keywords for sellers who advertise: clean, learn, choose, look at one listing.",
)
app.add_typer(
    sellers.app,
    name="sellers",
    help="Sellers worth following, for buyers: learn, make lists, look at one, judge.",
)
app.add_typer(
    experiment.app,
    name="experiment",
    help="Compare the arms of an experiment, plan one, check the statistics.",
)


def main() -> None:
    """Run the command line; a known error prints one message and exits 1, without a traceback."""
    try:
        app()
    except RecsysError as error:
        errors.print(f"[bold red]Error:[/] {type(error).__name__}:", end=" ")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
