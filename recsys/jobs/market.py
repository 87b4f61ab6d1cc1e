"""Read past days of a marketplace, make the lists of each evening anew, and judge them by what happened then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.evaluation.compare import (
    HYBRID,
    Comparison,
    Occasion,
    acquaintance,
    by_segment,
    compare,
    judge,
    mean_of,
)
from recsys.evaluation.market import about_market, attention, kinds, make_models, market_lists
from recsys.evaluation.reliability import PROMISED, calibration_of
from recsys.jobs.inputs import has_features, read_snapshot
from recsys.jobs.score import ranker_of
from recsys.jobs.train import outcome_of, train_market
from recsys.models import Recommender
from recsys.ranking.champion import Champion
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.training import fit_retrievers
from recsys.schema import ITEM_ID, USER_ID
from recsys.settings import Settings
from recsys.warehouse import Warehouse

TRAIN_EVERY = 7
"""Days after which the backtest trains anew, as train_weekly does."""

_OUTCOME = """
SELECT user_id, item_id, SUM(impressions) AS impressions, SUM(views) AS views, SUM(purchases) AS purchases,
  CAST(SUM(revenue) AS FLOAT64) AS revenue
FROM staging.user_item_daily
WHERE ds BETWEEN @first AND @last AND event_date >= @first AND event_date < @until
GROUP BY user_id, item_id
ORDER BY user_id, item_id
"""
_ARRIVED = """
SELECT user_id, MIN(event_ts) AS arrived FROM staging.events WHERE ds = @first AND event_date = @first
GROUP BY user_id ORDER BY user_id
"""
_CLOSED = """
SELECT item_id, COALESCE(closed_at, auction_ends_at) AS closed FROM staging.items
WHERE ds = @first AND NOT is_live ORDER BY item_id
"""
_SELLERS = (
    "SELECT seller_id, tenure_days, sold_90d FROM features.seller_daily WHERE ds = @ds ORDER BY seller_id"
)


@dataclass(frozen=True)
class MarketRun:
    """What a backtest over a marketplace found.

    Attributes:
        evenings: the evenings whose lists were judged.
        champions: labels of the models that made them.
        bought, viewed: comparisons by purchases, and by listings looked at.
        segments: figures by kind of listing and of user.
        shown: places of the hybrid that were truly shown on the first day of a slice, columns PROMISED; the outcome is
            the one that training learns from.
        attention: see ``evaluation.market.attention``, summed over the evenings.
    """

    evenings: tuple[date, ...]
    champions: tuple[str, ...]
    bought: Comparison
    viewed: Comparison | None
    segments: dict[str, dict[str, dict[str, object]]]
    shown: pd.DataFrame
    attention: pd.DataFrame

    def as_dict(self, seed: int) -> dict[str, object]:
        """The JSON of `recsys backtest`: that of ``Comparison``, "clicks", "segments", "calibration", "evenings"."""
        found = self.bought.as_dict()
        calibration, ece = calibration_of(self.shown, seed)
        models = found["models"]
        assert isinstance(models, dict)
        models[HYBRID]["ece"] = ece
        return found | {
            "clicks": self.viewed.as_dict() if self.viewed else None,
            "segments": self.segments,
            "calibration": calibration,
            "evenings": [str(day) for day in self.evenings],
            "champions": list(self.champions),
        }


def run_market(
    warehouse: Warehouse,
    settings: Settings,
    slices: list[tuple[date, date]],
    k: int,
    *,
    champion: Callable[[date], Champion] | None = None,
    others: Sequence[str] = (),
    most_users: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> MarketRun:
    """Judge the lists of the evening before each slice [first day, day after the last) by what happened in it.

    Args:
        warehouse: with the features of those evenings.
        settings: of the marketplace.
        slices: rolling origins, in order.
        k: length of the lists.
        champion: gives the model of an evening; None trains one as of the first evening and every TRAIN_EVERY days.
        others: names of models to judge beside its retrievers; fitted on the first evening that a champion is used on.
        most_users: users to make lists for, drawn by the seed; None for everyone. Everyone who bought is judged by
            it either way.
        say: told what is going on.

    Raises:
        ModelError: nobody bought anything in the slices, there is too little to train on, or no such model.
        WarehouseError: features of an evening are missing.
    """
    model = champion or _trainer(warehouse, settings, say)
    make_models(others, settings.seed)  # an unknown one is told before anything is trained
    days, fitted = [], {}
    for first, until in slices:
        evening = first - timedelta(days=1)
        made_by = model(evening)
        say(f"Lists of {evening} by {made_by.label}, judged from {first} until {until}")
        day = _Day.read(warehouse, settings, evening, first, until)
        if made_by.label not in fitted:
            models = make_models(others, settings.seed)
            fitted = {made_by.label: fit_retrievers(models, day.snapshot.history)}
        days.append(day.judged(settings, made_by, fitted[made_by.label], k, most_users))
    return _gathered(settings, days, k)


@dataclass(frozen=True)
class _Found:
    """What one evening's lists were worth."""

    evening: date
    label: str
    bought: Occasion
    viewed: Occasion
    about: dict[str, dict[str, float]]
    shown: pd.DataFrame
    attention: pd.DataFrame
    acquainted: pd.DataFrame


@dataclass(frozen=True)
class _Day:
    """An evening, and what happened from ``first`` on; ``shown``, ``arrived`` and ``closed`` are of the first day."""

    first: date
    snapshot: Snapshot
    outcome: pd.DataFrame
    shown: pd.DataFrame
    arrived: pd.Series
    closed: pd.Series
    sellers: pd.DataFrame

    @classmethod
    def read(cls, warehouse: Warehouse, settings: Settings, evening: date, first: date, until: date) -> _Day:
        if not has_features(warehouse, evening):
            raise ModelError(
                f"The backtest makes the lists of {evening}, and its features are missing. Run the DAG features_daily "
                "for that day, or begin with a later --cut."
            )
        last = until - timedelta(days=1) + timedelta(days=settings.late_days)
        days = {"first": first, "until": until, "last": last}
        arrived = warehouse.query(_ARRIVED, {"first": first}).to_pandas()
        closed = warehouse.query(_CLOSED, {"first": first}).to_pandas()
        return cls(
            first,
            read_snapshot(warehouse, settings, evening),
            warehouse.query(_OUTCOME, days).to_pandas(),
            outcome_of(warehouse, first, max(last, first + timedelta(days=1 + settings.late_days))),
            arrived.set_index(USER_ID)["arrived"],
            closed.set_index(ITEM_ID)["closed"],
            warehouse.query(_SELLERS, ds=evening).to_pandas(),
        )

    def pairs(self, what: str) -> pd.DataFrame:
        """[user_id, item_id, revenue] of the pairs with any ``what``."""
        return self.outcome.loc[self.outcome[what] > 0, [USER_ID, ITEM_ID, "revenue"]]

    def users(self, seed: int, most: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Audience rows, ascending: ``most`` drawn by the seed, and every buyer; and which of them were drawn."""
        audience = self.snapshot.audience
        everyone = np.arange(len(audience))
        if most is None or most >= len(everyone):
            return everyone, np.ones(len(everyone), bool)
        rng = np.random.default_rng((seed, self.first.toordinal()))
        drawn = rng.choice(everyone, most, replace=False)
        buyers = audience.user_ids.get_indexer(pd.Index(self.pairs("purchases")[USER_ID]))
        rows = np.unique(np.concatenate([drawn, buyers[buyers >= 0]]))
        return rows, np.isin(rows, drawn)

    def judged(
        self,
        settings: Settings,
        champion: Champion,
        others: Mapping[str, Recommender],
        k: int,
        most_users: int | None,
    ) -> _Found:
        """Buyers are judged by what they bought; all else, of users drawn without a look at what they did."""
        snapshot, name = self.snapshot, str(self.first)
        users, drawn = self.users(settings.seed, most_users)
        known = {model: one.with_history(snapshot.history) for model, one in others.items()}
        lists, chances = market_lists(ranker_of(settings, snapshot, champion), snapshot, users, k, known)
        ids = snapshot.audience.user_ids[users[drawn]]
        of_drawn = {model: frame[frame[USER_ID].isin(ids)] for model, frame in lists.items()}
        viewed, bought = self.pairs("views"), self.pairs("purchases")
        viewed = viewed[viewed[USER_ID].isin(ids)]
        return _Found(
            snapshot.ds,
            champion.label,
            Occasion(name, lists, kinds(bought, snapshot)),
            Occasion(name, of_drawn, kinds(viewed, snapshot)),
            about_market(of_drawn, snapshot, k, arrived=self.arrived, closed=self.closed),
            self._shown(chances[chances[USER_ID].isin(ids)]),
            attention(of_drawn, snapshot, self.outcome, self.sellers, k),
            acquaintance(bought, snapshot.history),
        )

    def _shown(self, chances: pd.DataFrame) -> pd.DataFrame:
        """Places of ``chances`` that were truly shown on the first day: columns PROMISED."""
        rows = self.shown[self.shown["impressions"] > 0].merge(chances, on=[USER_ID, ITEM_ID])
        shelf = self.snapshot.shelf
        price = shelf.price[shelf.item_ids.get_indexer(pd.Index(rows[ITEM_ID]))]
        outcome = (rows["purchases"] > 0).astype(np.int64)
        return rows.assign(p=rows["p_purchase"], price=price, outcome=outcome)[list(PROMISED)]


def _trainer(
    warehouse: Warehouse, settings: Settings, say: Callable[[str], None]
) -> Callable[[date], Champion]:
    trained: dict[date, Champion] = {}

    def champion_of(evening: date) -> Champion:
        newest = max(trained, default=None)
        if newest is None or (evening - newest).days >= TRAIN_EVERY:
            say(f"Training as of {evening}")
            try:
                trained[evening] = train_market(warehouse, settings, evening)
            except ModelError as refused:
                if newest is None:
                    raise
                say(f"The champion of {newest} stays. {refused}")
                trained[evening] = trained[newest]
            newest = evening
        return trained[newest]

    return champion_of


def _alike(days: list[_Found]) -> list[_Found]:
    """``days`` with the models that made lists on all of them: an older champion may lack a retriever."""
    names = [name for name in days[0].about if all(name in day.about for day in days)]

    def of_names(one: Occasion) -> Occasion:
        return replace(one, lists={name: one.lists[name] for name in names})

    return [
        replace(
            day,
            bought=of_names(day.bought),
            viewed=of_names(day.viewed),
            about={name: day.about[name] for name in names},
        )
        for day in days
    ]


def _gathered(settings: Settings, days: list[_Found], k: int) -> MarketRun:
    days = _alike(days)
    bought = [day.bought for day in days]
    viewed = [day.viewed for day in days]
    judged = judge(bought, k)
    if judged.empty:
        raise ModelError("Nobody bought anything in the test period; choose other days.")
    looked = judge(viewed, k)
    users = [Occasion(day.bought.name, day.bought.lists, day.acquainted) for day in days]
    seen = pd.concat([day.attention for day in days]).groupby(["group", "kind"], sort=True).sum()
    return MarketRun(
        evenings=tuple(day.evening for day in days),
        champions=tuple(dict.fromkeys(day.label for day in days)),
        bought=compare(judged, k, settings.seed, about_lists=mean_of([day.about for day in days])),
        viewed=None if looked.empty else compare(looked, k, settings.seed),
        segments={
            "listing": by_segment(bought, k, settings.seed),
            "user": by_segment(users, k, settings.seed),
        },
        shown=pd.concat([day.shown for day in days], ignore_index=True),
        attention=seen.reset_index(),
    )
