"""Phrases that are misspellings of others: stars around well supported phrases, never chains."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from recsys.keywords.phrases import Phrases, hashed
from recsys.keywords.spelling import LONGEST, Corrections, corrections, is_rare

_JOINED: Final = re.compile(r"[a-z0-9.]{8,32}")
PHRASE_RATIO: Final = 0.5
"""What a phrase weighs at least, as a share of the one that is taken for a misspelling of it."""


@dataclass(frozen=True)
class Groups:
    """The group of each text; ``head`` tells the texts that belong to the phrase the others are merged into."""

    group: np.ndarray
    head: np.ndarray


def groups(phrases: Phrases, weight: np.ndarray, fixed: np.ndarray, before: np.ndarray) -> Groups:
    """Group texts: equal phrases first, then misspellings with what they misspell.

    A phrase joins another when it becomes that other by correcting one word, or each of its doubtful words, and the
    other exists: a correction is never made on the word alone. Each phrase joins one head, directly.

    Args:
        phrases: the texts.
        weight: how much each text is used, float64 [texts].
        fixed: words that are never corrected, bool [words].
        before: the cluster of an earlier day, -1 for none, int64 [texts].
    """
    same = phrases.same()
    n = int(same.max(initial=-1)) + 1
    of_group = np.bincount(same, weight, n)
    support = np.bincount(phrases.word, weight[phrases.phrase], len(phrases.words))
    slips = corrections(phrases.words, support, fixed=fixed)
    found = (_corrected(phrases, slips), _respaced(phrases, of_group[same], support))
    text, target, sure = (np.concatenate(parts) for parts in zip(*found, strict=True))
    one, other = same[text], same[target]
    was = _clusters_of_groups(same, weight, before)
    kept = (was[one] >= 0) & (was[one] == was[other])
    enough = (kept | sure) & (of_group[other] >= PHRASE_RATIO * of_group[one])
    good = enough & (one != other) & _speaks(phrases, weight, same)[text]
    joined = stars(np.unique(np.stack([one[good], other[good]]), axis=1), of_group)
    return Groups(joined[same], joined[same] == same)


def _clusters_of_groups(same: np.ndarray, weight: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The earlier cluster of each group, that of its heaviest text that had one; -1 for none, int64 [groups].

    (A new variant of an old phrase says nothing against what the phrase was taken for.)
    """
    order = np.lexsort((np.arange(len(same)), -weight, before < 0, same))
    return before[order[np.unique(same[order], return_index=True)[1]]]


def _speaks(phrases: Phrases, weight: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Whether each text has the words of the heaviest of its group: what another one is like says little of the group.

    ("bags" of a group around "bag s" must not bring it to "bag".)
    """
    order = np.lexsort((np.arange(len(same)), -weight, same))
    heaviest = order[np.unique(same[order], return_index=True)[1]]
    return phrases.signature == phrases.signature[heaviest][same]


def _corrected(phrases: Phrases, slips: Corrections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts and the texts they become by correcting, and whether all corrections made are sure; [pairs] each."""
    hashes = hashed(phrases.words)
    change = hashes[slips.target] - hashes[slips.word]
    first = np.searchsorted(slips.word, phrases.word)
    count = np.searchsorted(slips.word, phrases.word, side="right") - first
    pair = np.repeat(np.arange(len(count)), count)
    slip = np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count) + first[pair]
    text = phrases.phrase[pair]
    one = _found(phrases, text, phrases.signature[text] + change[slip], slips.sure[slip])

    best = np.unique(pair, return_index=True)[1]
    text, slip = text[best], slip[best]
    several, start, number = np.unique(text, return_index=True, return_counts=True)
    totals, sure = np.zeros(len(several), np.uint64), np.zeros(len(several), np.bool_)
    if len(several):
        totals = np.add.reduceat(change[slip], start)
        sure = np.logical_and.reduceat(slips.sure[slip], start)
    many = number > 1
    all_of = _found(phrases, several[many], phrases.signature[several[many]] + totals[many], sure[many])
    return tuple(np.concatenate(parts) for parts in zip(one, all_of, strict=True))  # type: ignore[return-value]


def _respaced(
    phrases: Phrases, weight: np.ndarray, support: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts that become others by one edit when spaces are left aside, and whether surely so; [pairs] each.

    The words that only the misspelled text has are all rare, those that only the other has are all long enough to be
    misspelled, and the numbers of both are the same.
    """
    once = ~pd.Series(phrases.joined, dtype=object).duplicated().to_numpy()
    able = once & np.array([bool(_JOINED.fullmatch(text)) for text in phrases.joined], dtype=np.bool_)
    fixed = np.zeros(len(weight), np.bool_)
    slips = corrections(phrases.joined, weight, fixed=fixed, able=able, letters_for_two=LONGEST + 1)
    count = np.bincount(phrases.phrase, minlength=len(weight))
    one, other = slips.word, slips.target
    good = slips.sure & (count[one] != count[other]) & (phrases.numbers[one] == phrases.numbers[other])
    starts = np.searchsorted(phrases.phrase, np.arange(len(weight) + 1))
    for pair in np.flatnonzero(good):
        mine, its = (
            set(phrases.word[starts[text] : starts[text + 1]].tolist()) for text in (one[pair], other[pair])
        )
        rare = is_rare(support[list(mine - its)], weight[other[pair]]).all()
        good[pair] = rare and all(len(phrases.words[word]) >= 4 for word in its - mine)
    return one[good], other[good], slips.sure[good]


def _found(
    phrases: Phrases, text: np.ndarray, signature: np.ndarray, sure: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the pairs whose corrected signature some text has; the first such text stands for all."""
    known, first = np.unique(phrases.signature, return_index=True)
    place = np.minimum(np.searchsorted(known, signature), max(0, len(known) - 1))
    there = known[place] == signature if len(known) else np.zeros(0, np.bool_)
    return text[there], first[place[there]], sure[there]


def stars(edges: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The head of each node; a node joins the heaviest head it has an edge to, and nobody joins one that has joined.

    (Star clustering, Aslam, Pelekhov and Rus 2004.) A node whose targets have all joined others is a head itself, so
    that a chain is cut instead of bringing together what differs. Where edges run in a circle the heaviest is the head.

    Args:
        edges: from and to, int64 [2, edges].
        weight: float64 [nodes].
    """
    head = np.full(len(weight), -1)
    source, target = edges
    order = np.lexsort((target, -weight[target], source))
    source, target = source[order], target[order]
    while (head < 0).any():
        open_ = (head[source] < 0) & ((head[target] < 0) | (head[target] == target))
        waits = np.zeros(len(weight), np.bool_)
        waits[source[open_]] = True
        heads = np.flatnonzero((head < 0) & ~waits)
        if not len(heads):
            ready = open_ & (head[target] == target)
            if ready.any():
                joining, first = np.unique(source[ready], return_index=True)
                head[joining] = target[ready][first]
                continue
            waiting = np.flatnonzero(head < 0)
            heads = waiting[[int(np.argmax(weight[waiting]))]]
        head[heads] = heads
    return head
