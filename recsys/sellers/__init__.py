"""Sellers worth following, for buyers: who offers what a buyer likes, and is liked by those who like the same.

``Market`` holds what is known at the end of a day, ``Factors`` says how a buyer and a seller fit in plain quantities,
``Weights`` learns from earlier days what these quantities are worth, and ``recommend`` makes the lists with reasons.
"""
