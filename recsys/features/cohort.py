"""What people alike care for, as one shelf has it: what is known of a user of whom nothing else is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.features.shelf import Shelf
from recsys.schema import CATEGORY_ID

EVERYBODY, UNKNOWN = "everybody", "unknown"
KNOWN_OF_USERS = ("gender", "birth_year", "region")
OF_SHELF = 0.1
"""Part of a cohort's interest that is spread as the shelf is: no category is without any."""


@dataclass(frozen=True)
class Cohorts:
    """``code`` [users]: row of ``share`` that is a user's cohort, -1 for none. ``share``: float64 [cohorts,
    categories], the part of a cohort's interest that lies in each category of the shelf."""

    code: np.ndarray
    share: np.ndarray

    @classmethod
    def build(cls, shelf: Shelf, users: pd.DataFrame, cohorts: pd.DataFrame | None, year: int) -> Cohorts:
        """Read ``cohorts`` (features.cohort_affinity; None or empty: nobody has one) for ``users``.

        Args:
            shelf: the listings.
            users: KNOWN_OF_USERS; with any of these columns missing nobody has a cohort.
            cohorts: [cohort, category_id, share, drawn].
            year: of the day that ages are counted to.
        """
        known = all(name in users for name in KNOWN_OF_USERS)
        if cohorts is None or not len(cohorts) or not known or not len(users):
            return cls(np.full(len(users), -1), np.zeros((0, len(shelf.category_ids))))
        rows, at = _by_name(shelf, cohorts), names(users, year)
        circles = pd.MultiIndex.from_arrays(at)
        code, kinds = circles.factorize()
        share = np.vstack([_drawn(rows, (EVERYBODY, *kind), len(shelf.category_ids)) for kind in kinds])
        return cls(code, (1 - OF_SHELF) * share + OF_SHELF * shelf.category_share)

    def lift(self, shelf: Shelf, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """How many times the category's share of the shelf the cohort of each user cares for each listing's category.

        [pairs]; 1 for who has no cohort and what has no category.
        """
        code, category = self.code[rows], shelf.category_code[items]
        known = (code >= 0) & (category >= 0)
        out = np.ones(len(rows))
        out[known] = self.share[code[known], category[known]] / shelf.category_share[category[known]]
        return out


def names(users: pd.DataFrame, year: int) -> tuple[np.ndarray, np.ndarray]:
    """Band and cohort of each user, spelled as include/sql/features/cohort_affinity.sql does."""
    age = (year - users["birth_year"].astype("float64")).clip(lower=0) // 10 * 10
    band = _text(users["gender"]) + "/" + _text(age.map(lambda value: f"{value:.0f}", na_action="ignore"))
    return band.to_numpy(object), (band + "/" + _text(users["region"])).to_numpy(object)


def _text(values: pd.Series) -> pd.Series:
    return values.astype(object).where(values.notna(), UNKNOWN).astype(str)


_Rows = dict[str, tuple[np.ndarray, np.ndarray, float]]


def _by_name(shelf: Shelf, cohorts: pd.DataFrame) -> _Rows:
    """Of each cohort: categories, their shares, and what a category it lacks is multiplied by."""
    place = shelf.category_ids.get_indexer(pd.Index(cohorts[CATEGORY_ID], dtype=object))
    frame = pd.DataFrame(
        {"place": place, "share": cohorts["share"].to_numpy(float), "drawn": cohorts["drawn"].to_numpy(float)}
    )
    return {
        str(name): (part["place"].to_numpy(), part["share"].to_numpy(), float(part["drawn"].iloc[0]))
        for name, part in frame.groupby(cohorts["cohort"].to_numpy(object))
    }


def _drawn(rows: _Rows, circles: tuple[str, ...], categories: int) -> np.ndarray:
    """Shares of the narrowest of ``circles``, which come from the widest to the narrowest: [categories]."""
    share = np.zeros(categories)
    for name in circles:
        if name in rows:
            place, own, drawn = rows[name]
            share = share * drawn
            share[place[place >= 0]] = own[place >= 0]
    return share
