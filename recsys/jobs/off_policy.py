"""Judge, from what was shown, what another policy would have earned at the places that are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.evaluation.off_policy import ENOUGH_REWARDED, Estimate, Method, OffPolicy, evaluate
from recsys.jobs.any_table import read_any
from recsys.schema import DS, ITEM_ID, RANK, USER_ID
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

REWARDS = ("revenue", "purchases", "clicks")
MODELS = ("item", "item-position")
LIST, PLACE, PAIR = [DS, USER_ID], [DS, USER_ID, RANK], [DS, USER_ID, ITEM_ID]
PREDICTION = {"revenue": "expected_revenue", "clicks": "p_click", "purchases": "p_purchase"}

_SHOWN = """
WITH happened AS (
  SELECT user_id, item_id, event_date, event_type, request_id, event_ts, propensity, surface, amount
  FROM staging.events
  WHERE ds BETWEEN @first AND @ds AND event_date BETWEEN @first AND @ds
    AND event_type IN ('impression', 'view', 'purchase')
),
shown AS (
  SELECT user_id, item_id, event_date, request_id, MIN(propensity) AS propensity
  FROM happened
  WHERE event_type = 'impression' AND surface = 'recommendation' AND request_id IS NOT NULL AND propensity IS NOT NULL
  GROUP BY user_id, item_id, event_date, request_id
),
clicked AS (
  SELECT user_id, item_id, event_date, request_id, MIN(event_ts) AS clicked_at
  FROM happened
  WHERE event_type = 'view' AND request_id IS NOT NULL
  GROUP BY user_id, item_id, event_date, request_id
),
bought AS (
  SELECT user_id, item_id, event_date, COUNT(*) AS purchases, CAST(SUM(amount) AS FLOAT64) AS paid
  FROM happened
  WHERE event_type = 'purchase'
  GROUP BY user_id, item_id, event_date
)
SELECT DATE_SUB(shown.event_date, INTERVAL 1 DAY) AS ds, shown.user_id, shown.item_id, lists.rank, lists.is_reserve,
  shown.propensity, lists.take_rate,
  IF(clicked.clicked_at IS NULL, 0, 1) AS clicks, bought.purchases, bought.paid,
  clicked.clicked_at IS NOT NULL AND ROW_NUMBER() OVER (
    PARTITION BY shown.user_id, shown.item_id, shown.event_date
    ORDER BY IF(clicked.clicked_at IS NULL, 1, 0), clicked.clicked_at, shown.request_id
  ) = 1 AS sold_here
FROM shown
LEFT JOIN marts.recommendations AS lists ON lists.user_id = shown.user_id AND lists.item_id = shown.item_id
  AND lists.ds = DATE_SUB(shown.event_date, INTERVAL 1 DAY)
  AND lists.ds BETWEEN DATE_SUB(@first, INTERVAL 1 DAY) AND @ds
LEFT JOIN clicked ON clicked.user_id = shown.user_id AND clicked.item_id = shown.item_id
  AND clicked.request_id = shown.request_id
LEFT JOIN bought ON bought.user_id = shown.user_id AND bought.item_id = shown.item_id
  AND bought.event_date = shown.event_date
WHERE shown.propensity < 1
ORDER BY shown.event_date, shown.user_id, lists.rank, shown.request_id, shown.item_id
"""
"""Shown places that were drawn. A purchase belongs to the first click of the day on the listing, out of the list."""
_COULD = """
SELECT ds, user_id, item_id, rank, is_reserve, score, expected_revenue, p_click, p_purchase
FROM marts.recommendations
WHERE ds BETWEEN DATE_SUB(@first, INTERVAL 1 DAY) AND @ds AND propensity < 1
ORDER BY ds, user_id, score DESC, item_id
"""
"""What could have stood at a drawn place: what does, and what is kept behind the list with a chance to be drawn."""


@dataclass(frozen=True)
class Question:
    """What is asked of the log; see ``run``."""

    reward: str = "revenue"
    model: str = "item"
    clip: float | None = None
    cap: float | None = None
    method: Method = "log"
    least_support: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        for name, known in (("reward", REWARDS), ("model", MODELS)):
            if getattr(self, name) not in known:
                raise ModelError(f"No {name} {getattr(self, name)!r}; choose one of {', '.join(known)}.")
        for name in ("clip", "cap"):
            bound = getattr(self, name)
            if bound is not None and not bound > 0:
                raise ModelError(f"{name} is {bound}; it has to be above 0, or left out.")


def run(
    settings: Settings, ds: date, days: int = 7, lists: Path | None = None, question: Question | None = None
) -> dict[str, object]:
    """Estimate what a policy would have earned per shown drawn place, on the ``days`` days up to ``ds``.

    Only drawn places count: a place that is filled by rule shows nothing else, so nothing is known of anything else.
    The policy is ``lists`` (Parquet or CSV: user_id, item_id, rank, and where it is for several evenings ds; optionally
    ``expected``, a prediction of the reward), or without it the one that would fill the drawn places with what is worth
    most instead of by a draw. ``question.model`` "item" takes the reward of a place that was seen to depend on the item
    and not on which of the drawn places it is, and how far users look to have nothing to do with what an item earns
    with them; "item-position" takes neither, and needs the policy's item at the very rank.

    What is estimated is the sum over the policy's places of the chance to be seen there times the reward of the item
    there once seen, per place seen. Each row stands for its item at the rank where the policy has it: under "item" its
    weight holds how often that rank is seen, against the rank where it was drawn.

    Money is what the buyer paid, capped at ``question.cap`` (by default ``price_cap``), times the take rate.

    Raises:
        ModelError: nothing was drawn, or less than ``question.least_support`` of the policy could have been drawn, or a
            value of ``lists`` means nothing.
        ContractError: ``lists`` cannot be read.
    """
    asked = question or Question()
    with open_warehouse(settings) as warehouse:
        first = {"first": ds - timedelta(days=days - 1)}
        shown = warehouse.query(_SHOWN, first, ds=ds).to_pandas()
        listed = shown["is_reserve"].eq(False).fillna(False)  # on a published list, and not behind it
        shown = shown[listed].astype({RANK: np.int64})
        could = warehouse.query(_COULD, first, ds=ds).to_pandas()
    if shown.empty:
        raise ModelError(
            f"No shown place of the {days} days up to {ds} was drawn: every propensity is 1, so the log supports no "
            "policy but the one that was served. Draw some places of the lists, and judge the days after that."
        )
    could = could.merge(shown[LIST].drop_duplicates(), on=LIST)
    places = _places(could)
    wanted = _read(settings, lists, could) if lists else _best(could, places, PREDICTION[asked.reward])
    rewards, cap = _rewards(shown, asked, settings.price_cap)
    supported = _supported(wanted, could)
    if supported < asked.least_support:
        raise ModelError(
            f"Only {supported:.1%} of what the policy would show at drawn places had a chance to be drawn; the rest "
            "earned nothing that a log could tell. Judge a policy nearer to the served one, draw from more listings, "
            "or ask for less support and read SNIPS as the value of the supported part alone."
        )
    found = _judge(shown, wanted, rewards, asked, cap, seen=_seen(shown, places))
    return _summary(found, asked, float(np.mean(rewards)), supported)


def _places(could: pd.DataFrame) -> pd.DataFrame:
    """Per list its drawn places, a tuple of ascending ranks; columns ds, user_id, places."""
    drawn = could[~could["is_reserve"]].sort_values(RANK)
    return drawn.groupby(LIST)[RANK].agg(tuple).rename("places").reset_index()


def _best(could: pd.DataFrame, places: pd.DataFrame, prediction: str) -> pd.DataFrame:
    """Per list, as many of the best of what could be drawn as places were, best first."""
    could = could.merge(places, on=LIST)
    could["number"] = could.groupby(LIST).cumcount()
    best = could[could["number"] < could["places"].str.len()]
    ranks = [places[n] for places, n in zip(best["places"], best["number"], strict=True)]
    best = best.assign(rank=ranks, expected=best[prediction])
    return best[[*LIST, ITEM_ID, RANK, "expected"]]


def _seen(shown: pd.DataFrame, places: pd.DataFrame) -> pd.Series:
    """How often a drawn place is seen, as a share of the most seen place of its list; by [ds, user_id, rank].

    Counted over all shown lists that are drawn at the same places: one list alone does not tell.
    """
    times = shown.merge(places, on=LIST).groupby(["places", RANK]).size()
    share = (times / times.groupby(level="places").transform("max")).rename("seen").reset_index()
    drawn = places.assign(rank=places["places"]).explode(RANK)
    drawn = drawn.astype({RANK: np.int64}).merge(share, on=["places", RANK], how="left")
    return pd.Series(drawn["seen"].fillna(0.0).to_numpy(), _keys(drawn, PLACE))


def _read(settings: Settings, path: Path, could: pd.DataFrame) -> pd.DataFrame:
    """The policy's items at the drawn places of the lists that were shown, whether the user scrolled to them or not."""
    frame = read_any(settings, str(path))
    evenings = could[DS].unique()
    needed = [USER_ID, ITEM_ID, RANK, *([DS] if len(evenings) > 1 else [])]
    missing = [name for name in needed if name not in frame]
    if missing:
        raise ModelError(f"{path} has no column {', '.join(missing)}; it needs {', '.join(needed)}.")
    frame = frame.astype({USER_ID: str, ITEM_ID: str})
    frame = frame.assign(
        ds=_days(frame[DS], path) if DS in frame else evenings[0],
        rank=_ranks(frame[RANK], path),
        expected=_predictions(frame["expected"], path) if "expected" in frame else np.nan,
    )
    if frame.duplicated(PLACE).any() or frame.duplicated(PAIR).any():
        raise ModelError(f"{path} has a list with a rank or an item twice.")
    places = could.loc[~could["is_reserve"], PLACE]
    places = places.assign(ds=pd.to_datetime(places[DS]).dt.date)
    return frame[[*PLACE, ITEM_ID, "expected"]].merge(places, on=PLACE)


def _days(column: pd.Series, path: Path) -> pd.Series:
    days = pd.to_datetime(column.astype(str), errors="coerce", format="ISO8601")
    return _sound(days.dt.date, days.notna(), column, f"{path} has ds {{}}; write a day as YYYY-MM-DD.")


def _ranks(column: pd.Series, path: Path) -> pd.Series:
    ranks = pd.to_numeric(column, errors="coerce")
    sound = (ranks >= 1) & (ranks % 1 == 0)
    message = f"{path} has rank {{}}; a rank is a whole number, 1 at the top of the list."
    return _sound(ranks, sound, column, message).astype(np.int64)


def _predictions(column: pd.Series, path: Path) -> pd.Series:
    """Numbers, NaN where a cell is empty."""
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    empty = column.isna() | column.astype(str).str.strip().eq("")
    message = f"{path} has expected {{}}; it is a number, or empty where nothing is predicted."
    return _sound(numbers, np.isfinite(numbers) | empty, column, message)


def _sound(values: pd.Series, sound: pd.Series, column: pd.Series, message: str) -> pd.Series:
    """``values``; ModelError with what the file says where it is not ``sound``."""
    if sound.all():
        return values
    raise ModelError(message.format(repr(column[~sound].iloc[0])))


def _supported(wanted: pd.DataFrame, could: pd.DataFrame) -> float:
    """Share of the policy's items at drawn places that could have been drawn."""
    if wanted.empty:
        return 0.0
    return float(_keys(wanted, PAIR).isin(_keys(could, PAIR)).mean())


def _keys(frame: pd.DataFrame, names: list[str]) -> pd.MultiIndex:
    plain = {name: frame[name].astype(str) for name in names}
    return pd.MultiIndex.from_frame(pd.DataFrame(plain))


def _rewards(shown: pd.DataFrame, asked: Question, price_cap: float) -> tuple[np.ndarray, float | None]:
    """What each shown place earned, and the cap on it that is still to be applied."""
    if asked.reward == "clicks":
        return shown["clicks"].to_numpy(np.float64), asked.cap
    sold = shown["sold_here"].fillna(False).to_numpy(bool)
    if asked.reward == "purchases":
        return np.where(sold, shown["purchases"].fillna(0).to_numpy(np.float64), 0.0), asked.cap
    paid = np.minimum(
        shown["paid"].fillna(0).to_numpy(np.float64), price_cap if asked.cap is None else asked.cap
    )
    return np.where(sold, paid * shown["take_rate"].to_numpy(np.float64), 0.0), None


def _judge(
    shown: pd.DataFrame,
    wanted: pd.DataFrame,
    rewards: np.ndarray,
    asked: Question,
    cap: float | None,
    *,
    seen: pd.Series,
) -> OffPolicy:
    """Judge the items ``wanted`` at their ranks by the places ``shown``.

    That an item is shown takes that it is put at a place and that the place is seen: both chances are of the two.
    """
    here, there = _keys(shown, PLACE), _keys(wanted, PLACE)
    policy = wanted[[RANK, "expected"]].assign(seen=seen.reindex(there).to_numpy())
    match = policy.set_index(_keys(wanted, PAIR)).reindex(_keys(shown, PAIR))
    wants = match[RANK].notna() if asked.model == "item" else match[RANK].eq(shown[RANK].to_numpy())
    baseline = predicted = None
    if len(wanted) and wanted["expected"].notna().all():
        expected = pd.Series(wanted["expected"].to_numpy(np.float64), there)
        baseline = expected.reindex(here).fillna(0.0).to_numpy()
        predicted = match["expected"].fillna(0.0).to_numpy(np.float64)
    return evaluate(
        shown[USER_ID].to_numpy(object),
        rewards,
        shown["propensity"].to_numpy(np.float64) * seen.reindex(here).to_numpy(),
        np.where(wants, match["seen"], 0.0),
        predicted=predicted,
        baseline=baseline,
        clip=asked.clip,
        cap=cap,
        method=asked.method,
    )


def _summary(found: OffPolicy, asked: Question, served: float, supported: float) -> dict[str, object]:
    def told(estimate: Estimate | None) -> str:
        if estimate is None:
            return "none"
        return f"{estimate.value:.5f} ({estimate.low:.5f} to {estimate.high:.5f})"

    notes = []
    if found.rewarded < ENOUGH_REWARDED:
        notes.append(f"only {found.rewarded} matched places earned anything: believe no interval")
    if supported < 1:
        notes.append(f"{1 - supported:.1%} of the policy has no support: IPS counts it as earning nothing")
    if asked.model == "item-position":
        notes.append("support is told by item, and not by the place where it could be drawn: see mean_weight")
    if found.clipped > 0:
        notes.append(f"clipping took {found.clipped:.1%} of the weights")
    return {
        "judged": f"{asked.reward} per shown drawn place, model {asked.model}, interval {asked.method}",
        "rows": found.rows,
        "users": found.users,
        "matched": found.matched,
        "rewarded": found.rewarded,
        "effective_sample_size": round(found.effective_sample_size, 1),
        "mean_weight": round(found.mean_weight, 4),
        "without_support": round(1 - supported, 4),
        "clip": found.clip,
        "served": f"{served:.5f}",
        "ips": told(found.ips),
        "snips": told(found.snips),
        "dr": told(found.dr),
        "notes": "; ".join(notes) or "none",
    }
