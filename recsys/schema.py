"""Column names and table contracts, written once.

A contract names each column with its BigQuery type; ``!`` marks a column that must not be NULL. The same contract
types the local Parquet files, validates imports, and is what every SELECT under ``include/sql`` has to return.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recsys.errors import ContractError

USER_ID: Final = "user_id"
ITEM_ID: Final = "item_id"
GROUP_ID: Final = "group_id"
SELLER_ID: Final = "seller_id"
CATEGORY_ID: Final = "category_id"
SCORE: Final = "score"
RANK: Final = "rank"
WEIGHT: Final = "weight"
DS: Final = "ds"

EVENT_TYPES: Final = (
    "impression",
    "view",
    "search",
    "like",
    "offer",
    "cart",
    "bid",
    "purchase",
    "cancel",
    "follow",
)
SURFACE_RECOMMENDATION: Final = "recommendation"
TYPES: Final = ("STRING", "INT64", "FLOAT64", "NUMERIC", "BOOL", "DATE", "TIMESTAMP")


@dataclass(frozen=True)
class Column:
    """One column: its name, BigQuery type, and whether NULL is allowed."""

    name: str
    type: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """The contract of one table.

    ``key`` is the grain: the columns that together are unique (within a partition, where there is one).
    ``partition`` is the DATE column that names the partition, or None for a table kept whole. ``divided`` is, of a
    source table kept whole, the TIMESTAMP column by whose day (in UTC) BigQuery divides it, NULL being a partition of
    its own: what reads it names the days it wants, and what was closed long ago is not read again every day.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition: str | None = None
    optional: bool = False
    divided: str | None = None

    @property
    def column_names(self) -> list[str]:
        """Column names in contract order."""
        return [column.name for column in self.columns]


def _table(
    name: str,
    key: str,
    columns: str,
    partition: str | None = None,
    *,
    optional: bool = False,
    divided: str | None = None,
) -> Table:
    parsed = []
    for part in columns.split(","):
        column, type_ = part.split()
        parsed.append(Column(column, type_.rstrip("!"), type_.endswith("!")))
        assert type_.rstrip("!") in TYPES, f"{name}.{column}: {type_}"
    return Table(name, tuple(parsed), tuple(key.split(", ")), partition, optional, divided)


_EVENT = """event_id STRING!, event_ts TIMESTAMP!, event_date DATE!, ingested_at TIMESTAMP!, user_id STRING,
    session_id STRING, event_type STRING!, item_id STRING, seller_id STRING, query STRING, amount NUMERIC,
    quantity INT64, surface STRING, device STRING, request_id STRING, position INT64, propensity FLOAT64"""
_ITEM = """item_id STRING!, seller_id STRING!, category_id STRING!, title STRING, {description}brand STRING,
    size STRING, condition STRING, price NUMERIC!, take_rate FLOAT64!, shipping_payer STRING, stock INT64!,
    sale_type STRING!, listed_at TIMESTAMP!, auction_ends_at TIMESTAMP, closed_at TIMESTAMP, close_reason STRING"""
_USER = "user_id STRING!, registered_at TIMESTAMP!, birth_year INT64, gender STRING, region STRING"
_SELLER = """seller_id STRING!, registered_at TIMESTAMP!, rating FLOAT64, rating_count INT64, is_verified BOOL,
    ships_within_days INT64"""
_CATEGORY = "category_id STRING!, parent_id STRING, name STRING!, level INT64!"
_CAMPAIGN = """campaign_id STRING!, seller_id STRING!, item_id STRING!, category_id STRING!, ad_rate FLOAT64!,
    started_at TIMESTAMP!, ended_at TIMESTAMP"""
_COUNTS = """impressions INT64!, clicks INT64!, views INT64!, likes INT64!, offers INT64!, carts INT64!,
    bids INT64!, purchases INT64!, cancels INT64!, quantity INT64!, revenue NUMERIC!, cancelled_revenue NUMERIC!"""
_LIST = """user_id STRING!, rank INT64!, item_id STRING!, is_reserve BOOL!, policy STRING!, experiment_id STRING,
    arm STRING, source STRING!, seller_id STRING!, category_id STRING!, group_id STRING!, score FLOAT64!,
    p_purchase FLOAT64!, price NUMERIC!, price_capped NUMERIC!, take_rate FLOAT64!, p_cancel FLOAT64!,
    expected_revenue FLOAT64!, propensity FLOAT64!, model STRING!, ds DATE!, p_click FLOAT64,
    p_available FLOAT64, slot STRING, reason STRING, reason_item STRING, p_judged FLOAT64"""
_KEYWORD_LIST = """item_id STRING!, seller_id STRING!, rank INT64!, keyword STRING!, sources STRING!, p_click FLOAT64!,
    p_purchase FLOAT64!, p_win FLOAT64!, searches_7d INT64!, searchers_7d INT64!, expected_sales FLOAT64!,
    expected_profit FLOAT64!, marginal_profit FLOAT64!, warning STRING, reason STRING!, campaign_id STRING,
    ad_rate FLOAT64!, model STRING!, ds DATE!"""

_SELLER_LIST = """user_id STRING!, rank INT64!, seller_id STRING!, score FLOAT64!, by_category FLOAT64!,
    by_brand FLOAT64!, by_content FLOAT64!, by_circle FLOAT64!, by_seen FLOAT64!, by_popular FLOAT64!,
    by_price FLOAT64!, by_rating FLOAT64!, by_reliable FLOAT64!, live_listings INT64!, reason STRING!, model STRING!,
    ds DATE!"""

SOURCES: Final = (
    _table("marketplace.users", "user_id", _USER),
    _table("marketplace.sellers", "seller_id", _SELLER),
    _table(
        "marketplace.item_category",
        "category_id",
        _CATEGORY,
    ),
    _table(
        "marketplace.items", "item_id", _ITEM.format(description="description STRING, "), divided="closed_at"
    ),
    _table(
        "marketplace.price_changes",
        "item_id, changed_at",
        "item_id STRING!, changed_at TIMESTAMP!, price NUMERIC!",
        optional=True,
        divided="changed_at",
    ),
    _table("marketplace.events", "event_id", _EVENT, partition="event_date"),
    _table("marketplace.campaigns", "campaign_id", _CAMPAIGN, optional=True, divided="ended_at"),
    _table(
        "marketplace.campaign_keywords",
        "campaign_id, keyword",
        "campaign_id STRING!, keyword STRING!, origin STRING!, added_at TIMESTAMP!",
        optional=True,
        divided="added_at",
    ),
    _table(
        "marketplace.campaign_daily",
        "campaign_id, keyword, report_date",
        """campaign_id STRING!, keyword STRING!, report_date DATE!, impressions INT64!, clicks INT64!,
        purchases INT64!, revenue NUMERIC!, spend NUMERIC!""",
        partition="report_date",
        optional=True,
    ),
)

STAGING: Final = (
    # Every event that arrived on ds, with the reason it is rejected for, if any. The one reader of raw events.
    _table(
        "staging.arrivals", "event_id, arrival", f"{_EVENT}, arrival INT64!, reason STRING, ds DATE!", "ds"
    ),
    _table("staging.events", "event_id", f"{_EVENT}, ds DATE!", "ds"),
    _table(
        "staging.rejected_events",
        "event_id, arrival",
        f"{_EVENT}, arrival INT64!, reason STRING!, ds DATE!",
        "ds",
    ),
    # The shelf, the users, the sellers, the category tree and the campaigns as they were known at the end of ds.
    _table("staging.items", "item_id", f"{_ITEM.format(description='')}, is_live BOOL!, ds DATE!", "ds"),
    _table("staging.item_category", "category_id", f"{_CATEGORY}, ds DATE!", "ds"),
    _table("staging.users", "user_id", f"{_USER}, ds DATE!", "ds"),
    _table("staging.sellers", "seller_id", f"{_SELLER}, ds DATE!", "ds"),
    _table("staging.campaigns", "campaign_id", f"{_CAMPAIGN}, ds DATE!", "ds"),
    _table(
        "staging.user_item_daily",
        "user_id, item_id, event_date",
        f"""user_id STRING!, item_id STRING!, event_date DATE!, {_COUNTS}, first_position INT64,
        last_ts TIMESTAMP!, ds DATE!""",
        "ds",
    ),
    _table(
        "staging.item_daily",
        "item_id, event_date",
        f"""item_id STRING!, event_date DATE!, {_COUNTS}, viewers INT64!, buyers INT64!, bid_amount NUMERIC!,
        top_bid NUMERIC, ds DATE!""",
        "ds",
    ),
    # Who opened a listing out of the pages that showed it, and how many would have: what appeal is made from.
    _table(
        "staging.item_shown_daily",
        "item_id, event_date",
        "item_id STRING!, event_date DATE!, clickers INT64!, expected_clickers NUMERIC!, ds DATE!",
        "ds",
    ),
    _table(
        "staging.search_daily",
        "query, event_date",
        """query STRING!, event_date DATE!, searches INT64!, searchers INT64!, clicks INT64!, purchases INT64!,
        revenue NUMERIC!, ds DATE!""",
        "ds",
    ),
    # The same by person and by listing, so that a window counts people once and knows what was clicked.
    _table(
        "staging.user_search_daily",
        "user_id, query, event_date",
        "user_id STRING!, query STRING!, event_date DATE!, searches INT64!, ds DATE!",
        "ds",
    ),
    _table(
        "staging.search_item_daily",
        "query, item_id, event_date",
        """query STRING!, item_id STRING!, event_date DATE!, clicks INT64!, purchases INT64!, revenue NUMERIC!,
        ds DATE!""",
        "ds",
    ),
    # What a user did with a seller: follows, and what was done with the seller's listings.
    _table(
        "staging.user_seller_daily",
        "user_id, seller_id, event_date",
        """user_id STRING!, seller_id STRING!, event_date DATE!, views INT64!, likes INT64!, intents INT64!,
        purchases INT64!, follows INT64!, ds DATE!""",
        "ds",
    ),
)

FEATURES: Final = (
    _table(
        "features.item_group",
        "item_id",
        """item_id STRING!, group_id STRING!, seller_id STRING!, category_id STRING!, parent_category_id STRING!,
        price_band INT64!, price NUMERIC!, is_live BOOL!, ds DATE!""",
        "ds",
    ),
    _table(
        "features.user_daily",
        "user_id",
        """user_id STRING!, region STRING, gender STRING, birth_year INT64, tenure_days INT64!, is_new BOOL!,
        days_since_active INT64, days_since_purchase INT64, active_days_90d INT64!,
        views_7d INT64!, views_30d INT64!, views_90d INT64!, likes_7d INT64!, likes_30d INT64!, likes_90d INT64!,
        purchases_7d INT64!, purchases_30d INT64!, purchases_90d INT64!,
        spend_7d NUMERIC!, spend_30d NUMERIC!, spend_90d NUMERIC!, cancels_90d INT64!,
        mean_log_price FLOAT64, std_log_price FLOAT64, max_price_90d NUMERIC, purchase_power FLOAT64!,
        top_hour INT64, top_weekday INT64, weekend_share FLOAT64, ds DATE!""",
        "ds",
    ),
    _table(
        "features.user_category_affinity",
        "user_id, category_id",
        """user_id STRING!, category_id STRING!, affinity FLOAT64!, share FLOAT64!, purchases INT64!,
        last_date DATE!, ds DATE!""",
        "ds",
    ),
    _table(
        "features.user_search_affinity",
        "user_id, topic, topic_id",
        """user_id STRING!, topic STRING!, topic_id STRING!, searches FLOAT64!, last_date DATE!, ds DATE!""",
        "ds",
    ),
    _table(
        "features.cohort_affinity",
        "cohort, category_id",
        "cohort STRING!, category_id STRING!, points FLOAT64!, share FLOAT64!, drawn FLOAT64!, ds DATE!",
        "ds",
    ),
    _table(
        "features.item_daily",
        "item_id",
        """item_id STRING!, group_id STRING!, seller_id STRING!, category_id STRING!, price NUMERIC!,
        take_rate FLOAT64!, age_days FLOAT64!, is_new BOOL!, popularity_1d FLOAT64!, popularity_7d FLOAT64!,
        popularity_30d FLOAT64!, impressions_30d INT64!, views_30d INT64!, likes_30d INT64!, purchases_30d INT64!,
        click_rate FLOAT64!, purchase_rate FLOAT64!, price_percentile FLOAT64!, is_auction BOOL!,
        listing_amount NUMERIC!, bid_count INT64!, bid_amount NUMERIC!, hours_left FLOAT64, ds DATE!,
        p_available FLOAT64, appeal FLOAT64""",
        "ds",
    ),
    _table(
        "features.seller_daily",
        "seller_id",
        """seller_id STRING!, rating FLOAT64!, cancel_rate FLOAT64!, ships_within_days FLOAT64!, is_verified BOOL!,
        tenure_days INT64!, live_listings INT64!, closed_90d INT64!, sold_90d INT64!, sell_through FLOAT64!,
        ds DATE!, appeal FLOAT64""",
        "ds",
    ),
    _table(
        "features.category_trend",
        "category_id",
        """category_id STRING!, views_7d INT64!, purchases_7d INT64!, usual_purchases_7d FLOAT64!, trend FLOAT64!,
        seasonal_index FLOAT64!, ds DATE!""",
        "ds",
    ),
    _table(
        "features.item_cooccurrence",
        "group_id, other_group_id",
        """group_id STRING!, other_group_id STRING!, co_views INT64!, co_likes INT64!, co_buys INT64!,
        similarity FLOAT64!, rank INT64!, ds DATE!""",
        "ds",
    ),
    _table(
        "features.interactions",
        "user_id, group_id",
        """user_id STRING!, group_id STRING!, weight FLOAT64!, views INT64!, likes INT64!, purchases INT64!,
        purchase_days INT64!, quantity INT64!, revenue NUMERIC!, first_date DATE!, last_date DATE!,
        last_purchase_date DATE, ds DATE!""",
        "ds",
    ),
    _table(
        "features.user_seller",
        "user_id, seller_id",
        """user_id STRING!, seller_id STRING!, weight FLOAT64!, views INT64!, likes INT64!, purchases INT64!,
        follows INT64!, first_date DATE!, last_date DATE!, followed_on DATE, first_purchase_date DATE, ds DATE!""",
        "ds",
    ),
)

# Keywords for sellers who advertise; built once a week, by keywords_weekly.
KEYWORDS: Final = (
    # A query and a category its clicks went to. Searches are of the whole query, what follows them of the category.
    _table(
        "features.keyword_demand",
        "query, category_id",
        """query STRING!, category_id STRING!, searches_7d INT64!, searchers_7d INT64!, searches_28d INT64!,
        searchers_28d INT64!, clicks_28d INT64!, purchases_28d INT64!, revenue_28d NUMERIC!, ds DATE!""",
        "ds",
    ),
    _table(
        "features.keyword_engaged",
        "query, item_id",
        "query STRING!, item_id STRING!, clicks INT64!, purchases INT64!, ds DATE!",
        "ds",
    ),
    _table(
        "features.campaign_history",
        "campaign_id, keyword",
        """campaign_id STRING!, seller_id STRING!, item_id STRING!, category_id STRING!, ad_rate FLOAT64!,
        started_at TIMESTAMP!, ended_at TIMESTAMP, keyword STRING!, origin STRING!, impressions INT64!, clicks INT64!,
        purchases INT64!, revenue NUMERIC!, spend NUMERIC!, ds DATE!""",
        "ds",
    ),
    _table(
        "features.keyword_items",
        "item_id",
        """item_id STRING!, seller_id STRING!, category_id STRING!, parent_category_id STRING!, title STRING,
        brand STRING, size STRING, condition STRING, price NUMERIC!, take_rate FLOAT64!, shipping_payer STRING,
        stock INT64!, sale_type STRING!, listed_at TIMESTAMP!, age_days FLOAT64!, views_30d INT64!, likes_30d INT64!,
        purchases_30d INT64!, impressions_30d INT64!, live_in_category INT64!, is_live BOOL!, ds DATE!""",
        "ds",
    ),
    # What was typed, and the keyword it stands for; or why it stands for none.
    _table(
        "scoring.keyword_variants",
        "raw",
        "raw STRING!, keyword STRING, reason STRING, searchers INT64!, ds DATE!",
        "ds",
    ),
    _table("scoring.keyword_lists", "item_id, rank", _KEYWORD_LIST, "ds"),
    _table("marts.keyword_recommendations", "item_id, rank", _KEYWORD_LIST, "ds"),
)

LISTS: Final = (
    _table("scoring.lists", "user_id, rank", _LIST, "ds"),
    _table("marts.recommendations", "user_id, rank", _LIST, "ds"),
    _table("scoring.seller_lists", "user_id, rank", _SELLER_LIST, "ds"),
    _table("marts.seller_recommendations", "user_id, rank", _SELLER_LIST, "ds"),
)

SELLER_MODEL: Final = (
    # What each factor of a list of sellers is worth; learned once a week.
    _table(
        "scoring.seller_weights",
        "factor",
        "factor STRING!, mean FLOAT64!, scale FLOAT64!, weight FLOAT64!, pairs INT64!, ds DATE!",
        "ds",
    ),
)

EXPERIMENTS: Final = (
    _table(
        "experiments.assignments",
        "experiment_id, unit_id",
        """experiment_id STRING!, unit_id STRING!, arm STRING!, policy STRING, bucket INT64!, started_on DATE!,
        ds DATE!, first_assigned_on DATE, unit STRING""",
        "ds",
    ),
    _table(
        "experiments.exposures",
        "experiment_id, unit_id",
        """experiment_id STRING!, unit_id STRING!, arm STRING!, first_exposed_at TIMESTAMP!, impressions INT64!,
        ds DATE!""",
        "ds",
    ),
    # The metrics that each running experiment is read by, and over what: what the YAML files said on ds.
    _table(
        "experiments.metrics",
        "experiment_id, metric",
        """experiment_id STRING!, metric STRING!, unit STRING!, kind STRING!, numerator STRING!, denominator STRING,
        winsorise FLOAT64, started_on DATE!, covariate_from DATE, segments STRING, ds DATE!, num_at INT64,
        den_at INT64, ended_on DATE""",
        "ds",
    ),
    _table(
        "experiments.unit_daily",
        "unit, unit_id, event_date",
        """unit STRING!, unit_id STRING!, event_date DATE!, impressions INT64!, clicks INT64!, views INT64!,
        likes INT64!, carts INT64!, sessions INT64!, bounces INT64!, purchases INT64!, cancels INT64!, gmv NUMERIC!,
        revenue NUMERIC!, listings_sold INT64!, hours_to_sale NUMERIC!, new_sellers INT64!, first_sales INT64!,
        ds DATE!, ad_impressions INT64, ad_clicks INT64, ad_purchases INT64, ad_revenue NUMERIC, ad_spend NUMERIC,
        campaigns INT64, keywords INT64, keywords_adopted INT64""",
        "ds",
    ),
    # What the units of each experiment did in all; built by ranges of units, so the unit leads the key.
    _table(
        "experiments.unit_totals",
        "unit_id, experiment_id, scope",
        """unit_id STRING!, experiment_id STRING!, scope STRING!, unit STRING!, arm STRING!, region STRING!,
        gender STRING!, tenure STRING!, impressions FLOAT64!, clicks FLOAT64!, views FLOAT64!, likes FLOAT64!,
        carts FLOAT64!, sessions FLOAT64!, bounces FLOAT64!, purchases FLOAT64!, cancels FLOAT64!, gmv FLOAT64!,
        revenue FLOAT64!, listings_sold FLOAT64!, hours_to_sale FLOAT64!, new_sellers FLOAT64!, first_sales FLOAT64!,
        ds DATE!, ad_impressions FLOAT64, ad_clicks FLOAT64, ad_purchases FLOAT64, ad_revenue FLOAT64,
        ad_spend FLOAT64, campaigns FLOAT64, keywords FLOAT64, keywords_adopted FLOAT64""",
        "ds",
    ),
    # Sums over the units of an arm of a metric's numerator and denominator, their covariates, and all products of two.
    _table(
        "experiments.metrics_daily",
        "experiment_id, metric, arm, scope, segment, segment_value",
        """experiment_id STRING!, metric STRING!, arm STRING!, scope STRING!, segment STRING!, segment_value STRING!,
        units INT64!, cap FLOAT64, num FLOAT64!, den FLOAT64!, cov_num FLOAT64!, cov_den FLOAT64!, num_num FLOAT64!,
        num_den FLOAT64!, num_cov_num FLOAT64!, num_cov_den FLOAT64!, den_den FLOAT64!, den_cov_num FLOAT64!,
        den_cov_den FLOAT64!, cov_num_cov_num FLOAT64!, cov_num_cov_den FLOAT64!, cov_den_cov_den FLOAT64!,
        ds DATE!""",
        "ds",
    ),
    # How many units of an arm have a value, to three significant digits: what quantiles are drawn from.
    _table(
        "experiments.value_counts",
        "experiment_id, metric, arm, scope, segment, segment_value, value",
        """experiment_id STRING!, metric STRING!, arm STRING!, scope STRING!, value FLOAT64!, units INT64!,
        ds DATE!, segment STRING!, segment_value STRING!""",
        "ds",
    ),
    # One row per metric, scope, segment and arm; difference and what follows it are against the control.
    _table(
        "experiments.results",
        "experiment_id, metric, scope, segment, segment_value, arm",
        """experiment_id STRING!, metric STRING!, scope STRING!, arm STRING!, policy STRING, control STRING!,
        users INT64!, mean FLOAT64, mean_low FLOAT64, mean_high FLOAT64, difference FLOAT64,
        difference_low FLOAT64, difference_high FLOAT64, p_value FLOAT64,
        srm_p_value FLOAT64, is_valid BOOL!, ds DATE!, segment STRING!, segment_value STRING!, role STRING!,
        label STRING!, kind STRING!, method STRING, cap FLOAT64, relative FLOAT64, relative_low FLOAT64,
        relative_high FLOAT64, p_adjusted FLOAT64, bound_low FLOAT64, bound_high FLOAT64, cuped_difference FLOAT64,
        cuped_low FLOAT64, cuped_high FLOAT64, variance_reduction FLOAT64, probability_best FLOAT64,
        expected_loss FLOAT64, margin FLOAT64, direction STRING!, used FLOAT64, used_control FLOAT64,
        use_strength FLOAT64, use_effect FLOAT64, use_low FLOAT64, use_high FLOAT64, naive_difference FLOAT64,
        naive_low FLOAT64, naive_high FLOAT64""",
        "ds",
    ),
    # What could be wrong with an experiment. One that blocks and did not succeed makes its verdict invalid.
    _table(
        "experiments.checks",
        "experiment_id, check_id, segment, segment_value",
        """experiment_id STRING!, check_id STRING!, segment STRING!, segment_value STRING!, p_value FLOAT64,
        observed STRING, success BOOL!, blocks BOOL!, message STRING!, ds DATE!""",
        "ds",
    ),
    # Appended to, never replaced: what was decided, by which rule or person, on which inputs.
    _table(
        "experiments.decisions",
        "experiment_id, revision",
        """experiment_id STRING!, revision INT64!, verdict STRING!, rule STRING!, reason STRING!, inputs_hash STRING!,
        decided_by STRING!, why STRING, power_left FLOAT64, ds DATE!""",
        "ds",
    ),
)

SYNTHETIC: Final = (
    # What each policy truly earns when every user gets its lists; per user who saw a list that day.
    _table(
        "synthetic.truth",
        "policy",
        """policy STRING!, users FLOAT64!, rpu FLOAT64!, rpu_error FLOAT64!, conversion FLOAT64!, ctr FLOAT64!,
        replications INT64!, ds DATE!""",
        "ds",
    ),
)

MONITORING: Final = (
    # What the lists of a model promised and what came of it, by price; what no day has is not corrected.
    _table(
        "marts.list_calibration",
        "policy, model, price_band",
        """policy STRING!, price_band INT64!, pairs INT64!, expected FLOAT64!, purchases INT64!, ds DATE!,
        model STRING!""",
        "ds",
    ),
    # What each step between scores and lists did to the revenue that the shown places are expected to make.
    _table(
        "scoring.steps",
        "shard, policy, step",
        """shard STRING!, policy STRING!, step STRING!, position INT64!, lists INT64!, places INT64!, changed INT64!,
        revenue_before FLOAT64!, revenue_after FLOAT64!, top_before FLOAT64!, top_after FLOAT64!, ds DATE!""",
        "ds",
    ),
    # What came of the keywords that were proposed: by where a keyword came from, and for all of them.
    _table(
        "monitoring.keyword_adoption",
        "origin",
        """origin STRING!, new_campaigns INT64!, offered_campaigns INT64!, campaigns INT64!, offered_items INT64!,
        keywords INT64!, proposed_keywords INT64!, share FLOAT64, running_keywords INT64!, impressions INT64!,
        clicks INT64!, purchases INT64!, revenue NUMERIC!, clicks_per_keyword FLOAT64, purchases_per_keyword FLOAT64,
        kept_share FLOAT64, ds DATE!""",
        "ds",
    ),
    _table(
        "monitoring.check_results",
        "table_name, check_id",
        """table_name STRING!, check_id STRING!, expectation STRING!, column_name STRING, severity STRING!,
        success BOOL!, observed STRING, unexpected_count INT64, message STRING!, ds DATE!""",
        "ds",
    ),
)

TABLES: Final = {
    table.name: table
    for table in (
        *SOURCES,
        *STAGING,
        *FEATURES,
        *KEYWORDS,
        *LISTS,
        *SELLER_MODEL,
        *EXPERIMENTS,
        *SYNTHETIC,
        *MONITORING,
    )
}


def table(name: str) -> Table:
    """Return the contract of ``name`` ("dataset.table").

    Raises:
        ContractError: when no such table exists; the message lists the tables of that dataset.
    """
    if name not in TABLES:
        dataset = name.partition(".")[0]
        known = [t for t in TABLES if t.startswith(dataset + ".")] or list(TABLES)
        raise ContractError(f"No table {name!r}. Known tables: {', '.join(known)}.")
    return TABLES[name]
