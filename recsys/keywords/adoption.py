"""Would a seller who knows the item bid on the keyword? Learned from what the sellers of earlier campaigns typed.

What is proposed and not taken sells nothing, so a proposal is worth the chance that it is taken times what it then
sells. Sellers also know what no text of a listing says; what many of them type for items like this one tells some of
it. What was proposed to them and taken is not learned from: it would teach that what was proposed before is wanted.
What they type badly is left to the other factors: whether it wins a slot, is clicked, and sells.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd

from recsys.errors import KeywordError
from recsys.keywords.evaluate import CAMPAIGN_ID
from recsys.keywords.features import FEATURES, Known, pair_features
from recsys.keywords.pairs import Pairs
from recsys.keywords.rankers.base import Examples
from recsys.keywords.rankers.boosted import LightGBM
from recsys.keywords.retrieve import SCORES
from recsys.models import store
from recsys.ranking.judge import refuse_other_features
from recsys.ranking.platt import sigmoid
from recsys.schema import ITEM_ID

NAMES: Final = (*FEATURES, *SCORES, "log_rank")


@dataclass(frozen=True)
class Adoption:
    """P(a campaign of the item bids on the keyword), of keywords that the retrievers name."""

    model: LightGBM

    @classmethod
    def fit(
        cls,
        candidates: pd.DataFrame,
        bids: pd.DataFrame,
        items: pd.DataFrame,
        catalogue: pd.DataFrame,
        known: Known,
        *,
        seed: int,
    ) -> Self:
        """Learn from what sellers typed for the campaigns that started after an eve.

        A keyword that was proposed and taken tells nothing for its campaign, and a campaign of such keywords alone
        nothing at all: what the seller would have typed is not known.

        Args:
            candidates: as of ``Retrieval.candidates``, fitted on the eve, of the items of these campaigns.
            bids: [campaign_id, item_id, keyword, own], canonical, what they bid on, and whether the seller typed it.
            items: as known on the eve, or when they were listed.
            catalogue: as known on the eve.
            known: what the ranker had learned by the eve.
            seed: of every draw.

        Raises:
            KeywordError: no candidate was typed by any of the campaigns.
        """
        own = bids[bids["own"]]
        given = bids[~bids["own"] & bids[CAMPAIGN_ID].isin(set(own[CAMPAIGN_ID]))]
        pairs = pd.MultiIndex.from_frame(candidates[[ITEM_ID, "keyword"]])

        def campaigns_with(rows: pd.DataFrame) -> np.ndarray:
            counted = rows.groupby([ITEM_ID, "keyword"])[CAMPAIGN_ID].nunique()
            return np.asarray(counted.reindex(pairs).fillna(0), np.float64)

        good = campaigns_with(own)
        typing = candidates[ITEM_ID].map(own.groupby(ITEM_ID)[CAMPAIGN_ID].nunique()).fillna(0)
        tried = typing.to_numpy(np.float64) - campaigns_with(given)
        if not good.any():
            raise KeywordError(
                "No campaign typed a keyword that was named for its item. Give more weeks of campaigns."
            )
        examples = Examples(_features(candidates, items, catalogue, known), good, tried).where(tried > 0)
        return cls(LightGBM.fit(examples, NAMES, seed=seed))

    def score(
        self, candidates: pd.DataFrame, items: pd.DataFrame, catalogue: pd.DataFrame, known: Known
    ) -> pd.DataFrame:
        """Candidates with ``p_adopt`` and ``searches_28d`` of their keywords beside them, in their order."""
        searches = catalogue.drop_duplicates("keyword").set_index("keyword")["searches_28d"]
        searched = candidates["keyword"].map(searches).fillna(0).astype("int64")
        taken = np.empty(0)
        if len(candidates):
            taken = sigmoid(self.model.logit(_features(candidates, items, catalogue, known)))
        return candidates.assign(p_adopt=taken, searches_28d=searched)

    def save(self, folder: Path) -> None:
        """Write it into ``folder``: arrays and a manifest."""
        store.save(folder, self.model.arrays(), {"model": "keyword_adoption"})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what was saved.

        Raises:
            ModelError: when it is damaged, or was trained on other features than this version computes.
        """
        model = LightGBM.from_arrays(store.read_arrays(folder))
        refuse_other_features(model.names, NAMES)
        return cls(model)


def _features(
    candidates: pd.DataFrame, items: pd.DataFrame, catalogue: pd.DataFrame, known: Known
) -> np.ndarray:
    """Float32 [candidates, NAMES]."""
    fit = pair_features(Pairs.of(candidates, items, catalogue), known)
    named = candidates[list(SCORES)].to_numpy(np.float32)
    rank = np.log(candidates["rank"].to_numpy(np.float32))
    return np.column_stack([fit, named, rank]).astype(np.float32)
