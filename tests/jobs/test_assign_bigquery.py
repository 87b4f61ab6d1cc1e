"""The job assign in BigQuery: the same rows as in the local warehouse, for every kind of unit."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import timedelta
from pathlib import Path

import pandas as pd

from recsys.jobs import assign, migrate
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.endpoint import BigQueryEndpoint
from tests.jobs.test_assign import EVE, START, TABLE, active, campaigns, clusters, define, sellers

USERS = [*(f"u{i:03d}" for i in range(60)), "u'; DROP TABLE x; --", "ユーザー"]
PROJECT = "test-project"


def define_all(settings: Settings) -> None:
    steps = [{"from": START, "share": 0.3}, {"from": START + timedelta(days=1), "share": 0.9}]
    drawn = {"holdout": 0.1, "layer": {"name": "l", "first": 500, "last": 9_500}, "ramp": steps}
    where = "purchases_90d BETWEEN 1 AND 5 AND region IN ('n', 'it\\'s') AND spend_90d >= 9.25 AND NOT is_new"
    define(settings, "drawn", **drawn)
    define(settings, "asked", eligibility={"where": where})
    define(
        settings,
        "sellers",
        unit="seller",
        eligibility={"where": "sell_through < 0.5 AND is_verified = FALSE"},
    )
    define(settings, "campaigns", unit="campaign", eligibility={"where": "0.05 < ad_rate"})
    define(settings, "clusters", unit="cluster", eligibility={"where": "parent_id IS NULL AND level <> 1"})


def made(settings: Settings) -> pd.DataFrame:
    with open_warehouse(settings):
        for day in (EVE, START, START + timedelta(days=1)):
            bought = {"purchases_90d": 2, "spend_90d": 9.25, "region": "it's" if day == START else "s"}
            active(settings, day, USERS if day == EVE else USERS[::2], **bought)
        sellers(settings)
        campaigns(settings)
        clusters(settings)
    assign.run(settings, START + timedelta(days=1))
    with open_warehouse(settings) as warehouse:
        return warehouse.read(TABLE, START + timedelta(days=1))


def test_the_rows_are_those_of_the_local_warehouse(endpoint: BigQueryEndpoint, tmp_path: Path) -> None:
    local = Settings.load({}, warehouse=str(tmp_path / "w"), home=str(tmp_path / "home"))
    shutil.copytree(Settings.load({}).sql_dir, local.sql_dir)
    shutil.copy(Settings.load({}).metrics_path, local.metrics_path)
    define_all(local)
    cloud = dataclasses.replace(local, warehouse=f"bigquery://{PROJECT}/demo_", files=str(tmp_path / "files"))
    migrate.run(cloud)
    here, there = made(local), made(cloud)
    pd.testing.assert_frame_equal(here, there)
    counts = here.groupby("experiment_id").size().to_dict()
    assert counts.pop("drawn") > 20
    assert counts == {"asked": len(USERS[::2]), "sellers": 3, "campaigns": 2, "clusters": 4}
