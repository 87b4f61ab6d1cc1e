"""What goes together is learned from clicks: across languages, and against what merely shares a category."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys.keywords.affinity import Affinity
from recsys.keywords.association import Association
from recsys.keywords.catalogue import COLUMNS
from recsys.keywords.pairs import Pairs
from recsys.keywords.text import Bags

ITEMS = pd.DataFrame(
    {
        "item_id": [f"i{number}" for number in range(8)],
        "category_id": ["audio"] * 4 + ["kitchen"] * 4,
        "title": ["red headphones", "blue headphones", "red speaker", "blue speaker"]
        + ["steel pan", "iron pan"] * 2,
        "brand": None,
        "size": None,
    }
)
ADS = pd.DataFrame(
    [
        ("ヘッドホン", "i0", 9),
        ("ヘッドホン", "i1", 8),
        ("speaker", "i2", 9),
        ("speaker", "i3", 8),
        ("pan", "i4", 9),
    ],
    columns=["keyword", "item_id", "clicks"],
).assign(purchases=0)
WANTED = pd.DataFrame({"keyword": ["ヘッドホン"] * 4 + ["lamp"], "item_id": ["i0", "i3", "i4", "i1", "i0"]})


def told(association: Association, pairs: pd.DataFrame = WANTED) -> dict[str, np.ndarray]:
    return association.of(Pairs.of(pairs, ITEMS, pd.DataFrame(columns=list(COLUMNS))))


def test_a_word_of_another_language_is_borne_out_by_the_thing_and_not_by_its_neighbour() -> None:
    found = told(Association.learn(ITEMS, ADS))
    assert found["borne"][0] > 0.5 and found["borne"][3] > 0.5  # headphones of either colour
    assert found["borne"][1] < -0.5  # a speaker, of the same category
    assert found["weakest"][1] <= found["borne"][1] / 2  # each pair of characters is a word
    assert np.isnan(found["borne"][4])  # nobody clicked on an ad for a lamp


def test_by_hand() -> None:
    lift = Association.learn(ITEMS, ADS)
    row, column = (
        known.get_loc(Bags.of(pd.Series([word])).words[0])
        for known, word in ((lift.asked, "speaker"), (lift.words, "headphones"))
    )
    # 17 clicks for the word; half of the clicks of its category (17 of 34) went to headphones: 8.5 expected, none found
    assert lift.lift[row, column] == np.float32(np.log(1) - np.log1p(8.5))


def test_items_that_are_gone_and_ads_without_clicks_teach_nothing() -> None:
    more = pd.concat(
        [ADS, pd.DataFrame({"keyword": ["lamp", "lamp"], "item_id": ["i9", "i0"], "clicks": [5, 0]})]
    )
    plain, other = Association.learn(ITEMS, ADS), Association.learn(ITEMS, more)
    np.testing.assert_array_equal(told(plain)["borne"], told(other)["borne"])
    none = Association.learn(ITEMS, ADS.iloc[:0])
    assert np.isnan(told(none)["borne"]).all()
    assert np.isnan(told(Association.from_arrays(none.arrays()))["borne"]).all()


def test_affinity_goes_by_what_buyers_of_the_phrase_turned_to() -> None:
    engaged = ADS.assign(
        keyword=["music", "music", "cook", "cook", "cook"], item_id=["i0", "i2", "i4", "i5", "i6"]
    )
    pairs = pd.DataFrame({"keyword": ["music", "cook", "never"], "item_id": ["i1", "i1", "i1"]})
    made = Pairs.of(pairs, ITEMS, pd.DataFrame(columns=list(COLUMNS)))
    learned = Affinity.learn(ITEMS, engaged)
    for affinity in (learned, Affinity.from_arrays(learned.arrays())):
        music, cook, never = affinity.of(ITEMS, made.keywords.index, made)
        assert music > cook + 0.3
        assert np.isnan(never)
    nothing = Affinity.learn(ITEMS, engaged.iloc[:0])
    assert np.isnan(nothing.of(ITEMS, made.keywords.index, made)).all()
