-- Measures of marketplace.campaigns: one row, which the suite marketplace.campaigns.json judges.
-- For each rule: how many rows break it, and one of them. Campaigns that ended @history_days ago are judged no more.
WITH known_items AS (
    SELECT DISTINCT item_id
    FROM marketplace.items
    WHERE
        closed_at IS NULL
        OR closed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL GREATEST(@archive_days, @history_days) - 1 DAY), @timezone)
),

flagged AS (
    SELECT
        campaigns.campaign_id AS row_key,
        campaigns.ad_rate NOT BETWEEN 0 AND 1 AS odd_ad_rates,
        campaigns.ended_at < campaigns.started_at AS ended_before_started,
        known_items.item_id IS NULL AS unknown_items
    FROM marketplace.campaigns AS campaigns
    LEFT JOIN known_items ON campaigns.item_id = known_items.item_id
    WHERE
        campaigns.ended_at IS NULL
        OR campaigns.ended_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @history_days - 1 DAY), @timezone)
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
    COUNTIF(odd_ad_rates) AS odd_ad_rates,
    MIN(IF(odd_ad_rates, row_key, NULL)) AS odd_ad_rates_example,
    COUNTIF(ended_before_started) AS ended_before_started,
    MIN(IF(ended_before_started, row_key, NULL)) AS ended_before_started_example,
    COUNTIF(unknown_items) AS unknown_items,
    MIN(IF(unknown_items, row_key, NULL)) AS unknown_items_example
FROM flagged
