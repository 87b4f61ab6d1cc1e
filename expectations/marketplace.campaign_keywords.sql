-- Measures of marketplace.campaign_keywords: one row, which the suite marketplace.campaign_keywords.json judges.
-- For each rule: how many rows break it, and one of them. A keyword is judged for @history_days after it was added.
WITH known_campaigns AS (
    SELECT DISTINCT campaign_id
    FROM marketplace.campaigns
    WHERE
        ended_at IS NULL
        OR ended_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @history_days - 1 DAY), @timezone)
),

flagged AS (
    SELECT
        CONCAT(keywords.campaign_id, ' / ', keywords.keyword) AS row_key,
        keywords.origin NOT IN ('seller', 'recommended') AS unknown_origins,
        known_campaigns.campaign_id IS NULL AS unknown_campaigns
    FROM marketplace.campaign_keywords AS keywords
    LEFT JOIN known_campaigns ON keywords.campaign_id = known_campaigns.campaign_id
    WHERE keywords.added_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @history_days - 1 DAY), @timezone)
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
    COUNTIF(unknown_origins) AS unknown_origins,
    MIN(IF(unknown_origins, row_key, NULL)) AS unknown_origins_example,
    COUNTIF(unknown_campaigns) AS unknown_campaigns,
    MIN(IF(unknown_campaigns, row_key, NULL)) AS unknown_campaigns_example
FROM flagged
