from __future__ import annotations

import numpy as np
import pytest

from recsys.keywords.spelling import _letters, corrections, edit_distance, neighbourhood


def plain_distance(a: str, b: str) -> int:
    """The textbook programme, one pair at a time."""
    d = {(i, j): i + j for i in range(len(a) + 1) for j in range(len(b) + 1) if not i * j}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return d[len(a), len(b)]


def some_words(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    base = ["".join(rng.choice(list("abc"), rng.integers(0, 11))) for _ in range(n // 2)]
    changed = []
    for word in base:
        letters = list(word)
        for _ in range(rng.integers(0, 4)):
            at = int(rng.integers(0, len(letters) + 1))
            letters[at : at + int(rng.integers(0, 2))] = list(rng.choice(list("abcd"), rng.integers(0, 2)))
        changed.append("".join(letters))
    return np.array(base + changed, dtype=object)


def test_the_distance_is_that_of_the_textbook() -> None:
    words = some_words(600)
    half = len(words) // 2
    found = edit_distance(_letters(words[:half]), _letters(words[half:]))
    expected = [
        min(3, plain_distance(one, other)) for one, other in zip(words[:half], words[half:], strict=True)
    ]
    assert found.tolist() == expected
    assert len(set(expected)) == 4


def test_words_at_distance_one_share_a_deletion_and_no_hash_lies() -> None:
    words = np.array(["shirt", "skirt", "shrit", "shirts", "abcdefghi", "abXdeYghi"], dtype=object)
    key, number = neighbourhood(words, 9)
    sets = [set(key[number == place].tolist()) for place in range(len(words))]
    assert sets[0] & sets[1] and sets[0] & sets[2] and sets[0] & sets[3] and sets[4] & sets[5]
    assert not sets[0] & sets[4]
    assert len(sets[4]) == 1 + 9 + 36


def found(words: dict[str, float], fixed: tuple[str, ...] = ()) -> set[tuple[str, str]]:
    names = np.array(list(words), dtype=object)
    known = np.array([name in fixed for name in names], dtype=bool)
    pairs = corrections(names, np.array(list(words.values()), float), fixed=known)
    return {
        (names[a], names[b]) for a, b in zip(pairs.word[pairs.sure], pairs.target[pairs.sure], strict=True)
    }


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("jakcet", "jacket"),
        ("jaket", "jacket"),
        ("jackett", "jacket"),
        ("jscket", "jacket"),
        ("caot", "coat"),
        ("headphnoez", "headphones"),
        ("クロノグラム", "クロノグラフ"),
        ("タブレト", "タブレット"),
        ("スニニーカ", "スニーカ"),
    ],
)
def test_a_rare_word_close_to_a_common_one_is_a_slip(typed: str, right: str) -> None:
    assert found({typed: 1, right: 100}) == {(typed, right)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("boat", "coat"),
        ("bag", "bga"),
        ("xviii", "xxiii"),
        ("ps4x", "ps5x"),
        ("mens", "womens"),
        ("コート", "ノート"),
        ("パンプス", "ランプス"),
        ("革靴", "皮靴"),
        ("jacket", "basket"),
    ],
)
def test_words_that_are_something_else_are_left_alone(one: str, other: str) -> None:
    assert found({one: 1, other: 100}) == set()


def test_a_word_in_use_or_known_is_no_slip() -> None:
    assert found({"skirt": 30, "shirt": 100}) == set()
    assert found({"chain": 180, "chair": 1000}) == set()
    assert found({"chian": 90, "chain": 1000}) == {("chian", "chain")}
    assert found({"skirt": 1, "shirt": 100}, fixed=("skirt",)) == set()
    assert found({"skirtt": 1, "skirt": 2, "shirt": 2}, fixed=("skirt",)) == set()


def test_the_best_supported_words_are_looked_at_first() -> None:
    words = {f"jacke{letter}": 10.0 + place for place, letter in enumerate("abcdef")} | {
        "jacket": 99.0,
        "jackey": 1.0,
    }
    assert ("jackey", "jacket") in found(words)


def test_no_words_no_slips() -> None:
    assert found({}) == set()
    assert found({"a": 1}) == set()
