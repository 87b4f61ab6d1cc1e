-- Measures of features.item_daily: one row, which the suite features.item_daily.json judges.
-- For each rule: how many rows break it, and one of them.
WITH yesterday AS (
    SELECT COUNT(*) AS row_count
    FROM features.item_daily
    WHERE ds = DATE_SUB(@ds, INTERVAL 1 DAY)
),

live_items AS (
    SELECT COUNT(*) AS row_count
    FROM features.item_group
    WHERE ds = @ds AND is_live
),

flagged AS (
    SELECT
        item_id AS row_key,
        click_rate NOT BETWEEN 0 AND 1 OR purchase_rate NOT BETWEEN 0 AND 1 AS odd_rates,
        price_percentile NOT BETWEEN 0 AND 1 AS odd_percentiles,
        popularity_1d < 0 OR popularity_7d < 0 OR popularity_30d < 0
        OR impressions_30d < 0 OR views_30d < 0 OR purchases_30d < 0
        OR bid_count < 0 OR bid_amount < 0 OR price < 0 AS negative_counts,
        age_days < 0 AS listed_after_ds
    FROM features.item_daily
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
    COUNTIF(odd_rates) AS odd_rates,
    MIN(IF(odd_rates, row_key, NULL)) AS odd_rates_example,
    COUNTIF(odd_percentiles) AS odd_percentiles,
    MIN(IF(odd_percentiles, row_key, NULL)) AS odd_percentiles_example,
    COUNTIF(negative_counts) AS negative_counts,
    MIN(IF(negative_counts, row_key, NULL)) AS negative_counts_example,
    COUNTIF(listed_after_ds) AS listed_after_ds,
    MIN(IF(listed_after_ds, row_key, NULL)) AS listed_after_ds_example,
    (SELECT live_items.row_count FROM live_items) - COUNT(*) AS missing_live_items,
    SAFE_DIVIDE(COUNT(*), (SELECT yesterday.row_count FROM yesterday)) AS rows_against_yesterday
FROM flagged
