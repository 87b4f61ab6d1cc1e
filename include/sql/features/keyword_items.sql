-- The listings that keywords are proposed for or learned from: what is live at the end of ds, and, not live any more,
-- what was advertised within @history_days or reached through a search. Counts are of the 30 days up to ds, age is in days
-- at the end of ds, live_in_category counts the live listings of the leaf category, oneself included.
-- grain: item_id
-- partition: ds
-- cluster: item_id
-- upstream: staging.items, staging.item_daily, features.item_group, features.campaign_history, features.keyword_engaged
-- params: timezone
WITH taught AS (
    SELECT item_id
    FROM features.campaign_history
    WHERE ds = @ds
    UNION DISTINCT
    SELECT item_id
    FROM features.keyword_engaged
    WHERE ds = @ds
),

shelf AS (
    SELECT
        items.*,
        COUNTIF(items.is_live) OVER (PARTITION BY items.category_id) AS live_in_category
    FROM staging.items AS items
    WHERE items.ds = @ds
),

totals AS (
    SELECT
        item_id,
        SUM(views) AS views,
        SUM(likes) AS likes,
        SUM(purchases) AS purchases,
        SUM(impressions) AS impressions
    FROM staging.item_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL 29 DAY) AND @ds
        AND event_date >= DATE_SUB(@ds, INTERVAL 29 DAY)
    GROUP BY item_id
)

SELECT
    shelf.item_id,
    shelf.seller_id,
    shelf.category_id,
    groups_.parent_category_id,
    shelf.title,
    shelf.brand,
    shelf.size,
    shelf.condition,
    shelf.price,
    shelf.take_rate,
    shelf.shipping_payer,
    shelf.stock,
    shelf.sale_type,
    shelf.listed_at,
    TIMESTAMP_DIFF(TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone), shelf.listed_at, SECOND) / 86400 AS age_days,
    COALESCE(totals.views, 0) AS views_30d,
    COALESCE(totals.likes, 0) AS likes_30d,
    COALESCE(totals.purchases, 0) AS purchases_30d,
    COALESCE(totals.impressions, 0) AS impressions_30d,
    shelf.live_in_category,
    shelf.is_live,
    @ds AS ds
FROM shelf
INNER JOIN features.item_group AS groups_
    ON shelf.item_id = groups_.item_id AND groups_.ds = @ds
LEFT JOIN taught ON shelf.item_id = taught.item_id
LEFT JOIN totals ON shelf.item_id = totals.item_id
WHERE shelf.is_live OR taught.item_id IS NOT NULL
