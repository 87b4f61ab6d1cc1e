-- What buyers search for, and the leaf categories they click and buy in: one row per query and category of its clicks.
-- Searches and searchers are those of the whole query, whatever was clicked, and stand on each of its rows: all who
-- search for it see the same page. Clicks, purchases and revenue are those of the category. A query that led to no
-- listing is about no category, and is left out. So is one that fewer than @min_searchers people typed: what comes of
-- this table is shown to sellers, and a rare query may tell who typed it.
-- grain: query, category_id
-- partition: ds
-- cluster: category_id, query
-- upstream: staging.user_search_daily, staging.search_item_daily, features.item_group
-- params: min_searchers
WITH searchers AS (
    SELECT
        query,
        user_id,
        SUM(IF(event_date > DATE_SUB(@ds, INTERVAL 7 DAY), searches, 0)) AS searches_7d,
        SUM(searches) AS searches_28d
    FROM staging.user_search_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL 27 DAY) AND @ds
        AND event_date >= DATE_SUB(@ds, INTERVAL 27 DAY)
    GROUP BY query, user_id
),

reach AS (
    SELECT
        query,
        SUM(searches_7d) AS searches_7d,
        COUNTIF(searches_7d > 0) AS searchers_7d,
        SUM(searches_28d) AS searches_28d,
        COUNT(*) AS searchers_28d
    FROM searchers
    GROUP BY query
    HAVING COUNT(*) >= @min_searchers
),

led_to AS (
    SELECT
        days.query,
        groups_.category_id,
        SUM(days.clicks) AS clicks,
        SUM(days.purchases) AS purchases,
        SUM(days.revenue) AS revenue
    FROM staging.search_item_daily AS days
    INNER JOIN features.item_group AS groups_
        ON days.item_id = groups_.item_id AND groups_.ds = @ds
    WHERE
        days.ds BETWEEN DATE_SUB(@ds, INTERVAL 27 DAY) AND @ds
        AND days.event_date >= DATE_SUB(@ds, INTERVAL 27 DAY)
    GROUP BY days.query, groups_.category_id
)

SELECT
    led_to.query,
    led_to.category_id,
    reach.searches_7d,
    reach.searchers_7d,
    reach.searches_28d,
    reach.searchers_28d,
    led_to.clicks AS clicks_28d,
    led_to.purchases AS purchases_28d,
    led_to.revenue AS revenue_28d,
    @ds AS ds
FROM led_to
INNER JOIN reach ON led_to.query = reach.query
