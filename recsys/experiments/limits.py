"""What a definition in YAML and a plan or a table of the command line are both held to."""

MOST_LOOKS = 100
"""Looks of a sequential design. More make the bounds slow to find, and hardly end an experiment earlier."""

MOST_WRONG = 0.001
"""Share of the exposed units above which a contamination blocks; below, it is told and the verdict stands."""
