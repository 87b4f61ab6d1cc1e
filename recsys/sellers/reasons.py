"""Why a seller stands in a list, in one plain sentence that is true of what is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.sellers.factors import NAMES, Factors, dampened
from recsys.sellers.market import values_at

LEAST_PEOPLE = 3
"""Fewer people are not counted aloud: a number of one or two can be a person."""
GOOD_RATING = 4.5
"""Of 5, their own and as drawn to the market's mean: a lower one is not praised."""


@dataclass(frozen=True)
class Reasons:
    """Sentences for pairs of a user and a seller, from the factors of a market."""

    factors: Factors

    def of(self, users: np.ndarray, sellers: np.ndarray, parts: np.ndarray) -> list[str]:
        """One sentence per pair.

        The factor that adds most of those that have something to say speaks; one that says nothing leaves the word to
        the next, and in the end the size of the shelf is told.

        Args:
            users: places of users of the market, [pairs].
            sellers: places of sellers, [pairs].
            parts: what each factor adds to the score, [pairs, NAMES].
        """
        said = self._sentences(users, sellers)
        order = np.argsort(-parts, axis=1, kind="stable")
        size = np.asarray(self.factors.of_seller.sum(axis=1)).astype(int).reshape(-1)[sellers]
        found = []
        for row, names in enumerate(order):
            told = (said[NAMES[name]][row] for name in names if NAMES[name] in said and parts[row, name] > 0)
            found.append(
                next((text for text in told if text), f"They have {_listings(size[row])} to look at.")
            )
        return found

    def _sentences(self, users: np.ndarray, sellers: np.ndarray) -> dict[str, list[str]]:
        market = self.factors.market
        category = self._category(users, sellers)
        people = np.asarray(market.bound.sum(axis=0)).reshape(-1)[market.offered][sellers].astype(int)
        return {
            "category": category,
            "brand": category,
            "content": self._alike(users, sellers),
            "circle": self._circle(users, sellers),
            "seen": self._seen(users, sellers),
            "popular": [
                f"{n:,} people follow them or bought from them." if n >= LEAST_PEOPLE else "" for n in people
            ],
            "rating": self._rated(sellers),
        }

    def _rated(self, sellers: np.ndarray) -> list[str]:
        """The seller's own mean: the drawn one of a seller whom few have rated is the market's."""
        known = self.factors.market.sellers.iloc[sellers]
        own, drawn = (known[name].to_numpy(np.float64) for name in ("own_rating", "rating"))
        told = (known["ratings"].to_numpy(np.float64) >= LEAST_PEOPLE) & (
            np.minimum(own, drawn) >= GOOD_RATING
        )
        return [f"Buyers rate them {r:.1f} of 5." if yes else "" for r, yes in zip(own, told, strict=True)]

    def _category(self, users: np.ndarray, sellers: np.ndarray) -> list[str]:
        """The category that makes most of the fit, where the seller has listings and the user did something."""
        shelf, touched = self.factors.market.shelf, self.factors.own_categories
        counts = self.factors.listings_by_category
        fit = sparse.coo_array(counts.T.tocsr()[sellers])  # a seller is in few of all categories
        block, place = np.unique(users, return_inverse=True)
        fit.data = fit.data * self.factors.interest(block)[place[fit.row], fit.col]
        best = np.asarray(sparse.csr_array(fit).argmax(axis=1)).reshape(-1)
        count = values_at(counts, best, sellers).astype(int).tolist()
        looked = values_at(touched, users, best) > 0
        texts = []
        for number, category, known in zip(count, best.tolist(), looked.tolist(), strict=True):
            name = shelf.category_names[category] or shelf.category_ids[category]
            why = ", where you have looked around" if known else ""
            texts.append(f"They have {_listings(number)} in {name}{why}." if number else "")
        return texts

    def _alike(self, users: np.ndarray, sellers: np.ndarray) -> list[str]:
        known = np.diff(self.factors.market.touched.indptr)[users] > 0
        return ["Their listings resemble what you have looked at." if yes else "" for yes in known]

    def _circle(self, users: np.ndarray, sellers: np.ndarray) -> list[str]:
        """People in common with the one of the user's sellers that says most."""
        market = self.factors.market
        ties = dampened(sparse.csr_array(market.ties[market.own[users]]))
        pull = sparse.csr_array(ties.multiply(sparse.csr_array(self.factors.circle[:, sellers].T)))
        best = np.where(np.diff(pull.indptr) > 0, np.asarray(pull.argmax(axis=1)).reshape(-1), -1)
        common = np.zeros(len(users), int)
        some = np.flatnonzero(best >= 0)
        common[some] = values_at(self.factors.common, best[some], sellers[some])
        text = "{:,} people who follow or bought from a seller you know do so here too."
        return [text.format(n) if n >= LEAST_PEOPLE else "" for n in common.tolist()]

    def _seen(self, users: np.ndarray, sellers: np.ndarray) -> list[str]:
        counts = values_at(self.factors.seen_listings, users, sellers).astype(int)
        return [f"You have looked at {_listings(n)} of theirs." if n else "" for n in counts.tolist()]


def _listings(count: int) -> str:
    return "1 listing" if count == 1 else f"{count:,} listings"
