"""Jobs that speak to BigQuery find the endpoint that the tests of its warehouse use; a small marketplace to work on."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from recsys import schema
from recsys.jobs import build, simulate, train
from recsys.settings import Settings
from tests.warehouse.bigquery.conftest import endpoint  # noqa: F401  (a fixture)

PLAYED_FROM, PLAYED_DAYS, FEATURE_DAYS = date(2026, 1, 1), 16, 9


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Sixteen days of a small marketplace, features of the last nine, and a champion of the last; to be copied before
    what is there is changed."""
    last = PLAYED_FROM + timedelta(days=PLAYED_DAYS - 1)
    settings = Settings.load({}, warehouse=str(tmp_path_factory.mktemp("market") / "warehouse"), shards=3)
    simulate.history(settings, PLAYED_FROM, PLAYED_DAYS, size="small")
    build.history(settings, PLAYED_FROM, last, [table.name for table in schema.STAGING])
    first = last - timedelta(days=FEATURE_DAYS - 1)
    build.history(settings, first, last, [table.name for table in schema.FEATURES])
    train.run(settings, last)
    return settings
