"""Keywords by the words they share with the item."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.keywords import graph
from recsys.keywords.graph import GraphRetriever
from recsys.keywords.retriever import Phrases, pairs

NONE = pd.DataFrame()


def phrases(*rows: tuple[str, str, int], parents: dict[str, str] | None = None) -> Phrases:
    """(keyword, category, searchers)."""
    table = pd.DataFrame(rows, columns=["keyword", "category_id", "searchers_28d"]).assign(share=1.0)
    known = parents or {}
    leaves = pd.DataFrame({"category_id": list(known), "parent_category_id": list(known.values())})
    return Phrases.of(table, leaves)


def indexed(table: Phrases, enough: int = graph.ENOUGH) -> GraphRetriever:
    return GraphRetriever(enough=enough).fit(table, NONE, NONE)


def listing(*rows: tuple[str, str], parent: str = "p") -> pd.DataFrame:
    """(category, title)."""
    frame = pd.DataFrame(rows, columns=["category_id", "title"])
    return frame.assign(
        item_id=[f"i{n}" for n in range(len(rows))], parent_category_id=parent, brand=None, size=None
    )


def found(retriever: GraphRetriever, items: pd.DataFrame, k: int = 50) -> dict[str, list[str]]:
    table = pairs(retriever.phrases, items, retriever.find(items, k))
    return {item: list(rows["keyword"]) for item, rows in table.groupby("item_id")}


def test_phrases_go_by_the_words_they_share_and_then_by_searchers() -> None:
    retriever = indexed(
        phrases(
            ("red coat", "c1", 5),
            ("coat", "c1", 9),
            ("blue coat", "c1", 99),
            ("red wool coat", "c1", 1),
            ("red", "c1", 9),
            ("shoes", "c1", 999),
            ("red coat", "c2", 9),
        )
    )
    items = listing(("c1", "Coat, RED!"))
    places, scores = retriever.find(items, 6)
    assert found(retriever, items)["i0"] == ["red coat", "coat", "red", "red wool coat", "blue coat"]
    assert scores[0, :5] == pytest.approx([2, 1, 1, 1, 0.5])
    assert places[0, 5] == -1
    assert np.isneginf(scores[0, 5])


def test_ties_with_a_long_tail_keep_the_most_searched() -> None:
    many = [(f"w{n} coat", "c1", n) for n in range(100)]
    retriever = indexed(phrases(*many, ("coat", "c1", 0)))
    assert found(retriever, listing(("c1", "coat")), 3)["i0"] == ["coat", "w99 coat", "w98 coat"]


def test_brand_and_size_are_words_of_the_item_and_full_width_letters_are_plain_ones() -> None:
    retriever = indexed(phrases(("acme coat", "c1", 5), ("coat xl", "c1", 4)))
    items = listing(("c1", "ＣＯＡＴ")).assign(brand="Acme", size="XL")
    assert found(retriever, items)["i0"] == ["acme coat", "coat xl"]


def test_a_poor_leaf_is_filled_up_from_its_siblings() -> None:
    table = phrases(
        ("coat", "c1", 1),
        ("coat", "c2", 9),
        ("red coat", "c2", 9),
        ("red", "c3", 9),
        parents={"c1": "p", "c2": "p", "c3": "q"},
    )
    items = listing(("c1", "red coat"), ("new", "red coat"))
    assert found(indexed(table), items) == {
        "i0": ["coat", "red coat"],
        "i1": ["red coat", "coat"],
    }
    assert found(indexed(table, enough=1), items)["i0"] == ["coat"]


def test_an_item_without_words_or_category_finds_nothing() -> None:
    retriever = indexed(phrases(("coat", "c1", 1), parents={"c1": "p"}))
    items = listing(("c1", "?"), ("c9", "coat"), ("c1", "zzz"), parent="unknown")
    assert found(retriever, items) == {}
    assert found(retriever, items.iloc[:0]) == {}


def test_blocks_and_brute_force_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    made = [f"w{chr(97 + n // 5)}{chr(97 + n % 5)}" for n in range(30)]
    text = [" ".join(made[n] for n in rng.choice(30, rng.integers(1, 5), replace=False)) for _ in range(300)]
    rows = list(dict.fromkeys((t, f"c{rng.integers(3)}") for t in text))
    table = phrases(*((t, c, int(rng.integers(4))) for t, c in rows))
    items = listing(*((f"c{n % 3}", " ".join(rng.choice(made, 6))) for n in range(40)))
    monkeypatch.setattr(graph, "WORK", 50)
    retriever = indexed(table, enough=0)
    got = found(retriever, items, 7)
    words = [set(keyword.split()) for keyword in table.keywords]
    for row in range(len(items)):
        mine, here = set(items["title"][row].split()), items["category_id"][row]
        entries = [
            (-len(mine & words[k]) / (len(words[k] - mine) + 1), -searchers, table.keywords[k])
            for k, c, searchers in zip(table.keyword_of, table.category_of, table.searchers, strict=True)
            if table.categories[c] == here and mine & words[k]
        ]
        assert got[f"i{row}"] == [keyword for _, _, keyword in sorted(entries)[:7]]
