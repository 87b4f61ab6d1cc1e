"""Candidates, scores, money, order: the one function that makes lists, in batch and online."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.experiments.definition import POLICIES
from recsys.features.audience import Audience
from recsys.features.shelf import Shelf
from recsys.ranking.arrange import Cost, Layout, Lists, arrange
from recsys.ranking.candidates import (
    SOURCES,
    Candidates,
    Quotas,
    Trending,
    hybrid_candidates,
    popular_candidates,
)
from recsys.ranking.champion import Champion
from recsys.ranking.explain import reasons
from recsys.ranking.exploration import Exploration, chances
from recsys.ranking.fit import Fit
from recsys.ranking.judge import Judged
from recsys.ranking.promises import Record
from recsys.ranking.rationing import Rationing, rationed
from recsys.ranking.rerank import Variety, traits
from recsys.ranking.revenue import Money, kept_share
from recsys.ranking.rules import Rules
from recsys.ranking.scored import Scored
from recsys.ranking.showcase import Showcase

BATCH_CELLS = 6_000_000
BATCH_USERS = 1_000


@dataclass
class Ranker:
    """Everything needed to make lists from one shelf. ``champion`` knows the histories of the users asked for.

    ``list_size`` places are shown; ``reserve_size`` more are kept for when some are sold by then. The best ``pool``
    candidates of a user are what lists are arranged from. ``share`` of all users is the audience at hand, which
    ``rationing`` goes by. ``seed`` decides, with the day and the user, what is drawn. ``record`` tells what
    came of what earlier lists of a policy and a model promised; without any, what the scorer says stands.
    """

    champion: Champion
    shelf: Shelf
    trending: Trending
    money: Money = field(default_factory=Money)
    quotas: Quotas = field(default_factory=Quotas)
    item_unit: str = "group"
    list_size: int = 50
    reserve_size: int = 50
    pool: int = 200
    rules: Rules = field(default_factory=Rules)
    variety: Variety | None = None
    exploration: Exploration | None = None
    rationing: Rationing | None = None
    share: float = 1.0
    seed: int = 0
    record: Record = field(default_factory=Record)

    def __post_init__(self) -> None:
        """Look up what is the same for all users."""
        self.column_of_group = self.champion.catalogue.get_indexer(self.shelf.group_ids)
        self.group_of_column = self.shelf.group_ids.get_indexer(self.champion.catalogue)
        self.kept = kept_share(self.shelf)
        self.traits = traits(self.shelf)
        self.demand = np.expm1(self.shelf.item_feature("popularity_7d").astype(np.float64))
        self.costs: dict[str, list[Cost]] = {}
        self._quality = self._blank_quality()
        self._fit = Fit.build(self.shelf)
        self._showcases: dict[tuple[tuple[str, ...], str | None], Showcase] = {}
        for rule in self.rules.rules:
            if rule.position > self.list_size:
                raise ModelError(
                    f"{rule.source}: rule {rule.id!r} pins place {rule.position} of {self.list_size}; "
                    "name a place on the list."
                )

    @property
    def steps(self) -> pd.DataFrame:
        """What each step cost in the latest lists of each policy: policy, position of the step, and ``Cost``."""
        rows = [
            {"policy": policy, "position": position, **asdict(cost)}
            for policy, costs in sorted(self.costs.items())
            for position, cost in enumerate(costs, 1)
        ]
        return pd.DataFrame(rows, columns=["policy", "position", *Cost.__dataclass_fields__])

    def rank(self, audience: Audience, users: np.ndarray, policy: str) -> pd.DataFrame:
        """Lists of the ``users`` (ascending audience rows) by ``policy``.

        Returns [user_id, rank, item_id, is_reserve, policy, source, seller_id, category_id, group_id, score,
        p_purchase, price, price_capped, take_rate, p_cancel, expected_revenue, propensity, model, p_click,
        p_available, slot, reason, reason_item, p_judged], rank from 1. ``p_judged`` is what the scorer said.
        ``score`` is what the list is ordered by: expected revenue with the price raised to ``money.exponent``, or for
        popularity the share of recent demand.

        Raises:
            ModelError: for an unknown policy.
        """
        if policy not in POLICIES:
            raise ModelError(f"No policy {policy!r}. Known policies: {', '.join(POLICIES)}.")
        groups = list(self._alike(audience, users, policy))
        pool = Scored.join(
            [
                self._score(audience, batch, policy, showcase)
                for showcase, members in groups
                for batch in self._batches(members)
            ]
        )
        if len(groups) > 1:
            pool = pool.take(np.argsort(pool.rows, kind="stable"))
        parts, costs = [], []
        if self.rationing is not None and policy != "popularity" and len(pool):
            share = self.share * len(users) / max(len(audience), 1)
            limit = self.rationing.limits(pool.items, pool.p, len(self.shelf), share, self.shelf.stock)
            pool, cost = rationed(pool, limit, self.list_size, self.list_size + self.reserve_size)
            costs.append(cost)
        for showcase, members in groups:
            for batch in self._batches(members):
                mine = pool.take(np.arange(*np.searchsorted(pool.rows, [batch[0], batch[-1] + 1])))
                mine = mine.take(np.isin(mine.rows, batch)) if len(groups) > 1 else mine
                lists, spent = self._arrange(audience, mine, policy, showcase)
                parts.append(lists)
                costs += spent
        self.costs[policy] = Cost.total(costs)
        return self._frame(audience, Lists.join(parts), policy)

    def _alike(
        self, audience: Audience, users: np.ndarray, policy: str
    ) -> Iterator[tuple[Showcase, np.ndarray]]:
        """The users in groups that see the shelf alike, each with what they see."""
        rules = self.rules.on(served_on(audience), policy)
        regions = audience.regions[users]
        named = np.isin(regions.astype(str), rules.regions)
        for region in (None, *rules.regions):
            mine = users[~named if region is None else regions == region]
            if len(mine):
                yield self._showcase(rules, region), mine

    def _showcase(self, rules: Rules, region: str | None) -> Showcase:
        key = tuple(rule.id for rule in rules.rules), region
        if key not in self._showcases:
            view = rules.view(self.shelf, region)
            self._showcases[key] = Showcase.build(
                self._fit, view, self.trending, self._quality, self.quotas.per_seller
            )
        return self._showcases[key]

    def _batches(self, users: np.ndarray) -> Iterator[np.ndarray]:
        size = min(BATCH_USERS, max(1, BATCH_CELLS // len(self.champion.catalogue)))
        for start in range(0, len(users), size):
            yield users[start : start + size]

    def candidates_of(
        self, audience: Audience, row: int, policy: str
    ) -> tuple[Candidates, dict[str, np.ndarray]]:
        """All candidates of one user, with the score of each by each retriever: what they are judged among."""
        ((showcase, users),) = self._alike(audience, np.array([row]), policy)
        return self._named(audience, users, policy, showcase)

    def _named(
        self, audience: Audience, users: np.ndarray, policy: str, showcase: Showcase
    ) -> tuple[Candidates, dict[str, np.ndarray]]:
        ids = audience.user_ids[users]
        scores = {name: model.scores(ids) for name, model in self.champion.retrievers.items()}
        for table in scores.values():
            table[:, self.group_of_column < 0] = -np.inf
        found = self._candidates(audience, users, scores, policy, showcase)
        found = showcase.complete(found, audience, users, self.shelf, self.item_unit)
        place = np.searchsorted(users, found.rows)
        column = self.column_of_group[self.shelf.group_code[found.items]]
        return found, {
            name: np.where(column >= 0, table[place, column], -np.inf) for name, table in scores.items()
        }

    def _score(self, audience: Audience, users: np.ndarray, policy: str, showcase: Showcase) -> Scored:
        """Name candidates, judge them, and keep the best of each user."""
        found, retrieved = self._named(audience, users, policy, showcase)
        judged = self.champion.scorer.judge(self.shelf, audience, found.rows, found.items, retrieved)
        return self._value(found, judged, policy)

    def _candidates(
        self,
        audience: Audience,
        users: np.ndarray,
        scores: Mapping[str, np.ndarray],
        policy: str,
        showcase: Showcase,
    ) -> Candidates:
        if policy == "popularity":
            return popular_candidates(self.shelf, audience, users, showcase.trending, self.item_unit)
        return hybrid_candidates(
            self.shelf,
            audience,
            users,
            group_scores=scores,
            by_group=showcase.by_group,
            by_category=showcase.by_category,
            shelf_trending=showcase.trending,
            quotas=self.quotas,
            item_unit=self.item_unit,
            groups=self.group_of_column,
            content=showcase.content,
        )

    def _value(self, found: Candidates, judged: Judged, policy: str) -> Scored:
        """What each candidate is worth, best first; as many of each user as a pool holds."""
        shelf, items = self.shelf, found.items
        promises = self.record.promises(policy, self.champion.label)
        p = promises.kept(judged.promised, shelf.price[items])
        amount = shelf.price[items] if judged.amount is None else judged.amount
        earned = self.money.expected(p, amount, self.kept[items])
        likely = (
            promises.kept(judged.p_purchase, shelf.price[items])
            if judged.order is None
            else judged.order * promises.at(shelf.price[items])
        )
        score = found.share.astype(np.float64)
        if policy != "popularity":
            score = self.money.score(likely, amount, self.kept[items])
        order = np.lexsort((items, -earned if policy == "popularity" else items, -score, found.rows))
        click = np.full(len(p), np.nan) if judged.p_click is None else judged.p_click
        pool = Scored(found.rows, items, found.source, score, click, p, amount, earned, judged.promised).take(
            order
        )
        return pool.take(pool.place <= max(self.pool, self.list_size + self.reserve_size))

    def _arrange(
        self, audience: Audience, pool: Scored, policy: str, showcase: Showcase
    ) -> tuple[Lists, list[Cost]]:
        """The lists out of the pools of users who see the shelf alike. Popular lists are left as they are but for
        rules: they are what others are compared with."""
        layout = Layout(self.list_size, self.reserve_size)
        if policy != "popularity":
            layout = Layout(self.list_size, self.reserve_size, self.variety, self.exploration)
        draws = len(layout.exploration.places) if layout.exploration else 0
        ids = audience.user_ids.to_numpy(object)[np.unique(pool.rows)]
        return arrange(
            pool,
            codes=self.traits,
            popularity=self.demand,
            view=showcase.view,
            layout=layout,
            chance=chances(ids, draws, self.seed, audience.as_of),
        )

    def _frame(self, audience: Audience, lists: Lists, policy: str) -> pd.DataFrame:
        shelf, placed = self.shelf, lists.scored
        items, rank = placed.items, placed.place
        reason, reason_item = reasons(
            shelf,
            audience,
            placed.rows,
            items,
            placed.source,
            trending=self.trending,
            slot=lists.slot,
            personal=policy != "popularity",
        )
        return pd.DataFrame(
            {
                "user_id": audience.user_ids.to_numpy(object)[placed.rows],
                "rank": rank,
                "item_id": shelf.item_ids.to_numpy(object)[items],
                "is_reserve": rank > self.list_size,
                "policy": policy,
                "source": np.array(SOURCES, dtype=object)[placed.source],
                "seller_id": shelf.seller_ids.to_numpy(object)[shelf.seller_code[items]],
                "category_id": shelf.category_ids.to_numpy(object)[shelf.category_code[items]],
                "group_id": shelf.group_ids.to_numpy(object)[shelf.group_code[items]],
                "score": placed.score,
                "p_purchase": placed.p,
                "price": shelf.price[items],
                "price_capped": self.money.capped(placed.amount),
                "take_rate": shelf.take_rate[items],
                "p_cancel": shelf.p_cancel[items],
                "expected_revenue": placed.earned,
                "propensity": lists.propensity,
                "model": self.champion.label,
                "p_click": placed.p_click,
                "p_available": shelf.p_available[items],
                "slot": lists.slot,
                "reason": reason,
                "reason_item": pd.array(reason_item, dtype="str"),
                "p_judged": placed.p_judged,
            }
        )

    def _blank_quality(self) -> np.ndarray:
        """Log of what a listing would earn from a user nothing is known of, up to a constant."""
        shelf = self.shelf
        money = self.money.score(np.ones(len(shelf)), shelf.price, self.kept)
        return np.asarray(self.champion.scorer.quality(shelf) + np.log(np.maximum(money, 1e-9)))


def served_on(audience: Audience) -> date:
    """The day on which lists of the audience are served: the one after its data day."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + audience.as_of + 1)
