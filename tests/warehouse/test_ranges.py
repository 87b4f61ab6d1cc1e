"""A large table is built by ranges of its ids: the same rows, in parts, and all of them or none."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys import schema
from recsys.errors import ContractError, SqlError, WarehouseError
from recsys.experiments.metrics import MEASURES
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse import files as warehouse_files
from recsys.warehouse import local, open_warehouse, ranges, verify
from recsys.warehouse.local import LocalWarehouse
from recsys.warehouse.ranges import Range, cut
from recsys.warehouse.tables import parse_spec

LAST = date(2026, 1, 14)
TOTALS = "experiments.unit_totals"


def names(numbers: range) -> list[str]:
    return [f"u{number:03d}" for number in numbers]


def test_ranges_are_cut_where_row_groups_end_and_their_number_is_even(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"unit_id": names(range(100))}), path, row_group_size=10)
    found = cut([(path, "unit_id"), (path, "unit_id")], rows=80)
    assert found == [Range(None, "u029"), Range("u029", "u049"), Range("u049", "u079"), Range("u079", None)]
    assert cut([(path, "unit_id")], rows=90) == [Range(None, "u049"), Range("u049", None)]
    assert cut([(path, "unit_id")], rows=101) == [Range(None, None)]


def test_no_range_is_only_the_last_value(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"unit_id": ["u0"] * 10 + ["u1"] * 90}), path, row_group_size=10)
    assert cut([(path, "unit_id")], rows=40) == [Range(None, None)]


@pytest.fixture
def filled(tmp_path: Path) -> LocalWarehouse:
    """Forty users, of whom those with a higher number came on fewer days; u007 was shown both arms."""
    warehouse = open_warehouse(Settings(warehouse=str(tmp_path / "warehouse")))
    assert isinstance(warehouse, LocalWarehouse)
    for back in range(4):
        day = LAST - timedelta(days=back)
        ids = names(range(40 - 9 * back))
        shown = pd.DataFrame({"unit_id": ids, "experiment_id": "e", "impressions": 1})
        shown["arm"] = [
            "b" if (number % 2) ^ (number == 7 and back == 0) else "a" for number in range(len(ids))
        ]
        warehouse.write(
            "experiments.exposures", shown.assign(first_exposed_at=pd.Timestamp(day, tz="UTC"), ds=day), day
        )
        acts = pd.DataFrame({"unit_id": ids, "unit": "user", "event_date": pd.Timestamp(day)})
        counts = {name: number % 3 + 1 for number, name in enumerate(COUNTS)}
        money = {"gmv": 0.1, "revenue": 0.01, "hours_to_sale": 0.0, "ad_revenue": 0.3, "ad_spend": 0.03}
        warehouse.write("experiments.unit_daily", acts.assign(**counts, **money, ds=day), day)
    declared = {"experiment_id": "e", "metric": "ctr", "unit": "user", "kind": "ratio", "numerator": "clicks"}
    rows = pd.DataFrame([declared]).assign(started_on=pd.Timestamp(LAST - timedelta(days=3)), ds=LAST)
    optional = ["denominator", "winsorise", "covariate_from", "segments", "num_at", "den_at", "ended_on"]
    warehouse.write("experiments.metrics", rows.assign(**dict.fromkeys(optional)), LAST)
    people = ["user_id", "registered_at", "birth_year", "gender", "region", "ds"]
    warehouse.write("staging.users", pd.DataFrame(columns=people), LAST)
    return warehouse


COUNTS = tuple(
    name for name in MEASURES if name not in ("gmv", "revenue", "hours_to_sale", "ad_revenue", "ad_spend")
)


def files(warehouse: LocalWarehouse) -> list[str]:
    return sorted(path.name for path in (warehouse.root / "experiments" / "unit_totals").iterdir())


def test_ranges_give_the_rows_of_one_run(filled: LocalWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_rows = filled.build(TOTALS, LAST).rows
    whole = filled.read(TOTALS, LAST)
    assert files(filled) == [f"ds={LAST}.parquet"]
    assert whole.set_index(["unit_id", "scope"]).loc[("u007", "cumulative"), "arm"] == "b"
    monkeypatch.setattr(ranges, "ROWS", 50)
    assert filled.build(TOTALS, LAST).rows == whole_rows
    assert files(filled) == [f"ds={LAST}.r{number:03d}.parquet" for number in range(3)]
    pd.testing.assert_frame_equal(filled.read(TOTALS, LAST), whole)
    monkeypatch.setattr(ranges, "ROWS", 1000)
    filled.build(TOTALS, LAST)
    assert files(filled) == [f"ds={LAST}.parquet"]


def test_copies_of_every_day_make_no_more_ranges(
    filled: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for back in range(1, 11):
        day = LAST - timedelta(days=back)
        people = pd.DataFrame({"user_id": names(range(50)), "registered_at": pd.Timestamp(day, tz="UTC")})
        blank = dict.fromkeys(["birth_year", "gender", "region"])
        filled.write("staging.users", people.assign(**blank, ds=day), day)
    monkeypatch.setattr(ranges, "ROWS", 250)
    filled.build(TOTALS, LAST)
    assert files(filled) == [f"ds={LAST}.parquet"]


def test_a_range_that_fails_leaves_the_partition(
    filled: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.build(TOTALS, LAST)
    before = filled.read(TOTALS, LAST)
    real, calls = verify.check_file, []

    def fail(*given: object) -> int:
        calls.append(given)
        if len(calls) == 2:
            raise ContractError("no")
        return real(*given)

    monkeypatch.setattr(ranges, "ROWS", 50)
    monkeypatch.setattr(verify, "check_file", fail)
    with pytest.raises(ContractError, match="no"):
        filled.build(TOTALS, LAST)
    assert files(filled) == [f"ds={LAST}.parquet"]
    pd.testing.assert_frame_equal(filled.read(TOTALS, LAST), before)


def test_a_kill_between_two_renames_is_told_and_mended(
    filled: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.build(TOTALS, LAST)
    whole = filled.read(TOTALS, LAST)
    monkeypatch.setattr(ranges, "ROWS", 50)
    real, dead = Path.replace, f"{warehouse_files.owner().partition('~')[0]}~999999999~1"

    def killed(aside: Path, path: Path) -> Path:
        if path.name.endswith(".r000.parquet"):
            raise KeyboardInterrupt
        return real(aside, path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        patched.setattr(warehouse_files, "owner", lambda: dead)
        with pytest.raises(KeyboardInterrupt):
            filled.build(TOTALS, LAST)
    for read in (lambda: filled.read(TOTALS, LAST), lambda: filled.query(f"SELECT * FROM {TOTALS}", ds=LAST)):
        with pytest.raises(WarehouseError, match=f"{LAST} was left half replaced .* make it again with"):
            read()
    filled.build(TOTALS, LAST)
    pd.testing.assert_frame_equal(filled.read(TOTALS, LAST), whole)
    assert files(filled) == [f"ds={LAST}.r{number:03d}.parquet" for number in range(3)]


def test_a_reader_waits_while_ranges_are_moved(
    filled: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "ROWS", 50)
    rows = filled.build(TOTALS, LAST).rows
    last = filled.root / "experiments" / "unit_totals" / f"ds={LAST}.r002.parquet"
    aside = last.rename(last.with_suffix(".aside"))
    mark = filled.layout.mark(schema.table(TOTALS), LAST)
    waits = []

    def move(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            aside.rename(last)
        if len(waits) in (2, 4):
            mark.unlink()

    monkeypatch.setattr(local.time, "sleep", move)
    warehouse_files.mark(mark)
    assert filled.query(f"SELECT COUNT(*) AS n FROM {TOTALS}", ds=LAST).to_pylist() == [{"n": rows}]
    warehouse_files.mark(mark)
    assert len(filled.read(TOTALS, LAST)) == rows
    assert len(waits) == 4


def test_all_ranges_are_built_from_one_state(filled: LocalWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "ROWS", 50)
    monkeypatch.setattr(ranges, "cores", lambda: 1)
    real, calls = verify.check_file, []
    read = filled.location("experiments.exposures", LAST)

    def replaced_once(*given: object) -> int:
        calls.append(given)
        if len(calls) == 1:
            os.utime(read, (0, 0))
        return real(*given)

    monkeypatch.setattr(verify, "check_file", replaced_once)
    filled.build(TOTALS, LAST)
    assert len(calls) == 6


def test_ranges_begin_with_the_head_of_the_key() -> None:
    text = (PROJECT_ROOT / "include" / "sql" / "experiments" / "unit_totals.sql").read_text(encoding="utf-8")
    assert parse_spec(text, TOTALS).ranges == ("unit_id", "user_id")
    with pytest.raises(SqlError, match="ranges has to begin with unit_id, of the key"):
        parse_spec(text.replace("-- ranges: unit_id, user_id", "-- ranges: user_id"), TOTALS)


def test_limits_are_of_the_key_and_ascend() -> None:
    text = (PROJECT_ROOT / "include" / "sql" / "experiments" / "metrics_daily.sql").read_text(
        encoding="utf-8"
    )
    spec = parse_spec(text, "experiments.metrics_daily")
    assert (spec.ranges, spec.limits) == (("scope",), ("day",))
    with pytest.raises(SqlError, match="limits have to ascend, got day, before"):
        parse_spec(text.replace("-- limits: day", "-- limits: day, before"), "experiments.metrics_daily")
    with pytest.raises(SqlError, match="ranges has to begin with experiment_id or metric or arm or scope"):
        parse_spec(text.replace("-- ranges: scope", "-- ranges: units"), "experiments.metrics_daily")


def test_limits_cut_only_what_is_large(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"scope": ["before", "cumulative", "day", "day-1"] * 5}), path)
    assert cut([(path, "scope")], rows=20, at=["day"]) == [Range(None, "day"), Range("day", None)]
    assert cut([(path, "scope")], rows=21, at=["day"]) == [Range(None, None)]


def test_scopes_apart_give_the_sums_of_all_scopes(
    filled: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = "experiments.metrics"
    declared = filled.read(metrics, LAST).assign(num_at=1, den_at=0, denominator="impressions")
    capped = declared.assign(metric="rpu", kind="mean", numerator="revenue", num_at=10, winsorise=0.9)
    capped = capped.assign(den_at=None, denominator=None)
    rows = pd.concat([declared, capped]).assign(covariate_from=pd.Timestamp(LAST - timedelta(days=4)))
    filled.write(metrics, rows.assign(started_on=pd.Timestamp(LAST - timedelta(days=1))), LAST)
    filled.build(TOTALS, LAST)
    filled.build("experiments.metrics_daily", LAST)
    whole = filled.read("experiments.metrics_daily", LAST)
    assert {"cumulative", "day", "day-1"} <= set(whole["scope"])
    assert whole.loc[whole["scope"] == "cumulative", "cov_num"].gt(0).all()
    assert whole.loc[whole["metric"] == "rpu", "cap"].notna().any()
    monkeypatch.setattr(ranges, "ROWS", 50)
    filled.build("experiments.metrics_daily", LAST)
    folder = filled.root / "experiments" / "metrics_daily"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"ds={LAST}.r000.parquet",
        f"ds={LAST}.r001.parquet",
    ]
    by = list(schema.table("experiments.metrics_daily").key)
    parts = filled.read("experiments.metrics_daily", LAST)
    pd.testing.assert_frame_equal(
        parts.sort_values(by, ignore_index=True), whole.sort_values(by, ignore_index=True)
    )
