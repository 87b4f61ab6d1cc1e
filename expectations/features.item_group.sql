-- Measures of features.item_group: one row, which the suite features.item_group.json judges.
-- For each rule: how many rows break it, and one of them.
WITH yesterday AS (
    SELECT COUNT(*) AS row_count
    FROM features.item_group
    WHERE ds = DATE_SUB(@ds, INTERVAL 1 DAY)
),

flagged AS (
    SELECT
        item_id AS row_key,
        price_band NOT BETWEEN 0 AND 9 AS odd_price_bands,
        price < 0 AS negative_prices,
        is_live
    FROM features.item_group
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
    COUNTIF(odd_price_bands) AS odd_price_bands,
    MIN(IF(odd_price_bands, row_key, NULL)) AS odd_price_bands_example,
    COUNTIF(negative_prices) AS negative_prices,
    MIN(IF(negative_prices, row_key, NULL)) AS negative_prices_example,
    COUNTIF(is_live) AS live_items,
    SAFE_DIVIDE(COUNT(*), (SELECT yesterday.row_count FROM yesterday)) AS rows_against_yesterday
FROM flagged
