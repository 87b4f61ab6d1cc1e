"""Lists of an evening by every system: what is popular in the category, each retriever, their union, ranker and set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np
import pandas as pd

from recsys.errors import KeywordError
from recsys.keywords.adoption import Adoption
from recsys.keywords.choose import SetRules, choose, wished_sales
from recsys.keywords.evaluate import about_lists, campaign_metrics, slices, summary
from recsys.keywords.labels import Frames, week
from recsys.keywords.ranker import KeywordRanker, week_knowledge
from recsys.keywords.retrieve import Retrieval
from recsys.keywords.trial import Trial
from recsys.schema import CATEGORY_ID, ITEM_ID, RANK

POPULARITY: Final = "popularity in the category"
UNION: Final = "union of the retrievers"
SOLD: Final = "by what it sells"
TAKEN_AND_SOLD: Final = "by what is taken and sells"
FULL: Final = "the set"
ADOPTION: Final = 3
"""Weeks of campaigns from which it is learned what sellers take."""
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
        names: tuple[str, ...] | None = None,
    ) -> Self:
        """Learn from the frames of evenings a week apart, the last of them the evening itself.

        Adoption is learned from the campaigns of the last ADOPTION weeks at most: of the candidates of retrievers that
        were fitted on the evening before them.

        Raises:
            KeywordError: fewer than three evenings.
        """
        if len(past) < 3:
            raise KeywordError(f"{len(past)} evenings to learn from; give 3 or more, a week apart.")
        weeks = [week(first, second) for first, second in pairwise(past)]
        ranker = KeywordRanker.fit(weeks, model=model, seed=seed)
        at = max(0, len(past) - 1 - ADOPTION)
        before, eve = past[at], past[-1]

        def fitted(day: Frames) -> Retrieval:
            return Retrieval.fit(day.catalogue, day.engaged, day.items, seed=seed, names=names)

        trial = Trial.of(before, eve, days=(eve.ds - before.ds).days)
        adoption = Adoption.fit(
            fitted(before).candidates(trial.items),
            trial.bids,
            trial.items,
            before.catalogue,
            week_knowledge(weeks[at]),
            seed=seed,
        )
        return cls(fitted(eve), ranker, adoption)

    def scored(self, items: pd.DataFrame, catalogue: pd.DataFrame, rates: float | pd.Series) -> pd.DataFrame:
        """The candidates of ``items`` with all chances, at the ad rates of the items."""
        taken = self.adoption.score(self.retrieval.candidates(items), items, catalogue, self.ranker.known)
        return self.ranker.score(taken, items, catalogue, rates)


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
    scored = system.scored(trial.items, trial.eve.catalogue, trial.rates())
    made[UNION] = ranked(scored, np.arange(0, -len(scored), -1.0))
    sells = wished_sales(scored, rules or SetRules())
    made[SOLD] = ranked(scored, sells)
    made[TAKEN_AND_SOLD] = ranked(scored, sells * scored["p_adopt"].to_numpy())
    items = trial.items.assign(ad_rate=trial.items[ITEM_ID].map(trial.rates()))
    made[FULL] = choose(scored, items, rules)[list(LIST)]
    return made, scored


def backtest(
    past: Sequence[Frames],
    later: Frames,
    *,
    seed: int,
    eve: Frames | None = None,
    model: str = "logistic",
    names: tuple[str, ...] | None = None,
    rules: SetRules | None = None,
    k: int = 10,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Learn from the frames ``past``, make lists for the campaigns of the week after, judge them by ``later``.

    Args:
        past: as of ``System.fit``.
        later: of an evening a week or more after the last of them.
        seed: of every draw.
        eve: the last of ``past`` with all listings that are asked about, where that has only those that teach: what is
            not on it counts as listed afterwards.
        model: of clicks and purchases.
        names: of the retrievers; without, all that can be had.
        rules: how sets are chosen.
        k: places that count.

    Returns:
        One row per system: ``system``, what ``ListMetrics.as_dict`` tells by what sellers typed themselves, and again
        with what was proposed to them (names end in WITH_PROPOSED), and what ``about_lists`` tells; and the slices of
        the set by what sellers typed, see ``evaluate.slices``.

    Raises:
        KeywordError: fewer than three evenings, or no campaign started in the week.
    """
    trial = Trial.of(eve or past[-1], later)
    made, scored = systems(trial, System.fit(past, seed=seed, model=model, names=names), rules)
    relevance = scored[[ITEM_ID, "keyword", "relevance"]]
    rows = []
    for name, lists in made.items():
        told = {
            f"{metric}{end}": value
            for end, wanted in trial.judged_by.items()
            for metric, value in summary(campaign_metrics(lists, wanted, k)).as_dict(k).items()
        }
        shown = lists.merge(relevance, on=[ITEM_ID, "keyword"], how="left")
        rows.append({"system": name, **told, **about_lists(shown, past[-1].catalogue, k)})
    return pd.DataFrame(rows), slices(campaign_metrics(made[FULL], trial.wanted, k), trial.wanted)


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
