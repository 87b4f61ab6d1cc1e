-- Measures of features.keyword_demand: one row, which the suite features.keyword_demand.json judges.
-- For each rule: how many rows break it, and one of them.
WITH flagged AS (
    SELECT
        CONCAT(query, ' / ', category_id) AS row_key,
        searchers_7d > searches_7d OR searchers_28d > searches_28d OR searches_7d > searches_28d AS odd_reach,
        searches_7d < 0 OR clicks_28d < 0 OR purchases_28d < 0 OR revenue_28d < 0 AS negative_counts,
        clicks_28d + purchases_28d = 0 AS unreached
    FROM features.keyword_demand
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
    COUNTIF(odd_reach) AS odd_reach,
    MIN(IF(odd_reach, row_key, NULL)) AS odd_reach_example,
    COUNTIF(negative_counts) AS negative_counts,
    MIN(IF(negative_counts, row_key, NULL)) AS negative_counts_example,
    COUNTIF(unreached) AS unreached,
    MIN(IF(unreached, row_key, NULL)) AS unreached_example
FROM flagged
