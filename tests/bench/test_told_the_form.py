"""Who is told how people behave says what the simulator says once tastes are known, and finds them in what people do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from bench.told_the_form import Seen, Told
from recsys.models.neural import AVAILABLE
from recsys.synthetic import State, preset, start
from recsys.synthetic.state import DAY, day_start
from recsys.synthetic.taste import Taste

pytestmark = pytest.mark.skipif(
    not AVAILABLE, reason="PyTorch is not installed: pip install -r requirements-neural.txt"
)


@pytest.fixture(scope="module")
def morning() -> State:
    return start(replace(preset("small", seed=3), private_taste=0.0))


def pairs(morning: State, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    user, item = rng.integers(0, morning.n_users, n), rng.integers(0, morning.n_items, n)
    age = np.maximum(day_start(morning.config.first_day) - morning.items["listed"][item], 0) / DAY
    return user, item, age


def test_with_the_true_tastes_it_says_what_is_true(morning: State) -> None:
    day, users, items = morning.config.first_day, morning.users, morning.items
    model = Told(morning, day)
    log_deal = np.where(items["auction"], 0.5, np.log(items["fair"] / items["price"]))
    known = {
        "leaf": users["interest"] - model.usual.numpy(),
        "brand": users["brand_taste"],
        "style": users["style_taste"],
        "tier": users["tier"],
        "quality": items["quality"],
        "deal": (log_deal - model.deal.numpy()) / model.deal_spread.numpy(),
    }
    for name, values in known.items():
        model.parts[name] = model._real(values)
    user, item, age = pairs(morning, 5_000)
    wish = Taste(morning, day).wish(user, item)
    np.testing.assert_allclose(model.chances(user, item, age), wish.click * wish.buy, rtol=2e-3)
    np.testing.assert_allclose(model.quality(), items["quality"], atol=1e-6)


def test_what_listings_are_like_is_found_in_who_opens_them(morning: State) -> None:
    day, (user, item, age) = morning.config.first_day, pairs(morning, 60_000)
    wish, rng = Taste(morning, day).wish(user, item), np.random.default_rng(4)
    clicked = rng.random(len(user)) < wish.click
    liked = clicked & (rng.random(len(user)) < 1 / (1 + np.exp(2.6 - 0.9 * wish.match)))
    wanted = clicked & (rng.random(len(user)) < 0.5)
    carted, bought = (wanted & (rng.random(len(user)) < share * wish.buy) for share in (4.0, 1.25))
    asked = np.column_stack([user, morning.items["leaf"][item]])[:0]
    position = np.ones(len(user))
    seen = Seen(user, item, position, age, clicked, liked, carted, bought, asked, np.zeros((0, 3), np.int64))
    model, told = Told(morning, day + timedelta(days=1)), []
    truth = np.log(wish.click * wish.buy)
    before = np.corrcoef(np.log(model.chances(user, item, age)), truth)[0, 1]
    model.fit(seen, 60, told.append)
    after = np.corrcoef(np.log(model.chances(user, item, age)), truth)[0, 1]
    assert after > before + 0.05
    assert np.corrcoef(model.quality(), morning.items["quality"])[0, 1] > 0.6
    assert told[-1].startswith("step 60 of 60")
