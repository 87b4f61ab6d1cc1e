from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from recsys.errors import SettingsError
from recsys.synthetic import preset


def test_users_alone_keep_the_proportions() -> None:
    assert preset("demo", users=10_000).listings_per_day == pytest.approx(2 * preset("demo").listings_per_day)
    assert preset("demo", users=10_000).sellers == 2 * preset("demo").sellers


def test_a_given_size_is_not_scaled() -> None:
    assert preset("demo", users=10_000, sellers=50).sellers == 50


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        preset("small").users = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("huge", {}, "small, demo"),
        ("small", {"colour": "red"}, "no option colour"),
        ("small", {"users": 3}, "20 or more"),
    ],
)
def test_bad_choices_name_the_remedy(name: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        preset(name, **changes)
