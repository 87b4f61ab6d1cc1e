"""What a day costs in BigQuery: the bytes each query reads, their price, and how both grow with the history."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from recsys import quality, schema
from recsys.errors import WarehouseError
from recsys.experiments import enrolment
from recsys.experiments.definition import load_experiments
from recsys.jobs import (
    check,
    experiment_checks,
    experiment_use,
    gate,
    inputs,
    keywords_clean,
    keywords_inputs,
    keywords_score,
    keywords_train,
    plan_shards,
)
from recsys.jobs.bill import BUILD, CHECK, DAILY, GIGABYTE, JOB, WEEKLY, Bill, Cost, as_json
from recsys.jobs.score import ASSIGNMENTS
from recsys.jobs.sellers_inputs import LATER, market_queries
from recsys.jobs.sellers_train import MOST_DAYS
from recsys.jobs.train import OFF_LISTS, SHOWN, TRAIN_DAYS, USERS, off_lists_of
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from recsys.warehouse.layout import Layout
from recsys.warehouse.scan import Sizes, bytes_billed, bytes_by_table, scan
from recsys.warehouse.sizes import FileSizes, Repeated
from recsys.warehouse.tables import load_spec, sql_path, sql_tables

_MONTHLY = "SELECT COUNTIF(days_since_active < 30) AS users FROM features.user_daily WHERE ds = @ds"
_BEFORE = {"staging": "sources", "marts": "lists"}
_AFTER = {"features": "features", "marts": "published"}
"""The checks that come before, and after, the tables of a dataset."""
WEEKLY_TABLES = (*(table.name for table in schema.KEYWORDS), "monitoring.keyword_adoption")


@dataclass(frozen=True)
class Query:
    """One SELECT of a day, run ``times`` times; ``params`` without @ds.

    ``ranged``: each time for another range of users, of tables that are clustered by them.
    """

    task: str
    kind: str
    sql: str
    params: dict[str, object]
    times: int = 1
    every: str = DAILY
    ranged: bool = False

    @property
    def shares(self) -> int:
        """How many runs together read each block once."""
        return self.times if self.ranged else 1


def run(settings: Settings, ds: date, json_path: Path | None = None) -> Bill:
    """Return what the day ``ds`` costs: measured from the files of a local warehouse, or by dry runs in BigQuery.

    Nothing is billed: a dry run is free. With ``json_path`` the figures are written there too.

    Raises:
        WarehouseError: the day has no features, so that its cost would be that of an empty warehouse.
    """
    with open_warehouse(settings) as warehouse:
        if not warehouse.exists("features.user_daily", ds):
            raise WarehouseError(warehouse.missing("features.user_daily", ds))
        wanted = list(queries(settings))
        users = int(warehouse.query(_MONTHLY, ds=ds).column("users")[0].as_py())
        if settings.is_bigquery:
            bill = _dry(settings, warehouse, ds, wanted, users)
        else:
            bill = _measure(settings, warehouse, ds, wanted, users)
    if json_path is not None:
        json_path.write_text(json.dumps(as_json(bill), indent=1) + "\n", encoding="utf-8")
    return bill


def queries(settings: Settings) -> Iterator[Query]:
    """Every SELECT of a day's DAGs, in their order, and of the weekly training.

    What jobs read without a query (``Warehouse.read``) is not here: the Storage Read API has a price of its own.
    """
    for dataset in ("staging", "features", "marts", "experiments"):
        if dataset == "marts":
            yield from _assignment(settings)
            yield from _scoring(settings)
        yield from _checks(settings, _BEFORE.get(dataset))
        for table in sql_tables(settings.sql_dir, dataset):
            if table not in WEEKLY_TABLES:
                yield _build(settings, table)
        yield from _checks(settings, _AFTER.get(dataset))
    yield from _read_outs(settings)
    yield from _training(settings)
    yield from _sellers(settings)
    yield from _keywords(settings)


def _build(settings: Settings, table: str, every: str = DAILY) -> Query:
    spec = load_spec(settings.sql_dir, table)
    params = {name: getattr(settings, name) for name in spec.params}
    return Query(table, BUILD, spec.sql, params, every=every)


def _checks(settings: Settings, stage: str | None) -> Iterator[Query]:
    for table in check.STAGES[stage] if stage else ():
        yield Query(
            f"check {table}",
            CHECK,
            quality.load_measures(settings.expectations_dir, table),
            check.parameters(settings, table),
        )


def _assignment(settings: Settings) -> Iterator[Query]:
    """Who takes part, of every experiment there is, each step of its ramp taken."""
    for experiment in load_experiments(settings.experiments_dir):
        for asked in enrolment.queries(experiment, date.max, settings):
            yield Query("assign", JOB, asked.sql, asked.params)


def _read_outs(settings: Settings) -> Iterator[Query]:
    """What could be wrong with each experiment there is."""
    for experiment in load_experiments(settings.experiments_dir):
        for sql in experiment_checks.QUERIES:
            yield Query("results", JOB, sql, experiment_checks.asked(experiment, settings))
        for sql in experiment_use.QUERIES if experiment.use else ():
            yield Query("results", JOB, sql, {"experiment": experiment.id, "use_at": 0})


def _scoring(settings: Settings) -> Iterator[Query]:
    divided = plan_shards.RANGES.format(**plan_shards.OF_USERS)
    yield Query("plan_shards", JOB, divided, {"shards": settings.shards, "most": plan_shards.MOST_SORTED})
    users = inputs.range_params(plan_shards.NOBODY)
    yield Query("score", JOB, ASSIGNMENTS, users, settings.shards, ranged=True)
    for sql, params in inputs.snapshot_queries(settings, plan_shards.NOBODY).values():
        yield Query("score", JOB, sql, params, settings.shards, ranged=users.keys() <= params.keys())


def _training(settings: Settings) -> Iterator[Query]:
    """A training, its rehearsal, and what the champion gate reads of the evenings that judge."""
    shop = settings.item_unit == "item"
    asked = inputs.shop_queries(settings) if shop else inputs.snapshot_queries(settings)
    gated = settings.champion_gate
    trainings, judged = (2, gate.JUDGED_DAYS[settings.item_unit]) if gated else (1, 0)
    snapshots = trainings * (1 if shop else TRAIN_DAYS + 1) + (2 * gated if shop else judged)
    for sql, params in asked.values():
        yield Query("train", JOB, sql, params, snapshots, WEEKLY)
    if not shop:
        yield Query("train", JOB, USERS, {"days": TRAIN_DAYS}, trainings, WEEKLY)
        yield Query("train", JOB, SHOWN, {"most": inputs.ALL_USERS}, trainings * TRAIN_DAYS, WEEKLY)
        yield Query("train", JOB, OFF_LISTS, off_lists_of(TRAIN_DAYS), trainings, WEEKLY)
    if gated:
        yield Query("train", JOB, gate.SERVED, {"days": judged, "policy": gate.POPULAR}, 1, WEEKLY)
    if gated and not shop:
        yield Query("train", JOB, gate.BOUGHT, {}, judged, WEEKLY)


def _keywords(settings: Settings) -> Iterator[Query]:
    """A week of keywords: their tables, cleaning, training on weeks that are there, and the shards of the lists."""
    for table in WEEKLY_TABLES:
        if sql_path(settings.sql_dir, table).is_file():
            yield _build(settings, table, WEEKLY)
    for stage in ("keyword_features", "keyword_texts", "keyword_lists", "published_keywords"):
        yield from (replace(query, every=WEEKLY) for query in _checks(settings, stage))
    for sql in (keywords_clean.TYPED, keywords_clean.BRANDS):
        yield Query("keywords_clean", JOB, sql, {}, 1, WEEKLY)
    for sql in keywords_inputs.FRAMES:
        yield Query("keywords_train", JOB, sql, {}, keywords_train.WEEKS + 1, WEEKLY)
    divided = plan_shards.RANGES.format(**plan_shards.OF_ITEMS)
    most: dict[str, object] = {"shards": settings.shards, "most": plan_shards.MOST_SORTED}
    yield Query("keywords_plan", JOB, divided, most, 1, WEEKLY)
    nothing: dict[str, object] = {"first_item": "", "last_item": ""}
    for sql in (keywords_inputs.SHELF, keywords_score.PREVIOUS):
        yield Query("keywords_score", JOB, sql, nothing, settings.shards, WEEKLY, ranged=True)


def _sellers(settings: Settings) -> Iterator[Query]:
    """The daily lists of sellers, shard by shard, and what their weights are learned from."""
    for name, (sql, params) in market_queries(settings, plan_shards.NOBODY).items():
        ranged = name in ("touched", "users")
        yield Query("sellers_score", JOB, sql, params, settings.shards, ranged=ranged)
        yield Query("sellers_train", JOB, sql, params, 1, WEEKLY)
    yield Query("sellers_train", JOB, LATER, {"days": MOST_DAYS}, 1, WEEKLY)
    for stage in ("seller_lists", "seller_published"):
        yield from _checks(settings, stage)


def _dry(settings: Settings, warehouse: Warehouse, ds: date, wanted: Sequence[Query], users: int) -> Bill:
    """Ask BigQuery what each query would read."""
    from recsys.warehouse.bigquery import dry  # noqa: PLC0415  (the client is needed here alone)
    from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse  # noqa: PLC0415

    assert isinstance(warehouse, BigQueryWarehouse)

    def read(query: Query) -> dict[str, int]:
        params = _parameters(query, ds)
        if query.kind == BUILD:
            found = dry.bytes_of_build(warehouse, query.task, ds)
        else:
            found = dry.bytes_of_query(warehouse, query.sql, params, ds, query.task)
        tables = {part.table.name for part in scan(query.sql, params)}
        return {"": found} | dict.fromkeys(sorted(tables)[1:], 0)

    return Bill(ds, "dry runs", _ceiling(settings), None, users, _costs(wanted, read))


def _measure(settings: Settings, warehouse: Warehouse, ds: date, wanted: Sequence[Query], users: int) -> Bill:
    """Work out from the files what each query would read, now and with a longer history."""
    sizes = FileSizes(Layout(Path(settings.warehouse)))
    period = max(1, (ds - min(_days(warehouse, ds), default=ds)).days + 1)
    filled = max(period, longest_window(settings))

    def of(sizes: Sizes) -> Callable[[Query], dict[str, int]]:
        return lambda query: bytes_by_table(scan(query.sql, _parameters(query, ds)), sizes)

    later = [of(Repeated(sizes, ds, period, days)) for days in (filled, 2 * filled)]
    return Bill(ds, "files", _ceiling(settings), filled, users, _costs(wanted, of(sizes), *later))


def longest_window(settings: Settings) -> int:
    """Days that the longest look-back of any query spans."""
    windows = (settings.history_days, settings.active_days, settings.archive_days, settings.experiment_days)
    return max(90, *windows, settings.quarantine_days + settings.late_days) + 2


def _days(warehouse: Warehouse, ds: date) -> list[date]:
    return [day for day in warehouse.partitions("marketplace.events") if day <= ds]


def _parameters(query: Query, ds: date) -> dict[str, object]:
    """Values of all parameters; those that a job works out for itself are the day, or the first shard."""
    return {"ds": ds, "day": ds, **query.params}


def _ceiling(settings: Settings) -> int:
    return int(settings.max_gb * GIGABYTE)


def _share(query: Query, found: dict[str, int]) -> dict[str, int]:
    """What one run of a query reads of each table once blocks of other users are left out."""
    return {table: -(-size // query.shares) for table, size in found.items()}


def _costs(wanted: Sequence[Query], *meters: Callable[[Query], dict[str, int]]) -> tuple[Cost, ...]:
    """Add up what the ``meters`` (now, filled, doubled) tell of each task's queries."""
    tasks: dict[tuple[str, str], list[Query]] = {}
    for query in wanted:
        tasks.setdefault((query.task, query.every), []).append(query)
    costs = []
    for (task, every), asked in tasks.items():
        now = [(query, meters[0](query)) for query in asked]
        later = [sum(q.times * sum(meter(q).values()) for q in asked) for meter in meters[1:]]
        costs.append(
            Cost(
                task=task,
                kind=asked[0].kind,
                every=every,
                queries=sum(query.times for query in asked),
                read=sum(query.times * sum(found.values()) for query, found in now),
                pruned=sum(query.times // query.shares * sum(found.values()) for query, found in now),
                largest=max(sum(found.values()) for _, found in now),
                billed=sum(query.times * bytes_billed(_share(query, found)) for query, found in now),
                filled=later[0] if later else None,
                doubled=later[1] if later else None,
            )
        )
    return tuple(costs)
