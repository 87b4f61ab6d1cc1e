"""What both notebooks share: the warehouse behind the switch, and how figures look."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from cycler import cycler
from IPython.display import Markdown, display
from matplotlib.axes import Axes

warnings.filterwarnings("ignore", message="IProgress not found")  # progress bars are for the terminal

from recsys import schema
from recsys.errors import ModelError
from recsys.jobs import build, simulate
from recsys.jobs.train import train_market
from recsys.ranking.champion import Champion
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

FIRST, DAYS, FEATURE_DAYS = date(2026, 1, 1), 16, 9
"""Length of the small marketplace that is made where there is none."""
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
"""Colours that the colour-blind tell apart (Okabe and Ito, 2008)."""


@dataclass(frozen=True)
class Market:
    """A marketplace: its settings, its warehouse, and the newest data day that has features."""

    settings: Settings
    warehouse: Warehouse
    ds: date

    def ask(self, sql: str, **params: object) -> pd.DataFrame:
        """Rows of a SELECT in BigQuery's dialect; ``@ds`` is the newest day, other parameters go by name."""
        return self.warehouse.query(sql, params, ds=self.ds).to_pandas()


def open_market(warehouse: str) -> Market:
    """Open ``warehouse`` ("": RECSYS_WAREHOUSE, else that of `make run`); a local one that is empty is filled first."""
    settings = Settings.load(warehouse=warehouse or None)
    if not settings.is_bigquery and not Path(settings.warehouse).exists():
        print(f"No warehouse in {settings.warehouse}: making a small synthetic one, {DAYS} days of it.")
        make_small(settings)
    opened = open_warehouse(settings)
    return Market(settings, opened, opened.partitions("features.item_daily")[-1])


def make_small(settings: Settings) -> None:
    """Play DAYS days of a small marketplace, and build its staging tables and the features of the last days."""
    last = FIRST + timedelta(days=DAYS - 1)
    simulate.history(settings, FIRST, DAYS, size="small")
    build.history(settings, FIRST, last, [table.name for table in schema.STAGING])
    features = last - timedelta(days=FEATURE_DAYS - 1)
    build.history(settings, features, last, [table.name for table in schema.FEATURES])


def champion_of(market: Market, evening: date) -> Champion:
    """Train the ranker as of ``evening``; where the gate refuses it, that of the day before stays, up to a week back.

    Raises:
        ModelError: all of them were refused, or have too little to learn from.
    """
    for back in range(7):
        day = evening - timedelta(days=back)
        try:
            return train_market(market.warehouse, market.settings, day)
        except ModelError as error:
            last = error
            say(f"No ranker as of {day}, so an older one stays. {error}")
    raise last


def style() -> None:
    """Figures that are readable on a white page: no frame, a light grid, colours by Okabe and Ito."""
    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, "#56B4E9", "#CC79A7", GREY]),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "figure.figsize": (8.5, 3.6),
            "font.size": 10,
            "grid.color": "#e6e6e6",
            "legend.frameon": False,
        }
    )


def say(text: str) -> None:
    """Show a sentence below a figure."""
    display(Markdown(text))


def bars(ax: Axes, labels: list[str], values: pd.Series, form: str = "{:,.0f}", color: str = BLUE) -> None:
    """Horizontal bars, the first on top, each with its value beside it."""
    drawn = ax.barh(labels, values, color=color)
    ax.bar_label(drawn, labels=[form.format(value) for value in values], padding=3, fontsize=9)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.15)
