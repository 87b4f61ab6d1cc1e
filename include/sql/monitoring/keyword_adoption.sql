-- What came of the keywords that were proposed, over the 7 days to ds: one row per origin of a keyword, and one for all.
-- The lists that count as offered are those in force when the 7 days began. new_campaigns, offered_campaigns (new ones
-- whose listing had such a list), offered_items and kept_share are of the market, and stand on every row. campaigns and
-- keywords are those of new campaigns with that origin; a keyword was proposed if it, or the keyword it stands for, is in
-- the list of its listing; one whose cluster goes by another keyword today is looked for under that. share = its part of
-- the keywords of all new campaigns. What follows is of the keywords, of campaigns of any age, that had a figure in the 7
-- days. kept_share = of the offered keywords of listings that have a list again today, those that are in it again.
-- grain: origin
-- partition: ds
-- cluster: origin
-- upstream: marts.keyword_recommendations, scoring.keyword_variants, staging.campaigns,
--   marketplace.campaign_keywords, marketplace.campaign_daily
-- params: timezone, archive_days
WITH published AS (
    SELECT
        ds,
        item_id,
        keyword
    FROM marts.keyword_recommendations
    WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL 13 DAY) AND @ds
),

in_force AS (
    SELECT MAX(ds) AS day
    FROM published
    WHERE ds <= DATE_SUB(@ds, INTERVAL 7 DAY)
),

canonical AS (
    SELECT
        raw,
        keyword
    FROM scoring.keyword_variants
    WHERE
        ds = @ds
        AND keyword IS NOT NULL
),

offered AS (
    SELECT DISTINCT
        published.item_id,
        COALESCE(canonical.keyword, published.keyword) AS keyword
    FROM published
    INNER JOIN in_force ON published.ds = in_force.day
    LEFT JOIN canonical ON published.keyword = canonical.raw
),

offered_items AS (
    SELECT DISTINCT item_id
    FROM offered
),

today AS (
    SELECT
        item_id,
        keyword
    FROM published
    WHERE ds = @ds
),

listed_again AS (
    SELECT DISTINCT item_id
    FROM today
),

kept AS (
    SELECT SAFE_DIVIDE(COUNT(today.keyword), COUNT(*)) AS share
    FROM offered
    INNER JOIN listed_again ON offered.item_id = listed_again.item_id
    LEFT JOIN today ON offered.item_id = today.item_id AND offered.keyword = today.keyword
),

started AS (
    SELECT
        campaigns.campaign_id,
        campaigns.item_id,
        offered_items.item_id IS NOT NULL AS is_offered
    FROM staging.campaigns AS campaigns
    LEFT JOIN offered_items ON campaigns.item_id = offered_items.item_id
    WHERE
        campaigns.ds = @ds
        AND campaigns.started_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL 6 DAY), @timezone)
),

market AS (
    SELECT
        COUNT(*) AS new_campaigns,
        COUNTIF(is_offered) AS offered_campaigns,
        (SELECT COUNT(*) FROM offered_items) AS offered_items
    FROM started
),

lists AS (
    SELECT
        campaign_id,
        keyword,
        origin
    FROM marketplace.campaign_keywords
    WHERE
        added_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL @archive_days - 1 DAY), @timezone)
        AND added_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)
),

typed AS (
    SELECT
        lists.campaign_id,
        lists.keyword,
        lists.origin,
        MAX(IF(offered.keyword IS NULL, 0, 1)) AS is_proposed
    FROM lists
    INNER JOIN started ON lists.campaign_id = started.campaign_id
    LEFT JOIN canonical ON lists.keyword = canonical.raw
    LEFT JOIN offered
        ON
            started.item_id = offered.item_id
            AND offered.keyword IN (lists.keyword, COALESCE(canonical.keyword, lists.keyword))
    GROUP BY lists.campaign_id, lists.keyword, lists.origin
),

reported AS (
    SELECT
        days.campaign_id,
        days.keyword,
        COALESCE(lists.origin, 'seller') AS origin,
        SUM(days.impressions) AS impressions,
        SUM(days.clicks) AS clicks,
        SUM(days.purchases) AS purchases,
        SUM(days.revenue) AS revenue
    FROM marketplace.campaign_daily AS days
    LEFT JOIN lists ON days.campaign_id = lists.campaign_id AND days.keyword = lists.keyword
    WHERE days.report_date BETWEEN DATE_SUB(@ds, INTERVAL 6 DAY) AND @ds
    GROUP BY days.campaign_id, days.keyword, lists.origin
),

each_typed AS (
    SELECT
        origin,
        campaign_id,
        is_proposed
    FROM typed
    UNION ALL
    SELECT
        'all' AS origin,
        campaign_id,
        is_proposed
    FROM typed
),

typed_totals AS (
    SELECT
        origin,
        COUNT(DISTINCT campaign_id) AS campaigns,
        COUNT(*) AS keywords,
        SUM(is_proposed) AS proposed_keywords
    FROM each_typed
    GROUP BY origin
),

each_reported AS (
    SELECT
        origin,
        impressions,
        clicks,
        purchases,
        revenue
    FROM reported
    UNION ALL
    SELECT
        'all' AS origin,
        impressions,
        clicks,
        purchases,
        revenue
    FROM reported
),

reported_totals AS (
    SELECT
        origin,
        COUNT(*) AS running_keywords,
        SUM(impressions) AS impressions,
        SUM(clicks) AS clicks,
        SUM(purchases) AS purchases,
        SUM(revenue) AS revenue
    FROM each_reported
    GROUP BY origin
),

origins AS (
    SELECT origin FROM typed_totals
    UNION DISTINCT
    SELECT origin FROM reported_totals
    UNION DISTINCT
    SELECT 'all' AS origin FROM published
)

SELECT
    origins.origin,
    market.new_campaigns,
    market.offered_campaigns,
    COALESCE(typed_totals.campaigns, 0) AS campaigns,
    market.offered_items,
    COALESCE(typed_totals.keywords, 0) AS keywords,
    COALESCE(typed_totals.proposed_keywords, 0) AS proposed_keywords,
    SAFE_DIVIDE(COALESCE(typed_totals.keywords, 0), every.keywords) AS share,
    COALESCE(reported_totals.running_keywords, 0) AS running_keywords,
    COALESCE(reported_totals.impressions, 0) AS impressions,
    COALESCE(reported_totals.clicks, 0) AS clicks,
    COALESCE(reported_totals.purchases, 0) AS purchases,
    COALESCE(reported_totals.revenue, 0) AS revenue,
    SAFE_DIVIDE(reported_totals.clicks, reported_totals.running_keywords) AS clicks_per_keyword,
    SAFE_DIVIDE(reported_totals.purchases, reported_totals.running_keywords) AS purchases_per_keyword,
    kept.share AS kept_share,
    @ds AS ds
FROM origins
CROSS JOIN market
CROSS JOIN kept
LEFT JOIN typed_totals ON origins.origin = typed_totals.origin
LEFT JOIN reported_totals ON origins.origin = reported_totals.origin
LEFT JOIN typed_totals AS every ON every.origin = 'all'
