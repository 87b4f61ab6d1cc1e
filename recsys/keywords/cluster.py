"""Raw keywords in, their canonical texts out: near-duplicates share one, junk has a reason instead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.errors import KeywordError
from recsys.keywords.filters import Policy, reasons
from recsys.keywords.merge import groups
from recsys.keywords.normalise import normalise
from recsys.keywords.phrases import Phrases

RAW: Final = "raw"
COLUMNS: Final = (RAW, "keyword", "reason", "searchers")
OVERTAKES: Final = 1.5
"""A new text becomes the canonical one of a kept cluster when it weighs this many times the old one."""


def clean(
    raw: pd.DataFrame, policy: Policy, previous: pd.DataFrame | None = None, known: Iterable[str] = ()
) -> pd.DataFrame:
    """Normalise, filter and cluster raw keywords.

    Args:
        raw: [raw, searchers]; a text may have several rows, whose searchers are added up. A text nobody searched (one
            that sellers typed) has 0.
        policy: what a keyword may not be.
        previous: the variants of an earlier day, whose clusters and canonical texts are kept unless clearly overtaken.
        known: words that are right as they are, such as brands: never taken for a misspelling.

    Returns:
        One row per distinct text, by text: raw, keyword (the canonical text of its cluster, null when refused), reason
        (null when kept), searchers (int64).

    Raises:
        KeywordError: when ``raw`` lacks a column, or searchers are negative or missing.
    """
    table = _weighed(raw)
    texts = pa.array(table[RAW], pa.string())
    written = normalise(texts)
    reason = reasons(texts, written, policy)
    kept = pd.isna(reason)
    encoded: Any = written.filter(pa.array(kept)).dictionary_encode()
    of_text = encoded.indices.to_numpy()
    weight = np.bincount(of_text, 1.0 + table["searchers"].to_numpy()[kept], len(encoded.dictionary))
    forms = encoded.dictionary
    text = forms.to_numpy(zero_copy_only=False).astype(object)
    phrases = Phrases.of(forms)
    found = groups(phrases, weight, _fixed(phrases, known), _clusters_before(text, previous))
    canonical = _canonical(text, np.where(found.head, weight, 0), found.group, previous)
    keyword = np.full(len(table), None, dtype=object)
    keyword[kept] = text[canonical][of_text]
    return table.assign(keyword=keyword, reason=reason)[list(COLUMNS)]


def update(
    previous: pd.DataFrame,
    raw: pd.DataFrame,
    policy: Policy,
    known: Iterable[str] = (),
    *,
    remembered: float = 0.0,
) -> pd.DataFrame:
    """Bring the variants of an earlier day up to date with what was typed since.

    Every text of ``previous`` stays, so that old campaigns keep their keywords; its searchers are multiplied by
    ``remembered`` (0 where ``raw`` counts a whole window, 1 where it counts what is new), and those of ``raw`` are
    added. Clusters change only for a reason: see ``clean``. The policy is that of today for old texts too.

    Returns:
        As ``clean``; the same bytes for the same arguments, whatever the order of rows.

    Example:
        >>> first = clean(pd.DataFrame({"raw": ["red dress"], "searchers": [9]}), Policy())
        >>> second = update(first, pd.DataFrame({"raw": ["Dress red"], "searchers": [9]}), Policy(), remembered=1.0)
        >>> second["keyword"].tolist()
        ['red dress', 'red dress']
    """
    old = previous[[RAW, "searchers"]].assign(
        searchers=np.floor(previous["searchers"] * remembered).astype("int64")
    )
    return clean(pd.concat([old, raw[[RAW, "searchers"]]], ignore_index=True), policy, previous, known)


def _weighed(raw: pd.DataFrame) -> pd.DataFrame:
    missing = {RAW, "searchers"} - set(raw.columns)
    if missing:
        raise KeywordError(
            f"The raw keywords have no column {', '.join(sorted(missing))}; give raw and searchers."
        )
    bad = raw["searchers"].isna() | (raw["searchers"] < 0)
    if bad.any():
        row = raw[bad].iloc[0]
        raise KeywordError(
            f"Keyword {row[RAW]!r} has {row['searchers']} searchers; give a count, 0 where none is known."
        )
    return raw.groupby(RAW, sort=True)["searchers"].sum().astype("int64").reset_index()


def _fixed(phrases: Phrases, known: Iterable[str]) -> np.ndarray:
    return pd.Series(phrases.words).isin(set(Phrases.of(normalise(known)).words)).to_numpy()


def _clusters_before(text: np.ndarray, previous: pd.DataFrame | None) -> np.ndarray:
    """The number of the cluster that each normalised text was in, -1 for none."""
    if previous is None:
        return np.full(len(text), -1)
    kept = previous.dropna(subset=["keyword"])
    written = normalise(pa.array(kept[RAW], pa.string())).to_numpy(zero_copy_only=False)
    number = pd.Series(pd.factorize(kept["keyword"])[0], index=pd.Index(written, dtype=object))
    return number[~number.index.duplicated()].reindex(text).fillna(-1).to_numpy(np.int64)


def _canonical(
    text: np.ndarray, weight: np.ndarray, group: np.ndarray, previous: pd.DataFrame | None
) -> np.ndarray:
    """The place of the canonical text for each text: the heaviest of its group, or the one kept from ``previous``."""
    standing = weight.copy()
    if previous is not None:
        standing[pd.Series(text).isin(set(previous["keyword"].dropna())).to_numpy()] *= OVERTAKES
    alphabet = np.empty(len(text), np.int64)
    alphabet[pc.array_sort_indices(pa.array(text, pa.string())).to_numpy()] = np.arange(len(text))
    order = np.lexsort((alphabet, -standing, group))
    groups, first = np.unique(group[order], return_index=True)
    best = np.zeros(int(group.max(initial=-1)) + 1, np.int64)
    best[groups] = order[first]
    return best[group]
