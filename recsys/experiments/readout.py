"""From the sufficient statistics of ``experiments.metrics_daily`` to the rows of ``experiments.results``; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from recsys.experiments.definition import Experiment
from recsys.experiments.looks import critical
from recsys.experiments.metrics import Metric, pick
from recsys.experiments.statistics import (
    Comparison,
    Estimate,
    Kind,
    Moments,
    Values,
    benjamini_hochberg,
    best_arm,
    compare,
    compare_quantiles,
    estimate,
    holm,
    sequential_interval,
)
from recsys.schema import table

ALL = "all"
"""Segment, and value of it, of what counts every unit."""
CUMULATIVE = "cumulative"
PRIMARY, SECONDARY, GUARDRAIL, OTHER = "primary", "secondary", "guardrail", "other"
GIVEN_BY_CHECKS = ("srm_p_value", "is_valid", "ds")
COLUMNS = ("num", "den", "cov_num", "cov_den")
"""Columns of a metric's moments, in the order of ``statistics.compare``."""
_OF_KIND = {"ratio": (0, 1, 2, 3), "mean": (0, 2), "proportion": (0, 2)}
_PLACE = ["metric", "scope", "segment", "segment_value"]


@dataclass(frozen=True)
class _Arm:
    """One arm of a metric: moments (without a covariate unless CUPED is declared) or counted values."""

    units: int
    cap: float | None
    moments: Moments | None = None
    values: Values | None = None


@dataclass(frozen=True)
class _Compared:
    plain: Comparison | None
    cuped: Comparison | None


def read_out(
    experiment: Experiment,
    metrics: Mapping[str, Metric],
    metrics_daily: pd.DataFrame,
    value_counts: pd.DataFrame,
    *,
    ds: date,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row per metric, scope, segment and arm, each arm against the control.

    Args:
        experiment: its definition.
        metrics: declarations by name.
        metrics_daily: rows of ``experiments.metrics_daily`` of ``ds`` and this experiment.
        value_counts: rows of ``experiments.value_counts`` of the same: quantiles are drawn from these.
        ds: the data day.
        rng: draws of the bootstrap.

    Returns:
        Columns of ``experiments.results`` but GIVEN_BY_CHECKS. ``difference`` and ``p_value`` leave the covariate
        alone; ``cuped_*`` adjust by it where the definition asks for it. What the design decides on then follows the
        adjusted estimate: ``relative``, ``p_adjusted`` and ``bound_*``.

    Raises:
        ExperimentError: a metric is not declared.
    """
    rows: list[dict[str, Any]] = []
    for place, arms in _arms(experiment, metrics, metrics_daily, value_counts):
        metric = pick(metrics, place["metric"], f"Experiment {experiment.id}")
        rows += _rows(experiment, metric, place, arms, ds=ds, rng=rng)
    _adjust(rows)
    columns = [name for name in table("experiments.results").column_names if name not in GIVEN_BY_CHECKS]
    return pd.DataFrame(rows).reindex(columns=columns)


def role(experiment: Experiment, metric: str) -> str:
    """What a metric is to an experiment; the first that applies of primary, guardrail and secondary."""
    if metric == experiment.primary:
        return PRIMARY
    if metric in experiment.guardrails:
        return GUARDRAIL
    return SECONDARY if metric in experiment.secondary else OTHER


def moments(row: Mapping[str, Any], kind: str, *, covariate: bool) -> Moments:
    """Moments of a row of ``experiments.metrics_daily``: numerator, (denominator,) and covariate if asked for."""
    places = [place for place in _OF_KIND[kind] if covariate or place < 2]
    names = [COLUMNS[place] for place in places]
    products = [
        [row[f"{a}_{b}" if names.index(a) <= names.index(b) else f"{b}_{a}"] for b in names] for a in names
    ]
    return Moments.from_sums(int(row["units"]), [row[name] for name in names], products)


def before(row: Mapping[str, Any], kind: str) -> Moments:
    """Moments of the covariate alone: what the units did before the experiment."""
    renamed = {name.replace("cov_", ""): value for name, value in row.items() if name.startswith("cov_")}
    return moments({**renamed, "units": row["units"]}, kind, covariate=False)


def _arms(
    experiment: Experiment, metrics: Mapping[str, Metric], daily: pd.DataFrame, values: pd.DataFrame
) -> list[tuple[dict[str, str], dict[str, _Arm]]]:
    """Arms of every metric, scope, segment and value, in the order of the definition."""
    covariate, found = experiment.covariate_days > 0, []
    for key, of_place in daily.groupby(_PLACE, sort=True):
        place = dict(zip(_PLACE, map(str, key), strict=True))
        kind = pick(metrics, place["metric"], f"Experiment {experiment.id}").kind
        by_arm = {
            str(row["arm"]): _Arm(
                int(row["units"]), _number(row["cap"]), moments(row, kind, covariate=covariate)
            )
            for row in records(of_place)
        }
        found.append((place, by_arm))
    for key, of_place in values.groupby(_PLACE, sort=True):
        place = dict(zip(_PLACE, map(str, key), strict=True))
        counted = {
            str(arm): Values.from_counts(rows["value"], rows["units"])
            for arm, rows in of_place.groupby("arm")
        }
        found.append((place, {arm: _Arm(v.units, None, values=v) for arm, v in counted.items()}))
    return [(place, {arm: arms[arm] for arm in experiment.weights if arm in arms}) for place, arms in found]


def _rows(
    experiment: Experiment,
    metric: Metric,
    place: Mapping[str, str],
    arms: Mapping[str, _Arm],
    *,
    ds: date,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    made, control = [], arms.get(experiment.control)
    own = {name: _estimate(metric, arm, experiment.alpha, rng) for name, arm in arms.items()}
    chances = _chances(metric, own)
    bound = _bound(experiment, metric, place, ds)
    for name, arm in arms.items():
        row: dict[str, Any] = {
            "experiment_id": experiment.id,
            **place,
            "arm": name,
            "policy": experiment.policies[name],
            "control": experiment.control,
            "users": arm.units,
            "label": metric.label_of(experiment.unit),
            "kind": metric.kind,
            "direction": metric.direction,
            "role": role(experiment, metric.name),
            "margin": experiment.guardrails.get(metric.name),
            "cap": arm.cap,
            **_own(own[name]),
            **chances.get(name, {}),
        }
        if control is not None and name != experiment.control:
            row |= _against(_compare(metric, control, arm, experiment, rng), bound)
        made.append(row)
    return made


def _estimate(metric: Metric, arm: _Arm, alpha: float, rng: np.random.Generator) -> Estimate | None:
    if arm.moments is not None:
        return estimate(cast(Kind, metric.kind), arm.moments, alpha=alpha)
    q = cast(float, metric.quantile)
    if arm.values is None or not arm.values.can_tell(q):
        return None
    drawn = arm.values.replicates(q, rng)
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    return Estimate(
        arm.units, arm.values.quantile(q), float(low), float(high), float(drawn.var(ddof=1)), math.inf
    )


def _compare(
    metric: Metric, control: _Arm, arm: _Arm, experiment: Experiment, rng: np.random.Generator
) -> _Compared:
    if control.moments is None or arm.moments is None:
        if control.values is None or arm.values is None:
            return _Compared(None, None)
        q = cast(float, metric.quantile)
        return _Compared(
            compare_quantiles(control.values, arm.values, q, alpha=experiment.alpha, rng=rng), None
        )
    found = [
        compare(cast(Kind, metric.kind), control.moments, arm.moments, alpha=experiment.alpha, cuped=cuped)
        if experiment.covariate_days > 0 or not cuped
        else None
        for cuped in (False, True)
    ]
    return _Compared(*found)


def _chances(metric: Metric, own: Mapping[str, Estimate | None]) -> dict[str, dict[str, float]]:
    known = {name: found for name, found in own.items() if found is not None}
    if metric.kind == "quantile" or len(known) < 2:
        return {}
    direction = cast(Literal["up", "down"], metric.direction)
    return {
        name: {"probability_best": found.probability_best, "expected_loss": found.expected_loss}
        for name, found in best_arm(cast(Kind, metric.kind), known, direction=direction).items()
    }


def _bound(experiment: Experiment, metric: Metric, place: Mapping[str, str], ds: date) -> float | None:
    """Only what decides has a bound: the total over all days and units."""
    if place["scope"] != CUMULATIVE or place["segment"] != ALL:
        return None
    of = role(experiment, metric.name)
    tests = len(experiment.arms) - 1 if of == PRIMARY else 1
    steady = metric.kind == "mean" and not metric.money  # sessions, say: arms differ by when their units came
    return critical(experiment, ds, guards=of == GUARDRAIL, tests=tests, order=3.0 if steady else 2.0)


def _own(found: Estimate | None) -> dict[str, float]:
    return {} if found is None else {"mean": found.mean, "mean_low": found.low, "mean_high": found.high}


def _against(found: _Compared, bound: float | None) -> dict[str, Any]:
    plain, cuped = found.plain, found.cuped
    if plain is None:
        return {}
    decides = cuped or plain
    row: dict[str, Any] = {
        "difference": plain.difference,
        "difference_low": plain.low,
        "difference_high": plain.high,
        "relative": decides.relative,
        "relative_low": decides.relative_low,
        "relative_high": decides.relative_high,
        "p_value": plain.p_value,
        "p_adjusted": decides.p_value,
        "method": decides.method,
    }
    if cuped is not None:
        row |= {"cuped_difference": cuped.difference, "cuped_low": cuped.low, "cuped_high": cuped.high}
        row["variance_reduction"] = 1 - cuped.variance / plain.variance if plain.variance > 0 else None
    if bound is not None and math.isfinite(bound):
        row["bound_low"], row["bound_high"] = sequential_interval(decides, bound)
    return row


def _adjust(rows: list[dict[str, Any]]) -> None:
    """Adjust the p-values of what was tested together; ``p_adjusted`` holds the unadjusted ones before.

    Primary: Holm over the arms. Secondary and other metrics: Benjamini-Hochberg over arms and metrics. Segments:
    Benjamini-Hochberg over the arms and values of a metric. Guardrails: none, since all of them have to hold. Single
    days are not tested.
    """
    families: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["scope"] != CUMULATIVE:
            row["p_adjusted"] = None
        elif row["segment"] != ALL:
            families.setdefault(("segment", row["metric"], row["segment"]), []).append(row)
        elif row["role"] != GUARDRAIL:
            families.setdefault((PRIMARY if row["role"] == PRIMARY else OTHER,), []).append(row)
    for (name, *_), family in families.items():
        adjust = holm if name == PRIMARY else benjamini_hochberg
        adjusted = adjust([row.get("p_adjusted") for row in family])
        for row, value in zip(family, adjusted, strict=True):
            row["p_adjusted"] = value


def _number(value: object) -> float | None:
    return None if pd.isna(value) else float(cast(float, value))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain dicts."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
