"""What features are worth: the first places of an evening, valued by chances that only the simulator knows.

    python bench/first_places.py --warehouse W --ds D --without brand_share brand_lift

``W`` is a synthetic marketplace with a champion, as ``recsys demo`` or ``bench/closed_loop.py`` leaves it. The logistic
regression is fitted as training as of ``ds`` fits it, on its training days alone and with no memory of the champion:
once with all features, once with those of ``--without`` held at 0. Each puts all candidates of the same users in the
order of the score that lists compete by, auctions last. The first PLACES are valued by the truth: position^-EXPONENT x
P(click) x P(purchase) x price x take rate where the purse allows it; auctions count nothing. Users weigh as much as
they come and are in the mood.

Nothing is played, so nobody is ahead of anybody, and money spent today is there tomorrow: of two rankers, the one with
dearer lists looks better here than it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from recsys.features.pairs import PAIR_FEATURES, pair_features  # noqa: E402
from recsys.jobs import score, simulate, train  # noqa: E402
from recsys.jobs.inputs import read_snapshot  # noqa: E402
from recsys.ranking.pipeline import Ranker  # noqa: E402
from recsys.ranking.snapshot import Snapshot  # noqa: E402
from recsys.ranking.training import Examples, fit_logistic  # noqa: E402
from recsys.settings import Settings, parse_ds  # noqa: E402
from recsys.synthetic import State  # noqa: E402
from recsys.synthetic.behaviour import taste_of  # noqa: E402
from recsys.synthetic.config import MarketplaceConfig  # noqa: E402
from recsys.synthetic.play import dawn  # noqa: E402
from recsys.synthetic.visits import numbers_of, session_rate  # noqa: E402
from recsys.warehouse import Warehouse, open_warehouse  # noqa: E402

PLACES, EXPONENT = 12, MarketplaceConfig.position_exponent
"""Places that a usual visit gets to, and how fast looks fall off."""


@dataclass(frozen=True)
class Evening:
    """All candidates of some users: audience ``rows`` (ascending), features, what ``money`` multiplies a chance by in
    the order, true ``value`` of a look, how much the user of each pair ``weighs``; and ``person`` and ``thing``, the
    numbers of user and listing in the simulator."""

    rows: np.ndarray
    features: np.ndarray
    money: np.ndarray
    value: np.ndarray
    weighs: np.ndarray
    person: np.ndarray
    thing: np.ndarray

    def worth(self, order: np.ndarray) -> float:
        """Mean over users, weighted, of what the first places are worth when pairs stand by falling ``order``."""
        by = np.lexsort((-order, self.rows))
        place = np.arange(len(by)) - np.searchsorted(self.rows[by], self.rows[by]) + 1
        shown, place = by[place <= PLACES], place[place <= PLACES]
        first = np.unique(self.rows, return_index=True)[1]
        looks = place**-EXPONENT
        return float((self.value[shown] * looks * self.weighs[shown]).sum() / self.weighs[first].sum())


def measure(settings: Settings, ds: date, users: int, without: Sequence[str]) -> dict[str, float]:
    """Worth by order: ``with`` all features, ``without`` some, ``true``; and ``purchases`` learned from."""
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        learned = _learned_from(warehouse, settings, ds)
        snapshot = read_snapshot(warehouse, settings, ds)
        ranker = score.make_ranker(settings, snapshot)
        evening = _evening(settings, ranker, snapshot, ds, users)
    dropped = np.isin(PAIR_FEATURES, list(without))

    def worth(drop: np.ndarray) -> float:
        known = replace(learned, features=np.where(drop, np.float32(0), learned.features))
        scorer = fit_logistic(known, settings.seed)
        chance = np.exp(scorer.logit(np.where(drop, np.float32(0), evening.features)).astype(np.float64))
        return evening.worth(chance * evening.money)

    return {
        "purchases": float(learned.purchased.sum()),
        "with": worth(np.zeros(len(PAIR_FEATURES), bool)),
        "without": worth(dropped),
        "true": evening.worth(evening.value),
    }


def _learned_from(warehouse: Warehouse, settings: Settings, ds: date) -> Examples:
    """The pairs that training as of ``ds`` fits on: those of the days before its calibration days."""
    days = train._training_days(warehouse, settings, ds)
    outcomes = {day: train.outcome_of(warehouse, day, ds) for day in days}
    parts = train._examples(warehouse, settings, outcomes, train.off_lists(warehouse, days, ds))
    known = sorted(parts)
    cut = train._calibration_cut([int(parts[day].listed.purchased.sum()) for day in known])
    return Examples.join([parts[day] for day in known[:cut]])


def _evening(settings: Settings, ranker: Ranker, snapshot: Snapshot, ds: date, users: int) -> Evening:
    audience, shelf = snapshot.audience, snapshot.shelf
    rng = np.random.default_rng(settings.seed)
    drawn = np.sort(rng.choice(len(audience), min(users, len(audience)), replace=False))
    rows, items, features = [], [], []
    for row in drawn.tolist():
        found, retrieved = ranker.candidates_of(audience, row, score.DEFAULT_POLICY)
        rows.append(found.rows)
        items.append(found.items)
        features.append(pair_features(shelf, audience, found.rows, found.items, retrieved))
    row, item = np.concatenate(rows), np.concatenate(items)
    tomorrow = ds + timedelta(days=1)
    state = State.from_bytes((simulate.state_folder(settings) / f"ds={ds}.npz").read_bytes())
    morning, _ = dawn(state, tomorrow)
    person = numbers_of(pd.Series(audience.user_ids))[row]
    thing = numbers_of(pd.Series(shelf.item_ids))[item]
    wish = taste_of(morning, tomorrow).wish(person, thing)
    price, fixed = morning.items["price"][thing], ~morning.items["auction"][thing]
    can = fixed & (price <= morning.users["wallet"][person])
    weight = session_rate(morning, tomorrow) * morning.users["mood"]
    return Evening(
        rows=row,
        features=np.concatenate(features),
        money=ranker.money.score(np.ones(len(row)), shelf.price[item], ranker.kept[item]) * fixed,
        value=wish.click * wish.buy * price * morning.items["take"][thing] * can,
        weighs=weight[person],
        person=person,
        thing=thing,
    )


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--warehouse", required=True)
    parser.add_argument("--ds", type=parse_ds, required=True)
    parser.add_argument("--users", type=int, default=1_600)
    parser.add_argument("--without", nargs="+", choices=PAIR_FEATURES, required=True, metavar="FEATURE")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    settings = Settings(warehouse=given.warehouse, home=str(PROJECT), shards=1, seed=given.seed)
    found = measure(settings, given.ds, given.users, given.without)
    for name, value in found.items():
        print(f"{name:10} {value:.4f}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
