"""A warehouse in BigQuery for tests: the endpoint, and Airflow's home with the DAGs of this checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bigquery.mode import in_bigquery
from tests.dags.conftest import ROOT  # noqa: F401  (gives Airflow its home before it is imported)
from tests.endpoint import BigQueryEndpoint
from tests.googlesql import record


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryEndpoint]:
    """An endpoint, and an environment that sends every client to it."""
    with BigQueryEndpoint(tmp_path_factory.mktemp("endpoint")) as endpoint, in_bigquery(endpoint):
        yield endpoint
        record.SENT.extend(endpoint.statements)
        assert not endpoint.violations


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the workers share."""
    return tmp_path_factory.mktemp("files")
