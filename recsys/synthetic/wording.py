"""How people type a phrase: letters, width, spaces, order of words, plural, slips; and keywords that are no phrase.

A way of typing is a number, 0 for the phrase as it is. Its digits to base 9 name two changes and the place of a slip,
so that a phrase and a number always give the same text. All but slips can be undone (``plain`` does): a search finds
what was meant. Keywords that are no phrase have the query number ``NO_PHRASE``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from recsys.synthetic import queries
from recsys.synthetic.draws import Array

NO_PHRASE = -1
_CHANGES = 9
_SLIP = 8
_PLACES = 1_000
WAYS = _CHANGES**2 * _PLACES
"""Ways of typing are numbers below this."""
_ROWS = "qwertyuiopasdfghjklzxcvbnm"
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}
_HALF_KANA = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF66, 0xFF9E)} | {
    "\u3099": chr(0xFF9E),
    "\u309a": chr(0xFF9F),
}

NO_PHRASES = (
    "best price!!!",
    "call 000-0000-{0:04d}",
    "mail me seller{0}@example.com",
    "www.example.com/shop{0}",
    "https://example.com/{0}",
    "chat id seller{0}",
    "100% genuine replica",
    "super copy N級品",
    "pay by bank transfer",
    "銀行振込 値引き",
    "直接取引 できます",
    "連絡先 000-0000-{0:04d}",
    "★★★★★",
    "!!!",
    "aaaaaaaa{0}",
    "asdfgh{0}",
    "cheap cheap cheap cheap cheap",
    "look at my other listings please",
    "即購入OK 送料無料",
    "{0}",
    "dress coat bag shoes jewellery shirt jacket jeans watch toy phone laptop camera game vase novel {0}",
)
"""What sellers type that no buyer searches: contact data, addresses, copies, payment aside, filler; ids are made up."""


def typed(query: int, wording: int) -> str:
    """The text somebody typed for a phrase, or for none (``query`` = NO_PHRASE).

    Example:
        >>> typed(0, 0), typed(0, 1), typed(0, 7)
        ('dress', 'DRESS', 'dresses')
    """
    if query < 0:
        return NO_PHRASES[wording % len(NO_PHRASES)].format(wording // len(NO_PHRASES))
    text, place = queries.text(query), wording // _CHANGES**2
    first, second = sorted((wording % _CHANGES, wording // _CHANGES % _CHANGES), reverse=True)
    for change in dict.fromkeys((first, second)):
        text = _HOW[change](text, place)
    return text


def draw(rng: np.random.Generator, n: int, share: float, slips: float = 0.0) -> Array:
    """Ways of typing for ``n`` phrases: a ``share`` of them changed, ``slips`` of these by a slip too."""
    first, second = rng.integers(1, _SLIP, n), rng.integers(1, _SLIP, n)
    second = np.where(rng.random(n) < 0.7, 0, second)
    second = np.where(rng.random(n) < slips, _SLIP, second)
    made = first + _CHANGES * second + _CHANGES**2 * rng.integers(0, _PLACES, n)
    return np.where(rng.random(n) < share, made, 0)


def slipped(wording: Array) -> Array:
    """Whether a way of typing holds a slip, which a search does not undo."""
    return (wording % _CHANGES == _SLIP) | (wording // _CHANGES % _CHANGES == _SLIP)


def plain(text: str) -> str:
    """What a search makes of a text: width, case, accents, punctuation, plural and order of words do not count.

    Example:
        >>> plain("Dresses,  ＲＥＤ") == plain("red dress")
        True
    """
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text)).casefold()
    kept = "".join(c for c in flat if not unicodedata.combining(c) or c in "\u3099\u309a")
    words = re.split(r"[^\w\u3099\u309a]+|_", unicodedata.normalize("NFC", kept))
    return " ".join(sorted(_singular(word) for word in words if word))


def read(text: str) -> int:
    """The number of the phrase that a text reads like; NO_PHRASE for none."""
    return _readings().get(plain(text), NO_PHRASE)


@lru_cache(maxsize=1)
def _readings() -> dict[str, int]:
    return {plain(queries.text(query)): query for query in queries.all_phrases().tolist()}


def _singular(word: str) -> str:
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if word.endswith(ending):
            return word[: -len(ending)] + instead
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


def _other_number(text: str, place: int) -> str:
    stem, last = text[:-1], text[-1:]
    if not last.isascii() or not last.isalpha():
        return text
    if last == "s" and not text.endswith("ss"):
        return stem
    if text.endswith(("ss", "x", "ch", "sh")):
        return text + "es"
    return stem + "ies" if last == "y" and text[-2:-1] not in "aeiou" else text + "s"


def _spaced(text: str, place: int) -> str:
    return (text.replace(" ", "  "), f" {text}", text.replace(" ", "\u3000"), f"{text}  ")[place % 4]


def _punctuated(text: str, place: int) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not "\u0300" <= c <= "\u036f")
    return (
        f"{text}!",
        f"#{text}",
        text.replace(" ", "-"),
        text.replace(" ", ", "),
        f'"{text}"',
        unicodedata.normalize("NFC", bare),
    )[place % 6]


def _turned(text: str, place: int) -> str:
    words = text.split(" ")
    cut = 1 + place % max(len(words) - 1, 1)
    return " ".join(words[cut:] + words[:cut])


def _wide(text: str, place: int) -> str:
    if text.isascii():
        return text.translate(_FULL_WIDTH)
    halved = "".join(_HALF_KANA.get(c, c) for c in unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", halved)


def _slip(text: str, place: int) -> str:
    """One letter doubled, left out, swapped or replaced by its neighbour, never the first of a word."""
    at = [i for i in range(1, len(text)) if text[i].isalpha() and text[i - 1].isalpha()]
    if (len(text) < 5 and text.isascii()) or not at:
        return text
    i, kind = at[place // 4 % len(at)], place % 4
    letter, rest = text[i], text[i + 1 :]
    if kind == 3 and not (letter.isascii() and letter.lower() in _ROWS):
        kind = 0
    if kind == 2 and not rest[:1].isalpha():
        kind = 0
    if kind == 3:
        near = _ROWS[(_ROWS.index(letter.lower()) + 1) % len(_ROWS)]
        return text[:i] + near + rest
    return text[:i] + (letter * 2 + rest, rest, rest[:1] + letter + rest[1:])[kind]


_HOW: tuple[Callable[[str, int], str], ...] = (
    lambda text, place: text,
    lambda text, place: text.upper(),
    lambda text, place: text.title(),
    _wide,
    _spaced,
    _punctuated,
    _turned,
    _other_number,
    _slip,
)
