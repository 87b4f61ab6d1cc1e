"""The next item by self-attention over the user's sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING, Recommender
from recsys.models.neural import (
    ENCODE_ROWS,
    LOGIT_CELLS,
    HeldOut,
    Session,
    Tensors,
    arrays_of,
    batches,
    encode,
    fit,
    transformer_arrays,
    windows,
)


@dataclass
class SASRec(Recommender):
    """Self-attentive sequential recommendation (Kang and McAuley, 2018), trained with full cross-entropy.

    At every place of a sequence it predicts the next item among all items by softmax, which lets it surpass the
    original's one negative per positive by far (Klenitskiy and Vasilev, 2023). Only the latest ``length`` items of a
    user are read; longer histories are cut into several training sequences. With ``patience``, the last item of up to
    ``validation_users`` users is kept from training and tells when to stop. Needs PyTorch (requirements-neural.txt).
    """

    factors: int = 64
    blocks: int = 2
    heads: int = 2
    length: int = 50
    dropout: float = 0.2
    learning_rate: float = 0.001
    batch_size: int = 128
    epochs: int = 200
    patience: int = 10
    validation_users: int = 10_000
    seed: int = 20260101
    name: ClassVar[str] = "sasrec"
    ordered: ClassVar[bool] = True

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        session, rng = Session(self.seed), np.random.default_rng(self.seed)
        held = HeldOut.draw(interactions, rng, self.validation_users if self.patience else 0)
        pieces = windows(held.training, self.length)
        arrays = transformer_arrays(rng, self.factors, self.length, self.blocks)
        arrays["items"] = rng.normal(0, 0.02, (len(self.item_ids), self.factors)).astype(np.float32)
        tensors = session.tensors(arrays, trained=True)

        def epoch(optimiser: Any) -> None:
            for batch in batches(rng, len(pieces), self.batch_size):
                optimiser.zero_grad()
                self._backward(session, tensors, session.tensor(pieces[batch].astype(np.int64)))
                optimiser.step()

        def judge() -> float:
            items = arrays_of({"items": tensors["items"]})["items"]
            latest = held.training[:, -self.length :]
            return held.ndcg(lambda rows: self._states(session, tensors, latest[rows]) @ items.T)

        fit(
            session,
            tensors,
            epoch,
            epochs=self.epochs,
            rate=self.learning_rate,
            judge=judge,
            patience=self.patience,
        )
        return arrays_of(tensors)

    def _backward(self, session: Session, tensors: Tensors, piece: Any) -> None:
        """Add up the gradients of the mean cross-entropy, a part of the predictions at a time to bound the memory."""
        states = self._encoded(session, tensors, piece[:, :-1], self.dropout)
        wanted = (piece[:, :-1] >= 0) & (piece[:, 1:] >= 0)
        chosen, targets = states[wanted], piece[:, 1:][wanted]
        apart = chosen.detach().requires_grad_()
        size = max(1, LOGIT_CELLS // len(tensors["items"]))
        for start in range(0, len(targets), size):
            logits = apart[start : start + size] @ tensors["items"].T
            loss = session.torch.nn.functional.cross_entropy(
                logits, targets[start : start + size], reduction="sum"
            )
            (loss / len(targets)).backward()
        chosen.backward(apart.grad)

    def _encoded(self, session: Session, tensors: Tensors, items: Any, dropout: float = 0.0) -> Any:
        known = items >= 0
        inputs = tensors["items"][items.clamp(min=0)] * self.factors**0.5 * known[..., None]
        return encode(session, tensors, inputs, known, heads=self.heads, dropout=dropout)

    def _states(self, session: Session, tensors: Tensors, sequences: np.ndarray) -> np.ndarray:
        """What the latest place of each sequence says: float32 [sequences, factors]."""
        out = np.zeros((len(sequences), self.factors), np.float32)
        with session.torch.no_grad():
            for start in range(0, len(sequences), ENCODE_ROWS):
                part = session.tensor(sequences[start : start + ENCODE_ROWS].astype(np.int64))
                out[start : start + ENCODE_ROWS] = self._encoded(session, tensors, part)[:, -1].cpu().numpy()
        return out

    def _prepare(self) -> None:
        session = Session(self.seed)
        sequences = self.history.sequences(self.length)
        self.known = sequences[:, -1] >= 0
        self.states = self._states(session, session.tensors(self.learned), sequences)

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        scores = np.full((len(rows), len(self.item_ids)), NOTHING, np.float32)
        able = (rows >= 0) & self.known[rows] if len(self.known) else np.zeros(len(rows), bool)
        scores[able] = self.states[rows[able]] @ self.learned["items"].T
        return scores

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        factors = self.learned["items"]
        unit = factors / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-12)
        return unit[columns] @ unit.T
