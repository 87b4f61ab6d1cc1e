"""Vectors in lists of neighbours, so that a search need not look at all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recsys.errors import ModelError

ROWS = 8_192
SAMPLE = 64
"""Vectors per list that the centres are found from."""
ROUNDS = 6
MEAN_SIZE = 1_000


@dataclass(frozen=True)
class Lists:
    """The vectors of a catalogue, each in the list of its nearest centre: an inverted file (Sivic and Zisserman, 2003).

    ``vectors`` is float32 [items, width], ``list_of`` the list of each item, ``centres`` float32 [lists, width].
    Listings that come and go need no new centres: see ``with_more`` and ``keep``; build anew once in a while.

    Example:
        >>> lists = Lists.build(np.eye(3, dtype=np.float32), np.random.default_rng(1))
        >>> len(lists.with_more(np.ones((2, 3), np.float32)))
        5
    """

    vectors: np.ndarray
    list_of: np.ndarray
    centres: np.ndarray

    @classmethod
    def build(cls, vectors: np.ndarray, rng: np.random.Generator, lists: int | None = None) -> Lists:
        """Find centres by k-means (Lloyd, 1982) on a sample; ``lists``: how many, or one for each 1,000 vectors.

        Raises:
            ModelError: vectors that are no table of finite numbers, or fewer lists than one.
        """
        vectors = checked(vectors, "items")
        lists = max(1, len(vectors) // MEAN_SIZE) if lists is None else lists
        if lists < 1:
            raise ModelError(f"Cannot make {lists} lists. Ask for at least 1, or leave it to Lists.build.")
        if len(vectors) <= lists or lists == 1:
            centres = vectors[:1] if lists == 1 or not len(vectors) else vectors
            return cls(vectors, _nearest_centre(vectors, centres), centres)
        sample = vectors[np.sort(rng.choice(len(vectors), min(len(vectors), SAMPLE * lists), replace=False))]
        centres = sample[rng.choice(len(sample), lists, replace=False)]
        for _ in range(ROUNDS):
            means, sizes = _means(sample, _nearest_centre(sample, centres), lists)
            stray = sample[rng.choice(len(sample), lists)]
            centres = np.where(sizes[:, None] > 0, means, stray).astype(np.float32)
        return cls(vectors, _nearest_centre(vectors, centres), centres)

    @classmethod
    def by_length(cls, vectors: np.ndarray) -> Lists:
        """Lists of equal size by length of the vectors: nothing to learn; for exact search in one go."""
        vectors = checked(vectors, "items")
        order = np.argsort(-np.einsum("ij,ij->i", vectors, vectors), kind="stable")
        list_of = np.empty(len(vectors), np.int32)
        list_of[order] = np.arange(len(vectors)) // (4 * MEAN_SIZE)
        count = int(list_of.max(initial=-1)) + 1
        return cls(vectors, list_of, np.zeros((count, vectors.shape[1]), np.float32))

    def __len__(self) -> int:
        return len(self.vectors)

    def with_more(self, vectors: np.ndarray) -> Lists:
        """These and more vectors behind them; they join the lists there are."""
        vectors = checked(vectors, "items", self.vectors.shape[1])
        more = _nearest_centre(vectors, self.centres)
        joined = np.concatenate([self.vectors, vectors])
        return Lists(joined, np.concatenate([self.list_of, more]), self.centres)

    def keep(self, which: np.ndarray) -> Lists:
        """Only the vectors that the mask ``which`` [items] names, in the same order."""
        return replace(self, vectors=self.vectors[which], list_of=self.list_of[which])


@dataclass(frozen=True)
class Layout:
    """Some vectors of a catalogue laid out list by list, and what bounds the scores inside each list.

    ``items`` are their positions in the catalogue; those of list c are ``starts[c]:starts[c + 1]``, ascending.
    ``mean``, ``variance`` [lists, width], ``radius`` (the largest distance to the mean) and ``longest`` [lists].
    """

    items: np.ndarray
    vectors: np.ndarray
    starts: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    radius: np.ndarray
    longest: np.ndarray

    @classmethod
    def of(cls, lists: Lists, allowed: np.ndarray | None = None) -> Layout:
        """Lay out the ``allowed`` (a mask; None: all); lists that are left empty go."""
        chosen = np.arange(len(lists)) if allowed is None else np.flatnonzero(allowed)
        items = chosen[np.argsort(lists.list_of[chosen], kind="stable")]
        list_of = lists.list_of[items]
        starts = np.append(np.flatnonzero(np.diff(list_of, prepend=-1)), len(items))
        vectors = lists.vectors[items]
        width, count = vectors.shape[1], len(starts) - 1
        mean, variance = (np.zeros((count, width), np.float32) for _ in range(2))
        radius, longest = (np.zeros(count, np.float32) for _ in range(2))
        for number in range(count):
            part = vectors[starts[number] : starts[number + 1]]
            mean[number] = part.mean(axis=0, dtype=np.float64)
            apart = part - mean[number]
            variance[number] = np.einsum("ij,ij->j", apart, apart) / len(part)
            radius[number] = np.sqrt(np.einsum("ij,ij->i", apart, apart).max())
            longest[number] = np.sqrt(np.einsum("ij,ij->i", part, part).max())
        return cls(items, vectors, starts, mean, variance, radius, longest)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sizes(self) -> np.ndarray:
        """How many vectors each list holds."""
        return np.diff(self.starts)

    def reachable(self, users: np.ndarray, reach: float | None) -> np.ndarray:
        """The best score each user may find in each list: float32 [users, lists].

        With a ``reach`` it is the mean score of the list plus that many standard deviations of it. Without, it is a
        bound that holds: by Cauchy and Schwarz no score exceeds length x longest, nor mean score + length x radius;
        a millionth is added for rounding.
        """
        length = np.sqrt(np.einsum("ij,ij->i", users, users))[:, None]
        out = users @ self.mean.T
        bound = length * self.longest
        if reach is None:
            np.minimum(out + length * self.radius, bound, out=out)
            return out + np.float32(1e-6) * length * self.longest.max(initial=0)
        out += np.float32(reach) * np.sqrt((users * users) @ self.variance.T)
        return np.minimum(out, bound, out=out)


def checked(vectors: np.ndarray, whose: str, width: int | None = None) -> np.ndarray:
    """The vectors as contiguous float32 [rows, width].

    Raises:
        ModelError: another shape, or numbers that are not finite.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or (width is not None and vectors.shape[1] != width):
        wanted = "two dimensions" if width is None else f"shape (any, {width})"
        raise ModelError(f"The vectors of {whose} have shape {vectors.shape}; give an array of {wanted}.")
    vectors = np.ascontiguousarray(vectors, np.float32)
    finite = np.isfinite(vectors.sum(axis=1, dtype=np.float64))
    if not finite.all():
        raise ModelError(
            f"The vectors of {whose} are not finite in {int((~finite).sum())} rows, first in row "
            f"{int(np.argmin(finite))}. Leave those rows out or set them to 0."
        )
    return vectors


def _nearest_centre(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    half = np.einsum("ij,ij->i", centres, centres) / 2
    out = np.empty(len(vectors), np.int32)
    for start in range(0, len(vectors), ROWS):
        part = slice(start, start + ROWS)
        out[part] = np.argmax(vectors[part] @ centres.T - half, axis=1)
    return out


def _means(vectors: np.ndarray, owner: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(owner, kind="stable")
    sizes = np.bincount(owner, minlength=count)
    starts = np.cumsum(sizes) - sizes
    means = np.zeros((count, vectors.shape[1]), np.float64)
    full = sizes > 0
    means[full] = np.add.reduceat(vectors[order], starts[full], axis=0, dtype=np.float64)
    return means / np.maximum(sizes, 1)[:, None], sizes
