"""Keywords near an item by two towers, one that reads phrases and one that reads items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from recsys.keywords.retriever import Phrases
from recsys.keywords.text import item_text, pack, unpack
from recsys.keywords.tower_training import Training
from recsys.keywords.towers import Facts, Texts, first_arrays, tower, tower_by_blocks
from recsys.keywords.vectors import VectorRetriever
from recsys.models.neural import Session, arrays_of, fit

ROWS = 50_000


@dataclass
class TwoTowerRetriever(VectorRetriever):
    """Two-tower retrieval with in-batch softmax, logQ correction (Yi et al., 2019) and hard negatives.

    Both towers read words through one table of hashed words and character n-grams (2^``bits`` x ``factors``); the item
    tower adds an embedding of leaf category, condition and step of price. Each ends in a residual layer of ``hidden``
    units and length 1; scores are divided by ``temperature``.

    Labels are the pairs of a phrase and an item that its searchers clicked, weighted by clicks + ``purchase`` x
    purchases up to ``most_weight``; of more than ``most_pairs`` a sample. A batch holds pairs of one parent category,
    as a search looks into one: the phrase of each item competes with those of the others and with ``hard`` phrases
    that the graph retriever names and nobody came to the item by. Every score is lowered by the log of how often its
    phrase is expected in such a draw. A share ``held_out`` of the items is kept from training and tells when to stop.

    Training needs PyTorch (requirements-neural.txt); what was trained does not.
    """

    factors: int = 64
    hidden: int = 128
    bits: int = 15
    temperature: float = 0.05
    purchase: float = 5.0
    most_weight: float = 10.0
    most_pairs: int = 2_000_000
    hard: int = 4
    batch_size: int = 256
    learning_rate: float = 0.0005
    epochs: int = 20
    patience: int = 3
    held_out: float = 0.05
    name: ClassVar[str] = "two_tower"

    def fit(self, phrases: Phrases, engaged: pd.DataFrame, items: pd.DataFrame) -> Self:
        """Train both towers, and give every phrase its place.

        Raises:
            ModelError: PyTorch is not installed.
            KeywordError: no click ties a phrase to an item.
        """
        session, rng = Session(self.seed), np.random.default_rng(self.seed)
        self.phrases, self.facts = phrases, Facts.of(items)
        training = Training(self, session, rng, engaged, items)
        sizes = self.facts.sizes(phrases)
        tensors = session.tensors(
            first_arrays(rng, self.bits, self.factors, self.hidden, sizes), trained=True
        )
        fit(
            session,
            tensors,
            lambda optimiser: training.epoch(tensors, optimiser),
            epochs=self.epochs,
            rate=self.learning_rate,
            judge=lambda: training.judge(arrays_of(tensors)),
            patience=self.patience,
        )
        self.learned = arrays_of(tensors)
        texts = Texts.of(pd.Series(phrases.keywords), self.bits)
        self._push(phrases, np.asarray(tower(self.learned, "keyword", texts.vectors(self.learned["words"]))))
        self._measure(items)
        return self

    def item_vectors(self, items: pd.DataFrame) -> np.ndarray:
        """What the item tower makes of items, ``ROWS`` at a time."""
        parts = [self._item_tower(items.iloc[start : start + ROWS]) for start in range(0, len(items), ROWS)]
        return np.concatenate(parts) if parts else np.empty((0, self.factors), np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """The towers, and the place of every phrase."""
        facts = {"facts.edges": self.facts.edges} | pack("facts", self.facts.conditions)
        return {**{f"tower.{name}": a for name, a in self.learned.items()}, **facts, **self._index_arrays()}

    def restore(self, phrases: Phrases, arrays: dict[str, np.ndarray]) -> Self:
        """Take on what ``arrays`` gave."""
        self.learned = {n.removeprefix("tower."): a for n, a in arrays.items() if n.startswith("tower.")}
        self.facts = Facts(unpack("facts", arrays), arrays["facts.edges"])
        self._restore_index(phrases, arrays)
        return self

    def _item_tower(self, items: pd.DataFrame) -> np.ndarray:
        text = Texts.of(item_text(items), self.bits).vectors(self.learned["words"])
        return tower_by_blocks(self.learned, "item", text, self.facts.places(self.phrases, items))
