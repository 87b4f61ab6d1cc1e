"""Which words are slips of the finger for others: deletion neighbourhoods find them, edit distance confirms them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

LONGEST: Final = 32
"""Longer words are left as they are."""
TARGETS: Final = 4
"""How many of the best supported words that share a deletion are looked at."""
RATIO: Final = 5.0
"""How many times better supported a word is than a slip of it."""
FEW, SHARE = 3.0, 0.1
"""Nor is a slip supported by more than these few and this share of the support of the word that was meant."""
KEPT_RATIO: Final = 2.0
"""How many times better supported it is at least if the two were taken for one before."""
_BASE: Final = 0x9E3779B97F4A7C15
_BACK: Final = pow(_BASE, -1, 1 << 64)
_LATIN: Final = re.compile(r"[^\W\d_\u0e00-\u0eff\u3040-\u9fff\uac00-\ud7a3]{4,32}")
_KATAKANA: Final = re.compile(r"[\u30a1-\u30fc]{4,32}")
_ROMAN: Final = re.compile(r"[ivx]+")
_CHUNK: Final = 1 << 17


@dataclass(frozen=True)
class Corrections:
    """Which word may stand for which better supported one; word and target are places, int64 [pairs], by word.

    ``sure`` tells the pairs in which the word is as rare as slips of the target are, bool [pairs]; the others may have
    been so before.
    """

    word: np.ndarray
    target: np.ndarray
    sure: np.ndarray


def corrections(
    words: np.ndarray,
    support: np.ndarray,
    *,
    fixed: np.ndarray,
    able: np.ndarray | None = None,
    letters_for_two: int = 8,
) -> Corrections:
    """Find for each word the better supported words that it may be a misspelling of.

    A word is within reach of a target of five letters or more at a restricted Damerau-Levenshtein distance of 1, or 2
    where the target has ``letters_for_two`` or more; of a target of four letters only when two letters changed places
    or one was doubled. Shorter words, numbers (Roman ones too) and words with Chinese characters or hiragana are never
    in play. Candidates are the words that share a form with up to as many letters left out (symmetric deletion, Garbe
    2012), so that no pairs are enumerated. The best supported target of a word comes first.

    Args:
        words: folded, object [words].
        support: how much each is used, float64 [words].
        fixed: bool [words], words that are right as they are.
        able: bool [words], which may be in play; by default as told above.
        letters_for_two: from how many letters on two edits are within reach; LONGEST + 1 for never.
    """
    if able is None:
        able = np.array([_may_slip(word) for word in words], dtype=np.bool_)
    typed, sought = np.flatnonzero(able & ~fixed), np.flatnonzero(able)
    sought = sought[np.argsort(-support[sought], kind="stable")]
    if len(typed):
        sought = sought[(support[sought] >= KEPT_RATIO * support[typed].min()) | fixed[sought]]
    word, target = _sharing(words, typed, sought, letters_for_two)
    enough = support[target] >= KEPT_RATIO * support[word]
    word, target = word[enough & (word != target)], target[enough & (word != target)]
    close = _within_reach(words, word, target, letters_for_two)
    order = np.lexsort((target[close], -support[target[close]], word[close]))
    word, target = word[close][order], target[close][order]
    return Corrections(word, target, is_rare(support[word], support[target]))


def is_rare(support: np.ndarray, of_target: np.ndarray) -> np.ndarray:
    """Whether words are as rare beside their targets as slips are."""
    return (of_target >= RATIO * support) & (support <= FEW + SHARE * of_target)


def _may_slip(word: str) -> bool:
    return bool((_LATIN.fullmatch(word) and not _ROMAN.fullmatch(word)) or _KATAKANA.fullmatch(word))


def _sharing(
    words: np.ndarray, typed: np.ndarray, sought: np.ndarray, letters_for_two: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (word of ``typed``, word of ``sought``) with a deletion in common, the first TARGETS of each deletion."""
    key, number = neighbourhood(words[sought], letters_for_two)
    order = np.lexsort((number, key))
    key, number = key[order], number[order]
    mine, at = neighbourhood(words[typed], letters_for_two)
    first = np.searchsorted(key, mine)
    found = []
    for step in range(TARGETS):
        place = np.minimum(first + step, max(0, len(key) - 1))
        hit = (key[place] == mine) & (first + step < len(key)) if len(key) else np.zeros(len(mine), np.bool_)
        found.append(at[hit] * max(1, len(sought)) + number[place[hit]])
    word, target = np.divmod(np.unique(np.concatenate(found)), max(1, len(sought)))
    return typed[word], sought[target]


def neighbourhood(words: np.ndarray, letters_for_two: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of each word and of what is left of it without one letter (without two from ``letters_for_two`` on).

    The hash of a text c is the sum of c[i] B^i modulo 2^64, so that one with letters left out takes a few products.

    Returns:
        Hashes uint64 and the places of their words int64, both [hashes].
    """
    letters, length = _letters(words)
    powers = np.array([pow(_BASE, place, 1 << 64) for place in range(LONGEST)], np.uint64)
    one, two = np.uint64(_BACK), np.uint64(_BACK * _BACK % (1 << 64))
    keys: list[np.ndarray] = [np.empty(0, np.uint64)]
    numbers: list[np.ndarray] = [np.empty(0, np.int64)]

    def keep(hashes: np.ndarray, number: np.ndarray) -> None:
        keys.append(hashes)
        numbers.append(number)

    for size in np.unique(length):
        number = np.flatnonzero(length == size)
        terms = letters[number, :size].astype(np.uint64) * powers[:size]
        upto = np.zeros((len(number), size + 1), np.uint64)
        np.cumsum(terms, axis=1, out=upto[:, 1:])
        whole = upto[:, -1]
        keep(whole, number)
        for place in range(size):
            keep(upto[:, place] + (whole - upto[:, place + 1]) * one, number)
            for later in range(place + 1, size if size >= letters_for_two else 0):
                middle, end = upto[:, later] - upto[:, place + 1], whole - upto[:, later + 1]
                keep(upto[:, place] + middle * one + end * two, number)
    return np.concatenate(keys), np.concatenate(numbers)


def _letters(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Code points uint32 [words, LONGEST], 0 after the end, and lengths int64 [words]."""
    cut = [word[:LONGEST] for word in words]
    length = np.array([len(word) for word in cut], dtype=np.int64)
    letters = np.zeros((len(words), LONGEST), np.uint32)
    flat = np.frombuffer("".join(cut).encode("utf-32-le"), np.uint32)
    letters[np.arange(LONGEST) < length[:, None]] = flat
    return letters, length


def _within_reach(
    words: np.ndarray, word: np.ndarray, target: np.ndarray, letters_for_two: int
) -> np.ndarray:
    """Whether each pair is close enough for its length, bool [pairs]."""
    letters, length = _letters(words)
    close = np.zeros(len(word), np.bool_)
    for start in range(0, len(word), _CHUNK):
        one, other = word[start : start + _CHUNK], target[start : start + _CHUNK]
        distance = edit_distance((letters[one], length[one]), (letters[other], length[other]))
        near = distance <= np.where(length[other] >= letters_for_two, 2, 1)
        small = np.flatnonzero(near & (length[other] <= 4))
        near[small] = [_slipped(words[one[place]], words[other[place]]) for place in small]
        close[start : start + _CHUNK] = near
    return close


def _slipped(one: str, other: str) -> bool:
    """Two letters changed places, or one was doubled."""
    return sorted(one) == sorted(other) or re.sub(r"(.)\1", r"\1", one) == re.sub(r"(.)\1", r"\1", other)


def edit_distance(ones: tuple[np.ndarray, np.ndarray], others: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The restricted Damerau-Levenshtein distance of each pair up to 2; more than 2 is told as 3. int8 [pairs].

    All pairs go through the dynamic programme (Wagner and Fischer 1974, with neighbours that changed places) together,
    inside a band of two letters on each side of the diagonal.

    Args:
        ones: code points [pairs, letters] and lengths [pairs].
        others: the same of the words they are compared with.
    """
    (a, a_length), (b, b_length) = ones, others
    a, b = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    far = np.full(a.shape[1], 3, np.int8)
    distance = far.copy()
    rows = [[np.minimum(far, place) for place in range(LONGEST + 1)]]
    distance[a_length == 0] = np.minimum(b_length, 3)[a_length == 0]
    for i in range(1, int(a_length.max(initial=0)) + 1):
        row = [np.full_like(far, min(i, 3))] + [far] * LONGEST
        for j in range(max(1, i - 2), min(LONGEST, i + 2) + 1):
            best = rows[-1][j - 1] + (a[i - 1] != b[j - 1])
            best = np.minimum(best, np.minimum(rows[-1][j], row[j - 1]) + np.int8(1))
            if i > 1 and j > 1:
                swapped = (a[i - 1] == b[j - 2]) & (a[i - 2] == b[j - 1])
                best = np.where(swapped, np.minimum(best, rows[-2][j - 2] + np.int8(1)), best)
            row[j] = np.minimum(best, np.int8(3))
        rows = [rows[-1], row]
        for j in range(max(0, i - 2), min(LONGEST, i + 2) + 1):
            ends = (a_length == i) & (b_length == j)
            distance[ends] = row[j][ends]
    return distance
