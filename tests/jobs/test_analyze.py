from __future__ import annotations

import gzip
import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from recsys.cli import app
from recsys.errors import ContractError, ExperimentError, WarehouseError
from recsys.jobs import analyze, power
from recsys.jobs.any_table import write_json
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.experiments.analysis.test_analyse import table

DAY = date(2026, 1, 5)
ASKED = analyze.Question("id", "arm", ("revenue", "bought", "clicks/views"), covariate="before")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({}, warehouse=str(tmp_path / "warehouse"))


def test_every_kind_of_file_gives_the_same(settings: Settings, tmp_path: Path) -> None:
    frame = table(200)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(
        tmp_path / "semicolon.csv", index=False, sep=";", encoding="utf-8-sig", lineterminator="\r\n"
    )
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "old.csv", index=False, lineterminator="\r", quoting=1)
    with gzip.open(tmp_path / "t.csv.gz", "wt", encoding="utf-8") as file:
        frame.to_csv(file, index=False, sep="|")
    for name, upper in (("t.csv", "U.CSV"), ("t.csv.gz", "U.CSV.GZ"), ("t.parquet", "U.PARQUET")):
        (tmp_path / upper).write_bytes((tmp_path / name).read_bytes())
    (tmp_path / "parts").mkdir()
    frame[:90].to_csv(tmp_path / "parts" / "1.csv", index=False)
    frame[90:].to_csv(tmp_path / "parts" / "2.csv", index=False)
    expected = analyze.run(settings, str(tmp_path / "t.parquet"), ASKED)
    for name in (
        "t.csv",
        "old.csv",
        "semicolon.csv",
        "t.tsv",
        "t.csv.gz",
        "parts",
        "U.CSV",
        "U.CSV.GZ",
        "U.PARQUET",
    ):
        assert analyze.run(settings, str(tmp_path / name), ASKED) == expected, name


def test_arms_that_are_floats_are_one_in_both_kinds_of_file(settings: Settings, tmp_path: Path) -> None:
    frame = table(200).assign(arm=lambda rows: rows["arm"].eq("treatment").astype(float))
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    asked = analyze.Question("id", "arm", ("revenue",), control="1.0", weights="0.0=1,1=1")
    found = analyze.run(settings, str(tmp_path / "t.csv"), asked)
    assert found == analyze.run(settings, str(tmp_path / "t.parquet"), asked)
    assert (found.control, found.results[0].arm) == ("1", "0")


@pytest.mark.parametrize("index", [["id"], ["id", "arm"]])
def test_a_column_that_pandas_saved_as_its_index_is_a_column(
    settings: Settings, tmp_path: Path, index: list[str]
) -> None:
    table(200).to_parquet(tmp_path / "t.parquet")
    table(200).set_index(index).to_parquet(tmp_path / "index.parquet")
    expected = analyze.run(settings, str(tmp_path / "t.parquet"), ASKED)
    assert analyze.run(settings, str(tmp_path / "index.parquet"), ASKED) == expected


def test_decimals_gaps_and_categories_of_a_parquet_file(settings: Settings, tmp_path: Path) -> None:
    columns = {
        "id": pa.array([1, 2, 3, 4, None]),
        "arm": pa.array(["a", "b", "a", "b", "a"]).dictionary_encode(),
        "paid": pa.array([Decimal("1.50"), None, Decimal("2.50"), Decimal("4"), Decimal("9")]),
        "bought": pa.array([True, None, True, False, True]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = analyze.run(
        settings, str(tmp_path / "t.parquet"), analyze.Question("id", "arm", ("paid:mean", "bought"))
    )
    assert found.counts == {"a": 2, "b": 2}
    assert [(r.metric, r.n) for r in found.results] == [("paid", 1), ("bought", 1)]


def assignments(day: date = DAY, *units: str) -> pd.DataFrame:
    """Four units in two arms on one day, as the warehouse has them."""
    rows = list(zip(units or ("u1", "u2", "u3", "u4"), "abab", strict=True))
    return pd.DataFrame(rows, columns=["unit_id", "arm"]).assign(
        experiment_id="e",
        policy="p",
        bucket=[3, 5, 4, 8],
        started_on=day,
        ds=day,
        first_assigned_on=day,
        unit="user",
    )


def test_a_table_of_the_warehouse(settings: Settings) -> None:
    frame = assignments()
    asked = analyze.Question("unit_id", "arm", ("bucket",))
    with pytest.raises(WarehouseError, match="does not exist"):
        analyze.run(settings, "experiments.assignments", asked)
    with open_warehouse(settings) as warehouse:
        warehouse.write("experiments.assignments", frame, DAY)
    found = analyze.run(settings, "experiments.assignments", asked, DAY)
    assert found.results[0].difference == pytest.approx(3)


def test_all_days_of_a_table_are_read_unless_one_is_named(settings: Settings) -> None:
    source, asked = "experiments.assignments", analyze.Question("unit_id", "arm", ("bucket",))
    later = date(2026, 1, 7)
    with open_warehouse(settings) as warehouse:
        warehouse.write(source, assignments(), DAY)
        warehouse.write(source, assignments(later, "v1", "v2", "v3", "v4"), later)
    assert analyze.run(settings, source, asked).counts == {"a": 4, "b": 4}
    assert analyze.run(settings, source, asked, later).counts == {"a": 2, "b": 2}
    past = power.Past(source, "unit_id", ("bucket",))
    (taken,) = power.read_past(settings, past)[1]
    assert len(taken.columns) == 8
    with pytest.raises(WarehouseError, match="has no partition 2026-01-06"):
        analyze.run(settings, source, asked, date(2026, 1, 6))
    with pytest.raises(WarehouseError, match=r"experiments\.results is empty"):
        analyze.run(settings, "experiments.results", asked)


def test_a_day_is_refused_of_what_has_none(settings: Settings, tmp_path: Path) -> None:
    table(60).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ContractError, match=r"--ds 2026-01-05 .*t\.csv is a file or folder\. Leave it out"):
        analyze.run(settings, str(tmp_path / "t.csv"), ASKED, DAY)
    with pytest.raises(ContractError, match=r"marketplace\.users is kept whole.*leave --ds out"):
        analyze.run(settings, "marketplace.users", ASKED, DAY)


def test_a_table_without_a_contract_is_read_from_its_folder(settings: Settings) -> None:
    folder = Path(settings.warehouse) / "mydata" / "users"
    folder.mkdir(parents=True)
    rows = table(200)
    rows[:120].to_parquet(folder / "ds=2026-01-05.parquet")
    rows[120:].to_parquet(folder / "ds=2026-01-06.r001.parquet")
    assert sum(analyze.run(settings, "mydata.users", ASKED).counts.values()) == 200
    assert sum(analyze.run(settings, "mydata.users", ASKED, DAY).counts.values()) == 120
    told = r"no file ds=2026-01-09\.parquet; it has 2026-01-05\.\.2026-01-06"
    with pytest.raises(WarehouseError, match=told):
        analyze.run(settings, "mydata.users", ASKED, date(2026, 1, 9))


def test_a_table_that_is_not_there_names_those_that_are(settings: Settings) -> None:
    with pytest.raises(ContractError, match=r"'mydata\.users' is neither .* has none yet\."):
        analyze.run(settings, "mydata.users", ASKED)
    with open_warehouse(settings) as warehouse:
        warehouse.write("experiments.assignments", assignments(), DAY)
    for name in ("mydata.users", "none.csv", "../../no-such-folder", "mydata.users`; DROP"):
        with pytest.raises(
            ContractError, match=r"neither a file nor a table.* has experiments\.assignments\."
        ):
            analyze.run(settings, name, ASKED)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.csv", None, "neither a file nor a table"),
        ("t.txt", "id,arm\n", "no data file"),
        ("t.csv", "id,arm,revenue\nu1,a,1\nu2,b,1,9\n", "cannot be read"),
        ("t.csv", "id,arm\nu1,a,1\nu2,b,2\n", "cannot be read"),
        ("t.csv", "", "cannot be read"),
        ("t.parquet", "id,arm", "cannot be read"),
        ("t.csv", "id,arm\nu\xe9,a\n", "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(
    settings: Settings, tmp_path: Path, name: str, content: str | None, told: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(ContractError, match=told):
        analyze.run(settings, str(tmp_path / name), ASKED)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv.gz", b"no gzip", r"Not a gzipped file.*Copy, write or compress the file once more"),
        ("t.csv", b"user_id,arm,revenue\nu1,a,\xff", r"can't decode.*Save it as UTF-8"),
        ("t.csv", b"user_id,arm,revenue\nu1,a,1,2", r"Give every row as many cells as the header"),
        ("t.parquet", b"none", r"Copy, write or compress the file once more"),
    ],
)
def test_a_damaged_file_names_its_remedy(
    settings: Settings, tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ContractError, match=rf"{name} cannot be read: .*{told}"):
        analyze.run(settings, str(tmp_path / name), ASKED)


@pytest.mark.parametrize(
    "header", ["id,arm,revenue, revenue", "id,arm,revenue,revenue", "id;arm; id ;revenue"]
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_two_columns_of_one_name_are_refused(
    settings: Settings, tmp_path: Path, header: str, suffix: str
) -> None:
    path, name = tmp_path / f"t.{suffix}", "id" if ";" in header else "revenue"
    if suffix == "csv":
        path.write_text(f"{header}\nu1,a,1,2\nu2,b,2,3\n", encoding="utf-8")
    else:
        names = header.replace(";", ",").split(",")
        pq.write_table(pa.table([pa.array(["u1", "u2"])] * 4, names=names), path)
    with pytest.raises(ContractError, match=rf"t\.{suffix} has 2 columns named '{name}'.*Rename them"):
        analyze.run(settings, str(path), ASKED)


def test_columns_without_a_name_are_no_twins(settings: Settings, tmp_path: Path) -> None:
    table(60).to_csv(tmp_path / "t.csv", index=False)
    lines = (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "more.csv").write_text("\n".join(f"{line},," for line in lines), encoding="utf-8")
    whole, more = (
        analyze.run(settings, str(tmp_path / name), ASKED).record() for name in ("t.csv", "more.csv")
    )
    assert whole == more


def test_a_folder_of_files_with_endings_in_upper_case_is_read(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    rows = table(500)
    rows[:250].to_csv(folder / "A.CSV", index=False)
    rows[250:].to_csv(folder / "B.CSV", index=False)
    rows.to_csv(tmp_path / "t.csv", index=False)
    whole = analyze.run(settings, str(tmp_path / "t.csv"), ASKED).record()
    assert analyze.run(settings, str(folder), ASKED).record() == whole


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_gzip_file_says_so(settings: Settings, tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(table(500).to_csv(index=False).encode()))
    (tmp_path / "t.csv.gz").write_bytes(
        packed[: len(packed) // 2] if damage == "cut" else packed[:40] + bytes(200) + packed[240:]
    )
    with pytest.raises(
        ContractError, match=r"t\.csv\.gz cannot be read: .*Copy, write or compress the file once more"
    ):
        analyze.run(settings, str(tmp_path / "t.csv.gz"), ASKED)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"unit": "user"}, "--unit: there is no column 'user'"),
        ({"arm": "amr"}, "--arm: there is no column 'amr'.*Did you mean 'arm'"),
        ({"metrics": ("arm",)}, "Column arm has to hold numbers"),
        ({"covariate": "x"}, "no column 'x'"),
        ({"weights": "a"}, "cannot be read"),
    ],
)
def test_a_question_that_cannot_be_answered(
    settings: Settings, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    table(60).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ExperimentError, match=told):
        analyze.run(settings, str(tmp_path / "t.csv"), analyze.Question(**(vars(ASKED) | change)))  # type: ignore[arg-type]


def test_the_command_prints_and_writes_what_was_asked(tmp_path: Path) -> None:
    source, target = tmp_path / "t.csv", tmp_path / "found.json"
    pd.concat([table(300), table(3)]).to_csv(source, index=False)
    arguments = ["experiment", "analyze", str(source), "--unit", "id", "--arm", "arm", "--metric", "revenue:mean",
                 "--metric", "clicks/views:ratio", "--weights", "control=0.9,treatment=0.1", "--json", str(target)]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "Blocked" in result.output and "clicks/views (delta" in result.output
    assert "added up" in result.output and "p, Holm" in result.output
    record = json.loads(target.read_text(encoding="utf-8"))
    assert list(record) == ["srm", "results", "notes"] and record["srm"]["blocked"] is True
    assert list(record["results"][0]) == ["metric", "arm", "control", "n", "mean", "difference", "difference_ci",
                                          "relative", "relative_ci", "p_value", "method"]  # fmt: skip
    assert any("added up" in note for note in record["notes"])
    assert [row["metric"] for row in record["results"]] == ["revenue", "clicks/views"]


def test_units_in_two_arms_are_told_in_red_and_block(settings: Settings, tmp_path: Path) -> None:
    source, frame = tmp_path / "t.csv", table(1000)
    other = frame[:300].assign(arm=frame["arm"].map({"control": "treatment", "treatment": "control"}))
    pd.concat([frame, other]).to_csv(source, index=False)
    found = analyze.run(settings, str(source), analyze.Question("id", "arm", ("revenue",)))
    assert found.srm_p_value is not None and found.srm_p_value > 0.001 and found.blocked
    shown = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=400)
    analyze.print_analysis(found, shown)
    lines = shown.file.getvalue().splitlines()  # type: ignore[attr-defined]
    red = [line for line in lines if line.startswith("\x1b[1;31m")]
    assert len(red) == 2 and "300 units seen in more than one arm" in red[0] and "Blocked" in red[1]
    assert any("treatment" in line and "700" not in line for line in lines), "the results stay printed"


def test_names_that_look_like_markup_are_printed_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    names = {"control": "[/red]", "treatment": "[bold]new"}
    table(60).replace({"arm": names}).rename(columns={"revenue": "[/x]"}).to_csv(source, index=False)
    result = CliRunner().invoke(
        app,
        [
            "experiment",
            "analyze",
            str(source),
            "--unit",
            "id",
            "--arm",
            "arm",
            "--metric",
            "[/x]",
            "--alpha",
            "0.001",
        ],
    )
    assert result.exit_code == 0, result.output
    assert "Against [/red], 99.9% intervals" in result.output and "[bold]new" in result.output


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be written"):
        write_json({}, tmp_path / "no" / "such.json")
