"""From the rows of any table to one row per unit: its arm, its numbers, and a note on everything left out or joined.

Nothing is left out silently, and what cannot be read as a number is an error, not a zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.errors import ExperimentError
from recsys.experiments.analysis.arms import in_order
from recsys.experiments.limits import MOST_WRONG

Floats = npt.NDArray[np.float64]
Repeats = Literal["auto", "sum", "refuse"]
MISSING = ("", "null", "nan", "na", "n/a", "none", "<na>")
"""What a text file may write for a value that is not there, in any case."""
WHOLE = 2.0**53
"""Floats below it are whole numbers exactly."""
TRUTH = {"true": "1", "false": "0"}


@dataclass(frozen=True)
class Units:
    """Units in exactly one arm. ``arm`` is a place in ``arms``, shape (n,).

    ``rows`` holds the rows that count, ``unit_of`` the unit of each, shape (n_rows,): the same where every unit has
    one row. ``alarms`` are those of the ``notes`` after which no difference may be believed.
    """

    arms: tuple[str, ...]
    arm: npt.NDArray[np.int64]
    rows: pd.DataFrame
    unit_of: npt.NDArray[np.int64]
    notes: tuple[str, ...]
    alarms: tuple[str, ...] = ()

    @property
    def has_repeats(self) -> bool:
        """Whether some unit has several rows that count."""
        return len(self.rows) > len(self.arm)

    def counts(self) -> dict[str, int]:
        """Units of each arm."""
        return dict(zip(self.arms, np.bincount(self.arm, minlength=len(self.arms)).tolist(), strict=True))

    def raw(self, column: str) -> Floats:
        """Return a column of the rows as numbers, NaN where missing, shape (n_rows,)."""
        return numbers(self.rows[column], column)

    def total(self, values: Floats) -> Floats:
        """Sum the rows of each unit, NaN where all of them are missing; (n_rows,) -> (n,)."""
        there = ~np.isnan(values)
        sums = np.bincount(self.unit_of, np.where(there, values, 0.0), len(self.arm))
        return np.where(np.bincount(self.unit_of, there, len(self.arm)) > 0, sums, np.nan)

    def highest(self, values: Floats) -> Floats:
        """Largest row of each unit, NaN where all of them are missing; (n_rows,) -> (n,)."""
        found = np.full(len(self.arm), -np.inf)
        np.fmax.at(found, self.unit_of, values)
        return np.where(np.isinf(found), np.nan, found)

    def trait(self, values: Floats) -> Floats:
        """What was known of a unit before: its value where all its rows agree, else their sum; (n_rows,) -> (n,).

        Rows have to agree for every unit, or none of them is taken for a trait.
        """
        high, low = self.highest(values), -self.highest(-values)
        return high if np.array_equal(high, low, equal_nan=True) else self.total(values)


def gather(frame: pd.DataFrame, unit: str, arm: str | None, repeats: Repeats = "auto") -> Units:
    """Find the units of a table and their arms; without ``arm`` all are in one, called ``all``.

    Rows without a unit or an arm and units in two arms are left out, with a note; more of the latter than MOST_WRONG
    of all units is an alarm. A unit with several rows: where all repeated rows are copies in every column, each counts
    once; else the table holds several measurements of a unit, and they are added up (``auto``). ``sum`` always adds
    up, ``refuse`` accepts no repeated unit.

    Raises:
        ExperimentError: nothing is left, there are fewer than two arms, or a unit repeats and may not.
    """
    ids = labels(frame[unit])
    arms = labels(frame[arm]) if arm is not None else pd.Series("all", index=frame.index, dtype="string")
    notes: list[str] = []
    alarms: list[str] = []
    absent = (ids.isna() | arms.isna()).to_numpy()
    if absent.any():
        notes.append(f"{_rows(absent.sum())} without {' or '.join(filter(None, (unit, arm)))} left out")
    ids, arms, rows = ids[~absent], arms[~absent], frame.loc[~absent]
    names = in_order(arms.unique().tolist())
    unit_of, known = pd.factorize(ids)
    place = pd.Categorical(arms, categories=names).codes.astype(np.int64)
    kept = _in_one_arm(place, unit_of, len(known), notes, alarms)
    keep = kept[unit_of]
    rows, unit_of, place = rows.loc[keep], pd.factorize(unit_of[keep])[0], place[keep]
    first = np.unique(unit_of, return_index=True)[1]
    if len(first) < len(rows) and _join(rows, unit_of, repeats, unit, notes):
        rows, unit_of, place, first = (
            rows.iloc[first],
            unit_of[first],
            place[first],
            np.arange(len(first)),
        )
    if arm is not None and len(names) < 2:
        raise ExperimentError(
            f"Column {arm} names {len(names)} arm(s) {list(names)}; a comparison needs two or more."
        )
    return Units(names, place[first], rows, unit_of, tuple(notes), tuple(alarms))


def labels(column: pd.Series) -> pd.Series:
    """Ids or arm names as text; missing where empty or as a file writes what is missing, but an arm may be called none.

    Of numbers, whole ones are written without a point (1 for 1.0), whether a file holds them as text or as floats.

    Raises:
        ExperimentError: they are bytes that are no text.
    """
    if pd.api.types.is_float_dtype(column):
        known = column.dropna()
        if (known % 1 == 0).all() and (known.abs() < WHOLE).all():
            column = column.astype("Int64")
    text = _text(column)
    empty = text.str.lower().isin(MISSING) & ~text.isin(("none", "NONE"))
    return _whole(text.mask(empty, pd.NA))


def numbers(column: pd.Series, name: str) -> Floats:
    """Numbers of a column, NaN where missing; true counts 1 and false 0.

    Raises:
        ExperimentError: names the column, how many values are no number, and the first of them with its row.
    """
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.isinf(values)
    else:
        text = _text(column)
        lower = text.str.lower()
        empty = (text.isna() | lower.isin(MISSING)).to_numpy()
        read = pd.to_numeric(lower.map(TRUTH).fillna(text), errors="coerce")
        values = np.where(empty, np.nan, read.to_numpy(dtype=np.float64, na_value=np.nan))
        bad = (np.isnan(values) & ~empty) | np.isinf(values)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise ExperimentError(
            f"Column {name} has to hold numbers; {bad.sum():,} of {len(bad):,} values are none, the first is "
            f"{str(column.iloc[at])!r} in row {int(column.index[at]) + 1:,}. Correct them, or leave them empty."
        )
    return values


def _whole(text: pd.Series) -> pd.Series:
    """Write 1.0 as 1 where all values are numbers."""
    pointed = text.str.contains(r"\.0+$", na=False)
    if not pointed.any() or not text.dropna().str.fullmatch(r"[+-]?\d+(\.\d*)?").all():
        return text
    return text.where(~pointed, text.str.replace(r"\.0+$", "", regex=True))


def _text(column: pd.Series) -> pd.Series:
    try:
        return column.astype("string").str.strip()
    except UnicodeDecodeError as error:
        raise ExperimentError(
            f"Column {column.name} holds bytes that are no text, the first {bytes(error.object).hex()}. Write them as "
            "text, for instance in hexadecimal digits."
        ) from error


def _in_one_arm(
    place: npt.NDArray[np.int64],
    unit_of: npt.NDArray[np.int64],
    count: int,
    notes: list[str],
    alarms: list[str],
) -> npt.NDArray[np.bool_]:
    lowest, highest = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
    np.minimum.at(lowest, unit_of, place)
    np.maximum.at(highest, unit_of, place)
    kept = lowest == highest
    crossed = int((~kept).sum())
    if crossed:
        notes.append(
            f"{_units(crossed)} seen in more than one arm left out of all of them ({crossed / count:.2%} of all): find "
            "out why before you believe the rest"
        )
        if crossed > MOST_WRONG * count:
            alarms.append(notes[-1])
    if not kept.any():
        raise ExperimentError("No unit is left that has an id and exactly one arm; nothing can be compared.")
    return kept


def _join(
    rows: pd.DataFrame, unit_of: npt.NDArray[np.int64], repeats: Repeats, unit: str, notes: list[str]
) -> bool:
    """Whether repeated rows are copies, of which one counts; a note says what is done."""
    several = np.bincount(unit_of)[unit_of] > 1
    again, of = rows.loc[several].astype(str), unit_of[several]
    count = len(np.unique(of))
    if repeats == "refuse":
        raise ExperimentError(
            f"{_units(count)} of column {unit} have several rows, the first {again[unit].iloc[0]!r}. Give each one "
            "row, or allow it with --repeats."
        )
    copies = bool((again.assign(**{unit: of}).drop_duplicates()[unit].value_counts() == 1).all())
    if copies and repeats == "auto":
        notes.append(
            f"{_units(count)} with copies of one row: each counted once, {_rows(len(again) - count)} left out"
        )
        return True
    notes.append(
        f"{_units(count)} with several rows: their rows are added up, as several measurements of one unit"
    )
    return False


def _rows(count: int) -> str:
    return f"{count:,} row" + ("" if count == 1 else "s")


def _units(count: int) -> str:
    return f"{count:,} unit" + ("" if count == 1 else "s")
