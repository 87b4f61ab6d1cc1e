"""Functions of GoogleSQL that DuckDB lacks, in Python."""

from __future__ import annotations

import farmhash

_SIGN_BIT = 1 << 63


def farm_fingerprint(text: str) -> int:
    """FarmHash Fingerprint64 read as a signed INT64, as BigQuery's FARM_FINGERPRINT gives it.

    Example:
        >>> farm_fingerprint("1footrue")
        -1541654101129638711
    """
    unsigned = farmhash.fingerprint64(text)
    return int(unsigned - (1 << 64) if unsigned & _SIGN_BIT else unsigned)
