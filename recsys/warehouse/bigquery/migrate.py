"""Tables in BigQuery as a migration sees them: made where they are missing, patched where a change is safe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.cloud import bigquery

from recsys import schema
from recsys.warehouse import migration
from recsys.warehouse.bigquery import parts
from recsys.warehouse.bigquery.client import mended_by_people
from recsys.warehouse.bigquery.names import LEDGER, PARTED, WHOLE
from recsys.warehouse.bigquery.resources import clustering, fields, part_resource, table_resource
from recsys.warehouse.bigquery.statement import query_configuration
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse, job_labels
from recsys.warehouse.migration import Change, Held
from recsys.warehouse.tables import datasets

_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
_ALL_DAYS = "BETWEEN DATE '1970-01-01' AND DATE '9999-12-31'"


class BigQueryStore:
    """The tables of one address. A table of the marketplace's own system that is a view is looked at, never changed."""

    def __init__(self, warehouse: BigQueryWarehouse) -> None:
        self.warehouse = warehouse
        self.address = warehouse.address
        self.connection = warehouse.connection
        self.settings = warehouse.settings

    def missing_foundations(self) -> list[str]:
        """Datasets that are not there, and the ledger."""
        with mended_by_people(str(self.address)):
            there = {found.dataset_id for found in self.connection.client.list_datasets()}
        found = [self.address.dataset(name) for name in datasets() if self.address.dataset(name) not in there]
        if self.connection.table(self.address.reference(LEDGER)) is None:
            found.append(self.address.table(LEDGER))
        return found

    def lay_foundations(self) -> None:
        """Make the datasets and the ledger where they are missing."""
        with mended_by_people(str(self.address)):
            for name in datasets():
                reference = bigquery.DatasetReference(self.address.project, self.address.dataset(name))
                dataset = bigquery.Dataset(reference)
                dataset.location = self.settings.location
                self.connection.client.create_dataset(dataset, exists_ok=True)
        self._create(table_resource(LEDGER, self.settings))

    def held(self, table: schema.Table, before: Held | None) -> Held | None:
        """Read the metadata of a table, or of the tables of its parts; NULL is counted where it became forbidden."""
        found = [one for one in map(self.connection.table, self._references(table)) if one is not None]
        is_source = table in schema.SOURCES
        view = self.connection.table(self.address.reference(table.name)) if table.name in PARTED else None
        if not found or (table.name in PARTED and view is None):
            return None
        shared = [f.name for f in found[0].schema if all(f.name in _names(one) for one in found)]
        first = {f.name: f for f in found[0].schema}
        stricter = _stricter(table, before)
        return Held(
            columns={name: _TYPES.get(first[name].field_type, first[name].field_type) for name in shared},
            required=frozenset(name for name in shared if first[name].mode == "REQUIRED"),
            nulls=self._nulls(table, [name for name in stricter if name in shared]),
            key=before.key if before else None,
            partition=None if is_source else getattr(found[0].time_partitioning, "field", None),
            is_partitioned=None if is_source else found[0].time_partitioning is not None,
            cluster=None if is_source else tuple(found[0].clustering_fields or ()),
            is_foreign_view=is_source and found[0].table_type != "TABLE",
            strict_name=None if is_source else self.address.table(table.name),
        )

    def cluster(self, table: schema.Table) -> tuple[str, ...] | None:
        """Clustering as the SQL header says it."""
        return tuple((clustering(table.name, self.settings) or {"fields": []})["fields"])

    def apply(self, table: schema.Table, changes: Sequence[Change]) -> str:
        """Create or patch a table, and the view over its parts."""
        kinds = {change.kind for change in changes}
        if migration.CREATE in kinds:
            if table.name in PARTED:
                self._create(part_resource(table.name, WHOLE, self.settings))
                parts.cover(self.connection, self.settings, table.name)
            else:
                self._create(table_resource(table.name, self.settings))
            return f"created as {self.address.table(table.name)}"
        if not kinds & {migration.ADD, migration.RELAX, migration.CLUSTER}:
            return ""
        for reference in self._references(table):
            self._patch(table, reference, kinds)
        if table.name in PARTED:
            parts.cover(self.connection, self.settings, table.name)
        return f"patched {self.address.table(table.name)}"

    def drop(self, table: schema.Table) -> str:
        """Remove a table, its parts and what the ledger says of it; time travel can bring it back for a while."""
        references = [*self._references(table), self.address.reference(table.name)]
        self.warehouse.ledger.forget(table.name, None)  # first: killed in between, nothing is taken for there
        for reference in references:
            self.connection.delete(reference)
        return f"removed {self.address.table(table.name)}"

    def _references(self, table: schema.Table) -> list[dict[str, str]]:
        if table.name not in PARTED:
            return [self.address.reference(table.name)]
        if self.connection.table(self.address.reference(table.name)) is None:
            return [self.address.reference(table.name, part=WHOLE)]
        found = parts.list_parts(self.connection, table)
        return [self.address.reference(table.name, part=part) for part in found]

    def _create(self, resource: dict[str, Any]) -> None:
        with mended_by_people(resource["tableReference"]["tableId"]):
            self.connection.client.create_table(bigquery.Table.from_api_repr(resource), exists_ok=True)

    def _patch(self, table: schema.Table, reference: dict[str, str], kinds: set[str]) -> None:
        there = self.connection.table(reference)
        assert there is not None
        known = _names(there)
        wanted = {one["name"]: bigquery.SchemaField.from_api_repr(one) for one in fields(table)}
        new = [one for name, one in wanted.items() if name not in known]
        there.schema = [*(wanted.get(one.name, one) for one in there.schema), *new]
        changed = ["schema"]
        if migration.CLUSTER in kinds:
            there.clustering_fields = list(self.cluster(table) or ()) or None
            changed.append("clustering_fields")
        with mended_by_people(reference["tableId"]):
            self.connection.client.update_table(there, changed)

    def _nulls(self, table: schema.Table, columns: Sequence[str]) -> dict[str, int]:
        if not columns:
            return {}
        counts = ", ".join(f"COUNTIF({name} IS NULL) AS {name}" for name in columns)
        days = f" WHERE {table.partition} {_ALL_DAYS}" if table.partition else ""
        sql = f"SELECT {counts} FROM {self.address.quoted(table.name)}{days}"
        configuration = query_configuration(sql, {}, self.settings, job_labels(None, "migrate"))
        job = self.connection.query(configuration, table.name)
        return dict(self.connection.rows(job).to_pylist()[0])


def _names(table: bigquery.Table) -> set[str]:
    return {one.name for one in table.schema}


def _stricter(table: schema.Table, before: Held | None) -> list[str]:
    """Columns that must not be NULL and might have been, when the warehouse was last migrated."""
    if before is None:
        return []
    return [
        c.name
        for c in table.columns
        if c.required and c.name in before.columns and c.name not in before.required
    ]
