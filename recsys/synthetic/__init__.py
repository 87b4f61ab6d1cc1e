"""A marketplace with known truth, played day by day in a closed loop with the recommender."""

from recsys.synthetic.config import MarketplaceConfig, preset
from recsys.synthetic.play import DayTables, play, start, trending
from recsys.synthetic.state import State
from recsys.synthetic.tables import source_tables
from recsys.synthetic.truth import Truth, compare, oracle_lists, true_rpu

__all__ = [
    "DayTables",
    "MarketplaceConfig",
    "State",
    "Truth",
    "compare",
    "oracle_lists",
    "play",
    "preset",
    "source_tables",
    "start",
    "trending",
    "true_rpu",
]
