"""Metrics of experiments, declared once in ``include/metrics.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recsys.errors import ExperimentError, did_you_mean, nearest
from recsys.yaml_files import read_yaml

KINDS = ("mean", "proportion", "ratio", "quantile")
UNITS = ("user", "seller", "campaign", "advertiser", "any")
"""Those of experiments but for clusters; an advertiser is a seller or a campaign."""
DIRECTIONS = ("up", "down")
MEASURES = (
    "impressions",
    "clicks",
    "views",
    "likes",
    "carts",
    "sessions",
    "bounces",
    "purchases",
    "cancels",
    "gmv",
    "revenue",
    "listings_sold",
    "hours_to_sale",
    "new_sellers",
    "first_sales",
    "ad_impressions",
    "ad_clicks",
    "ad_purchases",
    "ad_revenue",
    "ad_spend",
    "campaigns",
    "keywords",
    "keywords_adopted",
)
"""Columns of ``experiments.unit_daily`` that add up over days, in the order in which SQL keeps them in an array."""
OF_ADS = (
    "ad_impressions",
    "ad_clicks",
    "ad_purchases",
    "ad_revenue",
    "ad_spend",
    "campaigns",
    "keywords",
    "keywords_adopted",
)
"""Those that only a unit with campaigns has."""
AMOUNTS = ("gmv", "revenue", "ad_revenue", "ad_spend")
"""Those in the marketplace's currency, which a metric of money may have as its numerator."""
DERIVED = ("exposure_spread",)
"""Made of a unit's total and those of the other units of its arm, when the totals are there."""
SEGMENTS = ("region", "gender", "tenure")
"""What units can be told apart by: what is known before the exposure. Of units that are no users all is "unknown".
Tenure is "new" up to 28 days after registration, then "known"."""
_REQUIRED = {"label", "kind", "numerator", "unit", "direction"}
_FIELDS = _REQUIRED | {"denominator", "quantile", "money"}


@dataclass(frozen=True)
class Metric:
    """One metric.

    ``numerator`` and ``denominator`` name measures of ``experiments.unit_daily``; None as denominator means: per unit.
    ``unit`` is one of ``UNITS``; ``direction``, "up" or "down", is the way that is better; ``quantile`` is
    None but for the kind "quantile"; ``money`` marks amounts, whose means are winsorised.
    """

    name: str
    label: str
    kind: str
    numerator: str
    denominator: str | None
    unit: str
    direction: str
    quantile: float | None = None
    money: bool = False

    @property
    def places(self) -> tuple[int | None, int | None]:
        """Where numerator and denominator stand in ``MEASURES``; None for what is not there.

        Example:
            >>> fields = dict(label="C", kind="mean", numerator="clicks", unit="any", direction="up")
            >>> parse_metric("clicks", fields, "here").places
            (1, None)
        """
        num, den = (
            MEASURES.index(name) if name in MEASURES else None for name in (self.numerator, self.denominator)
        )
        return num, den

    @property
    def is_capped(self) -> bool:
        """Whether the winsorise quantile of an experiment caps it."""
        return self.kind == "mean" and self.money

    @property
    def of_ads(self) -> bool:
        """Whether it counts what advertisers do and get."""
        return self.numerator in OF_ADS

    def suits(self, unit: str) -> bool:
        """Whether it is measured in experiments whose unit is ``unit``."""
        return self.unit in ("any", unit) or (self.unit == "advertiser" and unit in ("seller", "campaign"))

    def label_of(self, unit: str) -> str:
        """The label in an experiment whose unit is ``unit``: what is a mean per cluster is not called one per user.

        Example:
            >>> fields = dict(label="Clicks per user", kind="mean", numerator="clicks", unit="any", direction="up")
            >>> parse_metric("clicks", fields, "here").label_of("cluster")
            'Clicks per cluster'
        """
        return self.label.replace(" per user", f" per {unit}")


def load_metrics(path: Path) -> dict[str, Metric]:
    """Read the metrics of ``path`` by name, in the order of the file.

    Raises:
        ExperimentError: names the file, the metric, the field, the value and what is allowed.
    """
    content = read_yaml(path, ExperimentError)
    if not isinstance(content, Mapping) or not content:
        raise ExperimentError(f"{path}: expected metrics by name, got {type(content).__name__}.")
    return {str(name): parse_metric(str(name), fields, str(path)) for name, fields in content.items()}


def pick(metrics: Mapping[str, Metric], name: str, source: str) -> Metric:
    """Return the metric called ``name``; ``source`` says in the error who asked for it.

    Raises:
        ExperimentError: there is none; names the nearest.
    """
    if name in metrics:
        return metrics[name]
    told = did_you_mean(nearest(name, metrics)) or f" Known: {', '.join(metrics)}."
    raise ExperimentError(f"{source}: there is no metric {name!r}.{told}")


def parse_metric(name: str, content: object, source: str) -> Metric:
    """Check one declaration and return it; ``source`` names the file in errors.

    Example:
        >>> fields = dict(label="C", kind="ratio", numerator="clicks", denominator="views", unit="any", direction="up")
        >>> parse_metric("ctr", fields, "here").denominator
        'views'

    Raises:
        ExperimentError: names every field at fault, its value and what is allowed.
    """
    where = f"{source}: metric {name!r}"
    if not isinstance(content, Mapping):
        raise ExperimentError(f"{where} has to be a mapping of fields, got {content!r}.")
    missing, unknown = sorted(_REQUIRED - set(content)), sorted(set(content) - _FIELDS)
    if missing or unknown:
        raise ExperimentError(f"{where}: missing fields {missing}, unknown fields {unknown}.")
    problems = _problems(content)
    if problems:
        raise ExperimentError(f"{where}: " + "; ".join(problems) + ".")
    return Metric(
        name=name,
        label=str(content["label"]),
        kind=content["kind"],
        numerator=content["numerator"],
        denominator=content.get("denominator"),
        unit=content["unit"],
        direction=content["direction"],
        quantile=content.get("quantile"),
        money=content.get("money", False),
    )


def _problems(content: Mapping[str, object]) -> list[str]:
    choices = {"kind": KINDS, "unit": UNITS, "direction": DIRECTIONS, "numerator": (*MEASURES, *DERIVED)}
    problems = [
        f"{field} is {content[field]!r}; choose one of {', '.join(allowed)}"
        for field, allowed in choices.items()
        if content[field] not in allowed
    ]
    kind, denominator, quantile = content["kind"], content.get("denominator"), content.get("quantile")
    if denominator is not None and denominator not in MEASURES:
        problems.append(f"denominator is {denominator!r}; choose one of {', '.join(MEASURES)}")
    if kind == "ratio" and denominator is None:
        problems.append("a ratio needs a denominator")
    if kind in ("mean", "proportion") and denominator is not None:
        problems.append(f"a {kind} is per unit: leave the denominator out, or make it a ratio")
    if kind == "quantile" and not (isinstance(quantile, float) and 0 < quantile < 1):
        problems.append(f"quantile is {quantile!r}; a number between 0 and 1, like 0.9")
    if kind != "quantile" and quantile is not None:
        problems.append(f"quantile is {quantile!r}; only the kind quantile has one")
    if not isinstance(content.get("money", False), bool):
        problems.append(f"money is {content['money']!r}; true or false")
    elif content.get("money") and content["numerator"] not in AMOUNTS:
        problems.append(f"money is true, but {content['numerator']!r} is no amount: {', '.join(AMOUNTS)} are")
    return problems
