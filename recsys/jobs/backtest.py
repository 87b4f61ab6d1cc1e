"""Judge the models on days they have not seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table as RichTable
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.evaluation.backtest import BY_CHANCE, origin_of
from recsys.evaluation.compare import HYBRID, Occasion, by_segment, compare, judge, mean_of
from recsys.evaluation.market import OTHERS
from recsys.evaluation.reliability import calibration_of
from recsys.evaluation.split import slices
from recsys.jobs.inputs import read_shop_items
from recsys.jobs.market import run_market
from recsys.ranking.revenue import Money
from recsys.ranking.shop import ShopData
from recsys.ranking.tuned import Tuned
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

_ACTIONS = """
SELECT actions.user_id, {item} AS item_id, actions.event_date, SUM(actions.views) AS views,
  SUM(actions.likes) AS likes, SUM(actions.offers + actions.carts + actions.bids) AS carts,
  SUM(actions.purchases) AS purchases, CAST(SUM(actions.quantity) AS FLOAT64) AS quantity,
  CAST(SUM(actions.revenue) AS FLOAT64) AS revenue
FROM staging.user_item_daily AS actions
{join}
WHERE actions.ds BETWEEN @first AND @last AND actions.event_date < @until AND actions.purchases > 0
  AND (actions.ds < @cut OR actions.event_date >= @cut)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""
_GROUPS = """LEFT JOIN (
  SELECT item_id, group_id FROM features.item_group WHERE ds >= @first AND ds < @until
  QUALIFY ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY ds) = 1
) AS groups_ ON groups_.item_id = actions.item_id"""
_COLD = """
SELECT COUNT(*) AS purchases, COUNTIF(known.item_id IS NULL) AS cold,
  COUNTIF(ever.item_id IS NULL) AS without_group
FROM (
  SELECT DISTINCT user_id, item_id FROM staging.user_item_daily
  WHERE ds BETWEEN @first AND @last AND event_date >= @cut AND event_date < @until AND purchases > 0
) AS bought
LEFT JOIN features.item_group AS known ON known.item_id = bought.item_id AND known.ds = @newest
LEFT JOIN (SELECT DISTINCT item_id FROM features.item_group WHERE ds >= @first AND ds < @until) AS ever
  ON ever.item_id = bought.item_id
"""
_CATEGORIES = """
SELECT group_id AS item_id, MIN(category_id) AS category_id FROM features.item_group
WHERE ds = @newest
GROUP BY group_id
ORDER BY group_id
"""
_REGIONS = "SELECT user_id, region FROM staging.users WHERE ds = @newest ORDER BY user_id"


def run(
    settings: Settings,
    cut: date,
    until: date,
    k: int = 10,
    *,
    origins: int | None = None,
    by_group: bool = False,
    most_users: int | None = None,
    others: Sequence[str] = OTHERS,
    json_path: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, object]:
    """Train before ``cut``, test on what was bought from ``cut`` up to ``until``; docs/evaluation.md has the protocol.

    ``origins`` parts of the period, of about equal length, have lists of their own, made from what was known when the
    part began. Where listings are one-off (``item_unit: group``) these are lists of live listings by the pipeline that
    publishes them, a part for each day unless ``origins`` says otherwise, for ``most_users`` users a day (None: all);
    models named in ``others`` are judged beside the hybrid and its retrievers.
    In a shop, and with ``by_group``, all models recommend items or groups, for the whole period by default;
    groups are judged by the groups that were bought, each listing in the group that it had when first known.

    Returns:
        {"models": {name: {"ndcg@k", "recall@k", "revenue@k", "users", ...}}, "intervals", "paired", "segments",
        "calibration"}, also written to ``json_path``; of a marketplace also "clicks", by group "listings":
        {"purchases", "cold", "without_group"} of the test period, pairs of user and listing. In a shop and by group
        "calibration", and "ece" of the hybrid, are there where a part is as long as the horizon of its probability.

    Raises:
        ModelError: staging has no day before ``cut``, too little to learn from, or no model of a name in ``others``.
    """
    say = progress or (lambda message: None)
    market = settings.item_unit == "group" and not by_group
    parts = slices(cut, until, origins or (max(1, (until - cut).days) if market else 1))
    with threadpool_limits(limits=1):
        if market:
            with open_warehouse(settings) as warehouse:
                found = run_market(
                    warehouse, settings, parts, k, others=others, most_users=most_users, say=say
                )
            result = found.as_dict(settings.seed)
        else:
            result = _run_items(settings, parts, k, say)
    chosen = Tuned.read(settings.tuned_path)
    if chosen.until is not None and chosen.until >= cut:
        result["tuned_until"] = str(chosen.until)
        say(
            f"Mind: {chosen.source} was chosen on days up to {chosen.until}, and the test begins on "
            f"{cut}: the hybrid is flattered. Take a later --cut."
        )
    if json_path is not None:
        json_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _run_items(
    settings: Settings, parts: list[tuple[date, date]], k: int, say: Callable[[str], None]
) -> dict[str, object]:
    origins, cold = [], []
    chosen = Tuned.read(settings.tuned_path)
    by_item = settings.item_unit == "item"
    money = Money(settings.price_cap, settings.price_exponent) if by_item else BY_CHANCE
    for first, until in parts:
        data, listings = _read(settings, first, until)
        if listings:
            cold.append(listings)
            say(
                f"Judging groups: of {listings['purchases']} listings bought from {first}, {listings['cold']} were "
                f"listed since, {listings['without_group']} have no group and are left out"
            )
        origins.append(
            origin_of(data, first, until, k, seed=settings.seed, money=money, chosen=chosen, progress=say)
        )
    occasions = [one.occasion for one in origins]
    users = [Occasion(one.occasion.name, one.occasion.lists, one.acquainted) for one in origins]
    about = mean_of([one.about for one in origins])
    result = compare(judge(occasions, k), k, settings.seed, about_lists=about).as_dict()
    result["segments"] = {
        "purchase": by_segment(occasions, k, settings.seed),
        "user": by_segment(users, k, settings.seed),
    }
    promised = [one.promised for one in origins if len(one.promised)]
    if promised:
        models = result["models"]
        assert isinstance(models, dict)
        result["calibration"], models[HYBRID]["ece"] = calibration_of(
            pd.concat(promised, ignore_index=True), settings.seed
        )
    if cold:
        result["listings"] = {name: sum(part[name] for part in cold) for name in cold[0]}
    return result


def print_figures(figures: Mapping[str, object], k: int, console: Console) -> None:
    """Print what ``run`` returned: a row per model, and what the hybrid has over the best single model."""
    models, paired = figures["models"], figures["paired"]
    assert isinstance(models, dict) and isinstance(paired, dict)
    grid = RichTable("model", f"NDCG@{k}", f"recall@{k}", f"revenue@{k}", "users")
    for name, row in models.items():
        grid.add_row(
            name,
            f"{row[f'ndcg@{k}']:.3f}",
            f"{row[f'recall@{k}']:.3f}",
            f"{row[f'revenue@{k}']:.1f}",
            f"{row['users']:,}",
        )
    console.print(grid)
    lead = paired["models"].get(HYBRID, {})
    told = [
        f"{label} {f['difference']:+.3f} ({f['low']:+.3f} to {f['high']:+.3f})"
        for label, f in (("NDCG", lead.get(f"ndcg@{k}")), ("revenue", lead.get(f"revenue@{k}")))
        if f
    ]
    if told:
        console.print(
            f"hybrid against {paired['against']}, the best single model, user by user: {', '.join(told)}.",
            highlight=False,
            soft_wrap=True,
        )


def _read(settings: Settings, cut: date, until: date) -> tuple[ShopData, dict[str, int]]:
    """Purchases of the whole history; items, categories and regions are read as of the newest day before ``cut``."""
    group = settings.item_unit == "group"
    with open_warehouse(settings) as warehouse:
        source = "features.item_group" if group else "staging.items"
        days = [day for day in warehouse.partitions(source) if day < cut]
        if not days:
            raise ModelError(f"{source} has no day before {cut}; build the days up to it first.")
        sql = _ACTIONS.format(
            item="groups_.group_id" if group else "actions.item_id", join=_GROUPS if group else ""
        )
        newest = {"newest": days[-1]}
        known = warehouse.partitions("staging.user_item_daily")
        period = {"until": until, "first": min(known + days), "last": max(known + days)}
        daily = warehouse.query(sql, period | {"cut": cut}).to_pandas().dropna(subset="item_id")
        listings = {}
        if group:
            counts = warehouse.query(_COLD, {"cut": cut} | period | newest).to_pandas()
            listings = {name: int(counts[name].iloc[0]) for name in ("purchases", "cold", "without_group")}
        if group:
            items = warehouse.query(_CATEGORIES, newest).to_pandas()
        else:
            items = read_shop_items(warehouse, settings, days[-1])
        users = warehouse.query(_REGIONS, newest).to_pandas()
    daily["event_date"] = pd.to_datetime(daily["event_date"])
    return ShopData(daily, items, users), listings
