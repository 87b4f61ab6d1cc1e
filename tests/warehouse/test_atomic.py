"""A partition is the old bytes or the new ones, whatever happens to the writer."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pandas as pd
import pytest

from recsys.errors import ContractError, WarehouseError
from recsys.settings import Settings
from recsys.warehouse import Warehouse, files, open_warehouse
from tests.warehouse.conftest import DAY, USERS_SQL, users

MANY = [f"user-{number:06d}" for number in range(3000)]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["recsys.warehouse.local", "recsys.warehouse.dialect", __name__])


def build(settings: Settings, times: int, ready: Event) -> None:
    """What a child does: build the same partition again and again."""
    with open_warehouse(settings) as warehouse:
        warehouse.query("SELECT 1 AS x")
        ready.set()
        for _ in range(times):
            warehouse.build("staging.users", DAY)


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.endswith(".tmp")]


def start(settings: Settings, times: int) -> BaseProcess:
    """Start a child and wait until it is about to build."""
    ready = CONTEXT.Event()
    process = CONTEXT.Process(target=build, args=(settings, times, ready))
    process.start()
    assert ready.wait(60)
    return process


def test_kill_9_at_random_points(
    settings: Settings, warehouse: Warehouse, put_sql: Callable[[str, str], Path]
) -> None:
    put_sql("staging.users", USERS_SQL)
    warehouse.write("marketplace.users", users(*MANY))
    path = Path(warehouse.build("staging.users", DAY).path)
    expected = path.read_bytes()
    draw = random.Random(20260105)
    seen_halfway = 0
    for _ in range(30):
        if draw.random() < 0.3:
            warehouse.drop("staging.users", DAY)
        process = start(settings, 10_000)
        time.sleep(draw.random() * 0.1)
        process.kill()
        process.join()
        seen_halfway += bool(leftovers(path.parent))
        assert not path.exists() or path.read_bytes() == expected
        rebuilt = warehouse.build("staging.users", DAY)
        assert path.read_bytes() == expected
        assert rebuilt.rows == len(MANY)
        assert leftovers(path.parent) == []
    assert seen_halfway > 0, "no kill came halfway; the test proves nothing"


def test_two_runs_of_the_same_task_at_once(
    settings: Settings, warehouse: Warehouse, put_sql: Callable[[str, str], Path]
) -> None:
    put_sql("staging.users", USERS_SQL)
    warehouse.write("marketplace.users", users(*MANY))
    racers = [start(settings, 10) for _ in range(2)]
    for _ in range(10):
        warehouse.build("staging.users", DAY)
        assert len(warehouse.read("staging.users", DAY)) == len(MANY)
        counted = warehouse.query("SELECT COUNT(DISTINCT user_id) AS n FROM staging.users", ds=DAY)
        assert counted["n"].to_pylist() == [len(MANY)]
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0, 0]
    assert [path.name for path in (Path(settings.warehouse) / "staging" / "users").iterdir()] == [
        "ds=2026-01-05.parquet"
    ]


def rewrite(settings: Settings, times: int, ready: Event) -> None:
    """What a child does: replace a table by a smaller and by a larger one, in turn."""
    with open_warehouse(settings) as warehouse:
        ready.set()
        for turn in range(times):
            warehouse.write("marketplace.users", users(*MANY[: 500 + 2500 * (turn % 2)]))


def test_a_query_sees_one_state_of_a_file_that_is_being_replaced(
    settings: Settings, warehouse: Warehouse
) -> None:
    warehouse.write("marketplace.users", users(*MANY))
    ready = CONTEXT.Event()
    writer = CONTEXT.Process(target=rewrite, args=(settings, 60, ready))
    writer.start()
    assert ready.wait(60)
    sql = (
        "SELECT COUNT(*) AS n, COUNT(DISTINCT user_id) AS users, MAX(region) AS region FROM marketplace.users"
    )
    while writer.is_alive():
        row = warehouse.query(sql).to_pylist()[0]
        assert row["n"] in (500, 3000)
        assert (row["users"], row["region"]) == (row["n"], "north")
        assert len(warehouse.read("marketplace.users")) in (500, 3000)
    assert writer.exitcode == 0


def test_threads_share_one_warehouse(
    settings: Settings, warehouse: Warehouse, put_sql: Callable[[str, str], Path]
) -> None:
    put_sql("staging.users", USERS_SQL)
    warehouse.write("marketplace.users", users("a", "b"))
    failures: list[BaseException] = []

    def work(day: int) -> None:
        try:
            for _ in range(5):
                ds = DAY.replace(day=day)
                warehouse.build("staging.users", ds)
                table = warehouse.query("SELECT MAX(ds) AS last FROM staging.users", ds=ds)
                assert table.column("last")[0].as_py() == ds
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(day,)) for day in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_full_disk_keeps_the_old_partition(
    settings: Settings, warehouse: Warehouse, put_sql: Callable[[str, str], Path]
) -> None:
    put_sql("staging.users", USERS_SQL)
    warehouse.write("marketplace.users", users("a"))
    path = Path(warehouse.build("staging.users", DAY).path)
    before = path.read_bytes()
    warehouse.write("marketplace.users", users(*MANY))
    limited = """
import sys, datetime, resource
from recsys.errors import WarehouseError
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
warehouse = open_warehouse(Settings.load({}, warehouse=sys.argv[1], home=sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    warehouse.build("staging.users", datetime.date(2026, 1, 5))
except WarehouseError as error:
    print(error)
"""
    command = [sys.executable, "-c", limited, settings.warehouse, settings.home]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert str(path) in told
    assert "Free disk space" in told
    assert path.read_bytes() == before
    assert leftovers(path.parent) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_no_space_left_while_syncing(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse.write("marketplace.users", users("a"))
    path = Path(warehouse.location("marketplace.users"))
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WarehouseError, match=r"all\.parquet.*No space left.*Free disk space"):
        warehouse.write("marketplace.users", users("b"))
    assert path.read_bytes() == before
    assert leftovers(path.parent) == []


def test_rows_that_break_the_contract_leave_the_old_partition(
    warehouse: Warehouse, put_sql: Callable[[str, str], Path]
) -> None:
    put_sql("staging.users", USERS_SQL)
    warehouse.write("marketplace.users", users("a"))
    path = Path(warehouse.build("staging.users", DAY).path)
    before = path.read_bytes()
    warehouse.write("marketplace.users", pd.concat([users("a", "b"), users("b")]))
    with pytest.raises(ContractError, match=r"key \(user_id\) is not unique; two rows have user_id 'b'"):
        warehouse.build("staging.users", DAY)
    assert path.read_bytes() == before
    assert leftovers(path.parent) == []


def test_the_same_rows_in_another_order_are_the_same_bytes(
    tmp_path: Path, put_sql: Callable[[str, str], Path], settings: Settings
) -> None:
    put_sql("staging.users", USERS_SQL)
    found = []
    for name, ids in (("one", MANY), ("two", MANY[::-1])):
        with open_warehouse(
            Settings.load({}, warehouse=str(tmp_path / name), home=settings.home)
        ) as warehouse:
            warehouse.write("marketplace.users", users(*ids))
            source = Path(warehouse.location("marketplace.users")).read_bytes()
            found.append((source, Path(warehouse.build("staging.users", DAY).path).read_bytes()))
    assert found[0] == found[1]


def test_duplicate_source_rows_are_kept_in_a_fixed_order(tmp_path: Path) -> None:
    twice = pd.concat([users("a"), users("a").assign(region="south")])
    found = []
    for name, frame in (("one", twice), ("two", twice[::-1])):
        with open_warehouse(Settings.load({}, warehouse=str(tmp_path / name))) as warehouse:
            assert warehouse.write("marketplace.users", frame) == 2
            found.append(Path(warehouse.location("marketplace.users")).read_bytes())
    assert found[0] == found[1]


def test_leftovers_of_the_living_stay(tmp_path: Path) -> None:
    path = tmp_path / "ds=2026-01-05.parquet"
    mine = tmp_path / f".{path.name}.{files.owner()}.0a1b2c3d.tmp"
    host = files.owner().split("~")[0]
    dead = tmp_path / f".{path.name}.{host}~999999999~1.0a1b2c3d.tmp"
    reused = tmp_path / f".{path.name}.{host}~{os.getpid()}~1.0a1b2c3d.tmp"
    elsewhere = tmp_path / f".{path.name}.elsewhere~1~1.0a1b2c3d.tmp"
    other = tmp_path / f".other.parquet.{host}~999999999~1.0a1b2c3d.tmp"
    for file in (mine, dead, reused, elsewhere, other):
        file.touch()
    files.sweep(path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, elsewhere, other])
