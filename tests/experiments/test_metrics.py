"""Metrics are declared once, and a faulty declaration names the field and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import ExperimentError
from recsys.experiments.metrics import MEASURES, Metric, load_metrics, parse_metric, pick
from recsys.schema import table
from recsys.settings import Settings

RATIO = {
    "label": "Click-through",
    "kind": "ratio",
    "numerator": "clicks",
    "denominator": "impressions",
    "unit": "any",
    "direction": "up",
}


def test_the_declared_metrics_are_those_an_experiment_is_read_by() -> None:
    metrics = load_metrics(Settings.load({}).metrics_path)
    assert next(iter(metrics)) == "rpu"
    assert metrics["rpu"] == Metric(
        "rpu", "Revenue per user", "mean", "revenue", None, "any", "up", money=True
    )
    assert {"conversion", "orders_per_user", "aov", "ctr", "likes_per_user", "sessions_per_user"} <= set(
        metrics
    )
    assert {"bounce_rate", "cancel_rate", "first_sale_rate", "exposure_gini", "time_to_sale"} <= set(metrics)
    assert {m.kind for m in metrics.values()} == {"mean", "proportion", "ratio", "quantile"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kind": "median"}, "kind is 'median'; choose one of mean, proportion, ratio, quantile"),
        ({"numerator": "clics"}, "numerator is 'clics'; choose one of impressions"),
        ({"denominator": "users"}, "denominator is 'users'; choose one of impressions"),
        ({"denominator": None}, "a ratio needs a denominator"),
        ({"kind": "mean"}, "a mean is per unit"),
        ({"kind": "quantile"}, "quantile is None; a number between 0 and 1"),
        ({"kind": "quantile", "quantile": 1.0}, "quantile is 1.0"),
        ({"quantile": 0.5}, "only the kind quantile has one"),
        ({"unit": "shop"}, "unit is 'shop'; choose one of user, seller, campaign, advertiser, any"),
        ({"direction": "left"}, "direction is 'left'; choose one of up, down"),
        ({"money": "yes"}, "money is 'yes'; true or false"),
        ({"money": True, "numerator": "clicks"}, "money is true, but 'clicks' is no amount: gmv, revenue, "),
        ({"colour": "red"}, r"missing fields \[\], unknown fields \['colour'\]"),
    ],
)
def test_a_faulty_field_is_named_with_what_is_allowed(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError, match=told) as error:
        parse_metric("ctr", RATIO | changed, "metrics.yaml")
    assert "metrics.yaml: metric 'ctr'" in str(error.value)


def test_measures_stand_in_sql_where_the_metrics_say() -> None:
    """A metric names its measures by their place in arrays that both read-outs write out."""
    for name, arrays in (("metrics_daily", 2), ("value_counts", 1)):
        text = (Settings.load({}).sql_dir / "experiments" / f"{name}.sql").read_text(encoding="utf-8")
        written = re.findall(r"\[\n([^\]]*)\]", text.replace("totals.", ""))
        assert len(written) == arrays
        for array in written:
            measures = array.replace("IF(new_sellers > 0, first_sales, 0.0)", "first_sales").split(",")
            assert tuple(measure.strip() for measure in measures) == MEASURES, name
    assert set(MEASURES) <= set(table("experiments.unit_totals").column_names)
    fields = RATIO | {"numerator": "keywords_adopted", "denominator": "keywords"}
    assert parse_metric("share", fields, "here").places == (len(MEASURES) - 1, len(MEASURES) - 2)


def test_a_missing_field_and_a_file_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"missing fields \['label'\]"):
        parse_metric("ctr", {k: v for k, v in RATIO.items() if k != "label"}, "metrics.yaml")
    path = tmp_path / "metrics.yaml"
    with pytest.raises(ExperimentError, match="cannot be read"):
        load_metrics(path)
    path.write_text("- rpu\n")
    with pytest.raises(ExperimentError, match="expected metrics by name, got list"):
        load_metrics(path)


def test_an_unknown_metric_names_the_nearest() -> None:
    metrics = {"ctr": parse_metric("ctr", RATIO, "here")}
    assert pick(metrics, "ctr", "experiment e1").label == "Click-through"
    with pytest.raises(ExperimentError, match=r"experiment e1: there is no metric 'crt'.*ctr"):
        pick(metrics, "crt", "experiment e1")


@pytest.mark.parametrize(
    ("unit", "of", "suits"),
    [
        ("any", "user", True),
        ("any", "cluster", True),
        ("user", "user", True),
        ("user", "seller", False),
        ("seller", "seller", True),
        ("seller", "campaign", False),
        ("campaign", "campaign", True),
        ("advertiser", "campaign", True),
        ("advertiser", "seller", True),
        ("advertiser", "user", False),
        ("seller", "user", False),
    ],
)
def test_a_metric_suits_the_experiments_of_its_unit(unit: str, of: str, suits: bool) -> None:
    assert parse_metric("ctr", RATIO | {"unit": unit}, "here").suits(of) is suits
