"""Train the retrievers and the ranker on what was known at the end of one data day, and register the champion.

**Reads** `features.*`. **Writes** the model folder of the warehouse and the model registry, and
`scoring.seller_weights`: what the factors of lists of sellers are worth. Runs on Mondays for the Sunday before; a run
for any other day works as well.

Triage
- `train` failed on its gate: on users held out from it, the new model does not beat one purchase rate for all, or is
  behind the champion by more than chance, or is badly calibrated; or, trained as of a few days ago, it earned less than
  the champion since. The champion stays, and scoring goes on with it; the log names the figures.
- `train` warns that a model was not held against the champion: too few bought who had no list of a champion. It is
  served; keep a control arm, or set RECSYS_UNJUDGED=refuse.
- `train` failed for a missing partition: run `features_daily` for the day it names.
- `register` failed: the champion is saved, and scoring serves it; only its entry in the model registry is missing. Mend
  the registry that the log names, and clear the task.
- `sellers_train` says "stated": there is too little to learn from yet, and lists of sellers use weights that are stated
  in the code.
- `after` waits: `features_daily` of the day has not succeeded yet.
"""

from airflow.sdk import dag

from recsys_order import after
from recsys_tasks import DEFAULTS, WEEKLY, job


@dag(schedule=WEEKLY, doc_md=__doc__, tags=["recsys", "weekly", "models"], **DEFAULTS)
def train_weekly() -> None:
    """Features to champion."""
    begin = after("features_daily")
    begin >> job("train", heavy=True) >> job("register")
    begin >> job("sellers_train")


train_weekly()
