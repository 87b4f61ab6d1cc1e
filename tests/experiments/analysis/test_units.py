from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ExperimentError
from recsys.experiments.analysis.units import gather, labels, numbers


def table(*rows: tuple[object, object, object]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "arm", "x"])


def test_one_row_per_unit_stays_as_it_is() -> None:
    units = gather(table(("u2", "b", 1), ("u1", "a", 2), ("u3", "b", 3)), "id", "arm")
    assert units.arms == ("a", "b")
    assert units.counts() == {"a": 1, "b": 2}
    assert units.total(units.raw("x")).tolist() == [1, 2, 3]
    assert not units.notes and not units.has_repeats


def test_copies_of_a_row_count_once() -> None:
    units = gather(table(("u1", "a", 2), ("u1", "a", 2), ("u2", "b", 3)), "id", "arm")
    assert units.total(units.raw("x")).tolist() == [2, 3]
    assert "1 unit with copies" in units.notes[0] and "1 row left out" in units.notes[0]


def test_rows_that_differ_anywhere_are_measurements_and_add_up() -> None:
    rows = table(("u1", "a", 2), ("u1", "a", 2), ("u2", "b", 3)).assign(order=["o1", "o2", "o3"])
    units = gather(rows, "id", "arm")
    assert units.total(units.raw("x")).tolist() == [4, 3]
    assert units.highest(units.raw("x")).tolist() == [2, 3]
    assert units.trait(units.raw("x")).tolist() == [2, 3], "equal in all rows of each unit: known once"
    assert units.has_repeats and "added up" in units.notes[0]


def test_copies_add_up_when_asked_or_where_other_units_have_several_measurements() -> None:
    copies = table(("u1", "a", 2), ("u1", "a", 2), ("u2", "b", 3))
    assert gather(copies, "id", "arm", "sum").total(numbers(copies["x"], "x")).tolist() == [4, 3]
    sessions = table(("u1", "a", 2), ("u1", "a", 2), ("u2", "b", 3), ("u2", "b", 4))
    units = gather(sessions, "id", "arm")
    assert units.total(units.raw("x")).tolist() == [4, 7]
    assert units.trait(units.raw("x")).tolist() == [4, 7]


def test_repeats_can_be_refused() -> None:
    with pytest.raises(ExperimentError, match="1 unit of column id have several rows, the first 'u1'"):
        gather(table(("u1", "a", 2), ("u1", "a", 2), ("u2", "b", 3)), "id", "arm", "refuse")


def test_a_unit_in_two_arms_is_in_none() -> None:
    units = gather(
        table(("u1", "a", 1), ("u1", "b", 1), ("u2", "b", 2), ("u3", "a", 3), ("u2", "b", 2)), "id", "arm"
    )
    assert units.counts() == {"a": 1, "b": 1}
    assert units.total(units.raw("x")).tolist() == [2, 3]
    assert "1 unit seen in more than one arm" in units.notes[0]


def test_rows_without_a_unit_or_an_arm_are_left_out() -> None:
    units = gather(
        table(("u1", "a", 1), (None, "a", 1), ("u2", " ", 2), ("u3", "b", 3), ("", "b", 9)), "id", "arm"
    )
    assert units.counts() == {"a": 1, "b": 1}
    assert units.notes == ("3 rows without id or arm left out",)


@pytest.mark.parametrize("gap", ["NA", "null", "NULL", "nan", "NaN", "None", "n/a", "<NA>", " ", None])
def test_what_a_file_writes_for_a_missing_name_is_no_name(gap: str | None) -> None:
    units = gather(table(("u1", "a", 1), (gap, "a", 1), ("u2", gap, 2), ("u3", "b", 3)), "id", "arm")
    assert units.counts() == {"a": 1, "b": 1}
    assert units.notes == ("2 rows without id or arm left out",)


def test_ids_that_are_bytes_are_read_as_text_or_refused() -> None:
    units = gather(table((b"u1", b"a", 1), (b"u2", b"b", 2)), "id", "arm")
    assert units.arms == ("a", "b")
    with pytest.raises(ExperimentError, match=r"Column id holds bytes that are no text, the first ff00"):
        gather(table((b"\xff\x00", "a", 1), (b"u2", "b", 2)), "id", "arm")


def test_an_arm_may_be_called_none() -> None:
    assert gather(table(("u1", "none", 1), ("u2", "new", 2)), "id", "arm").arms == ("new", "none")


def test_arms_that_are_numbers_keep_their_size_order_and_have_plain_names() -> None:
    units = gather(table((1, 10, 1), (2, 2, 1), (3, 0, 1)), "id", "arm")
    assert units.arms == ("0", "2", "10")
    assert labels(pd.Series([1.0, np.nan, 0.0])).tolist() == ["1", pd.NA, "0"]
    assert labels(pd.Series([1.5, 2.0])).tolist() == ["1.5", "2"]
    assert len(set(labels(pd.Series([1e20, 1e300, np.inf])))) == 3


@pytest.mark.parametrize("values", [[0.0, 1.0], [0.0, 1.5, np.nan], [-1.0, 12.25, 300.0]])
def test_numbers_are_called_the_same_in_a_text_file_and_in_a_typed_one(values: list[float]) -> None:
    typed = pd.Series(values)
    written = typed.map(lambda value: "" if np.isnan(value) else str(value)).astype("str")
    assert labels(written).equals(labels(typed))


def test_versions_among_names_stay_as_they_are() -> None:
    assert labels(pd.Series(["v1", "2.0"], dtype="str")).tolist() == ["v1", "2.0"]
    assert labels(pd.Series(["1.0.0", "1.1.0"], dtype="str")).tolist() == ["1.0.0", "1.1.0"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("u1", "a", 1), ("u2", "a", 1)], r"1 arm\(s\) \['a'\]"),
        ([("u1", "a", 1), ("u1", "b", 1)], "No unit is left"),
        ([(None, "a", 1)], "No unit is left"),
    ],
)
def test_nothing_to_compare(rows: list[tuple[object, object, object]], told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        gather(table(*rows), "id", "arm")


def test_a_table_without_arms_has_one() -> None:
    units = gather(table(("u1", "a", 2), (None, "b", 3), ("u2", "b", 3)), "id", None)
    assert units.counts() == {"all": 2} and units.notes == ("1 row without id left out",)


def test_numbers_of_a_text_file() -> None:
    column = pd.Series([" 1.5", "", "NULL", "nan", "True", "false", "1e3", "-2", None], dtype="str")
    np.testing.assert_array_equal(numbers(column, "x"), [1.5, np.nan, np.nan, np.nan, 1, 0, 1000, -2, np.nan])
    np.testing.assert_array_equal(numbers(pd.Series([True, False]), "x"), [1, 0])
    np.testing.assert_array_equal(numbers(pd.Series([1, None], dtype="Int64"), "x"), [1, np.nan])


@pytest.mark.parametrize("value", ["twelve", "1,5", "12 EUR", "inf", "-Infinity"])
def test_what_is_no_number_is_named_with_its_row(value: str) -> None:
    with pytest.raises(ExperimentError, match=rf"Column x.*1 of 3 values.*'{value}' in row 2\."):
        numbers(pd.Series(["1", value, "2"], dtype="str"), "x")
    with pytest.raises(ExperimentError, match="row 1"):
        numbers(pd.Series([np.inf, 1.0]), "x")
