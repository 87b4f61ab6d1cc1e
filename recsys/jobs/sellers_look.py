"""Print the list of sellers of one user."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.table import Table

from recsys.sellers.factors import NAMES


def print_list(lists: pd.DataFrame, places: int, console: Console) -> None:
    """Print the first ``places`` of a list: the seller, the score, what adds most to it, and the reason."""
    if lists.empty:
        console.print("No seller is left: every one with a live listing is known to this user already.")
        return
    grid = Table("rank", "seller", "score", "listings", "adds most", "reason", box=None)
    for row in lists.head(places).to_dict("records"):
        best = max(NAMES, key=lambda name: float(row[f"by_{name}"]))
        grid.add_row(
            str(row["rank"]),
            str(row["seller_id"]),
            f"{row['score']:.2f}",
            f"{row['live_listings']:,}",
            f"{best} {row[f'by_{best}']:+.2f}",
            str(row["reason"]),
        )
    console.print(grid)
    console.print(f"Weights: {lists['model'].iloc[0]}.", highlight=False)
