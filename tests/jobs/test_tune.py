"""The search for hyper-parameters: it goes on where it was stopped, and never looks at the days kept for a test."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from recsys import schema
from recsys.errors import ModelError
from recsys.evaluation import tuning_ranker
from recsys.evaluation.tuning import PROOF, Range
from recsys.jobs import train, tune
from recsys.models import EASE, ItemKNN, OwnHistory
from recsys.ranking import shop as shop_ranking
from recsys.ranking.shop_data import ShopData
from recsys.ranking.shop_heads import Boosts
from recsys.ranking.shop_training import Recipe, boost_values
from recsys.ranking.training import make_retrievers
from recsys.ranking.tuned import Tuned
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.jobs.test_backtest import CUT, LAST, shop
from tests.ranking.test_shop_scorer import SMALL

__all__ = ["shop"]
END = CUT - timedelta(days=1)
KEEP = (LAST - END).days
OPTIONS: dict[str, Any] = {"keep": KEEP, "days": 21, "k": 5, "models": ("item_knn", "own_history")}


@pytest.fixture
def copied(shop: Settings, tmp_path: Path) -> Iterator[Settings]:
    shutil.copytree(shop.warehouse, tmp_path / "copy")
    yield replace(shop, warehouse=str(tmp_path / "copy"), home=str(tmp_path / "home"))


def trials(settings: Settings, model: str) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{settings.files_dir / tune.FOLDER / 'optuna.db'}"
    (name,) = [n for n in optuna.get_all_study_names(storage) if f" {model} " in n]
    return optuna.load_study(study_name=name, storage=storage).trials


def values(settings: Settings, model: str) -> list[tuple[dict[str, Any], float | None]]:
    return [(trial.params, trial.value) for trial in trials(settings, model)]


def test_the_choice_lands_in_a_file_that_training_reads(copied: Settings) -> None:
    said: list[str] = []
    found = tune.run(copied, LAST, minutes=5, most_trials=6, progress=said.append, **OPTIONS)
    assert found["written"] == str(copied.tuned_path)
    content = yaml.safe_load(copied.tuned_path.read_text())
    assert content["item_unit"] == "item"
    assert set(content["models"]) == {"item_knn", "own_history"}
    for name, entry in content["models"].items():
        assert entry["read_until"] == str(END)
        assert entry["validation"] == ["2025-10-20 to 2025-11-09", "2025-11-10 to 2025-11-30"]
        assert (entry["metric"], entry["seed"]) == ("ndcg@5", copied.seed)
        assert entry["trials"] + entry["pruned"] == 6
        done = [trial.value for trial in trials(copied, name) if trial.state.name == "COMPLETE"]
        best = max(value for value in done if value is not None)
        assert entry["value"] == pytest.approx(best, abs=2e-3)
        # Values are taken only where they are better by more than PROOF errors, and then training has them.
        model = make_retrievers("item", 1, Tuned.read(copied.tuned_path))[name]
        assert bool(entry["values"]) == (entry["value"] - entry["default"] > PROOF * entry["error"])
        assert {field: getattr(model, field) for field in entry["values"]} == entry["values"]
    assert sum("best" in line for line in said) == 12


def test_the_first_trial_is_what_is_in_place(copied: Settings) -> None:
    tune.run(copied, LAST, minutes=0, **OPTIONS)  # no time: one finished trial each
    assert [params for params, _ in values(copied, "item_knn")] == [{"neighbours": 100, "distance": "bm25"}]


def test_a_search_goes_on_where_it_was_stopped(copied: Settings) -> None:
    options = OPTIONS | {"models": ("item_knn",)}
    tune.run(copied, LAST, minutes=5, most_trials=2, **options)
    first = values(copied, "item_knn")
    said: list[str] = []
    tune.run(copied, LAST, minutes=5, most_trials=4, progress=said.append, **options)
    both = values(copied, "item_knn")
    assert (len(first), len(both)) == (2, 4)
    assert both[:2] == first
    assert "item_knn: going on after 2 trials" in said
    assert sum("item_knn: trial" in line for line in said) == 2


def test_no_row_after_the_validation_is_read(copied: Settings, shop: Settings, tmp_path: Path) -> None:
    options = OPTIONS | {"models": ("own_history",)}
    tune.run(copied, LAST, minutes=5, most_trials=3, **options)
    shutil.copytree(shop.warehouse, tmp_path / "blind")
    blind = replace(copied, warehouse=str(tmp_path / "blind"))
    with open_warehouse(blind) as warehouse:
        for table in (*schema.STAGING, *schema.FEATURES):
            for day in warehouse.partitions(table.name):
                if day > END:
                    warehouse.drop(table.name, day)
    tune.run(blind, LAST, minutes=5, most_trials=3, **options)
    assert len(values(blind, "own_history")) == 3
    assert values(blind, "own_history") == values(copied, "own_history")


def test_what_cannot_be_tuned_is_refused(copied: Settings) -> None:
    with pytest.raises(
        ModelError, match=r"how to tune 'as'; choose from popularity, item_knn, als, .* ranker"
    ):
        tune.run(copied, LAST, models=("as",))
    with pytest.raises(ModelError, match="No metric 'luck'"):
        tune.run(copied, LAST, metric="luck")
    with pytest.raises(ModelError, match="No user known before"):
        tune.run(copied, LAST, keep=KEEP, days=100)


def test_the_trees_of_a_shop_are_tuned_on_days_before_those_that_are_kept(
    copied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "of_ranker", partial(tuning_ranker.of_ranker, recipe=SMALL))
    small = {"trees": Range(2, 40, whole=True), "leaves": Range(2, 15, whole=True)}
    space = {f"{model}_{size}": where for model in ("buys", "orders") for size, where in small.items()}
    monkeypatch.setattr(tuning_ranker, "SPACE", space)
    seen: list[date] = []
    honest = tuning_ranker.replay

    def replay(data: ShopData, *given: Any, **options: Any) -> list[Any]:
        seen.append(data.daily["event_date"].max().date())
        return honest(data, *given, **options)

    monkeypatch.setattr(tuning_ranker, "replay", replay)
    options = OPTIONS | {"models": ("ranker",), "folds": 1, "days": 28}
    tune.run(copied, LAST, minutes=5, most_trials=3, **options)
    assert seen == [END - timedelta(days=28)]  # replayed once for all trials, before the period that judges
    tried = values(copied, "ranker")
    now = boost_values(SMALL.boosts)
    assert tried[0][0] == {name: now[name] for name in space}
    assert len({value for _, value in tried}) > 1 and all(value > 0 for _, value in tried if value)
    entry = yaml.safe_load(copied.tuned_path.read_text())["models"]["ranker"]
    assert entry["default"] == pytest.approx(tried[0][1], abs=1e-5)


def test_a_file_with_a_typo_is_refused(tmp_path: Path) -> None:
    models = {model.name: model for model in (ItemKNN(), OwnHistory(), EASE())}
    path = tmp_path / "item.yaml"
    path.write_text("models: {ease: {values: {regularisation: 3.0}}}")
    with pytest.raises(ModelError, match=r"ease has no field 'regularisation'\. Did you mean regularization"):
        Tuned.read(path).of(models)
    path.write_text("models: {esae: {values: {regularization: 3.0}}}")
    with pytest.raises(ModelError, match=r"names no retriever: 'esae'\. Did you mean ease"):
        Tuned.read(path).of(models)
    path.write_text("models: {ease: {values: {regularization: 3.0}}, own_history: {values: {}}}")
    assert Tuned.read(path).of(models) == models | {"ease": EASE(regularization=3.0)}
    assert Tuned.read(tmp_path / "group.yaml").of(models) == models
    path.write_text("models: {ranker: {values: {buys_leavs: 31}}}")
    with pytest.raises(ModelError, match=r"ranker has no field 'buys_leavs'\. Did you mean buys_leaves"):
        Recipe().with_boosts(Tuned.read(path))
    path.write_text("models: {ranker: {values: {buys_leaves: 31, orders_rate: 0.1}}}")
    chosen = Tuned.read(path)
    assert chosen.of(models) == models
    sizes, usual = boost_values(Recipe().with_boosts(chosen).boosts), boost_values(Boosts())
    assert sizes == usual | {"buys_leaves": 31, "orders_rate": 0.1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: {ease: {values: {regularization: 3.0}", "expected ',' or '}'"),
        ("- ease", "'list' object"),
        ("models: ease", "'str' object"),
        ("models: {ease: 3.0}", "'float' object"),
        ("models: {ease: {values: 3.0}}", "the values of ease are 3.0"),
        ("models: {ease: {values: {regularization: 3.0}, read_until: soon}}", "'soon'"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "item.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=re.escape(f"{path} is not of the form")) as refused:
        Tuned.read(path)
    assert told in str(refused.value)
    assert "write it again with `recsys tune`, or remove it" in str(refused.value)


def test_a_file_that_cannot_be_added_to_is_refused_before_the_search(shop: Settings, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("models: ease")
    with pytest.raises(ModelError, match=r"mine\.yaml is not of the form"):
        tune.run(shop, LAST, into=path, models=("none",))  # no such model: it is not come to


def test_training_takes_the_values_below_the_home(copied: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    copied.tuned_path.parent.mkdir(parents=True)
    chosen = "models: {ranker: {values: {buys_trees: 31}}, als: {values: {factors: 9}}}"
    copied.tuned_path.write_text(chosen)
    given: list[Any] = []

    def train_boosted(*_: object, recipe: Recipe, chosen: Tuned, **options: object) -> None:
        given.extend([recipe, chosen])
        raise ModelError("Enough is known.")

    monkeypatch.setattr(shop_ranking, "train_boosted", train_boosted)
    monkeypatch.setattr(train, "train_shop", partial(shop_ranking.train_shop, recipe=SMALL))
    with pytest.raises(ModelError, match="Enough"):
        train.run(replace(copied, mlflow="off"), LAST)
    assert given[0] == SMALL.with_boosts(Tuned({"ranker": {"buys_trees": 31}})) != SMALL
    als: Any = make_retrievers("item", 1, given[1])["als"]
    assert als.factors == 9


def test_the_last_day_that_values_were_chosen_on(tmp_path: Path) -> None:
    path = tmp_path / "item.yaml"
    assert Tuned.read(path).until is None
    chosen = "models: {ease: {values: {regularization: 3.0}, read_until: '2026-01-03'}, als: {values: {}, read_until: '2026-02-01'}}"
    path.write_text(chosen)
    assert Tuned.read(path).until == date(2026, 1, 3)  # what kept its values has read nothing into them


def test_the_periods_end_before_the_days_that_are_kept() -> None:
    from recsys.evaluation.tuning import periods

    parts = periods(date(2026, 1, 31), 10, 3)
    assert parts[-1][1] == date(2026, 1, 31)
    assert all((last - first).days == 9 for first, last in parts)
    assert [b[0] - a[1] for a, b in pairwise(parts)] == [timedelta(days=1)] * 2
