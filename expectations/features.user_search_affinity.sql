-- Measures of features.user_search_affinity: one row, which the suite features.user_search_affinity.json judges.
-- For each rule: how many rows break it, and one of them.
WITH flagged AS (
    SELECT
        CONCAT(user_id, ' / ', topic, ' / ', topic_id) AS row_key,
        searches <= 0 AS odd_searches,
        topic NOT IN ('category', 'brand') OR topic_id = '' AS odd_topics,
        last_date > @ds AS dates_after_ds
    FROM features.user_search_affinity
    WHERE ds = @ds
),

repeated AS (
    SELECT row_key
    FROM flagged
    GROUP BY row_key
    HAVING COUNT(*) > 1
)

SELECT
    COUNT(*) AS row_count,
    (SELECT COUNT(*) FROM repeated) AS duplicate_keys,
    (SELECT MIN(repeated.row_key) FROM repeated) AS duplicate_keys_example,
    COUNTIF(odd_searches) AS odd_searches,
    MIN(IF(odd_searches, row_key, NULL)) AS odd_searches_example,
    COUNTIF(odd_topics) AS odd_topics,
    MIN(IF(odd_topics, row_key, NULL)) AS odd_topics_example,
    COUNTIF(dates_after_ds) AS dates_after_ds,
    MIN(IF(dates_after_ds, row_key, NULL)) AS dates_after_ds_example
FROM flagged
