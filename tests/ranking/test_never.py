"""No list ever holds a listing that is not live, is the user's own, was bought by them, or is blocked.

Random small marketplaces go through the SQL that decides what is live and who had what, then through the ranking with
random rules and settings. What may be shown is worked out here once more, from the source rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.jobs.inputs import read_snapshot
from recsys.models import ALS, ItemKNN, OwnHistory, Popularity
from recsys.ranking.candidates import Quotas
from recsys.ranking.champion import Champion
from recsys.ranking.exploration import Exploration
from recsys.ranking.pipeline import Ranker
from recsys.ranking.rerank import Variety
from recsys.ranking.rules import Rule, Rules, View, parse_rules
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.training import fit_retrievers
from recsys.settings import Settings
from recsys.warehouse import open_warehouse, order
from tests.ranking.test_pipeline import scorer
from tests.sql.fixture import Row, put

DS = date(2026, 1, 31)
END = datetime.combine(DS + timedelta(days=1), time(), UTC)
USERS = [f"u{n:02d}" for n in range(14)]
CATEGORIES, BRANDS, REGIONS = ["c0", "c1", "c2"], ["acme", "Bolt", None], ["north", "south", None]
BUILT = ["staging.items", "staging.users", "staging.sellers", "staging.item_category"]
BUILT += [
    f"features.{name}"
    for name in ("item_group", "item_daily", "interactions", "user_daily", "user_category_affinity")
] + ["features.seller_daily", "features.category_trend"]
STATES: list[tuple[str, dict[str, Any]]] = [
    ("live", {}),
    ("sold tomorrow", {"closed_at": END + timedelta(hours=3), "close_reason": "sold", "stock": 0}),
    ("auction", {"sale_type": "auction", "auction_ends_at": END + timedelta(hours=9)}),
    ("sold today", {"closed_at": END - timedelta(seconds=1), "close_reason": "sold", "stock": 0}),
    ("sold long ago", {"closed_at": END - timedelta(days=40), "close_reason": "sold", "stock": 0}),
    ("withdrawn", {"closed_at": END - timedelta(hours=5), "close_reason": "withdrawn"}),
    ("expired", {"closed_at": END - timedelta(days=2), "close_reason": "expired"}),
    ("auction over", {"sale_type": "auction", "auction_ends_at": END - timedelta(seconds=1)}),
    ("listed tomorrow", {"listed_at": END}),
]


@dataclass
class Market:
    """Source rows, and what the ranking makes of them."""

    items: dict[str, Row]
    users: dict[str, Row]
    bought: set[tuple[str, str]]
    actions: list[Row]
    snapshot: Snapshot = field(init=False)
    champion: Champion = field(init=False)

    def is_live(self, item_id: str) -> bool:
        item = self.items[item_id]
        ends = [item[name] for name in ("closed_at", "auction_ends_at") if item.get(name)]
        return item["listed_at"] < END and all(moment >= END for moment in ends)


def draw(seed: int) -> Market:
    """Listings in every state, their sellers among the users; what each user looked at and bought, of any state."""
    rng = np.random.default_rng(seed)
    items: dict[str, Row] = {}
    for number in range(int(rng.integers(20, 70))):
        chosen = int(rng.integers(len(STATES))) if rng.random() < 0.7 else 0
        items[f"i{number:03d}"] = {
            "item_id": f"i{number:03d}",
            "seller_id": USERS[int(rng.integers(8))],
            "category_id": CATEGORIES[int(rng.integers(3))],
            "brand": BRANDS[int(rng.integers(3))],
            "price": Decimal(int(rng.integers(3, 60))),
            "stock": int(rng.integers(1, 4)),
            "sale_type": "fixed",
            "listed_at": END - timedelta(days=int(rng.integers(60, 80))),
        } | STATES[chosen][1]
    regions = {user: REGIONS[int(rng.integers(3))] for user in USERS}
    users = {user: {"user_id": user, "region": region} for user, region in regions.items()}
    pairs = {
        (user, item, int(rng.choice([0, 1, 5, 20, 50])))
        for user in USERS[: int(rng.integers(9, 13))]
        for item in rng.choice(list(items), 6)
        if items[item]["listed_at"] < END
    }
    bought, actions = set(), []
    for user, item, ago in sorted(pairs):
        buys = rng.random() < 0.4
        bought |= {(user, item)} if buys else set()
        day = DS - timedelta(days=ago)
        row = {"user_id": user, "item_id": item, "event_date": day, "ds": day}
        counts = {"views": 1, "likes": 1, "purchases": int(buys), "quantity": int(buys)}
        actions.append(row | counts | {"revenue": Decimal(10 * buys)})
    return Market(items, users, bought, actions)


def build(market: Market, folder: Path, always_live: bool = False) -> Market:
    """Run the SQL of the shelf and the features over the source rows, and fit a champion."""
    loaded = Settings.load({}, warehouse=str(folder))
    by_item: dict[tuple[str, date], Row] = {}
    for row in market.actions:
        held = by_item.setdefault((row["item_id"], row["ds"]), {"item_id": row["item_id"], "ds": row["ds"]})
        held["event_date"] = row["ds"]
        for name in ("views", "likes", "purchases", "quantity"):
            held[name] = held.get(name, 0) + row[name]
    sellers = sorted({item["seller_id"] for item in market.items.values()})
    with open_warehouse(loaded) as warehouse:
        for table, rows in (
            ("marketplace.items", list(market.items.values())),
            ("marketplace.users", list(market.users.values())),
            ("marketplace.sellers", [{"seller_id": seller} for seller in sellers]),
            ("marketplace.item_category", [{"category_id": name, "name": name} for name in CATEGORIES]),
            ("marketplace.price_changes", []),
            ("staging.user_item_daily", market.actions),
            ("staging.item_daily", list(by_item.values())),
            ("staging.item_shown_daily", []),
        ):
            put(warehouse, table, rows, DS)
        for table in order(BUILT, loaded.sql_dir):
            warehouse.build(table, DS)
            if table == "staging.items" and always_live:
                broken = warehouse.read(table, DS).assign(is_live=True)
                warehouse.write(table, broken, DS)
        market.snapshot = read_snapshot(warehouse, loaded, DS)
    models = [Popularity(), ItemKNN(), ALS(factors=4, iterations=2, seed=1), OwnHistory()]
    retrievers = fit_retrievers({model.name: model for model in models}, market.snapshot.history)
    market.champion = Champion(retrievers, scorer(), {"ds": str(DS)})
    return market


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    return build(draw(7), tmp_path_factory.mktemp("market"))


def condition() -> st.SearchStrategy[dict[str, Any]]:
    ids = st.lists(st.sampled_from([f"i{n:03d}" for n in range(40)]), min_size=1, max_size=6)
    return st.one_of(
        st.fixed_dictionaries({"item_id": ids}),
        st.fixed_dictionaries({"seller_id": st.sampled_from(USERS[:8])}),
        st.fixed_dictionaries({"category_id": st.sampled_from(CATEGORIES)}),
        st.fixed_dictionaries({"brand": st.sampled_from(["ACME", "bolt"])}),
        st.fixed_dictionaries({"price": st.fixed_dictionaries({"min": st.integers(3, 60)})}),
        st.fixed_dictionaries({"is_auction": st.booleans()}),
    )


def rule(action: str, **extra: st.SearchStrategy) -> st.SearchStrategy[dict[str, Any]]:
    optional = {
        "regions": st.lists(st.sampled_from(["north", "south"]), min_size=1, max_size=1),
        "policies": st.lists(st.sampled_from(["hybrid", "popularity"]), min_size=1, max_size=1),
        "start": st.sampled_from([DS, DS + timedelta(days=1), DS + timedelta(days=2)]),
        "end": st.sampled_from([DS + timedelta(days=2), DS + timedelta(days=9)]),
    }
    return st.fixed_dictionaries(
        {"action": st.just(action), "where": condition(), **extra}, optional=optional
    )


def rules() -> st.SearchStrategy[Rules]:
    listed = st.tuples(
        st.lists(rule("block"), max_size=3),
        st.lists(rule("pin", position=st.integers(1, 6)), max_size=2, unique_by=lambda r: r["position"]),
        st.lists(rule("boost", factor=st.just(9.0)), max_size=1),
        st.lists(rule("bury", factor=st.just(0.1)), max_size=1),
    )
    return listed.map(
        lambda groups: Rules(
            tuple(parse_rules({"rules": [{"id": f"r{n}", **r} for n, r in enumerate(chain(*groups))]}, "t"))
        )
    )


def layouts() -> st.SearchStrategy[dict[str, Any]]:
    sizes = {"list_size": st.integers(6, 12), "reserve_size": st.integers(0, 60), "pool": st.integers(1, 90)}
    return st.fixed_dictionaries(
        sizes
        | {
            "rules": rules(),
            "variety": st.sampled_from([None, Variety(0.5, 2, 3, 0.2)]),
            "exploration": st.sampled_from([None, Exploration((2, 5), breadth=20)]),
            "quotas": st.sampled_from([Quotas(), Quotas(groups=2, per_group=1, categories=1, trending=5)]),
            "seed": st.integers(0, 99),
        }
    )


def blocks(market: Market, rule: Rule, user: str, item_id: str, policy: str) -> bool:
    """Whether a rule forbids the pair, read once more from the source rows."""
    item, served = market.items[item_id], DS + timedelta(days=1)
    if rule.action != "block" or policy not in rule.policies:
        return False
    if (rule.start and rule.start > served) or (rule.end and rule.end < served):
        return False
    if rule.regions and market.users[user]["region"] not in rule.regions:
        return False
    for name, values in rule.where.items():
        if name == "price":
            holds = float(item["price"]) >= float(values[0])  # type: ignore[arg-type]
        elif name == "is_auction":
            holds = (item["sale_type"] == "auction") == values[0]
        elif name == "brand":
            holds = str(item["brand"]).lower() in [str(value).lower() for value in values]
        else:
            holds = item[name] in values
        if not holds:
            return False
    return True


def violations(market: Market, options: dict[str, Any], policy: str, users: np.ndarray) -> Iterator[str]:
    """What stands on the lists or behind them and may not."""
    snapshot = market.snapshot
    champion = market.champion.with_history(snapshot.history)
    lists = Ranker(champion, snapshot.shelf, snapshot.trending, **options).rank(
        snapshot.audience, users, policy
    )
    asked = set(snapshot.audience.user_ids[users])
    for user, item in zip(lists["user_id"], lists["item_id"], strict=True):
        if user not in asked:
            yield "not asked"
        if not market.is_live(item):
            yield "not live"
        if market.items[item]["seller_id"] == user:
            yield "own"
        if (user, item) in market.bought:
            yield "bought"
        if any(blocks(market, one, user, item, policy) for one in options.get("rules", Rules()).rules):
            yield "blocked"
    if lists.duplicated(["user_id", "item_id"]).any():
        yield "twice"


def everyone(market: Market) -> np.ndarray:
    return np.arange(len(market.snapshot.audience))


QUIET = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUIET
@given(options=layouts(), policy=st.sampled_from(["hybrid", "popularity"]), some=st.sets(st.integers(0, 11)))
def test_never_whatever_the_rules_and_settings(
    market: Market, options: dict[str, Any], policy: str, some: set[int]
) -> None:
    users = everyone(market)
    chosen = users[[n for n in sorted(some) if n < len(users)]] if some else users
    assert not set(violations(market, options, policy, chosen))


@settings(QUIET, max_examples=6)
@given(seed=st.integers(8, 10_000), options=layouts())
def test_never_whatever_the_marketplace(seed: int, options: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        made = build(draw(seed), Path(folder))
    for policy in ("hybrid", "popularity"):
        assert not set(violations(made, options, policy, everyone(made)))


def test_the_marketplace_has_what_could_go_wrong(market: Market) -> None:
    """Each state is there, users have sold and bought what is live, and lists are long enough to show everything."""
    audience = set(market.snapshot.audience.user_ids)
    live = {item for item in market.items if market.is_live(item)}
    assert set(market.snapshot.shelf.item_ids) == live
    assert len(live) < len(market.items) - 5
    assert any(item in live and user in audience for user, item in market.bought)
    assert any(market.items[item]["seller_id"] in audience for item in live)


WIDE = {"list_size": 12, "reserve_size": 90}


def test_it_fails_without_the_filter_on_what_is_live(tmp_path: Path) -> None:
    broken = build(draw(7), tmp_path, always_live=True)
    for policy in ("hybrid", "popularity"):
        assert "not live" in set(violations(broken, WIDE, policy, everyone(broken)))


@pytest.mark.parametrize("policy", ["hybrid", "popularity"])
def test_it_fails_without_the_filters_on_own_and_bought(market: Market, policy: str) -> None:
    audience = market.snapshot.audience
    unsold = replace(audience.touched, values=np.zeros_like(audience.touched.values))
    for told, change in (
        ("own", {"seller_code": np.full(len(audience), -1)}),
        ("bought", {"touched": unsold}),
    ):
        broken = copy(market)
        broken.snapshot = replace(market.snapshot, audience=replace(audience, **change))
        assert set(violations(broken, WIDE, policy, everyone(market))) == {told}


@pytest.mark.parametrize("policy", ["hybrid", "popularity"])
def test_it_fails_without_the_block(market: Market, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    block = {"id": "no c0", "action": "block", "where": {"category_id": "c0"}}
    options = WIDE | {"rules": Rules(tuple(parse_rules({"rules": [block]}, "test")))}
    assert not set(violations(market, options, policy, everyone(market)))
    right = Rules.view

    def blind(self: Rules, shelf: Any, region: str | None) -> View:
        return replace(right(self, shelf, region), allowed=np.ones(len(shelf), bool))

    monkeypatch.setattr(Rules, "view", blind)
    assert set(violations(market, options, policy, everyone(market))) == {"blocked"}
