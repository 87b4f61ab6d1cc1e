"""Everything the marketplace is at the end of a day, and how it is kept: arrays in one .npz, no pickle."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np

from recsys.errors import RecsysError
from recsys.synthetic.config import BEHAVIOURS, MarketplaceConfig

Array = np.ndarray
Columns = dict[str, Array]

SECOND = 1_000_000
DAY = 86_400 * SECOND
NEVER = np.iinfo(np.int64).max
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass
class State:
    """The marketplace at the end of ``ds``. Rows are numbered; ids are made from the numbers when tables are written.

    Times are microseconds since 1970 UTC. ``users``: tastes, money, habits. ``sellers``: ``user`` is their own user
    number. ``items``: every listing ever made, with ``closed`` = NEVER while it is open. ``prices``: one row per price
    a listing has had. ``campaigns`` and ``keywords``. ``waiting``: events that happened but are not yet delivered, and
    cancellations still to come. ``trend``: how hot each leaf category is. ``follows``: who follows whom, since when.
    """

    config: MarketplaceConfig
    ds: date
    users: Columns
    sellers: Columns
    items: Columns
    prices: Columns
    campaigns: Columns
    keywords: Columns
    waiting: Columns
    trend: Array
    follows: Columns = field(default_factory=dict)

    @property
    def n_users(self) -> int:
        """Registered users."""
        return len(self.users["registered"])

    @property
    def n_items(self) -> int:
        """Listings ever made."""
        return len(self.items["listed"])

    def copy(self) -> Self:
        """A copy whose columns may be changed without changing this state."""
        parts: dict[str, Any] = {
            part: {name: values.copy() for name, values in getattr(self, part).items()} for part in _COLUMNS
        }
        return replace(self, **parts, trend=self.trend.copy())

    def to_bytes(self) -> bytes:
        """Write as an uncompressed .npz; equal states give equal bytes."""
        config = {
            **_known(self.config),
            "first_day": self.config.first_day.isoformat(),
            "ds": self.ds.isoformat(),
        }
        arrays = {
            "config": np.frombuffer(json.dumps(config, sort_keys=True).encode(), np.uint8),
            "trend": self.trend,
        }
        for part in _COLUMNS:
            arrays |= {f"{part}.{name}": values for name, values in getattr(self, part).items()}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what ``to_bytes`` wrote.

        Raises:
            RecsysError: when the bytes are damaged or of another version.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                config = json.loads(arrays["config"].tobytes())
                ds = date.fromisoformat(config.pop("ds"))
                config["first_day"] = date.fromisoformat(config["first_day"])
                parts: dict[str, Columns] = {part: {} for part in _COLUMNS}
                for name in arrays.files:
                    part, dot, column = name.partition(".")
                    if dot:
                        parts[part][column] = arrays[name]
                _fill(parts)
                return cls(config=MarketplaceConfig(**config), ds=ds, trend=arrays["trend"], **parts)
        except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile) as error:
            raise RecsysError(f"The saved marketplace cannot be read ({error}); start a new one.") from error


def _fill(parts: dict[str, Columns]) -> None:
    """Columns that states of an earlier version lack: what was typed read as the phrase itself."""
    for part in ("keywords", "waiting"):
        if parts[part]:
            parts[part].setdefault("wording", np.zeros(len(parts[part]["query"]), dtype=np.int64))
    if parts["campaigns"]:
        parts["campaigns"].setdefault("until", np.full(len(parts["campaigns"]["item"]), NEVER))


def _known(config: MarketplaceConfig) -> dict[str, Any]:
    """The configuration; the first behaviour is not named, so that older states stay byte for byte."""
    facts = asdict(config)
    if facts["behaviour"] == BEHAVIOURS[0]:
        del facts["behaviour"]
    return facts


_COLUMNS = ("users", "sellers", "items", "prices", "campaigns", "keywords", "waiting", "follows")


def day_start(ds: date) -> int:
    """Microseconds since 1970 at which day ``ds`` begins (UTC)."""
    return (ds.toordinal() - _EPOCH) * DAY


def day_of(times: Array) -> Array:
    """Days since 1970 of times in microseconds."""
    return times // DAY


def as_date(day: int) -> date:
    """The date of a number of days since 1970."""
    return datetime.fromtimestamp(day * 86_400, UTC).date()


def append(columns: Mapping[str, Array], new: Mapping[str, Array]) -> Columns:
    """Add rows to columns; ``new`` has the same columns."""
    if not columns:
        return dict(new)
    return {name: np.concatenate([values, new[name]]) for name, values in columns.items()}


def take(columns: Mapping[str, Array], rows: Array) -> Columns:
    """Pick rows by number or by mask."""
    return {name: values[rows] for name, values in columns.items()}
