from __future__ import annotations

import pandas as pd
import pytest

from bench.keyword_clusters import by_noise, compared, day_by_day
from bench.planted_keywords import DRAWS_A_PHRASE, planted
from recsys.keywords.cluster import clean
from recsys.keywords.filters import Policy


@pytest.fixture(scope="module")
def typed() -> pd.DataFrame:
    return planted(60, 1_500, seed=1)


def test_every_phrase_is_typed_and_each_text_has_one_truth(typed: pd.DataFrame) -> None:
    assert typed["truth"].nunique() == 60 and typed["raw"].is_unique
    assert typed["searchers"].sum() <= 1_500 and DRAWS_A_PHRASE * 60 <= 1_500
    assert {"clean", "form", "typo", "plural"} <= set(typed["noise"])
    assert typed.equals(planted(60, 1_500, seed=1)) and not typed.equals(planted(60, 1_500, seed=2))


def test_the_figures_are_those_of_the_clusters(typed: pd.DataFrame) -> None:
    variants = clean(typed, Policy())
    perfect = variants.assign(keyword=variants["raw"].map(typed.set_index("raw")["truth"].astype(str)))
    alone = variants.assign(keyword=variants["raw"])
    assert (compared(typed, perfect)["precision"], compared(typed, perfect)["recall"]) == (1.0, 1.0)
    assert compared(typed, alone)["recall"] == 0.0
    assert compared(typed, variants)["recall"] > 0.85  # type: ignore[operator]
    junk = pd.DataFrame({"raw": ["!!", "abc"], "searchers": 0, "truth": [None, None], "noise": "clean"})
    both = pd.concat([typed, junk], ignore_index=True)
    told = compared(both, clean(both, Policy()))
    assert (told["no phrase"], told["no phrase, refused"], told["phrases refused"]) == (2, 1, 0)


def test_noise_is_told_by_kind_and_only_where_it_is_common() -> None:
    rows = [("clean", "coat")] + [("typo", "coat")] * 150 + [("typo", "caot")] * 50 + [("order", "x")] * 199
    table = pd.DataFrame(rows, columns=["noise", "keyword"]).assign(truth=1)
    assert by_noise(table) == {"typo": 0.75}


def test_days_end_with_every_text(typed: pd.DataFrame) -> None:
    assert day_by_day(typed, 3, Policy(), seed=1)["raw"].tolist() == sorted(typed["raw"])
