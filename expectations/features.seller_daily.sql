-- Measures of features.seller_daily: one row, which the suite features.seller_daily.json judges.
-- For each rule: how many rows break it, and one of them.
WITH yesterday AS (
    SELECT COUNT(*) AS row_count
    FROM features.seller_daily
    WHERE ds = DATE_SUB(@ds, INTERVAL 1 DAY)
),

flagged AS (
    SELECT
        seller_id AS row_key,
        rating NOT BETWEEN 0 AND 5 AS odd_ratings,
        cancel_rate NOT BETWEEN 0 AND 1 OR sell_through NOT BETWEEN 0 AND 1 AS odd_rates,
        ships_within_days < 0 OR live_listings < 0 OR closed_90d < 0 OR sold_90d < 0 AS negative_counts,
        sold_90d > closed_90d AS more_sold_than_closed
    FROM features.seller_daily
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
    COUNTIF(odd_ratings) AS odd_ratings,
    MIN(IF(odd_ratings, row_key, NULL)) AS odd_ratings_example,
    COUNTIF(odd_rates) AS odd_rates,
    MIN(IF(odd_rates, row_key, NULL)) AS odd_rates_example,
    COUNTIF(negative_counts) AS negative_counts,
    MIN(IF(negative_counts, row_key, NULL)) AS negative_counts_example,
    COUNTIF(more_sold_than_closed) AS more_sold_than_closed,
    MIN(IF(more_sold_than_closed, row_key, NULL)) AS more_sold_than_closed_example,
    SAFE_DIVIDE(COUNT(*), (SELECT yesterday.row_count FROM yesterday)) AS rows_against_yesterday
FROM flagged
