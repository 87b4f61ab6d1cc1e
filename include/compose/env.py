"""Write the secrets of docker-compose.yaml into ``.env``: ``make env``, or ``python3 include/compose/env.py [FILE]``.

Needs nothing but Python. What the file holds already is kept: a database keeps the password it was made with. Only the
owner may read the file; git and Docker's build ignore it.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / ".env"


def _word() -> str:
    return secrets.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


SECRETS: dict[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _word,
    "REDIS_PASSWORD": _word,
    "AIRFLOW_FERNET_KEY": _fernet_key,
    "AIRFLOW_SECRET_KEY": _word,
    "AIRFLOW_JWT_SECRET": lambda: secrets.token_urlsafe(64),
    "AIRFLOW_ADMIN_PASSWORD": _word,
}


def write(file: Path = FILE) -> list[str]:
    """Add the secrets that ``file`` lacks, each a new random one; return their names."""
    text = file.read_text() if file.exists() else ""
    present = {line.split("=", 1)[0].strip() for line in text.splitlines() if "=" in line}
    missing = [name for name in SECRETS if name not in present]
    if text and not text.endswith("\n"):
        text += "\n"
    text += "".join(f"{name}={SECRETS[name]()}\n" for name in missing)
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    beside.replace(file)
    return missing


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    made = write(target)
    print(f"{target}: made {', '.join(made)}." if made else f"{target}: every secret is there.")
