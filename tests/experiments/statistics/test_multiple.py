"""Adjusted p-values against statsmodels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from recsys.experiments.statistics import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@settings(max_examples=20, deadline=None)  # the other's Holm takes a tenth of a second
@given(P_VALUES)
def test_equal_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], rel=1e-9)
    expected = multipletests(p_values, method="fdr_bh")[1]
    assert benjamini_hochberg(p_values) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_what_was_not_compared_does_not_count(adjust) -> None:  # type: ignore[no-untyped-def]
    assert adjust([0.01, None, 0.03, math.nan]) == [
        adjust([0.01, 0.03])[0],
        None,
        adjust([0.01, 0.03])[1],
        None,
    ]
    assert adjust([]) == []
    assert adjust([None]) == [None]
