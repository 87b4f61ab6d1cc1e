"""How events reach the warehouse: most at once, some a day or two late, some twice, and a few broken.

Every kind of fault that staging has a reason for happens here, so that the quarantine has work on every day.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from recsys.synthetic.config import MarketplaceConfig
from recsys.synthetic.draws import Array, Draws
from recsys.synthetic.happenings import NOWHERE, TYPE, UNKNOWN, join
from recsys.synthetic.state import DAY, SECOND, Columns, day_of, day_start, take

_BREAKS = ("unknown_item", "unknown_user", "future", "bad_amount", "missing_key", "unknown_type")


def send(config: MarketplaceConfig, ds: date, happened: Columns, waiting: Columns) -> tuple[Columns, Columns]:
    """Number the events of ``ds``, decide when each arrives, and split off what has arrived by the end of ``ds``.

    Args:
        config: the shares that are late, doubled or broken.
        ds: the day.
        happened: new events, some of them (cancellations) still to come.
        waiting: events of earlier days that had not arrived yet.

    Returns:
        (delivered on ``ds``, still waiting), each sorted by day made and number.
    """
    rng = Draws(config.seed, ds).generator("delivery")
    start, n = day_start(ds), len(happened["time"])
    order = np.lexsort((happened["item"], happened["user"], happened["type"], happened["time"]))
    sent = take(happened, order)
    sent["day"], sent["number"] = np.full(n, start // DAY), np.arange(n)
    sent["arrives"] = _arrival(config, rng, sent["time"])
    doubled = take(sent, np.flatnonzero(rng.random(n) < config.duplicate_share))
    later = np.where(rng.random(len(doubled["time"])) < 0.3, DAY, 0)
    doubled["arrives"] = np.minimum(doubled["arrives"] + 60 * SECOND, _end(doubled["arrives"])) + later
    everything = join([waiting, sent, doubled, _broken(config, rng, sent, start)])
    everything = take(
        everything, np.lexsort((everything["arrives"], everything["number"], everything["day"]))
    )
    arrived = everything["arrives"] < start + DAY
    return take(everything, arrived), take(everything, ~arrived)


def _arrival(config: MarketplaceConfig, rng: np.random.Generator, time: Array) -> Array:
    n, today = len(time), day_of(time) * DAY
    luck = rng.random(n)
    prompt = np.minimum(time + (rng.exponential(20, n) * SECOND).astype(np.int64), _end(time))
    days = np.where(luck < config.too_late_share, rng.integers(3, 6, n), rng.integers(1, 3, n))
    late = today + days * DAY + (rng.random(n) * (DAY - SECOND)).astype(np.int64)
    return np.where(luck < config.too_late_share + config.late_share, late, prompt)


def _end(time: Array) -> Array:
    return day_of(time) * DAY + DAY - 1


def _broken(config: MarketplaceConfig, rng: np.random.Generator, sent: Columns, start: int) -> Columns:
    """Extra events that are wrong; the true ones they were copied from are delivered too."""
    today = np.flatnonzero(
        (sent["arrives"] < start + DAY) & (sent["item"] >= 0) & (sent["time"] < start + DAY)
    )
    n = min(rng.poisson(config.broken_share * len(today)), len(today))
    bad = take(sent, rng.choice(today, n, replace=False) if n else today[:0])
    bad["number"] = len(sent["number"]) + np.arange(n)
    kind = rng.integers(0, len(_BREAKS), n)
    is_ = {name: kind == number for number, name in enumerate(_BREAKS)}
    bad["item"][is_["unknown_item"]] = UNKNOWN
    bad["user"][is_["unknown_user"]] = UNKNOWN
    bad["time"][is_["future"]] += rng.integers(2, 9, n)[is_["future"]] * DAY
    bad["type"][is_["bad_amount"]] = TYPE["purchase"]
    bad["amount"][is_["bad_amount"]] = -19.9
    bad["quantity"][is_["bad_amount"]] = 1
    bad["type"][is_["missing_key"]] = TYPE["view"]
    bad["item"][is_["missing_key"]] = NOWHERE
    bad["type"][is_["unknown_type"]] = TYPE["teleport"]
    return bad
