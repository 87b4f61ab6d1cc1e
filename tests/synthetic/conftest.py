from __future__ import annotations

from datetime import date, timedelta

import pytest

from recsys.synthetic import preset
from tests.synthetic.lived import Lived, live


@pytest.fixture(scope="session")
def lived() -> Lived:
    return live(preset("small", users=800, seed=7), 24)


@pytest.fixture(scope="session")
def tomorrow(lived: Lived) -> date:
    return lived.state.ds + timedelta(days=1)
