"""Use and offer from a table, as a person has it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ExperimentError
from recsys.experiments.analysis.analyse import Analysis, analyse
from recsys.experiments.analysis.asked import parse_metrics
from recsys.experiments.statistics import Moments, effect_of_use


def table(n: int = 4_000) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    skill, offered = rng.normal(0, 1, n), rng.random(n) < 0.5
    used = offered & (rng.random(n) < 1 / (1 + np.exp(-1.5 * skill)))
    return pd.DataFrame(
        {
            "seller": [f"s{i}" for i in range(n)],
            "arm": np.where(offered, "offered", "control"),
            "revenue": 10 + 3 * skill + rng.normal(0, 1, n) + 2 * used,
            "sold": (rng.random(n) < 0.3 + 0.2 * used).astype(int),
            "clicks": rng.poisson(4, n),
            "views": 1 + rng.poisson(9, n),
            "before": skill + rng.normal(0, 0.3, n),
            "adopted": np.where(used, 1.0, 0.0),
        }
    )


def of(frame: pd.DataFrame, *metrics: str, used: str | None = "adopted", **asked: object) -> Analysis:
    return analyse(
        frame,
        "seller",
        "arm",
        parse_metrics(metrics, list(frame.columns)),
        used=used,
        **asked,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("covariate", [(), ("before",)])
def test_a_table_gives_what_its_moments_give(covariate: tuple[str, ...]) -> None:
    frame = table()
    revenue, sold = of(frame, "revenue", "sold", "clicks/views", covariate=covariate).by_use
    columns = [frame["revenue"], frame["adopted"], frame["revenue"] * frame["adopted"]]
    columns += [frame[name] for name in covariate]
    arms = (Moments.of(*(c[frame["arm"] == arm] for c in columns)) for arm in ("control", "offered"))
    expected = effect_of_use("mean", *arms, alpha=0.05, cuped=bool(covariate))
    assert (revenue.arm, revenue.metric, sold.metric) == ("offered", "revenue", "sold")
    assert revenue.effect == pytest.approx(expected.effect.value)
    assert revenue.effect_ci == pytest.approx((expected.effect.low, expected.effect.high))
    assert revenue.effect_ci[0] < 2 < revenue.effect_ci[1]
    assert revenue.naive_ci[0] > 3.5
    assert sold.effect_ci[0] < 0.2 < sold.effect_ci[1]
    assert revenue.used == frame.loc[frame["arm"] == "offered", "adopted"].mean()


def test_what_was_written_before_stays_as_it_was() -> None:
    without, beside = of(table(), "revenue", used=None), of(table(), "revenue")
    record = beside.record()
    assert list(without.record()) == ["srm", "results", "notes"]
    assert json.loads(json.dumps(record["by_use"]))[0]["strength"] > 100
    assert {k: v for k, v in record.items() if k != "by_use"} == without.record()


def test_units_without_a_metric_or_a_use() -> None:
    frame = table()
    frame.loc[::7, "revenue"] = np.nan
    frame.loc[frame["adopted"] == 0, "adopted"] = np.nan
    found = of(frame, "revenue")
    (result,) = found.by_use
    assert any("count as not used" in note for note in found.notes)
    kept = frame.dropna(subset=["revenue"])
    assert result.used == pytest.approx(kept.loc[kept["arm"] == "offered", "adopted"].notna().mean())


def test_use_is_yes_or_no() -> None:
    with pytest.raises(ExperimentError, match="holds 3; write 1 for used"):
        of(table().assign(adopted=3), "revenue")


@pytest.mark.parametrize("power", [-600, 300, 900])
def test_the_size_of_values_does_not_matter(power: int) -> None:
    frame = table().assign(scaled=lambda shown: np.ldexp(shown["revenue"], power))
    (one,), (other,) = (of(frame, metric).by_use for metric in ("revenue", "scaled"))
    assert (other.effect, other.naive) == (np.ldexp(one.effect, power), np.ldexp(one.naive, power))
    assert other.effect_ci == tuple(np.ldexp(one.effect_ci, power))
    assert (other.p_value, other.relative_ci) == (one.p_value, one.relative_ci)
