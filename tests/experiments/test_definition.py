"""Experiment files: good ones load, bad ones say what to write."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from recsys.errors import ExperimentError
from recsys.experiments.definition import Design, Layer, check_metrics, load_experiments, parse_experiment
from recsys.experiments.definition.checks import problems_between
from recsys.experiments.definition.parse import FIELDS
from recsys.experiments.metrics import load_metrics
from recsys.settings import PROJECT_ROOT, Settings


def content(**changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "id": "e",
        "hypothesis": "h",
        "unit": "user",
        "salt": "s",
        "start": date(2026, 2, 10),
        "control": "a",
        "arms": {"a": {"policy": "popularity", "weight": 0.5}, "b": {"policy": "hybrid", "weight": 0.5}},
    }
    return good | changes


def offers(*policies: str | None) -> dict[str, Any]:
    """Arms a and b of sellers, with these policies."""
    stated = policies or ("no_keywords", "keywords")
    arms = {name: {"weight": 0.5, "policy": policy} for name, policy in zip("ab", stated, strict=True)}
    return {"arms": arms, "control": "a"}


def test_the_project_s_own_experiments_load() -> None:
    experiments = load_experiments(Settings.load({}).experiments_dir)
    assert [e.id for e in experiments] == ["hybrid_vs_popularity"]


def test_days_are_inclusive_and_assignment_starts_the_day_before_serving() -> None:
    experiment = parse_experiment(content(end=date(2026, 2, 12)), "x")
    assert [experiment.serves_on(date(2026, 2, d)) for d in (9, 10, 12, 13)] == [False, True, True, False]
    read_out = [experiment.is_read_out_on(date(2026, 2, d), late_days=2) for d in (9, 10, 12, 14, 15)]
    assert read_out == [False, True, True, True, False], "what comes late is read out too"
    assert [experiment.is_assigned_on(date(2026, 2, d)) for d in (8, 9, 11, 12)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unit": "shop"}, "unit is 'shop'; choose one of"),
        ({"unit": "cluster"}, "keywords for sellers, so leave it out where the unit is cluster"),
        ({"unit": "campaign"}, "keywords for sellers, so leave it out where the unit is campaign"),
        ({"unit": "seller"}, r"choose one of \('keywords', 'no_keywords'\), or leave it out of every arm"),
        (
            {"unit": "seller"} | offers("keywords", None),
            r"arm 'b' has policy None; choose one of \('keywords'",
        ),
        (
            {"unit": "seller"} | offers(),
            "2026-02-10 is a Tuesday; the keywords that sellers are offered change",
        ),
        ({"start": "tomorrow"}, "start is 'tomorrow'; write a date as YYYY-MM-DD"),
        ({"end": date(2026, 1, 1)}, "lies before start"),
        ({"salt": ""}, "salt is ''; write a text"),
        ({"control": "c"}, "control 'c' is no arm"),
        ({"alpha": 2}, "alpha is 2; it has to lie between 0 and 1"),
        ({"arms": {"a": {"policy": "popularity", "weight": 1}}}, "at least two arms"),
        (
            {"arms": {"a": {"policy": "x", "weight": 0.5}, "b": {"policy": "hybrid", "weight": 0.5}}},
            "policy 'x'",
        ),
        (
            {"arms": {"a": {"policy": "hybrid", "weight": 0.5}, "b": {"policy": "hybrid", "weight": 0.6}}},
            "sum to 1.1",
        ),
        (
            {"arms": {"a": {"policy": "hybrid"}, "b": {"policy": "hybrid", "weight": 0.6}}},
            "exactly policy and weight",
        ),
        ({"colour": "red"}, "unknown field colour.*; the fields are id, "),
        ({"ramps": []}, r"unknown field ramps \(did you mean ramp\?\)"),
    ],
)
def test_bad_definitions_name_the_value_and_the_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        parse_experiment(content(**changes), "file.yaml")


def test_a_missing_field_and_a_repeated_id_are_refused(tmp_path: Path) -> None:
    incomplete = content()
    del incomplete["salt"]
    with pytest.raises(ExperimentError, match=r"missing fields \['salt'\]"):
        parse_experiment(incomplete, "file.yaml")
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content()))
    with pytest.raises(ExperimentError, match="define experiment 'e'"):
        load_experiments(tmp_path)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ExperimentError, match=r"broken\.yaml cannot be read as YAML"):
        load_experiments(tmp_path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("end: 2026-02-30", r"2026-02-30 is no timestamp \(day is out of range for month\)"),
        ("guardrails: {cancel_rate: 0.05}\nguardrails: {}", "the key 'guardrails' stands in line 1 already"),
        (
            "arms: {off: {weight: 0.5}, on: {weight: 0.5}}",
            "the key off is read as bool, not as a text; quote it",
        ),
    ],
)
def test_what_yaml_takes_for_something_else_is_told_with_the_file(
    tmp_path: Path, line: str, told: str
) -> None:
    kept = {name: value for name, value in content().items() if name not in line}
    (tmp_path / "mine.yaml").write_text(f"{line}\n{yaml.safe_dump(kept)}")
    with pytest.raises(ExperimentError, match=rf"mine\.yaml cannot be read as YAML: {told}"):
        load_experiments(tmp_path)


def documented() -> list[dict[str, Any]]:
    """The YAML blocks of the page about definitions."""
    page = (PROJECT_ROOT / "docs" / "experiment-definition.md").read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]


def test_the_examples_of_the_documents_load_and_every_field_is_explained() -> None:
    least, most = (parse_experiment(block, "page") for block in documented())
    assert set(FIELDS) - set(documented()[1]) == {"use"}, (
        "lists are not used or left; docs/keyword-experiments.md"
    )
    assert (least.primary, least.secondary, least.design, least.looks) == (
        "rpu",
        ("conversion", "ctr"),
        Design("fixed"),
        (),
    )
    assert most.layer == Layer("lists", 0, 4999)
    assert [(step.day.day, step.buckets) for step in most.ramp] == [(2, 500), (5, 5000), (9, 10_000)]
    assert most.design == Design("group_sequential", (7, 14, 21, 28), "obrien_fleming")
    assert most.looks == tuple(date(2026, 3, day) for day in (8, 15, 22, 29))
    assert most.metrics == ("rpu", "conversion", "ctr", "cancel_rate", "bounce_rate")
    page = (PROJECT_ROOT / "docs" / "experiment-definition.md").read_text(encoding="utf-8")
    table = page[page.index("| field |") : page.index("## Who takes part")]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(FIELDS)


DAY = date(2026, 2, 10)
END = date(2026, 3, 9)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"id": "lists/2026"},
            "id is 'lists/2026'; it is part of its page's address, so write A-Z, a-z, 0-9",
        ),
        ({"id": ".."}, r"id is '\.\.'; .* no \. first"),
        ({"id": "e\n"}, r"id is 'e\\n'; it is part"),
        ({"id": "é"}, "id is 'é'; it is part"),
        ({"control": False}, "control is False; quote it"),
        ({"hypothesis": ""}, "hypothesis is ''; write a text"),
        ({"start": None}, "start is None; write the first day of serving"),
        ({"start": datetime(2026, 2, 10, 1)}, "write a date as YYYY-MM-DD"),
        ({"salt": "layer:x"}, "may not begin with holdout:, layer:, ramp:"),
        ({"alpha": True}, "alpha is True; it has to lie between 0 and 1"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"power": 1}, "power is 1; it has to lie between 0 and 1"),
        ({"minimum_effect": 0}, "minimum_effect is 0"),
        ({"holdout": 1}, r"holdout is 1; it has to lie between 0 \(included\) and 1"),
        ({"holdout": 0.00001}, "holdout is 1e-05; the least is one bucket, 0.0001"),
        ({"winsorise": 0.2}, "winsorise is 0.2; it has to lie between 0.5 and 1"),
        ({"covariate_days": 1.5}, "covariate_days is 1.5; write a whole number between 0 and 365"),
        ({"segments": "region"}, "segments is 'region'; write a list"),
        ({"secondary": ["ctr", "ctr"]}, "write a list of distinct names"),
        ({"primary": "ctr", "secondary": ["ctr"]}, "metric 'ctr' is primary and secondary"),
        ({"guardrails": ["ctr"]}, "guardrails is .*; write a mapping of fields"),
        ({"guardrails": {"ctr": 1}}, "guardrails.ctr is 1"),
        ({"guardrails": {"ctr": None}}, "guardrails.ctr is None; write the relative loss"),
        (
            {"arms": {"a": {"policy": "hybrid", "weight": 0}, "b": {"policy": "hybrid", "weight": 1}}},
            "has weight 0",
        ),
        (
            {"arms": {"a": {"policy": "hybrid", "weight": "1/2"}, "b": 3}},
            "arm 'b' needs exactly policy and weight",
        ),
        (
            {
                "arms": {
                    "a": {"policy": "hybrid", "weight": 0.99999},
                    "b": {"policy": "hybrid", "weight": 0.00001},
                }
            },
            "the least is one bucket, 0.0001",
        ),
        (
            {
                "arms": {
                    "a": {"policy": "hybrid", "weight": 0.00035},
                    "b": {"policy": "hybrid", "weight": 0.0001},
                    "c": {"policy": "hybrid", "weight": 0.99955},
                }
            },
            "arm 'b' has weight 0.0001, but is left no bucket .* every weight as a multiple of 0.0001",
        ),
        ({"layer": {"name": "l"}}, "write either its last bucket or its share"),
        ({"layer": {"name": "l", "last": 9, "share": 0.1}}, "write either its last bucket or its share"),
        (
            {"layer": {"name": "l", "first": 10, "last": 9}},
            "layer.last is 9; write a whole number between 10 and 9999",
        ),
        ({"layer": {"name": "l", "first": 6000, "share": 0.5}}, "bucket 10999 would be its last"),
        ({"layer": {"name": "l", "last": 9, "size": 3}}, r"unknown field layer\.size"),
        ({"ramp": {"share": 1}}, "ramp is .*; write a list of steps"),
        ({"ramp": [{"from": DAY}]}, r"ramp\[1\]\.from is .* a step needs from"),
        ({"ramp": [{"from": END, "share": 1}]}, "ramp begins on 2026-03-09; its first step is the start"),
        (
            {"ramp": [{"from": DAY, "share": 0.5}, {"from": DAY, "share": 1}]},
            "does not come after 2026-02-10",
        ),
        ({"ramp": [{"from": DAY, "share": 0.5}, {"from": END, "share": 0.1}]}, "a share only grows"),
        (
            {"ramp": [{"from": DAY, "share": 0.5}, {"from": END, "share": 1}], "end": date(2026, 3, 1)},
            "after the end",
        ),
        ({"ramp": [{"from": DAY, "share": 0.00001}]}, "less than one bucket"),
        (
            {"eligibility": {"table": "staging.events", "where": "TRUE"}},
            r"eligibility\.table is 'staging.events'; choose",
        ),
        (
            {"eligibility": {"where": "purchases > 0"}},
            r"eligibility\.where is .* has no column 'purchases' to ask",
        ),
        ({"eligibility": "is_new"}, "eligibility is 'is_new'; write a mapping of fields"),
        ({"design": {"kind": "bayes"}}, "design.kind is 'bayes'; choose one of"),
        ({"design": {"kind": "fixed", "looks": 3}}, "design.looks is 3; a design of kind fixed has no looks"),
        ({"design": {"kind": "group_sequential"}}, "write either looks .* or days"),
        ({"design": {"kind": "group_sequential", "looks": 4}}, "a number of looks needs an end"),
        (
            {"design": {"kind": "group_sequential", "looks": 101}, "end": END},
            "design.looks is 101; write a whole number between 1 and 100",
        ),
        ({"design": {"kind": "group_sequential", "days": [7, 7]}}, "each look has to be later"),
        ({"design": {"kind": "group_sequential", "days": [0]}}, "design.days is .* counted from the start"),
        (
            {"design": {"kind": "group_sequential", "days": [7, 40]}, "end": END},
            "looks last on 2026-03-21, after the end",
        ),
        ({"design": {"kind": "group_sequential", "days": [7], "spending": "x"}}, "design.spending is 'x'"),
        (
            {"design": {"kind": "group_sequential", "days": [7], "rho": 3}},
            "only spending: power has an exponent",
        ),
        ({"design": {"kind": "always_valid", "rho": -1}}, "design.rho is -1"),
    ],
)
def test_every_field_is_held_to_what_is_allowed(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError, match=told) as error:
        parse_experiment(content(**changes), "file.yaml")
    assert str(error.value).startswith("file.yaml: ")


def test_weights_of_thirds_are_taken_however_they_are_written() -> None:
    for weights in ((1 / 3,) * 3, (0.3333333333,) * 3, (0.3333, 0.3333, 0.3334)):
        arms = {name: {"policy": "hybrid", "weight": w} for name, w in zip("abc", weights, strict=True)}
        assert parse_experiment(content(arms=arms), "x").shares == pytest.approx(
            dict.fromkeys("abc", 1 / 3), abs=1e-4
        )


def test_one_error_tells_everything() -> None:
    wrong = content(alpha=2, holdout=-1, salt="", control="c", colour="red", design={"kind": "x"})
    with pytest.raises(ExperimentError) as error:
        parse_experiment(wrong, "file.yaml")
    for told in (
        "alpha is 2",
        "holdout is -1",
        "salt is ''",
        "'c' is no arm",
        "colour",
        "design.kind is 'x'",
    ):
        assert told in str(error.value)


def test_designs_say_when_they_look() -> None:
    powers = {"kind": "group_sequential", "days": [1, 8], "spending": "power", "rho": 3}
    assert parse_experiment(content(design=powers), "x").design == Design(
        "group_sequential", (1, 8), "power", 3.0
    )
    assert parse_experiment(content(design=powers), "x").looks == (DAY, date(2026, 2, 17))
    three = content(design={"kind": "group_sequential", "looks": 3}, end=date(2026, 2, 19))
    assert parse_experiment(three, "x").looks == tuple(date(2026, 2, day) for day in (13, 16, 19))
    always = parse_experiment(content(design={"kind": "always_valid", "rho": 0.1}, end=END), "x")
    assert (always.design, always.looks) == (Design("always_valid", rho=0.1), ())
    assert parse_experiment(content(end=END), "x").looks == (END,)


def two(one: dict[str, Any], other: dict[str, Any]) -> list[Any]:
    made = (content(id="one", salt="1") | one, content(id="other", salt="2") | other)
    return [parse_experiment(fields, "x") for fields in made]


def test_experiments_are_held_against_each_other() -> None:
    def layer(first: int, last: int, name: str = "l") -> dict[str, Any]:
        return {"layer": {"name": name, "first": first, "last": last}}

    seller = {"unit": "seller", "arms": {"a": {"weight": 0.5}, "b": {"weight": 0.5}}}
    assert problems_between(two({}, {})) == []
    assert "share the salt '1'" in problems_between(two({}, {"salt": "1"}))[0]
    assert problems_between(two(layer(0, 4999), layer(5000, 9999))) == []
    (told,) = problems_between(two(layer(0, 5000), layer(5000, 9999)))
    assert (
        "'one' (buckets 0..5000) and 'other' (buckets 5000..9999) run at the same time in layer 'l'" in told
    )
    assert problems_between(two(layer(0, 5000), layer(5000, 9999, "m"))) == []
    assert problems_between(two(layer(0, 9) | {"end": DAY}, layer(0, 9) | {"start": date(2026, 2, 11)})) == []
    assert len(problems_between(two(layer(0, 9) | {"end": DAY}, layer(0, 9)))) == 1
    (told,) = problems_between(two(layer(0, 9), layer(10, 19) | seller))
    assert "a layer divides units of one kind" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"beside": ["e"]}, "beside names 'e', which is the experiment itself"),
        ({"beside": "other"}, "beside is 'other'; write a list of distinct names"),
        (
            {"unit": "seller", "arms": {"a": {"weight": 0.5}, "b": {"weight": 0.5}}, "beside": ["other"]},
            "it stands beside a split of buyers, so leave it out where the unit is seller",
        ),
    ],
)
def test_what_stands_beside_is_another_experiment_of_a_split_of_buyers(
    changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ExperimentError, match=told):
        parse_experiment(content(**changes), "file.yaml")


@pytest.mark.parametrize("unit", ["seller", "campaign", "cluster"])
def test_what_stands_beside_is_defined_and_splits_what_buyers_compete_for(unit: str) -> None:
    contained = {"unit": unit, "arms": {"a": {"weight": 0.5}, "b": {"weight": 0.5}}}
    assert problems_between(two({"beside": ["other"]}, contained)) == []
    (told,) = problems_between(two({"beside": ["othr"]}, contained))
    assert (
        told
        == "'one' has 'othr' beside it, which no file defines (did you mean other?); defined are one, other"
    )
    (told,) = problems_between(two({"beside": ["other"]}, {}))
    assert "'one' has 'other' beside it, whose unit is user; name an experiment whose unit is one of" in told


def test_metrics_have_to_be_declared_and_suit_the_unit() -> None:
    metrics = load_metrics(Settings.load({}).metrics_path)
    fine = parse_experiment(content(guardrails={"cancel_rate": 0.1}), "x")
    check_metrics([fine], metrics)
    with pytest.raises(
        ExperimentError, match=r"experiment 'e': there is no metric 'rpuu'\. Did you mean rpu"
    ):
        check_metrics([parse_experiment(content(primary="rpuu"), "x")], metrics)
    with pytest.raises(
        ExperimentError, match="metric 'exposure_gini' is measured for the unit seller, not user"
    ):
        check_metrics([parse_experiment(content(secondary=["exposure_gini"]), "x")], metrics)
    with pytest.raises(
        ExperimentError, match="experiment 'e': segment 'town'; choose of region, gender, tenure"
    ):
        check_metrics([parse_experiment(content(segments=["region", "town"]), "x")], metrics)


def test_sellers_who_are_offered_keywords_are_exposed_when_assigned() -> None:
    metrics = load_metrics(Settings.load({}).metrics_path)
    of_ads = content(unit="seller", primary="ad_purchase_rate", start=date(2026, 2, 9))
    plain = {"a": {"weight": 0.5}, "b": {"weight": 0.5}}
    without = parse_experiment(of_ads | {"arms": plain, "control": "a"}, "x")
    assert not without.offers_keywords
    with pytest.raises(
        ExperimentError, match="'ad_purchase_rate' is of ads, and sellers without a policy are"
    ):
        check_metrics([without], metrics)
    offered = parse_experiment(of_ads | offers(), "x")
    assert offered.offers_keywords
    check_metrics([offered], metrics)
    check_metrics([parse_experiment(of_ads | offers("keywords", "keywords"), "x")], metrics)
    steps = [
        {"from": day, "share": share} for day, share in ((date(2026, 2, 9), 0.1), (date(2026, 2, 12), 1))
    ]
    with pytest.raises(ExperimentError, match="2026-02-12 is a Thursday"):
        parse_experiment(of_ads | offers() | {"ramp": steps}, "x")
