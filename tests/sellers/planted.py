"""A market with a plan: sellers of one category each, and buyers who care for one."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

DS = date(2026, 3, 1)
CATEGORIES = 4
SELLERS = 24
BUYERS = 60


def frames(seed: int = 0) -> dict[str, pd.DataFrame]:
    """Seller s sells 3 listings of category s % CATEGORIES; buyer u looked at some of category u % CATEGORIES.

    Seller ids are ``s00``...; the first of them is also a buyer. Listing 0 of each seller is live, and so are the
    others but of the last seller, who has none left.
    """
    rng = np.random.default_rng(seed)
    seller = np.repeat(np.arange(SELLERS), 3)
    listings = pd.DataFrame(
        {
            "item_id": [f"i{n:03d}" for n in range(len(seller))],
            "seller_id": [f"s{s:02d}" for s in seller],
            "category_id": [f"c{s % CATEGORIES}" for s in seller],
            "category_name": [f"Kind {s % CATEGORIES}" for s in seller],
            "title": [f"thing number{s % CATEGORIES}" for s in seller],
            "brand": [None if s % 3 else "acme" for s in seller],
            "condition": "good",
            "price": 20.0 + seller % 5,
            "listed_on": pd.Timestamp(DS) - pd.to_timedelta(seller, unit="D"),
            "is_live": seller < SELLERS - 1,
        }
    )
    buyer = np.repeat(np.arange(BUYERS), 4)
    item = 3 * (buyer % CATEGORIES + CATEGORIES * rng.integers(0, SELLERS // CATEGORIES, len(buyer)))
    touched = pd.DataFrame({"user_id": [f"u{n:02d}" for n in buyer], "item_id": [f"i{n:03d}" for n in item]})
    touched = touched.drop_duplicates(ignore_index=True).assign(weight=2.0)
    ties = touched.merge(listings[["item_id", "seller_id"]])[["user_id", "seller_id", "weight"]]
    ties = ties.assign(follows=0, purchases=0)
    bound = ties.index % 4 == 0
    ties.loc[bound, ["weight", "purchases"]] = [10.0, 1]
    users = [*sorted(set(touched["user_id"])), "s00", "u_new"]
    return {
        "listings": listings,
        "touched": touched,
        "ties": ties,
        "sellers": pd.DataFrame(
            {
                "seller_id": sorted(set(listings["seller_id"])),
                "rating": 4.0,
                "cancel_rate": 0.05,
                "tenure_days": 100,
                "own_rating": 4.0,
                "ratings": 50,
            }
        ),
        "users": pd.DataFrame({"user_id": users, "gender": None, "birth_year": np.nan, "region": None}),
        "cohorts": pd.DataFrame({"cohort": [], "category_id": [], "share": [], "drawn": []}),
    }


def later(seed: int = 1) -> pd.DataFrame:
    """Whom the buyers turn to next: a seller of their category."""
    rng = np.random.default_rng(seed)
    seller = np.arange(BUYERS) % CATEGORIES + CATEGORIES * rng.integers(0, SELLERS // CATEGORIES, BUYERS)
    return pd.DataFrame(
        {
            "user_id": [f"u{n:02d}" for n in range(BUYERS)],
            "seller_id": [f"s{n:02d}" for n in seller],
        }
    )
