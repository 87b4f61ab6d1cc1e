"""One contract, every registered model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.features.interactions import Interactions
from recsys.models import MODELS, NEURAL, Recommender, load_model
from recsys.models.neural import AVAILABLE, require_torch

PARAMETERS: dict[str, dict[str, object]] = {
    "als": {"factors": 8, "iterations": 15},
    "bpr": {"factors": 8, "learning_rate": 0.02, "epochs": 60, "batch_size": 64, "fold_in_rate": 0.05},
    "basket_ease": {"regularization": 1.0},
    "ease": {"regularization": 1.0},
    "gf_cf": {"factors": 2},
    "neu_mf": {"factors": 4, "layers": (8, 4), "learning_rate": 0.01, "batch_size": 64, "fold_in_rate": 0.05},
    "sasrec": {"factors": 8, "length": 4, "epochs": 40, "patience": 0, "learning_rate": 0.01, "dropout": 0.0},
    "transition": {"regularization": 1.0},
    "two_tower": {"factors": 8, "length": 4, "epochs": 20, "patience": 0, "learning_rate": 0.01},
    "user_knn": {"neighbours": 10},
}
SEEDED = sorted({"als", "bpr", *NEURAL})


def needs(name: str) -> object:
    """The name as a test parameter, skipped with its reason where PyTorch is missing."""
    missing = name in NEURAL and not AVAILABLE
    reason = "PyTorch is not installed: pip install -r requirements-neural.txt"
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason=reason))


def two_tastes(users: int = 40, seed: int = 1) -> pd.DataFrame:
    """Half of the users buy from a1..a5, half from b1..b5, each 4 of 5; a1 and b1 more often. Nobody buys 'dust'."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        taste = "ab"[user % 2]
        bought = [1, *rng.choice(np.arange(2, 6), 3, replace=False)]
        rows += [(f"u{user:02d}", f"{taste}{item}", 3.0 if item == 1 else 1.0) for item in bought]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "weight"])
    start = pd.Timestamp("2026-01-01")
    return frame.assign(timestamp=start + pd.to_timedelta(rng.integers(0, 86_400, len(frame)), unit="s"))


def described() -> pd.DataFrame:
    items = [f"{taste}{number}" for taste in "ab" for number in range(1, 6)]
    titles = [("red wool coat" if item[0] == "a" else "blue bike") + " soft" * int(item[1]) for item in items]
    prices = [20.0 if item[0] == "a" else 300.0 for item in items]
    return pd.DataFrame({"item_id": items, "title": titles, "price": prices})


@pytest.fixture(scope="module")
def interactions() -> Interactions:
    return Interactions.from_frame(two_tastes(), content=described())


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Sums of many threads run in no fixed order, and tiny ones only wait for each other."""
    if AVAILABLE:
        require_torch().set_num_threads(1)


@pytest.fixture(scope="module", params=[needs(name) for name in sorted(MODELS)])
def model(request: pytest.FixtureRequest, interactions: Interactions) -> Recommender:
    return make(request.param).fit(interactions)


def make(name: str) -> Recommender:
    return MODELS[name](**PARAMETERS.get(name, {}))  # type: ignore[arg-type]


def test_it_finds_the_taste_of_a_user(model: Recommender) -> None:
    best = model.recommend(["u00", "u01"], 4)
    if not model.personal:
        assert set(best[best["rank"] <= 2]["item_id"]) == {"a1", "b1"}
        return
    for user, taste in (("u00", "a"), ("u01", "b")):
        assert all(item.startswith(taste) for item in best[best["user_id"] == user]["item_id"])


def test_the_frame_is_ranked(model: Recommender) -> None:
    frame = model.recommend(["u03", "u00"], 3)
    assert list(frame.columns) == ["user_id", "item_id", "score", "rank"]
    assert frame["user_id"].tolist() == ["u03"] * 3 + ["u00"] * 3
    assert frame["rank"].tolist() == [1, 2, 3] * 2
    assert frame.groupby("user_id")["score"].apply(lambda s: s.is_monotonic_decreasing).all()
    assert not frame.duplicated(["user_id", "item_id"]).any()


def test_a_batch_equals_one_by_one(model: Recommender) -> None:
    users = ["u00", "u05", "u10"]
    single = pd.concat([model.recommend([user], 5) for user in users], ignore_index=True)
    pd.testing.assert_frame_equal(model.recommend(users, 5), single, rtol=1e-4)


def test_candidates_and_exclusions_are_rules(model: Recommender) -> None:
    frame = model.recommend(["u00"], 10, candidates=["a1", "a2", "b1", "nothing"])
    assert set(frame["item_id"]) <= {"a1", "a2", "b1"}
    banned = pd.DataFrame({"user_id": ["u00", "u01"], "item_id": ["a1", "a2"]})
    assert "a1" not in set(model.recommend(["u00"], 10, exclude=banned)["item_id"])


def test_k_beyond_the_catalogue_gives_what_there_is(model: Recommender) -> None:
    frame = model.recommend(["u00"], 99)
    assert 1 <= len(frame) <= 10
    assert model.recommend([], 5).empty


def test_an_unknown_user_gets_nothing_unless_it_is_popular(model: Recommender) -> None:
    frame = model.recommend(["nobody"], 5)
    assert len(frame) == (0 if model.personal else 5)


def test_fitting_again_gives_the_same(model: Recommender, interactions: Interactions) -> None:
    again = make(model.name).fit(interactions)
    pd.testing.assert_frame_equal(
        model.recommend(["u00", "u01"], 5), again.recommend(["u00", "u01"], 5), check_exact=True
    )


def test_it_survives_the_disk_with_and_without_users(
    model: Recommender, interactions: Interactions, tmp_path: Path
) -> None:
    model.save(tmp_path / "whole", {"metrics": {"x": 1.0}})
    model.save(tmp_path / "items", with_history=False)
    expected = model.recommend(["u00", "u01"], 5)
    pd.testing.assert_frame_equal(
        load_model(model.name, tmp_path / "whole").recommend(["u00", "u01"], 5), expected
    )
    loaded = load_model(model.name, tmp_path / "items").with_history(interactions)
    pd.testing.assert_frame_equal(loaded.recommend(["u00", "u01"], 5), expected)
    assert loaded.parameters == model.parameters
    assert b"u00" not in (tmp_path / "items" / "arrays.npz").read_bytes()


def test_saving_twice_gives_the_same_bytes(model: Recommender, tmp_path: Path) -> None:
    for name in ("one", "two"):
        model.save(tmp_path / name)
    for file in ("arrays.npz", "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_todays_history_counts_without_training(model: Recommender) -> None:
    if not model.personal:
        return
    convert = pd.DataFrame({"user_id": "u00", "item_id": ["b1", "b2", "b3", "unknown"], "weight": 3.0})
    later = model.with_history(Interactions.from_frame(convert))
    assert later.recommend(["u00"], 3)["item_id"].str.startswith("b").all()
    assert model.recommend(["u00"], 3)["item_id"].str.startswith("a").all()


def test_similar_items_share_the_taste(model: Recommender) -> None:
    frame = model.similar_items(["a1", "nothing"], 3)
    assert "a1" not in set(frame["other_item_id"])
    if model.personal and model.name != "own_history":
        assert frame["item_id"].tolist() == ["a1"] * 3
        assert frame["other_item_id"].str.startswith("a").all()


def test_nothing_to_learn_from_is_an_error(model: Recommender) -> None:
    empty = Interactions.from_frame(pd.DataFrame({"user_id": [], "item_id": []}, dtype=object))
    with pytest.raises(ModelError, match="no interactions"):
        make(model.name).fit(empty)


def test_a_damaged_file_is_noticed(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    arrays = tmp_path / "model" / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="SHA-256"):
        load_model(model.name, tmp_path / "model")


def test_an_unknown_model_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No model 'magic'"):
        load_model("magic", tmp_path)
    with pytest.raises(ModelError, match="recsys train"):
        load_model("als", tmp_path / "nowhere")


def test_another_model_in_the_folder_is_refused(interactions: Interactions, tmp_path: Path) -> None:
    make("own_history").fit(interactions).save(tmp_path / "m")
    with pytest.raises(ModelError, match="'own_history'"):
        load_model("als", tmp_path / "m")


@pytest.mark.parametrize("name", [needs(name) for name in SEEDED])
def test_it_obeys_its_seed(name: str, interactions: Interactions) -> None:
    parameters = PARAMETERS[name] | ({"epochs": 2} if name != "als" else {})
    fitted = [MODELS[name](**parameters, seed=seed).fit(interactions) for seed in (1, 1, 2)]  # type: ignore[arg-type]
    first, again, other = (model.scores(["u00", "u01"]) for model in fitted)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.skipif(AVAILABLE, reason="PyTorch is installed")
@pytest.mark.parametrize("name", sorted(NEURAL))
def test_without_pytorch_it_says_what_to_install(name: str, interactions: Interactions) -> None:
    with pytest.raises(ModelError, match=r"requirements-neural\.txt"):
        make(name).fit(interactions)
