"""Unit -> bucket -> arm: one deterministic function, the same here, in BigQuery SQL and in DuckDB.

In SQL the bucket of a unit under a salt is ``BUCKET_SQL``. MOD comes before ABS because the fingerprint can be the
smallest INT64, whose absolute value does not exist. Every draw about a unit has a salt of its own, so none says
anything about another: its arm in each experiment, its place in each layer, when it joins each ramp, and whether it is
held out. So a ramp may grow, a layer may be divided anew for later experiments and a hold-out may be set without
moving anybody from one arm to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

import numpy as np
import numpy.typing as npt

from recsys.experiments.definition import BUCKETS, Experiment
from recsys.warehouse.functions import farm_fingerprints

BUCKET_SQL = "ABS(MOD(FARM_FINGERPRINT(CONCAT(@salt, ':', unit_id)), 10000))"


def buckets(salt: str, unit_ids: Iterable[str]) -> npt.NDArray[np.int64]:
    """Bucket (0..9999) of each unit, shape (n_units,).

    Example:
        >>> buckets("salt_1", ["u1", "u2"]).tolist()
        [1776, 3437]
    """
    prefix = f"{salt}:"
    hashes = farm_fingerprints(prefix + unit for unit in unit_ids)
    return np.abs(np.fmod(hashes, BUCKETS))  # fmod keeps the sign of the dividend, as MOD does in SQL


def arms_of(experiment: Experiment, bucket: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
    """Name of the arm of each bucket, shape as given. Arms take consecutive ranges of buckets."""
    names = np.array([arm.name for arm in experiment.arms], dtype=object)
    return names[np.searchsorted(experiment.edges, np.arange(BUCKETS), side="right")][bucket]


def assign(
    experiment: Experiment, unit_ids: Iterable[str]
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Arm and bucket of each unit, both of shape (n_units,), whether or not the unit takes part yet."""
    bucket = buckets(experiment.salt, unit_ids)
    return arms_of(experiment, bucket), bucket


def takes_part(experiment: Experiment, unit_ids: Iterable[str], day: date) -> npt.NDArray[np.bool_]:
    """Whether an eligible unit is in the experiment when lists are served on ``day``, shape (n_units,).

    True where the layer gives the unit to this experiment, it is not held out, and the ramp has let it in.
    """
    units = np.array(list(unit_ids), dtype=object)
    inside = np.arange(len(units))
    joined = max((step.buckets for step in experiment.steps if step.day <= day), default=0)
    for salt, first, last in draws(experiment, (0, joined - 1)):
        bucket = buckets(salt, units[inside])
        inside = inside[(first <= bucket) & (bucket <= last)]
    taken = np.zeros(len(units), dtype=bool)
    taken[inside] = True
    return taken


def draws(experiment: Experiment, ramp: tuple[int, int]) -> Iterator[tuple[str, int, int]]:
    """Salt, first and last bucket of each draw that a unit has to pass; none where all pass.

    ``ramp`` is the first and last bucket of the ramp that are asked for.
    """
    layer = experiment.layer
    if layer is not None:
        yield f"layer:{layer.name}", layer.first, layer.last
    if experiment.holdout:
        # One draw for all experiments on a kind of unit, of which the lowest buckets are kept out: the same units
        # everywhere, and a larger hold-out contains a smaller one.
        yield holdout_salt(experiment.unit), round(experiment.holdout * BUCKETS), BUCKETS - 1
    if ramp != (0, BUCKETS - 1):
        yield f"ramp:{experiment.salt}", *ramp


def holdout_salt(unit: str) -> str:
    """Salt of the hold-out of a kind of unit."""
    return f"holdout:{unit}"
