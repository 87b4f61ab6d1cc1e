"""What the code said when something was kept: a world that other code made is made again."""

from __future__ import annotations

import hashlib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
WORLD = ("recsys/synthetic", "recsys/warehouse", "recsys/jobs/simulate.py", "recsys/schema.py", "include/sql")
"""What decides on a played world and its tables."""
ALL = ("recsys", "include")


def digest_of(places: tuple[str, ...], root: Path = PROJECT) -> str:
    """Ten digits that change with the name or content of any file of code below ``places``."""
    found = hashlib.sha256()
    for place in places:
        path = root / place
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.suffix in {".py", ".sql", ".yaml"}:
                found.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()[:10]
