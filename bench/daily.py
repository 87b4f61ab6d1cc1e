"""One day of a large marketplace on this machine: seconds, rows per second and peak memory of every stage.

    python bench/daily.py                     # both sizes, everything; the first time makes the marketplaces
    python bench/daily.py --size tenth        # a tenth of the size, in two or three minutes
    python bench/daily.py --stage features    # only staging and features of the day

The full size: 100,000 active users, 1,000,000 live listings, 20 million events over 90 days. Results are also written
to var/bench/<size>.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench import stages  # noqa: E402
from bench.machine import Stage, describe, run_stage  # noqa: E402
from bench.market import LAST_DAY  # noqa: E402
from bench.plain import comparisons  # noqa: E402
from bench.report import print_results  # noqa: E402
from recsys import schema  # noqa: E402
from recsys.settings import Settings  # noqa: E402

STAGES = ("generate", "features", "train", "score", "check", "compare")
SLOTS = 2
DONE = "generated.json"


def main() -> None:
    """Read the command line, run, print and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", choices=("full", "tenth", "both"), default="both")
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all")
    parser.add_argument("--fresh", action="store_true", help="generate again even if it was done before")
    parser.add_argument("--dir", type=Path, default=PROJECT / "var" / "bench", help="where all of it is kept")
    given = parser.parse_args()
    wanted = STAGES if given.stage == "all" else (given.stage,)
    for size in ("tenth", "full") if given.size == "both" else (given.size,):
        run_size(given.dir, size, wanted, given.fresh)
    print_results(given.dir)


def run_size(root: Path, size: str, wanted: tuple[str, ...], fresh: bool) -> None:
    """Measure the ``wanted`` stages of one size and merge them into its results."""
    settings = Settings.load({}, warehouse=str(stages.folder(root, size)), home=str(PROJECT))
    path = root / f"{size}.json"
    results = json.loads(path.read_text()) if path.is_file() else {"stages": {}}
    results |= {"size": size, "date": datetime.now(UTC).date().isoformat(), "machine": describe()}
    for stage in run_stages(settings, size, wanted, fresh, _say(size)):
        results["stages"][stage.name] = asdict(stage)
        path.write_text(json.dumps(results, indent=1))


def run_stages(
    settings: Settings, size: str, wanted: tuple[str, ...], fresh: bool, say: Callable[[str], None]
) -> Iterator[Stage]:
    """Run what is wanted, in order; generation only where it is not done yet."""
    warehouse = Path(settings.warehouse)
    if fresh or not (warehouse / DONE).is_file():
        shutil.rmtree(warehouse, ignore_errors=True)
        yield run_stage("generate", stages.generation(settings, size), SLOTS, say)
        (warehouse / DONE).write_text("{}")
    if "features" in wanted:
        stages.forget(settings, stages.TABLES, [LAST_DAY])
        yield run_stage("features", stages.features(settings, LAST_DAY), SLOTS, say)
    if "train" in wanted:
        names, days = [table.name for table in schema.FEATURES], stages.days_before(LAST_DAY)
        stages.forget(settings, names, days)
        yield run_stage("earlier features", stages.earlier_features(settings, days), SLOTS, say)
        yield run_stage("train", stages.training(settings, LAST_DAY), SLOTS, say)
    if "score" in wanted:
        stages.forget(settings, ["scoring.lists", "marts.recommendations"], [LAST_DAY])
        yield run_stage("score", stages.scoring(settings, LAST_DAY), SLOTS, say)
    if "check" in wanted:
        yield run_stage("check", stages.checks(settings, LAST_DAY), SLOTS, say)
    if "compare" in wanted:
        yield run_stage("compare", comparisons(settings, LAST_DAY), 1, say)


def _say(size: str) -> Callable[[str], None]:
    started = time.perf_counter()
    return lambda line: print(f"{size:<6}{time.perf_counter() - started:7.1f} s  {line}", flush=True)


if __name__ == "__main__":
    main()
