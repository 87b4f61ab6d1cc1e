from __future__ import annotations

import doctest

import pytest

from recsys.keywords import normalise as module
from recsys.keywords.normalise import fold, normalise, split


def test_the_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("  Ｒｅｄ　DRESS!! ", "red dress"),
        ("ﾜﾝﾋﾟｰｽ", "ワンピース"),
        ("ｶﾞﾗｽ ﾊﾞｯｸﾞ", "ガラス バッグ"),
        ("スニ‐カ−", "スニーカー"),
        ("ｽﾆ-ｶｰ", "スニーカー"),
        ("デニム-ジャケット", "デニム ジャケット"),
        ("Levi´s", "levis"),
        ("women’s 3.5MM jack", "womens 3.5mm jack"),
        ("H&M & co.", "h&m co"),
        ("v1.2.3", "v1.2.3"),
        ("★☆★", ""),
        ("😀 bag", "bag"),
        ("İSTANBUL", "istanbul"),
    ],
)
def test_one_written_form(typed: str, written: str) -> None:
    assert normalise([typed]).to_pylist()[0].replace("i̇", "i") == written


def test_private_signs_that_were_typed_are_no_points() -> None:
    assert normalise(["red\ue001dress", "3\ue0005mm", "\ue000"]).to_pylist() == ["red dress", "3 5mm", ""]


def test_writing_twice_changes_nothing() -> None:
    once = normalise(["Ｒｅｄ　DRESS!! 3.5", "H&M ﾜﾝﾋﾟｰｽ", "a-b_c", "é ß ½", None])
    assert normalise(once).equals(once)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dress", "dresses"),
        ("watch", "watches"),
        ("baby", "babies"),
        ("knife", "knives"),
        ("lens", "lenses"),
        ("women", "womens"),
        ("café", "cafe"),
        ("straße", "strasse"),
        ("スニーカー", "スニーカ"),
        ("わんぴーす", "ワンピース"),
        ("ヴァイオリン", "バイオリン"),
        ("ソファ", "ソフア"),
        ("grey", "gray"),
        ("jewellery", "jewelry"),
        ("pyjamas", "pajamas"),
        ("dressss", "dress"),
        ("cooool", "cool"),
    ],
)
def test_spellings_of_one_word_are_compared_alike(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("glasses", "glass"),
        ("shorts", "short"),
        ("xxxl", "xxl"),
        ("bus", "bu"),
        ("ガラス", "カラス"),
        ("ビール", "ビル"),
        ("が", "か"),
        ("men", "women"),
    ],
)
def test_other_words_stay_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_numbers_and_scripts_are_words_of_their_own() -> None:
    assert split(normalise(["ps5 128GB", "nikeスニーカー新品"])).to_pylist() == [
        ["ps", "5", "128", "gb"],
        ["nike", "スニーカー", "新品"],
    ]
