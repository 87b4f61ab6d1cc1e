"""Tables that mapped tasks write in parts: one table per part, and a view over all of them."""

from __future__ import annotations

from google.api_core.exceptions import Conflict, PreconditionFailed
from google.cloud import bigquery

from recsys import schema
from recsys.errors import WarehouseError
from recsys.settings import Settings
from recsys.warehouse.bigquery.client import Connection, mended_by_people
from recsys.warehouse.bigquery.resources import view_query, view_resource

ATTEMPTS = 20


def cover(connection: Connection, settings: Settings, table: str) -> None:
    """Make the view of ``table`` show every part that has a table.

    Two tasks that make new parts at once may each overwrite the other's view; both look again until it shows all.

    Raises:
        WarehouseError: others kept changing the view.
    """
    contract = schema.table(table)
    for _ in range(ATTEMPTS):
        found = list_parts(connection, contract)
        wanted = view_query(table, found, connection.address)
        view = connection.table(connection.address.reference(table))
        if view is not None and view.view_query == wanted:
            return
        _replace(connection, settings, table, found, view)
    raise WarehouseError(f"The view {table} was changed {ATTEMPTS} times meanwhile; run it again.")


def list_parts(connection: Connection, contract: schema.Table) -> list[str]:
    """Names of the parts of a table that have a table of their own."""
    dataset, _, name = contract.name.partition(".")
    reference = bigquery.DatasetReference(connection.address.project, connection.address.dataset(dataset))
    with mended_by_people(contract.name):
        tables = [table.table_id for table in connection.client.list_tables(reference)]
    return sorted(table.removeprefix(f"{name}__") for table in tables if table.startswith(f"{name}__"))


def _replace(
    connection: Connection, settings: Settings, table: str, parts: list[str], view: bigquery.Table | None
) -> None:
    with mended_by_people(table):
        try:
            if view is None:
                made = bigquery.Table.from_api_repr(view_resource(table, parts, settings))
                connection.client.create_table(made)
            else:
                view.view_query = view_query(table, parts, connection.address)
                connection.client.update_table(view, ["view_query"])
        except (Conflict, PreconditionFailed):
            return  # another task was quicker: look again
