"""Product codes: numbers that a check digit tells from a telephone number."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_NAMES: Final = "isbn|gtin|upc|ean|jan|barcode|バーコード"
_CANDIDATE: Final = r"[0-9][0-9-]{6,}[0-9x]|97[89]\s[0-9]"
"""RE2: texts that may hold a code at all."""
_CODE: Final = re.compile(
    rf"""
    \+[0-9][0-9\s.()-]*                                                 # abroad: a telephone number
    | (?<![0-9a-z]) (?:{_NAMES}) (?:-?(?:1[034]|8|a|code|コード))? [\s:#.]*
        (?P<named>[0-9][0-9-]*x?) (?![\s.()/-]?[0-9])
    | (?<![^\s#]) (?<![0-9)]\s) (?P<plain>[0-9]{{9}}x|[0-9]{{12,13}}|97[89][\s-][0-9-]+) (?![^\s,;]|\s[0-9(])
    """,
    re.VERBOSE,
)
_LENGTHS: Final = (8, 12, 13, 14)
STAND_IN: Final = "\ue002"
"""A private-use character that takes the place of a code."""


def without_codes(texts: pa.StringArray) -> pa.StringArray:
    """Texts (lower case, one width) with STAND_IN for each product code.

    A code is a GTIN (UPC, EAN, JAN, ISBN-13) or an ISBN-10 whose check digit is right (GS1 General Specifications,
    7.9; ISO 2108). Beside the name of its kind it is one in any of these lengths. Alone, one telephone number in ten
    would pass for it by chance, so it has to look unlike one as well: 12 or 13 digits in one run that do not begin with
    00, as calls abroad do; 978 or 979 and the rest, with hyphens or not; or nine digits and an X.

    Example:
        >>> without_codes(pa.array(["upc 036000291452 new", "036000291453", "isbn 0-306-40615-2"])).to_pylist()
        ['\\ue002 new', '036000291453', '\\ue002']
    """
    asked = pc.match_substring_regex(texts, _CANDIDATE).to_numpy(zero_copy_only=False)
    if not asked.any():
        return texts
    found = texts.to_numpy(zero_copy_only=False).copy()
    found[asked] = [_CODE.sub(_replaced, text) for text in found[asked]]
    return pa.array(found, pa.string())


def is_code(text: str) -> bool:
    """Whether digits, and perhaps an x at the end, are a GTIN or an ISBN-10 with the right check digit.

    Example:
        >>> is_code("9780306406157"), is_code("080442957x"), is_code("036000291453")
        (True, True, False)
    """
    if len(text) == 10:
        digits = [int(sign) for sign in text[:9]] + [10 if text[9] == "x" else int(text[9])]
        return bool(np.dot(digits, range(10, 0, -1)) % 11 == 0)
    if len(text) not in _LENGTHS or not text.isdecimal():
        return False
    return sum(int(sign) * (3 if place % 2 else 1) for place, sign in enumerate(reversed(text))) % 10 == 0


def _replaced(match: re.Match[str]) -> str:
    digits = re.sub(r"[\s-]", "", match["named"] or match["plain"] or "")
    abroad = match["plain"] and digits.startswith("00")
    return STAND_IN if digits and not abroad and is_code(digits) else match[0]
