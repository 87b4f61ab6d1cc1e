"""What BigQuery answers, sorted: what only a person can mend becomes a RecsysError, the rest may be tried again."""

from __future__ import annotations

from collections.abc import Mapping

from recsys import schema
from recsys.errors import ContractError, RecsysError, SqlError, WarehouseError

LASTING = {
    "accessDenied",
    "billingNotEnabled",
    "bytesBilledLimitExceeded",
    "invalid",
    "invalidQuery",
    "notFound",
    "parseError",
    "required",
    "resourcesExceeded",
    "responseTooLarge",
}
"""Reasons (https://cloud.google.com/bigquery/docs/error-messages) that are the same however often one asks."""
CROWDED = ("Could not serialize access", "Too many DML statements outstanding")
"""Messages of statements that met others which change the same table; their reason is one of those that last."""


def guards(contract: schema.Table) -> dict[str, str]:
    """What the statement raises when a row breaks the contract, by column; ``""`` is for the key."""
    told = {
        column.name: f"{contract.name}.{column.name}: a value is NULL; it must not be NULL."
        for column in contract.columns
        if column.required
    }
    return told | {"": f"{contract.name}: the key ({', '.join(contract.key)}) is not unique."}


def refusal(reason: str, message: str, name: str, guards: tuple[str, ...] = ()) -> RecsysError | None:
    """Return the error that a failed job or request means; None for one that may pass when tried again.

    ``name`` is what was run: a file, usually. ``guards`` are the texts that its statement raises when a row breaks the
    contract.
    """
    if reason not in LASTING or is_crowded(message):
        return None
    message = " ".join(message.split())
    for told in guards:
        if told in message:
            return ContractError(f"{told} The old partition stays.")
    if "different partitions" in message:
        return ContractError(f"{name}: rows of another day than the partition's. {message}")
    remedies = {
        "bytesBilledLimitExceeded": "It would read more than RECSYS_MAX_GB: filter by partition, or raise it.",
        "accessDenied": "docs/deployment.md lists the roles it takes.",
        "billingNotEnabled": "Enable billing for the project.",
        "notFound": "`recsys migrate` makes the datasets and tables.",
    }
    if reason in remedies:
        return WarehouseError(f"{name}: {message} {remedies[reason]}")
    return SqlError(f"{name}: {message}")


def is_crowded(message: str) -> bool:
    """Whether a statement failed because others were changing the same table."""
    return any(told in message for told in CROWDED)


def reason_of(error: BaseException) -> str:
    """Return BigQuery's word for an error, like ``invalidQuery``; of gRPC errors, which have none, by their kind."""
    errors = getattr(error, "errors", None) or [{}]
    if isinstance(errors[0], Mapping) and errors[0].get("reason"):
        return str(errors[0]["reason"])
    kinds = {"NotFound": "notFound", "Forbidden": "accessDenied", "PermissionDenied": "accessDenied"}
    kinds |= {"InvalidArgument": "invalid", "BadRequest": "invalid"}
    return kinds.get(type(error).__name__, "")
