"""Models of how often something happens out of how many times it could, under one contract."""
