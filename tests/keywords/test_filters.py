from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recsys.errors import KeywordError
from recsys.keywords import codes
from recsys.keywords import filters as module
from recsys.keywords.filters import Policy, load_policy, parse_policy, reasons
from recsys.keywords.normalise import normalise
from recsys.settings import PROJECT_ROOT

POLICY = load_policy(PROJECT_ROOT / "include" / "keywords" / "policy.yaml")


def why(*texts: str | None, policy: Policy = POLICY) -> list[str | None]:
    raw = pa.array(texts, pa.string())
    return reasons(raw, normalise(raw), policy).tolist()


def test_the_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(codes).failed == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "empty"),
        ("   ", "empty"),
        ("!!! ★", "symbols"),
        ("x" * 61, "too_long"),
        ("a b c d e f g h i", "too_many_words"),
        ("https://example.invalid/x", "url"),
        ("ＷＷＷ．example", "url"),
        ("shop.com sale", "url"),
        ("call 090-1234-5678", "contact"),
        ("電話 ０９０１２３４５６７８", "contact"),
        ("someone@example", "contact"),
        ("dm @some_body", "contact"),
        ("LINE ID abc", "contact"),
        ("lineid教えて", "contact"),
        ("insta me", "contact"),
        ("lineで連絡", "contact"),
        ("Replica  bag", "policy:counterfeit"),
        ("knock-off watch", "policy:counterfeit"),
        ("ﾚﾌﾟﾘｶ バッグ", "policy:counterfeit"),
        ("銀行振込のみ", "policy:off_platform_payment"),
        ("cash only lens", "policy:off_platform_payment"),
        ("フォローお願いします", "policy:promotion"),
        ("Test!", "policy:junk"),
        ("「なし」", "policy:junk"),
    ],
)
def test_what_may_not_be_has_a_reason(text: str | None, reason: str) -> None:
    assert why(text) == [reason]


@pytest.mark.parametrize(
    "text",
    [
        "line dress",
        "iphone 0812",
        "4901234567890",
        "levis 501 1995",
        "pregnancy test",
        "replicant",
        "ps4 1000 2000",
        "コピー機",
        "フードなし コート",
        "妊娠 テスト 検査薬",
        "aaa 電池",
        "a-line mens coat",
        "fishing line metal",
        "online id card holder",
        "a-line idol dress",
    ],
)
def test_what_may_be_passes(text: str) -> None:
    assert why(text) == [None]


@pytest.mark.parametrize(
    "text",
    [
        "036000291452",
        "ＵＰＣ ０３６０００２９１４５２",
        "lego 075678164125, boxed",
        "ean 0036000291452",
        "isbn 0306406152",
        "ISBN-10: 0-306-40615-2",
        "isbn0306406152",
        "080442957X",
        "978-0306406157",
        "978 0306406157 physics",
        "978-4-06-519981-7",
        "JANコード 0045496590420",
    ],
)
def test_a_product_code_with_a_right_check_digit_is_no_telephone_number(text: str) -> None:
    assert why(text) == [None]


@pytest.mark.parametrize(
    "text",
    [
        "036000291453",  # a wrong check digit
        "isbn 0306406153",
        "0306406152",  # ten digits: one telephone number in eleven is a right ISBN
        "0312345679",
        "0036000291452",  # 00 calls abroad
        "+1 036000291452",
        "+036000291452",
        "0360-0029-1452",
        "(036)000291452",
        "090 036000291452",
        "036000291452 090",
        "upc 036000291452 call 0901234567",
        "978 0612345678",
        "036000291452@example",
    ],
)
def test_a_number_that_only_resembles_a_product_code_stays_contact_data(text: str) -> None:
    assert why(text) == ["contact"]


@pytest.mark.parametrize("length", [10, 11, 12, 13])
def test_telephone_numbers_pass_for_codes_by_chance_alone(length: int) -> None:
    """Of numbers in one run: none but of 12 and 13 digits, and of those one in ten."""
    rng = np.random.default_rng(0)
    drawn = ["0" + "".join(map(str, rng.integers(0, 10, length - 1))) for _ in range(2_000)]
    passed = np.mean([reason is None for reason in why(*drawn)])
    assert passed == (pytest.approx(0.1, abs=0.03) if length in (12, 13) else 0)


def test_the_first_reason_is_told() -> None:
    assert why("replica https://example.invalid " + "x" * 60) == ["too_long"]
    assert why("replica www.x") == ["url"]
    rules = {"first": {"words": ["blue"]}, "second": {"patterns": ["coat"]}, "third": {"words": ["coat"]}}
    policy = parse_policy({"policy": rules}, "p.yaml")
    assert policy.rules == ("policy:first", "policy:second", "policy:third")
    assert why("blue coat", "red coat", "hat", policy=policy) == ["policy:first", "policy:second", None]


def test_a_policy_of_its_own() -> None:
    policy = parse_policy({"most_words": 2, "policy": {"rivals": {"words": ["Other-Market"]}}}, "p.yaml")
    assert why("other market", "others market", "one two three", policy=policy) == [
        "policy:rivals",
        None,
        "too_many_words",
    ]
    assert parse_policy(None, "p.yaml") == Policy()


def test_a_word_is_refused_in_the_plural_too_and_so_is_its_exception() -> None:
    policy = parse_policy(
        {"policy": {"p": {"words": ["replica", "aaa copy", "vapes"], "except": ["prop replica"]}}}, "p"
    )
    raw = pa.array(
        ["replicas", "rolex replicas", "aaa copies", "vape", "prop replicas", "replicate", "copies"]
    )
    assert reasons(raw, normalise(raw), policy).tolist() == [*["policy:p"] * 4, None, None, None]


def test_a_word_is_fine_inside_a_phrase_that_is_excepted() -> None:
    rules = {
        "fakes": {"words": ["replica"], "patterns": ["レプリカ"], "except": ["Prop-Replica", "レプリカ帽"]}
    }
    policy = parse_policy({"policy": rules | {"hats": {"patterns": ["帽"]}}}, "p.yaml")
    told = {
        "film prop replica": None,
        "prop  replica, prop-replica prop replica": None,
        "PROP REPLICA!": None,
        "replica": "policy:fakes",
        "prop replica of a replica": "policy:fakes",
        "prop replicas replica": "policy:fakes",
        "my prop replica replica": "policy:fakes",
        "replica prop": "policy:fakes",
        "prop red replica": "policy:fakes",
        "レプリカ 靴": "policy:fakes",
        "赤いレプリカ帽子": "policy:hats",
        "レプリカ帽とレプリカ": "policy:fakes",
    }
    assert dict(zip(told, why(*told, policy=policy), strict=True)) == told


@pytest.mark.parametrize(
    "text", ["Ford Escort 1:18", "nude-pink lipstick", "Maison Margiela “Replica”", "レプリカユニフォーム L"]
)
def test_the_policy_of_the_project_knows_words_with_two_meanings(text: str) -> None:
    assert why(text) == [None]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([], "expected a mapping"),
        ({"most_word": 3}, "did you mean most_words"),
        ({"most_words": "many"}, "most_words"),
        ({"url": "http"}, "write a list of texts"),
        ({"url": ["(open"]}, "RE2 does not read"),
        ({"policy": ["x"]}, "write a mapping"),
        ({"policy": {"fakes": ["replica"]}}, "give it words or patterns"),
        ({"policy": {"fakes": {"word": ["x"], "words": ["y"]}}}, "did you mean words"),
        ({"policy": {"sizes": {"words": [42]}}}, "in quotes"),
        ({"policy": {"fakes": {"except": ["prop replica"]}}}, "give it words or patterns"),
        ({"policy": {"fakes": {"patterns": ["(x"], "words": ["x"], "except": ["y x"]}}}, "RE2 does not read"),
        ({"policy": {"fakes": {"words": ["x"], "excepts": ["y x"]}}}, "did you mean except"),
        ({"policy": {"fakes": {"words": ["x"], "except": "y x"}}}, "fakes.except is 'y x'; write a list"),
        ({"policy": {"fakes": {"words": ["x"], "except": ["y"]}}}, "fakes.except has 'y', in which the rule"),
        ({"policy": {"fakes": {"words": ["x"], "except": ["X!"]}}}, "has 'X!', which is one of its words"),
    ],
)
def test_a_wrong_policy_is_told_by_field_and_value(content: object, told: str) -> None:
    with pytest.raises(KeywordError, match=told):
        parse_policy(content, "p.yaml")


def test_a_policy_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeywordError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(KeywordError, match="cannot be read"):
        load_policy(tmp_path / "bad.yaml")
