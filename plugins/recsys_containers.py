"""What a heavy job takes with it into a container: the arguments of ``recsys``, and the settings.

The image (``Dockerfile``, target ``job``) runs ``recsys``; an operator gives it ``train --ds=2026-01-05``, as a list
and never through a shell, so no value can become another argument or a command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from recsys.errors import RecsysError, SettingsError
from recsys.settings import PREFIX, Settings
from recsys_tasks import data_day

ITS_OWN = ("HOME", "FILES", "HEAVY", "CONTAINER", "POD_CPU", "POD_MEMORY", "POD_BUCKET")
"""Settings that a container has for itself: its folders are not those of the worker."""
PASSED_ON = ("MLFLOW_TRACKING_URI",)
_OPTION = re.compile(r"[a-z]+(_[a-z]+)*")


def prepare(job: str, options: Mapping[str, Any], context: Any) -> tuple[Settings, list[str]]:
    """Return the settings and the arguments of ``recsys`` for the data day of a run; ``group_command`` is two words.

    Raises:
        AirflowFailException: a setting or an option is wrong, which a retry would not mend.
    """
    try:
        settings = Settings.load()
        if not settings.is_bigquery:
            raise SettingsError(
                f"RECSYS_HEAVY is {settings.heavy}, and RECSYS_WAREHOUSE is the folder {settings.warehouse}, which a "
                "container does not see. Set RECSYS_WAREHOUSE=bigquery://PROJECT/PREFIX, or RECSYS_HEAVY=worker."
            )
        ds = data_day(context["dag_run"].logical_date, settings.timezone)
        return settings, [*job.split("_"), f"--ds={ds}", *arguments(options)]
    except RecsysError as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error


def arguments(options: Mapping[str, Any]) -> list[str]:
    """Write options as arguments, each one word with its value, so that no value is read as an option.

    Example:
        >>> arguments({"shard": 3, "champion": "2026-01-04"})
        ['--shard=3', '--champion=2026-01-04']

    Raises:
        SettingsError: a name that is no option, or a value that is neither text nor a whole number.
    """
    for name, value in options.items():
        if not _OPTION.fullmatch(name) or type(value) not in (str, int):
            raise SettingsError(
                f"{name!r}: {value!r} cannot go to a container; an option is a name of small letters with a text or "
                "a whole number."
            )
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the settings of the worker's environment that hold in a container as well, by name."""
    environ = os.environ if environ is None else environ
    kept = {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in ITS_OWN
    }
    kept |= {name: environ[name] for name in PASSED_ON if name in environ}
    return {name: value for name, value in sorted(kept.items()) if value}
