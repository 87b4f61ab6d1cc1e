-- Measures of marketplace.campaign_daily: one row, which the suite marketplace.campaign_daily.json judges.
-- For each rule: how many rows break it, and one of them.
WITH flagged AS (
    SELECT
        CONCAT(campaign_id, ' / ', keyword) AS row_key,
        impressions < 0 OR clicks < 0 OR purchases < 0 OR revenue < 0 OR spend < 0 AS negative_counts,
        clicks > impressions AS clicks_without_impressions
    FROM marketplace.campaign_daily
    WHERE report_date = @ds
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
    COUNTIF(clicks_without_impressions) AS clicks_without_impressions,
    MIN(IF(clicks_without_impressions, row_key, NULL)) AS clicks_without_impressions_example
FROM flagged
