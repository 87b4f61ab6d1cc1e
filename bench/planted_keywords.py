"""Keywords as people type them, with what they meant: phrases of words that exist nowhere, and a noisy hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys.synthetic.vocabulary import ATTRIBUTES, LEAVES

KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
ONSETS = (*"bcdfghjklmnprstvwz", "br", "cl", "dr", "fl", "gr", "kl", "pr", "st", "tr")
SYLLABLES = [onset + vowel for onset in ONSETS for vowel in "aeiou"]
ENDS = ["", "n", "r", "l", "t", "k", "nd", "x", "m"]
SIGNS = ("{}!", "#{}", "'{}'", "{}.", "【{}】", "{}♪", "- {}")
SIZES = ["s", "m", "l", "xl", "xxl", "xxxl"]
DRAWS_A_PHRASE = 8
"""Fewest times a phrase is typed."""
NOISE = {
    "case": 0.3,
    "punctuation": 0.12,
    "spaces": 0.08,
    "width": 0.05,
    "plural": 0.12,
    "order": 0.1,
    "hyphen": 0.06,
    "joined": 0.05,
    "one typo": 0.25,
    "two typos": 0.04,
    "half-width kana": 0.2,
    "hiragana": 0.08,
    "prolonged": 0.08,
}
"""How often each befalls what is typed, each by itself: assumptions."""
_CHANCES = np.array(list(NOISE.values()))
CLEAN = 0.3
"""How often nothing does."""
SELLERS = 0.2
"""How many are typed by sellers, and so have no searchers."""


def planted(phrases: int, typed: int, seed: int) -> pd.DataFrame:
    """Type ``phrases`` phrases ``typed`` times in all.

    Returns:
        One row per distinct text: raw, searchers, truth (number of the phrase), noise (what befell it, "+" between).
        A text that several phrases became is of the one it was typed for most often.
    """
    rng = np.random.default_rng(seed)
    meant = _phrases(phrases, rng)
    share = 1 / np.arange(1, phrases + 1) ** 0.5
    times = DRAWS_A_PHRASE + rng.multinomial(max(0, typed - DRAWS_A_PHRASE * phrases), share / share.sum())
    rows = []
    for number, (words, count) in enumerate(zip(meant, times, strict=True)):
        for _ in range(count):
            text, noise = _typed(words, rng)
            rows.append((text, number, noise))
    table = pd.DataFrame(rows, columns=["raw", "truth", "noise"])
    table["searchers"] = (rng.random(len(table)) >= SELLERS).astype(np.int64)
    by_truth = table.groupby(["raw", "truth"], sort=False).agg(
        noise=("noise", "first"), searchers=("searchers", "sum"), times=("searchers", "size")
    )
    most = by_truth.sort_values("times", ascending=False, kind="stable").reset_index()
    total = most.groupby("raw", sort=False)["searchers"].sum()
    kept = most.drop_duplicates("raw").set_index("raw")
    return kept.assign(searchers=total).drop(columns="times").reset_index()


def _words(count: int, rng: np.random.Generator, syllables: tuple[int, int]) -> list[str]:
    """Words that end in no s; one in twenty differs from another by one letter, like two brands may."""
    found: dict[str, None] = {}
    while len(found) < count:
        parts = rng.integers(syllables[0], syllables[1] + 1)
        word = "".join(rng.choice(SYLLABLES, parts)) + str(rng.choice(ENDS))
        found[word] = None
        if rng.random() < 0.05 and len(word) > 4:
            at = int(rng.integers(1, len(word)))
            found[word[:at] + str(rng.choice(list("bdfgklmnprtvz"))) + word[at + 1 :]] = None
    return list(found)[:count]


def _phrases(count: int, rng: np.random.Generator) -> list[list[str]]:
    """Distinct bags of words: a noun with a brand, attributes, a size or a model number, in two languages."""
    nouns = [*{noun for leaf in LEAVES for noun in leaf.nouns}, *_words(600, rng, (2, 3))]
    local = sorted({noun for leaf in LEAVES for noun in leaf.local_nouns})
    brands, kinds = _words(900, rng, (2, 3)), [*(one for one, _ in ATTRIBUTES), *_words(300, rng, (2, 3))]
    local_kinds = sorted({other for _, other in ATTRIBUTES})
    nouns.sort()
    found: dict[frozenset[str], list[str]] = {}
    while len(found) < count:
        japanese = rng.random() < 0.2
        words = [str(rng.choice(local if japanese else nouns))]
        if rng.random() < 0.6:
            words.insert(0, str(rng.choice(local_kinds if japanese else kinds)))
        if rng.random() < 0.6:
            words.insert(0, str(rng.choice(brands)))
        if rng.random() < 0.15:
            words.append(f"{rng.choice(SIZES)}")
        if rng.random() < 0.15:
            words.append(str(rng.integers(1, 40)))
        if rng.random() < 0.05 and not japanese:
            words += [str(rng.choice(kinds)), str(rng.choice(nouns))]
        words = [part.lower() for word in words for part in word.replace("-", " ").split()]
        found.setdefault(frozenset(words), list(dict.fromkeys(words)))
    return list(found.values())


def _typed(words: list[str], rng: np.random.Generator) -> tuple[str, str]:
    """Type a phrase once; tell what befell it."""
    if rng.random() < CLEAN:
        return " ".join(words), "clean"
    happened = dict(zip(NOISE, (rng.random(len(NOISE)) < _CHANCES).tolist(), strict=True))
    words, tags = list(words), []
    typos = 2 * happened["two typos"] or int(happened["one typo"])
    changes = [("plural", _plural), ("order", _shuffled), ("hiragana", _hiragana), ("prolonged", _prolonged)]
    for name, change in changes:
        if happened[name]:
            changed = change(words, rng)
            tags += [name] if changed != words else []
            words = changed
    for _ in range(typos):
        changed = _slip(words, rng)
        tags += ["typo"] if changed != words else []
        words = changed
    text = " ".join(words)
    for name, form in (
        ("hyphen", text.replace(" ", "-")),
        ("joined", _joined(text, rng) if happened["joined"] else text),
    ):
        if happened[name] and form != text and " " in text:
            text = form
            tags.append(name)
    return _dressed(text, happened, rng), "+".join(tags) or "form"


def _dressed(text: str, happened: dict[str, bool], rng: np.random.Generator) -> str:
    """What changes no letter: case, width, punctuation and spaces."""
    if happened["half-width kana"]:
        text = text.translate(_HALF)
    if happened["case"]:
        text = text.upper() if rng.random() < 0.4 else text.title()
    if happened["punctuation"]:
        text = SIGNS[int(rng.integers(len(SIGNS)))].format(text)
    if happened["spaces"]:
        text = "  " + text.replace(" ", "  ")
    if happened["width"]:
        text = "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text)
    return text


def _plural(words: list[str], rng: np.random.Generator) -> list[str]:
    at = max((place for place, word in enumerate(words) if _is_latin(word) and len(word) > 3), default=-1)
    if at < 0 or words[at].endswith("s"):
        return words
    ending = "es" if words[at].endswith(("x", "sh", "ch")) else "s"
    return [*words[:at], words[at] + ending, *words[at + 1 :]]


def _is_latin(word: str) -> bool:
    """Whether letters can be changed without naming another size or number."""
    return word.isascii() and word.isalpha() and word not in SIZES


def _shuffled(words: list[str], rng: np.random.Generator) -> list[str]:
    return [words[place] for place in rng.permutation(len(words))]


def _hiragana(words: list[str], rng: np.random.Generator) -> list[str]:
    return ["".join(chr(ord(s) - 0x60) if "ァ" <= s <= "ヶ" else s for s in word) for word in words]


def _prolonged(words: list[str], rng: np.random.Generator) -> list[str]:
    return [word[:-1] if word.endswith("ー") and len(word) > 3 else word for word in words]


def _joined(text: str, rng: np.random.Generator) -> str:
    spaces = [place for place, sign in enumerate(text) if sign == " "]
    if not spaces:
        return text
    at = int(rng.choice(spaces))
    if text[at - 1].isdigit() and text[at + 1].isdigit():
        return text
    return text[:at] + text[at + 1 :]


def _slip(words: list[str], rng: np.random.Generator) -> list[str]:
    """One slip in a word of three letters or more: a letter left out, doubled, added, wrong, or two exchanged."""
    places = [(i, j) for i, word in enumerate(words) if _is_latin(word) and len(word) > 2
              for j in range(len(word))]  # fmt: skip
    if not places:
        return words
    i, j = places[int(rng.integers(len(places)))]
    word, kind = words[i], int(np.searchsorted([0.25, 0.4, 0.5, 0.75], rng.random()))
    row = next(row for row in KEYS if word[j] in row)
    near = row[max(0, min(len(row) - 1, row.index(word[j]) + 2 * int(rng.integers(2)) - 1))]
    if kind == 4:
        j = min(j, len(word) - 2)
        changed = word[:j] + word[j + 1] + word[j] + word[j + 2 :]
    else:
        changed = word[:j] + ("", word[j] * 2, word[j] + near, near)[kind] + word[j + 1 :]
    return [*words[:i], changed, *words[i + 1 :]]


_HALF = {
    ord(full): half
    for full, half in zip(
        "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲンッャュョァィゥェォー",
        "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝｯｬｭｮｧｨｩｪｫｰ",
        strict=True,
    )
} | {
    ord(full): half + mark
    for row, base, mark in (
        ("ガギグゲゴザジズゼゾダヂヅデドバビブベボ", "ｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾊﾋﾌﾍﾎ", "ﾞ"),
        ("パピプペポ", "ﾊﾋﾌﾍﾎ", "ﾟ"),
    )
    for full, half in zip(row, base, strict=True)
}
