-- Measures of features.category_trend: one row, which the suite features.category_trend.json judges.
-- For each rule: how many rows break it, and one of them.
WITH flagged AS (
    SELECT
        category_id AS row_key,
        trend < 0 OR seasonal_index < 0 OR usual_purchases_7d < 0 AS odd_trends,
        views_7d < 0 OR purchases_7d < 0 AS negative_counts
    FROM features.category_trend
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
    COUNTIF(odd_trends) AS odd_trends,
    MIN(IF(odd_trends, row_key, NULL)) AS odd_trends_example,
    COUNTIF(negative_counts) AS negative_counts,
    MIN(IF(negative_counts, row_key, NULL)) AS negative_counts_example
FROM flagged
