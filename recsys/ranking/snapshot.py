"""A marketplace at the end of one data day, as arrays ready for ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from recsys.features.audience import Audience
from recsys.features.interactions import Interactions, day_number
from recsys.features.shelf import Shelf
from recsys.features.shop_audience import ShopAudience
from recsys.ranking.candidates import Trending, trending
from recsys.ranking.promises import Record
from recsys.schema import GROUP_ID, ITEM_ID, USER_ID, WEIGHT

MOST_TRENDING = 200


@dataclass(frozen=True)
class Snapshot:
    """``shelf`` and ``audience`` at the end of ``ds``; ``history``: what the retrievers know of the users, by group;
    ``record``: what the lists of each policy and model were worth, against what they promised."""

    ds: date
    shelf: Shelf
    audience: Audience
    history: Interactions
    trending: Trending
    record: Record = field(default_factory=Record)

    @classmethod
    def from_frames(cls, frames: Mapping[str, pd.DataFrame], ds: date) -> Snapshot:
        """Read the frames ``items``, ``users``, ``interactions``, ``touched``, ``affinity``, ``brands``, ``demand``.

        ``cohorts`` may be missing: then nobody is seen through people alike; ``searches``: then nobody searched;
        ``promises``: then none were made. See ``Shelf.from_frame``, ``Audience.from_frames`` and
        ``candidates.trending`` for their columns. Retrievers learn from ``history`` where there is one, else from
        ``interactions``. With ``purchases`` and ``regions``, of everybody, the audience is that of a shop: see
        ``ShopAudience.of``.
        """
        as_of = int(day_number(ds)[0])
        shelf = Shelf.from_frame(frames["items"])
        audience = Audience.from_frames(
            shelf,
            users=frames["users"],
            interactions=frames["interactions"],
            touched=frames["touched"],
            affinity=frames["affinity"],
            brand_of_group=frames["brands"],
            cohorts=frames.get("cohorts"),
            searches=frames.get("searches"),
            as_of=as_of,
        )
        history = frames["history"] if "history" in frames else _history(frames["interactions"])
        regions = dict(zip(audience.user_ids, audience.regions, strict=True))
        if "purchases" in frames:
            everyone = frames["regions"].set_index(USER_ID)["region"]
            regions = everyone.dropna().to_dict()
            audience = ShopAudience.of(audience, shelf, frames["purchases"], everyone)
        return cls(
            ds,
            shelf,
            audience,
            Interactions.from_frame(history, as_of=ds, segments=regions),
            trending(shelf, frames["demand"], MOST_TRENDING),
            Record.of(frames.get("promises")),
        )


def _history(interactions: pd.DataFrame) -> pd.DataFrame:
    frame = interactions[[USER_ID, GROUP_ID, WEIGHT, "last_date"]]
    return frame.rename(columns={GROUP_ID: ITEM_ID, "last_date": "timestamp"})
