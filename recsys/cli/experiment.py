"""The commands ``recsys experiment ...``: compare arms, plan an experiment, check the statistics on your data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from recsys.cli.common import Warehouse, console
from recsys.settings import Settings, parse_ds

app = typer.Typer(no_args_is_help=True)

Source = Annotated[
    str,
    typer.Argument(
        help="A CSV or Parquet file (or a folder of them), or a table of the warehouse.",
        metavar="FILE_OR_TABLE",
    ),
]
Day = Annotated[
    str | None, typer.Option("--ds", help="Of a table: read this day only. Default: all.", metavar="DAY")
]
Seed = Annotated[int, typer.Option(help="Seed of the random draws.", min=0)]
Alpha = Annotated[float, typer.Option(help="Error rate of the two-sided intervals.")]
Winsorise = Annotated[
    float | None,
    typer.Option(
        help="Quantile over all arms above which a value counts as that quantile, like 0.999. Default: none."
    ),
]


@app.command()
def analyze(
    source: Source,
    unit: Annotated[str, typer.Option(help="Column of the unit that was assigned to an arm.")],
    arm: Annotated[str, typer.Option(help="Column of the arm.")],
    metric: Annotated[
        list[str],
        typer.Option(
            help="COLUMN or NUMERATOR/DENOMINATOR, with :mean, :proportion, :ratio or a percentile like :p90 behind it "
            "where the values alone do not tell; may be repeated."
        ),
    ],
    *,
    covariate: Annotated[
        str | None,
        typer.Option(help="Column known before the experiment, for less variance (CUPED); of a ratio, A/B."),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(help="The arm to compare with. Default: control or baseline, else the first by name."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Planned share of each arm. Default: equal.", metavar="NAME=W,..."),
    ] = None,
    alpha: Alpha = 0.05,
    winsorise: Winsorise = None,
    repeats: Annotated[
        Literal["auto", "sum", "refuse"],
        typer.Option(
            help="A unit of several rows: count copies once and add up what differs, add up all, or refuse."
        ),
    ] = "auto",
    seed: Seed = 0,
    ds: Day = None,
    json: Annotated[Path | None, typer.Option(help="File to write the results to.", metavar="FILE")] = None,
    warehouse: Warehouse = None,
) -> None:
    """Compare the arms of any table with a row per unit: differences, relative lifts, intervals, sample ratio.

    Example: `recsys experiment analyze users.csv --unit user_id --arm arm --metric revenue --metric clicks/views`.
    """
    from recsys.jobs import analyze as job

    question = job.Question(
        unit, arm, tuple(metric), covariate, control, weights, alpha, winsorise, repeats, seed
    )
    settings = Settings.load(warehouse=warehouse)
    found = job.run(settings, source, question, parse_ds(ds) if ds else None)
    if json:
        job.write_json(found, json)
    job.print_analysis(found, console)
