"""Build the days that a read-out reads and that are not there yet, so that days may be run in any order."""

from __future__ import annotations

from datetime import date, timedelta

from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

METRICS = "experiments.metrics"
EXPOSURES = "experiments.exposures"
UNITS = "experiments.unit_daily"


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Build what is missing of exposures and unit days before ``ds``, back to the start of each running experiment.

    Unit days go back to the first day of its covariate. A partition that is there is left alone, and one that is built
    has the bytes that its own day would give it, whichever run comes first. Days from which nothing is staged are
    before the marketplace's time; a day that is staged and cannot be built fails.

    Raises:
        WarehouseError: of a day with events something else that its tables read is missing; names it.
    """
    built: list[str] = []
    with open_warehouse(settings) as warehouse:
        starts = warehouse.query(
            """SELECT MIN(started_on) AS exposed, MIN(COALESCE(covariate_from, started_on)) AS acted
            FROM experiments.metrics WHERE ds = @ds""",
            ds=ds,
        ).to_pylist()[0]
        built += _fill(warehouse, EXPOSURES, starts["exposed"], ds)
        built += _fill(warehouse, UNITS, starts["acted"], ds)
    return {"built": built}


def _fill(warehouse: Warehouse, table: str, first: date | None, ds: date) -> list[str]:
    if first is None:
        return []
    staged, there = set(warehouse.partitions("staging.events")), set(warehouse.partitions(table))
    days = (first + timedelta(days=n) for n in range((ds - first).days))
    missing = [day for day in days if day in staged and day not in there]
    for day in missing:
        warehouse.build(table, day)
    return [f"{table} of {day}" for day in missing]
