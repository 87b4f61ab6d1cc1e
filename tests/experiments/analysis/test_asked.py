from __future__ import annotations

import pytest

from recsys.errors import ExperimentError
from recsys.experiments.analysis.asked import Asked, parse_columns, parse_metric, parse_metrics, parse_weights

COLUMNS = ["user_id", "revenue", "clicks", "views", "a/b", "odd:mean", "hours", "ns:clicks", "ns:views"]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("revenue", Asked("revenue", None, "revenue")),
        ("revenue:mean", Asked("revenue", "mean", "revenue")),
        ("revenue:Mean", Asked("revenue", "mean", "revenue")),
        ("hours:P90", Asked("hours", "quantile", "hours", quantile=0.9)),
        ("clicks/views", Asked("clicks/views", "ratio", "clicks", "views")),
        ("clicks / views:ratio", Asked("clicks / views", "ratio", "clicks", "views")),
        ("a/b", Asked("a/b", None, "a/b")),
        ("a/b/views", Asked("a/b/views", "ratio", "a/b", "views")),
        ("odd:mean", Asked("odd:mean", None, "odd:mean")),
        ("odd:mean:mean", Asked("odd:mean", "mean", "odd:mean")),
        ("hours:p90", Asked("hours", "quantile", "hours", quantile=0.9)),
        ("hours:p99.5", Asked("hours", "quantile", "hours", quantile=0.995)),
        ("hours:median", Asked("hours", "quantile", "hours", quantile=0.5)),
        ("ns:clicks/ns:views", Asked("ns:clicks/ns:views", "ratio", "ns:clicks", "ns:views")),
        ("ns:clicks/ns:views:ratio", Asked("ns:clicks/ns:views", "ratio", "ns:clicks", "ns:views")),
        ("ns:clicks/views", Asked("ns:clicks/views", "ratio", "ns:clicks", "views")),
        ("clicks/ns:views", Asked("clicks/ns:views", "ratio", "clicks", "ns:views")),
        ("ns:clicks:p90", Asked("ns:clicks", "quantile", "ns:clicks", quantile=0.9)),
        ("hours:quantile", Asked("hours", "quantile", "hours", quantile=0.5)),
    ],
)
def test_a_metric_is_read(text: str, asked: Asked) -> None:
    assert parse_metric(text, COLUMNS) == asked


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("revenu", r"no column 'revenu'.*Did you mean 'revenue'"),
        ("revenue:median2", "kind 'median2'"),
        ("ns:clicks/ns:veiws", r"no column 'ns:veiws'.*Did you mean 'ns:views'"),
        ("ns:clics", r"no column 'ns:clics'.*Did you mean 'ns:clicks'"),
        ("clicks/views:median2", "kind 'median2'"),
        ("revenue:p0", "kind 'p0'"),
        ("revenue:ratio", "NUMERATOR/DENOMINATOR"),
        ("clicks/views:mean", "which is a ratio, not a mean"),
        ("clicks/view", "no column 'view'"),
        ("", "no column ''"),
    ],
)
def test_a_metric_that_cannot_be_read_says_why(text: str, told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        parse_metric(text, COLUMNS)


def test_two_metrics_of_one_column_keep_what_tells_them_apart() -> None:
    names = [m.name for m in parse_metrics(["hours:p50", "hours:p90", "revenue:mean"], COLUMNS)]
    assert names == ["hours:p50", "hours:p90", "revenue"]
    assert parse_metrics(["hours", "views", "hours"], COLUMNS) == parse_metrics(["hours", "views"], COLUMNS)
    with pytest.raises(ExperimentError, match="No metric"):
        parse_metrics([], COLUMNS)


def test_a_covariate_is_a_column_or_two() -> None:
    assert parse_columns("revenue", COLUMNS) == ("revenue",)
    assert parse_columns("clicks/views", COLUMNS) == ("clicks", "views")
    with pytest.raises(ExperimentError, match="no column 'past'"):
        parse_columns("past", COLUMNS)


def test_weights() -> None:
    assert parse_weights(None) is None
    assert parse_weights("a=2,b=1, ") == {"a": 2.0, "b": 1.0}
    assert parse_weights("a=2, b=1 ,x=y=0") == {"a": 2.0, "b": 1.0, "x=y": 0.0}


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=x", "a=-1", "a=nan", "a=inf", "a=1,a=2", "a=0,b=0", ""])
def test_weights_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ExperimentError, match=r"cannot be read|two weights|sum to 0"):
        parse_weights(text)
