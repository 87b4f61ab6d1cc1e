"""Measures one day of a large marketplace on one machine. `python bench/daily.py --help` says how."""
