"""Functions of GoogleSQL that DuckDB lacks, in Python."""

from __future__ import annotations

from collections.abc import Iterable

import farmhash
import numpy as np
import numpy.typing as npt


def farm_fingerprint(text: str) -> int:
    """FarmHash Fingerprint64 read as a signed INT64, as BigQuery's FARM_FINGERPRINT gives it.

    Example:
        >>> farm_fingerprint("1footrue")
        -1541654101129638711
    """
    return int(farm_fingerprints([text])[0])


def farm_fingerprints(texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """Fingerprint of each text, shape (n,): the unsigned hashes, their bits read as INT64.

    Example:
        >>> farm_fingerprints(["1footrue", "2applefalse"]).tolist()
        [-1541654101129638711, 2794438866806483259]
    """
    return np.fromiter(map(farmhash.fingerprint64, texts), dtype=np.uint64).view(np.int64)
