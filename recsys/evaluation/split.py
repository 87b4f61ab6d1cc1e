"""Splitting a history in time: train before the cut, test from it on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd

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
