-- Measures of features.keyword_engaged: one row, which the suite features.keyword_engaged.json judges.
-- For each rule: how many rows break it, and one of them.
WITH flagged AS (
    SELECT
        CONCAT(query, ' / ', item_id) AS row_key,
        clicks < 0 OR purchases < 0 AS negative_counts,
        clicks + purchases = 0 AS unreached
    FROM features.keyword_engaged
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
    COUNTIF(negative_counts) AS negative_counts,
    MIN(IF(negative_counts, row_key, NULL)) AS negative_counts_example,
    COUNTIF(unreached) AS unreached,
    MIN(IF(unreached, row_key, NULL)) AS unreached_example
FROM flagged
