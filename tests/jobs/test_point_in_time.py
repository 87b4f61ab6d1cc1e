"""Features are those of the evening: a warehouse that ends there and one that goes on give the same numbers."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from recsys import schema
from recsys.features.pairs import PAIR_FEATURES, pair_features
from recsys.jobs import build, inputs, simulate
from recsys.ranking.leaks import differing
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

FIRST, DAYS = date(2026, 1, 1), 9
EVENING = FIRST + timedelta(days=DAYS - 3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A marketplace that went on for two days after EVENING, with the features of all three."""
    folder = tmp_path_factory.mktemp("point") / "warehouse"
    settings = Settings.load({}, warehouse=str(folder))
    simulate.history(settings, FIRST, DAYS, size="small", users=120)
    last = FIRST + timedelta(days=DAYS - 1)
    build.history(settings, FIRST, last, [table.name for table in schema.STAGING])
    build.history(settings, EVENING, last, [table.name for table in schema.FEATURES])
    return settings


@pytest.fixture(scope="module")
def ended(whole: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same warehouse without any partition after EVENING."""
    folder = tmp_path_factory.mktemp("ended") / "warehouse"
    shutil.copytree(whole.warehouse, folder, copy_function=os.link)
    for path in folder.rglob("ds=*.parquet"):
        if path.name[3:13] > str(EVENING):
            path.unlink()
    return replace(whole, warehouse=str(folder))


def features_of(settings: Settings) -> np.ndarray:
    with open_warehouse(settings) as warehouse:
        snapshot = inputs.read_snapshot(warehouse, settings, EVENING)
    users, items = len(snapshot.audience), len(snapshot.shelf)
    rows, places = np.repeat(np.arange(users), items), np.tile(np.arange(items), users)
    return pair_features(snapshot.shelf, snapshot.audience, rows, places, {})


def test_no_feature_changes_with_what_comes_later(whole: Settings, ended: Settings) -> None:
    complete = features_of(whole)
    assert len(complete) > 1_000
    assert complete[:, PAIR_FEATURES.index("seen")].any()
    assert differing(PAIR_FEATURES, complete, features_of(ended)) == []


def test_a_feature_that_reads_a_day_ahead_is_caught(
    whole: Settings, ended: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = inputs._frame

    def ahead(warehouse: Warehouse, query: inputs.Query, ds: date) -> pd.DataFrame:
        return honest(warehouse, query, ds + timedelta(days="MAX(event_date) AS last_date" in query[0]))

    monkeypatch.setattr(inputs, "_frame", ahead)
    caught = differing(PAIR_FEATURES, features_of(whole), features_of(ended))
    assert "seen_views" in caught
    assert all(name.startswith("seen") for name in caught)
