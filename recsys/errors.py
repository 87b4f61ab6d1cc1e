"""The errors a user may see. Each message names the value at fault and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Return the names most like ``name``, best first; none when nothing comes close.

    Example:
        >>> nearest("histry_days", ["late_days", "history_days"])
        ['history_days']
    """
    return get_close_matches(name, sorted(set(known)), n=count, cutoff=0.6)


def did_you_mean(names: Iterable[str]) -> str:
    """Ask for one of a few names; nothing where there are none. Begins with a space."""
    told = " or ".join(names)
    return f" Did you mean {told}?" if told else ""


class RecsysError(Exception):
    """Base of every error this project raises on purpose."""


class SettingsError(RecsysError):
    """A setting is missing or malformed."""


class ContractError(RecsysError):
    """A table or file does not have the columns or types its contract asks for."""


class SqlError(RecsysError):
    """A SQL text cannot be run with one meaning on both engines, or failed when run."""


class WarehouseError(RecsysError):
    """A table or partition is missing, or could not be written."""


class QualityError(RecsysError):
    """A critical expectation failed; nothing downstream may run."""


class ModelError(RecsysError):
    """A model is missing, damaged, or failed its gate."""


class RuleError(RecsysError):
    """A business rule cannot be read, or two of them cannot hold together."""


class ExperimentError(RecsysError):
    """An experiment definition or read-out is invalid."""


class DagError(RecsysError):
    """A task of an Airflow DAG failed."""


class KeywordError(RecsysError):
    """Keywords, their policy, or what was learned about them cannot be used."""
