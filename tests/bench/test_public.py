"""The script that judges a model on public splits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import movielens, public
from recsys.errors import ModelError, RecsysError
from recsys.settings import PROJECT_ROOT


def test_the_figures_are_as_the_help_defines_them() -> None:
    lists = pd.DataFrame(
        {"user_id": ["u"] * 3 + ["v"], "item_id": ["a", "b", "c", "a"], "rank": [1, 2, 3, 1]}
    )
    test = pd.DataFrame({"user_id": ["u"] * 3 + ["v", "w"], "item_id": ["b", "c", "z", "z", "a"]})
    found = public.judge(lists, test, 2)
    ideal = 1 + 1 / np.log2(3)
    assert found == {
        "recall@2": pytest.approx((1 / 3) / 3),
        "ndcg@2": pytest.approx((1 / np.log2(3)) / ideal / 3),
        "hit@2": pytest.approx(1 / 3),
        "mrr@2": pytest.approx((1 / 2) / 3),
        "users": 3,
    }


def test_lists_are_read_with_empty_lines_and_repeats(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 5 7 5\n1\n\n2 9\n")
    frame = public.read_lists(tmp_path / "train.txt")
    assert frame.values.tolist() == [["0", "5"], ["0", "7"], ["2", "9"]]
    (tmp_path / "empty.txt").write_text("\n3\n")
    with pytest.raises(RecsysError, match=r"empty\.txt"):
        public.read_lists(tmp_path / "empty.txt")


@pytest.mark.parametrize("text", ["u a b c\nv b a\n", "u a\nu b\nv b\nu c\nv a\n"])
def test_sequences_are_read_per_user_or_per_event(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.txt").write_text(text)
    split = public.leave_last_out(public.read_sequences(tmp_path / "s.txt"))
    assert split.test.values.tolist() == [["u", "c"]]  # v has two items: nothing to learn from and test
    train = split.train.sort_values(["user_id", "timestamp"])
    assert train["item_id"].tolist() == ["a", "b", "b", "a"]


def test_what_is_held_out_is_of_the_training_data() -> None:
    train = pd.DataFrame({"user_id": ["u"] * 25 + ["v"], "item_id": [*map(str, range(25)), "0"]})
    inner = public.hold_out(train, seed=0)
    assert len(inner.test) == 3
    assert set(inner.test["user_id"]) == {"u"}
    assert len(inner.train) + len(inner.test) == len(train)


def test_ease_that_does_not_fit_is_refused_with_what_to_take() -> None:
    with pytest.raises(ModelError, match="gf_cf"):
        public._refuse_what_does_not_fit(3_000_000)


def two_tastes(folder: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    train, test = [], []
    for user in range(60):
        items = 10 * (user % 2) + rng.permutation(10)
        train.append(f"{user} " + " ".join(map(str, items[:7])))
        test.append(f"{user} " + " ".join(map(str, items[7:])))
    paths = folder / "train.txt", folder / "test.txt"
    for path, lines in zip(paths, (train, test), strict=True):
        path.write_text("\n".join(lines) + "\n")
    return paths


@pytest.mark.parametrize("model", ["popularity", "item_knn", "als", "bpr", "ease", "gf_cf"])
def test_every_model_runs_on_a_split(model: str, tmp_path: Path) -> None:
    split = public.read_splits(*two_tastes(tmp_path))
    parameters = public.settings(model, split) | ({"factors": 2} if model in {"als", "gf_cf"} else {})
    if model == "bpr":  # one batch holds all of this: many small steps instead of few
        parameters |= {"learning_rate": 0.02, "fold_in_rate": 0.05, "batch_size": 64}
    recall = public.run(model, split, parameters, 3)["recall@3"]
    assert recall < 0.7 if model == "popularity" else recall == 1


def test_the_command_prints_and_writes_its_figures(tmp_path: Path) -> None:
    train, test = two_tastes(tmp_path)
    told = tmp_path / "told.json"
    asked = ["splits", "--train", train, "--test", test, "--model", "gf_cf", "--k", "3", "--set", "factors=2"]
    done = subprocess.run(
        [sys.executable, PROJECT_ROOT / "bench" / "public.py", *asked, "--choose", "--json", told],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "recall@3           1.0000" in done.stdout
    assert json.loads(told.read_text())["figures"]["users"] == 60
    wrong = subprocess.run(
        [sys.executable, PROJECT_ROOT / "bench" / "public.py", *asked, "--set", "alhpa=1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 1
    assert "no setting 'alhpa'" in wrong.stderr


def test_movielens_is_split_without_losing_or_sharing_a_rating() -> None:
    events = pd.DataFrame(
        [(f"u{u}", f"i{i}") for u in range(5) for i in range(20)], columns=["user_id", "item_id"]
    )
    split, validation = movielens.eight_one_one(events, 0)
    parts = pd.concat([split.train, validation, split.test])
    assert (len(split.train), len(validation), len(split.test)) == (80, 10, 10)
    assert not parts.duplicated().any()
