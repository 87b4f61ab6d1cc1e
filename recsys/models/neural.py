"""What the neural models share: PyTorch where it is installed, a transformer, and training that repeats.

A network here is a dictionary of named arrays and a function over them, so a trained model is saved like every other
(npz, no pickle). Randomness comes from a generator that is passed in, never from PyTorch's global one. On a CPU the
same seed gives the same numbers; on a GPU sums run in no fixed order, and repeats agree to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module, util
from typing import Any

import numpy as np

from recsys.errors import ModelError
from recsys.features.interactions import Interactions

AVAILABLE = util.find_spec("torch") is not None
LOGIT_CELLS = 40_000_000
ENCODE_ROWS = 1024
LONGEST = 1000

Arrays = dict[str, np.ndarray]
Tensors = dict[str, Any]


def require_torch() -> Any:
    """PyTorch, imported when first needed: it takes seconds.

    Raises:
        ModelError: when it is not installed.
    """
    if not AVAILABLE:
        raise ModelError("This model needs PyTorch: pip install -r requirements-neural.txt.")
    return import_module("torch")


@dataclass
class Session:
    """Where tensors live and where randomness comes from."""

    seed: int
    torch: Any = field(default_factory=require_torch)

    def __post_init__(self) -> None:
        self.device = self.torch.device("cuda" if self.torch.cuda.is_available() else "cpu")
        self.generator = self.torch.Generator(self.device).manual_seed(self.seed)

    def tensor(self, array: np.ndarray) -> Any:
        """A copy of ``array`` on the device."""
        return self.torch.tensor(array, device=self.device)

    def tensors(self, arrays: Mapping[str, np.ndarray], trained: bool = False) -> Tensors:
        """Copies of ``arrays`` on the device, to be trained or to be used."""
        return {name: self.tensor(array).requires_grad_(trained) for name, array in arrays.items()}

    def drop(self, values: Any, rate: float) -> Any:
        """``values`` with a share of ``rate`` set to 0 and the rest scaled up."""
        if not rate:
            return values
        kept = self.torch.rand(values.shape, generator=self.generator, device=self.device) >= rate
        return values * kept / (1 - rate)


def arrays_of(tensors: Mapping[str, Any]) -> Arrays:
    """Copies in NumPy."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def fit(
    session: Session,
    tensors: Tensors,
    epoch: Callable[[Any], None],
    *,
    epochs: int,
    rate: float,
    judge: Callable[[], float] | None = None,
    patience: int = 0,
    decay: float = 0.0,
) -> None:
    """Run ``epoch(optimiser)`` up to ``epochs`` times, in place, with Adam (Kingma and Ba, 2015).

    With ``patience`` the tensors of the epoch that ``judge`` found best are kept, and training ends when so many
    epochs brought nothing better.
    """
    optimiser = session.torch.optim.Adam(list(tensors.values()), lr=rate, weight_decay=decay)
    best, waited, kept = -np.inf, 0, arrays_of(tensors)
    for _ in range(epochs):
        epoch(optimiser)
        if not patience or judge is None:
            continue
        found = judge()
        if found > best:
            best, waited, kept = found, 0, arrays_of(tensors)
        elif (waited := waited + 1) >= patience:
            break
    if patience and judge is not None:
        with session.torch.no_grad():
            for name, array in kept.items():
                tensors[name].copy_(session.tensor(array))


def batches(rng: np.random.Generator, count: int, size: int) -> Iterable[np.ndarray]:
    """The numbers below ``count`` in random order, ``size`` at a time."""
    order = rng.permutation(count)
    return (order[start : start + size] for start in range(0, count, size))


def transformer_arrays(rng: np.random.Generator, factors: int, length: int, blocks: int) -> Arrays:
    """Parameters of ``encode``, to be trained."""
    arrays = {"position": rng.normal(0, 0.02, (length, factors)), **_norm("last", factors)}
    for block in range(blocks):
        for name, shape in (
            ("qkv", (3 * factors, factors)),
            ("mix", (factors, factors)),
            ("wide", (4 * factors, factors)),
            ("narrow", (factors, 4 * factors)),
        ):
            arrays[f"{block}.{name}.weight"] = rng.normal(0, 0.02, shape)
            arrays[f"{block}.{name}.bias"] = np.zeros(shape[0])
        arrays |= _norm(f"{block}.before", factors) | _norm(f"{block}.between", factors)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def _norm(name: str, factors: int) -> Arrays:
    return {f"{name}.scale": np.ones(factors), f"{name}.shift": np.zeros(factors)}


def encode(session: Session, p: Tensors, inputs: Any, known: Any, *, heads: int, dropout: float = 0.0) -> Any:
    """A causal transformer, normalised before each part: what is known at each place of each sequence.

    ``inputs`` is [sequences, length, factors], ``known`` says where there is an item. Places are counted from the end,
    as sequences are filled up in front.
    """
    torch = session.torch
    functional = torch.nn.functional
    count, length, factors = inputs.shape
    causal = torch.ones(length, length, dtype=torch.bool, device=session.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=session.device)
    seen = (causal & known[:, None, :] | itself)[:, None]
    hidden = session.drop(inputs + p["position"][-length:], dropout)
    block = 0
    while f"{block}.qkv.weight" in p:

        def part(name: str, values: Any, block: int = block) -> Any:
            return functional.linear(values, p[f"{block}.{name}.weight"], p[f"{block}.{name}.bias"])

        qkv = part("qkv", _normalised(functional, p, f"{block}.before", hidden))
        q, k, v = qkv.view(count, length, 3, heads, factors // heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        mixed = part("mix", mixed.transpose(1, 2).reshape(count, length, factors))
        hidden = hidden + session.drop(mixed, dropout)
        wide = functional.gelu(part("wide", _normalised(functional, p, f"{block}.between", hidden)))
        hidden = hidden + session.drop(part("narrow", session.drop(wide, dropout)), dropout)
        block += 1
    return _normalised(functional, p, "last", hidden)


def _normalised(functional: Any, p: Tensors, name: str, values: Any) -> Any:
    return functional.layer_norm(values, values.shape[-1:], p[f"{name}.scale"], p[f"{name}.shift"])


def windows(sequences: np.ndarray, length: int) -> np.ndarray:
    """Cut histories (right-aligned, -1 in front) into pieces of ``length`` + 1, one item shared by neighbours."""
    pieces = []
    for end in range(sequences.shape[1], 1, -length):
        piece = np.full((len(sequences), length + 1), -1, np.int32)
        start = max(0, end - length - 1)
        piece[:, length + 1 - (end - start) :] = sequences[:, start:end]
        pieces.append(piece[(piece >= 0).sum(axis=1) > 1])
    return np.concatenate(pieces) if pieces else np.empty((0, length + 1), np.int32)


@dataclass(frozen=True)
class HeldOut:
    """The last item of some users, kept from training to tell when to stop."""

    rows: np.ndarray
    target: np.ndarray
    training: np.ndarray

    @classmethod
    def draw(cls, history: Interactions, rng: np.random.Generator, most: int) -> HeldOut:
        """Hold out the last item of at most ``most`` users with three or more; no more than ``LONGEST`` are read."""
        counts = np.bincount(history.rows, minlength=len(history.user_ids))
        sequences = history.sequences(int(np.clip(counts.max(initial=1), 1, LONGEST)))
        able = np.flatnonzero(counts >= 3)
        rows = np.sort(rng.choice(able, min(most, len(able)), replace=False))
        training = sequences.copy()
        training[rows, 1:], training[rows, 0] = sequences[rows, :-1], -1
        return cls(rows, sequences[rows, -1], training)

    def ndcg(self, score: Callable[[np.ndarray], np.ndarray], k: int = 10) -> float:
        """Mean NDCG@k of the held-out item among those not had before; ``score`` takes rows, gives [rows, items]."""
        gains = []
        for start in range(0, len(self.rows), ENCODE_ROWS):
            rows, target = self.rows[start : start + ENCODE_ROWS], self.target[start : start + ENCODE_ROWS]
            scores = score(rows)
            had = self.training[rows]
            place = np.nonzero(had >= 0)
            wanted = scores[np.arange(len(rows)), target][:, None].copy()
            scores[place[0], had[place]] = -np.inf
            rank = (scores > wanted).sum(axis=1) + 1
            gains.append(np.where(rank <= k, 1 / np.log2(rank + 1), 0))
        return float(np.concatenate(gains).mean()) if gains else 0.0
