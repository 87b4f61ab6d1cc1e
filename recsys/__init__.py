"""A revenue-optimising recommender for consumer-to-consumer marketplaces."""
