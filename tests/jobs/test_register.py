"""The model registry: what is entered, who is champion, and that a registry that is down costs nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import ModelError
from recsys.jobs import gate, register
from recsys.jobs import train as job
from recsys.models import ALS, store
from recsys.ranking.champion import NAME, Champion, newest_day
from recsys.ranking.shop import ShopData, train_shop
from recsys.settings import Settings
from tests.ranking.test_shop_scorer import DS as SHOP_DAY
from tests.ranking.test_shop_scorer import SMALL, shop_data

MONDAY, LATER, EARLIER = date(2026, 2, 2), date(2026, 2, 9), date(2026, 1, 26)
MODEL = "recsys-hybrid"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.load({}, warehouse=str(tmp_path_factory.mktemp("registry") / "warehouse"))


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def saved(settings: Settings, ds: date, log_loss: float = 0.05) -> Path:
    """A champion's folder without models inside, for what does not hang on them."""
    folder = settings.models_dir / NAME / f"ds={ds}"
    facts = {"ds": str(ds), "metrics": {"log_loss": log_loss}, "parameters": {"seed": 7}}
    with store.replacing(folder) as aside:
        (aside / "weights.txt").write_text(f"{ds}")
        store.seal(aside, facts)
    return folder


def client(settings: Settings) -> Any:
    from mlflow import MlflowClient

    uri = register.registry_uri(settings)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def of_alias(settings: Settings, alias: str) -> str:
    return str(client(settings).get_model_version_by_alias(MODEL, alias).tags["ds"])


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A small shop that trains in seconds, each day once, and is judged by few."""
    data, made = shop_data(), dict[date, Champion]()

    def once(data: ShopData, ds: date, seed: int, *_: object, **__: object) -> Champion:
        if ds not in made:
            made[ds] = train_shop(data, ds, seed, recipe=SMALL)
        return made[ds]

    monkeypatch.setattr(job, "train_shop", once)
    for module in (job, gate):
        monkeypatch.setattr(module, "read_shop", lambda *_: data)
    monkeypatch.setattr(gate, "LEAST_BUYERS", 20)
    return Settings.load({}, warehouse=str(tmp_path / "warehouse"), item_unit="item")


def test_a_training_becomes_a_run_and_a_version_that_say_how_it_was_made_and_judged(
    shop: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    before = SHOP_DAY - timedelta(days=27)
    job.run(shop, before)
    assert not caplog.records, "without a champion there is nothing to be warned of"
    told = job.run(shop, SHOP_DAY)
    for ds, judged in ((before, "unjudged"), (SHOP_DAY, "passed")):
        register.run(shop, ds)
        version = client(shop).get_model_version_by_alias(MODEL, "champion")
        assert (version.tags["ds"], version.tags["gate"]) == (str(ds), judged)
    mlflow = client(shop)
    run = mlflow.get_run(version.run_id)
    assert (run.info.status, run.data.tags["gate"], run.data.tags["against"]) == (
        "FINISHED",
        "passed",
        str(before),
    )
    values = run.data.params
    assert values["retrievers.als.factors"] == str(ALS().factors)
    assert values["retrievers.ease_recent.half_life_days"] == "90.0"
    assert (values["ranker.kind"], values["ranker.buys_trees"]) == (
        "shop_scorer",
        str(SMALL.boosts.buys.trees),
    )
    assert (values["ranker.lambda_l2"], values["price_exponent"], values["price_cap"]) == (
        "5.0",
        "0.8",
        "500.0",
    )
    figures, held = run.data.metrics, told["gate"]
    assert figures["cells_judged"] > 0
    assert figures["gate.buyers"] == held["buyers"] >= 20  # type: ignore[index]
    assert figures["gate.revenue_10.low"] == pytest.approx(held["revenue@10"]["low"])  # type: ignore[index]
    folder = Path(str(told["folder"]))
    logged = Path(mlflow.download_artifacts(run.info.run_id, "champion/manifest.json"))
    assert json.loads(logged.read_text()) == json.loads((folder / "manifest.json").read_text())
    assert version.tags["folder"] == str(folder)
    # The tag is the SHA-256 of the manifest, which holds that of every file.
    assert version.tags["sha256"] == store._sha256(folder / "manifest.json")


def test_what_nobody_could_judge_is_served_with_a_warning_or_is_a_challenger(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = SHOP_DAY - timedelta(days=27)
    job.run(shop, before)
    register.run(shop, before)
    monkeypatch.setattr(gate, "LEAST_BUYERS", 10**6)
    for _ in range(2):  # again is the same
        with pytest.raises(ModelError, match=r"RECSYS_UNJUDGED is refuse: \d+ buyers of these days"):
            job.run(replace(shop, unjudged="refuse"), SHOP_DAY)
    assert newest_day(shop.models_dir, SHOP_DAY) == before
    challenger = client(shop).get_model_version_by_alias(MODEL, "challenger")
    assert (challenger.version, challenger.tags["ds"], challenger.tags["gate"]) == (
        2,
        str(SHOP_DAY),
        "refused",
    )
    assert "could not be judged" in challenger.tags["refused"]
    run = client(shop).get_run(challenger.run_id)
    assert run.info.status == "FAILED" and run.data.params["retrievers.als.factors"]
    kept = Path(challenger.tags["folder"])
    assert kept.is_dir() and of_alias(shop, "champion") == str(before)
    assert "is served" not in caplog.text
    job.run(shop, SHOP_DAY)
    assert f"The model of {SHOP_DAY} was not held against the champion, and is served" in caplog.text
    assert not kept.exists()
    register.run(shop, SHOP_DAY)
    champion = client(shop).get_model_version_by_alias(MODEL, "champion")
    assert (champion.tags["ds"], champion.tags["gate"]) == (str(SHOP_DAY), "unjudged")
    assert "fewer than 1000000" in champion.tags["unjudged"]


def test_a_run_has_a_version_and_the_champion_is_no_challenger(settings: Settings) -> None:
    saved(settings, MONDAY)
    assert register.run(settings, MONDAY)["registered"] == f"{MODEL} 1"
    (version,) = client(settings).search_model_versions(f"name = '{MODEL}'")
    assert version.tags["gate"] == "off"
    aliases = client(settings).get_registered_model(MODEL).aliases
    assert {name: str(number) for name, number in aliases.items()} == {"champion": "1"}


def test_entering_the_same_files_twice_changes_nothing(settings: Settings) -> None:
    before = len(client(settings).search_model_versions(f"name = '{MODEL}'"))
    register.run(settings, MONDAY)
    assert len(client(settings).search_model_versions(f"name = '{MODEL}'")) == before


def test_a_backfill_is_challenger_and_never_turns_the_champion_back(settings: Settings) -> None:
    saved(settings, LATER)
    assert register.run(settings, LATER)["champion"] == str(LATER)
    saved(settings, EARLIER)
    assert register.run(settings, EARLIER)["champion"] == str(LATER)
    assert (of_alias(settings, "champion"), of_alias(settings, "challenger")) == (str(LATER), str(EARLIER))
    # Training the newest day again gives another version, and it takes over.
    saved(settings, LATER, log_loss=0.04)
    register.run(settings, LATER)
    register.run(settings, EARLIER)  # entered before: nothing changes
    assert of_alias(settings, "challenger") == str(EARLIER)
    champion = client(settings).get_model_version_by_alias(MODEL, "champion")
    assert client(settings).get_run(champion.run_id).data.metrics["log_loss"] == 0.04


def test_a_refused_training_is_a_failed_run_without_a_version(settings: Settings) -> None:
    mlflow = client(settings)
    before = len(mlflow.search_model_versions(f"name = '{MODEL}'"))
    register.refused(settings, date(2026, 2, 16), "Gate: log-loss 0.2. The old champion stays.")
    experiment = mlflow.get_experiment_by_name(MODEL).experiment_id
    (run,) = mlflow.search_runs([experiment], "tags.ds = '2026-02-16'")
    assert (run.info.status, run.data.tags["refused"]) == (
        "FAILED",
        "Gate: log-loss 0.2. The old champion stays.",
    )
    assert len(mlflow.search_model_versions(f"name = '{MODEL}'")) == before
    assert of_alias(settings, "champion") == str(LATER)


def test_a_registry_that_is_down_costs_neither_champion_nor_refusal(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    down = replace(settings, mlflow="http://127.0.0.1:9")
    folder = saved(down, MONDAY)
    manifest = store.read_manifest(folder)
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9 could not be used.*is saved and will be served"):
        register.run(down, MONDAY)
    assert store.read_manifest(folder) == manifest
    register.refused(down, MONDAY, "Gate: no.")
    assert "is not in the registry" in caplog.text


def test_a_password_in_the_address_is_never_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    down = replace(settings, mlflow="http://synthetic-user:synthetic@word@127.0.0.1:9/base")
    saved(down, MONDAY)
    with pytest.raises(ModelError, match=r"registry at http://127\.0\.0\.1:9/base could not") as refusal:
        register.run(down, MONDAY)
    assert refusal.value.__suppress_context__
    register.refused(down, MONDAY, "Gate: no.")
    for text in (str(refusal.value), caplog.text):
        assert "127.0.0.1:9" in text and "synthetic-user" not in text and "word" not in text


def test_training_tells_the_registry_of_its_refusal_and_still_refuses(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ModelError("Gate: the ranker is worse. The old champion stays.")

    told: list[tuple[date, str]] = []
    monkeypatch.setattr(job, "_train", refuse)
    monkeypatch.setattr(register, "refused", lambda _, ds, reason: told.append((ds, reason)))
    with pytest.raises(ModelError, match="Gate: the ranker is worse"):
        job.run(settings, LATER)
    assert told == [(LATER, "Gate: the ranker is worse. The old champion stays.")]


def test_a_day_without_a_champion_is_refused(settings: Settings) -> None:
    with pytest.raises(ModelError, match="No model in"):
        register.run(settings, date(2020, 1, 1))


def test_where_the_registry_is(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(register.registry_uri(settings)).startswith("sqlite:////")
    assert register.registry_uri(replace(settings, mlflow="off")) is None
    cloud = Settings.load({}, warehouse="bigquery://synthetic-project/demo_", files="/synthetic")
    assert register.registry_uri(cloud) is None
    assert "no: " in str(register.run(cloud, MONDAY)["registered"])
    assert register.model_name(cloud) == "recsys-synthetic-project-demo"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert register.registry_uri(cloud) == register.registry_uri(settings) == "http://mlflow:5000"
    assert register.registry_uri(replace(settings, mlflow="http://other:1")) == "http://other:1"


def test_reading_the_job_imports_no_mlflow() -> None:
    code = "import sys, recsys.jobs.register; print(sorted({'mlflow', 'sqlalchemy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
