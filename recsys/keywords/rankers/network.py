"""A small neural network, and the same with weights of 8 bits.

Trained by scikit-learn, which every installation has; kept and run as plain arrays. With PyTorch, an optional package,
a service would have to carry it for three small matrices.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from recsys.keywords.rankers.base import Examples, nothing
from recsys.keywords.rankers.logistic import Scale
from recsys.ranking.judge import Contributions
from recsys.ranking.platt import log_odds

STEPS = 16
"""Points on the way from the mean example to an example, for its explanation."""
FARTHEST = 5.0
"""Inputs are held within so many standard deviations: a network extrapolates outliers in ways nobody has seen."""

Layer = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Network:
    """A multilayer perceptron with rectified linear units: logit p = level + last layer of the others before.

    ``layers`` are (weights float32 [in, out], bias float32 [out]); inputs are those of ``scale``, so that what is not
    known stands at the mean with a mark of its own.
    """

    kind: ClassVar[str] = "network"

    names: tuple[str, ...]
    scale: Scale
    layers: tuple[Layer, ...]
    level: float

    @classmethod
    def fit(
        cls,
        examples: Examples,
        names: tuple[str, ...],
        *,
        seed: int,
        width: int = 32,
        epochs: int = 20,
        rate: float = 2e-3,
        decay: float = 1.0,
    ) -> Self:
        """Adam (Kingma and Ba, 2015) on the log-loss, two layers of ``width`` and half as many units.

        ``decay`` is scikit-learn's ``alpha``: an L2 penalty, shared by the rows of a batch.
        """
        scale = Scale.learn(examples.features, examples.tried)
        row, outcome, weight = examples.unfolded()
        if not 0 < outcome.sum() < len(outcome):
            return cls(names, scale, (), float(log_odds(np.array([examples.rate()]))[0]))
        model = MLPClassifier(
            (width, max(2, width // 2)),
            alpha=decay,
            learning_rate_init=rate,
            max_iter=epochs,
            batch_size=min(256, len(row)),
            random_state=seed,
            tol=0.0,
            n_iter_no_change=epochs,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of passes is a hyper-parameter
            model.fit(_held(scale.inputs(examples.features))[row], outcome, sample_weight=weight)
        layers = tuple(
            (weights.astype(np.float32), bias.astype(np.float32))
            for weights, bias in zip(model.coefs_, model.intercepts_, strict=True)
        )
        return cls(names, scale, layers, 0.0)

    def logit(self, features: np.ndarray) -> np.ndarray:
        """See ``base.Model``."""
        return self._forward(_held(self.scale.inputs(features)))

    def _forward(self, inputs: np.ndarray) -> np.ndarray:
        if not self.layers:
            return np.full(len(inputs), self.level)
        values = inputs
        for number in range(len(self.layers)):
            values = self._apply(number, np.maximum(values, 0) if number else values)
        return self.level + values[:, 0].astype(np.float64)

    def _apply(self, number: int, values: np.ndarray) -> np.ndarray:
        weights, bias = self.layers[number]
        # einsum and not @: BLAS rounds the last rows of a matrix otherwise, and a score would depend on its batch.
        return np.asarray(np.einsum("ij,jk->ik", values, weights) + bias)

    def explain(self, features: np.ndarray) -> Contributions:
        """Integrated gradients (Sundararajan et al., 2017) from the mean example, over STEPS points.

        What the steps leave over is in the base, so that all sum to the log-odds.
        """
        if not self.layers or not len(features):
            return nothing(self.names, len(features), self.level)
        inputs = _held(self.scale.inputs(features))
        steps = (np.arange(STEPS) + 0.5) / STEPS
        gradient = np.mean([self._gradient(step * inputs) for step in steps], axis=0)
        shares = (gradient * inputs).astype(np.float64)
        values = shares[:, : len(self.names)].copy()
        values[:, self.scale.marked] += shares[:, len(self.names) :]
        return Contributions(self.names, values, self._forward(inputs) - values.sum(axis=1))

    def _gradient(self, inputs: np.ndarray) -> np.ndarray:
        values, passed = inputs, []
        for weights, bias in self.layers[:-1]:
            values = values @ weights + bias
            passed.append(values > 0)
            values = np.maximum(values, 0)
        back = np.broadcast_to(self.layers[-1][0].T, (len(inputs), len(self.layers[-1][0])))
        for (weights, _), open_ in zip(reversed(self.layers[:-1]), reversed(passed), strict=True):
            back = (back * open_) @ weights.T
        return back

    def arrays(self) -> dict[str, np.ndarray]:
        """See ``base.Model``."""
        return {**self._facts(), **_named(self.layers)}

    def _facts(self) -> dict[str, np.ndarray]:
        facts = {"names": np.array(self.names, dtype=object), "level": np.array(self.level)}
        return facts | self.scale.arrays()

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """See ``base.Model``."""
        scale = Scale.from_arrays(arrays)
        return cls(tuple(arrays["names"]), scale, _layers(arrays), float(arrays["level"]))

    def quantised(self) -> QuantisedNetwork:
        """The same network with weights of 8 bits."""
        pairs = [quantise(weights) for weights, _ in self.layers]
        layers = tuple((whole, bias) for (whole, _), (_, bias) in zip(pairs, self.layers, strict=True))
        steps = tuple(step for _, step in pairs)
        return QuantisedNetwork(self.names, self.scale, layers, self.level, steps)


@dataclass(frozen=True)
class QuantisedNetwork(Network):
    """A network whose weights are whole numbers of 8 bits times a step per output (Jacob et al., 2018).

    Inputs of a layer are brought to 8 bits by row when they come, multiplied as whole numbers and added up in 32 bits.
    """

    kind: ClassVar[str] = "network_int8"

    steps: tuple[np.ndarray, ...] = field(default=())

    @classmethod
    def fit(cls, examples: Examples, names: tuple[str, ...], *, seed: int, **options: Any) -> Self:
        """Fit a network and round its weights."""
        found = Network.fit(examples, names, seed=seed, **options).quantised()
        return cls(found.names, found.scale, found.layers, found.level, found.steps)

    def _apply(self, number: int, values: np.ndarray) -> np.ndarray:
        weights, bias = self.layers[number]
        step = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12) / 127
        whole = np.rint(values / step).astype(np.int32)
        sums = np.einsum("ij,jk->ik", whole, weights.astype(np.int32))
        return np.asarray(sums * (step * self.steps[number]) + bias, np.float32)

    def explain(self, features: np.ndarray) -> Contributions:
        """Of the network with the rounded weights, see ``Network.explain``."""
        return self.restored().explain(features)

    def restored(self) -> Network:
        """A network of float32 with the rounded weights."""
        pairs = zip(self.layers, self.steps, strict=True)
        layers = tuple(((whole * step).astype(np.float32), bias) for (whole, bias), step in pairs)
        return Network(self.names, self.scale, layers, self.level)

    def arrays(self) -> dict[str, np.ndarray]:
        """See ``base.Model``."""
        steps = {f"step.{number}": step for number, step in enumerate(self.steps)}
        return {**super().arrays(), **steps}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """See ``base.Model``."""
        layers = _layers(arrays)
        steps = tuple(arrays[f"step.{number}"] for number in range(len(layers)))
        scale = Scale.from_arrays(arrays)
        return cls(tuple(arrays["names"]), scale, layers, float(arrays["level"]), steps)


def quantise(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [in, out] as int8 and the step of each output, float32 [out]: the largest weight is 127 steps.

    Example:
        >>> whole, step = quantise(np.array([[0.5], [-1.27]], np.float32))
        >>> whole.ravel().tolist(), round(float(step[0]), 4)
        ([50, -127], 0.01)
    """
    step = np.maximum(np.abs(weights).max(axis=0), 1e-12) / 127
    return np.rint(weights / step).astype(np.int8), step.astype(np.float32)


def _held(inputs: np.ndarray) -> np.ndarray:
    return np.clip(inputs, -FARTHEST, FARTHEST).astype(np.float32)


def _named(layers: tuple[Layer, ...]) -> dict[str, np.ndarray]:
    return {
        f"{part}.{number}": array
        for number, layer in enumerate(layers)
        for part, array in zip(("weights", "bias"), layer, strict=True)
    }


def _layers(arrays: dict[str, np.ndarray]) -> tuple[Layer, ...]:
    count = sum(name.startswith("weights.") for name in arrays)
    return tuple((arrays[f"weights.{number}"], arrays[f"bias.{number}"]) for number in range(count))
