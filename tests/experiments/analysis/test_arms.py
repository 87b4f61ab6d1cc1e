from __future__ import annotations

import pytest

from recsys.errors import ExperimentError
from recsys.experiments.analysis.arms import control_of, in_order, weights_of


@pytest.mark.parametrize(
    ("arms", "control"),
    [
        (("Treatment", "control_v1"), "control_v1"),
        (("Treatment", "Control"), "Control"),
        (("new", "BASELINE"), "BASELINE"),
        (("B", "a"), "a"),
        (("-1", "0", "1"), "0"),
        (("False", "True"), "False"),
        (("on", "Off"), "Off"),
        (("10", "9"), "9"),
        (("b", "a", "control"), "control"),
        (("Zebra", "apple"), "apple"),
    ],
)
def test_the_control_nobody_named(arms: tuple[str, ...], control: str) -> None:
    assert control_of(in_order(arms), None) == control


@pytest.mark.parametrize(
    ("asked", "arms", "found"),
    [
        ("1.0", ("0", "1"), "1"),
        ("true", ("False", "True"), "True"),
        ("False", ("false", "true"), "false"),
        ("CONTROL", ("control", "new"), "control"),
        ("a", ("A", "a"), "a"),
        ("1", ("01", "1"), "1"),
    ],
)
def test_an_arm_is_found_by_either_spelling(asked: str, arms: tuple[str, ...], found: str) -> None:
    assert control_of(arms, asked) == found
    other = next(arm for arm in arms if arm != found)
    assert weights_of(arms, {asked: 3.0, other: 1.0}) == {found: 3.0, other: 1.0}


@pytest.mark.parametrize("asked", ["AB", "c", "2.0"])
def test_a_control_that_is_no_arm_or_two(asked: str) -> None:
    with pytest.raises(
        ExperimentError, match=f"The control '{asked}' is no arm of the table; arms are ab, Ab, 1"
    ):
        control_of(("ab", "Ab", "1"), asked)


def test_weights_of_arms() -> None:
    assert weights_of(("0", "1"), {"1.0": 2.0, "0": 1.0, "2": 1.0}) == {"1": 2.0, "0": 1.0, "2": 1.0}
    with pytest.raises(ExperimentError, match=r"Arm '1' has two weights, one of them as '1\.0'"):
        weights_of(("0", "1"), {"0": 1.0, "1": 1.0, "1.0": 1.0})
    with pytest.raises(ExperimentError, match=r"Arm\(s\) 1 of the table have no weight"):
        weights_of(("0", "1"), {"0": 1.0})
