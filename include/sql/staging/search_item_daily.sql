-- Which listings a query led to on a day, as it became known on ds: views and purchases that carry the query. Queries are
-- compared in lower case with single blanks.
-- grain: query, item_id, event_date
-- partition: ds
-- cluster: query
-- upstream: staging.events
WITH reached AS (
    SELECT
        item_id,
        event_date,
        event_type,
        amount,
        TRIM(REGEXP_REPLACE(LOWER(query), r'[\s\p{Z}]+', ' '), ' ') AS clean_query
    FROM staging.events
    WHERE
        ds = @ds
        AND event_type IN ('view', 'purchase')
        AND query IS NOT NULL
)

SELECT
    clean_query AS query,
    item_id,
    event_date,
    COUNTIF(event_type = 'view') AS clicks,
    COUNTIF(event_type = 'purchase') AS purchases,
    COALESCE(SUM(IF(event_type = 'purchase', amount, NULL)), 0) AS revenue,
    @ds AS ds
FROM reached
WHERE clean_query != ''
GROUP BY clean_query, item_id, event_date
