"""Keywords that may not be advertised with, and why: a policy as YAML in, one reason per text out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.errors import KeywordError
from recsys.experiments.definition.fields import Fields
from recsys.keywords.codes import without_codes
from recsys.keywords.normalise import lowered, normalise, singular
from recsys.yaml_files import read_yaml

FIELDS: Final = ("most_characters", "most_words", "url", "contact", "policy")
RULE_FIELDS: Final = ("words", "patterns", "except")
_EXCEPTED: Final = "\ue003"
"""A private-use character that takes the place of a phrase in which a rule's words are fine."""
_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True)
class Policy:
    """What a keyword may not be.

    Attributes:
        most_characters: of the normalised text.
        most_words: of the normalised text, between spaces.
        signs: (reason, RE2 expressions over the text in lower case, signs kept), in order; a rule of words alone
            stands here too, with none.
        words: (reason, RE2 expressions over the normalised text), in order.
        exceptions: reason -> RE2 expression for the phrases in which nothing is refused for it.
    """

    most_characters: int = 60
    most_words: int = 8
    signs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    words: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exceptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[str, ...]:
        """The reasons that expressions give, in the order in which they are asked."""
        return tuple(dict.fromkeys(reason for reason, _ in (*self.signs, *self.words)))


def load_policy(path: Path) -> Policy:
    """Read the policy file.

    Raises:
        KeywordError: when it is missing or no YAML, or tells every field, value and expression that is wrong.
    """
    return parse_policy(read_yaml(path, KeywordError), str(path))


def parse_policy(content: object, source: str) -> Policy:
    """Check a policy; ``source`` names it in errors. An empty one has the limits alone.

    Raises:
        KeywordError: tells everything that is wrong at once.

    Example:
        >>> parse_policy({"most_words": 5, "policy": {"fakes": {"words": ["replica"]}}}, "policy.yaml").rules
        ('policy:fakes',)
    """
    if content is None:
        return Policy()
    if not isinstance(content, Mapping):
        raise KeywordError(f"{source}: expected a mapping of fields, got {type(content).__name__}.")
    problems: list[str] = []
    read = Fields(content, problems)
    read.known(FIELDS)
    limits = [
        read.number(name, default, (1, 1000))
        for name, default in (("most_characters", 60), ("most_words", 8))
    ]
    signs = [(name, _patterns(content, name, problems)) for name in ("url", "contact")]
    words: list[tuple[str, tuple[str, ...]]] = []
    exceptions: dict[str, str] = {}
    rules = content.get("policy") or {}
    if not isinstance(rules, Mapping):
        problems.append(f"policy is {rules!r}; write a mapping from a rule's name to its words and patterns")
        rules = {}
    for name, rule in rules.items():
        if not isinstance(rule, Mapping) or not set(rule) & {"words", "patterns"}:
            problems.append(f"policy.{name} is {rule!r}; give it words or patterns")
            continue
        Fields(rule, problems, f"policy.{name}").known(RULE_FIELDS)
        listed = _texts(rule, "words", problems, f"policy.{name}.")
        signs.append((f"policy:{name}", _patterns(rule, "patterns", problems, f"policy.{name}.")))
        words.append((f"policy:{name}", (_any_word(listed),) if listed else ()))
        refused = (*signs[-1][1], *words[-1][1])
        exceptions[f"policy:{name}"] = _excepting(rule, refused, problems, f"policy.{name}.")
    # A rule without patterns stays among the signs, for the order of the rules.
    signs = [rule for rule in signs if rule[1] or rule[0].startswith("policy:")]
    words = [rule for rule in words if rule[1]]
    exceptions = {reason: phrases for reason, phrases in exceptions.items() if phrases}
    if problems:
        raise KeywordError(f"{source}: {'; '.join(problems)}.")
    return Policy(int(limits[0] or 60), int(limits[1] or 8), tuple(signs), tuple(words), exceptions)


def reasons(raw: pa.StringArray, written: pa.StringArray, policy: Policy) -> np.ndarray:
    """Why each text is refused, None where it is not; ``written`` are the normalised texts of ``raw``; object [texts].

    ``contact`` does not see product codes, see ``codes.without_codes``.

    Example:
        >>> policy = parse_policy({"contact": ["[a-z]+@[a-z]+"]}, "policy.yaml")
        >>> raw = pa.array(["red dress", " ", "!!!", "me@home", "one two three four five six seven eight nine"])
        >>> reasons(raw, normalise(raw), policy).tolist()
        [None, 'empty', 'symbols', 'contact', 'too_many_words']
    """
    plain, written = lowered(_filled(raw)), _filled(written)
    length = _numbers(pc.utf8_length(written))
    found = [
        (_numbers(pc.utf8_length(pc.utf8_trim_whitespace(plain))) == 0, "empty"),
        (length > policy.most_characters, "too_long"),
        (_numbers(pc.count_substring(written, " ")) >= policy.most_words, "too_many_words"),
        (length == 0, "symbols"),
    ]
    in_order = {name: place for place, name in enumerate(policy.rules)}
    seen = {"contact": without_codes(plain)}
    asked = [(reason, seen.get(reason, plain), patterns) for reason, patterns in policy.signs if patterns]
    asked += [(reason, written, patterns) for reason, patterns in policy.words]
    for reason, texts, patterns in sorted(asked, key=lambda one: in_order[one[0]]):
        found.append((_refused(texts, patterns, policy.exceptions.get(reason)), reason))
    why = np.full(len(raw), None, dtype=object)
    for holds, name in reversed(found):
        why[holds] = name
    return why


def _refused(texts: pa.StringArray, patterns: tuple[str, ...], excepted: str | None) -> np.ndarray:
    """Which texts match one of the patterns outside of the phrases that are excepted."""
    if not patterns:
        return np.zeros(len(texts), dtype=bool)
    either = "|".join(f"(?:{pattern})" for pattern in patterns)
    holds = pc.match_substring_regex(texts, either)
    if excepted is None or not pc.any(holds).as_py():
        return _numbers(holds)
    which = np.flatnonzero(_numbers(holds))
    rest = texts.take(pa.array(which))
    for _ in range(2):  # of two phrases with one space between, the first takes it along
        rest = pc.replace_substring_regex(rest, excepted, f" {_EXCEPTED} ")
    refused = np.zeros(len(texts), dtype=bool)
    refused[which] = _numbers(pc.match_substring_regex(rest, either))
    return refused


def _filled(texts: Any) -> pa.StringArray:
    return texts.fill_null("")


def _numbers(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False)


def _texts(content: Mapping[Any, Any], name: str, problems: list[str], inside: str = "") -> tuple[str, ...]:
    listed = content.get(name) or []
    if not isinstance(listed, list) or not all(isinstance(one, str) and one.strip() for one in listed):
        problems.append(
            f"{inside}{name} is {listed!r}; write a list of texts (in quotes where YAML reads a number)"
        )
        return ()
    return tuple(listed)


def _patterns(
    content: Mapping[Any, Any], name: str, problems: list[str], inside: str = ""
) -> tuple[str, ...]:
    sound = []
    for pattern in _texts(content, name, problems, inside):
        try:
            pc.match_substring_regex(pa.array(["a"]), pattern)
            sound.append(pattern)
        except pa.ArrowInvalid as error:
            problems.append(f"{inside}{name} has {pattern!r}, which RE2 does not read ({error})")
    return tuple(sound)


def _excepting(rule: Mapping[Any, Any], refused: tuple[str, ...], problems: list[str], inside: str) -> str:
    """One expression for the phrases of a rule in which nothing is refused; empty where it has none.

    A phrase in which the ``refused`` expressions find nothing, or that is one of the rule's words, is noted.
    """
    phrases = _texts(rule, "except", problems, inside)
    words = set(normalise(_texts(rule, "words", [])).to_pylist())
    for phrase in phrases:
        forms = pa.concat_arrays([lowered([phrase]), normalise([phrase])])
        if not _refused(forms, refused, None).any():
            problems.append(
                f"{inside}except has {phrase!r}, in which the rule refuses nothing; write the phrase in full"
            )
        elif forms[1].as_py() in words:
            problems.append(
                f"{inside}except has {phrase!r}, which is one of its words; leave one of the two out"
            )
    return _any_phrase(phrases)


def _any_word(words: Iterable[str]) -> str:
    """One expression for any of the words, in the singular or the plural, as it stands in a normalised text."""
    forms = [form for form in normalise(list(words)).to_pylist() if form]
    spaced = "|".join(_one_or_many(form) for form in forms if not _UNSPACED.search(form))
    unspaced = [re.escape(form) for form in forms if _UNSPACED.search(form)]
    return "|".join(([rf"(?:^|\s)(?:{spaced})(?:\s|$)"] if spaced else []) + unspaced)


def _one_or_many(form: str, joined: str = " ") -> str:
    """An expression for words of which the last is in the singular or the plural, with ``joined`` between them."""
    *before, last = form.split()
    last = re.escape(singular(last))
    last = rf"(?:{last}(?:e?s)?|{last[:-1]}ies)" if last.endswith("y") else rf"{last}(?:e?s)?"
    return joined.join([*map(re.escape, before), last])


def _any_phrase(phrases: Iterable[str]) -> str:
    """One expression for any of the phrases, whole words (Japanese: anywhere) with whatever signs between them."""
    forms = [form for form in normalise(list(phrases)).to_pylist() if form]
    joined = {form: _one_or_many(form, r"[^\p{L}\p{N}]+") for form in forms}
    spaced = "|".join(joined[form] for form in forms if not _UNSPACED.search(form))
    unspaced = [joined[form] for form in forms if _UNSPACED.search(form)]
    edge = r"[^\p{L}\p{N}\p{M}]"
    return "|".join(([rf"(?:^|{edge})(?:{spaced})(?:$|{edge})"] if spaced else []) + unspaced)
