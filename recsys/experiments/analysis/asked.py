"""What is asked of a table: ``revenue``, ``converted:proportion``, ``clicks/views:ratio``, ``hours:p90``."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from recsys.errors import ExperimentError, did_you_mean, nearest

KINDS = ("mean", "proportion", "ratio", "quantile")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """One metric over the columns of a table.

    ``kind`` is None until the values tell (0 and 1 only: a proportion, else a mean). ``quantile`` lies in (0, 1)
    and is set for that kind only, ``denominator`` for a ratio only.
    """

    name: str
    kind: str | None
    numerator: str
    denominator: str | None = None
    quantile: float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are read."""
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)


def parse_metrics(texts: Sequence[str], columns: Collection[str]) -> list[Asked]:
    """Read every metric, each once; where two would share a name, each is called by all that was written.

    Raises:
        ExperimentError: none is asked, or one cannot be read; see :func:`parse_metric`.
    """
    if not texts:
        raise ExperimentError(
            f"No metric is asked for. Name one with --metric; columns are {_list(columns)}."
        )
    texts = list(dict.fromkeys(texts))
    asked = [parse_metric(text, columns) for text in texts]
    names = [metric.name for metric in asked]
    return [
        replace(metric, name=text) if names.count(metric.name) > 1 else metric
        for metric, text in zip(asked, texts, strict=True)
    ]


def parse_metric(text: str, columns: Collection[str]) -> Asked:
    """Read ``COLUMN``, ``COLUMN:KIND`` or ``NUMERATOR/DENOMINATOR[:ratio]``; a column of just that name comes first.

    So do two columns of just those names: ``ns:clicks/ns:views`` has no kind where the table has both.

    A kind is mean, proportion, ratio, quantile (the median), median, or a percentile such as p90 or p99.9, in any case.

    Raises:
        ExperimentError: names the column or the kind that is not known, and those that are.

    Example:
        >>> parse_metric("clicks/views", ["clicks", "views"]).kind
        'ratio'
        >>> parse_metric("hours:p90", ["hours"]).quantile
        0.9
    """
    if text in columns:
        return Asked(text, None, text)
    whole = _divided(text, columns)
    if whole is not None:
        return Asked(text, "ratio", *whole)
    name, colon, kind = text.rpartition(":")
    if not colon:
        name, kind = text, ""
    kind = kind.strip().lower()
    quantile = _quantile(kind)
    over = _divided(name, columns)
    if kind and kind not in KINDS and quantile is None:
        if name not in columns and over is None:  # a name with a colon, misspelled
            raise ExperimentError(f"Metric {text!r}: {_unknown(text, columns)}")
        raise ExperimentError(
            f"Metric {text!r} has kind {kind!r}; choose {', '.join(KINDS)}, median or a percentile such as p90."
        )
    if name in columns:
        if kind == "ratio":
            raise ExperimentError(
                f"Metric {text!r} is a ratio of one column; write it as NUMERATOR/DENOMINATOR."
            )
        return Asked(name, "quantile" if quantile is not None else kind or None, name, quantile=quantile)
    if over is None:
        raise ExperimentError(f"Metric {text!r}: {_unknown(name, columns)}")
    if kind not in {"", "ratio"}:
        raise ExperimentError(f"Metric {text!r} divides two columns, which is a ratio, not a {kind}.")
    return Asked(name, "ratio", *over)


def parse_columns(text: str, columns: Collection[str]) -> tuple[str, ...]:
    """One column, or the two of a ratio ``NUMERATOR/DENOMINATOR``.

    Raises:
        ExperimentError: names the column that is not there.
    """
    found = (text,) if text in columns else _divided(text, columns)
    if found is None:
        raise ExperimentError(_unknown(text, columns))
    return found


def require_column(option: str, name: str, columns: Collection[str]) -> str:
    """Return ``name`` if the table has it.

    Raises:
        ExperimentError: names the option, the column and those that are there.
    """
    if name not in columns:
        raise ExperimentError(f"{option}: {_unknown(name, columns)}")
    return name


def parse_weights(text: str | None) -> dict[str, float] | None:
    """Read ``A=0.5,B=0.5``; weights may have any sum.

    Raises:
        ExperimentError: names the part that cannot be read.

    Example:
        >>> parse_weights("control=2,treatment=1")
        {'control': 2.0, 'treatment': 1.0}
    """
    if text is None:
        return None
    weights: dict[str, float] = {}
    for part in filter(str.strip, text.split(",")):
        name, _, value = (piece.strip() for piece in part.rpartition("="))
        try:
            weight = float(value)
        except ValueError:
            weight = -1.0
        if not name or not 0 <= weight < float("inf"):
            raise ExperimentError(f"Weight {part.strip()!r} cannot be read; write --weights A=0.5,B=0.5.")
        if name in weights:
            raise ExperimentError(f"Arm {name!r} has two weights in {text!r}; give it one.")
        weights[name] = weight
    if sum(weights.values()) <= 0:
        raise ExperimentError(f"The weights {text!r} sum to 0; at least one arm needs a share.")
    return weights


def _quantile(kind: str) -> float | None:
    if kind in {"median", "quantile"}:
        return 0.5
    found = _PERCENTILE.fullmatch(kind)
    percent = float(found.group(1)) if found else 0.0
    return percent / 100 if percent > 0 else None


def _divided(name: str, columns: Collection[str]) -> tuple[str, str] | None:
    """Split at the slash that leaves two columns; None where there is none."""
    for place, letter in enumerate(name):
        if letter == "/" and name[:place].strip() in columns and name[place + 1 :].strip() in columns:
            return name[:place].strip(), name[place + 1 :].strip()
    return None


def _unknown(name: str, columns: Collection[str]) -> str:
    parts = [part.strip() for part in name.split("/")] if "/" in name else [name]
    absent = next((part for part in parts if part not in columns), name)
    guess = did_you_mean(map(repr, nearest(absent, columns)))
    return f"there is no column {absent!r}; columns are {_list(columns)}.{guess}"


def _list(columns: Collection[str]) -> str:
    shown = sorted(columns)[:30]
    return ", ".join(shown) + (f" and {len(columns) - len(shown)} more" if len(columns) > len(shown) else "")
