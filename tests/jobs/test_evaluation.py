"""The evaluation report over a played marketplace, and the projection worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.evaluation.compare import Figure
from recsys.jobs import evaluation
from recsys.jobs.score import score_users
from recsys.ranking.champion import load_champion
from recsys.reports.evaluation import NO_EXPERIMENT, Projection, projection_in_words
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from tests.jobs.conftest import PLAYED_DAYS, PLAYED_FROM

DS = PLAYED_FROM + timedelta(days=PLAYED_DAYS - 1)


def results(ds: date, arm: str, users: int, difference: float | None, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "experiment_id": "e",
        "metric": "rpu",
        "scope": "cumulative",
        "segment": "all",
        "arm": arm,
        "policy": arm,
    }
    row |= {"control": "popularity", "users": users, "is_valid": True, "ds": ds, "difference": difference}
    low, high = (None, None) if difference is None else (difference - 0.1, difference + 0.1)
    return row | {"difference_low": low, "difference_high": high} | changes


def test_the_projection_is_the_newest_difference_over_all_arms_and_days() -> None:
    days = [DS - timedelta(days=1), DS]
    rows = [
        results(day, arm, 100 * (n + 1), lead)
        for n, day in enumerate(days)
        for arm, lead in (("popularity", None), ("hybrid", 0.2 + n / 10))
    ]
    found = evaluation.project(pd.DataFrame(rows), DS)
    assert isinstance(found, Projection) and found.ended is None
    assert (found.users, found.measured, found.arm) == (400, 2, "hybrid")
    assert found.per_user.value == pytest.approx(0.3)
    assert found.total.value == pytest.approx(0.3 * 400 * 15)
    # Days without a read-out, and many of them: the difference is still that of the whole experiment.
    begun = [results(DS - timedelta(days=89), arm, 1, None) for arm in ("popularity", "hybrid")]
    long = evaluation.project(pd.DataFrame([*begun, *rows]), DS)
    assert isinstance(long, Projection) and long.measured == 90


def test_without_a_projection_the_reason_is_said() -> None:
    rows = pd.DataFrame(
        [results(DS, arm, 100, lead) for arm, lead in (("popularity", None), ("hybrid", 0.3))]
    )
    assert evaluation.project(rows.iloc[:0], DS) == NO_EXPERIMENT
    assert evaluation.project(rows.iloc[:1], DS) == NO_EXPERIMENT
    broken = evaluation.project(rows.assign(is_valid=False), DS)
    assert isinstance(broken, str) and broken.startswith("A check of the experiment e has failed")


def test_an_experiment_that_is_over_is_projected_from_its_last_read_out() -> None:
    rows = pd.DataFrame(
        [
            results(day, arm, 100 * (n + 1), lead)
            for n, day in enumerate((DS - timedelta(days=1), DS))
            for arm, lead in (("popularity", None), ("hybrid", 0.2 + n / 10))
        ]
    )
    found = evaluation.project(rows, DS + timedelta(days=9))
    assert isinstance(found, Projection)
    assert (found.users, found.measured, found.ended) == (400, 2, DS)
    assert found.per_user.value == pytest.approx(0.3)
    assert f"These figures are of {DS}" in projection_in_words(found, "EUR")
    truth = pd.DataFrame(
        [
            {"policy": policy, "rpu": rpu, "users": 10.0, "ds": DS + timedelta(days=ahead)}
            for ahead in (-1, 0, 1)
            for policy, rpu in (("hybrid", 3.0), ("popularity", 1.0 if ahead < 1 else 99.0))
        ]
    )
    assert evaluation.true_total(truth, found) == pytest.approx((2.0 * 10 * 2) * 15)


def test_the_truth_is_summed_over_the_days_of_the_experiment() -> None:
    rows = [
        {"policy": policy, "rpu": rpu, "users": 10.0, "ds": DS - timedelta(days=back)}
        for back in range(3)
        for policy, rpu in (("hybrid", 3.0), ("popularity", 1.0 if back < 2 else 99.0))
    ]
    one = Projection("hybrid", "popularity", Figure(1.0, 0.0, 2.0), users=10, measured=2)
    assert evaluation.true_total(pd.DataFrame(rows), one) == pytest.approx((2.0 * 10 * 2) * 15)
    assert evaluation.true_total(pd.DataFrame(rows).iloc[:0], one) is None


def test_the_report_is_written_from_the_lists_that_were_published(played: Settings, tmp_path: Path) -> None:
    settings, evening = replace(played, files=str(tmp_path)), DS - timedelta(days=1)
    load_champion(played.models_dir, DS)
    champion = played.models_dir / "hybrid" / f"ds={DS}"
    older = settings.models_dir / "hybrid" / f"ds={evening}"
    older.parent.mkdir(parents=True)
    older.symlink_to(champion)  # the champion of the evening; only the machinery is judged
    with open_warehouse(settings) as warehouse:
        shown = evaluation._shown(warehouse, DS, DS)
    assert shown.empty  # nothing was published
    told = evaluation.run(settings, DS, days=3, users=40)
    page = Path(str(told["evaluation"])).read_text(encoding="utf-8")
    assert "What the recommendations are worth" in page and "nothing to project" in page
    figures = json.loads(Path(str(told["figures"])).read_text())
    assert figures["evenings"] == [str(evening)]
    assert figures["models"]["hybrid"]["users"] > 0


def test_promises_are_held_against_what_was_shown(played: Settings, tmp_path: Path) -> None:
    lists = score_users(played, DS, None, "popularity")
    outcome = pd.DataFrame({"user_id": lists["user_id"].iloc[:3], "item_id": lists["item_id"].iloc[:3]})
    outcome["impressions"], outcome["purchases"] = [1, 1, 0], [0, 2, 1]

    class Double:
        def query(self, sql: str, params: object = None, ds: date | None = None) -> Double:
            self.frame = outcome if "next_day" in sql else lists.rename(columns={"p_purchase": "p"})
            return self

        def exists(self, name: str, ds: date) -> bool:
            return True

        def to_pandas(self) -> pd.DataFrame:
            return self.frame

    found = evaluation._shown(Double(), DS + timedelta(days=1), DS + timedelta(days=1))  # type: ignore[arg-type]
    assert found["outcome"].tolist() == [0, 1]
    np.testing.assert_allclose(found["p"], lists["p_purchase"].iloc[:2])


def test_without_a_champion_or_for_a_shop_it_says_what_to_do(played: Settings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="train_weekly"):
        evaluation.run(replace(played, files=str(tmp_path)), DS)
    with pytest.raises(ModelError, match="recsys backtest"):
        evaluation.run(replace(played, item_unit="item"), DS)
