"""Units, means and centred products of one arm: all that the statistics of an experiment need to know of its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from recsys.errors import ExperimentError

Floats = npt.NDArray[np.float64]
_ROUNDING = 1e-13
"""A centred sum of squares below this share of the raw one is rounding: the column is taken as constant."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sufficient statistics of k columns over the units of one arm. ``a + b`` are those of both together.

    Attributes:
        units: independent draws (users, sellers, clusters).
        mean: mean of each column, shape (k,).
        cross: sums of products of the deviations from the means, shape (k, k); cross / (units - 1) is the covariance.

    Example:
        >>> a, b = Moments.of([1.0, 2.0, 3.0]), Moments.of([4.0, 8.0])
        >>> both = a + b
        >>> both.units, both.mean.tolist(), both.cross.tolist()
        (5, [3.6], [[29.2]])
    """

    units: int
    mean: Floats
    cross: Floats

    @classmethod
    def of(cls, *columns: npt.ArrayLike) -> Self:
        """Moments of columns of values, each of shape (units,).

        Raises:
            ExperimentError: when the columns differ in length, or a value is missing or infinite.
        """
        values = [np.asarray(column, dtype=np.float64) for column in columns]
        shapes = {column.shape for column in values}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ExperimentError(
                f"Columns have the shapes {[column.shape for column in values]}; give one value per unit in each."
            )
        table = np.vstack(values)
        if not np.isfinite(table).all():
            raise ExperimentError("A value is missing or infinite; drop such units or set a value before.")
        units = table.shape[1]
        if units == 0:
            return cls(0, np.zeros(len(table)), np.zeros((len(table), len(table))))
        mean = np.where(table.min(axis=1) == table.max(axis=1), table[:, 0], table.mean(axis=1))
        centred = table - mean[:, None]  # exactly 0 for a constant, whose summed mean is off by rounding
        return cls(units, mean, centred @ centred.T)

    @classmethod
    def from_sums(cls, units: int, sums: npt.ArrayLike, products: npt.ArrayLike) -> Self:
        """Moments from sums, shape (k,), and sums of products of the columns, shape (k, k), as a warehouse has them.

        Raises:
            ExperimentError: when the shapes do not agree, a number is not finite or units is negative.
        """
        total, raw = np.asarray(sums, dtype=np.float64), np.asarray(products, dtype=np.float64)
        if total.ndim != 1 or raw.shape != (len(total), len(total)):
            raise ExperimentError(f"{total.shape} sums need a square of products, got {raw.shape}.")
        if units < 0 or not (np.isfinite(total).all() and np.isfinite(raw).all()):
            raise ExperimentError(
                f"Sums over {units} units are not finite: {total.tolist()}, {raw.tolist()}."
            )
        if units == 0:
            return cls(0, np.zeros(len(total)), np.zeros(raw.shape))
        mean = total / units
        cross = raw - units * np.outer(mean, mean)
        constant = np.diagonal(cross) <= _ROUNDING * np.diagonal(raw)
        cross[constant, :] = cross[:, constant] = 0.0
        return cls(units, mean, cross)

    def __add__(self, other: Moments) -> Moments:
        """Merge two disjoint sets of units (Chan, Golub and LeVeque, 1983)."""
        units = self.units + other.units
        if units == 0:
            return self
        step = other.mean - self.mean
        mean = self.mean + step * (other.units / units)
        between = np.outer(step, step) * (self.units * other.units / units)
        return Moments(units, mean, self.cross + other.cross + between)

    def scaled(self, units: int) -> Moments:
        """Return what as many ``units`` of the same distribution would show: same means, same covariance."""
        if self.units < 2:
            raise ExperimentError(f"{self.units} units have no variance to scale; give at least two.")
        return Moments(units, self.mean, self.cross * ((units - 1) / (self.units - 1)))

    @property
    def covariance(self) -> Floats:
        """Covariance of the columns, shape (k, k), with units - 1 as the divisor. Needs two units."""
        return self.cross / (self.units - 1)
