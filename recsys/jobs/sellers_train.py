"""Learn what each factor of a list of sellers is worth, from whom buyers turned to in the last days."""

from __future__ import annotations

from datetime import date

import numpy as np
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.jobs.sellers_inputs import WEIGHTS, evening_before, read_later, read_market
from recsys.schema import table
from recsys.sellers.factors import Factors
from recsys.sellers.weights import STATED, Weights, learn
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

MOST_DAYS, LEAST_DAYS = 14, 5
"""How long before the day the factors are taken from: the days between are what is learned."""


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Write ``scoring.seller_weights`` of ``ds``: the stated weights while there is too little to learn from.

    Factors are those of an evening MOST_DAYS before ``ds``, or later as far as LEAST_DAYS where features begin later.
    """
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        cut = evening_before(warehouse, ds, MOST_DAYS, LEAST_DAYS)
        weights, why = _learn(warehouse, settings, cut, ds)
        frame = weights.to_frame().assign(ds=ds)
        warehouse.write(WEIGHTS, frame[table(WEIGHTS).column_names], ds)
    return {
        "weights": "learned" if weights.pairs else "stated",
        "cut": cut,
        "pairs": weights.pairs,
        "note": why,
    }


def _learn(warehouse: Warehouse, settings: Settings, cut: date | None, ds: date) -> tuple[Weights, str]:
    if cut is None:
        return STATED, f"no features {LEAST_DAYS} to {MOST_DAYS} days before {ds}"
    try:
        return learned(warehouse, settings, cut, ds), ""
    except ModelError as error:
        return STATED, str(error)


def learned(warehouse: Warehouse, settings: Settings, cut: date, until: date) -> Weights:
    """Weights of the factors of ``cut``, from what followed up to ``until``.

    Raises:
        ModelError: too few pairs of a buyer and a new seller.
    """
    factors = Factors(read_market(warehouse, settings, cut), settings.seed)
    return learn(factors, read_later(warehouse, cut, until), np.random.default_rng(settings.seed))
