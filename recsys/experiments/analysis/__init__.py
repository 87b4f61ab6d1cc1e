"""Read-out of any table of units and arms: what was asked, the units as they count, and the comparisons."""
