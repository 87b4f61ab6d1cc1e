"""A small shelf that is searched in two languages."""

from __future__ import annotations

import pandas as pd

NOUNS = {"coat": "コート", "dress": "ワンピース", "boots": "ブーツ"}
COLOURS = {"red": "赤", "black": "黒", "green": "緑", "white": "白"}


def world() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """A catalogue in two languages, English titles, and what searches in either led to."""
    catalogue, engaged, items = [], [], []
    for noun, local_noun in NOUNS.items():
        for colour, local in COLOURS.items():
            catalogue += [(f"{colour} {noun}", "c1", 9, 1.0), (f"{local} {local_noun}", "c1", 9, 1.0)]
            for copy in range(6):
                item = f"{colour}-{noun}-{copy}"
                items.append((item, "c1", "p", f"{colour} {noun} number {copy}"))
                engaged += [(f"{colour} {noun}", item, 1, 0), (f"{local} {local_noun}", item, 1, 0)]
    return (
        pd.DataFrame(catalogue, columns=["keyword", "category_id", "searchers_28d", "share"]),
        pd.DataFrame(engaged, columns=["keyword", "item_id", "clicks", "purchases"]),
        pd.DataFrame(items, columns=["item_id", "category_id", "parent_category_id", "title"]).assign(
            condition="good", price=10.0
        ),
    )


def listing(title: str | None, leaf: str = "c1", parent: str = "p") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": ["new"],
            "category_id": [leaf],
            "parent_category_id": [parent],
            "title": [title],
            "condition": ["good"],
            "price": [10.0],
        }
    )
