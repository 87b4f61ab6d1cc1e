"""Read out every experiment: intervals, differences, and what could be wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from zlib import crc32

import numpy as np
import pandas as pd

from recsys.errors import ExperimentError
from recsys.experiments import checks
from recsys.experiments.checks import DAY, Check
from recsys.experiments.definition import Experiment, load_experiments
from recsys.experiments.metrics import load_metrics
from recsys.experiments.pinned import CHECK as DEFINITION
from recsys.experiments.pinned import unchanged
from recsys.experiments.readout import read_out
from recsys.experiments.suspicions import beside, money, of_read_out
from recsys.experiments.use import with_use
from recsys.jobs import experiment_checks, experiment_use
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

TABLE, CHECKS, METRICS, VALUES = (
    f"experiments.{name}" for name in ("results", "checks", "metrics_daily", "value_counts")
)


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Write ``experiments.results`` and ``experiments.checks`` of ``ds`` from ``experiments.metrics_daily``.

    Read out is every experiment that serves on ``ds``, ended up to ``late_days`` before it, or was measured on it.

    Raises:
        ExperimentError: an experiment has run for longer than the windows over its outcomes reach back, or names a
            metric that is not declared.
    """
    declared = load_metrics(settings.metrics_path)
    with open_warehouse(settings) as warehouse:
        daily, values = warehouse.read(METRICS, ds), warehouse.read(VALUES, ds)
        measured = set(daily["experiment_id"])
        running = [
            e
            for e in load_experiments(settings.experiments_dir)
            if e.id in measured or e.is_read_out_on(ds, settings.late_days)
        ]
        results, found, first = {}, {}, _first_declared(warehouse)
        for one in running:
            _not_too_long(one, ds, settings)
            mine = [frame[frame["experiment_id"] == one.id] for frame in (daily, values)]
            rng = np.random.default_rng([settings.seed, crc32(one.id.encode()), ds.toordinal()])
            results[one.id] = read_out(one, declared, *mine, ds=ds, rng=rng)
            if one.use is not None and not results[one.id].empty:
                summed = experiment_use.sums(warehouse, one, declared, ds)
                results[one.id] = with_use(results[one.id], one, declared, summed)
            found[one.id] = experiment_checks.of_exposure(warehouse, one, ds)
            found[one.id].append(unchanged(one, first.get(one.id)))
            found[one.id] += of_read_out(one, declared, mine[0], results[one.id])
        blocked = sorted(name for name, told in found.items() if _blocked(told))
        for one in running:
            if one.unit == "user" and money(one, declared, results[one.id]):
                told = beside(one, declared, running, results, blocked)
                found[one.id].append(checks.interference(told))
            results[one.id] = _with_checks(results[one.id], found[one.id], ds)
        _write(warehouse, TABLE, list(results.values()), ds)
        _write(warehouse, CHECKS, [checks.frame(name, told) for name, told in found.items()], ds)
    return {"rows": sum(map(len, results.values())), "invalid": blocked}


def _not_too_long(experiment: Experiment, ds: date, settings: Settings) -> None:
    last = min(ds, experiment.end or ds)
    if (last - experiment.start).days >= settings.experiment_days:
        raise ExperimentError(
            f"Experiment {experiment.id} started on {experiment.start}, more than {settings.experiment_days} days "
            f"before {ds}. Set its end, or raise RECSYS_EXPERIMENT_DAYS."
        )


def _first_declared(warehouse: Warehouse) -> dict[str, str]:
    """What each experiment declared when first measured; every day keeps it, so days may be made in any order."""
    days = warehouse.partitions(CHECKS)
    if not days:
        return {}
    rows = warehouse.read(CHECKS, days[-1], ["experiment_id", "check_id", "observed", "ds"], start=days[0])
    rows = rows[rows["check_id"] == DEFINITION].sort_values("ds").drop_duplicates("experiment_id")
    return dict(zip(rows["experiment_id"], rows["observed"], strict=True))


def _blocked(told: Sequence[Check]) -> bool:
    return any(check.blocks and not check.success for check in told)


def _with_checks(results: pd.DataFrame, told: Sequence[Check], ds: date) -> pd.DataFrame:
    """Add the p-value of each row's own sample ratio, and whether its numbers may be believed."""
    if results.empty:
        return results
    ratios = {(c.segment, c.segment_value): c for c in told if c.check_id == "sample_ratio"}
    places = [
        (DAY, str(ds)) if scope == DAY else (segment, value)
        for scope, segment, value in zip(
            results["scope"], results["segment"], results["segment_value"], strict=True
        )
    ]
    own = [ratios.get(place) for place in places]
    blocked = _blocked(told)
    return results.assign(
        srm_p_value=np.array([check.p_value if check else None for check in own], dtype=np.float64),
        is_valid=[not blocked and (check is None or check.success) for check in own],
    )


def _write(warehouse: Warehouse, name: str, frames: Sequence[pd.DataFrame], ds: date) -> None:
    columns = table(name).column_names
    filled = [frame for frame in frames if not frame.empty]
    rows = pd.concat(filled) if filled else pd.DataFrame(columns=columns)
    warehouse.write(name, rows.reindex(columns=columns).assign(ds=ds), ds)
