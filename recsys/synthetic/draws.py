"""Random numbers that stay with what they are about, whoever asks first.

A draw is a hash of (seed, day, replication, stream, ids). So the chance that decides whether a user clicks an item on a
day is the same under every policy that shows it (common random numbers), and differences between policies are not
drowned in noise. The mixing function is SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
generators").
"""

from __future__ import annotations

from datetime import date

import numpy as np
from scipy.special import ndtri

Array = np.ndarray

_STREAMS = (
    "sessions",
    "people",
    "listings",
    "ageing",
    "delivery",
    "campaigns",
    "trend",
    "mood",
    "taste",
    "examine",
    "click",
    "buy",
    "offer",
    "accept",
    "like",
    "cart",
    "follow",
    "bid",
    "cancel",
    "world",
    "choice",
    "page",
    "wording",
    "adverts",
    "auction",
    "slots",
    "shelf",
    "adoption",
)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.uint64(0xD1342543DE82EF95)


def _mix(x: Array) -> Array:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Draws:
    """The random numbers of one day in one replication of one world."""

    def __init__(self, seed: int, ds: date, replication: int = 0) -> None:
        self._entropy = (seed, ds.toordinal(), replication)

    def _sequence(self, stream: str) -> np.random.SeedSequence:
        return np.random.SeedSequence((*self._entropy, _STREAMS.index(stream)))

    def generator(self, stream: str) -> np.random.Generator:
        """A generator for draws that depend on the day alone (who visits, what is listed)."""
        return np.random.Generator(np.random.PCG64(self._sequence(stream)))

    def uniform(self, stream: str, first: Array, second: Array | int = 0) -> Array:
        """Uniform numbers in (0, 1), one per pair of ids; the same ids always get the same number."""
        key = np.uint64(self._sequence(stream).generate_state(1, np.uint64)[0])
        with np.errstate(over="ignore"):
            mixed = _mix(np.asarray(first).astype(np.uint64) * _GOLDEN + key)
            mixed = _mix(mixed + np.asarray(second).astype(np.uint64) * _ODD)
        return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, stream: str, first: Array, second: Array | int = 0) -> Array:
        """Standard normal numbers, one per pair of ids."""
        return ndtri(self.uniform(stream, first, second))


def lasting(seed: int) -> Draws:
    """Draws that never change from day to day: a user's private taste for one item."""
    return Draws(seed, date.min)
