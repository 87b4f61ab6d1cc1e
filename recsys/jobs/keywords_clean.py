"""Clean what buyers searched and sellers typed: one keyword for near-duplicates, a reason for what is refused."""

from __future__ import annotations

from datetime import date

import pandas as pd

from recsys.errors import WarehouseError
from recsys.jobs.keywords_inputs import FEATURES, VARIANTS, WEEK, policy_of, read_variants
from recsys.keywords.cluster import clean
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

TYPED = """
SELECT raw, MAX(searchers) AS searchers
FROM (
  SELECT query AS raw, searchers_28d AS searchers FROM features.keyword_demand WHERE ds = @ds
  UNION ALL
  SELECT query AS raw, 0 AS searchers FROM features.keyword_engaged WHERE ds = @ds
  UNION ALL
  SELECT keyword AS raw, 0 AS searchers FROM features.campaign_history WHERE ds = @ds
)
GROUP BY raw
ORDER BY raw
"""
"""Every text that the frames of ``ds``, and of the weeks that training looks back on, may hold."""
BRANDS = """
SELECT DISTINCT brand
FROM features.keyword_items
WHERE ds = @ds AND brand IS NOT NULL
ORDER BY brand
"""


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Write ``scoring.keyword_variants`` of ``ds``.

    The clusters of the week before, where it has some, are kept, and their keywords unless clearly overtaken; without
    them everything is clustered anew. So weeks have to be run in their order to give the same bytes again.

    Raises:
        WarehouseError: the keyword features of ``ds`` are missing.
        KeywordError: the policy file is missing or wrong.
    """
    with open_warehouse(settings) as warehouse:
        before = ds - WEEK if warehouse.exists(VARIANTS, ds - WEEK) else None
        previous = read_variants(warehouse, before) if before else None
        variants = variants_of(warehouse, settings, ds, previous)
        warehouse.write(VARIANTS, variants.assign(ds=ds), ds)
    refused = variants["reason"].dropna().value_counts().sort_index()
    return {
        "texts": len(variants),
        "keywords": int(variants["keyword"].nunique()),
        "refused": {str(reason): int(count) for reason, count in refused.items()},
        "kept from": before.isoformat() if before else None,
    }


def variants_of(
    warehouse: Warehouse, settings: Settings, ds: date, previous: pd.DataFrame | None
) -> pd.DataFrame:
    """The texts of ``ds``, cleaned: [raw, keyword, reason, searchers]; errors as of ``run``."""
    policy = policy_of(settings)
    for table in FEATURES:
        if not warehouse.exists(table, ds):
            raise WarehouseError(warehouse.missing(table, ds))
    raw = warehouse.query(TYPED, ds=ds).to_pandas()
    brands = warehouse.query(BRANDS, ds=ds).column("brand").to_pylist()
    return clean(raw, policy, previous, map(str, brands))
