"""Which evenings a shop replays."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest

from recsys.errors import ModelError
from recsys.ranking.shop import replay_days


def test_outcomes_are_known_and_do_not_overlap() -> None:
    days = replay_days(date(2025, 1, 1), date(2025, 12, 31), 30)
    assert days[0] == date(2025, 12, 1)
    assert all((later - earlier).days == 30 for later, earlier in pairwise(days))
    assert len(days) == 5


def test_each_evening_has_a_history_of_its_own() -> None:
    assert replay_days(date(2025, 1, 1), date(2025, 4, 1), 30) == [date(2025, 3, 2), date(2025, 1, 31)]
    with pytest.raises(ModelError, match="at least 90 days"):
        replay_days(date(2025, 1, 2), date(2025, 4, 1), 30)
