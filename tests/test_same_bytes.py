"""The same bytes whenever a partition is made: twice, out of order, or after the task was killed half way."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from recsys.experiments.definition import load_experiments
from recsys.jobs import assign, build, decide, declare, fill, plan_shards, results, score, simulate, train
from recsys.settings import Settings

(EXPERIMENT,) = load_experiments(Settings.load({}).experiments_dir)
LISTS_FROM = EXPERIMENT.start - timedelta(days=1)
FIRST = LISTS_FROM - timedelta(days=20)
DAYS = [LISTS_FROM + timedelta(days=n) for n in range(3)]
UNIT_DAYS = ["experiments.exposures", "experiments.unit_daily"]
READ_OUTS = [f"experiments.{name}" for name in ("unit_totals", "metrics_daily", "value_counts")]


def day_steps(settings: Settings, ds: date) -> list[tuple[str, Callable[[], Any]]]:
    """What the DAGs of one day do, by name, in their order."""
    shards = range(settings.shards)
    return [
        ("staging", lambda: build.history(settings, ds, ds, ["staging"])),
        ("features", lambda: build.history(settings, ds, ds, ["features"])),
        ("assign", lambda: assign.run(settings, ds)),
        (
            "score",
            lambda: [plan_shards.run(settings, ds), *[score.run(settings, ds, shard=s) for s in shards]],
        ),
        ("publish", lambda: build.run(settings, ds, table="marts.recommendations")),
        ("declare", lambda: declare.run(settings, ds)),
        ("units", lambda: build.history(settings, ds, ds, UNIT_DAYS)),
        ("fill", lambda: fill.run(settings, ds)),
        ("metrics", lambda: build.history(settings, ds, ds, READ_OUTS)),
        ("results", lambda: results.run(settings, ds)),
        ("decide", lambda: decide.run(settings, ds)),
    ]


def fingerprint(settings: Settings) -> dict[str, str]:
    """SHA-256 of every file of the warehouse that a query or a model can read."""
    root = Path(settings.warehouse)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] != "_spill"
    }


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three days in closed loop on a small marketplace, each run in order, once."""
    settings = Settings(warehouse=str(tmp_path_factory.mktemp("bytes") / "warehouse"), shards=2)
    simulate.history(settings, FIRST, (LISTS_FROM - FIRST).days + 1, users=500)
    build.history(settings, FIRST, LISTS_FROM - timedelta(days=1), ["staging"])
    build.history(settings, LISTS_FROM - timedelta(days=7), LISTS_FROM, ["staging", "features"])
    train.run(settings, LISTS_FROM)
    for ds in DAYS:
        if ds > LISTS_FROM:
            simulate.run(settings, ds)
        for _, step in day_steps(settings, ds):
            step()
    return settings


def test_the_closed_loop_left_something_to_compare(played: Settings) -> None:
    tables = {name.rsplit("/", 1)[0] for name in fingerprint(played)}
    assert {
        "marts/recommendations",
        "experiments/results",
        "experiments/decisions",
        "features/item_cooccurrence",
    } <= tables


@pytest.mark.parametrize("seed", range(4))
def test_steps_run_again_in_any_order_change_no_byte(played: Settings, seed: int) -> None:
    before = fingerprint(played)
    steps = [(ds, name, step) for ds in DAYS for name, step in day_steps(played, ds)]
    random.Random(seed).shuffle(steps)
    for ds, name, step in steps:
        step()
        # What an earlier day is made of is there, so no step may change anything, whatever ran before it.
        assert fingerprint(played) == before, f"{name} of {ds} changed bytes"


def test_training_again_later_changes_no_byte(played: Settings) -> None:
    before = fingerprint(played)
    train.run(played, LISTS_FROM)
    assert fingerprint(played) == before


CHILD = """
import sys
from datetime import date
from recsys.jobs import build, score, train
from recsys.settings import Settings
settings, ds = Settings(warehouse=sys.argv[1], shards=2), date.fromisoformat(sys.argv[2])
print("ready", flush=True)
while True:
    build.history(settings, ds, ds, ["staging", "features"])
    for shard in (0, 1):
        score.run(settings, ds, shard=shard)
    build.run(settings, ds, table="marts.recommendations")
"""


def test_kill_9_at_random_points_and_a_rerun_change_no_byte(played: Settings) -> None:
    before = fingerprint(played)
    rng = random.Random(9)
    for kill in range(8):
        ds = DAYS[kill % len(DAYS)]
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, played.warehouse, ds.isoformat()], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.02, 2.5))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        # Killed half way, no partition is broken; rerun, none differs, and nothing is left lying about.
        for _, step in day_steps(played, ds):
            step()
        assert fingerprint(played) == before


def test_a_backfill_from_the_sources_gives_the_bytes_of_the_daily_runs(
    played: Settings, tmp_path: Path
) -> None:
    kept = [
        "marketplace",
        "_synthetic",
        "staging/items",
        "staging/users",
        "staging/sellers",
    ]  # sources and snapshots
    again = dataclasses.replace(played, warehouse=str(tmp_path / "again"))
    for name in kept:
        shutil.copytree(Path(played.warehouse) / name, Path(again.warehouse) / name)
    every_day = [FIRST + timedelta(days=n) for n in range((DAYS[-1] - FIRST).days + 1)]
    for ds in reversed(every_day):  # staging stands on no other day
        build.history(again, ds, ds, ["staging"])
    build.history(again, LISTS_FROM - timedelta(days=7), DAYS[-1], ["features"])
    train.run(again, LISTS_FROM)
    for ds in DAYS:
        for _, step in day_steps(again, ds)[2:]:
            step()
    assert fingerprint(again) == fingerprint(played)
