"""Lists of sellers beside the most popular sellers, on worlds that nothing was chosen on.

  python bench/sellers.py                                             (four worlds, two of each kind of buyers)
  python bench/sellers.py --worlds logistic:3 --users 1500            (smaller, to look around)
  python bench/sellers.py --replays 100                               (and what could be known at all, see below)
  python bench/sellers.py scale --users 20000 --sellers 20000         (time and memory of the lists alone)

Each world is played for ``--days`` days without lists, its tables are built in a warehouse of its own, and the lists of
the evening before the cut are judged by whom buyers newly followed or bought from in the 14 days after it. Weights are
learned from the 14 days before the cut. The factors and their few constants were chosen in worlds of seed 11.

With ``--replays`` the simulator plays the 14 days that often from the evening of the cut, with other luck each time:
the same people, tastes, moods and arrivals of listings. Sellers in the order of how often a buyer turned to them are
the best that anybody could name who knew everything but luck; a list cannot be expected to do better.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.machine import describe  # noqa: E402
from recsys.evaluation.metrics import REVENUE, user_metrics  # noqa: E402
from recsys.jobs import build, sellers_backtest, simulate  # noqa: E402
from recsys.jobs.sellers_inputs import read_later, read_market  # noqa: E402
from recsys.schema import ITEM_ID, RANK, SELLER_ID, USER_ID  # noqa: E402
from recsys.sellers.factors import Factors  # noqa: E402
from recsys.sellers.market import Market  # noqa: E402
from recsys.sellers.recommend import best, most_popular, recommend  # noqa: E402
from recsys.sellers.weights import STATED, blocks, new_pairs  # noqa: E402
from recsys.settings import Settings  # noqa: E402
from recsys.synthetic import start, trending  # noqa: E402
from recsys.synthetic.config import preset  # noqa: E402
from recsys.synthetic.play import play  # noqa: E402
from recsys.warehouse import open_warehouse  # noqa: E402

FIRST, TEST_DAYS = date(2026, 1, 1), 14
STAGING = (
    "arrivals",
    "events",
    "items",
    "item_category",
    "users",
    "sellers",
    "user_item_daily",
    "item_daily",
    "item_shown_daily",
)
FEATURES = (
    "item_group",
    "interactions",
    "user_daily",
    "user_category_affinity",
    "cohort_affinity",
    "seller_daily",
)
STAGED = [f"staging.{name}" for name in (*STAGING, "user_seller_daily")]
MADE = [f"features.{name}" for name in (*FEATURES, "user_seller")]
"""What lists of sellers are made from, directly or not."""
console = Console(width=160)


def world(folder: Path, behaviour: str, seed: int, users: int, days: int) -> Settings:
    """Play a world and build what lists of sellers are made from, on the evenings before and of the cut."""
    settings = Settings.load({}, warehouse=str(folder), seed=seed)
    simulate.history(settings, FIRST, days, users=users, behaviour=behaviour)
    last = FIRST + timedelta(days=days - 1)
    build.history(settings, FIRST, last, STAGED)
    cut = last - timedelta(days=TEST_DAYS)
    for evening in (cut - timedelta(days=TEST_DAYS), cut):
        build.history(settings, evening, evening, MADE)
    return settings


def judge(given: argparse.Namespace) -> dict[str, object]:
    """Judge every world; prints a table of each and the ratio of each and of all."""
    found: dict[str, object] = {}
    total = {name: [0.0, 0] for name in (sellers_backtest.FULL, sellers_backtest.POPULAR)}
    for name in given.worlds:
        behaviour, _, seed = name.partition(":")
        with tempfile.TemporaryDirectory() as folder:
            settings = world(Path(folder), behaviour, int(seed), given.users, given.days)
            until = FIRST + timedelta(days=given.days)
            cut = until - timedelta(days=TEST_DAYS)
            judged = sellers_backtest.run(settings, cut, until, given.k, progress=console.print)
            known = foreseen(settings, behaviour, given, cut) if given.replays else None
        everybody = judged.table[judged.table["circle"] == "all"].set_index("method")
        for method, sums in total.items():
            sums[0] += everybody.loc[method, "ndcg"] * everybody.loc[method, "buyers"]
            sums[1] += int(everybody.loc[method, "buyers"])
        console.print(f"\n{name}, {given.users:,} users, cut {cut}")
        sellers_backtest.print_judged(judged, given.k, console)
        ratio = everybody["ndcg"] / everybody.loc[sellers_backtest.POPULAR, "ndcg"]
        console.print(f"NDCG@{given.k} {ratio[sellers_backtest.FULL]:.2f} times that of the most popular")
        facts = judged.as_dict()
        if known is not None:
            times = known / everybody.loc[sellers_backtest.POPULAR, "ndcg"]
            console.print(f"who knows all but luck, {given.replays} replays: {known:.4f}, {times:.2f} times")
            facts["foreseen"] = known
        found[name] = facts
    (mine, n), (theirs, _) = total.values()
    console.print(f"\nall {n:,} buyers: {mine / n:.4f} against {theirs / n:.4f}, {mine / theirs:.2f} times")
    return found


def foreseen(settings: Settings, behaviour: str, given: argparse.Namespace, cut: date) -> float:
    """NDCG of lists in the order of how often, in ``given.replays`` other plays, a buyer turned to a seller."""
    evening, until = cut - timedelta(days=1), FIRST + timedelta(days=given.days)
    with open_warehouse(settings) as warehouse:
        market = read_market(warehouse, settings, evening)
        later = read_later(warehouse, evening, until - timedelta(days=1))
    state = start(preset("demo", users=given.users, seed=settings.seed, first_day=FIRST, behaviour=behaviour))
    while state.ds < evening:
        state, _ = play(state, state.ds + timedelta(days=1), None, trending(state))
    user, seller = new_pairs(market, later)
    buyers = np.unique(user)
    votes = np.zeros((len(market.users), market.n_sellers), np.float32)
    for replication in range(1, given.replays + 1):
        now, turned = state, []
        while now.ds < until - timedelta(days=1):
            now, day = play(now, now.ds + timedelta(days=1), None, trending(now), replication=replication)
            events = day.events
            turned.append(events.loc[events["event_type"].isin(["purchase", "follow"]), [USER_ID, SELLER_ID]])
        one, other = new_pairs(market, pd.concat(turned).drop_duplicates())
        votes[one, other] += 1
    # The order of the most popular decides between sellers with as many votes.
    popular = most_popular(market, buyers[:1], market.n_sellers)
    place = market.shelf.seller_ids.get_indexer(pd.Index(popular[SELLER_ID]))
    votes[:, place] += np.linspace(0.5, 0, len(place), dtype=np.float32)
    parts = []
    for block in blocks(market, buyers):
        row, found, rank = best(votes[block], market, block, given.k)
        ids = {USER_ID: market.users[block[row]], ITEM_ID: market.shelf.seller_ids[found], RANK: rank}
        parts.append(pd.DataFrame(ids))
    wanted = pd.DataFrame({USER_ID: market.users[user], ITEM_ID: market.shelf.seller_ids[seller]})
    wanted = wanted.drop_duplicates().assign(**{REVENUE: 0.0})
    return float(user_metrics(pd.concat(parts), wanted, given.k)["ndcg"].mean())


def crowd(users: int, sellers: int, listings: int, seed: int = 0) -> Market:
    """A made-up evening: heavy-tailed shelves of 300 categories, buyers with about 12 touched listings each."""
    rng = np.random.default_rng(seed)
    size = rng.pareto(1.3, sellers) + 0.2
    seller = np.concatenate(
        [np.arange(sellers), rng.choice(sellers, listings - sellers, p=size / size.sum())]
    )
    category = (seller * 7 + rng.geometric(0.5, listings)) % 300
    frame = pd.DataFrame(
        {
            "item_id": [f"i{n:07d}" for n in range(listings)],
            "seller_id": [f"s{n:06d}" for n in seller],
            "category_id": [f"c{n:03d}" for n in category],
            "category_name": [f"Kind {n}" for n in category],
            "title": [
                f"thing{n} of{m} word{r}"
                for n, m, r in zip(category, seller % 997, rng.integers(0, 5_000, listings), strict=True)
            ],
            "brand": [f"b{n}" for n in rng.integers(0, 400, listings)],
            "condition": "good",
            "price": np.exp(rng.normal(3, 1, listings)),
            "listed_on": pd.Timestamp(FIRST) - pd.to_timedelta(rng.integers(0, 30, listings), unit="D"),
            "is_live": True,
        }
    )
    user, item = rng.integers(0, users, users * 12), rng.integers(0, listings, users * 12)
    touched = pd.DataFrame({"user_id": user, "item_id": item}).drop_duplicates(ignore_index=True)
    ties = pd.DataFrame(
        {"user_id": touched["user_id"], "seller_id": seller[touched["item_id"]]}
    ).drop_duplicates(ignore_index=True)
    bought = (rng.random(len(ties)) < 0.2).astype(int)
    names = {"user_id": "u{:07d}", "seller_id": "s{:06d}", "item_id": "i{:07d}"}
    for part in (touched, ties):
        for column in part:
            part[column] = [names[column].format(n) for n in part[column]]
    ids = sorted(set(frame["seller_id"]))
    return Market.from_frames(
        {
            "listings": frame,
            "touched": touched.assign(weight=2.0),
            "ties": ties.assign(weight=3.0, follows=0, purchases=bought),
            "sellers": pd.DataFrame(
                {"seller_id": ids, "rating": 4.5, "cancel_rate": 0.05, "tenure_days": 90}
                | {"own_rating": 4.5, "ratings": 10}
            ),
            "users": pd.DataFrame(
                {
                    "user_id": [f"u{n:07d}" for n in range(users)],
                    "gender": None,
                    "birth_year": np.nan,
                    "region": None,
                }
            ),
            "cohorts": pd.DataFrame(columns=["cohort", "category_id", "share", "drawn"]),
        },
        FIRST,
    )


def scale(given: argparse.Namespace) -> dict[str, object]:
    """Time and memory of the lists of a made-up evening."""
    market = crowd(given.users, given.sellers, given.listings)
    wall, cpu = time.perf_counter(), time.process_time()
    lists = recommend(Factors(market), STATED, np.arange(given.users), 20)
    facts = {
        "users": given.users,
        "sellers": market.n_sellers,
        "listings": given.listings,
        "rows": len(lists),
        "wall_s": round(time.perf_counter() - wall, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    console.print(facts)
    return facts


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("judge", "scale"), default="judge")
    worlds = ["logistic:20260101", "logistic:7", "choice:20260101", "choice:7"]
    parser.add_argument("--worlds", nargs="+", default=worlds, metavar="BEHAVIOUR:SEED")
    parser.add_argument("--users", type=int, default=3_000)
    parser.add_argument("--days", type=int, default=56)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--replays", type=int, default=0, help="other plays of the test period; slow")
    parser.add_argument("--sellers", type=int, default=10_000)
    parser.add_argument("--listings", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console.print(describe())
    facts = judge(given) if given.what == "judge" else scale(given)
    console.print(f"{time.process_time():.0f} CPU s in all")
    if given.json:
        given.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
