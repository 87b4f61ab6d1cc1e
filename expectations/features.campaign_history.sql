-- Measures of features.campaign_history: one row, which the suite features.campaign_history.json judges.
-- For each rule: how many rows break it, and one of them.
WITH flagged AS (
    SELECT
        CONCAT(campaign_id, ' / ', keyword) AS row_key,
        COALESCE(ended_at < started_at, FALSE) AS ended_before_started,
        clicks > impressions AS clicks_without_impressions,
        ad_rate <= 0 OR ad_rate >= 1 AS odd_ad_rates,
        impressions < 0 OR clicks < 0 OR purchases < 0 OR revenue < 0 OR spend < 0 AS negative_counts
    FROM features.campaign_history
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
    COUNTIF(ended_before_started) AS ended_before_started,
    MIN(IF(ended_before_started, row_key, NULL)) AS ended_before_started_example,
    COUNTIF(clicks_without_impressions) AS clicks_without_impressions,
    MIN(IF(clicks_without_impressions, row_key, NULL)) AS clicks_without_impressions_example,
    COUNTIF(odd_ad_rates) AS odd_ad_rates,
    MIN(IF(odd_ad_rates, row_key, NULL)) AS odd_ad_rates_example,
    COUNTIF(negative_counts) AS negative_counts,
    MIN(IF(negative_counts, row_key, NULL)) AS negative_counts_example
FROM flagged
