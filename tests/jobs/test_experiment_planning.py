"""The commands ``recsys experiment power`` and ``recsys experiment simulate``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from recsys.cli import app
from recsys.errors import ExperimentError
from recsys.experiments.limits import MOST_LOOKS
from recsys.jobs import power, simulate_experiment
from recsys.settings import Settings
from tests.experiments.analysis.test_analyse import table


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({}, warehouse=str(tmp_path / "warehouse"))


@pytest.fixture
def past(tmp_path: Path) -> power.Past:
    table(600).to_csv(tmp_path / "past.csv", index=False)
    return power.Past(str(tmp_path / "past.csv"), "id", ("revenue", "bought", "clicks/views", "before:p90"))


def test_every_metric_is_planned_for_every_lift(settings: Settings, past: power.Past) -> None:
    found = power.run(settings, past, power.Question(effects=(0.1, 0.2)))
    assert [(r.metric, r.plan.effect) for r in found.rows] == [
        (name, effect) for name in ("revenue", "bought", "clicks/views", "before") for effect in (0.1, 0.2)
    ]
    assert all(
        a.plan.units > 2 * b.plan.units for a, b in zip(found.rows[::2], found.rows[1::2], strict=True)
    )
    assert found.rows[2].baseline == pytest.approx(table(600)["bought"].mean())


def test_so_many_units_show_so_much(settings: Settings, past: power.Past) -> None:
    (row, *_) = power.run(settings, past, power.Question(units=5_000)).rows
    assert row.plan.units == 5_000 and row.plan.power == pytest.approx(0.8, abs=1e-6)
    (told, *_) = power.run(settings, past, power.Question(units=5_000, effects=(row.plan.effect / 2,))).rows
    assert 0.2 < told.plan.power < 0.4


def test_a_plan_from_figures_needs_no_table(settings: Settings) -> None:
    rows = power.run(settings, None, power.Question(effects=(0.02,)), mean=3.0, spread=9.0).rows
    assert rows[0].plan.units > 300_000
    assert len(power.run(settings, None, power.Question(), rate=0.1).rows) == len(power.EFFECTS)


@pytest.mark.parametrize(
    "given", [{}, {"mean": 3.0}, {"spread": 3.0}, {"mean": 3.0, "spread": 1.0, "rate": 0.1}]
)
def test_a_plan_needs_one_ground(settings: Settings, past: power.Past, given: dict[str, float]) -> None:
    with pytest.raises(ExperimentError, match="give one of the three"):
        power.run(settings, None, power.Question(), **given)
    with pytest.raises(ExperimentError, match="give one of the three"):
        power.run(settings, past, power.Question(), rate=0.1)


def test_power_prints_and_writes(past: power.Past, tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    result = CliRunner().invoke(app, ["experiment", "power", past.source, "--unit", "id", "--metric", "revenue", "--covariate", "before",
                                      "--winsorise", "0.99", "--effect", "0.01", "--weights", "a=1,b=1,c=1", "--design", "pocock", "--json", str(target)])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "alpha 0.05 over 2 arms" in result.output and "pocock, 14 looks" in result.output
    (first, *_) = json.loads(target.read_text(encoding="utf-8"))["results"]
    assert first["effect"] == 0.01 and set(first["units_by_arm"]) == {"a", "b", "c"}


@pytest.mark.parametrize("effect", [-1.0, -2.0, float("nan"), float("inf")])
def test_a_lift_that_takes_all_there_is_is_refused(
    settings: Settings, past: power.Past, effect: float
) -> None:
    with pytest.raises(ExperimentError, match=r"The effect is .*it has to lie above -1, like -0\.02"):
        power.run(settings, past, power.Question(effects=(0.1, effect)))
    with pytest.raises(ExperimentError, match="it has to lie above -1"):
        power.run(settings, None, power.Question(effects=(effect,)), mean=3.0, spread=9.0)
    with pytest.raises(ExperimentError, match="it has to lie above -1"):
        simulate_experiment.run(settings, past, simulate_experiment.Question(runs=3, effect=effect))


def test_a_loss_of_nearly_all_is_planned(settings: Settings) -> None:
    (row,) = power.run(settings, None, power.Question(effects=(-0.99,)), mean=3.0, spread=9.0).rows
    assert row.plan.units > 100


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["power", "--unit", "id"], "--unit goes with a table"),
        (["power", "--rate", "0.1", "--ds", "2026-01-05"], "--ds goes with a table"),
        (["simulate", "--ds", "2026-01-05"], "--ds goes with a table"),
        (["simulate", "--winsorise", "0.9"], "--winsorise goes with a table"),
        (["power", "x.csv"], "needs --unit and --metric"),
        (["simulate", "x.csv", "--unit", "id"], "needs --unit and --metric"),
    ],
)
def test_options_that_go_with_a_table(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(app, ["experiment", *arguments])
    assert isinstance(result.exception, ExperimentError) and told in str(result.exception)


def test_looks_are_bounded_as_in_a_definition() -> None:
    result = CliRunner().invoke(
        app, ["experiment", "power", "--rate", "0.1", "--design", "pocock", "--looks", str(MOST_LOOKS + 1)]
    )
    assert result.exit_code == 2 and "--looks" in result.output


def test_experiments_are_played_on_the_units_of_a_table(settings: Settings, past: power.Past) -> None:
    asked = power.Past(past.source, "id", ("revenue", "bought"), covariate="before", winsorise=0.98)
    found = simulate_experiment.run(settings, asked, simulate_experiment.Question(runs=80))
    cases = {(r.metric, r.cuped, r.winsorised) for r in found.rows}
    assert len(cases) == 6 and len(found.rows) == 12
    assert all(abs(r.rejected - r.promised) < 4.5 * r.error for r in found.rows)
    assert all(r.units == 600 and r.effect >= 0 for r in found.rows)
    wide, narrow = (
        next(r.effect for r in found.rows if r.effect and r.metric == "revenue" and r.cuped == on)
        for on in (False, True)
    )
    assert narrow < wide, "with a covariate, a smaller lift is found as often"


def test_a_lift_that_is_asked_for_is_played(settings: Settings, past: power.Past) -> None:
    asked = power.Past(past.source, "id", ("bought",))
    found = simulate_experiment.run(
        settings, asked, simulate_experiment.Question(runs=20, units=200, effect=-0.5)
    )
    assert [r.effect for r in found.rows] == [0.0, -0.5]
    assert found.rows[1].rejected > 0.5 and found.rows[1].ks_p_value is None


def test_simulate_plays_without_a_table_and_writes(tmp_path: Path) -> None:
    target = tmp_path / "played.json"
    result = CliRunner().invoke(
        app, ["experiment", "simulate", "--runs", "3", "--units", "400", "--json", str(target)]
    )
    assert result.exit_code == 0, result.output
    assert "3 experiments each" in result.output and "CUPED" in result.output
    record = json.loads(target.read_text(encoding="utf-8"))
    assert record["runs"] == 3 and {r["kind"] for r in record["results"]} == {
        "mean",
        "proportion",
        "ratio",
        "quantile",
    }


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("zero", "value in the past is 0"),
        ("zero:mean", "value in the past is 0"),
        ("zero:p90", "value in the past is 0"),
        ("revenue/zero", "denominator has a mean of 0"),
        ("nothing", "0 units"),
        ("nothing:proportion", "0 units"),
        ("nothing:p90", "0 units"),
    ],
)
def test_a_metric_without_a_past_is_named(settings: Settings, tmp_path: Path, metric: str, told: str) -> None:
    table(60).assign(zero=0, nothing=None).to_csv(tmp_path / "t.csv", index=False)
    past = power.Past(str(tmp_path / "t.csv"), "id", (metric,))
    for question in (power.Question(), power.Question(units=60), power.Question(units=60, effects=(0.1,))):
        with pytest.raises(ExperimentError, match=f"Metric {metric.partition(':')[0]}: .*{told}"):
            power.run(settings, past, question)
    for effect in (None, 0.1):
        with pytest.raises(ExperimentError, match=f"Metric {metric.partition(':')[0]}: .*{told}"):
            simulate_experiment.run(settings, past, simulate_experiment.Question(runs=3, effect=effect))


def test_a_metric_that_cannot_be_planned_leaves_the_others_planned(
    settings: Settings, tmp_path: Path
) -> None:
    table(600).assign(zero=0).to_csv(tmp_path / "t.csv", index=False)
    past = power.Past(str(tmp_path / "t.csv"), "id", ("revenue", "zero", "bought"))
    found = power.run(settings, past, power.Question(effects=(0.1, 2.0)))
    assert [(row.metric, row.effect, row.plan is None) for row in found.rows] == [
        ("revenue", 0.1, False),
        ("revenue", 2.0, False),
        ("zero", None, True),
        ("bought", 0.1, False),
        ("bought", 2.0, True),
    ]
    assert "value in the past is 0" in str(found.rows[2].reason)
    assert "cannot change by +200%" in str(found.rows[4].reason)
    alone = power.run(settings, power.Past(past.source, "id", ("revenue",)), power.Question(effects=(0.1,)))
    assert alone.rows[0] == found.rows[0]


def test_the_reason_without_a_plan_is_printed_and_written(tmp_path: Path) -> None:
    table(600).assign(zero=0).to_csv(tmp_path / "t.csv", index=False)
    target = tmp_path / "plan.json"
    arguments = ["power", str(tmp_path / "t.csv"), "--unit", "id", "--metric", "zero:p50", "--metric", "revenue",
                 "--units", "5000", "--json", str(target)]  # fmt: skip
    result = CliRunner().invoke(app, ["experiment", *arguments])
    assert result.exit_code == 0, result.output
    assert "not planned" in result.output and "Its value in" in result.output
    without, planned = json.loads(target.read_text(encoding="utf-8"))["results"]
    assert (without["metric"], without["units"], without["power"]) == ("zero", None, None)
    assert "value in the past is 0" in without["reason"]
    assert (planned["units"], planned["reason"]) == (5000, None)


@pytest.mark.usefixtures("wide_console")
def test_a_metric_that_cannot_be_played_leaves_the_others_played(tmp_path: Path) -> None:
    table(600).assign(zero=0).to_csv(tmp_path / "t.csv", index=False)
    target = tmp_path / "played.json"
    arguments = ["simulate", str(tmp_path / "t.csv"), "--unit", "id", "--metric", "revenue", "--metric", "zero:mean", "--metric", "bought",
                 "--covariate", "before", "--winsorise", "0.98", "--effect", "2", "--runs", "5", "--json", str(target)]  # fmt: skip
    result = CliRunner().invoke(app, ["experiment", *arguments])
    assert result.exit_code == 0, result.output
    assert "not played" in result.output and "5 experiments each" in result.output
    rows = json.loads(target.read_text(encoding="utf-8"))["results"]
    assert [row["metric"] for row in rows] == ["revenue"] * 8 + ["zero", "bought"]
    assert len({tuple(row) for row in rows}) == 1, "every row has the same keys"
    assert all(row["reason"] is None and row["as_promised"] is not None for row in rows[:8])
    assert "value in the past is 0" in rows[8]["reason"] and "cannot change by" in rows[9]["reason"]
    assert all(row["rejected"] is None and row["as_promised"] is None for row in rows[8:])


def test_a_capped_metric_is_held_against_its_own_lift(settings: Settings, past: power.Past) -> None:
    asked = power.Past(past.source, "id", ("revenue",), winsorise=0.9)
    found = simulate_experiment.run(settings, asked, simulate_experiment.Question(runs=300, effect=0.8))
    plain, capped = (row for row in found.played if row.effect)
    assert plain.tested_lift == 0.8 and 0 < capped.tested_lift < 0.6
    assert capped.coverage > 0.9 and capped.as_promised


@pytest.mark.parametrize(
    ("change", "marked"),
    [
        ({}, None),
        ({"rejected": 0.09}, "! 9.0%"),
        ({"coverage": 0.90}, "! 90.0% ± 1.4%"),
        ({"coverage": 0.935}, None),
        ({"ks_p_value": 0.0004}, "! 0.000"),
        ({"ks_p_value": 0.004}, None),
        ({"ks_p_value": None}, None),
    ],
)
def test_every_figure_is_held_against_its_promise(change: dict[str, float], marked: str | None) -> None:
    known = {"rejected": 0.05, "promised": 0.05, "error": 0.0069, "coverage": 0.95, "coverage_promised": 0.95,
             "coverage_error": 0.0069, "ks_p_value": 0.5}  # fmt: skip
    row = simulate_experiment.Row("revenue", "mean", False, False, 900, 0.0, 0.0, **(known | change))
    shown = Console(file=io.StringIO(), width=200)
    simulate_experiment.print_answer(simulate_experiment.Answer(1000, (row,), ()), shown)
    printed = shown.file.getvalue()  # type: ignore[attr-defined]
    assert row.as_promised is (marked is None)
    assert ("as near to the promise as chance allows" in printed) is (marked is None)
    assert "!" not in printed if marked is None else f"{marked}" in printed and "1 of 1 rows" in printed


def test_too_little_to_play(settings: Settings, tmp_path: Path) -> None:
    table(3).to_csv(tmp_path / "t.csv", index=False)
    few = power.Past(str(tmp_path / "t.csv"), "id", ("revenue",))
    with pytest.raises(ExperimentError, match="3 units of revenue are no experiment"):
        simulate_experiment.run(settings, few, simulate_experiment.Question(runs=3))
