"""Splitting a history in time: train before the cut, test from it on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import pandas as pd

from recsys.errors import ModelError
from recsys.schema import ITEM_ID, USER_ID


@dataclass(frozen=True)
class Split:
    """``train``: rows before the cut. ``bought``: [user_id, item_id, revenue] of users seen in training, from the
    cut on and before ``until``."""

    train: pd.DataFrame
    bought: pd.DataFrame


def temporal_split(daily: pd.DataFrame, cut: date, until: date) -> Split:
    """Split purchases [user_id, item_id, event_date, revenue, ...] at ``cut``; nothing after it is trained on."""
    days = pd.to_datetime(daily["event_date"])
    train = daily[days < pd.Timestamp(cut)]
    later = daily[(days >= pd.Timestamp(cut)) & (days < pd.Timestamp(until))]
    later = later[later[USER_ID].isin(train[USER_ID].unique())]
    revenue = later["revenue"].astype(float).groupby([later[USER_ID], later[ITEM_ID]]).sum()
    return Split(train, revenue.rename("revenue").reset_index())


def slices(cut: date, until: date, origins: int) -> list[tuple[date, date]]:
    """Rolling origins: ``origins`` parts of the test period, [first day, day after the last), as even as can be.

    Raises:
        ModelError: the period is empty, or has fewer days than there are to be origins.

    Example:
        >>> [str(first) for first, _ in slices(date(2026, 1, 1), date(2026, 1, 8), 3)]
        ['2026-01-01', '2026-01-03', '2026-01-05']
    """
    days = (until - cut).days
    if days < 1:
        raise ModelError(
            f"The test period from {cut} until {until} is empty; --until is the day after its last."
        )
    if not 1 <= origins <= days:
        raise ModelError(f"The test period has {days} days; --origins is {origins}, so take 1 to {days}.")
    ends = [cut + timedelta(days=days * part // origins) for part in range(origins + 1)]
    return list(pairwise(ends))
