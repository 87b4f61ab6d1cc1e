"""Jobs that speak to BigQuery find the endpoint that the tests of its warehouse use."""

from tests.warehouse.bigquery.conftest import endpoint  # noqa: F401  (a fixture)
