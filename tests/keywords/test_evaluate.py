"""Lists judged by what campaigns then sold with: small cases worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from recsys.keywords.evaluate import (
    about_lists,
    age_bands,
    campaign_metrics,
    slices,
    stability,
    summary,
    targets,
)


def outcome(*rows: tuple[str, str, str | None, int, int]) -> pd.DataFrame:
    """Rows of campaign, item, keyword, clicks, purchases."""
    made = pd.DataFrame(rows, columns=["campaign_id", "item_id", "keyword", "clicks", "purchases"])
    return made.assign(category_id="l1", age_days=0.5)


def lists(**items: list[str]) -> pd.DataFrame:
    rows = [(item, keyword, rank) for item, words in items.items() for rank, keyword in enumerate(words, 1)]
    return pd.DataFrame(rows, columns=["item_id", "keyword", "rank"])


def test_only_campaigns_that_sold_are_asked_about_and_only_their_clicked_keywords() -> None:
    wanted = targets(
        outcome(
            ("c1", "i1", "coat", 3, 0),
            ("c1", "i1", "red coat", 1, 1),
            ("c1", "i1", "hat", 0, 0),
            ("c1", "i1", None, 5, 1),
            ("c2", "i2", "coat", 9, 0),
        )
    )
    assert wanted[["campaign_id", "keyword", "gain"]].to_numpy().tolist() == [
        ["c1", "coat", 1.0],
        ["c1", "red coat", 3.0],
    ]


def test_variants_of_a_keyword_are_added_up() -> None:
    wanted = targets(outcome(("c1", "i1", "coat", 1, 0), ("c1", "i1", "coat", 1, 1)))
    assert wanted["gain"].tolist() == [3.0]


def test_a_list_in_the_best_order_has_ndcg_1_and_the_turned_one_less() -> None:
    wanted = targets(outcome(("c1", "i1", "coat", 3, 0), ("c1", "i1", "red coat", 1, 1)))
    best = campaign_metrics(lists(i1=["red coat", "coat"]), wanted, 10)
    assert best.loc["c1"].tolist() == [2, 1, 1, 1]
    turned = campaign_metrics(lists(i1=["coat", "red coat"]), wanted, 10)
    assert turned.loc["c1", "ndcg"] == pytest.approx((1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3)))
    cut = campaign_metrics(lists(i1=["coat", "red coat"]), wanted, 1)
    assert cut.loc["c1"].tolist() == pytest.approx([2, 1 / 3, 1, 1])


def test_no_list_and_a_list_of_others_count_nothing() -> None:
    wanted = targets(outcome(("c1", "i1", "coat", 1, 1), ("c2", "i2", "coat", 1, 1)))
    table = campaign_metrics(lists(i2=["hat"]), wanted, 10)
    assert table[["ndcg", "mrr", "recall"]].to_numpy().tolist() == [[0, 0, 0], [0, 0, 0]]


def test_lists_of_campaigns_are_not_mixed_up_where_an_item_had_two() -> None:
    wanted = targets(outcome(("c1", "i1", "coat", 1, 1), ("c2", "i1", "hat", 1, 1)))
    made = pd.DataFrame({"campaign_id": ["c1", "c2"], "keyword": ["coat", "coat"], "rank": [1, 1]})
    assert campaign_metrics(made, wanted, 10)["mrr"].to_dict() == {"c1": 1.0, "c2": 0.0}


def test_several_are_judged_by_ndcg_and_one_by_mrr() -> None:
    wanted = targets(
        outcome(
            ("c1", "i1", "coat", 1, 0),
            ("c1", "i1", "hat", 1, 1),
            ("c2", "i2", "coat", 1, 1),
            ("c3", "i3", "x", 1, 1),
        )
    )
    got = summary(campaign_metrics(lists(i1=["hat", "coat"], i2=["a", "coat"]), wanted, 10))
    assert (got.ndcg, got.mrr, got.several, got.single) == (1.0, 0.25, 1, 2)
    assert got.recall == pytest.approx(2 / 3)
    assert got.as_dict(10)["mrr@10"] == 0.25
    nothing = summary(campaign_metrics(lists(i1=["hat"]), wanted.iloc[:0], 10))
    assert np.isnan(nothing.ndcg)
    assert nothing.several == 0


def test_slices_add_up_to_the_whole() -> None:
    rows = outcome(("c1", "i1", "coat", 1, 1), ("c2", "i2", "coat", 1, 1), ("c3", "i3", "hat", 1, 1))
    rows["age_days"] = [0.5, 9.0, 0.1]
    wanted = targets(rows.assign(category_id=["l1", "l1", "l2"]))
    table = campaign_metrics(lists(i1=["coat"], i3=["x", "hat"]), wanted, 10)
    got = slices(table, wanted).set_index(["slice", "value"])["mrr"]
    assert got["age"].to_dict() == {"0-1 days": 0.75, "7 days or more": 0.0}
    assert got["category"].to_dict() == {"l1": 0.5, "l2": 0.5}
    assert age_bands(pd.Series([0.99, 1.0, 7.0])).tolist() == ["0-1 days", "1-3 days", "7 days or more"]


def test_without_a_campaign_there_are_no_slices_but_their_columns() -> None:
    rows = outcome(("c1", "i1", "coat", 1, 1), ("c2", "i2", "coat", 1, 1))
    wanted, made = targets(rows.assign(age_days=[0.5, np.nan])), lists(i1=["coat"])
    whole = slices(campaign_metrics(made, wanted, 10), wanted)
    nothing = slices(campaign_metrics(made, wanted.head(0), 10), wanted.head(0))
    assert nothing.empty and nothing.columns.tolist() == whole.columns.tolist()
    assert whole.loc[whole["slice"] == "age", ["value", "single"]].to_numpy().tolist() == [["0-1 days", 1]]
    bands = age_bands(pd.Series([], dtype="float64"))
    assert bands.empty and bands.dtype == age_bands(pd.Series([1.0])).dtype
    assert age_bands(pd.Series([np.nan, 1.0])).isna().tolist() == [True, False]


def test_what_lists_are_like() -> None:
    catalogue = pd.DataFrame({"keyword": ["coat", "red coat", "hat"], "searchers_7d": [100, 20, 30]})
    made = lists(i1=["coat", "red coat", "hat"], i2=["hat"])
    got = about_lists(made, catalogue, 10)
    assert got == pytest.approx({"keywords": 2, "phrases": (1 + 0.5 + 1 + 1) / 2, "reach": 45, "distinct": 3})
    assert about_lists(made, catalogue, 10, previous=made)["stability"] == 1.0
    assert stability(lists(i1=["coat"], i3=["hat"]), lists(i1=["hat"], i2=["hat"]), 10) == 0.0
    assert np.isnan(stability(lists(i1=["coat"]), lists(i2=["coat"]), 10))
