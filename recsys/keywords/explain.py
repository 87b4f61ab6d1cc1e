"""Why a keyword is recommended, and what to expect of it, in a sentence a seller understands."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from recsys.keywords.text import Bags
from recsys.schema import ITEM_ID

UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


def explain(chosen: pd.DataFrame, scored: pd.DataFrame, weeks: float = 1.0) -> pd.Series:
    """The reason of each row of ``chosen``, with the same index.

    Args:
        chosen: what ``choose`` returned.
        scored: [item_id, keyword, covered_words, category_conversion]: words of the keyword that the item has, and
            purchases per click after searches of it in the item's category; a missing value is not spoken of.
        weeks: as in the ``SetRules`` the set was chosen by.

    Example:
        >>> chosen = pd.DataFrame({"item_id": ["i1"], "keyword": ["red coat"], "searchers_7d": [1240],
        ...                        "expected_sales": [0.25], "warning": [None]})
        >>> scored = pd.DataFrame({"item_id": ["i1"], "keyword": ["red coat"], "covered_words": [2],
        ...                        "category_conversion": [0.03]})
        >>> for part in explain(chosen, scored)[0].split("; "):
        ...     print(part)
        1,240 buyers searched this last week
        your item covers all its words
        in its category 3 in 100 clicks after this search led to a sale
        expect one sale in about 4 weeks.
    """
    facts = chosen[[ITEM_ID, "keyword"]].merge(
        scored[[ITEM_ID, "keyword", "covered_words", "category_conversion"]],
        on=[ITEM_ID, "keyword"],
        how="left",
        validate="many_to_one",
    )
    keywords = facts["keyword"].drop_duplicates()
    length = dict(zip(keywords, Bags.of(keywords).has.sum(axis=1).tolist(), strict=True))
    columns = (
        facts["keyword"],
        chosen["searchers_7d"],
        facts["covered_words"].astype("float64"),
        facts["category_conversion"].astype("float64"),
        chosen["expected_sales"].astype("float64") / weeks,
        chosen["warning"] if "warning" in chosen else [None] * len(chosen),
    )
    told = [
        sentence(keyword, int(people), (covered, length[keyword]), converted, sales, warning=warning)
        for keyword, people, covered, converted, sales, warning in zip(*columns, strict=True)
    ]
    return pd.Series(told, index=chosen.index, dtype=object, name="reason")


def sentence(
    keyword: str,
    searchers: int,
    covered: tuple[float, int],
    conversion: float,
    weekly_sales: float,
    *,
    warning: str | None = None,
) -> str:
    """One reason; ``covered`` is (words of the keyword that the item has, its words), NaN where it is not known."""
    parts = [_reach(searchers), _words(keyword, *covered), _conversion(conversion), _sales(weekly_sales)]
    if isinstance(warning, str):
        parts.append(
            f"your item {warning.partition(':')[2]} bids on it already, and what that sells is not counted"
        )
    text = "; ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}."


def _reach(searchers: int) -> str:
    if searchers <= 0:
        return "nobody searched this last week"
    return f"{searchers:,} buyer{'s' if searchers > 1 else ''} searched this last week"


def _words(keyword: str, covered: float, of: int) -> str:
    if np.isnan(covered) or of == 0:
        return ""
    if covered >= of:
        return "your item covers all its words" if of > 1 else "your item covers its word"
    if covered <= 0:
        return "your item has none of its words"
    if UNSPACED.search(keyword):  # compared in pairs of characters, which nobody counts as words
        return "your item covers part of it"
    return f"your item covers {covered:.0f} of its {of} words"


def _conversion(share: float) -> str:
    """Purchases per click, as a whole number in 100, in 1,000 or in 10,000 clicks."""
    if np.isnan(share):
        return ""
    for clicks in (100, 1_000, 10_000):
        if round(share * clicks) >= 1:
            return f"in its category {round(share * clicks)} in {clicks:,} clicks after this search led to a sale"
    return "in its category clicks after this search have hardly led to sales"


def _sales(weekly: float) -> str:
    if weekly >= 2 / 3:  # what is less rounds to two weeks or more
        return f"expect about {_few(weekly)} sale{'' if _few(weekly) == '1' else 's'} a week"
    if weekly > 1 / 520:
        return f"expect one sale in about {_few(1 / weekly)} weeks"
    return "a sale by it alone is unlikely"


def _few(value: float) -> str:
    """Two digits, as exact as a forecast may sound."""
    digits = max(0, int(np.floor(np.log10(value))) - 1)
    return f"{int(round(value, -digits)):,}"
