"""How fast units are bucketed, and whether draws stay independent over many: ``python -m bench.assignment``.

Units a second are those of one process on one core: of the function alone, of the function with layer, hold-out and
ramp, of the same bucket in the local engine, and of the whole job ``assign``, which reads every day since the start of
the experiment and writes the partition. Independence: a chi-square over each pair of experiments, all of whose p-values
together have to be uniform.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from datetime import date, timedelta
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from scipy import stats

from recsys import schema
from recsys.experiments.assignment import BUCKET_SQL, assign, buckets, takes_part
from recsys.experiments.definition import BUCKETS, Arm, Experiment, Layer, RampStep
from recsys.jobs import assign as job
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from recsys.warehouse.frames import arrow_schema

START = date(2026, 3, 2)
TABLE = "features.user_daily"


def experiment(salt: str, **changes: Any) -> Experiment:
    """A split in three."""
    arms = (Arm("control", "popularity", 0.5), Arm("one", "hybrid", 0.25), Arm("two", "hybrid", 0.25))
    return Experiment("bench", "h", "user", salt, START, None, "control", arms, **changes)


def speed(units: int, repeats: int) -> dict[str, float]:
    """Units a second of each way, the best of ``repeats``."""
    ids = [f"u{n:09d}" for n in range(units)]
    plain = experiment("bench_1")
    drawn = experiment("bench_1", layer=Layer("l", 0, 7_999), holdout=0.02, ramp=(RampStep(START, 0.5),))
    sql = f"SELECT MAX({BUCKET_SQL}) AS bucket FROM (SELECT user_id AS unit_id FROM {TABLE} WHERE ds = @ds)"
    with TemporaryDirectory() as folder, open_warehouse(Settings.load({}, warehouse=folder)) as warehouse:
        warehouse.write(TABLE, _active(units, START), START)
        ways: dict[str, Callable[[], object]] = {
            "unit to arm": lambda: assign(plain, ids),
            "layer, hold-out, ramp and arm": lambda: (takes_part(drawn, ids, START), assign(drawn, ids)),
            "bucket in the local engine": lambda: warehouse.query(sql, {"salt": "bench_1"}, ds=START),
        }
        return {name: units / min(_seconds(way) for _ in range(repeats)) for name, way in ways.items()}


def whole_job(users: int, days: int) -> dict[str, float]:
    """Seconds of ``assign`` on the last of ``days`` days, with ``users`` active on each, and the peak memory."""
    with TemporaryDirectory() as folder:
        settings = Settings.load({}, warehouse=f"{folder}/warehouse", home=folder)
        _define(settings)
        last = START - timedelta(days=1) + timedelta(days=days - 1)
        with open_warehouse(settings) as warehouse:
            for back in range(days):
                warehouse.write(
                    TABLE, _active(users, last - timedelta(days=back)), last - timedelta(days=back)
                )
        seconds = _seconds(lambda: job.run(settings, last))
        with open_warehouse(settings) as warehouse:
            found = warehouse.query(
                "SELECT COUNT(*) AS n FROM experiments.assignments WHERE ds = @ds", ds=last
            )
            rows = found.column("n")[0].as_py()
    assert rows == users
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {
        "users": users,
        "days": days,
        "seconds": seconds,
        "units_a_second": users / seconds,
        "peak_gib": peak,
    }


def independence(units: int, experiments: int) -> dict[str, float]:
    """Chi-square over every pair of experiments: the least p-value, and how well all of them fit a uniform (KS)."""
    ids = [f"u{n:09d}" for n in range(units)]
    tenths = [buckets(f"experiment_{n}", ids) // (BUCKETS // 10) for n in range(experiments)]
    p_values = []
    for one, other in combinations(tenths, 2):
        table = np.bincount(one * 10 + other, minlength=100).reshape(10, 10)
        p_values.append(float(stats.chi2_contingency(table).pvalue))
    uniform = float(stats.kstest(p_values, "uniform").pvalue)
    return {
        "units": units,
        "pairs": len(p_values),
        "least_p_value": min(p_values),
        "uniform_p_value": uniform,
    }


def _define(settings: Settings) -> None:
    """The definition that the job runs, and the metrics that it names."""
    arms = {arm.name: {"policy": arm.policy, "weight": arm.weight} for arm in experiment("x").arms}
    fields = {"id": "bench", "hypothesis": "h", "unit": "user", "salt": "bench_1", "start": START}
    settings.experiments_dir.mkdir(parents=True)
    text = yaml.safe_dump(fields | {"control": "control", "arms": arms})
    (settings.experiments_dir / "bench.yaml").write_text(text, encoding="utf-8")
    settings.metrics_path.write_bytes(Settings.load({}).metrics_path.read_bytes())


def _active(users: int, day: date) -> pa.Table:
    """Rows of active users that are alike but for their id."""
    contract = schema.table(TABLE)
    plain = {"STRING": "x", "INT64": 0, "FLOAT64": 0.0, "NUMERIC": 0, "BOOL": False, "DATE": day}
    made = arrow_schema(contract)
    columns = {
        c.name: pa.repeat(pa.scalar(plain[c.type] if c.required else None, made.field(c.name).type), users)
        for c in contract.columns
    }
    columns["user_id"] = pa.array([f"u{n:09d}" for n in range(users)])
    return pa.table(columns, schema=made)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Print units a second, and the independence of pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--users", type=int, default=1_000_000, help="active users of the whole job")
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--pairs-of", type=int, default=20, help="experiments whose pairs are tested")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = {
        "load_before": os.getloadavg()[0],
        "units_a_second": speed(options.units, options.repeats),
        "job": whole_job(options.users, options.days),
        "independence": independence(options.units, options.pairs_of),
    }
    told = json.dumps(figures, indent=1)
    print(told)
    if options.json:
        options.json.write_text(told + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
