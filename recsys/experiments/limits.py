"""What a definition in YAML and a plan of the command line are both held to."""

MOST_LOOKS = 100
"""Looks of a sequential design. More make the bounds slow to find, and hardly end an experiment earlier."""
