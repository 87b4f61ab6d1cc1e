from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.endpoint import BigQueryEndpoint

PROJECT = "test-project"


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[BigQueryEndpoint]:
    """An endpoint; the test fails if a request was not as the discovery document says."""
    with BigQueryEndpoint(tmp_path / "endpoint") as endpoint:
        yield endpoint
        assert not endpoint.violations


@pytest.fixture
def client(endpoint: BigQueryEndpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[bigquery.Client]:
    """The real client."""
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", endpoint.url)
    client = bigquery.Client(PROJECT, AnonymousCredentials(), location="EU")
    yield client
    client.close()
