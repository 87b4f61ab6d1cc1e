-- Measures of marketplace.sellers: one row, which the suite marketplace.sellers.json judges.
-- For each rule: how many rows break it, and one of them.
WITH flagged AS (
    SELECT
        seller_id AS row_key,
        seller_id = '' AS empty_keys,
        rating NOT BETWEEN 0 AND 5 AS odd_ratings,
        rating_count < 0 OR ships_within_days < 0 AS negative_counts
    FROM marketplace.sellers
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
    COUNTIF(empty_keys) AS empty_keys,
    MIN(IF(empty_keys, row_key, NULL)) AS empty_keys_example,
    COUNTIF(odd_ratings) AS odd_ratings,
    MIN(IF(odd_ratings, row_key, NULL)) AS odd_ratings_example,
    COUNTIF(negative_counts) AS negative_counts,
    MIN(IF(negative_counts, row_key, NULL)) AS negative_counts_example
FROM flagged
