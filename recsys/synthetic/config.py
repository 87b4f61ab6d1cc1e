"""How large a synthetic marketplace is, and how its people behave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from recsys.errors import SettingsError

BEHAVIOURS: Final = ("logistic", "choice")


@dataclass(frozen=True)
class MarketplaceConfig:
    """Size and behaviour of a synthetic marketplace; docs/synthetic.md gives the source of each figure.

    ``behaviour`` names the model of what people want and do: see ``synthetic.behaviour``.
    Times are UTC, money is in one currency. Two equal configurations make the same world, byte for byte.

    Example:
        >>> preset("small", users=200).users
        200
    """

    seed: int = 20260101
    first_day: date = date(2026, 1, 1)
    behaviour: str = "logistic"
    # Size
    users: int = 5_000
    sellers: int = 900
    new_users_per_day: float = 12.0
    listings_per_day: float = 560.0
    # Visits
    sessions_per_user: float = 0.75
    activity_sigma: float = 1.15
    recommendation_share: float = 0.88
    search_share: float = 0.34
    browse_share: float = 0.2
    attention: float = 10.5
    position_exponent: float = 0.55
    # Choice
    click_base: float = -2.1
    buy_base: float = -2.6
    mood_mean: float = 0.32
    private_taste: float = 0.4
    follow_reach: float = 0.0
    # Shelf
    auction_share: float = 0.12
    lifetime_days: int = 30
    withdraw_daily: float = 0.008
    price_drop_daily: float = 0.05
    price_cap: float = 1_500.0
    cancel_mean: float = 0.05
    # Ads
    campaign_share: float = 0.05
    keyword_noise: float = 0.5
    keyword_slips: float = 0.15
    query_noise: float = 0.2
    irrelevant_keywords: float = 0.2
    junk_keywords: float = 0.04
    suggested_keywords: float = 0.2
    adoption: float = 0.4
    ad_slots: int = 2
    ad_exploration: float = 0.5
    ad_reserve: float = 0.01
    # Delivery of events
    late_share: float = 0.012
    too_late_share: float = 0.0003
    duplicate_share: float = 0.004
    broken_share: float = 0.0006

    def __post_init__(self) -> None:
        """Refuse a behaviour that nobody built."""
        if self.behaviour not in BEHAVIOURS:
            raise SettingsError(
                f"No behaviour {self.behaviour!r} of buyers; choose one of {', '.join(BEHAVIOURS)}."
            )


PRESETS: Final = {
    "small": MarketplaceConfig(users=300, sellers=60, new_users_per_day=1.5, listings_per_day=36.0),
    "demo": MarketplaceConfig(),
}


def preset(name: str, **changes: object) -> MarketplaceConfig:
    """Return the preset ``small`` (tests) or ``demo`` (``make run``) with some fields changed.

    ``users`` alone changes the size of the whole marketplace: sellers and listings keep their proportion.

    Raises:
        SettingsError: for an unknown preset or field, naming those that exist.
    """
    if name not in PRESETS:
        raise SettingsError(f"No marketplace preset {name!r}; choose one of {', '.join(PRESETS)}.")
    base = PRESETS[name]
    unknown = sorted(set(changes) - set(MarketplaceConfig.__dataclass_fields__))
    if unknown:
        known = ", ".join(MarketplaceConfig.__dataclass_fields__)
        raise SettingsError(f"The marketplace has no option {', '.join(unknown)}; it has {known}.")
    users = changes.get("users")
    if isinstance(users, int):
        if users < 20:
            raise SettingsError(f"A marketplace of {users} users is too small to trade; ask for 20 or more.")
        size = users / base.users
        scaled: dict[str, object] = {
            "sellers": max(5, round(base.sellers * size)),
            "new_users_per_day": base.new_users_per_day * size,
            "listings_per_day": base.listings_per_day * size,
        }
        changes = scaled | changes
    return replace(base, **changes)  # type: ignore[arg-type]
