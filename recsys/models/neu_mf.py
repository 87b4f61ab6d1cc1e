"""Matrix factorisation and a multi-layer perceptron under one output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING, Recommender
from recsys.models.neural import Session, Tensors, arrays_of, batches, fit

USER = ("user_gmf", "user_mlp")
SCORE_CELLS = 32_000_000


@dataclass
class NeuMF(Recommender):
    """Neural collaborative filtering, the model NeuMF (He et al., 2017): a generalised matrix factorisation of
    ``factors`` beside a perceptron of ``layers``, whose first width is that of user and item embedding together.

    Trained on log-loss with ``negatives`` drawn evenly from all items per item had, drawn anew each epoch. Only the
    item side and the layers are kept: a user's two embeddings are solved from the history at hand under the same
    loss, all else held still, in ``fold_in_epochs``. Needs PyTorch (requirements-neural.txt).
    """

    factors: int = 32
    layers: tuple[int, ...] = (64, 32, 16)
    negatives: int = 4
    learning_rate: float = 0.001
    dropout: float = 0.3
    decay: float = 1e-5
    batch_size: int = 2048
    epochs: int = 15
    fold_in_epochs: int = 15
    fold_in_rate: float = 0.005
    seed: int = 20260101
    name: ClassVar[str] = "neu_mf"

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        session, rng = Session(self.seed), np.random.default_rng(self.seed)
        n_users, n_items = interactions.matrix.shape
        wide = self.layers[0] // 2
        arrays = {
            "user_gmf": rng.normal(0, 0.05, (n_users, self.factors)),
            "user_mlp": rng.normal(0, 0.05, (n_users, wide)),
            "item_gmf": rng.normal(0, 0.05, (n_items, self.factors)),
            "item_mlp": rng.normal(0, 0.05, (n_items, wide)),
            "out.weight": rng.normal(0, 0.1, (1, self.factors + self.layers[-1])),
            "out.bias": np.zeros(1),
        }
        for place, (width, narrower) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            arrays[f"{place}.weight"] = rng.normal(0, (2 / width) ** 0.5, (narrower, width))
            arrays[f"{place}.bias"] = np.zeros(narrower)
        tensors = session.tensors({n: a.astype(np.float32) for n, a in arrays.items()}, trained=True)
        epoch = self._epoch(session, tensors, interactions.matrix, rng, self.dropout)
        fit(session, tensors, epoch, epochs=self.epochs, rate=self.learning_rate, decay=self.decay)
        return {name: array for name, array in arrays_of(tensors).items() if name not in USER}

    def _epoch(
        self,
        session: Session,
        tensors: Tensors,
        matrix: sparse.csr_matrix,
        rng: np.random.Generator,
        dropout: float = 0.0,
    ) -> Any:
        had = matrix.tocoo()
        keys = had.row.astype(np.int64) * matrix.shape[1] + had.col

        def epoch(optimiser: Any) -> None:
            row = np.tile(had.row.astype(np.int64), 1 + self.negatives)
            drawn = rng.integers(0, matrix.shape[1], len(keys) * self.negatives)
            item = np.concatenate([had.col.astype(np.int64), drawn])
            missed = row * matrix.shape[1] + item
            liked = keys[np.minimum(np.searchsorted(keys, missed), len(keys) - 1)] == missed
            for batch in batches(rng, len(row), self.batch_size):
                optimiser.zero_grad()
                pair = session.tensor(row[batch]), session.tensor(item[batch])
                logits = self._logits(session, tensors, *pair, dropout)
                wanted = session.tensor(liked[batch].astype(np.float32))
                session.torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted).backward()
                optimiser.step()

        return epoch

    def _logits(self, session: Session, p: Tensors, row: Any, item: Any, dropout: float) -> Any:
        together = session.torch.cat([p["user_mlp"][row], p["item_mlp"][item]], dim=-1)
        hidden = self._layers(session, p, together @ p["0.weight"].T, dropout)
        product = p["user_gmf"][row] * p["item_gmf"][item]
        both = session.torch.cat([product, hidden], dim=-1)
        return (both @ p["out.weight"].T + p["out.bias"])[:, 0]

    def _layers(self, session: Session, p: Tensors, first: Any, dropout: float = 0.0) -> Any:
        """The perceptron, from what its first layer's weights make of user and item."""
        hidden, place = first, 0
        while True:
            hidden = session.drop(session.torch.relu(hidden + p[f"{place}.bias"]), dropout)
            place += 1
            if f"{place}.weight" not in p:
                return hidden
            hidden = hidden @ p[f"{place}.weight"].T

    def _prepare(self) -> None:
        session, rng = Session(self.seed), np.random.default_rng(self.seed)
        self.session, self.fixed = session, session.tensors(self.learned)
        matrix, wide = self.history.matrix, self.layers[0] // 2
        users = {"user_gmf": (matrix.shape[0], self.factors), "user_mlp": (matrix.shape[0], wide)}
        start = {name: rng.normal(0, 0.01, shape).astype(np.float32) for name, shape in users.items()}
        own = session.tensors(start, trained=True)
        if matrix.nnz:
            epoch = self._epoch(session, self.fixed | own, matrix, rng)
            fit(session, own, epoch, epochs=self.fold_in_epochs, rate=self.fold_in_rate, decay=self.decay)
        self.users = arrays_of(own)

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        scores = np.full((len(rows), len(self.item_ids)), NOTHING, np.float32)
        session, p, wide = self.session, self.fixed, self.layers[0] // 2
        of_item = p["item_mlp"] @ p["0.weight"][:, wide:].T
        weight = p["out.weight"][0]
        size = max(1, SCORE_CELLS // (len(self.item_ids) * self.layers[1]))
        known = np.flatnonzero(rows >= 0)
        with session.torch.no_grad():
            for start in range(0, len(known), size):
                part = known[start : start + size]
                gmf = session.tensor(self.users["user_gmf"][rows[part]]) * weight[: self.factors]
                mlp = session.tensor(self.users["user_mlp"][rows[part]]) @ p["0.weight"][:, :wide].T
                hidden = self._layers(session, p, mlp[:, None] + of_item[None])
                found = gmf @ p["item_gmf"].T + hidden @ weight[self.factors :] + p["out.bias"]
                scores[part] = found.cpu().numpy()
        return scores

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        factors = np.hstack([self.learned["item_gmf"], self.learned["item_mlp"]])
        unit = factors / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-12)
        return unit[columns] @ unit.T
