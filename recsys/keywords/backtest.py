"""Lists of an evening by every system: what is popular in the category, each retriever, their union, ranker and set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np
import pandas as pd

from recsys.errors import KeywordError
from recsys.keywords.adoption import TAKEN, Adoption
from recsys.keywords.choose import CHANCES, SetRules, choose
from recsys.keywords.labels import Frames, week
from recsys.keywords.ranker import KeywordRanker
from recsys.keywords.retrieve import RETRIEVERS, Retrieval
from recsys.keywords.trial import Trial
from recsys.schema import CATEGORY_ID, ITEM_ID, RANK

POPULARITY: Final = "popularity in the category"
UNION: Final = "union of the retrievers"
SOLD: Final = "by what it sells"
TAKEN_AND_SOLD: Final = "by what is taken and sells"
FULL: Final = "the set"
LIST: Final = (ITEM_ID, "keyword", RANK)


@dataclass(frozen=True)
class System:
    """What was learned by an evening."""

    retrieval: Retrieval
    ranker: KeywordRanker
    adoption: Adoption

    @classmethod
    def fit(
        cls,
        past: Sequence[Frames],
        *,
        seed: int,
        model: str = "logistic",
        names: tuple[str, ...] = tuple(RETRIEVERS),
    ) -> Self:
        """Learn from the frames of evenings a week apart, the last of them the evening itself.

        Adoption is learned from the last week: from candidates of retrievers that were fitted on the evening before it.

        Raises:
            KeywordError: fewer than three evenings.
        """
        if len(past) < 3:
            raise KeywordError(f"{len(past)} evenings to learn from; give 3 or more, a week apart.")
        before, eve = past[-2:]
        weeks = [week(first, second) for first, second in pairwise(past)]
        ranker = KeywordRanker.fit(weeks, model=model, seed=seed)
        older = Retrieval.fit(before.catalogue, before.engaged, before.items, seed=seed, names=names)
        trial = Trial.of(before, eve)
        adoption = Adoption.fit(
            older.candidates(trial.items),
            trial.typed,
            trial.items,
            before.catalogue,
            before.engaged,
            seed=seed,
        )
        return cls(
            Retrieval.fit(eve.catalogue, eve.engaged, eve.items, seed=seed, names=names), ranker, adoption
        )

    def scored(self, trial: Trial) -> pd.DataFrame:
        """The candidates of the items of a trial with all chances."""
        candidates = self.retrieval.candidates(trial.items)
        taken = self.adoption.score(candidates, trial.items, trial.eve.catalogue)
        return self.ranker.score(taken, trial.items, trial.eve.catalogue, trial.rates())


def systems(
    trial: Trial, system: System, rules: SetRules | None = None
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """What each system would have proposed for the items of a trial.

    Returns:
        Lists [item_id, keyword, rank] by name of the system, simple ones first, and the scored candidates.
    """
    made = {POPULARITY: popularity(trial.eve.catalogue, trial.items)}
    retrieval = system.retrieval
    for name, retriever in retrieval.retrievers.items():
        single = Retrieval(retrieval.phrases, {name: retriever})
        made[name] = single.candidates(trial.items)[list(LIST)]
    scored = system.scored(trial)
    made[UNION] = ranked(scored, np.arange(0, -len(scored), -1.0))
    sells = scored[["searches_7d", *CHANCES]].prod(axis=1).to_numpy()
    made[SOLD] = ranked(scored, sells)
    made[TAKEN_AND_SOLD] = ranked(scored, sells * scored[TAKEN].to_numpy())
    items = trial.items.assign(ad_rate=trial.items[ITEM_ID].map(trial.rates()))
    made[FULL] = choose(scored, items, rules)[list(LIST)]
    return made, scored


def popularity(catalogue: pd.DataFrame, items: pd.DataFrame, most: int = 50) -> pd.DataFrame:
    """The keywords of each item's leaf category that most searches led there: [item_id, keyword, rank].

    Searches of 28 days times the share of the keyword's clicks that are in the category.
    """
    weight = catalogue["searches_28d"] * catalogue["share"]
    ordered = catalogue.assign(weight=weight).sort_values(
        [CATEGORY_ID, "weight", "keyword"], ascending=[True, False, True]
    )
    ordered[RANK] = ordered.groupby(CATEGORY_ID).cumcount() + 1
    best = ordered.loc[ordered[RANK] <= most, [CATEGORY_ID, "keyword", RANK]]
    return items[[ITEM_ID, CATEGORY_ID]].merge(best, on=CATEGORY_ID)[list(LIST)]


def ranked(candidates: pd.DataFrame, score: np.ndarray) -> pd.DataFrame:
    """Lists in the order of falling ``score`` [candidates], equal ones by keyword: [item_id, keyword, rank]."""
    made = candidates[[ITEM_ID, "keyword"]].assign(score=score)
    made = made.sort_values([ITEM_ID, "score", "keyword"], ascending=[True, False, True], ignore_index=True)
    made[RANK] = made.groupby(ITEM_ID).cumcount() + 1
    return made[list(LIST)]
