"""Warehouses of earlier contracts become warehouses of today's, or are left alone with a word on what to do."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys import schema
from recsys.errors import ContractError, WarehouseError
from recsys.jobs import build, migrate, simulate
from recsys.schema import Column
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse import frames, open_warehouse
from recsys.warehouse.local import LocalWarehouse
from recsys.warehouse.migration import RECORD, Held, read_record, record_text
from tests.jobs.contracts import change_contract

FIRST, DAYS = date(2026, 1, 1), 5
DS = FIRST + timedelta(days=DAYS - 1)
VERSION_1 = Path(__file__).parents[1] / "contracts_1.json"
YOUNGER = {  # nullable columns that an older marketplace did not have yet
    "marketplace.users": ["region"],
    "marketplace.items": ["shipping_payer", "auction_ends_at"],
    "marketplace.events": ["surface", "propensity", "quantity"],
    "staging.arrivals": ["surface", "propensity", "quantity"],
    "staging.events": ["surface", "propensity", "quantity"],
    "staging.items": ["shipping_payer", "auction_ends_at"],
    "staging.user_item_daily": ["first_position"],
    "features.user_daily": ["top_hour", "weekend_share"],
}
SINCE_1 = {
    "features.item_daily": ["p_available", "appeal"],
    "features.seller_daily": ["appeal"],
}
"""Columns that came after version 1, of the tables that the small marketplace has."""
LOOKS_BACK = ("features.item_daily", "features.seller_daily")
"""Tables whose ``appeal`` is of the clickers of many days, which an upgraded warehouse knows from its upgrade on."""


def tell_all() -> tuple[list[str], migrate.Tell]:
    told: list[str] = []
    return told, told.append


def prints(settings: Settings) -> dict[str, str]:
    root = Path(settings.warehouse)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*.parquet"))
    }


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Five days of a small marketplace, staged, with the features of the last two."""
    settings = Settings.load({}, warehouse=str(tmp_path_factory.mktemp("market") / "warehouse"))
    simulate.history(settings, FIRST, DAYS, users=120)
    build.history(settings, FIRST, DS, ["staging"])
    build.history(settings, DS - timedelta(days=1), DS, ["features"])
    return settings


@pytest.fixture
def copied(played: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(played.warehouse, tmp_path / "copy", ignore=shutil.ignore_patterns("_spill"))
    return replace(played, warehouse=str(tmp_path / "copy"))


def as_written_by(recorded: dict[str, Held], settings: Settings, lacking: dict[str, list[str]]) -> None:
    """Write every file again with the columns and types that a version of the contracts names."""
    for name, then in recorded.items():
        for path in Path(settings.warehouse).joinpath(*name.split(".")).glob("*.parquet"):
            rows = pq.read_table(path)
            kept = [c for c in then.columns if c not in lacking.get(name, [])]
            typed = pa.schema([(c, frames.ARROW_TYPES[then.columns[c]]) for c in kept])
            pq.write_table(rows.select(kept).cast(typed), path)


def with_column(table: schema.Table, column: Column) -> tuple[Column, ...]:
    return (*table.columns[:-1], column, table.columns[-1])


def test_the_record_is_that_of_the_contracts() -> None:
    path = PROJECT_ROOT / RECORD
    version, _ = read_record(path)
    expected = record_text(version, schema.TABLES.values())
    assert path.read_text(encoding="utf-8") == expected, (
        "recsys/schema.py and include/schema/contracts.json differ: run `recsys migrate --record`, which says "
        "whether warehouses can follow, and commit the file."
    )


@pytest.mark.parametrize("lacking", [{}, YOUNGER], ids=["version 1", "older still"])
def test_a_warehouse_of_an_earlier_version_is_upgraded_and_the_days_go_on(
    played: Settings, copied: Settings, lacking: dict[str, list[str]]
) -> None:
    rows_before = {name: pq.read_metadata(Path(copied.warehouse) / name).num_rows for name in prints(copied)}
    as_written_by(read_record(VERSION_1)[1], copied, lacking)
    if lacking:
        with pytest.raises(WarehouseError, match="recsys migrate"):
            build.run(copied, DS, table="staging.arrivals")
    told, tell = tell_all()
    before = prints(copied)
    planned = migrate.run(copied, dry_run=True, tell=tell)
    assert planned["changes"] == sum(map(len, [*lacking.values(), *SINCE_1.values()]))
    assert all("is new" in line for line in told)
    assert prints(copied) == before, "a dry run writes nothing"
    migrate.run(copied)
    assert {name: pq.read_metadata(Path(copied.warehouse) / name).num_rows for name in before} == rows_before
    for name in schema.TABLES:
        for path in Path(copied.warehouse).joinpath(*name.split(".")).glob("*.parquet"):
            assert pq.read_schema(path).names == schema.table(name).column_names or not lacking.get(name)
    with open_warehouse(copied) as warehouse:
        for name, columns in lacking.items():
            day = DS if schema.table(name).partition else None
            frame = warehouse.read(name, day, columns=columns)
            assert len(frame) and frame.isna().all().all(), name
    simulate.run(copied, DS + timedelta(days=1))
    later = DS + timedelta(days=1)
    summary = build.history(copied, later, later, ["staging", "features"])
    assert summary["rows"] > 1000  # type: ignore[operator]
    if not lacking:
        fresh = replace(played, warehouse=str(Path(copied.warehouse).with_name("fresh")))
        shutil.copytree(played.warehouse, fresh.warehouse, ignore=shutil.ignore_patterns("_spill"))
        simulate.run(fresh, later)
        build.history(fresh, later, later, ["staging", "features"])
        of_day = {name: digest for name, digest in prints(fresh).items() if f"ds={later}" in name}
        upgraded = {name: digest for name, digest in prints(copied).items() if name in of_day}
        looks_back = {
            name for name in of_day if name.startswith(tuple(t.replace(".", "/") for t in LOOKS_BACK))
        }
        assert len(looks_back) == len(LOOKS_BACK)
        assert {n: d for n, d in of_day.items() if n not in looks_back} == {
            n: d for n, d in upgraded.items() if n not in looks_back
        }
        for name in looks_back:
            rows, as_fresh = (pq.read_table(Path(s.warehouse) / name) for s in (copied, fresh))
            appeal = rows["appeal"].to_numpy()
            assert np.isfinite(appeal).all() and (appeal != 0).any(), name
            assert rows.drop_columns(["appeal"]).equals(as_fresh.drop_columns(["appeal"])), name


def test_an_added_column_gives_the_bytes_of_a_build_with_nulls(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = schema.table("staging.user_item_daily")
    change_contract(monkeypatch, table.name, columns=with_column(table, Column("dwell", "FLOAT64")))
    source = schema.table("marketplace.events")
    change_contract(monkeypatch, source.name, columns=with_column(source, Column("country", "STRING")))
    expected = {}
    with open_warehouse(copied) as warehouse:
        for name in (table.name, source.name):
            for path in sorted(Path(copied.warehouse).joinpath(*name.split(".")).glob("*.parquet")):
                rows = pq.read_table(path)
                place = len(rows.column_names) - 1
                kind = pa.float64() if name == table.name else pa.string()
                wider = rows.add_column(
                    place, "dwell" if name == table.name else "country", pa.nulls(len(rows), kind)
                )
                warehouse.write(name, wider, date.fromisoformat(path.stem[3:]))
                expected[path] = path.read_bytes()
                pq.write_table(rows, path)
    migrate.run(copied)
    assert len(expected) > DAYS
    assert {path: path.read_bytes() for path in expected} == expected


def test_killed_half_way_it_is_finished_by_running_it_again(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = schema.table("staging.user_item_daily")
    change_contract(monkeypatch, table.name, columns=with_column(table, Column("dwell", "FLOAT64")))
    whole = replace(copied, warehouse=str(Path(copied.warehouse).with_name("whole")))
    shutil.copytree(copied.warehouse, whole.warehouse, ignore=shutil.ignore_patterns("_spill"))
    migrate.run(whole)
    rewrite, calls = LocalWarehouse.rewrite, []

    def dies(self: LocalWarehouse, name: str, path: Path, *rest: object) -> int:
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rewrite(self, name, path, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(LocalWarehouse, "rewrite", dies)
        with pytest.raises(KeyboardInterrupt):
            migrate.run(copied)
    names = [
        pq.read_schema(p).names
        for p in sorted((Path(copied.warehouse) / "staging/user_item_daily").glob("*.parquet"))
    ]
    assert 0 < sum("dwell" in n for n in names) < len(names)
    again: list[str] = []
    told = migrate.run(copied, tell=again.append)
    assert told["applied"] is True
    assert f"{table.name}: {DAYS - 2} files rewritten" in again
    assert prints(copied) == prints(whole)
    assert migrate.run(copied)["changes"] == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"columns": lambda t: with_column(t, Column("tier", "STRING", True))}, "is new and required"),
        (
            {
                "columns": lambda t: tuple(
                    replace(c, type="FLOAT64") if c.name == "views" else c for c in t.columns
                )
            },
            r"views: is INT64, the contract says FLOAT64",
        ),
        (
            {"columns": lambda t: tuple(replace(c, required=True) for c in t.columns)},
            r"first_position: is required by the contract, and [\d,]+ rows hold NULL",
        ),
        ({"key": lambda t: ("user_id", "item_id")}, "has the key"),
        ({"partition": lambda t: None}, "is divided by ds, the contract by nothing"),
    ],
    ids=["required", "type", "tighten", "key", "partition"],
)
def test_a_refused_change_changes_nothing_until_the_table_is_made_anew(
    copied: Settings, monkeypatch: pytest.MonkeyPatch, changes: dict, told: str
) -> None:
    migrate.run(copied)
    name = "staging.user_item_daily"
    before = prints(copied)
    change_contract(monkeypatch, name, **{k: v(schema.table(name)) for k, v in changes.items()})
    with pytest.raises(ContractError, match=rf"nothing was changed(.|\n)*{told}"):
        migrate.run(copied)
    assert prints(copied) == before
    migrate.run(copied, replace=[name])
    assert {p for p in before if p not in prints(copied)} == {p for p in before if "/user_item_daily/" in p}


def test_only_what_has_to_be_made_anew_is_dropped(copied: Settings) -> None:
    before = prints(copied)
    with pytest.raises(
        ContractError, match=r"--replace staging\.events would drop its rows, and nothing asks"
    ):
        migrate.run(copied, replace=["staging.events"])
    with pytest.raises(ContractError, match=r"marketplace\.events is a source"):
        migrate.run(copied, replace=["marketplace.events"])
    with pytest.raises(ContractError, match="No table"):
        migrate.run(copied, replace=["staging.evnts"])
    assert prints(copied) == before


def test_the_record_takes_safe_changes_and_refuses_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load({}, home=str(tmp_path))
    assert migrate.record(settings)["version"] == 1
    assert migrate.record(settings)["changes"] == 0
    table = schema.table("staging.users")
    change_contract(monkeypatch, table.name, columns=with_column(table, Column("tier", "STRING")))
    with pytest.raises(ContractError, match=r"another order than the contract.*ds, tier"):
        migrate.record(settings)
    change_contract(monkeypatch, table.name, columns=(*table.columns, Column("tier", "STRING")))
    told, tell = tell_all()
    assert migrate.record(settings, tell=tell)["version"] == 2
    assert told == ["staging.users.tier: is new (STRING); it is added, NULL in the rows that are there"]
    kept = (tmp_path / RECORD).read_text(encoding="utf-8")
    assert "tier STRING" in json.loads(kept)["tables"]["staging.users"]["columns"]
    retyped = tuple(
        replace(c, type="INT64") if c.name == "tier" else c for c in schema.table(table.name).columns
    )
    change_contract(monkeypatch, table.name, columns=retyped)
    with pytest.raises(ContractError, match=r"tier: is STRING, the contract says INT64"):
        migrate.record(settings)
    assert (tmp_path / RECORD).read_text(encoding="utf-8") == kept
    assert migrate.record(settings, replace=[table.name])["version"] == 3


def test_a_missing_or_damaged_record_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="recsys migrate --record"):
        read_record(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(ContractError, match="take it from the repository"):
        read_record(tmp_path / "bad.json")
