"""All keyword retrievers together: fitted on one catalogue, asked at once, their answers joined with provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from recsys.errors import KeywordError
from recsys.keywords.catalogue import KEYWORD
from recsys.keywords.embedding import EmbeddingRetriever
from recsys.keywords.graph import GraphRetriever
from recsys.keywords.retriever import Found, Phrases, Retriever
from recsys.keywords.two_tower import TwoTowerRetriever
from recsys.models import store
from recsys.models.neural import AVAILABLE
from recsys.schema import CATEGORY_ID, ITEM_ID, RANK

RETRIEVERS: Mapping[str, type[Retriever]] = {
    kind.name: kind for kind in (GraphRetriever, EmbeddingRetriever, TwoTowerRetriever)
}
SCORES = ("graph_score", "embedding_score", "tower_score")
MOST = 50
FUSION = 60.0
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009)."""


@dataclass(frozen=True)
class Retrieval:
    """Fitted retrievers over the same phrases, by name."""

    phrases: Phrases
    retrievers: Mapping[str, Retriever]

    @classmethod
    def fit(
        cls,
        catalogue: pd.DataFrame,
        engaged: pd.DataFrame,
        items: pd.DataFrame,
        *,
        seed: int,
        names: tuple[str, ...] | None = None,
    ) -> Self:
        """Fit the retrievers.

        Args:
            catalogue: see ``catalogue.catalogue``.
            engaged: [keyword, item_id, clicks, purchases], see ``catalogue.engagement``.
            items: what is known of the items of ``engaged``, sold ones too, and of the parents of leaf categories.
            seed: of all that is drawn.
            names: which retrievers; None: all, the two towers only where PyTorch is installed.

        Raises:
            KeywordError: an empty catalogue, a retriever that is not known, or towers asked for without a click.
            ModelError: the two towers are asked for by name, and PyTorch is not installed.
        """
        if names is None:
            names = tuple(name for name in RETRIEVERS if AVAILABLE or name != TwoTowerRetriever.name)
        unknown = sorted(set(names) - set(RETRIEVERS))
        if unknown or not names:
            raise KeywordError(
                f"No keyword retriever {', '.join(unknown) or 'named'}; choose of {', '.join(RETRIEVERS)}."
            )
        phrases = Phrases.of(catalogue, items)
        retrievers: dict[str, Retriever] = {}
        for name in sorted(names, key=list(RETRIEVERS).index):
            retriever = RETRIEVERS[name](seed=seed)
            retrievers[name] = retriever.fit(phrases, engaged, items)
        return cls(phrases, retrievers)

    def candidates(self, items: pd.DataFrame, most: int = MOST) -> pd.DataFrame:
        """At most ``most`` keywords per item, each once, in the order of items and best rank.

        Items are [item_id, category_id, parent_category_id, title, brand, size, condition, price], unique by item_id;
        one listed a minute ago is as good as any. Each retriever is asked for ``most``; of the union those stay whose
        best rank is best, and among equal ones those with the larger sum of 1 / (60 + rank).

        Returns:
            [item_id, keyword, category_id, sources, graph_score, embedding_score, tower_score, rank]. ``category_id``
            is the item's leaf where the keyword is searched in it, else the keyword's main one. ``sources`` are names
            of retrievers joined by "+"; a score is NaN where its retriever did not name the keyword. ``rank`` is the
            best over the retrievers.
        """
        found = {name: retriever.find(items, most) for name, retriever in self.retrievers.items()}
        row, place, columns = union(found, len(self.phrases), most)
        leaf, _ = self.phrases.groups(items)
        return pd.DataFrame(
            {
                ITEM_ID: items[ITEM_ID].to_numpy(object)[row],
                KEYWORD: self.phrases.keywords.to_numpy(object)[place],
                CATEGORY_ID: self.phrases.categories.to_numpy(object)[self._category(place, leaf[row])],
                **columns,
            }
        )

    def _category(self, place: np.ndarray, leaf: np.ndarray) -> np.ndarray:
        """The item's leaf where the keyword is searched in it, else the keyword's home."""
        width = len(self.phrases.categories)
        entries = np.sort(self.phrases.keyword_of * width + self.phrases.category_of)
        key = place * width + leaf
        at = np.minimum(np.searchsorted(entries, key), len(entries) - 1)
        return np.where((entries[at] == key) & (leaf >= 0), leaf, self.phrases.home()[place])

    def save(self, folder: Path, facts: Mapping[str, object] | None = None) -> None:
        """Write everything into ``folder``; ``facts`` (data day, metrics) go into its manifest."""
        arrays = {f"phrases.{name}": array for name, array in self.phrases.arrays().items()}
        parameters = {}
        for name, retriever in self.retrievers.items():
            arrays |= {f"{name}.{key}": array for key, array in retriever.arrays().items()}
            parameters[name] = {field.name: getattr(retriever, field.name) for field in fields(retriever)}
        store.save(folder, arrays, {"model": "keyword_retrieval", "retrievers": parameters, **(facts or {})})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what was saved, checked against its SHA-256.

        Raises:
            ModelError: when the folder is missing or damaged.
            KeywordError: when it holds something else.
        """
        manifest = store.read_manifest(folder)
        parameters = manifest.get("retrievers")
        if manifest["model"] != "keyword_retrieval" or not isinstance(parameters, dict):
            raise KeywordError(
                f"{folder} holds a {manifest['model']!r} model, no keyword retrieval. Train one."
            )
        arrays = store.read_arrays(folder)
        phrases = Phrases.from_arrays(_part(arrays, "phrases"))
        return cls(
            phrases,
            {
                name: RETRIEVERS[name](**values).restore(phrases, _part(arrays, name))
                for name, values in sorted(
                    parameters.items(), key=lambda pair: list(RETRIEVERS).index(pair[0])
                )
            },
        )


def union(
    found: Mapping[str, Found], n_keywords: int, most: int
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Rows of items, places of keywords, and the columns sources, scores and rank of the joined answers."""
    parts = []
    for number, (places, scores) in enumerate(found.values()):
        row, rank = np.nonzero(places >= 0)
        parts.append(
            (row * n_keywords + places[row, rank], rank + 1, scores[row, rank], np.full(len(row), number))
        )
    key, rank, score, source = (np.concatenate(column) for column in zip(*parts, strict=True))
    unique, inverse = np.unique(key, return_inverse=True)
    best = np.full(len(unique), np.iinfo(np.int64).max)
    np.minimum.at(best, inverse, rank)
    fused = np.bincount(inverse, 1 / (FUSION + rank), minlength=len(unique))
    named = np.bincount(inverse, 2.0**source, minlength=len(unique)).astype(np.int64)
    row, place = np.divmod(unique, n_keywords)
    order = np.lexsort((place, -fused, best, row))
    order = order[np.arange(len(order)) - np.searchsorted(row[order], row[order]) < most]
    columns = {"sources": _names(tuple(found))[named[order]]}
    for column in SCORES:
        columns[column] = np.full(len(order), np.nan, np.float32)
    for number, name in enumerate(found):
        values = np.full(len(unique), np.nan, np.float32)
        values[inverse[source == number]] = score[source == number]
        columns[_score(name)] = values[order]
    return row[order], place[order], columns | {RANK: best[order]}


def _names(retrievers: tuple[str, ...]) -> np.ndarray:
    """The names that a sum of powers of 2 stands for."""
    return np.array(
        [
            "+".join(name for at, name in enumerate(retrievers) if number >> at & 1)
            for number in range(2 ** len(retrievers))
        ],
        dtype=object,
    )


def _score(name: str) -> str:
    return "tower_score" if name == TwoTowerRetriever.name else f"{name}_score"


def _part(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(f"{name}."): a for key, a in arrays.items() if key.startswith(f"{name}.")}
