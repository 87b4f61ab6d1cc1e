-- Which listings a query led to over @history_days: what ties the words of a query to those of a title. Listings that
-- were sold meanwhile count: they teach. Queries that fewer than @min_searchers people typed in these days are left out,
-- for what comes of this table is shown to sellers.
-- grain: query, item_id
-- partition: ds
-- cluster: query
-- upstream: staging.user_search_daily, staging.search_item_daily
-- params: history_days, min_searchers
WITH known AS (
    SELECT query
    FROM staging.user_search_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds
        AND event_date >= DATE_SUB(@ds, INTERVAL @history_days - 1 DAY)
    GROUP BY query
    HAVING COUNT(DISTINCT user_id) >= @min_searchers
)

SELECT
    days.query,
    days.item_id,
    SUM(days.clicks) AS clicks,
    SUM(days.purchases) AS purchases,
    @ds AS ds
FROM staging.search_item_daily AS days
INNER JOIN known ON days.query = known.query
WHERE
    days.ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds
    AND days.event_date >= DATE_SUB(@ds, INTERVAL @history_days - 1 DAY)
GROUP BY days.query, days.item_id
