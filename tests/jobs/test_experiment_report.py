"""Read-outs come from either warehouse, as of any day, and are written where they can be mailed from."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from recsys.errors import ExperimentError
from recsys.jobs import decide, migrate, results
from recsys.jobs import experiment_report as job
from recsys.reports.experiment import render_letter, render_page
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse import open_warehouse
from tests.dags.site import planted_settings
from tests.endpoint import BigQueryEndpoint
from tests.jobs.test_experiment_jobs import START, write_metrics
from tests.reports import planted


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return planted_settings(tmp_path)


def test_bigquery_tells_the_same(endpoint: BigQueryEndpoint, settings: Settings, tmp_path: Path) -> None:
    remote = Settings.load(
        {}, warehouse="bigquery://test-project/demo_", files=str(tmp_path / "files"), home=settings.home
    )
    migrate.run(remote)
    assert [one.state for one in job.overview(remote)] == ["planned", "planned"]  # nothing was read out yet
    with open_warehouse(remote) as warehouse:
        planted.plant(warehouse)
    assert job.overview(remote) == job.overview(settings)
    assert job.read_out(remote, planted.ID) == job.read_out(settings, planted.ID)


def test_the_list_has_what_is_defined_and_what_was_read_out(settings: Settings) -> None:
    Path(settings.experiments_dir, f"{planted.ID}.yaml").unlink()
    states = {one.id: (one.state, one.verdict, len(one.primary)) for one in job.overview(settings)}
    assert states == {"planted_soon": ("planned", "", 0), planted.ID: ("undefined", "continue", 2)}


def test_a_read_out_is_that_of_its_day(settings: Settings) -> None:
    now, then = (job.read_out(settings, planted.ID, day) for day in (None, date(2026, 2, 10)))
    assert (now.day, now.verdict, len(now.history), len(now.checks)) == (planted.LAST, "continue", 28, 4)
    assert (then.day, [d.revision for d in then.decisions], len(then.history)) == (date(2026, 2, 10), [1], 20)
    assert then.days == now.days
    assert now.segments and not then.segments


def test_days_without_decisions_or_checks_are_no_error(settings: Settings) -> None:
    with open_warehouse(settings) as warehouse:
        for name in ("experiments.decisions", "experiments.checks"):
            for day in warehouse.partitions(name):
                warehouse.drop(name, day)
    one = job.read_out(settings, planted.ID)
    assert (one.verdict, one.checks, len(one.primary)) == ("", (), 2)


def test_letters_are_written(settings: Settings) -> None:
    written = job.run(settings, planted.LAST)
    folder = settings.files_dir / "_reports" / "experiments"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{planted.ID}_ds=2026-02-14.html",
        f"{planted.ID}_ds=2026-02-14.md",
    ]
    assert written["experiments"] == planted.ID
    assert written["files"] == ", ".join(map(str, sorted(folder.iterdir())))
    assert job.run(settings, planted.LAST, planted.ID) == written


@pytest.mark.parametrize(
    ("experiment", "day", "told"),
    [
        ("planted_list", planted.LAST, "Did you mean planted_lists"),
        ("planted_soon", planted.LAST, "has no read-out of 2026-02-14"),
        (None, date(2026, 3, 1), "No experiment has a read-out of 2026-03-01"),
    ],
)
def test_what_was_not_read_out_is_named(
    settings: Settings, experiment: str | None, day: date, told: str
) -> None:
    with pytest.raises(ExperimentError, match=told):
        job.run(settings, day, experiment)


def test_an_unknown_experiment_is_no_empty_page(settings: Settings) -> None:
    with pytest.raises(ExperimentError, match="There is no experiment 'x'"):
        job.read_out(settings, "x")


def test_the_page_tells_what_the_jobs_have_written(tmp_path: Path) -> None:
    """Metrics of five days through the real read-out, checks and rules, then a person."""
    settings = Settings.load({}, warehouse=str(tmp_path / "warehouse"))
    for n in range(5):
        day = START + timedelta(days=n)
        write_metrics(settings, day, users=(1000, 1010), revenue=(300.0 * (n + 1), 606.0 * (n + 1)))
        results.run(settings, day)
        decide.run(settings, day)
    name = "hybrid_vs_popularity"
    decide.override(settings, day, name, by="p-17", why="A holiday begins.", verdict="stop")
    one = job.read_out(settings, name)
    assert (one.verdict, one.decision.decided_by if one.decision else "") == ("stop", "p-17")
    assert [lift.day for lift in one.history] == [START + timedelta(days=n) for n in range(5)]
    assert {lift.label for lift in (*one.primary, *one.others)} == {
        "Revenue per user",
        "Conversion",
        "Click-through",
    }
    assert {check.name for check in one.checks} >= {"sample_ratio", "interference", "missing_days"}
    page = render_page(one)
    for told in (
        "Yes: +100.0",
        "may be overstated",
        "A holiday begins.",
        "from 10 Feb 2026, no end",
    ):
        assert told in page


BY_CLUSTER = """
id: by_cluster
hypothesis: Clusters with the lists of the hybrid earn more.
unit: cluster
salt: by_cluster_1
start: 2026-02-10
control: popularity
arms: {popularity: {weight: 0.5}, hybrid: {weight: 0.5}}
design: {kind: always_valid}
"""


def test_a_split_by_cluster_stands_beside_one_of_users(tmp_path: Path) -> None:
    shutil.copytree(PROJECT_ROOT / "include", tmp_path / "include")
    folder = tmp_path / "include" / "experiments"
    with (folder / "hybrid_vs_popularity.yaml").open("a", encoding="utf-8") as file:
        file.write("beside: [by_cluster]\n")
    (folder / "by_cluster.yaml").write_text(BY_CLUSTER, encoding="utf-8")
    settings = Settings(warehouse=str(tmp_path / "warehouse"), home=str(tmp_path))
    write_metrics(settings, START, users=(1000, 1010), revenue=(300.0, 606.0))
    with open_warehouse(settings) as warehouse:
        name = "experiments.metrics_daily"
        both = [warehouse.read(name, START)] * 2
        both[1] = both[1].assign(experiment_id="by_cluster")
        warehouse.write(name, pd.concat(both), START)
    results.run(settings, START)
    one = job.read_out(settings, "hybrid_vs_popularity")
    for text in (render_page(one), render_letter(one)):
        assert "hybrid_vs_popularity, split by user: Revenue per user of hybrid +100.0 % (" in text
        assert "by_cluster, split by cluster: Revenue per cluster of hybrid +100.0 % (" in text
    assert "Stands beside it" in render_page(one)
    assert job.read_out(settings, "by_cluster").interference is None
