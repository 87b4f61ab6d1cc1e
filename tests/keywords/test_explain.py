"""Reasons say what the numbers say, in words that fit them."""

import numpy as np
import pandas as pd
import pytest

from recsys.keywords.explain import explain, sentence


@pytest.mark.parametrize(
    ("searchers", "told"),
    [
        (1240, "1,240 buyers searched this last week"),
        (1, "1 buyer searched this last week"),
        (0, "Nobody searched this last week"),
    ],
)
def test_how_many_search(searchers: int, told: str) -> None:
    text = sentence("coat", searchers, (1, 1), 0.03, 0.1)
    assert told.lower() in text.lower()
    assert text[0].isupper() or text[0].isdigit()


@pytest.mark.parametrize(
    ("keyword", "covered", "told"),
    [
        ("red coat", (2, 2), "covers all its words"),
        ("red coat", (1, 2), "covers 1 of its 2 words"),
        ("red coat", (0, 2), "has none of its words"),
        ("赤いコート", (2, 4), "covers part of it"),
        ("coat", (1, 1), "covers its word"),
    ],
)
def test_which_words_the_item_has(keyword: str, covered: tuple[float, int], told: str) -> None:
    assert told in sentence(keyword, 5, covered, 0.03, 0.1)


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.031, "3 in 100 clicks"),
        (0.004, "4 in 1,000 clicks"),
        (0.0002, "2 in 10,000 clicks"),
        (0.0, "hardly led to sales"),
    ],
)
def test_how_often_the_search_led_to_a_sale(share: float, told: str) -> None:
    assert told in sentence("coat", 5, (1, 1), share, 0.1)


@pytest.mark.parametrize(
    ("weekly", "told"),
    [
        (12.4, "about 12 sales a week"),
        (1.1, "about 1 sale a week"),
        (0.5, "one sale in about 2 weeks"),
        (0.66, "one sale in about 2 weeks"),
        (0.004, "one sale in about 250 weeks"),
        (0.0001, "unlikely"),
    ],
)
def test_what_to_expect(weekly: float, told: str) -> None:
    assert told in sentence("coat", 5, (1, 1), 0.03, weekly)


def test_what_is_not_known_is_not_spoken_of() -> None:
    text = sentence("coat", 5, (np.nan, 1), np.nan, 0.5)
    assert text == "5 buyers searched this last week; expect one sale in about 2 weeks."


def test_each_row_has_the_reason_of_its_own_numbers() -> None:
    chosen = pd.DataFrame(
        {
            "item_id": ["i1", "i2"],
            "keyword": ["coat", "coat"],
            "searchers_7d": [7, 7],
            "expected_sales": [0.5, 2.0],
            "warning": [None, "own_item:i9"],
        },
        index=[5, 3],
    )
    scored = pd.DataFrame(
        {
            "item_id": ["i2", "i1"],
            "keyword": "coat",
            "covered_words": [0, 1],
            "category_conversion": [0.02, np.nan],
        }
    )
    assert explain(chosen, scored).to_dict() == {
        5: "7 buyers searched this last week; your item covers its word; expect one sale in about 2 weeks.",
        3: "7 buyers searched this last week; your item has none of its words; in its category 2 in 100 clicks "
        "after this search led to a sale; expect about 2 sales a week; your item i9 bids on it already, and what that "
        "sells is not counted.",
    }


def test_a_word_said_twice_is_one_word() -> None:
    chosen = pd.DataFrame(
        {
            "item_id": ["i1"],
            "keyword": ["tic tic coat"],
            "searchers_7d": [3],
            "expected_sales": [0.5],
            "warning": [None],
        }
    )
    scored = chosen[["item_id", "keyword"]].assign(covered_words=2, category_conversion=np.nan)
    assert "covers all its words" in explain(chosen, scored).item()
