"""Temporal split, metrics and the backtest: what a model would have been worth on days it had not seen."""
