"""The search for hyper-parameters: it goes on where it was stopped, and never looks at the days kept for a test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from recsys import schema
from recsys.errors import ModelError
from recsys.jobs import tune
from recsys.models import EASE, ItemKNN, OwnHistory
from recsys.ranking import tuned as tuned_module
from recsys.ranking.training import make_retrievers
from recsys.ranking.tuned import tuned, tuned_until
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.jobs.test_backtest import CUT, LAST, shop

__all__ = ["shop"]
END = CUT - timedelta(days=1)
KEEP = (LAST - END).days
OPTIONS: dict[str, Any] = {"keep": KEEP, "days": 21, "k": 5, "models": ("item_knn", "own_history")}


@pytest.fixture(autouse=True)
def untuned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tuned_module, "FOLDER", tmp_path / "tuned")


@pytest.fixture
def copied(shop: Settings, tmp_path: Path) -> Iterator[Settings]:
    shutil.copytree(shop.warehouse, tmp_path / "copy")
    yield replace(shop, warehouse=str(tmp_path / "copy"))


def trials(settings: Settings, model: str) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{settings.files_dir / tune.FOLDER / 'optuna.db'}"
    (name,) = [n for n in optuna.get_all_study_names(storage) if f" {model} " in n]
    return optuna.load_study(study_name=name, storage=storage).trials


def values(settings: Settings, model: str) -> list[tuple[dict[str, Any], float | None]]:
    return [(trial.params, trial.value) for trial in trials(settings, model)]


def test_the_choice_lands_in_a_file_that_training_reads(copied: Settings) -> None:
    said: list[str] = []
    found = tune.run(copied, LAST, minutes=5, most_trials=6, progress=said.append, **OPTIONS)
    content = yaml.safe_load(Path(str(found["written"])).read_text())
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
        # Values are taken only where they are better by more than the error, and then training has them.
        model = make_retrievers("item", 1)[name]
        assert bool(entry["values"]) == (entry["value"] - entry["default"] > entry["error"])
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
    blind = replace(shop, warehouse=str(tmp_path / "blind"))
    with open_warehouse(blind) as warehouse:
        for table in (*schema.STAGING, *schema.FEATURES):
            for day in warehouse.partitions(table.name):
                if day > END:
                    warehouse.drop(table.name, day)
    tune.run(blind, LAST, minutes=5, most_trials=3, **options)
    assert len(values(blind, "own_history")) == 3
    assert values(blind, "own_history") == values(copied, "own_history")


def test_what_cannot_be_tuned_is_refused(copied: Settings) -> None:
    with pytest.raises(ModelError, match="No retriever 'as' to tune; choose from popularity, item_knn, als"):
        tune.run(copied, LAST, models=("as",))
    with pytest.raises(ModelError, match="No metric 'luck'"):
        tune.run(copied, LAST, metric="luck")
    with pytest.raises(ModelError, match="No user known before"):
        tune.run(copied, LAST, keep=KEEP, days=100)


def test_a_file_with_a_typo_is_refused() -> None:
    models = {model.name: model for model in (ItemKNN(), OwnHistory(), EASE())}
    path = tuned_module.FOLDER / "item.yaml"
    path.parent.mkdir()
    path.write_text("models: {ease: {values: {regularisation: 3.0}}}")
    with pytest.raises(ModelError, match=r"ease has no field 'regularisation'\. Did you mean regularization"):
        tuned(models, "item")
    path.write_text("models: {esae: {values: {regularization: 3.0}}}")
    with pytest.raises(ModelError, match=r"names no retriever: 'esae'\. Did you mean ease"):
        tuned(models, "item")
    path.write_text("models: {ease: {values: {regularization: 3.0}}, own_history: {values: {}}}")
    assert tuned(models, "item") == models | {"ease": EASE(regularization=3.0)}
    assert tuned(models, "group") == models


def test_the_last_day_that_values_were_chosen_on() -> None:
    assert tuned_until("item") is None
    path = tuned_module.FOLDER / "item.yaml"
    path.parent.mkdir()
    chosen = "models: {ease: {values: {regularization: 3.0}, read_until: '2026-01-03'}, als: {values: {}, read_until: '2026-02-01'}}"
    path.write_text(chosen)
    assert tuned_until("item") == date(2026, 1, 3)  # what kept its values has read nothing into them
    assert tuned_until("group") is None


def test_the_periods_end_before_the_days_that_are_kept() -> None:
    from recsys.evaluation.tuning import periods

    parts = periods(date(2026, 1, 31), 10, 3)
    assert parts[-1][1] == date(2026, 1, 31)
    assert all((last - first).days == 9 for first, last in parts)
    assert [b[0] - a[1] for a, b in pairwise(parts)] == [timedelta(days=1)] * 2
