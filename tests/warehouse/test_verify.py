"""The key of a written file, over the seams of its batches."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from recsys.errors import ContractError
from recsys.warehouse import Warehouse

DAY = dt.date(2026, 1, 5)


def assignments(units: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "experiment_id": "e",
            "unit_id": units,
            "arm": "control",
            "policy": "hybrid",
            "bucket": 1,
            "started_on": DAY,
            "first_assigned_on": DAY,
            "unit": "user",
        }
    )


@pytest.mark.parametrize("at", [0, 1 << 17, 150_000])
def test_a_double_is_found_wherever_it_is(warehouse: Warehouse, at: int) -> None:
    units = [f"u{number:06d}" for number in range(200_000)]
    units[at + 1] = units[at]
    with pytest.raises(ContractError, match=rf"two rows have experiment_id 'e', unit_id 'u{at:06d}'"):
        warehouse.write("experiments.assignments", assignments(units), DAY)
    assert not warehouse.exists("experiments.assignments", DAY)


def test_keys_that_share_a_part_are_no_doubles(warehouse: Warehouse) -> None:
    both = pd.concat([assignments(["u", "v"]), assignments(["u", "v"]).assign(experiment_id="f")])
    assert warehouse.write("experiments.assignments", both, DAY) == 4
    assert Path(warehouse.location("experiments.assignments", DAY)).is_file()
