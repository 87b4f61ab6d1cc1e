"""How the two towers are trained: batches of one parent category, negatives from the batch and from the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.errors import KeywordError
from recsys.keywords.graph import GraphRetriever
from recsys.keywords.retriever import engagement_matrix
from recsys.keywords.text import item_text
from recsys.keywords.towers import Texts, tower
from recsys.models.neural import Arrays, Session, Tensors, batches

if TYPE_CHECKING:
    from recsys.keywords.two_tower import TwoTowerRetriever

GRAPH_LIST = 30
JUDGED = 1_000


@dataclass(frozen=True)
class Labels:
    """Pairs of an item (row) and a phrase (place), their weight, parent category, and the phrase's chance within it.

    ``keys`` are item x phrases + phrase of all pairs, ascending, those not sampled too.
    """

    item: np.ndarray
    keyword: np.ndarray
    weight: np.ndarray
    parent: np.ndarray
    chance: np.ndarray
    keys: np.ndarray

    @classmethod
    def of(cls, matrix: sparse.csr_array, parent: np.ndarray, most_weight: float, kept: np.ndarray) -> Self:
        """Labels of a matrix [phrases, items] of weights; ``kept`` [pairs] says which pairs are learned from."""
        pairs = sparse.coo_array(matrix)
        keyword, item = (axis.astype(np.int64) for axis in pairs.coords)
        keys = np.sort(item * matrix.shape[0] + keyword)
        keyword, item, weight = keyword[kept], item[kept], pairs.data[kept]
        group = (parent[item] + 1) * matrix.shape[0] + keyword
        _, inverse, count = np.unique(group, return_inverse=True, return_counts=True)
        in_parent = np.bincount(parent[item] + 1)[parent[item] + 1]
        weight = np.minimum(weight, most_weight)
        return cls(item, keyword, weight / weight.mean(), parent[item], count[inverse] / in_parent, keys)


@dataclass(frozen=True)
class Hard:
    """Phrases that the graph names for items and that nobody came to them by.

    ``place`` [items, list] is -1 where there is none; ``chance`` that the phrase is drawn as a label in the parent;
    ``share`` [items] that one of an item's is drawn as a hard negative; ``keys`` as in ``Labels``.
    """

    place: np.ndarray
    chance: np.ndarray
    share: np.ndarray
    keys: np.ndarray

    @classmethod
    def of(cls, labels: Labels, named: np.ndarray, parent: np.ndarray, n_keywords: int, drawn: int) -> Self:
        """``named`` [items, list] are what the graph names."""
        key = np.arange(len(named))[:, None] * n_keywords + named
        place = np.where((named >= 0) & ~_among(key, labels.keys), named, -1)
        group = (labels.parent + 1) * n_keywords + labels.keyword
        order = np.argsort(group, kind="stable")
        wanted = (parent[:, None] + 1) * n_keywords + place
        at = np.minimum(np.searchsorted(group[order], wanted), len(order) - 1)
        chance = np.where((group[order][at] == wanted) & (place >= 0), labels.chance[order][at], 0)
        share = np.minimum(drawn / np.maximum((place >= 0).sum(axis=1), 1), 1)
        return cls(place, chance, share, np.sort(key[place >= 0]))

    def draw(self, rng: np.random.Generator, items: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Some of each item's, without replacement, and their chances as labels: both [items, count]."""
        luck = np.where(self.place[items] >= 0, rng.random((len(items), self.place.shape[1])), np.inf)
        column = np.argsort(luck, axis=1)[:, :count]
        rows = items[:, None]
        return self.place[rows, column], self.chance[rows, column]


class Training:
    """Texts, facts and pairs of a fit, and what an epoch and a judgement make of them."""

    def __init__(
        self,
        model: TwoTowerRetriever,
        session: Session,
        rng: np.random.Generator,
        engaged: pd.DataFrame,
        items: pd.DataFrame,
    ) -> None:
        phrases = model.phrases
        self.model, self.session, self.rng, self.phrases = model, session, rng, phrases
        matrix = engagement_matrix(phrases, engaged, items, model.purchase)
        if not matrix.nnz:
            raise KeywordError(
                "No click ties a keyword to an item. Give days in which searches led to clicks."
            )
        _, self.parent = phrases.groups(items)
        self.held = np.sort(rng.choice(len(items), int(model.held_out * len(items)), replace=False))
        learned = np.flatnonzero(~np.isin(sparse.coo_array(matrix).coords[1], self.held))
        learned = learned if len(learned) else np.arange(matrix.nnz)
        kept = np.sort(rng.choice(learned, min(len(learned), model.most_pairs), replace=False))
        self.labels = Labels.of(matrix, self.parent, model.most_weight, kept)
        self.by_item = sparse.csr_array(matrix.T)
        self.keyword_texts = Texts.of(pd.Series(phrases.keywords), model.bits)
        self.item_texts = Texts.of(item_text(items), model.bits)
        self.facts = model.facts.places(phrases, items)
        graph = GraphRetriever().fit(phrases, engaged, items)
        named = np.full((len(items), GRAPH_LIST), -1)
        used = np.unique(self.labels.item)
        named[used] = graph.find(items.iloc[used], GRAPH_LIST)[0]
        self.hard = Hard.of(self.labels, named, self.parent, len(phrases), model.hard)

    def epoch(self, tensors: Tensors, optimiser: Any) -> None:
        """Every pair once, in batches of one parent category."""
        for batch in self._batches():
            optimiser.zero_grad()
            self._loss(tensors, batch).backward()
            optimiser.step()

    def _batches(self) -> list[np.ndarray]:
        made = []
        for parent in np.unique(self.labels.parent):
            mine = np.flatnonzero(self.labels.parent == parent)
            made += [mine[part] for part in batches(self.rng, len(mine), self.model.batch_size)]
        return [made[at] for at in self.rng.permutation(len(made))]

    def _loss(self, tensors: Tensors, batch: np.ndarray) -> Any:
        """Cross-entropy of each item's phrase against the others of the batch and the item's hard negatives."""
        torch, count = self.session.torch, len(batch)
        item, keyword = self.labels.item[batch], self.labels.keyword[batch]
        hard, hard_chance = self.hard.draw(self.rng, item, self.model.hard)
        distinct, place = np.unique(np.concatenate([keyword, hard.clip(min=0).ravel()]), return_inverse=True)
        table = tower(tensors, "keyword", self._text(tensors, self.keyword_texts, distinct))
        facts = self.session.tensor(self.facts[item])
        users = tower(tensors, "item", self._text(tensors, self.item_texts, item), facts)
        near = users @ table[self.session.tensor(place[:count])].T / self.model.temperature
        far = (users[:, None] * table[self.session.tensor(place[count:].reshape(hard.shape))]).sum(-1)
        key = item[:, None] * len(self.phrases) + keyword
        share = self.hard.share[item][:, None]
        expected = count * self.labels.chance[batch] + np.where(_among(key, self.hard.keys), share, 0)
        near = near - self._log(expected)
        far = far / self.model.temperature - self._log(count * hard_chance + share)
        also = _among(key, self.labels.keys) & ~np.eye(count, dtype=bool)
        hit = near.diagonal()
        logits = torch.cat([near, far], dim=1)
        out = np.concatenate([also, hard < 0], axis=1)
        logits = logits.masked_fill(self.session.tensor(out), -torch.inf)
        weight = self.session.tensor(self.labels.weight[batch].astype(np.float32))
        return (weight * (torch.logsumexp(logits, dim=1) - hit)).mean()

    def _log(self, expected: np.ndarray) -> Any:
        return self.session.tensor(np.log(np.maximum(expected, 1e-9)).astype(np.float32))

    def _text(self, tensors: Tensors, texts: Texts, rows: np.ndarray) -> Any:
        """Vectors of some texts: bags of words, which are bags of features."""
        chosen = texts.words[rows]
        words, place = np.unique(chosen.indices, return_inverse=True)
        return self._bag(self._bag(tensors["words"], texts.features[words]), chosen, place)

    def _bag(self, table: Any, weights: sparse.csr_array, columns: np.ndarray | None = None) -> Any:
        tensor = self.session.tensor
        return self.session.torch.nn.functional.embedding_bag(
            tensor((weights.indices if columns is None else columns).astype(np.int64)),
            table,
            tensor(weights.indptr[:-1].astype(np.int64)),
            mode="sum",
            per_sample_weights=tensor(weights.data.astype(np.float32)),
        )

    def judge(self, arrays: Arrays) -> float:
        """Mean reciprocal rank of the best phrase of items held out, among the phrases of their parent category."""
        table = tower(arrays, "keyword", self.keyword_texts.vectors(arrays["words"]))
        able = self.held[np.diff(self.by_item.indptr)[self.held] > 0][:JUDGED]
        entry_parent = self.phrases.parent_of[self.phrases.category_of]
        ranks = []
        for parent in np.unique(self.parent[able]):
            items = able[self.parent[able] == parent]
            there = np.unique(self.phrases.keyword_of[entry_parent == parent])
            words = self.item_texts.words[items] @ (self.item_texts.features @ arrays["words"])
            scores = tower(arrays, "item", words, self.facts[items]) @ table[there].T
            wanted = self.by_item[items][:, there].toarray() > 0
            best = np.where(wanted, scores, -np.inf).max(axis=1, initial=-np.inf)
            ranks.append((1 + (scores > best[:, None]).sum(axis=1))[wanted.any(axis=1)])
        return float((1 / np.concatenate(ranks)).mean()) if ranks and sum(map(len, ranks)) else 0.0


def _among(values: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """Whether each value is one of the ascending."""
    if not len(ascending):
        return np.zeros(values.shape, bool)
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.asarray(ascending[at] == values)
