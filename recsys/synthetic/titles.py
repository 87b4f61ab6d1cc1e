"""Titles and descriptions as people write them: some in Japanese, a few with quotes, newlines or emoji."""

from __future__ import annotations

import numpy as np

from recsys.synthetic.draws import Array
from recsys.synthetic.state import Columns
from recsys.synthetic.vocabulary import (
    ATTRIBUTES,
    BRAND_NAMES,
    CONDITION_WORDS,
    EMOJI,
    LEAVES,
    SIZED_PARENTS,
    SIZES,
)


def write_titles(items: Columns) -> Array:
    """One title per listing, from its brand, noun, attributes, size and condition; ``wording`` picks the style."""
    columns = ("leaf", "brand", "noun", "first", "second", "size", "condition", "wording")
    return np.array(
        [_title(row) for row in zip(*(items[c].tolist() for c in columns), strict=True)], dtype=object
    )


def write_descriptions(items: Columns) -> Array:
    """A sentence or two per listing; one in eight has none."""
    columns = ("first", "second", "condition", "wording")
    rows = zip(*(items[c].tolist() for c in columns), strict=True)
    return np.array([_description(*row) for row in rows], dtype=object)


def _title(row: tuple[int, ...]) -> str:
    leaf, brand, noun, first, second, size, condition, wording = row
    local = int(wording % 5 == 0)
    category = LEAVES[leaf]
    nouns = category.local_nouns if local else category.nouns
    words = [BRAND_NAMES[brand]] if brand >= 0 else []
    words += [ATTRIBUTES[first][local]]
    if second != first and wording % 3:
        words += [ATTRIBUTES[second][local]]
    words += [nouns[noun % len(nouns)]]
    if category.parent in SIZED_PARENTS:
        words += [f"サイズ{SIZES[size]}" if local else f"size {SIZES[size]}"]
    if wording % 4 == 1 or condition == 0:
        words += [CONDITION_WORDS[condition][local]]
    text = " ".join(words)
    if wording % 50 == 7:
        text = f'"{text}" - you\'ll love it'
    if wording % 23 == 11:
        text = f"{EMOJI[wording % len(EMOJI)]} {text} {EMOJI[wording // 7 % len(EMOJI)]}"
    return text


def _description(first: int, second: int, condition: int, wording: int) -> str | None:
    if wording % 8 == 3:
        return None
    if wording % 5 == 0:
        return f"{CONDITION_WORDS[condition][1]}です。{ATTRIBUTES[first][1]}、{ATTRIBUTES[second][1]}。\n即購入OK"
    ending = '\nNo returns, no "lowest price?".' if wording % 11 == 2 else ""
    return f"{CONDITION_WORDS[condition][0].capitalize()}, {ATTRIBUTES[first][0]} and {ATTRIBUTES[second][0]}.{ending}"
