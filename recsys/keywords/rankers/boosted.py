"""Boosted trees, as LightGBM grows them and as XGBoost does: nulls go their own way, and outliers move no split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import lightgbm as lgb
import numpy as np
import xgboost as xgb

from recsys.keywords.rankers.base import Examples, nothing
from recsys.ranking.judge import Contributions
from recsys.ranking.platt import log_odds

THREADS = 1
"""One: the same trees every time."""


@dataclass(frozen=True)
class Growth:
    """How trees are grown: few and small ones, since what ads did is little.

    ``least`` is the least curvature of a leaf, n p (1 - p) of a binomial: 10 are some 100 ads shown at a rate of .1.
    """

    rounds: int = 150
    rate: float = 0.05
    leaves: int = 7
    least: float = 10.0
    shrinkage: float = 10.0
    columns: float = 0.6


@dataclass(frozen=True)
class LightGBM:
    """Ke et al. (2017): leaf-wise trees on the cross-entropy of rates, each row as often as it was tried.

    logit p = level + the trees of ``text``; '' where there was nothing to learn.
    """

    kind: ClassVar[str] = "lightgbm"

    names: tuple[str, ...]
    text: str
    level: float

    def __post_init__(self) -> None:
        """Parse the trees once."""
        object.__setattr__(self, "_booster", lgb.Booster(model_str=self.text) if self.text else None)

    @classmethod
    def fit(cls, examples: Examples, names: tuple[str, ...], *, seed: int, **growth: Any) -> Self:
        """Grow trees; ``growth`` are fields of Growth."""
        level = float(log_odds(np.array([examples.rate()]))[0])
        if not 0 < examples.good.sum() < examples.tried.sum():
            return cls(names, "", level)
        chosen = Growth(**growth)
        parameters = {
            "objective": "cross_entropy",
            "learning_rate": chosen.rate,
            "num_leaves": chosen.leaves,
            "min_data_in_leaf": 1,
            "min_sum_hessian_in_leaf": chosen.least,
            "lambda_l2": chosen.shrinkage,
            "feature_fraction": chosen.columns,
            "boost_from_average": False,
            "max_bin": 63,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": THREADS,
            "seed": seed,
            "verbosity": -1,
        }
        data = lgb.Dataset(
            examples.features,
            (examples.good / examples.tried).astype(np.float32),
            weight=examples.tried,
            init_score=np.full(len(examples), level),
            feature_name=list(names),
            params={"max_bin": 63, "verbosity": -1, "num_threads": THREADS},
        )
        return cls(names, lgb.train(parameters, data, chosen.rounds).model_to_string(), level)

    def logit(self, features: np.ndarray) -> np.ndarray:
        """See ``base.Model``."""
        booster: lgb.Booster | None = self._booster  # type: ignore[attr-defined]
        if booster is None or not len(features):
            return np.full(len(features), self.level)
        return self.level + np.asarray(booster.predict(features, raw_score=True, num_threads=THREADS))

    def explain(self, features: np.ndarray) -> Contributions:
        """TreeSHAP (Lundberg et al., 2020): what each feature adds to the log-odds of a mean example."""
        booster: lgb.Booster | None = self._booster  # type: ignore[attr-defined]
        if booster is None or not len(features):
            return nothing(self.names, len(features), self.level)
        shares = np.asarray(booster.predict(features, pred_contrib=True, num_threads=THREADS))
        return Contributions(self.names, shares[:, :-1], shares[:, -1] + self.level)

    def arrays(self) -> dict[str, np.ndarray]:
        """See ``base.Model``; the trees are LightGBM's text as bytes."""
        return _arrays(self.names, self.text.encode(), self.level)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """See ``base.Model``."""
        return cls(tuple(arrays["names"]), arrays["trees"].tobytes().decode(), float(arrays["level"]))


@dataclass(frozen=True)
class XGBoost:
    """Chen and Guestrin (2016): trees by histograms on the log-loss of rates, each row as often as it was tried.

    ``json`` is XGBoost's own JSON, b'' where there was nothing to learn: then logit p = level.
    """

    kind: ClassVar[str] = "xgboost"

    names: tuple[str, ...]
    json: bytes
    level: float

    def __post_init__(self) -> None:
        """Parse the trees once."""
        booster = xgb.Booster({"nthread": THREADS}) if self.json else None
        if booster is not None:
            booster.load_model(bytearray(self.json))
        object.__setattr__(self, "_booster", booster)

    @classmethod
    def fit(cls, examples: Examples, names: tuple[str, ...], *, seed: int, **growth: Any) -> Self:
        """Grow trees; ``growth`` are fields of Growth."""
        rate = examples.rate()
        level = float(log_odds(np.array([rate]))[0])
        if not 0 < examples.good.sum() < examples.tried.sum():
            return cls(names, b"", level)
        chosen = Growth(**growth)
        parameters = {
            "objective": "binary:logistic",
            "base_score": rate,
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "max_depth": 0,
            "max_leaves": chosen.leaves,
            "eta": chosen.rate,
            "min_child_weight": chosen.least,
            "lambda": chosen.shrinkage,
            "colsample_bytree": chosen.columns,
            "max_bin": 63,
            "nthread": THREADS,
            "seed": seed,
        }
        data = xgb.DMatrix(
            examples.features,
            (examples.good / examples.tried).astype(np.float32),
            weight=examples.tried,
            feature_names=list(names),
            nthread=THREADS,
        )
        booster = xgb.train(parameters, data, chosen.rounds)
        return cls(names, bytes(booster.save_raw("json")), level)

    def logit(self, features: np.ndarray) -> np.ndarray:
        """See ``base.Model``."""
        if not self.json or not len(features):
            return np.full(len(features), self.level)
        booster: xgb.Booster = self._booster  # type: ignore[attr-defined]
        found = booster.inplace_predict(features, predict_type="margin", validate_features=False)
        return np.asarray(found, np.float64)

    def explain(self, features: np.ndarray) -> Contributions:
        """TreeSHAP (Lundberg et al., 2020): what each feature adds to the log-odds of a mean example."""
        if not self.json or not len(features):
            return nothing(self.names, len(features), self.level)
        data = xgb.DMatrix(features, feature_names=list(self.names), nthread=THREADS)
        booster: xgb.Booster = self._booster  # type: ignore[attr-defined]
        shares = np.asarray(booster.predict(data, pred_contribs=True), np.float64)
        return Contributions(self.names, shares[:, :-1], shares[:, -1])

    def arrays(self) -> dict[str, np.ndarray]:
        """See ``base.Model``."""
        return _arrays(self.names, self.json, self.level)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """See ``base.Model``."""
        return cls(tuple(arrays["names"]), arrays["trees"].tobytes(), float(arrays["level"]))


def _arrays(names: tuple[str, ...], trees: bytes, level: float) -> dict[str, np.ndarray]:
    return {
        "names": np.array(names, dtype=object),
        "trees": np.frombuffer(trees, np.uint8),
        "level": np.array(level),
    }
