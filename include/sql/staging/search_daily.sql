-- What was searched for on a day, as it became known on ds, and what came of it: an event that carries a query was
-- reached through that search. Queries are compared in lower case with single blanks.
-- grain: query, event_date
-- partition: ds
-- cluster: query
-- upstream: staging.events
WITH searched AS (
    SELECT
        event_date,
        event_type,
        user_id,
        amount,
        TRIM(REGEXP_REPLACE(LOWER(query), r'[\s\p{Z}]+', ' '), ' ') AS clean_query
    FROM staging.events
    WHERE
        ds = @ds
        AND query IS NOT NULL
)

SELECT
    clean_query AS query,
    event_date,
    COUNTIF(event_type = 'search') AS searches,
    COUNT(DISTINCT IF(event_type = 'search', user_id, NULL)) AS searchers,
    COUNTIF(event_type = 'view') AS clicks,
    COUNTIF(event_type = 'purchase') AS purchases,
    COALESCE(SUM(IF(event_type = 'purchase', amount, NULL)), 0) AS revenue,
    @ds AS ds
FROM searched
WHERE clean_query != ''
GROUP BY clean_query, event_date
