"""A marketplace with known truth, played day by day in a closed loop with the recommender."""

from recsys.synthetic.config import MarketplaceConfig, preset
from recsys.synthetic.play import DayTables, play, start, trending
from recsys.synthetic.state import State
from recsys.synthetic.tables import source_tables
from recsys.synthetic.truth import Deals, Truth, compare, deals, oracle_lists, trials, true_rpu

__all__ = [
    "DayTables",
    "Deals",
    "MarketplaceConfig",
    "State",
    "Truth",
    "compare",
    "deals",
    "oracle_lists",
    "play",
    "preset",
    "source_tables",
    "start",
    "trending",
    "trials",
    "true_rpu",
]
