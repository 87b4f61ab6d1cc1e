"""The jobs assign, results and report over a small local warehouse."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from recsys.errors import ExperimentError, WarehouseError
from recsys.experiments.decision import Decision
from recsys.jobs import assign, decide, declare, experiment_report, fill, migrate, report, results
from recsys.schema import table
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse import open_warehouse
from tests.endpoint import BigQueryEndpoint
from tests.googlesql import record

Decides = Callable[[Settings], None]
START = date(2026, 2, 10)  # of include/experiments/hybrid_vs_popularity.yaml


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(warehouse=str(tmp_path / "warehouse"))


@pytest.fixture(params=["local", "bigquery"])
def either(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of a local warehouse, and of one in BigQuery whose tables are made."""
    if request.param == "local":
        yield settings
        return
    with BigQueryEndpoint(tmp_path / "endpoint") as endpoint:
        for name, value in endpoint.environment("test-project").items():
            monkeypatch.setenv(name, value)
        cloud = Settings(warehouse="bigquery://test-project/demo_", files=str(tmp_path / "files"))
        migrate.run(cloud)
        yield cloud
        record.SENT.extend(endpoint.statements)
        assert not endpoint.violations


def filled(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows with a plain value for every required column that a row leaves out."""
    plain: dict[str, Any] = {"STRING": "x", "INT64": 0, "FLOAT64": 0.0, "NUMERIC": 0, "BOOL": False}
    contract = table(name)
    defaults = {c.name: plain.get(c.type) if c.required else None for c in contract.columns}
    return pd.DataFrame([defaults | row for row in rows])


def write_users(settings: Settings, ds: date, users: list[str]) -> None:
    rows = [{"user_id": user, "ds": ds} for user in users]
    open_warehouse(settings).write("features.user_daily", filled("features.user_daily", rows), ds)


def write_metrics(settings: Settings, ds: date, users: tuple[int, int], revenue: tuple[float, float]) -> None:
    rows = [
        {
            "experiment_id": "hybrid_vs_popularity",
            "metric": metric,
            "arm": arm,
            "scope": scope,
            "segment": "all",
            "segment_value": "all",
            "units": n,
            "num": num * n,
            "den": den * n,
            "num_num": num_num * n,
            "num_den": num_den * n,
            "den_den": den_den * n,
            "ds": ds,
        }
        for scope in ("day", "cumulative")
        for arm, n, total in zip(("popularity", "hybrid"), users, revenue, strict=True)
        for metric, num, den, num_num, num_den, den_den in (
            ("rpu", total / n, 0.0, 3 * (total / n) ** 2, 0.0, 0.0),
            ("conversion", 0.05, 0.0, 0.05, 0.0, 0.0),
            ("ctr", 1.0, 10.0, 2.0, 11.0, 120.0),
        )
    ]
    open_warehouse(settings).write("experiments.metrics_daily", filled("experiments.metrics_daily", rows), ds)
    write_values(settings, ds)
    write_exposures(settings, ds, users)


def write_values(settings: Settings, ds: date) -> None:
    nothing = pd.DataFrame(columns=table("experiments.value_counts").column_names)
    open_warehouse(settings).write("experiments.value_counts", nothing, ds)


def write_exposures(
    settings: Settings, ds: date, users: tuple[int, int], assigned_on: date | None = None
) -> None:
    """So many users of each arm, first exposed at noon of ``ds``, and assigned the day before."""
    arms = [arm for arm, n in zip(("popularity", "hybrid"), users, strict=True) for _ in range(n)]
    units = pd.DataFrame(
        {"experiment_id": "hybrid_vs_popularity", "unit_id": map("u{}".format, range(len(arms)))}
    )
    units["arm"] = arms
    warehouse = open_warehouse(settings)
    exposed = units.assign(
        first_exposed_at=pd.Timestamp(ds, tz="UTC") + pd.Timedelta("12h"), impressions=10, ds=ds
    )
    warehouse.write("experiments.exposures", exposed, ds)
    before = assigned_on or ds - timedelta(days=1)
    units["first_assigned_on"] = assigned_on or START - timedelta(days=1)
    rows = filled("experiments.assignments", units.assign(started_on=START, ds=before).to_dict("records"))
    warehouse.write("experiments.assignments", rows, before)


def test_assignment_covers_every_active_user_and_is_stable_over_days(settings: Settings) -> None:
    users = [f"u{i:05d}" for i in range(500)]
    write_users(settings, START - timedelta(days=1), users)
    write_users(settings, START, [*users[:100], "u'; DROP TABLE x; --", "ユーザー"])
    first = assign.run(settings, START - timedelta(days=1))
    assign.run(settings, START)
    warehouse = open_warehouse(settings)
    before = warehouse.read("experiments.assignments", START - timedelta(days=1)).set_index("unit_id")["arm"]
    after = warehouse.read("experiments.assignments", START).set_index("unit_id")["arm"]
    assert first == {"experiments": ["hybrid_vs_popularity"], "rows": 500, "days_missing": [], "outlived": []}
    assert after.loc[users[:100]].tolist() == before.loc[users[:100]].tolist()
    assert {"u'; DROP TABLE x; --", "ユーザー"} <= set(after.index)
    assert 0.4 < (before == "hybrid").mean() < 0.6


def test_before_an_experiment_nothing_is_assigned_and_the_partition_is_empty(settings: Settings) -> None:
    ds = START - timedelta(days=2)
    write_users(settings, ds, ["u1"])
    assert assign.run(settings, ds)["rows"] == 0
    assert open_warehouse(settings).read("experiments.assignments", ds).empty


def test_assigning_without_features_names_what_makes_them(settings: Settings) -> None:
    with pytest.raises(WarehouseError, match=r"features\.user_daily"):
        assign.run(settings, START)


def test_results_and_report_follow_the_metrics(settings: Settings) -> None:
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 606.0))
    assert results.run(settings, START) == {"rows": 12, "invalid": []}
    console = Console(record=True, width=160)
    report.print_results(settings, START, console)
    printed = console.export_text()
    assert "Revenue per user (EUR)" in printed
    assert "+0.3000 ± 0.0" in printed
    assert "hybrid earns more than popularity" in printed
    path = Path(str(report.run(settings, START)["report"]))
    assert "hybrid earns more than popularity" in path.read_text(encoding="utf-8")


def test_a_broken_split_is_reported_by_the_job(settings: Settings) -> None:
    write_metrics(settings, START, users=(1000, 1400), revenue=(300.0, 606.0))
    assert results.run(settings, START)["invalid"] == ["hybrid_vs_popularity"]


def test_results_of_a_day_without_an_experiment_are_empty(settings: Settings) -> None:
    ds = START - timedelta(days=5)
    open_warehouse(settings).write(
        "experiments.metrics_daily", filled("experiments.metrics_daily", [{}]).iloc[:0], ds
    )
    write_values(settings, ds)
    assert results.run(settings, ds)["rows"] == 0
    assert open_warehouse(settings).read("experiments.checks", ds).empty
    assert decide.run(settings, ds) == {"added": 0, "verdicts": {}}
    assert open_warehouse(settings).read("experiments.decisions", ds).empty
    with pytest.raises(WarehouseError, match="No experiment was read out"):
        report.print_results(settings, ds, Console())


def test_the_warning_of_interference_stands_wherever_money_is_measured(
    settings: Settings, tmp_path: Path
) -> None:
    shutil.copytree(PROJECT_ROOT / "include", tmp_path / "include")
    definition = tmp_path / "include" / "experiments" / "hybrid_vs_popularity.yaml"
    definition.write_text(definition.read_text(encoding="utf-8") + "primary: conversion\nsecondary: [ctr]\n")
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 606.0))
    results.run(replace(settings, home=str(tmp_path)), START)
    assert (checks_of(settings, START)["check_id"] == "interference").sum() == 1


def checks_of(settings: Settings, ds: date) -> pd.DataFrame:
    return open_warehouse(settings).read("experiments.checks", ds)


def failed(settings: Settings, ds: date) -> dict[str, bool]:
    """Checks that failed, and whether they block; the warning that is always there and what was not checked left out."""
    found = checks_of(settings, ds)
    found = found[~found["success"] & ~found["check_id"].isin(["interference", "pre_period"])]
    return dict(zip(found["check_id"], found["blocks"], strict=True))


def test_what_is_in_order_passes_every_check_and_is_told_so(settings: Settings) -> None:
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 606.0))
    results.run(settings, START)
    assert failed(settings, START) == {}
    assert set(checks_of(settings, START)["segment"]) == {"all", "day"}


def test_units_exposed_before_they_were_assigned_block_and_so_does_a_missing_day(settings: Settings) -> None:
    ds = START + timedelta(days=1)
    write_metrics(settings, ds, users=(1000, 1010), revenue=(300.0, 606.0))
    open_warehouse(settings).drop("experiments.assignments", START)
    write_exposures(settings, ds, (1000, 1010), assigned_on=ds)
    results.run(settings, ds)
    assert failed(settings, ds) == {"early_exposure": True, "missing_days": True}


def test_a_unit_that_changed_its_arm_is_told(settings: Settings) -> None:
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 606.0))
    name, before, warehouse = "experiments.assignments", START - timedelta(days=1), open_warehouse(settings)
    for moved, blocks in ((1, False), (3, True)):
        assigned = warehouse.read(name, before)
        assigned.loc[: moved - 1, "arm"] = "nowhere"
        warehouse.write(name, assigned, before)
        results.run(settings, START)
        assert failed(settings, START) == {"two_arms": blocks}, f"{moved} of 2,010 units"


def decisions(settings: Settings, ds: date = START) -> pd.DataFrame:
    return open_warehouse(settings).read("experiments.decisions", ds)


def test_a_decision_is_added_to_and_never_replaced(settings: Settings) -> None:
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 606.0))
    results.run(settings, START)
    assert decide.run(settings, START) == {"added": 1, "verdicts": {"hybrid_vs_popularity": "ship"}}
    first = decisions(settings)
    assert decide.run(settings, START)["added"] == 0, "the same inputs decide nothing new"
    pd.testing.assert_frame_equal(decisions(settings), first)
    write_metrics(settings, START, users=(1000, 1400), revenue=(300.0, 606.0))
    results.run(settings, START)
    assert decide.run(settings, START) == {"added": 1, "verdicts": {"hybrid_vs_popularity": "invalid"}}
    log = decisions(settings)
    assert log["revision"].tolist() == [1, 2]
    pd.testing.assert_frame_equal(log.iloc[:1], first)
    assert log["inputs_hash"].nunique() == 2


def test_a_person_overrules_by_name_and_stays_in_the_log(settings: Settings) -> None:
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 606.0))
    results.run(settings, START)
    decide.run(settings, START)
    one = "hybrid_vs_popularity"
    decide.override(settings, START, one, verdict="stop", by="p-17", why="The supplier left.")
    assert decide.run(settings, START) == {"added": 0, "verdicts": {one: "stop"}}
    write_metrics(settings, START, users=(1000, 1400), revenue=(300.0, 606.0))
    results.run(settings, START)
    assert decide.run(settings, START) == {"added": 1, "verdicts": {one: "stop"}}, (
        "a rebuild overrules nobody"
    )
    decide.override(settings, START, one, by="p-17", why="It was another supplier.")
    assert decide.run(settings, START) == {"added": 0, "verdicts": {one: "invalid"}}
    log = decisions(settings)
    assert log["verdict"].tolist() == ["ship", "stop", "invalid", "invalid"]
    assert log["decided_by"].tolist() == ["rule", "p-17", "rule", "p-17"]
    assert log["why"].tolist()[1] == "The supplier left."


def meanwhile(monkeypatch: pytest.MonkeyPatch, other: Callable[[], object]) -> list[threading.Thread]:
    """Let ``other`` begin when the first row is made and not yet written; it has a second to end before that."""
    begun: list[threading.Thread] = []

    def as_row(decision: Decision) -> dict[str, Any]:
        if not begun:
            begun.append(threading.Thread(target=other))
            begun[0].start()
            begun[0].join(1)
        return asdict(decision)

    monkeypatch.setattr(decide, "asdict", as_row)
    return begun


def decided_twice(settings: Settings) -> None:
    """A decision of the rules is in the log, and the read-out has changed since."""
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 606.0))
    results.run(settings, START)
    decide.run(settings, START)
    write_metrics(settings, START, users=(1000, 1400), revenue=(300.0, 606.0))
    results.run(settings, START)


def overrule(settings: Settings) -> None:
    decide.override(
        settings, START, "hybrid_vs_popularity", verdict="stop", by="p-17", why="The supplier left."
    )


def rule(settings: Settings) -> None:
    decide.run(settings, START)


@pytest.mark.parametrize(("first", "second"), [(rule, overrule), (overrule, rule)])
def test_of_two_that_decide_at_once_both_stay(
    either: Settings, monkeypatch: pytest.MonkeyPatch, first: Decides, second: Decides
) -> None:
    decided_twice(either)
    begun = meanwhile(monkeypatch, lambda: second(either))
    first(either)
    begun[0].join()
    log = decisions(either)
    assert log["revision"].tolist() == [1, 2, 3]
    assert sorted(log["decided_by"]) == ["p-17", "rule", "rule"]
    assert log.loc[log["decided_by"] == "p-17", "why"].tolist() == ["The supplier left."]
    assert decide.run(either, START) == {"added": 0, "verdicts": {"hybrid_vs_popularity": "stop"}}
    one = experiment_report.read_out(either, "hybrid_vs_popularity", START)
    assert [found.revision for found in one.decisions] == [3, 2, 1]
    pd.testing.assert_frame_equal(decisions(either), log)


def test_a_person_does_not_wait_for_looks_to_be_read_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided_twice(settings)

    read_outs = decide._read_outs

    def slowly(*given: Any) -> dict[date, pd.DataFrame]:
        overrule(settings)
        return read_outs(*given)

    monkeypatch.setattr(decide, "_read_outs", slowly)
    decide.run(settings, START)
    assert decisions(settings)["decided_by"].tolist() == ["rule", "p-17", "rule"]


def test_deciding_again_on_the_same_leaves_the_bytes(settings: Settings) -> None:
    decided_twice(settings)
    overrule(settings)
    decide.run(settings, START)
    path = Path(settings.warehouse) / "experiments" / "decisions" / f"ds={START}.parquet"
    before = path.read_bytes()
    assert decide.run(settings, START)["added"] == 0
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.glob("*.parquet")] == [path.name]


def test_a_look_that_no_run_has_read_out_yet_is_read_out_by_the_decision(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PROJECT_ROOT / "include", tmp_path / "include")
    definition = tmp_path / "include" / "experiments" / "hybrid_vs_popularity.yaml"
    text = definition.read_text(encoding="utf-8").replace("end:\n", "end: 2026-02-12\n")
    grouped = text.replace("{kind: always_valid}", "{kind: group_sequential, days: [1, 3]}")
    definition.write_text(grouped, encoding="utf-8")
    settings, ds = replace(settings, home=str(tmp_path)), START + timedelta(days=1)
    for day in (START, ds):
        write_metrics(settings, day, users=(1000, 1010), revenue=(300.0, 606.0))
    for job in (declare, fill):
        monkeypatch.setattr(job, "run", lambda settings, ds: {})
    monkeypatch.setattr(type(open_warehouse(settings)), "build", lambda self, table, ds: None)
    results.run(settings, ds)
    decide.run(settings, ds)
    looked = decisions(settings, ds)
    assert open_warehouse(settings).exists("experiments.results", START)
    results.run(settings, START)
    assert decide.run(settings, ds)["added"] == 0, "the same as if the look had been read out on its day"
    assert looked["rule"].tolist() == ["win"]


def test_what_a_day_has_ended_stands_on_the_days_after_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo's design may be looked at on any day: a bound is crossed on the first, and no more on the second."""
    days = (START, START + timedelta(days=1))
    for day, earned in zip(days, (606.0, 310.0), strict=True):
        write_metrics(settings, day, users=(1000, 1010), revenue=(300.0, earned))
    for job in (declare, fill):
        monkeypatch.setattr(job, "run", lambda settings, ds: {})
    monkeypatch.setattr(type(open_warehouse(settings)), "build", lambda self, table, ds: None)
    results.run(settings, days[1])
    one = "hybrid_vs_popularity"
    assert decide.run(settings, days[1])["verdicts"] == {one: "ship"}, (
        "the first day is read out by the decision"
    )
    (told,) = decisions(settings, days[1])["reason"]
    assert told.endswith(f"every guardrail holds. Decided on {START}.")
    results.run(settings, START)
    decide.run(settings, START)
    assert decide.run(settings, days[1])["added"] == 0, "the same as if the days had been run in order"
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 310.0))
    results.run(settings, START)
    assert decide.run(settings, days[1])["added"] == 1, "another first day is another input"
    assert decisions(settings, days[1])["verdict"].tolist() == ["ship", "continue"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"verdict": "maybe"}, "'maybe' is no verdict; choose one of ship, stop"),
        ({"by": " "}, "the id of the person"),
        ({"by": "rule"}, "the id of the person"),
        ({"why": ""}, "--why is empty"),
        ({"verdict": None}, "Nobody has overruled"),
        (
            {"experiment_id": "other"},
            "'other' was not decided on 2026-02-10; decided were: hybrid_vs_popularity",
        ),
    ],
)
def test_an_override_names_who_and_why(settings: Settings, changes: dict[str, Any], told: str) -> None:
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 606.0))
    results.run(settings, START)
    decide.run(settings, START)
    given = {
        "experiment_id": "hybrid_vs_popularity",
        "verdict": "ship",
        "by": "p-17",
        "why": "Asked.",
    } | changes
    with pytest.raises(ExperimentError, match=told):
        decide.override(settings, START, **given)
    assert len(decisions(settings)) == 1


def redefined(settings: Settings, home: Path, ds: date, old: str = "", new: str = "") -> pd.Series[Any]:
    """Read a day out under a definition with one text replaced; the check that tells whether it was changed."""
    if not (home / "include").exists():
        shutil.copytree(PROJECT_ROOT / "include", home / "include")
    text = (PROJECT_ROOT / "include" / "experiments" / "hybrid_vs_popularity.yaml").read_text(
        encoding="utf-8"
    )
    assert old in text
    (home / "include" / "experiments" / "hybrid_vs_popularity.yaml").write_text(text.replace(old, new))
    write_metrics(settings, ds, users=(1000, 1010), revenue=(300.0, 606.0))
    results.run(replace(settings, home=str(home)), ds)
    found = checks_of(settings, ds)
    return found[found["check_id"] == "definition"].iloc[0]


def test_a_definition_that_was_changed_after_the_first_day_is_told(
    settings: Settings, tmp_path: Path
) -> None:
    first, second = START, START + timedelta(days=1)
    assert redefined(settings, tmp_path, first)["success"]
    assert redefined(settings, tmp_path, second)["success"]
    changed = redefined(settings, tmp_path, second, "alpha: 0.05", "alpha: 0.1")
    assert (changed["success"], changed["blocks"]) == (False, True)
    assert "alpha was 0.05, is 0.1" in changed["message"]
    assert decide.run(replace(settings, home=str(tmp_path)), second)["verdicts"] == {
        "hybrid_vs_popularity": "invalid"
    }
    ended = redefined(settings, tmp_path, second, "end:\n", "end: 2026-02-20\n")
    assert (ended["success"], ended["blocks"]) == (False, False)
    assert "end was none, is 2026-02-20" in ended["message"]


def test_a_first_day_made_again_or_late_does_not_forget_what_was_declared(
    settings: Settings, tmp_path: Path
) -> None:
    redefined(settings, tmp_path, START + timedelta(days=1))
    for _ in range(2):
        assert redefined(settings, tmp_path, START, "alpha: 0.05", "alpha: 0.1")["blocks"]
        assert not redefined(settings, tmp_path, START, "alpha: 0.05", "alpha: 0.1")["success"]
    assert redefined(settings, tmp_path, START)["success"]
