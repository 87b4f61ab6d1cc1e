"""What caps, diversity and exploration truly cost, on a synthetic marketplace that was played and has a champion.

    python bench/steps.py --warehouse var/warehouse --ds 2026-02-12 --replications 20

Lists of the evening of ``ds`` are made with one step at a time, and the day after is played with each of them; all meet
the same visitors, so the differences to plain lists have a smaller error than each figure by itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from recsys.jobs import score, simulate
from recsys.jobs.inputs import read_snapshot
from recsys.settings import Settings, parse_ds
from recsys.synthetic import State, compare, trending
from recsys.warehouse import open_warehouse

ENDLESS = 10**6
PLAIN: dict[str, object] = {
    "diversity": 0.0,
    "per_seller": ENDLESS,
    "per_category": ENDLESS,
    "popularity_penalty": 0.0,
    "explore": "none",
}


def cases(settings: Settings) -> dict[str, dict[str, object]]:
    """Settings by the name of what is done to the lists; the last has all of the installation's own."""
    own = {name: getattr(settings, name) for name in PLAIN}
    caps = {"per_seller": own["per_seller"], "per_category": own["per_category"]}
    return {
        "plain": PLAIN,
        "caps": PLAIN | caps,
        "caps and diversity": PLAIN | caps | {"diversity": own["diversity"]},
        "exploration": PLAIN | {"explore": own["explore"]},
        "all": own,
    }


def measure(settings: Settings, ds: date, replications: int) -> Mapping[str, tuple[float, float, float]]:
    """Revenue per user of each case, and its relative difference to plain lists with the standard error."""
    with open_warehouse(settings) as warehouse:
        snapshot = read_snapshot(warehouse, settings, ds)
    lists = {
        name: score.rank_users(
            score.make_ranker(replace(settings, **changes), snapshot), snapshot, None, "hybrid"
        )
        for name, changes in cases(settings).items()
    }
    state = State.from_bytes((simulate.state_folder(settings) / f"ds={ds}.npz").read_bytes())
    truths = compare(state, ds + timedelta(days=1), lists, replications, trending(state))
    plain = truths["plain"].rpu
    out = {}
    for name, truth in truths.items():
        gap = (truth.rpu - plain) / plain.mean()
        out[name] = float(truth.rpu.mean()), float(gap.mean()), float(gap.std(ddof=1) / len(gap) ** 0.5)
    return out


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--warehouse", type=Path, required=True, help="of a synthetic marketplace")
    parser.add_argument(
        "--ds", required=True, help="the last day that was played, with features and a champion"
    )
    parser.add_argument("--replications", type=int, default=20)
    given = parser.parse_args()
    found = measure(Settings.load(warehouse=str(given.warehouse)), parse_ds(given.ds), given.replications)
    for name, (rpu, gap, error) in found.items():
        print(f"{name:20s} RPU {rpu:.4f}  {gap:+7.2%} +- {error:.2%}")


if __name__ == "__main__":
    main()
