-- What a user searched for on a day, as it became known on ds: searches by query, in lower case with single blanks.
-- grain: user_id, query, event_date
-- partition: ds
-- cluster: user_id, query
-- upstream: staging.events
WITH searched AS (
    SELECT
        user_id,
        event_date,
        TRIM(REGEXP_REPLACE(LOWER(query), r'[\s\p{Z}]+', ' '), ' ') AS clean_query
    FROM staging.events
    WHERE
        ds = @ds
        AND event_type = 'search'
)

SELECT
    user_id,
    clean_query AS query,
    event_date,
    COUNT(*) AS searches,
    @ds AS ds
FROM searched
WHERE clean_query != ''
GROUP BY user_id, clean_query, event_date
