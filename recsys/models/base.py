"""The contract of every recommender."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.features.interactions import Interactions
from recsys.models import store
from recsys.schema import ITEM_ID, RANK, SCORE, USER_ID

BATCH_CELLS = 8_000_000
NOTHING = np.float32(-np.inf)


@dataclass
class Recommender(ABC):
    """Fit on interactions, then recommend items to users.

    What a model learned about items is kept apart from what it knows of users: ``with_history`` gives a fitted model
    newer histories (or other users) without training it again, so that a weekly model scores with today's history.
    Hyper-parameters are the dataclass fields of the model.
    """

    name: ClassVar[str]
    personal: ClassVar[bool] = True
    """Whether a list depends on the user's own history."""
    ordered: ClassVar[bool] = False
    """Whether the order of a history within a day matters, so that it is saved with it."""

    @abstractmethod
    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        """Return what is learned about items, as named arrays."""

    @abstractmethod
    def _scores(self, rows: np.ndarray) -> np.ndarray:
        """Score every item for the users in ``rows``: float32 [users, items], -inf for "nothing known"."""

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        """Similarity of every item to the items in ``columns``: float32 [columns, items], -inf for "none known"."""
        return np.full((len(columns), len(self.item_ids)), NOTHING, np.float32)

    def _prepare(self) -> None:  # noqa: B027  (a model may have nothing to prepare)
        """Derive from the learned arrays and the history what scoring needs."""

    def fit(self, interactions: Interactions) -> Self:
        """Learn from ``interactions`` and remember them as the users' histories.

        Raises:
            ModelError: when there is nothing to learn from.
        """
        if not len(interactions.rows):
            raise ModelError(f"Model {self.name!r} has no interactions to learn from.")
        self.item_ids = interactions.item_ids
        self.learned = self._learn(interactions)
        self.history = interactions
        self._prepare()
        return self

    def with_history(self, interactions: Interactions) -> Self:
        """A copy of this fitted model that scores the users of ``interactions`` by these histories."""
        other = copy(self)
        other.history = interactions.onto(self.item_ids)
        other._prepare()
        return other

    def scores(self, user_ids: Sequence[str] | np.ndarray | pd.Index) -> np.ndarray:
        """Score every item for every user: float32 [users, items]; a row of -inf where nothing is known."""
        return self._scores(self.history.user_rows(user_ids))

    def recommend(
        self,
        user_ids: Sequence[str],
        k: int,
        candidates: Sequence[str] | None = None,
        exclude: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """The best ``k`` items of each user: [user_id, item_id, score, rank], rank from 1, in the order of users.

        Args:
            user_ids: unique ids; an unknown one gets no rows (of a model that needs a history).
            k: length of the list; a list is shorter when fewer items have a score.
            candidates: only these items may be recommended.
            exclude: [user_id, item_id] pairs that may not.
        """
        allowed = (
            np.ones(len(self.item_ids), bool) if candidates is None else self.item_ids.isin(list(candidates))
        )
        banned_rows, banned_columns = self.banned(user_ids, exclude)
        size = max(1, BATCH_CELLS // max(1, len(self.item_ids)))
        parts = []
        for start in range(0, len(user_ids), size):
            batch = list(user_ids[start : start + size])
            scores = self.scores(batch)
            scores[:, ~allowed] = NOTHING
            low, high = np.searchsorted(banned_rows, [start, start + size])
            scores[banned_rows[low:high] - start, banned_columns[low:high]] = NOTHING
            parts.append(_ranked(scores, k, batch, self.item_ids, USER_ID))
        return (
            pd.concat(parts, ignore_index=True)
            if parts
            else _ranked(np.empty((0, 0)), k, [], self.item_ids, USER_ID)
        )

    def banned(self, user_ids: Sequence[str], exclude: pd.DataFrame | None) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the excluded pairs in ``user_ids`` and in the catalogue, in the order of users."""
        if exclude is None or not len(user_ids):
            return np.empty(0, np.intp), np.empty(0, np.intp)
        rows = pd.Index(user_ids).get_indexer(pd.Index(exclude[USER_ID]))
        columns = self.item_ids.get_indexer(pd.Index(exclude[ITEM_ID]))
        hit = (rows >= 0) & (columns >= 0)
        order = np.argsort(rows[hit], kind="stable")
        return rows[hit][order], columns[hit][order]

    def similar_items(self, item_ids: Sequence[str], k: int) -> pd.DataFrame:
        """The ``k`` items most like each: [item_id, other_item_id, score, rank]; an unknown item gets no rows."""
        columns = self.item_ids.get_indexer(pd.Index(item_ids))
        known = columns[columns >= 0]
        scores = self._similarity(known)
        scores[np.arange(len(known)), known] = NOTHING
        frame = _ranked(scores, k, self.item_ids[known], self.item_ids, "of")
        return frame.rename(columns={ITEM_ID: "other_item_id"}).rename(columns={"of": ITEM_ID})

    @property
    def parameters(self) -> dict[str, object]:
        """Hyper-parameters by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def save(
        self, folder: Path, facts: Mapping[str, object] | None = None, with_history: bool = True
    ) -> None:
        """Write the model into ``folder``; ``facts`` (data day, metrics) go into its manifest.

        Without the history the folder holds no user: give the loaded model one by ``with_history``.
        """
        arrays = {f"learned.{name}": array for name, array in self.learned.items()}
        arrays["item_ids"] = self.item_ids.to_numpy(object)
        history = self.history if with_history else None
        if history is not None:
            arrays |= {"history.user_ids": history.user_ids.to_numpy(object)}
            arrays |= {f"history.{n}": getattr(history, n) for n in ("rows", "columns", "weights", "days")}
            if self.ordered and history.times is not None:
                arrays["history.times"] = history.times
            if history.segments is not None:
                arrays["history.segments"] = history.segments
        manifest = {"model": self.name, "parameters": self.parameters, "as_of_day": int(self.history.as_of)}
        store.save(folder, arrays, {**manifest, **(facts or {})})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model back, checked against its SHA-256.

        Raises:
            ModelError: when the folder is missing, damaged or holds another model.
        """
        manifest = store.read_manifest(folder)
        if manifest["model"] != cls.name:
            raise ModelError(f"{folder} holds a {manifest['model']!r} model, not {cls.name!r}.")
        parameters = manifest["parameters"]
        assert isinstance(parameters, dict)
        model = cls(**{n: tuple(v) if isinstance(v, list) else v for n, v in parameters.items()})
        arrays = store.read_arrays(folder)
        model.item_ids = pd.Index(arrays["item_ids"], dtype=object)
        model.learned = {n.removeprefix("learned."): a for n, a in arrays.items() if n.startswith("learned.")}
        model.history = _history(arrays, model.item_ids, int(str(manifest["as_of_day"])))
        model._prepare()
        return model


def _history(arrays: Mapping[str, np.ndarray], item_ids: pd.Index, as_of: int) -> Interactions:
    if "history.user_ids" not in arrays:
        empty = np.empty(0, np.int32)
        return Interactions(
            pd.Index([], dtype=object), item_ids, empty, empty, empty.astype(np.float32), empty, as_of
        )
    rows, columns, weights, days = (arrays[f"history.{n}"] for n in ("rows", "columns", "weights", "days"))
    users = pd.Index(arrays["history.user_ids"], dtype=object)
    return Interactions(
        users,
        item_ids,
        rows,
        columns,
        weights,
        days,
        as_of,
        segments=arrays.get("history.segments"),
        times=arrays.get("history.times"),
    )


def top(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The best ``k`` columns of each row and their scores, best first; equal scores go by column.

    Both [rows, min(k, columns)]; a score of -inf fills up rows with fewer.
    """
    k = min(k, scores.shape[1])
    columns = np.zeros((len(scores), k), np.intp)
    values = np.full((len(scores), k), NOTHING, np.float32)
    if columns.size:
        bound = lower_bound(scores, k)
        enough = (scores >= bound[:, None]) & (scores > NOTHING)
        row, column = np.divmod(np.flatnonzero(enough), scores.shape[1])
        value = scores[row, column]
        tie = value == bound[row]
        before = np.cumsum(tie) - tie
        needed = ~tie | (before - before[np.searchsorted(row, row)] < k)  # of many equal ones the first k
        row, column, value = row[needed], column[needed], value[needed]
        order = np.lexsort((-value, row))  # stable: equal scores stay in order of column
        row, column, value = row[order], column[order], value[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        best = place < k
        columns[row[best], place[best]] = column[best]
        values[row[best], place[best]] = value[best]
    return columns, values


def lower_bound(scores: np.ndarray, k: int) -> np.ndarray:
    """A number per row that at least ``k`` scores reach: the k-th best of the best of each block of columns.

    One pass over the scores, where a partition of every row would take ten times as long.
    """
    width = max(1, scores.shape[1] // (8 * k))
    best = np.maximum.reduceat(scores, np.arange(0, scores.shape[1], width), axis=1)
    return np.partition(best, best.shape[1] - k, axis=1)[:, best.shape[1] - k]


def _ranked(
    scores: np.ndarray, k: int, owners: Sequence[str] | pd.Index, items: pd.Index, owner: str
) -> pd.DataFrame:
    return listed(*top(scores, k), owners, items, owner)


def listed(
    columns: np.ndarray, values: np.ndarray, owners: Sequence[str] | pd.Index, items: pd.Index, owner: str
) -> pd.DataFrame:
    """The best of each owner as a frame: [owner, item_id, score, rank]; a score of -inf is no row."""
    keep = values > NOTHING
    row, place = np.nonzero(keep)
    return pd.DataFrame(
        {
            owner: np.asarray(owners, dtype=object)[row],
            ITEM_ID: items.to_numpy(object)[columns[keep]],
            SCORE: values[keep].astype(np.float64),
            RANK: place + 1,
        }
    )
