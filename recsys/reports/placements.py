"""One user's list, place by place, for a terminal: the reason, the factors of the money, what moved the ranker."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

MOST_DRIVERS = 4
LONGEST_TITLE = 40
LIKELY = (
    ("propensity", "shown w.p.", ".3f"),
    ("p_click", "p click", ".4f"),
    ("p_judged", "p judged", ".5f"),
    ("p_purchase", "p buy", ".5f"),
    ("p_available", "p there", ".3f"),
)
WORTH = (
    ("price", "price", ",.2f"),
    ("price_capped", "capped", ",.2f"),
    ("take_rate", "take", ".3f"),
    ("p_cancel", "p cancel", ".3f"),
    ("expected_revenue", "expected", ".5f"),
    ("score", "score", ".5f"),
)
"""Column, heading and format of the factors of a place."""
FACTORS = tuple(name for name, _, _ in (*LIKELY, *WORTH))

WORDS = {
    "popularity": "demand for its group",
    "item_knn": "group goes with the user's groups",
    "als": "taste model",
    "ease": "goes with what the user had",
    "own_history": "how often and how lately the user had it",
    "category_share": "interest in the category",
    "brand_share": "interest in the brand",
    "category_known": "category is known to the user",
    "category_lift": "interest in the category beyond its share, theirs or of people alike",
    "brand_lift": "interest in the brand beyond its share",
    "category_searched": "searches that lead to the category",
    "brand_searched": "searches that name the brand",
    "tier_gap": "price level above the user's usual",
    "tier_over": "dearer than the user's usual",
    "tier_under": "cheaper than the user's usual",
    "power_gap": "price above what the user spends",
    "level": "price level in its category",
    "brand_level": "price level of the brand",
    "condition_level": "price for the brand and condition",
    "appeal": "how well the listing is received",
    "seller_appeal": "how well the seller's listings are received",
    "user_spend_7d": "user's spending in a week",
    "user_spend_30d": "user's spending in a month",
    "user_power": "what the user usually pays",
    "price_gap": "price above the user's usual",
    "price_distance": "price far from the user's usual",
    "own_days": "days the user bought of the group",
    "own_share": "share of orders with the group",
    "own_recency": "bought of the group lately",
    "own_due": "due to be bought again",
    "own_weight": "the user's acts on the group",
    "own_spend": "spent on the group",
    "own_odds": "odds of the group in an order",
    "variety": "groups the user had to do with",
    "seen": "user came across the listing",
    "seen_views": "user's looks at the listing",
    "seen_likes": "user's likes of the listing",
    "seen_carts": "user's bids, offers and carts of it",
    "seen_recency": "user was there lately",
    "log_price": "price",
    "popularity_1d": "demand of a day",
    "popularity_7d": "demand of a week",
    "popularity_30d": "demand of a month",
    "click_rate": "clicks when shown",
    "purchase_rate": "purchases when viewed",
    "price_percentile": "price among its like",
    "log_age": "age of the listing",
    "is_new": "newly listed",
    "is_auction": "is an auction",
    "bid_count": "bids",
    "ends_soon": "auction ends soon",
    "rating": "seller's rating",
    "cancel_rate": "seller's cancellations",
    "ships_within_days": "days to ship",
    "is_verified": "seller is verified",
    "sell_through": "seller sells what they list",
    "trend": "trend of the category",
    "seasonal_index": "season of the category",
    "user_is_new": "user is new",
    "user_recency": "user was active lately",
    "user_purchase_recency": "user bought lately",
    "user_views_7d": "user's looks in a week",
    "user_views_30d": "user's looks in a month",
    "user_likes_30d": "user's likes in a month",
    "user_purchases_7d": "user's purchases in a week",
    "user_purchases_90d": "user's purchases in 90 days",
}
"""What a feature of the ranker is about; one that is not here goes by its own name."""


def words(feature: str) -> str:
    """What a feature is about, in words.

    Example:
        >>> words("category_share"), words("brand_new_feature")
        ('interest in the category', 'brand new feature')
    """
    return WORDS.get(feature, feature.replace("_", " "))


def drivers(contributions: Mapping[str, float], most: int = MOST_DRIVERS) -> list[tuple[str, float]]:
    """The features that move the odds of a purchase most, either way: words and factor of the odds, largest first.

    Example:
        >>> drivers({"rating": 0.0, "trend": 0.7, "log_price": -1.0}, most=2)
        [('price', 0.37), ('trend of the category', 2.01)]
    """
    ordered = sorted(contributions.items(), key=lambda pair: (-abs(pair[1]), pair[0]))
    return [(words(name), round(math.exp(value), 2)) for name, value in ordered[:most] if abs(value) >= 0.005]


def print_placements(told: Mapping[str, Any], console: Console, most: int | None = None) -> None:
    """Print what ``jobs.explain.run`` found, the first ``most`` places of it."""
    places = told["places"][:most]
    say = _Say(console)
    say(f"User {told['user']}, list of {told['ds']}, served on {told['served_on']}", style="bold")
    arm = f", arm {told['arm']} of {told['experiment_id']}" if told["arm"] else ""
    say(f"Policy {told['policy']}{arm}, model {told['model']}, {len(told['places'])} places\n")
    _grid(
        console,
        "Why it is there",
        ("place", "item", "title", "reason", "because of"),
        ((p["rank"], p["item_id"], _short(p["title"]), p["reason"], _other(p)) for p in places),
    )
    _factors(console, "How it got there", places, LIKELY, ("slot", "source"))
    _factors(console, f"What it is worth ({told['currency']})", places, WORTH)
    say(
        "expected = p buy x amount x take x (1 - p cancel) x p there, where the amount is the capped price",
        dim=True,
    )
    say("unless the ranker expects another one. score is what the list is ordered by.\n", dim=True)
    if told["contributions_missing"]:
        say(f"What moved the ranker is not known: {told['contributions_missing']}")
        return
    _grid(
        console,
        "What moved the ranker",
        ("place", "p buy", "times the odds of a purchase, largest first"),
        (
            (
                p["rank"],
                _number(p["p_recomputed"], ".5f"),
                "; ".join(f"{what} ×{factor:g}" for what, factor in drivers(p["contributions"])),
            )
            for p in places
        ),
    )
    say("Each against an average pair; ×2 doubles the odds, ×0.5 halves them.", dim=True)
    if told["differs"]:
        say(f"Mind: {told['differs']}", style="bold")


class _Say:
    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, line: str, style: str | None = None, dim: bool = False) -> None:
        self.console.print(line, style="dim" if dim else style, markup=False, highlight=False, soft_wrap=True)


def _other(place: Mapping[str, Any]) -> str:
    if not place["reason_item"]:
        return ""
    title = _short(place["reason_title"])
    return f"{place['reason_item']} {title}" if title else place["reason_item"]


def _factors(
    console: Console,
    title: str,
    places: Sequence[Mapping[str, Any]],
    factors: Sequence[tuple[str, str, str]],
    words: tuple[str, ...] = (),
) -> None:
    rows = (
        (
            p["rank"],
            *(p[name] for name in words),
            *(_number(p["factors"][name], style) for name, _, style in factors),
        )
        for p in places
    )
    _grid(
        console, title, ("place", *words, *(heading for _, heading, _ in factors)), rows, numbers=len(factors)
    )


def _short(title: str | None) -> str:
    """A title cut to what fits a column."""
    return textwrap.shorten(title or "", LONGEST_TITLE, placeholder="…")


def _number(value: float | None, style: str) -> str:
    return "" if value is None else f"{value:{style}}"


def _grid(
    console: Console,
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: int = 0,
) -> None:
    """A table whose first column and last ``numbers`` columns are numbers, which are never cut."""
    grid = RichTable(title=title, title_justify="left", title_style="bold")
    for place, heading in enumerate(headings):
        number = place == 0 or place >= len(headings) - numbers
        grid.add_column(heading, justify="right" if number else "left", no_wrap=number)
    for row in rows:
        grid.add_row(*(Text("" if value is None else str(value)) for value in row))
    console.print(grid)
