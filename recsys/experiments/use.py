"""What using an offer did, beside what offering it did: columns of ``experiments.results``; pure.

A definition that names a metric under ``use`` says who used what an arm was offered: the units for which that
proportion counts. They chose to, so the offer, drawn by lot, is the instrument; see ``statistics.instrument``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import pandas as pd

from recsys.experiments.definition import Experiment
from recsys.experiments.metrics import Metric, pick
from recsys.experiments.statistics import EffectOfUse, Moments, effect_of_use

COLUMNS = ("y", "d", "yd", "x")
"""Outcome, use, outcome of those who used it, covariate."""
_PRODUCTS = (
    ("yy", "yd", "yyd", "yx"),
    ("yd", "d", "yd", "dx"),
    ("yyd", "yd", "yyd", "ydx"),
    ("yx", "dx", "ydx", "xx"),
)
"""Which sum is that of two columns' products: a use is 0 or 1, and so its own square."""
KINDS = ("mean", "proportion")


def with_use(
    results: pd.DataFrame, experiment: Experiment, metrics: Mapping[str, Metric], sums: pd.DataFrame
) -> pd.DataFrame:
    """``results`` with the effect of use in the rows of named metrics, over all units since the start.

    Args:
        results: rows of ``experiments.results`` of the experiment.
        experiment: its definition, which names a metric under ``use``.
        metrics: declarations by name.
        sums: per ``metric`` and ``arm`` the ``units``, and the sums of COLUMNS and of their products.

    An arm is compared with the control; the metric of use itself, ratios and quantiles have no effect of use. Ends of
    ``use_low`` and ``use_high`` are missing where the interval has none.
    """
    arms = {(row["metric"], row["arm"]): row for row in sums.to_dict("records")}
    rows = results.to_dict("records")
    for row in rows:
        kind = pick(metrics, row["metric"], f"Experiment {experiment.id}").kind
        wanted = row["scope"] == "cumulative" and row["segment"] == "all" and kind in KINDS
        pair = [arms.get((row["metric"], arm)) for arm in (experiment.control, row["arm"])]
        named = row["metric"] in experiment.metrics and row["metric"] != experiment.use
        if not wanted or not named or row["arm"] == experiment.control or None in pair:
            continue
        cuped = experiment.covariate_days > 0
        ours, theirs = (_moments(cast("Mapping[str, Any]", one), cuped=cuped) for one in pair)
        found = effect_of_use(
            cast("Literal['mean', 'proportion']", kind), ours, theirs, alpha=experiment.alpha, cuped=cuped
        )
        row.update(_told(found) if found is not None else {})
    return pd.DataFrame(rows, columns=results.columns)


def _moments(sums: Mapping[str, Any], *, cuped: bool) -> Moments:
    size = len(COLUMNS) if cuped else len(COLUMNS) - 1
    products = [[sums[name] for name in line[:size]] for line in _PRODUCTS[:size]]
    return Moments.from_sums(int(sums["units"]), [sums[name] for name in COLUMNS[:size]], products)


def _told(found: EffectOfUse) -> dict[str, float | None]:
    effect, naive = found.effect, found.naive
    return {
        "used": found.used,
        "used_control": found.used_control,
        "use_strength": found.strength,
        "use_effect": effect.value if effect else None,
        "use_low": effect.low if effect else None,
        "use_high": effect.high if effect else None,
        "naive_difference": naive.value if naive else None,
        "naive_low": naive.low if naive else None,
        "naive_high": naive.high if naive else None,
    }
