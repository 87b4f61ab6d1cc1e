"""What an experiment is: frozen objects, whose fields ``parse`` reads and ``checks`` holds against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import accumulate, pairwise
from types import MappingProxyType

UNITS = ("user", "seller", "campaign", "cluster")
"""What can be drawn at random. A cluster is a category in a region: ``CATEGORY|REGION``."""
CONTAINED = ("cluster", "seller", "campaign")
"""Units that hold the listings of which the arms of a split of buyers compete for the same."""
POLICIES = ("popularity", "hybrid")
"""What can make the lists of an arm."""
KEYWORD_POLICIES = ("keywords", "no_keywords")
"""Whether the sellers of an arm are offered keywords; ``marts.keyword_recommendations`` keeps to it."""
POLICIES_OF = {"user": POLICIES, "seller": KEYWORD_POLICIES}
"""By unit; an arm of users has one, those of sellers all or none, and other units have none."""
OFFERED_FROM = 0
"""Weekday (Monday) from which the keywords of a week are offered, and so on which an arm of sellers takes effect."""
DESIGNS = ("fixed", "group_sequential", "always_valid")
SPENDING = ("obrien_fleming", "pocock", "power")
BUCKETS = 10_000
"""Shares and weights count in ten-thousandths."""


@dataclass(frozen=True)
class Arm:
    """One arm: its name, what its units are served (None where that is not this system's), its share of the units.

    The policy makes the lists of users, and says whether sellers are offered keywords.
    """

    name: str
    policy: str | None
    weight: float


@dataclass(frozen=True)
class Layer:
    """Experiments of one layer exclude each other: each takes the units whose layer bucket is in ``first..last``."""

    name: str
    first: int = 0
    last: int = BUCKETS - 1

    def meets(self, other: Layer) -> bool:
        """Whether a unit can be in both ranges."""
        return self.name == other.name and self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class RampStep:
    """From this day of serving on, ``share`` (0..1) of the units are in the experiment."""

    day: date
    share: float

    @property
    def buckets(self) -> int:
        """How many of the ramp's 10,000 buckets are in."""
        return round(self.share * BUCKETS)


@dataclass(frozen=True)
class Eligibility:
    """Who may enter: units with a row in ``table`` for which ``where``, a condition on its columns, is true."""

    table: str
    where: str


@dataclass(frozen=True)
class Design:
    """When the result may be looked at, and what that costs.

    ``days`` are the looks of a group-sequential design, counted from the start (day 1). ``spending`` names its
    error-spending function; ``rho`` is the exponent of the power family, or the mixture parameter of an always-valid
    sequence (None: chosen from the data's scale by the statistics).
    """

    kind: str = "fixed"
    days: tuple[int, ...] = ()
    spending: str | None = None
    rho: float | None = None


@dataclass(frozen=True)
class Experiment:
    """One experiment. ``start`` and ``end`` are days on which lists are served, both inclusive.

    ``alpha`` is two-sided; ``minimum_effect`` is relative to control (None: not stated); ``guardrails`` gives each
    metric the relative loss that is tolerated; ``winsorise`` is the quantile at which money is capped (None: not);
    ``covariate_days`` is how many days before the start make the CUPED covariate (0: no adjustment); ``beside``
    names experiments of units in ``CONTAINED`` whose read-outs stand in the warning of interference; ``use`` names the
    proportion of units that used what their arm offers (None: nothing is offered that units may use or not).
    """

    id: str
    hypothesis: str
    unit: str
    salt: str
    start: date
    end: date | None
    control: str
    arms: tuple[Arm, ...]
    alpha: float = 0.05
    power: float = 0.8
    minimum_effect: float | None = None
    eligibility: Eligibility | None = None
    layer: Layer | None = None
    holdout: float = 0.0
    ramp: tuple[RampStep, ...] = ()
    primary: str = "rpu"
    secondary: tuple[str, ...] = ("conversion", "ctr")
    guardrails: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    design: Design = Design()
    winsorise: float | None = None
    covariate_days: int = 0
    segments: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    use: str | None = None

    @property
    def offers_keywords(self) -> bool:
        """Whether its arms say which sellers are offered keywords; its sellers are then exposed when assigned."""
        return self.unit == "seller" and any(arm.policy for arm in self.arms)

    def serves_on(self, day: date) -> bool:
        """Whether the arms are served on ``day``."""
        return self.start <= day and (self.end is None or day <= self.end)

    def is_read_out_on(self, day: date, late_days: int) -> bool:
        """Whether it is read out on ``day``: while it serves, and while what happened by its end may become known."""
        return self.start <= day and (self.end is None or day <= self.end + timedelta(days=late_days))

    def is_assigned_on(self, ds: date) -> bool:
        """Whether units are recorded for data day ``ds``, whose lists are served on the day after."""
        return self.serves_on(ds + timedelta(days=1))

    @property
    def steps(self) -> tuple[RampStep, ...]:
        """Steps of the ramp; without one, everybody from the start."""
        return self.ramp or (RampStep(self.start, 1.0),)

    def share_on(self, day: date) -> float:
        """Share of the units that the ramp lets in on a day of serving: 0 before the start."""
        return max((step.share for step in self.steps if step.day <= day), default=0.0)

    @property
    def looks(self) -> tuple[date, ...]:
        """Days at whose end the design looks: the end of a fixed one, the looks of a group-sequential one.

        Empty for an always-valid design, which may be looked at on any day, and for a fixed one without an end.
        """
        if self.design.kind == "group_sequential":
            return tuple(self.start + timedelta(days=day - 1) for day in self.design.days)
        return (self.end,) if self.design.kind == "fixed" and self.end is not None else ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that is named: primary, secondary, guardrails; each once."""
        return tuple(dict.fromkeys((self.primary, *self.secondary, *self.guardrails)))

    @property
    def policies(self) -> dict[str, str | None]:
        """Policy of each arm, in the order of the file."""
        return {arm.name: arm.policy for arm in self.arms}

    @property
    def weights(self) -> dict[str, float]:
        """Configured share of each arm, in the order of the file."""
        return {arm.name: arm.weight for arm in self.arms}

    @property
    def edges(self) -> tuple[int, ...]:
        """Bucket behind the last one of each arm, in the order of the file; arms take consecutive ranges."""
        return tuple(round(total * BUCKETS) for total in accumulate(arm.weight for arm in self.arms))

    @property
    def shares(self) -> dict[str, float]:
        """Share of the buckets that each arm takes: its weight, to the nearest edge of a bucket."""
        ranges = pairwise((0, *self.edges))
        return {
            arm.name: (end - begin) / BUCKETS for arm, (begin, end) in zip(self.arms, ranges, strict=True)
        }
