-- Which listings a query led to over @history_days: what ties the words of a query to those of a title. Listings that
-- were sold meanwhile count: they teach.
-- grain: query, item_id
-- partition: ds
-- cluster: query
-- upstream: staging.search_item_daily
-- params: history_days
SELECT
    query,
    item_id,
    SUM(clicks) AS clicks,
    SUM(purchases) AS purchases,
    @ds AS ds
FROM staging.search_item_daily
WHERE
    ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds
    AND event_date >= DATE_SUB(@ds, INTERVAL @history_days - 1 DAY)
GROUP BY query, item_id
