"""Rules say what they mean, or are refused with the file, the rule, the value and the remedy."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.errors import RuleError
from recsys.features.shelf import Shelf
from recsys.ranking.rules import Rules, load_rules
from recsys.settings import Settings

DAY = date(2026, 2, 1)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    number = np.arange(6)
    return Shelf.from_frame(
        pd.DataFrame(
            {
                "item_id": [f"i{n}" for n in number],
                "group_id": "g",
                "seller_id": ["s0", "s0", "s1", "s1", "s2", "s2"],
                "category_id": ["shoes", "toys"] * 3,
                "price": 10.0 * number,
                "brand": ["Acme", None, "acme", "Other", None, None],
                "age_days": number.astype(float),
                "is_auction": [0.0, 0, 0, 0, 0, 1],
                "seller_days": [5.0, 5.0, 400.0, 400.0, None, None],
            }
        )
    )


def rules(tmp_path: Path, *written: str) -> Rules:
    body = "\n".join(f"- {one}" for one in written)
    (tmp_path / "some.yaml").write_text(f"rules:\n{body}\n" if body else "")
    return load_rules(tmp_path)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("{item_id: [i1, i4, sold]}", [1, 4]),
        ("{category_id: toys}", [1, 3, 5]),
        ("{seller_id: [s0, nobody]}", [0, 1]),
        ("{brand: ACME}", [0, 2]),
        ("{price: {min: 20, max: 40}}", [2, 3, 4]),
        ("{age_days: {max: 1}}", [0, 1]),
        ("{seller_days: {max: 30}}", [0, 1]),
        ("{is_auction: true}", [5]),
        ("{category_id: toys, price: {min: 20}}", [3, 5]),
        ("{brand: nobody}", []),
    ],
)
def test_a_condition_finds_its_listings(tmp_path: Path, shelf: Shelf, where: str, found: list[int]) -> None:
    made = rules(tmp_path, f"{{id: r, action: block, where: {where}}}")
    assert np.flatnonzero(~made.view(shelf, None).allowed).tolist() == found


def test_boosts_and_buries_multiply_and_a_block_beats_a_pin(tmp_path: Path, shelf: Shelf) -> None:
    view = rules(
        tmp_path,
        "{id: up, action: boost, factor: 2, where: {category_id: toys}}",
        "{id: down, action: bury, factor: 0.5, where: {seller_id: s0}}",
        "{id: out, action: block, where: {item_id: i3}}",
        "{id: first, action: pin, position: 1, where: {item_id: [i3, i2]}}",
    ).view(shelf, None)
    assert view.factor.tolist() == [0.5, 1.0, 1.0, 2.0, 1.0, 2.0]
    assert view.allowed.tolist() == [True, True, True, False, True, True]
    assert [(place, np.flatnonzero(mask).tolist()) for place, mask in view.pins] == [(1, [2])]
    assert view.named.tolist() == [2]


def test_days_policies_and_regions_bound_a_rule(tmp_path: Path, shelf: Shelf) -> None:
    made = rules(
        tmp_path,
        "{id: week, action: block, where: {item_id: i0}, start: 2026-01-26, end: 2026-02-01}",
        "{id: north, action: block, where: {item_id: i1}, regions: [north]}",
        "{id: popular, action: boost, factor: 3, where: {item_id: i2}, policies: [popularity]}",
        "{id: usual, action: boost, factor: 3, where: {item_id: i3}}",
    )
    last, over = made.on(DAY, "hybrid"), made.on(date(2026, 2, 2), "hybrid")
    assert last.regions == ("north",)
    assert np.flatnonzero(~last.view(shelf, "north").allowed).tolist() == [0, 1]
    assert np.flatnonzero(~last.view(shelf, None).allowed).tolist() == [0]
    assert over.view(shelf, None).allowed.all()
    assert np.flatnonzero(last.view(shelf, None).factor > 1).tolist() == [3]
    popular = made.on(DAY, "popularity").view(shelf, None)
    assert np.flatnonzero(popular.factor > 1).tolist() == [2]
    assert not popular.allowed[0]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "{id: r, action: hide, where: {brand: a}}",
            r"some\.yaml: rule 1 \('r'\): action is 'hide'; choose one",
        ),
        ("{action: block, where: {brand: a}}", r"rule 1: id is None; give the rule a name"),
        ("{id: r, action: block}", r"where is None; name listings by item_id"),
        ("{id: r, action: block, where: {brnd: a}}", r"no condition 'brnd'\. Did you mean brand\?"),
        (
            "{id: r, action: block, where: {item_id: 0123}}",
            r"where item_id: 83 is no text; write it in quotes",
        ),
        ("{id: r, action: block, where: {brand: []}}", r"where brand is empty"),
        ("{id: r, action: block, where: {price: {min: 9, max: 1}}}", r"max 1 is below min 9; swap"),
        ("{id: r, action: block, where: {price: {min: '9'}}}", r"'9' is no number"),
        ("{id: r, action: block, where: {price: 9}}", r"where price is 9; write \{min"),
        ("{id: r, action: block, where: {is_auction: 1}}", r"is_auction is 1; write true or false"),
        (
            "{id: r, action: boost, factor: 0.5, where: {brand: a}}",
            r"factor is 0\.5; boost takes one above 1",
        ),
        ("{id: r, action: bury, factor: 0, where: {brand: a}}", r"factor is 0; bury .* use block"),
        ("{id: r, action: block, factor: 2, where: {brand: a}}", r"factor is 2, which only boost and bury"),
        ("{id: r, action: pin, where: {brand: a}}", r"position is None; pin takes the place"),
        ("{id: r, action: block, position: 1, where: {brand: a}}", r"position is 1, which only pin has"),
        ("{id: r, action: block, where: {brand: a}, ends: 2026-01-01}", r"field 'ends'.* Did you mean end"),
        ("{id: r, action: block, where: {brand: a}, end: '2026-01-01'}", r"end is '2026-01-01'; write a day"),
        (
            "{id: r, action: block, where: {brand: a}, start: 2026-02-02, end: 2026-01-01}",
            r"before it starts",
        ),
        (
            "{id: r, action: block, where: {brand: a}, policies: [best]}",
            r"policies are \['best'\]; choose from",
        ),
        ("block everything", r"rule 1 is 'block everything'; write id, action and where"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, written: str, said: str) -> None:
    with pytest.raises(RuleError, match=said):
        rules(tmp_path, written)


def test_rules_that_cannot_hold_together_are_refused(tmp_path: Path) -> None:
    pin = "{{id: {}, action: pin, position: 1, where: {{brand: a}}, regions: [{}]}}"
    with pytest.raises(RuleError, match="'a' and 'b' both pin place 1"):
        rules(tmp_path, pin.format("a", "north"), pin.format("b", "north, south"))
    rules(tmp_path, pin.format("a", "north"), pin.format("b", "south"))
    with pytest.raises(RuleError, match=r"rule 'a' is in .* too"):
        rules(tmp_path, pin.format("a", "north"), pin.format("a", "south"))


@pytest.mark.parametrize(
    ("text", "said"),
    [("rules: [", "cannot be read as YAML"), ("- a", "expected one field"), ("rules: all", "rules is 'all'")],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(RuleError, match=said):
        load_rules(tmp_path)


def test_the_rules_of_the_project_do_nothing() -> None:
    assert load_rules(Settings.load({}).rules_dir) == Rules()
    assert list(Settings.load({}).rules_dir.glob("*.yaml"))


def test_no_folder_is_no_rules(tmp_path: Path) -> None:
    assert load_rules(tmp_path / "none") == Rules()
