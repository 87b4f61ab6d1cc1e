"""A tower over what is written about items, and a tower over the user's sequence of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from recsys.features.content import content_matrix, reduced
from recsys.features.interactions import Interactions
from recsys.models.factored import Factored
from recsys.models.neural import (
    ENCODE_ROWS,
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

TOWER = ("wide.weight", "wide.bias", "narrow.weight", "narrow.bias", "ids")


@dataclass
class TwoTower(Factored):
    """Two-tower retrieval with sampled softmax and logQ correction (Yi et al., 2019).

    The item tower reads the content (TF-IDF of title, category, brand, condition and price, reduced to
    ``content_factors``) through a layer of ``hidden`` units, so that a listing nobody has had yet has its place; with
    ``use_ids`` an embedding of the item itself is added, for catalogues that repeat. The user tower reads the latest
    ``length`` items, as the item tower sees them, through a causal transformer, and predicts the next one at every
    place. ``negatives`` are drawn by popularity for each batch, and each score is lowered by the log of the item's
    chance to be drawn. Both sides have length 1; scores are divided by ``temperature``. With ``patience``, the last
    item of up to ``validation_users`` users is kept from training and tells when to stop. Needs PyTorch
    (requirements-neural.txt).
    """

    factors: int = 64
    hidden: int = 128
    content_factors: int = 128
    use_ids: bool = True
    blocks: int = 1
    heads: int = 2
    length: int = 50
    negatives: int = 1024
    temperature: float = 0.1
    dropout: float = 0.2
    learning_rate: float = 0.001
    batch_size: int = 128
    epochs: int = 100
    patience: int = 5
    validation_users: int = 10_000
    seed: int = 20260101
    name: ClassVar[str] = "two_tower"
    ordered: ClassVar[bool] = True

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        session, rng = Session(self.seed), np.random.default_rng(self.seed)
        held = HeldOut.draw(interactions, rng, self.validation_users if self.patience else 0)
        pieces = windows(held.training, self.length)
        arrays = self._start(rng, len(self.item_ids), interactions)
        content = session.tensor(arrays.pop("content"))
        seen = np.bincount(interactions.columns, minlength=len(self.item_ids))
        chance = seen / seen.sum()
        known = session.tensor((seen > 0).astype(np.float32))[:, None]
        tensors = session.tensors(arrays, trained=True)

        def vectors(items: Any) -> Any:
            return self._item_tower(session, tensors, content[items], items, known)

        def epoch(optimiser: Any) -> None:
            for batch in batches(rng, len(pieces), self.batch_size):
                optimiser.zero_grad()
                drawn = rng.choice(interactions.columns, self.negatives)
                loss = self._loss(session, tensors, vectors, piece=pieces[batch], drawn=drawn, chance=chance)
                loss.backward()
                optimiser.step()

        def catalogue() -> np.ndarray:
            with session.torch.no_grad():
                parts = np.array_split(np.arange(len(seen)), max(1, len(seen) // 8192))
                return np.concatenate([vectors(session.tensor(part)).cpu().numpy() for part in parts])

        def judge() -> float:
            latest, items = held.training[:, -self.length :], catalogue()
            return held.ndcg(lambda rows: self._states(session, tensors, items, latest[rows]) @ items.T)

        fit(
            session,
            tensors,
            epoch,
            epochs=self.epochs,
            rate=self.learning_rate,
            judge=judge,
            patience=self.patience,
        )
        kept = {name: tensor for name, tensor in tensors.items() if name not in TOWER}
        return arrays_of(kept) | {"items": catalogue()}

    def _start(
        self, rng: np.random.Generator, n_items: int, interactions: Interactions
    ) -> dict[str, np.ndarray]:
        if interactions.content is None:
            content = np.zeros((n_items, 1), np.float32)
        else:
            content = reduced(content_matrix(interactions.content, {}), self.content_factors, self.seed)
        width = content.shape[1]
        arrays = transformer_arrays(rng, self.factors, self.length, self.blocks)
        arrays |= {
            "wide.weight": rng.normal(0, (2 / width) ** 0.5, (self.hidden, width)),
            "wide.bias": np.zeros(self.hidden),
            "narrow.weight": rng.normal(0, self.hidden**-0.5, (self.factors, self.hidden)),
            "narrow.bias": np.zeros(self.factors),
            "content": content * np.sqrt(width),
        }
        if self.use_ids:
            arrays["ids"] = rng.normal(0, 0.1, (n_items, self.factors))
        return {name: array.astype(np.float32) for name, array in arrays.items()}

    def _item_tower(self, session: Session, p: Tensors, content: Any, items: Any, known: Any) -> Any:
        functional = session.torch.nn.functional
        wide = functional.relu(functional.linear(content, p["wide.weight"], p["wide.bias"]))
        vectors = functional.linear(wide, p["narrow.weight"], p["narrow.bias"])
        if self.use_ids:
            vectors = vectors + p["ids"][items] * known[items]
        return functional.normalize(vectors, dim=-1)

    def _loss(
        self,
        session: Session,
        p: Tensors,
        vectors: Any,
        *,
        piece: np.ndarray,
        drawn: np.ndarray,
        chance: np.ndarray,
    ) -> Any:
        """Cross-entropy of each next item against the drawn ones, both corrected for their chance to be drawn."""
        torch = session.torch
        distinct, place = np.unique(np.concatenate([piece.ravel().clip(min=0), drawn]), return_inverse=True)
        table = vectors(session.tensor(distinct.astype(np.int64)))
        sequence = session.tensor(place[: piece.size].reshape(piece.shape))
        there = session.tensor(piece >= 0)
        states = self._encoded(session, p, table[sequence[:, :-1]], there[:, :-1], self.dropout)
        wanted = there[:, :-1] & there[:, 1:]
        target, others = sequence[:, 1:][wanted], session.tensor(place[piece.size :])
        correction = session.tensor(np.log(np.maximum(chance[distinct], 1e-12)).astype(np.float32))
        state = states[wanted]
        hit = (state * table[target]).sum(dim=-1) / self.temperature - correction[target]
        missed = state @ table[others].T / self.temperature - correction[others]
        missed = missed.masked_fill(target[:, None] == others[None], -torch.inf)
        logits = torch.cat([hit[:, None], missed], dim=1)
        return (torch.logsumexp(logits, dim=1) - hit).mean()

    def _encoded(self, session: Session, p: Tensors, inputs: Any, known: Any, dropout: float = 0.0) -> Any:
        inputs = inputs * self.factors**0.5 * known[..., None]
        states = encode(session, p, inputs, known, heads=self.heads, dropout=dropout)
        return session.torch.nn.functional.normalize(states, dim=-1)

    def _states(self, session: Session, p: Tensors, items: np.ndarray, sequences: np.ndarray) -> np.ndarray:
        """The user tower's vector of each sequence: float32 [sequences, factors]."""
        out = np.zeros((len(sequences), self.factors), np.float32)
        with session.torch.no_grad():
            for start in range(0, len(sequences), ENCODE_ROWS):
                part = sequences[start : start + ENCODE_ROWS]
                states = self._encoded(session, p, session.tensor(items[part]), session.tensor(part >= 0))
                out[start : start + ENCODE_ROWS] = states[:, -1].cpu().numpy()
        return out

    def _prepare(self) -> None:
        session = Session(self.seed)
        sequences = self.history.sequences(self.length)
        self.has_history = sequences[:, -1] >= 0
        p = session.tensors({name: array for name, array in self.learned.items() if name != "items"})
        self.states = self._states(session, p, self.learned["items"], sequences)

    def factors_of_users(self, rows: np.ndarray) -> np.ndarray:
        """What the user tower makes of the histories."""
        return np.asarray(self.states[rows])

    def factors_of_items(self) -> np.ndarray:
        """What the item tower makes of the catalogue."""
        return self.learned["items"]

    def known(self, rows: np.ndarray) -> np.ndarray:
        """Users with a history."""
        return (rows >= 0) & self.has_history[rows] if len(self.has_history) else np.zeros(len(rows), bool)

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        return self.learned["items"][columns] @ self.learned["items"].T
