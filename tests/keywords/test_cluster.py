from __future__ import annotations

import doctest

import numpy as np
import pandas as pd
import pytest

from bench.planted_keywords import planted
from recsys.errors import KeywordError
from recsys.keywords import cluster as module
from recsys.keywords.agreement import agreement
from recsys.keywords.cluster import clean, update
from recsys.keywords.filters import Policy, parse_policy

POLICY = parse_policy({"url": ["http"]}, "policy.yaml")


def raw(texts: dict[str, int]) -> pd.DataFrame:
    return pd.DataFrame({"raw": list(texts), "searchers": list(texts.values())})


def keywords(texts: dict[str, int], previous: pd.DataFrame | None = None) -> dict[str, str]:
    table = clean(raw(texts), POLICY, previous)
    return dict(zip(table["raw"], table["keyword"], strict=True))


def test_forms_of_one_phrase_share_the_text_that_most_people_search() -> None:
    found = keywords({"Red Dress": 5, "dress red!": 1, "reddress": 0, "ＲＥＤ dresses": 0, "red": 9})
    assert found == dict.fromkeys(("Red Dress", "dress red!", "reddress", "ＲＥＤ dresses"), "red dress") | {
        "red": "red"
    }


def test_numbers_are_never_joined_or_split() -> None:
    found = keywords({"iphone 12": 3, "iphone12": 9, "iphone 1 2": 1, "iphone 13": 4})
    assert found["iphone 12"] == found["iphone12"] == "iphone12"
    assert len(set(found.values())) == 3


def test_numbers_alone_are_not_one_phrase() -> None:
    assert keywords({"575": 1, "1051": 2, "0.5": 3, "12 13": 1}) == {
        text: text for text in ("0.5", "1051", "12 13", "575")
    }


def test_japanese_words_with_and_without_spaces() -> None:
    assert set(keywords({"赤いコート": 3, "コート 赤い": 2, "赤い ｺｰﾄ": 1}).values()) == {"赤いコート"}
    assert set(keywords({"コーヒーミル": 3, "コーヒー ミル": 2, "コーヒ ミル": 1}).values()) == {
        "コーヒーミル"
    }
    assert set(keywords({"本革ソファー": 3, "本革 ソファ": 2}).values()) == {"本革ソファー"}


def test_a_refused_text_has_a_reason_and_no_keyword() -> None:
    table = clean(raw({"http://x": 3, "coat": 1}), POLICY).set_index("raw")
    assert pd.isna(table.loc["http://x", "keyword"]) and table.loc["http://x", "reason"] == "url"
    assert table.loc["coat", "keyword"] == "coat" and pd.isna(table.loc["coat", "reason"])


def test_rows_of_one_text_are_added_up() -> None:
    table = clean(pd.DataFrame({"raw": ["a b", "a b", "b a"], "searchers": [2, 3, 4]}), Policy())
    assert table.to_dict("list")["searchers"] == [5, 4] and set(table["keyword"]) == {"a b"}


def test_nothing_in_nothing_out() -> None:
    table = clean(pd.DataFrame({"raw": pd.Series(dtype=str), "searchers": pd.Series(dtype="int64")}), POLICY)
    assert table.columns.tolist() == ["raw", "keyword", "reason", "searchers"] and table.empty
    assert clean(raw({"!!": 1}), POLICY)["reason"].tolist() == ["symbols"]


def test_wrong_input_is_told() -> None:
    with pytest.raises(KeywordError, match="no column searchers"):
        clean(pd.DataFrame({"raw": ["x"]}), POLICY)
    with pytest.raises(KeywordError, match="'x' has -1"):
        clean(raw({"x": -1}), POLICY)


def test_the_canonical_text_stays_until_it_is_clearly_overtaken() -> None:
    before = clean(raw({"red dress": 20, "dress red": 15}), POLICY)
    assert set(keywords({"red dress": 20, "dress red": 25}, before).values()) == {"red dress"}
    assert set(keywords({"red dress": 20, "dress red": 45}, before).values()) == {"dress red"}
    assert set(keywords({"red dress": 20, "dress red": 25}).values()) == {"dress red"}


def test_a_misspelling_joins_the_phrase_it_becomes_when_corrected() -> None:
    texts = {
        "denim jacket": 90,
        "denim jakcet": 3,
        "jaket denim": 1,
        "deinm jakcet": 0,
        "jacket": 50,
        "denmi": 0,
    }
    found = keywords(texts)
    assert {found[text] for text in ("denim jakcet", "jaket denim", "deinm jakcet")} == {"denim jacket"}
    assert found["denmi"] == "denmi"


def test_what_differs_stays_apart() -> None:
    texts = {
        "blue shirt": 90,
        "blue skirt": 40,
        "coat size m": 80,
        "coat size l": 1,
        "iphone 12": 50,
        "iphone 13": 1,
    }
    assert keywords(texts) == {text: text for text in texts}


def test_a_known_word_is_never_corrected() -> None:
    texts = raw({"norvek bag": 900, "norvik bag": 1})
    assert clean(texts, POLICY)["keyword"].nunique() == 1
    assert clean(texts, POLICY, known=["Norvik"])["keyword"].nunique() == 2


def test_what_was_merged_stays_merged_until_its_reason_has_clearly_gone() -> None:
    before = clean(raw({"norvek bag": 90, "norvik bag": 1}), POLICY)
    assert before["keyword"].nunique() == 1
    assert clean(raw({"norvek bag": 90, "norvik bag": 30}), POLICY)["keyword"].nunique() == 2
    assert clean(raw({"norvek bag": 90, "norvik bag": 30}), POLICY, before)["keyword"].nunique() == 1
    assert clean(raw({"norvek bag": 90, "norvik bag": 60}), POLICY, before)["keyword"].nunique() == 2


@pytest.mark.parametrize("variant", ["bag norvek", "bag norvik", "norvek bags", "a"])
def test_a_new_variant_does_not_part_what_was_merged(variant: str) -> None:
    before = clean(raw({"norvek bag": 90, "norvik bag": 1}), POLICY)
    found = keywords({"norvek bag": 90, "norvik bag": 30, variant: 1}, before)
    assert found["norvik bag"] == found["norvek bag"] == "norvek bag"


def test_the_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.fixture(scope="module")
def typed() -> pd.DataFrame:
    """Variants of 300 phrases, each with the day on which it is typed first."""
    table = planted(300, 6_000, seed=3)
    return table.assign(day=np.random.default_rng(0).integers(0, 5, len(table)))


def of_days(typed: pd.DataFrame) -> pd.DataFrame:
    variants = clean(typed[typed["day"] == 0], POLICY)
    for day in range(1, 5):
        variants = update(variants, typed[typed["day"] == day], POLICY, remembered=1.0)
    return variants


def test_planted_variants_come_together_at_once_and_day_by_day(typed: pd.DataFrame) -> None:
    for variants in (clean(typed, POLICY), of_days(typed)):
        table = typed.merge(variants, on="raw", validate="one_to_one")
        result = agreement(table["keyword"].tolist(), table["truth"].tolist())
        assert len(table) == len(typed) and result.precision > 0.98 and result.recall > 0.9


def test_the_same_bytes_whatever_the_order_of_rows(typed: pd.DataFrame) -> None:
    shuffled = typed.sample(frac=1.0, random_state=1)
    pd.testing.assert_frame_equal(of_days(typed), of_days(shuffled))
    pd.testing.assert_frame_equal(clean(typed, POLICY), clean(shuffled, POLICY))


def test_a_day_without_news_changes_nothing(typed: pd.DataFrame) -> None:
    variants = clean(typed, POLICY)
    nothing = typed.head(0)
    pd.testing.assert_frame_equal(update(variants, nothing, POLICY, remembered=1.0), variants)


def test_todays_policy_holds_for_old_texts() -> None:
    before = clean(raw({"old coat": 3, "coat": 9}), POLICY)
    policy = parse_policy({"policy": {"age": {"words": ["old"]}}}, "p.yaml")
    assert update(before, raw({}), policy)["reason"].tolist()[1] == "policy:age"


def test_old_texts_stay_with_what_is_remembered_of_them() -> None:
    before = clean(raw({"red dress": 7, "coat": 3}), POLICY)
    table = update(before, raw({"coat": 2}), POLICY, remembered=0.5).set_index("raw")
    assert table["searchers"].to_dict() == {"coat": 3, "red dress": 3}
