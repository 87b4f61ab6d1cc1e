"""Search phrases as numbers: (leaf, noun, modifier, language), where a modifier is a brand, an attribute or none."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from recsys.synthetic.draws import Array
from recsys.synthetic.vocabulary import ATTRIBUTES, BRAND_NAMES, LEAVES

_NOUNS = 3
_MODIFIERS = 1 + len(BRAND_NAMES) + len(ATTRIBUTES)


def encode(leaf: Array, noun: Array, modifier: Array, local: Array) -> Array:
    """Number phrases; ``modifier`` is 0 for none, 1.. for brands, then attributes; ``local`` is a bool."""
    return ((leaf * _NOUNS + noun) * _MODIFIERS + modifier) * 2 + local


def brand_modifier(brand: Array) -> Array:
    """The modifier of a brand number; none where the brand is -1."""
    return np.asarray(brand) + 1


def attribute_modifier(attribute: Array) -> Array:
    """The modifier of an attribute number."""
    return np.asarray(attribute) + 1 + len(BRAND_NAMES)


def leaf_of(query: Array) -> Array:
    """The leaf category a phrase is about."""
    return np.asarray(query) // (2 * _MODIFIERS * _NOUNS)


def brand_of(query: Array) -> Array:
    """The brand number in a phrase, -1 where it names none."""
    modifier = np.asarray(query) // 2 % _MODIFIERS
    return np.where((modifier >= 1) & (modifier <= len(BRAND_NAMES)), modifier - 1, -1)


def attribute_of(query: Array) -> Array:
    """The attribute number in a phrase, -1 where it names none."""
    modifier = np.asarray(query) // 2 % _MODIFIERS
    return np.where(modifier > len(BRAND_NAMES), modifier - 1 - len(BRAND_NAMES), -1)


def noun_of(query: Array) -> Array:
    """The place of the phrase's noun among the nouns of its leaf and language."""
    return np.asarray(query) // (2 * _MODIFIERS) % _NOUNS % nouns_in(leaf_of(query), local_of(query))


def local_of(query: Array) -> Array:
    """1 where the phrase is Japanese, else 0."""
    return np.asarray(query) % 2


def nouns_in(leaf: Array, local: Array) -> Array:
    """How many nouns a leaf has in the language."""
    return _counts()[np.asarray(local), np.asarray(leaf)]


def canonical(query: Array) -> Array:
    """One number for all phrases that read the same: two nouns of a leaf may share their Japanese word."""
    query = np.asarray(query)
    return np.where(query < 0, query, _firsts()[np.maximum(query, 0)])


def n_attributes() -> int:
    """How many attributes a phrase may name."""
    return len(ATTRIBUTES)


def all_phrases() -> Array:
    """Every phrase there is, once."""
    return np.unique(_firsts())


@lru_cache(maxsize=1)
def _firsts() -> Array:
    """For each number the lowest that reads the same, whatever its case."""
    first: dict[str, int] = {}
    texts = [text(query).lower() for query in range(len(LEAVES) * _NOUNS * _MODIFIERS * 2)]
    return np.array([first.setdefault(words, query) for query, words in enumerate(texts)])


@lru_cache(maxsize=1)
def _counts() -> Array:
    return np.array([[len(leaf.nouns) for leaf in LEAVES], [len(leaf.local_nouns) for leaf in LEAVES]])


def text(query: int) -> str:
    """The phrase as typed.

    Example:
        >>> text(0)
        'dress'
    """
    rest, local = divmod(query, 2)
    rest, modifier = divmod(rest, _MODIFIERS)
    leaf, noun = divmod(rest, _NOUNS)
    nouns = LEAVES[leaf].local_nouns if local else LEAVES[leaf].nouns
    word = nouns[noun % len(nouns)]
    if modifier == 0:
        return word
    if modifier <= len(BRAND_NAMES):
        return f"{BRAND_NAMES[modifier - 1]} {word}".lower()
    return f"{ATTRIBUTES[modifier - 1 - len(BRAND_NAMES)][local]} {word}"
