"""From candidates to an ordered list: pair scorer, revenue, filters, and the pipeline that batch and online call."""
