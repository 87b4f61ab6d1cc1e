"""What could be learned at most: the first places of an evening by a model that is told how people behave.

    python bench/told_the_form.py --warehouse W --ds D

``W`` is a synthetic marketplace with a champion, as for ``bench/first_places.py``, which values the places. The model
knows what no recommender does: the formulas by which users click, like, fill carts and buy, all their constants, how
tastes and qualities are spread, what gender, age and region do to interests, what attributes mean, how much is looked
at in each place. It is not told what a user likes, what a listing is like, or what anybody can spend. That it finds by
maximum a posteriori, from all events up to the evening: what each page showed where, what was opened, liked, put into a
cart and bought, and which categories and brands were searched for. The private part of a taste, different for each
pair, is left at its mean.

So its order is about the best that these events allow, whatever the features. Behaviour ``logistic`` only. Needs
PyTorch (requirements-neural.txt).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)] if str(PROJECT) not in sys.path else []

from bench.first_places import Evening, _evening, _learned_from  # noqa: E402
from recsys.jobs import score, simulate  # noqa: E402
from recsys.jobs.inputs import read_snapshot  # noqa: E402
from recsys.models.neural import require_torch  # noqa: E402
from recsys.ranking.training import fit_logistic  # noqa: E402
from recsys.settings import Settings, parse_ds  # noqa: E402
from recsys.synthetic import State, listings  # noqa: E402
from recsys.synthetic.play import dawn  # noqa: E402
from recsys.synthetic.state import DAY, day_start  # noqa: E402
from recsys.synthetic.taste import Taste  # noqa: E402
from recsys.synthetic.visits import numbers_of  # noqa: E402
from recsys.synthetic.vocabulary import BRAND_NAMES  # noqa: E402
from recsys.synthetic.world import world_of  # noqa: E402
from recsys.warehouse import Warehouse, open_warehouse  # noqa: E402

STEPS, RATE = 90, 0.05
"""Steps of Adam; its rate falls to two fifths after half of them, and again after four fifths."""

SHOWN = """
SELECT user_id, item_id, event_date, surface,
  MIN(IF(event_type = 'impression', events.position, NULL)) AS position, COUNTIF(event_type = 'view') > 0 AS clicked,
  COUNTIF(event_type = 'like') > 0 AS liked, COUNTIF(event_type IN ('cart', 'purchase')) > 0 AS carted,
  COUNTIF(event_type = 'purchase') > 0 AS bought
FROM staging.events AS events
WHERE ds <= @ds AND surface IS NOT NULL AND event_type IN ('impression', 'view', 'like', 'cart', 'purchase')
GROUP BY user_id, item_id, event_date, surface
HAVING COUNTIF(event_type = 'impression' AND events.position IS NOT NULL) > 0
ORDER BY user_id, item_id, event_date, surface
"""
PAGES = """
SELECT user_id, session_id, item_id
FROM staging.events AS events
WHERE ds <= @ds AND event_type = 'impression' AND surface IN ('search', 'browse')
ORDER BY user_id, session_id, surface, events.position
"""
"""The last rows of a page are of the category that was asked for; the first may be promoted."""
SEARCHES = """
SELECT user_id, session_id, query
FROM staging.events
WHERE ds <= @ds AND event_type = 'search' AND query IS NOT NULL
ORDER BY user_id, session_id, query
"""


@dataclass(frozen=True)
class Seen:
    """Events as numbers. By user, listing, day and surface [shown]: ``user``, ``item``, ``position``, ``age`` in days,
    ``clicked``, ``liked``, ``carted``, ``bought``. ``asked`` [visits, 2]: user and category of search and browsing.
    ``named`` [searches, 3]: user, category, and the brand that they searched for."""

    user: np.ndarray
    item: np.ndarray
    position: np.ndarray
    age: np.ndarray
    clicked: np.ndarray
    liked: np.ndarray
    carted: np.ndarray
    bought: np.ndarray
    asked: np.ndarray
    named: np.ndarray

    @classmethod
    def until(cls, warehouse: Warehouse, ds: date, state: State) -> Self:
        """All that is known at the end of ``ds``."""
        shown, pages, searches = (
            _numbered(warehouse.query(text, {}, ds=ds).to_pandas()) for text in (SHOWN, PAGES, SEARCHES)
        )
        items = state.items
        day = pd.to_datetime(shown["event_date"]).to_numpy("datetime64[us]").astype(np.int64)
        asked = pages.drop_duplicates(["user", "session_id"], keep="last").copy()
        asked["leaf"] = items["leaf"][asked["item"].to_numpy()]
        brand = {query: _brand_in(query) for query in searches["query"].unique()}
        named = searches.assign(brand=searches["query"].map(brand)).query("brand >= 0")
        named = named.merge(asked[["user", "session_id", "leaf"]], on=["user", "session_id"])
        outcomes = (shown[name].to_numpy(bool) for name in ("clicked", "liked", "carted", "bought"))
        return cls(
            shown["user"].to_numpy(),
            shown["item"].to_numpy(),
            shown["position"].to_numpy(np.float64),
            np.maximum(day - items["listed"][shown["item"].to_numpy()], 0) / DAY,
            *outcomes,
            asked=asked[["user", "leaf"]].to_numpy(np.int64),
            named=named[["user", "leaf", "brand"]].to_numpy(np.int64),
        )


def _numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """With the numbers ``user`` and, where there are listings, ``item``; without rows of strangers."""
    for column, number in (("user_id", "user"), ("item_id", "item")):
        if column in rows:
            rows[number] = numbers_of(rows[column])
            rows = rows[rows[number] >= 0].copy()
    return rows


def _brand_in(query: str) -> int:
    names = [number for number, name in enumerate(BRAND_NAMES) if name.lower() in query.lower()]
    return names[0] if names else -1


class Told:
    """What people want, estimated by one who knows the formulas of ``synthetic.taste`` and ``synthetic.world``.

    Args:
        morning: the marketplace of the day after; its hidden columns (tastes, moods, purses, qualities, what things are
            truly worth) are not read.
        tomorrow: that day.
    """

    def __init__(self, morning: State, tomorrow: date) -> None:
        self.torch = torch = require_torch()
        self.config, world, items = morning.config, world_of(morning.config), morning.items
        taste = Taste(morning, tomorrow)
        self.climate, self.style = self._real(taste.climate), self._real(taste._style)
        self.leaf, self.seller = self._whole(items["leaf"]), self._whole(items["seller"])
        self.brand = self._whole(np.maximum(items["brand"], 0))
        self.branded, self.auction = self._real(items["brand"] >= 0), np.asarray(items["auction"])
        log_price = np.log(items["price"])
        self.level = self._real(log_price - world.leaf_log_price[items["leaf"]])
        self.outlay = self._real(log_price - 3.0)
        self.deal, self.deal_spread = (
            self._real(part) for part in _deals(items, world.brand_log_price, world)
        )
        self.parent = self._whole(world.leaf_parent)
        usual = _usual_interest(morning.users, world, tomorrow)
        self.usual = self._real(usual)
        share = np.exp(usual - usual.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        self.favourite = self._real(np.clip(1 - (1 - share) ** 3.5, 0.005, 0.9))  # two to five of them
        self.sold_here = torch.full((len(world.parent_brands), len(BRAND_NAMES)), -50.0)
        for parent, brands in enumerate(world.parent_brands):
            self.sold_here[parent, self._whole(brands)] = 0.0
        n, leaves = morning.n_users, len(world.leaf_weight)
        self.parts = {
            "parent": torch.zeros(n, len(world.parent_brands)),
            "leaf": torch.zeros(n, leaves),
            "brand": torch.full((n, len(BRAND_NAMES)), -0.2),
            "style": torch.zeros(n, self.style.shape[1]),
            "tier": torch.zeros(n),
            "mood": torch.full((n,), -0.85),
            "seller": torch.zeros(len(morning.sellers["user"])),
            "quality": torch.zeros(morning.n_items),
            "deal": torch.zeros(morning.n_items),
        }

    def _real(self, values: np.ndarray) -> Any:
        return self.torch.tensor(np.asarray(values), dtype=self.torch.float32)

    def _whole(self, values: np.ndarray) -> Any:
        return self.torch.tensor(np.asarray(values).astype(np.int64))

    def fit(self, seen: Seen, steps: int, say: Callable[[str], None]) -> None:
        """Climb to the mode of the posterior of ``parts``, by Adam."""
        parts = {name: part.requires_grad_() for name, part in self.parts.items()}
        optimiser = self.torch.optim.Adam(parts.values(), lr=RATE)
        log_likelihood = self._log_likelihood(seen)
        for step in range(steps):
            optimiser.zero_grad()
            loss = -(log_likelihood() + self._log_prior())
            loss.backward()
            optimiser.step()
            if step in (steps // 2, steps * 4 // 5):
                for group in optimiser.param_groups:
                    group["lr"] *= 0.4
            if step % 15 == 0 or step == steps - 1:
                say(f"step {step + 1} of {steps}: minus log posterior {float(loss.detach()):,.0f}")

    def chances(self, user: np.ndarray, item: np.ndarray, age: np.ndarray) -> np.ndarray:
        """P(click) x P(purchase | click, in the mood) of pairs [pairs] whose listings are ``age`` days old."""
        with self.torch.no_grad():
            _, click, buy = self._wish(self._whole(user), self._whole(item), self._real(age))
            return np.asarray((self.torch.sigmoid(click) * self.torch.sigmoid(buy)).double().numpy())

    def quality(self) -> np.ndarray:
        """How good photos and text of each listing are, as estimated [listings]."""
        both = self.parts["quality"] + self.parts["seller"][self.seller]
        return np.asarray(both.detach().double().numpy())

    def _interest(self) -> Any:
        raw = self.usual + self.parts["leaf"] + self.parts["parent"][:, self.parent]
        return raw - self.torch.logsumexp(raw, 1, keepdim=True)

    def _wish(self, user: Any, item: Any, age: Any) -> tuple[Any, Any, Any]:
        """Match of taste, and log-odds of click and purchase: ``Taste.wish`` without the private part."""
        parts, torch, leaf = self.parts, self.torch, self.leaf[item]
        category = (self._interest() + np.log(self.usual.shape[1])).clamp(-2.0, 3.2)[user, leaf]
        branded = parts["brand"][user, self.brand[item]] * self.branded[item]
        match = 0.9 * category + 0.55 * branded + 0.3 * (parts["style"][user] * self.style[item]).sum(1)
        over = self.level[item] - parts["tier"][user]
        dear = torch.where(over > 0, -0.9 * over**2, -0.25 * over**2)
        appeal = (
            parts["quality"][item] + parts["seller"][self.seller[item]] + self.climate[leaf] - 0.015 * age
        )
        deal, outlay = self.deal[item] + self.deal_spread[item] * parts["deal"][item], self.outlay[item]
        click = 0.42 * match + 0.4 * appeal + 0.3 * dear + 0.2 * deal - 0.15 * outlay
        buy = 0.28 * match + 0.25 * appeal + 0.6 * dear + 0.8 * deal - 0.45 * outlay
        return match, self.config.click_base + click, self.config.buy_base + buy

    def _log_likelihood(self, seen: Seen) -> Callable[[], Any]:
        torch, user, item, age = (
            self.torch,
            self._whole(seen.user),
            self._whole(seen.item),
            self._real(seen.age),
        )
        looks = self._real(seen.position**-self.config.position_exponent)
        opened = np.flatnonzero(seen.clicked)
        for_sale = opened[~self.auction[seen.item[opened]]]
        clicked, liked = self._real(seen.clicked), self._real(seen.liked[opened])
        carted, bought = (self._real(part[for_sale]) for part in (seen.carted, seen.bought))
        rows, rows_for_sale = self._whole(opened), self._whole(for_sale)
        (asker, wished), (namer, of, brand) = self._whole(seen.asked).T, self._whole(seen.named).T

        def log_likelihood() -> Any:
            match, click, buy = self._wish(user, item, age)
            total = _bernoulli(torch, looks * torch.sigmoid(click), clicked)
            total = total + _bernoulli(torch, torch.sigmoid(0.9 * match[rows] - 2.6), liked)
            mood = torch.sigmoid(self.parts["mood"][user[rows_for_sale]])
            wanted = torch.sigmoid(buy[rows_for_sale]) * mood
            # A cart in 4 of these, a purchase once, and by an offer that is taken a quarter more.
            total = total + _bernoulli(torch, 4 * wanted, carted) + _bernoulli(torch, 1.25 * wanted, bought)
            interest = torch.log_softmax(self._interest() + self.climate, 1)
            names = self.parts["brand"][namer] + self.sold_here[self.parent[of]]
            total = total + interest[asker, wished].sum()
            return total + torch.log_softmax(names, 1).gather(1, brand[:, None]).sum()

        return log_likelihood

    def _log_prior(self) -> Any:
        parts, torch = self.parts, self.torch
        favourites, others = self.favourite.log(), (-self.favourite).log1p()
        leaf = torch.logaddexp(
            others + _normal(parts["leaf"], 0.0, 0.6), favourites + _normal(parts["leaf"], 2.5, 0.72)
        )
        liked, rest = np.log(0.22), np.log(0.78)
        brand = torch.logaddexp(
            rest + _normal(parts["brand"], -0.35, 0.3), liked + _normal(parts["brand"], 1.6, 0.46)
        )
        spread = {"parent": 0.7, "style": 1.0, "tier": 0.45, "seller": 0.45, "quality": 0.55, "deal": 1.0}
        plain = sum(_normal(parts[name], 0.0, size).sum() for name, size in spread.items())
        return leaf.sum() + brand.sum() + _normal(parts["mood"], -0.85, 0.95).sum() + plain


def _bernoulli(torch: Any, chance: Any, happened: Any) -> Any:
    chance = chance.clamp(1e-6, 0.97)
    return (happened * torch.log(chance) + (1 - happened) * torch.log1p(-chance)).sum()


def _normal(values: Any, mean: float, spread: float) -> Any:
    return -0.5 * ((values - mean) / spread) ** 2 - np.log(spread)


def _deals(
    items: Mapping[str, np.ndarray], brand_price: np.ndarray, world: Any
) -> tuple[np.ndarray, np.ndarray]:
    """How far below its worth a listing is asked for, in logs, judged by its first price: mean and spread.

    Worth is spread by 0.42 about what category, brand and condition let expect, the asking price by 0.22 about it.
    """
    brand = np.where(items["brand"] >= 0, brand_price[np.maximum(items["brand"], 0)] + 0.1, -0.15)
    expected = world.leaf_log_price[items["leaf"]] + brand + listings._CONDITION_LOG_PRICE[items["condition"]]
    trust = 0.42**2 / (0.42**2 + 0.22**2)
    worth = expected + trust * (np.log(items["first_price"]) - expected - 0.06)
    spread = 0.42 * np.sqrt(1 - trust)
    auction = np.asarray(items["auction"])
    return np.where(auction, 0.5, worth - np.log(items["price"])), np.where(auction, 1e-3, spread)


def _usual_interest(users: Mapping[str, np.ndarray], world: Any, ds: date) -> np.ndarray:
    """What people of a gender, age and region are interested in, in logs [users, categories]."""
    gender = np.where(users["gender"] < 0, 0, users["gender"])
    born = np.where(users["birth_year"] < 0, ds.year - 35, users["birth_year"])
    band = np.digitize(np.clip(ds.year - born, 16, 85), [25, 35, 50])
    people = (world.gender_bias[gender] + world.age_bias[band])[:, world.leaf_parent]
    return np.asarray(np.log(world.leaf_weight) + world.region_bias[users["region"]] + people)


def measure(
    settings: Settings, ds: date, users: int, steps: int, say: Callable[[str], None]
) -> dict[str, float]:
    """Worth of the first places by order: of the ranker, of who is ``told`` the form, and of the truth, each with the
    purse known and not; and ``quality_r2``, which share of the candidates' quality ``told`` explains."""
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        snapshot = read_snapshot(warehouse, settings, ds)
        ranker = score.make_ranker(settings, snapshot)
        evening = _evening(settings, ranker, snapshot, ds, users)
        learned = fit_logistic(_learned_from(warehouse, settings, ds), settings.seed)
        state = State.from_bytes((simulate.state_folder(settings) / f"ds={ds}.npz").read_bytes())
        seen = Seen.until(warehouse, ds, state)
    tomorrow = ds + timedelta(days=1)
    morning, _ = dawn(state, tomorrow)
    model = Told(morning, tomorrow)
    model.fit(seen, steps, say)
    return _worths(
        evening, model, np.exp(learned.logit(evening.features).astype(np.float64)), morning, tomorrow
    )


def _worths(evening: Evening, model: Told, ranker: np.ndarray, morning: State, day: date) -> dict[str, float]:
    items, thing = morning.items, evening.thing
    truth = Taste(morning, day).wish(evening.person, thing)
    money = items["price"][thing] * items["take"][thing] * ~items["auction"][thing]
    can = items["price"][thing] <= morning.users["wallet"][evening.person]
    told = model.chances(evening.person, thing, np.maximum(day_start(day) - items["listed"][thing], 0) / DAY)
    orders = {
        "ranker": ranker * evening.money,
        "told": told * money,
        "told, and the purse": told * money * can,
        "true chances, purse unknown": truth.click * truth.buy * money,
        "true": evening.value,
    }
    found = np.corrcoef(model.quality()[thing], items["quality"][thing])[0, 1] ** 2
    return {name: evening.worth(order) for name, order in orders.items()} | {"quality_r2": float(found)}


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--warehouse", required=True)
    parser.add_argument("--ds", type=parse_ds, required=True)
    parser.add_argument("--users", type=int, default=1_600)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    settings = Settings(warehouse=given.warehouse, home=str(PROJECT), shards=1, seed=given.seed)
    found = measure(settings, given.ds, given.users, given.steps, lambda line: print(line, file=sys.stderr))
    for name, value in found.items():
        print(f"{name:28} {value:.4f}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
