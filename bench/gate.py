"""Who may judge a new model: what the champion gate sees by buyers with and without lists of the champion.

    python bench/gate.py --dir FOLDER --json FILE

A marketplace is played without lists, a champion trained, and its lists served to half of the users for a week; the
others get popular ones. Then a model is trained in the same way, four days later, and held against the champion by what
was bought on the last three days: by buyers who had no list of the champion, by those who had, and by all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from zlib import crc32

import pandas as pd
from threadpoolctl import threadpool_limits

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.machine import describe  # noqa: E402
from recsys.jobs import build, gate, plan_shards, score, simulate, train  # noqa: E402
from recsys.ranking.champion import load_champion  # noqa: E402
from recsys.schema import USER_ID, table  # noqa: E402
from recsys.settings import Settings  # noqa: E402
from recsys.warehouse import Warehouse, open_warehouse  # noqa: E402

FIRST = date(2026, 1, 1)
HISTORY, SERVED, JUDGED, FEATURES = 24, 7, 3, 15
LAST = FIRST + timedelta(days=HISTORY - 1)
END = LAST + timedelta(days=SERVED)
ASSIGNMENTS, LISTS = "experiments.assignments", "marts.recommendations"


def main() -> None:
    """Read the command line, play what is not there yet, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="demo")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path, required=True, help="where the played world is kept")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    settings = Settings(
        warehouse=str(given.dir), home=str(PROJECT), shards=1, seed=given.seed, champion_gate=False
    )
    started = time.perf_counter()
    if not given.dir.exists():
        play(settings, given.size)
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        found = judged(warehouse, settings)
    result = {"machine": describe(), "seconds": round(time.perf_counter() - started), "judges": found}
    print(json.dumps(result, indent=2))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def play(settings: Settings, size: str) -> None:
    """HISTORY days without lists, a champion, and SERVED days on which half of the users have its lists."""
    simulate.history(settings, FIRST, HISTORY, size=size)
    build.history(settings, FIRST, LAST, ["staging"])
    build.history(settings, LAST - timedelta(days=FEATURES), LAST, ["features"])
    train.run(settings, LAST)
    for day in (LAST + timedelta(days=n) for n in range(1, SERVED + 1)):
        _publish(settings, day - timedelta(days=1))
        simulate.run(settings, day)
        build.history(settings, day, day, ["staging", "features"])


def _publish(settings: Settings, ds: date) -> None:
    with open_warehouse(settings) as warehouse:
        users = warehouse.read("features.user_daily", ds, columns=[USER_ID])[USER_ID]
        policy = ["hybrid" if crc32(user.encode()) & 1 else "popularity" for user in users]
        rows = pd.DataFrame({"unit_id": users, "arm": policy, "policy": policy, "experiment_id": "split"})
        usual = {"STRING": "user", "INT64": 0, "DATE": ds}
        others = {c.name: usual[c.type] for c in table(ASSIGNMENTS).columns if c.name not in rows}
        warehouse.write(ASSIGNMENTS, rows.assign(**others)[table(ASSIGNMENTS).column_names], ds)
    for shard in plan_shards.run(settings, ds)["shards"]:  # type: ignore[attr-defined]
        score.run(settings, ds, **shard)
    build.run(settings, ds, table=LISTS)


def judged(warehouse: Warehouse, settings: Settings) -> dict[str, dict[str, object]]:
    """Buyers and verdicts by who judges."""
    cut = END - timedelta(days=JUDGED)
    champion = load_champion(settings.models_dir, LAST)
    challenger = train.train_market(warehouse, settings, cut)
    fair = gate._evenings(warehouse, settings, cut, END)
    everyone = list(gate._purchases(warehouse, settings, cut, END))
    others = {evening: set(bought[USER_ID]) for evening, bought in fair}
    served = [(day, bought[~bought[USER_ID].isin(others.get(day, ()))]) for day, bought in everyone]
    found: dict[str, dict[str, object]] = {}
    for name, evenings in (("without its lists", fair), ("with its lists", served), ("all", everyone)):
        verdicts = gate.held_against(warehouse, settings, challenger, champion, evenings)
        found[name] = {"buyers": sum(bought[USER_ID].nunique() for _, bought in evenings)}
        for metric, v in verdicts.items():
            theirs = v.margin / gate.MARGIN
            found[name][metric] = {
                "champion": theirs,
                "difference": v.difference,
                "interval": [v.low, v.high],
                "refused": v.is_worse,
            }
    return found


if __name__ == "__main__":
    main()
