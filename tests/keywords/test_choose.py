"""The set of keywords: what it sells, what it leaves out, and that it keeps to stock, budget and last week."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recsys.errors import KeywordError
from recsys.keywords.choose import CHOSEN, SetRules, capped_sales, choose

PLAIN = SetRules(diversity=0.0, loyalty=0.0, margin=0.6)


def scored(**rows: tuple[float, float]) -> pd.DataFrame:
    """Keywords (with _ for spaces) of one item: searches a week, and sales per search by p_click."""
    names = [name.replace("_", " ") for name in rows]
    return pd.DataFrame(
        {
            "item_id": "i1",
            "keyword": names,
            "sources": "graph",
            "p_click": [p for _, p in rows.values()],
            "p_purchase": 1.0,
            "p_win": 1.0,
            "relevance": 0.5,
            "searches_7d": [n for n, _ in rows.values()],
            "searchers_7d": [n for n, _ in rows.values()],
        }
    )


def items(**changes: object) -> pd.DataFrame:
    facts = {
        "item_id": ["i1"],
        "seller_id": ["s1"],
        "price": 20.0,
        "take_rate": 0.1,
        "stock": 100,
        "ad_rate": 0.1,
    }
    return pd.DataFrame(facts | changes)


def test_a_poisson_number_cut_at_the_stock() -> None:
    mean, n = np.array([0.3, 2.0, 7.0]), np.arange(200)
    for cap in (1, 2, 5):
        summed = [(np.minimum(n, cap) * stats.poisson.pmf(n, m)).sum() for m in mean]
        assert capped_sales(mean, np.full(3, cap)) == pytest.approx(summed)
    assert capped_sales(mean, np.full(3, np.inf)).tolist() == mean.tolist()
    assert capped_sales(mean, np.zeros(3)).tolist() == [0, 0, 0]


def test_profit_is_searches_times_chances_times_what_a_sale_leaves() -> None:
    one = scored(coat=(50, 0.1)).assign(p_win=0.5, p_purchase=0.2)
    chosen = choose(one, items(), PLAIN)
    sales = 50 * 0.5 * 0.1 * 0.2
    assert list(chosen) == list(CHOSEN)
    assert chosen["expected_sales"].item() == pytest.approx(sales)
    assert chosen["expected_profit"].item() == pytest.approx(sales * 20 * (0.6 - 0.1 - 0.1))
    assert chosen["marginal_profit"].item() == pytest.approx(chosen["expected_profit"].item())


def test_the_best_comes_first_and_no_more_than_asked_for() -> None:
    chosen = choose(scored(coat=(10, 0.1), hat=(30, 0.1), scarf=(20, 0.1)), items(), SetRules(size=2))
    assert chosen["keyword"].tolist() == ["hat", "scarf"]
    assert chosen["rank"].tolist() == [1, 2]


def test_people_who_were_reached_already_count_once() -> None:
    rows = scored(red_coat=(100, 0.01), coat=(90, 0.01), hat=(60, 0.01))
    chosen = choose(rows, items(), PLAIN)
    assert chosen["keyword"].tolist() == ["red coat", "hat", "coat"]
    # Half of the words are shared, so half of those who search "coat" have seen the ad.
    assert chosen["marginal_profit"].tolist() == pytest.approx([8 * 1.0, 8 * 0.6, 8 * 0.45])
    assert choose(rows, items(), SetRules(overlap=0, diversity=0))["keyword"].tolist() == [
        "red coat",
        "coat",
        "hat",
    ]


def test_where_the_slot_is_seldom_won_few_have_been_reached() -> None:
    rows = scored(red_coat=(100, 0.1), coat=(90, 0.1)).assign(p_win=0.1)
    chosen = choose(rows, items(), PLAIN)
    assert chosen["marginal_profit"].tolist() == pytest.approx([8 * 1.0, 8 * 0.9 * (1 - 0.5 * 0.1)])


def test_who_searches_both_is_observed_where_it_can_be() -> None:
    rows = scored(red_coat=(100, 0.01), coat=(90, 0.01), hat=(60, 0.01))
    both = pd.DataFrame({"keyword": ["coat", "hat"], "other": ["red coat", "red coat"], "share": [0.1, 0.9]})
    chosen = choose(rows, items(), PLAIN, co_search=both)
    assert chosen["keyword"].tolist() == ["red coat", "coat", "hat"]
    assert chosen["marginal_profit"].tolist() == pytest.approx([8 * 1.0, 8 * 0.81, 8 * 0.06])
    with pytest.raises(KeywordError, match=r"1\.5"):
        choose(rows, items(), PLAIN, co_search=both.assign(share=1.5))


def test_the_only_piece_is_sold_once() -> None:
    rows = scored(coat=(50, 0.1), hat=(40, 0.1), scarf=(30, 0.1))
    chosen = choose(rows, items(stock=1), PLAIN)
    assert chosen["marginal_profit"].sum() == pytest.approx(8 * (1 - np.exp(-12.0)))
    assert chosen["expected_sales"].tolist() == pytest.approx((1 - np.exp([-5.0, -4.0, -3.0])).tolist())


@pytest.mark.parametrize("budget", [1.99, 2.0, 3.9, 9.0, 1e6, np.nan])
def test_the_budget_is_never_overspent(budget: float) -> None:
    rows = scored(coat=(50, 0.1), hat=(40, 0.1), scarf=(30, 0.1))
    chosen = choose(rows, items(budget=budget), PLAIN)
    spent = 20 * 0.1 * chosen["marginal_profit"].sum() / 8
    assert chosen.empty == (budget < 2)
    if budget < 100:
        assert spent <= budget
        assert chosen.empty or spent > 0.8 * 2 * (budget // 2)
    else:
        assert spent == pytest.approx(24.0)


def test_a_rate_that_eats_the_margin_buys_no_keyword() -> None:
    assert choose(scored(coat=(50, 0.1)), items(ad_rate=0.5), PLAIN).empty
    assert not choose(scored(coat=(50, 0.1)), items(ad_rate=0.49), PLAIN).empty


def test_a_seller_is_warned_of_bidding_against_oneself() -> None:
    rows = scored(coat=(60, 0.01), hat=(40, 0.01))
    bids = pd.DataFrame(
        {"seller_id": ["s1", "s1", "s2"], "keyword": ["coat", "hat", "hat"], "item_id": ["i9", "i1", "i8"]}
    )
    chosen = choose(rows, items(), PLAIN, bids=bids).set_index("keyword")
    assert chosen.index.tolist() == ["hat", "coat"]
    assert chosen["warning"].to_dict() == {"hat": None, "coat": "own_item:i9"}
    assert chosen.loc["coat", "marginal_profit"] == pytest.approx(8 * 0.6 * 0.5)
    # What is told is what is new to the seller, as what is added is.
    assert chosen["expected_sales"].tolist() == pytest.approx([0.4, 0.6 * 0.5])
    assert chosen["expected_profit"].tolist() == pytest.approx([8 * 0.4, 8 * 0.6 * 0.5])


def test_a_keyword_of_last_week_goes_only_to_one_that_is_clearly_better() -> None:
    previous, rules = pd.DataFrame({"item_id": ["i1"], "keyword": ["hat"]}), SetRules(size=1, loyalty=0.2)
    close, clear = scored(coat=(110, 0.01), hat=(100, 0.01)), scored(coat=(130, 0.01), hat=(100, 0.01))
    assert choose(close, items(), rules)["keyword"].tolist() == ["coat"]
    assert choose(close, items(), rules, previous=previous)["keyword"].tolist() == ["hat"]
    assert choose(clear, items(), rules, previous=previous)["keyword"].tolist() == ["coat"]


def test_a_varied_set_before_a_slightly_better_one() -> None:
    rows = scored(red_coat=(100, 0.01), coat=(65, 0.01), hat=(60, 0.01))
    told = {"overlap": 0.0, "size": 2}
    assert choose(rows, items(), SetRules(diversity=0.0, **told))["keyword"].tolist() == ["red coat", "coat"]
    assert choose(rows, items(), SetRules(diversity=0.5, **told))["keyword"].tolist() == ["red coat", "hat"]


def test_one_quiet_week_does_not_end_a_keyword() -> None:
    rows = scored(coat=(0, 0.01), hat=(30, 0.01)).assign(searches_28d=[400, 40])
    chosen = choose(rows, items(), SetRules(steadiness=3.0))
    assert chosen["keyword"].tolist() == ["coat", "hat"]
    assert chosen["expected_sales"].tolist() == pytest.approx([0.01 * 75, 0.01 * (30 + 3 * 10) / 4])


def test_a_keyword_that_sellers_take_up_before_one_that_they_do_not() -> None:
    rows = scored(coat=(60, 0.01), hat=(40, 0.01)).assign(p_adopt=[0.2, 0.6])
    chosen = choose(rows, items(), PLAIN)
    assert chosen["keyword"].tolist() == ["hat", "coat"]
    # What it sells once it is bid on does not depend on who would take it.
    assert chosen["expected_sales"].tolist() == pytest.approx([0.4, 0.6])


def test_what_is_irrelevant_or_never_searched_stays_out() -> None:
    rows = scored(coat=(50, 0.1), hat=(40, 0.1), scarf=(0, 0.1))
    rows.loc[1, "relevance"] = 0.1
    assert choose(rows, items(), SetRules(least_relevance=0.2))["keyword"].tolist() == ["coat"]


def test_what_does_not_fit_is_not_proposed_however_many_search_it() -> None:
    rows = scored(phone=(100_000, 0.0001), coat=(50, 0.1)).assign(relevance=[0.01, 0.5])
    assert choose(rows, items())["keyword"].tolist() == ["coat"]
    assert choose(rows, items(), SetRules(least_relevance=0.0))["keyword"].tolist() == ["phone", "coat"]


def many(rng: np.random.Generator, n: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    words = [f"w{number}" for number in range(25)]
    rows = [
        {
            "item_id": f"i{item:03d}",
            "keyword": " ".join(sorted(rng.choice(words, rng.integers(1, 4), replace=False))),
        }
        for item in range(n)
        for _ in range(rng.integers(1, 30))
    ]
    made = pd.DataFrame(rows).drop_duplicates(ignore_index=True)
    size = len(made)
    made = made.assign(
        sources="graph",
        p_click=rng.uniform(0.01, 0.2, size),
        p_purchase=rng.uniform(0.01, 0.2, size),
        p_win=rng.uniform(0.05, 1, size),
        relevance=rng.random(size),
        searches_7d=rng.poisson(40, size),
        searchers_7d=rng.poisson(30, size),
    )
    facts = pd.DataFrame({"item_id": [f"i{item:03d}" for item in range(n)], "seller_id": "s1"}).assign(
        price=rng.uniform(5, 90, n),
        take_rate=0.1,
        stock=rng.choice([1, 1, 1, 5], n),
        ad_rate=rng.uniform(0.02, 0.2, n),
    )
    return made, facts


def test_gains_fall_and_lists_do_not_depend_on_the_order_or_company_of_rows() -> None:
    rng = np.random.default_rng(4)
    rows, facts = many(rng)
    rules = SetRules(diversity=0.0, loyalty=0.0)
    chosen = choose(rows, facts, rules)
    for _, one in chosen.groupby("item_id"):
        assert one["rank"].tolist() == list(range(1, len(one) + 1))
        assert (np.diff(one["marginal_profit"]) <= 1e-9).all()
        assert one["keyword"].is_unique
    mixed = choose(rows.sample(frac=1, random_state=1), facts.sample(frac=1, random_state=2), rules)
    pd.testing.assert_frame_equal(
        mixed.sort_values(["item_id", "rank"], ignore_index=True),
        chosen.sort_values(["item_id", "rank"], ignore_index=True),
    )
    alone = choose(rows[rows["item_id"] == "i007"], facts, rules)
    together = chosen[chosen["item_id"] == "i007"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, together)


def test_blocks_of_items_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, facts = many(np.random.default_rng(5))
    whole = choose(rows, facts)
    monkeypatch.setattr("recsys.keywords.choose.ITEMS_AT_ONCE", 7)
    pd.testing.assert_frame_equal(choose(rows, facts), whole)


def test_nothing_scored_is_no_list_and_unknown_items_are_named() -> None:
    assert list(choose(scored(coat=(0, 0.1)), items())) == list(CHOSEN)
    with pytest.raises(KeywordError, match="'i1'"):
        choose(scored(coat=(5, 0.1)), items(item_id=["i2"]))
    with pytest.raises(KeywordError, match="twice"):
        choose(scored(coat=(5, 0.1)), pd.concat([items(), items()]))
    with pytest.raises(KeywordError, match="margin"):
        SetRules(margin=1.5)
