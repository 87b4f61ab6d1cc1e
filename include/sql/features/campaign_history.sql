-- What each keyword of each campaign brought up to ds, as the seller typed it; zeros for one that was never shown, since
-- who never won a slot tells as much as who did. A campaign ends when its seller says so or its listing is closed; an end
-- after ds is not known yet. A keyword that is in no list of the campaign was typed by the seller. Campaigns that ended
-- more than @history_days ago are left out, and nothing is read that is older than @archive_days.
-- grain: campaign_id, keyword
-- partition: ds
-- cluster: campaign_id
-- upstream: staging.campaigns, marketplace.campaign_keywords, marketplace.campaign_daily, staging.items
-- params: timezone, history_days, archive_days
WITH known AS (
    SELECT
        campaigns.campaign_id,
        campaigns.seller_id,
        campaigns.item_id,
        campaigns.category_id,
        campaigns.ad_rate,
        campaigns.started_at,
        LEAST(
            COALESCE(campaigns.ended_at, items.closed_at), COALESCE(items.closed_at, campaigns.ended_at)
        ) AS ended_at
    FROM staging.campaigns AS campaigns
    LEFT JOIN staging.items AS items
        ON campaigns.item_id = items.item_id AND items.ds = @ds
    WHERE campaigns.ds = @ds
),

running AS (
    SELECT *
    FROM known
    WHERE
        ended_at IS NULL
        OR ended_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @history_days - 1 DAY), @timezone)
),

origins AS (
    SELECT
        campaign_id,
        keyword,
        origin
    FROM marketplace.campaign_keywords
    WHERE
        added_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL GREATEST(@archive_days, @history_days) - 1 DAY), @timezone)
        AND added_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)
),

totals AS (
    SELECT
        campaign_id,
        keyword,
        SUM(impressions) AS impressions,
        SUM(clicks) AS clicks,
        SUM(purchases) AS purchases,
        SUM(revenue) AS revenue,
        SUM(spend) AS spend
    FROM marketplace.campaign_daily
    WHERE report_date BETWEEN DATE_SUB(@ds, INTERVAL GREATEST(@archive_days, @history_days) - 1 DAY) AND @ds
    GROUP BY campaign_id, keyword
),

bids AS (
    SELECT
        campaign_id,
        keyword
    FROM origins
    UNION DISTINCT
    SELECT
        campaign_id,
        keyword
    FROM totals
)

SELECT
    running.campaign_id,
    running.seller_id,
    running.item_id,
    running.category_id,
    running.ad_rate,
    running.started_at,
    running.ended_at,
    bids.keyword,
    COALESCE(origins.origin, 'seller') AS origin,
    COALESCE(totals.impressions, 0) AS impressions,
    COALESCE(totals.clicks, 0) AS clicks,
    COALESCE(totals.purchases, 0) AS purchases,
    COALESCE(totals.revenue, 0) AS revenue,
    COALESCE(totals.spend, 0) AS spend,
    @ds AS ds
FROM bids
INNER JOIN running ON bids.campaign_id = running.campaign_id
LEFT JOIN origins
    ON bids.campaign_id = origins.campaign_id AND bids.keyword = origins.keyword
LEFT JOIN totals
    ON bids.campaign_id = totals.campaign_id AND bids.keyword = totals.keyword
