"""What was typed, in one written form: width, case, kana, punctuation and spaces; and its words as they are compared.

Whole columns go through Arrow, so that a million texts take seconds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_APOSTROPHES: Final = "['\u2018\u2019\u02bc`\u00b4]"
_POINT, _AMPERSAND = "\ue000", "\ue001"
"""Private-use characters that stand for a decimal point and an ampersand while other signs are taken out; those that
were typed, like the pictures of some telephones, are taken out first."""
_FOLDS: Final = (
    (r"\p{Co}+", " "),
    (rf"{_APOSTROPHES}+", ""),
    (r"([\p{Katakana}ー])[\x{2010}-\x{2015}\x{2212}]", r"\1ー"),
    (r"(\d)[.](\d)", rf"\1{_POINT}\2"),
    (r"(\d)[.](\d)", rf"\1{_POINT}\2"),
    (r"(\p{L})&(\p{L})", rf"\1{_AMPERSAND}\2"),
    (rf"[^\p{{L}}\p{{N}}\p{{M}}{_POINT}{_AMPERSAND}]+", " "),
)
_RUNS: Final = (
    (r"&", " "),
    (r"(\d+(?:[.]\d+)*)", r" \1 "),
    (r"(\p{Katakana}[\p{Katakana}ー]*)", r" \1 "),
    (r"([\p{Han}\p{Hiragana}][\p{Han}\p{Hiragana}ー]*)", r" \1 "),
)

_LIGATURES: Final = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "þ": "th"}
)
_SMALL: Final = str.maketrans("ァィゥェォヮ", "アイウエオワ")
_VOICED: Final = (
    ("ヴア", "バ"),
    ("ヴイ", "ビ"),
    ("ヴエ", "ベ"),
    ("ヴオ", "ボ"),
    ("ヴ", "ブ"),
    ("ヂ", "ジ"),
    ("ヅ", "ズ"),
)
_KANA: Final = re.compile(r"[\u3041-\u30ff]")
_REPEATED: Final = re.compile(r"([a-z])\1\1\1+")
_ENDINGS: Final = {"ie": "y", "oe": "o"}
_PLURALS: Final = {
    "women": "woman",
    "womens": "woman",
    "men": "man",
    "mens": "man",
    "children": "child",
    "childrens": "child",
    "lens": "lens",
    "lenses": "lens",
    "shelves": "shelf",
    "bookshelves": "bookshelf",
    "scarves": "scarf",
    "knives": "knife",
} | {
    word: word
    for word in ("glasses", "shorts", "series", "species", "news", "boxers", "goods", "arts", "always")
}


_AMERICAN: Final = {
    "aluminium": "aluminum",
    "analogue": "analog",
    "armour": "armor",
    "behaviour": "behavior",
    "catalogue": "catalog",
    "centre": "center",
    "colour": "color",
    "coloured": "colored",
    "cosy": "cozy",
    "favourite": "favorite",
    "fibre": "fiber",
    "flavour": "flavor",
    "grey": "gray",
    "jewellery": "jewelry",
    "jewelled": "jeweled",
    "litre": "liter",
    "metre": "meter",
    "mould": "mold",
    "moustache": "mustache",
    "neighbour": "neighbor",
    "pyjama": "pajama",
    "theatre": "theater",
    "tyre": "tire",
    "woollen": "woolen",
    "yoghurt": "yogurt",
}


def normalise(texts: Iterable[str | None] | pa.Array) -> pa.StringArray:
    """The written form of each text: NFKC, lower case, one space between words, no punctuation.

    Points inside numbers and ampersands inside names stay; apostrophes go without a space. A dash after katakana is the
    prolonged sound, a plain hyphen only after katakana of half width. Nothing left is an empty text; null stays null.

    Example:
        >>> normalise(["  Ｒｅｄ　DRESS!! ", "Levi's 3.5mm", "ﾜﾝﾋﾟ-ｽ"]).to_pylist()
        ['red dress', 'levis 3.5mm', 'ワンピース']
    """
    return _tidy(_replaced(lowered(texts), _FOLDS), ((_POINT, "."), (_AMPERSAND, "&")))


def lowered(texts: Iterable[str | None] | pa.Array) -> pa.StringArray:
    """Texts in one width and in lower case (NFKC), signs kept."""
    array = texts if isinstance(texts, pa.Array) else pa.array(list(texts), pa.string())
    for pattern, instead in (("\u00b4", "'"), (r"([\x{FF66}-\x{FF9F}])-", "\\1\uff70")):
        array = pc.replace_substring_regex(array, pattern, instead)
    return pc.utf8_lower(pc.utf8_normalize(pc.utf8_lower(array), form="NFKC"))


def split(written: pa.StringArray) -> pa.ListArray:
    """The words of normalised texts; a number, a run of katakana and other Japanese are words of their own.

    An empty text has one empty word.

    Example:
        >>> split(normalise(["iPhone12 赤いコート"])).to_pylist()
        [['iphone', '12', '赤い', 'コート']]
    """
    return pc.utf8_split_whitespace(_tidy(_replaced(written, _RUNS), ()))


def fold(word: str) -> str:
    """The form in which a word is compared: as ``letters`` has it, and no prolonged sound at the end of katakana.

    Example:
        >>> [fold(word) for word in ("dresses", "café", "わんぴーす", "スニーカー")]
        ['dress', 'cafe', 'ワンピース', 'スニーカ']
    """
    return without_end(letters(word))


def letters(word: str) -> str:
    """A word with no Latin accents, no plural, American spelling, hiragana as katakana, and kana spelled one way.

    The plural rule is that of the S-stemmer (Harman 1991, "How effective is suffixing?", JASIS 42) with the -es of
    hissing sounds and a few irregular words.

    Example:
        >>> [letters(word) for word in ("shoes", "jewellery", "ヴァンズ", "dresssss")]
        ['shoe', 'jewelry', 'バンズ', 'dress']
    """
    if not word.isascii():
        word = _fold_kana(word) if _KANA.search(word) else _fold_accents(word)
    if len(word) > 4 and len(set(word)) > 2:
        word = _REPEATED.sub(r"\1\1", word) if _REPEATED.search(word) else word
    word = singular(word)
    return _AMERICAN.get(word, word)


def without_end(text: str) -> str:
    """A text without the prolonged sound at the end of its katakana, where more than two characters are left.

    Example:
        >>> without_end("ソファー"), without_end("キー")
        ('ソファ', 'キー')
    """
    return text[:-1] if len(text) > 3 and text[-1] == "ー" else text


def singular(word: str) -> str:
    """An English word without its plural ending; words of three letters or less stay.

    Example:
        >>> [singular(word) for word in ("watches", "baby", "babies", "cases", "dress", "xxs", "women")]
        ['watch', 'baby', 'baby', 'case', 'dress', 'xxs', 'woman']
    """
    if word in _PLURALS:
        return _PLURALS[word]
    if len(word) <= 3 or not word.isascii():
        return word
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word[:-2] + _ENDINGS[word[-2:]] if len(word) > 4 and word[-2:] in _ENDINGS else word


def _fold_accents(word: str) -> str:
    parts = unicodedata.normalize("NFD", word.translate(_LIGATURES))
    return "".join(part for part in parts if not "\u0300" <= part <= "\u036f")


def _fold_kana(word: str) -> str:
    word = "".join(chr(ord(sign) + 0x60) if "\u3041" <= sign <= "\u3096" else sign for sign in word)
    word = word.translate(_SMALL)
    for written, compared in _VOICED:
        word = word.replace(written, compared)
    return word


def _replaced(array: pa.StringArray, changes: Iterable[tuple[str, str]]) -> pa.StringArray:
    for pattern, instead in changes:
        array = pc.replace_substring_regex(array, pattern, instead)
    return array


def _tidy(array: pa.StringArray, changes: Iterable[tuple[str, str]]) -> pa.StringArray:
    for pattern, instead in changes:
        array = pc.replace_substring(array, pattern, instead)
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(array, r"\s+", " "))
