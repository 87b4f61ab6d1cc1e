"""The commands ``recsys experiment ...``: compare arms, plan an experiment, check the statistics on your data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from recsys.cli.common import Warehouse, console, json_file
from recsys.experiments.limits import MOST_LOOKS
from recsys.settings import Settings, parse_ds

if TYPE_CHECKING:
    from recsys.jobs.power import Past

app = typer.Typer(no_args_is_help=True)

Source = Annotated[
    str,
    typer.Argument(
        help="A CSV or Parquet file (or a folder of them), or a table of the warehouse; in BigQuery any DATASET.TABLE.",
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

Covariate = Annotated[
    str | None,
    typer.Option(help="Column known before the experiment, for less variance (CUPED); of a ratio, A/B."),
]
Weights = Annotated[
    str | None,
    typer.Option(help="Planned share of each arm. Default: equal.", metavar="NAME=W,..."),
]
Repeated = Annotated[
    Literal["auto", "sum", "refuse"],
    typer.Option(
        help="A unit of several rows: count copies once and add up what differs, add up all, or refuse."
    ),
]
Json = Annotated[Path | None, json_file("the results")]
Unit = Annotated[str | None, typer.Option(help="Of a table: column of the unit.")]
METRIC = (
    "COLUMN or NUMERATOR/DENOMINATOR, with :mean, :proportion, :ratio or a percentile like :p90 behind it where the "
    "values alone do not tell; may be repeated."
)
Metrics = Annotated[list[str] | None, typer.Option(help=METRIC)]


@app.command()
def analyze(
    source: Source,
    unit: Annotated[str, typer.Option(help="Column of the unit that was assigned to an arm.")],
    arm: Annotated[str, typer.Option(help="Column of the arm.")],
    metric: Annotated[list[str], typer.Option(help=METRIC)],
    *,
    covariate: Covariate = None,
    control: Annotated[
        str | None,
        typer.Option(
            help="The arm to compare with. Default: one called control, a, 0 or so, else the first."
        ),
    ] = None,
    weights: Weights = None,
    alpha: Alpha = 0.05,
    winsorise: Winsorise = None,
    repeats: Repeated = "auto",
    seed: Seed = 0,
    used: Annotated[
        str | None,
        typer.Option(
            help="Column of 1 for units that used what their arm was offered: tells what using it did."
        ),
    ] = None,
    ds: Day = None,
    json: Json = None,
    warehouse: Warehouse = None,
) -> None:
    """Compare the arms of any table with a row per unit: differences, relative lifts, intervals, sample ratio.

    Example: `recsys experiment analyze users.csv --unit user_id --arm arm --metric revenue --metric clicks/views`.
    """
    from recsys.jobs import analyze as job
    from recsys.jobs.any_table import write_json

    question = job.Question(
        unit, arm, tuple(metric), covariate, control, weights, alpha, winsorise, repeats, seed, used
    )
    settings = Settings.load(warehouse=warehouse)
    found = job.run(settings, source, question, parse_ds(ds) if ds else None)
    if json:
        write_json(found.record(), json)
    job.print_analysis(found, console)


@app.command()
def power(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A table of units before any treatment: a CSV or Parquet file, or a table of the warehouse.",
            metavar="FILE_OR_TABLE",
        ),
    ] = None,
    *,
    unit: Unit = None,
    metric: Metrics = None,
    covariate: Covariate = None,
    winsorise: Winsorise = None,
    repeats: Repeated = "auto",
    mean: Annotated[float | None, typer.Option(help="Without a table: mean per unit.")] = None,
    sd: Annotated[
        float | None, typer.Option(help="Without a table: standard deviation between units, in both arms.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Without a table: share of the units that convert.")
    ] = None,
    effect: Annotated[
        list[float] | None,
        typer.Option(
            help="Relative lift to find, like 0.02, above -1; may be repeated. Default: 1, 2, 5 and 10 %."
        ),
    ] = None,
    units: Annotated[
        int | None,
        typer.Option(
            help="Units of all arms: says what they can show. Default: says how many are needed.", min=4
        ),
    ] = None,
    weights: Weights = None,
    control: Annotated[
        str | None,
        typer.Option(
            help="The arm to compare with. Default: one called control, a, 0 or so, else the first."
        ),
    ] = None,
    alpha: Alpha = 0.05,
    target: Annotated[float, typer.Option("--power", help="Chance to find the lift.")] = 0.8,
    design: Annotated[
        Literal["fixed", "obrien_fleming", "pocock", "power", "always_valid"],
        typer.Option(help="One look at the end, a spending function, or always valid."),
    ] = "fixed",
    looks: Annotated[int, typer.Option(help="Looks of a sequential design.", min=1, max=MOST_LOOKS)] = 14,
    ds: Day = None,
    json: Json = None,
    warehouse: Warehouse = None,
) -> None:
    """Plan an experiment: the units that a lift needs, or the smallest lift that so many units can show.

    Examples: `recsys experiment power users.csv --unit user_id --metric revenue --effect 0.02`,
    `recsys experiment power --rate 0.04 --units 50000`.
    """
    from recsys.jobs import power as job
    from recsys.jobs.any_table import write_json

    question = job.Question(tuple(effect or ()), units, weights, control, alpha, target, design, looks)
    found = job.run(
        Settings.load(warehouse=warehouse),
        _past(source, unit, metric, ds, covariate=covariate, winsorise=winsorise, repeats=repeats),
        question,
        mean=mean,
        spread=sd,
        rate=rate,
        ds=parse_ds(ds) if ds else None,
    )
    if json:
        write_json(found.record(), json)
    job.print_answer(found, console)


@app.command()
def simulate(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A table of units to draw from. Default: revenue with a heavy tail, conversion, clicks and hours "
            "made here.",
            metavar="FILE_OR_TABLE",
        ),
    ] = None,
    *,
    runs: Annotated[int, typer.Option(help="Experiments of each kind to play.", min=1)] = 1_000,
    unit: Unit = None,
    metric: Metrics = None,
    covariate: Covariate = None,
    winsorise: Winsorise = None,
    repeats: Repeated = "auto",
    units: Annotated[
        int | None,
        typer.Option(help="Units of an experiment, both arms. Default: as many as the table has.", min=4),
    ] = None,
    effect: Annotated[
        float | None,
        typer.Option(
            help="Relative lift of the A/B, above -1. Default: the smallest that the units show with the power."
        ),
    ] = None,
    alpha: Alpha = 0.05,
    target: Annotated[float, typer.Option("--power", help="Power that the default lift is made for.")] = 0.8,
    seed: Seed = 0,
    ds: Day = None,
    json: Json = None,
    warehouse: Warehouse = None,
) -> None:
    """Play A/A and A/B experiments on resampled data: how often the test errs, and finds what is there.

    Example: `recsys experiment simulate users.csv --unit user_id --metric revenue --winsorise 0.999 --runs 1000`.
    """
    from recsys.cli.common import progress
    from recsys.jobs import simulate_experiment as job
    from recsys.jobs.any_table import write_json

    found = job.run(
        Settings.load(warehouse=warehouse),
        _past(source, unit, metric, ds, covariate=covariate, winsorise=winsorise, repeats=repeats),
        job.Question(runs, units, effect, alpha, target, seed),
        parse_ds(ds) if ds else None,
        progress,
    )
    if json:
        write_json(found.record(), json)
    job.print_answer(found, console)


def _past(
    source: str | None, unit: str | None, metric: list[str] | None, ds: str | None, **options: Any
) -> Past | None:
    from recsys.errors import ExperimentError
    from recsys.jobs.power import Past

    if source is None:
        given = [
            name for name, value in {"unit": unit, "metric": metric, "ds": ds, **options}.items() if value
        ]
        if [name for name in given if name != "repeats"]:
            raise ExperimentError(
                f"--{given[0]} goes with a table; name one as FILE_OR_TABLE, or leave it out."
            )
        return None
    if not unit or not metric:
        raise ExperimentError(
            f"{source} needs --unit and --metric: the column of the unit, and what to measure."
        )
    return Past(source, unit, tuple(metric), **options)
