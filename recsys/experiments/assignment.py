"""Unit -> bucket -> arm: one deterministic function, the same here, in BigQuery SQL and in DuckDB.

In SQL the bucket is ``ABS(MOD(FARM_FINGERPRINT(CONCAT(salt, ':', unit_id)), 10000))``. MOD comes before ABS because
the fingerprint can be the smallest INT64, whose absolute value does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from recsys.experiments.definition import Experiment
from recsys.warehouse.functions import farm_fingerprint

BUCKETS = 10_000


def buckets(salt: str, unit_ids: Iterable[str]) -> npt.NDArray[np.int64]:
    """Bucket (0..9999) of each unit, shape (n_units,).

    Example:
        >>> buckets("salt", ["u1", "u2"]).tolist() == buckets("salt", ["u1", "u2"]).tolist()
        True
    """
    hashes = np.fromiter((farm_fingerprint(f"{salt}:{unit}") for unit in unit_ids), dtype=np.int64)
    return np.abs(np.fmod(hashes, BUCKETS))  # fmod keeps the sign of the dividend, as MOD does in SQL


def assign(
    experiment: Experiment, unit_ids: Iterable[str]
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Arm and bucket of each unit, both of shape (n_units,). Arms take consecutive ranges of buckets."""
    bucket = buckets(experiment.salt, unit_ids)
    edges = np.round(np.cumsum([arm.weight for arm in experiment.arms]) * BUCKETS)
    names = np.array([arm.name for arm in experiment.arms], dtype=object)
    return names[np.searchsorted(edges, bucket, side="right")], bucket
