"""Who did what with which item, as a sparse matrix whose rows and columns know their ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.errors import ContractError
from recsys.schema import ITEM_ID, USER_ID, WEIGHT

TIMESTAMP = "timestamp"
EPOCH = np.datetime64("1970-01-01", "D")


def day_number(values: object) -> np.ndarray:
    """Days since 1970-01-01 of dates, timestamps or one date, as int32; a missing one becomes the smallest int32."""
    if isinstance(values, date):
        values = [values]
    days = pd.to_datetime(pd.Series(values), utc=True).dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    numbers = (days - EPOCH).astype("int64")
    return np.where(np.isnat(days), np.iinfo(np.int32).min, numbers).astype(np.int32)


def _seconds(values: pd.Series) -> np.ndarray:
    """Seconds since 1970, as float64; a missing one becomes minus infinity, the time before all others."""
    times = pd.to_datetime(values, utc=True).dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(times), -np.inf, times.astype("int64") / 1e6)


@dataclass(frozen=True)
class Interactions:
    """Interactions in long form, ids outside and dense integers inside.

    ``rows``, ``columns``, ``weights`` and ``days`` are aligned, sorted by (row, column, day). ``user_ids`` and
    ``item_ids`` are sorted and unique. ``as_of`` is the day (since 1970) that ages are counted from. ``segments``
    holds the segment (a region, say) of each user, ``categories`` the category of each item, ``content`` what is
    known of each item beside its id; all may be absent. ``times`` (seconds since 1970) tell the order within a day.

    Example:
        >>> frame = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "b"], "weight": [1.0, 2.0]})
        >>> Interactions.from_frame(frame).matrix.toarray().tolist()
        [[1.0, 2.0]]
    """

    user_ids: pd.Index
    item_ids: pd.Index
    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    days: np.ndarray
    as_of: int
    segments: np.ndarray | None = None
    categories: np.ndarray | None = None
    times: np.ndarray | None = None
    content: pd.DataFrame | None = None

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        as_of: date | None = None,
        item_ids: Sequence[str] | pd.Index | None = None,
        segments: Mapping[str, str] | None = None,
        categories: Mapping[str, str] | None = None,
        *,
        content: pd.DataFrame | None = None,
    ) -> Interactions:
        """Read ``frame[user_id, item_id]`` with optional ``weight`` (default 1) and ``timestamp`` (default as_of).

        With ``item_ids`` the columns are those items in that order, and rows of other items are left out.
        Rows with a weight of 0 or less are left out too. ``content`` has one row per item: item_id and any of title,
        category, brand, condition, price; name items that nobody has had yet in ``item_ids`` to have them recommended.

        Raises:
            ContractError: when a column is missing, or an id or weight is NULL.
        """
        for column in (USER_ID, ITEM_ID):
            if column not in frame:
                raise ContractError(
                    f"Interactions need column {column!r}; the frame has {', '.join(map(str, frame.columns))}."
                )
        for column in {USER_ID, ITEM_ID, WEIGHT} & set(frame.columns):
            if frame[column].isna().any():
                raise ContractError(
                    f"Interactions have {int(frame[column].isna().sum())} NULL in {column!r}; leave those rows out."
                )
        weights = frame[WEIGHT].to_numpy(np.float32) if WEIGHT in frame else np.ones(len(frame), np.float32)
        days = (
            day_number(frame[TIMESTAMP])
            if TIMESTAMP in frame
            else np.full(len(frame), _as_of(as_of, None), np.int32)
        )
        times = _seconds(frame[TIMESTAMP]) if TIMESTAMP in frame else days * 86_400.0
        items = pd.Index(
            item_ids if item_ids is not None else np.sort(frame[ITEM_ID].unique().astype(object)),
            dtype=object,
        )
        columns = items.get_indexer(pd.Index(frame[ITEM_ID], dtype=object)).astype(np.int32)
        users = pd.Index(np.sort(frame[USER_ID].unique().astype(object)), dtype=object)
        rows = users.get_indexer(pd.Index(frame[USER_ID], dtype=object)).astype(np.int32)
        keep = (columns >= 0) & (weights > 0)
        rows, columns, weights = rows[keep], columns[keep], weights[keep]
        days, times = days[keep], times[keep]
        order = np.lexsort((times, weights, days, columns, rows))
        return cls(
            users,
            items,
            rows[order],
            columns[order],
            weights[order],
            days[order],
            _as_of(as_of, days),
            _aligned(users, segments),
            _aligned(items, categories),
            times[order],
            _content(items, content),
        )

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """Sum of weights, users x items, float32."""
        return self.weighted(self.weights)

    def weighted(self, weights: np.ndarray) -> sparse.csr_matrix:
        """The same interactions with other ``weights`` (one per interaction), summed per user and item."""
        shape = (len(self.user_ids), len(self.item_ids))
        matrix = sparse.coo_matrix(
            (weights.astype(np.float32), (self.rows, self.columns)), shape=shape
        ).tocsr()
        matrix.sum_duplicates()
        matrix.sort_indices()
        return matrix

    def decay(self, half_life_days: float | None) -> np.ndarray:
        """Weights halved for every ``half_life_days`` of age; unchanged for None."""
        if half_life_days is None:
            return self.weights
        age = np.maximum(self.as_of - self.days.astype(np.int64), 0)
        return (self.weights * np.exp2(-age / half_life_days)).astype(np.float32)

    def onto(self, item_ids: pd.Index) -> Interactions:
        """The same histories over another catalogue; items that are not in it are left out."""
        if self.item_ids.equals(item_ids):
            return self
        columns = item_ids.get_indexer(self.item_ids).astype(np.int32)[self.columns]
        keep = columns >= 0
        rows, columns, weights, days = (a[keep] for a in (self.rows, columns, self.weights, self.days))
        times = np.zeros(len(keep)) if self.times is None else self.times
        times = times[keep]
        order = np.lexsort((times, weights, days, columns, rows))
        return replace(
            self,
            item_ids=item_ids,
            rows=rows[order],
            columns=columns[order],
            weights=weights[order],
            days=days[order],
            categories=None,
            times=None if self.times is None else times[order],
            content=None,
        )

    def sequences(self, length: int) -> np.ndarray:
        """The latest ``length`` items of each user, oldest first: int32 [users, length], -1 in front of a short one.

        Items of one moment are in the order of the catalogue.

        Example:
            >>> frame = pd.DataFrame({"user_id": "u", "item_id": ["a", "b"], "timestamp": ["2026-01-02", "2026-01-01"]})
            >>> Interactions.from_frame(frame).sequences(3).tolist()
            [[-1, 1, 0]]
        """
        times = self.days.astype(np.float64) if self.times is None else self.times
        order = np.lexsort((self.columns, times, self.rows))
        rows = self.rows[order]
        from_end = np.searchsorted(rows, rows, side="right") - np.arange(len(rows))
        kept = from_end <= length
        out = np.full((len(self.user_ids), length), -1, np.int32)
        out[rows[kept], length - from_end[kept]] = self.columns[order][kept]
        return out

    def user_rows(self, user_ids: Sequence[str] | np.ndarray | pd.Index) -> np.ndarray:
        """Row of each user, -1 for an unknown one."""
        return self.user_ids.get_indexer(pd.Index(user_ids, dtype=object))


def _as_of(as_of: date | None, days: np.ndarray | None) -> int:
    if as_of is not None:
        return int(day_number(as_of)[0])
    return int(days.max()) if days is not None and len(days) else 0


def _aligned(ids: pd.Index, mapping: Mapping[str, str] | None) -> np.ndarray | None:
    if mapping is None:
        return None
    return pd.Series(mapping, dtype=object).reindex(ids).fillna("").to_numpy(object)


def _content(ids: pd.Index, content: pd.DataFrame | None) -> pd.DataFrame | None:
    if content is None:
        return None
    if ITEM_ID not in content or content[ITEM_ID].duplicated().any():
        raise ContractError(
            f"Item content needs column {ITEM_ID!r} with every item once; leave out what repeats."
        )
    return content.set_index(ITEM_ID).reindex(ids)
