-- What a unit did on a day, as it became known on ds: the measures that metrics are made of. Units of all kinds, whether
-- an experiment has them or not, so that days before an experiment are there as covariates. A day without an act has no
-- row. What came late is a row of its own day in the partition of the day it came, and rows of a unit and day add up.
-- gmv is gross; revenue is the marketplace's take of it. A session bounces when nothing but impressions and searches is
-- known of it; a session of which more became known is taken back and counted again, so a sum counts it once. Sellers:
-- what happened to their listings, and hours from listing to sale. A seller is new for 28 days after registration, counts
-- as a new seller on the day a listing was first shown, and as a first sale on the day of that. Clusters: what users of a
-- region did with listings of a category, or of one right below it. Campaigns: what the report of ds says; revenue is
-- what the campaign pays, and what it began and took over in keywords that day counts for it and for its seller.
-- grain: unit, unit_id, event_date
-- partition: ds
-- cluster: unit, unit_id
-- upstream: staging.events, staging.items, staging.user_item_daily, staging.item_daily, staging.users, staging.sellers,
-- staging.item_category, staging.campaigns, marketplace.campaign_keywords, marketplace.campaign_daily
-- params: timezone, late_days
WITH days AS (
    SELECT
        days.user_id,
        days.event_date,
        items.seller_id,
        items.category_id,
        days.impressions,
        days.clicks,
        days.views,
        days.likes,
        days.carts,
        days.purchases,
        days.cancels,
        days.revenue AS gmv,
        days.revenue * CAST(COALESCE(items.take_rate, 0) AS NUMERIC) AS revenue
    FROM staging.user_item_daily AS days
    LEFT JOIN staging.items AS items
        ON days.item_id = items.item_id AND items.ds = @ds
    WHERE days.ds = @ds
),

-- A category stands for itself and for the one above it.
groups_ AS (
    SELECT
        category_id,
        category_id AS group_id
    FROM staging.item_category
    WHERE ds = @ds
    UNION ALL
    SELECT
        category_id,
        parent_id AS group_id
    FROM staging.item_category
    WHERE
        ds = @ds
        AND parent_id IS NOT NULL
),

placed AS (
    SELECT
        'user' AS unit,
        user_id AS unit_id,
        * EXCEPT (user_id, seller_id, category_id)
    FROM days
    UNION ALL
    SELECT
        'seller' AS unit,
        seller_id AS unit_id,
        * EXCEPT (user_id, seller_id, category_id)
    FROM days
    WHERE seller_id IS NOT NULL
    UNION ALL
    SELECT
        'cluster' AS unit,
        CONCAT(groups_.group_id, '|', users.region) AS unit_id,
        days.* EXCEPT (user_id, seller_id, category_id)
    FROM days
    INNER JOIN groups_ ON days.category_id = groups_.category_id
    INNER JOIN staging.users AS users
        ON days.user_id = users.user_id AND users.ds = @ds AND users.region IS NOT NULL
),

acts AS (
    SELECT
        unit,
        unit_id,
        event_date,
        SUM(impressions) AS impressions,
        SUM(clicks) AS clicks,
        SUM(views) AS views,
        SUM(likes) AS likes,
        SUM(carts) AS carts,
        SUM(purchases) AS purchases,
        SUM(cancels) AS cancels,
        SUM(gmv) AS gmv,
        SUM(revenue) AS revenue
    FROM placed
    GROUP BY unit, unit_id, event_date
),

visits AS (
    SELECT
        user_id,
        session_id,
        MIN(IF(ds < @ds, event_date, NULL)) AS date_before,
        LOGICAL_AND(event_type IN ('impression', 'search') OR ds = @ds) AS bounced_before,
        MIN(event_date) AS event_date,
        LOGICAL_AND(event_type IN ('impression', 'search')) AS bounced
    FROM staging.events
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @late_days + 1 DAY) AND @ds
        AND session_id IS NOT NULL
        AND event_type <> 'cancel'
    GROUP BY user_id, session_id
    HAVING MAX(ds) = @ds
),

newcomers AS (
    SELECT
        sellers.seller_id,
        MIN(IF(past.impressions > 0, past.ds, NULL)) AS shown_known,
        MIN(IF(past.impressions > 0 AND past.ds = @ds, past.event_date, NULL)) AS shown_on,
        MIN(IF(past.purchases > 0, past.ds, NULL)) AS sold_known,
        MIN(IF(past.purchases > 0 AND past.ds = @ds, past.event_date, NULL)) AS sold_on
    FROM staging.sellers AS sellers
    INNER JOIN staging.items AS items
        ON sellers.seller_id = items.seller_id AND items.ds = @ds
    INNER JOIN staging.item_daily AS past ON items.item_id = past.item_id
    WHERE
        sellers.ds = @ds
        AND DATE(sellers.registered_at, @timezone) > DATE_SUB(@ds, INTERVAL 28 + @late_days DAY)
        AND past.ds BETWEEN DATE_SUB(@ds, INTERVAL 28 + 2 * @late_days DAY) AND @ds
        AND past.event_date < DATE_ADD(DATE(sellers.registered_at, @timezone), INTERVAL 28 DAY)
    GROUP BY sellers.seller_id
),

counted AS (
    SELECT
        'user' AS unit,
        user_id AS unit_id,
        event_date,
        1 AS sessions,
        IF(bounced, 1, 0) AS bounces,
        0 AS listings_sold,
        0 AS minutes_to_sale,
        0 AS new_sellers,
        0 AS first_sales
    FROM visits
    UNION ALL
    SELECT
        'user' AS unit,
        user_id AS unit_id,
        date_before AS event_date,
        -1 AS sessions,
        IF(bounced_before, -1, 0) AS bounces,
        0 AS listings_sold,
        0 AS minutes_to_sale,
        0 AS new_sellers,
        0 AS first_sales
    FROM visits
    WHERE date_before IS NOT NULL
    UNION ALL
    SELECT
        'seller' AS unit,
        items.seller_id AS unit_id,
        sales.event_date,
        0 AS sessions,
        0 AS bounces,
        1 AS listings_sold,
        GREATEST(TIMESTAMP_DIFF(sales.event_ts, items.listed_at, MINUTE), 0) AS minutes_to_sale,
        0 AS new_sellers,
        0 AS first_sales
    FROM staging.events AS sales
    INNER JOIN staging.items AS items
        ON sales.item_id = items.item_id AND items.ds = @ds
    WHERE
        sales.ds = @ds
        AND sales.event_type = 'purchase'
    UNION ALL
    SELECT
        'seller' AS unit,
        seller_id AS unit_id,
        shown_on AS event_date,
        0 AS sessions,
        0 AS bounces,
        0 AS listings_sold,
        0 AS minutes_to_sale,
        1 AS new_sellers,
        0 AS first_sales
    FROM newcomers
    WHERE shown_known = @ds
    UNION ALL
    SELECT
        'seller' AS unit,
        seller_id AS unit_id,
        sold_on AS event_date,
        0 AS sessions,
        0 AS bounces,
        0 AS listings_sold,
        0 AS minutes_to_sale,
        0 AS new_sellers,
        1 AS first_sales
    FROM newcomers
    WHERE sold_known = @ds
),

counts AS (
    SELECT
        unit,
        unit_id,
        event_date,
        SUM(sessions) AS sessions,
        SUM(bounces) AS bounces,
        SUM(listings_sold) AS listings_sold,
        SUM(minutes_to_sale) AS minutes_to_sale,
        SUM(new_sellers) AS new_sellers,
        SUM(first_sales) AS first_sales
    FROM counted
    GROUP BY unit, unit_id, event_date
),

-- A session that was taken back and counted again as it was leaves nothing.
changed AS (
    SELECT *
    FROM counts
    WHERE sessions <> 0 OR bounces <> 0 OR listings_sold + new_sellers + first_sales > 0
),

ads AS (
    SELECT
        campaign_id,
        impressions AS ad_impressions,
        clicks AS ad_clicks,
        purchases AS ad_purchases,
        revenue AS ad_revenue,
        spend AS ad_spend,
        0 AS campaigns,
        0 AS keywords,
        0 AS keywords_adopted
    FROM marketplace.campaign_daily
    WHERE report_date = @ds
    UNION ALL
    SELECT
        campaign_id,
        0 AS ad_impressions,
        0 AS ad_clicks,
        0 AS ad_purchases,
        0 AS ad_revenue,
        0 AS ad_spend,
        1 AS campaigns,
        0 AS keywords,
        0 AS keywords_adopted
    FROM staging.campaigns
    WHERE
        ds = @ds
        AND started_at >= TIMESTAMP(@ds, @timezone)
    UNION ALL
    SELECT
        campaign_id,
        0 AS ad_impressions,
        0 AS ad_clicks,
        0 AS ad_purchases,
        0 AS ad_revenue,
        0 AS ad_spend,
        0 AS campaigns,
        1 AS keywords,
        IF(origin = 'recommended', 1, 0) AS keywords_adopted
    FROM marketplace.campaign_keywords
    WHERE
        added_at >= TIMESTAMP(@ds, @timezone)
        AND added_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)
),

advertisers AS (
    SELECT
        campaign_id,
        'campaign' AS unit,
        campaign_id AS unit_id
    FROM staging.campaigns
    WHERE ds = @ds
    UNION ALL
    SELECT
        campaign_id,
        'seller' AS unit,
        seller_id AS unit_id
    FROM staging.campaigns
    WHERE ds = @ds
),

adverts AS (
    SELECT
        advertisers.unit,
        advertisers.unit_id,
        @ds AS event_date,
        SUM(ads.ad_impressions) AS ad_impressions,
        SUM(ads.ad_clicks) AS ad_clicks,
        SUM(ads.ad_purchases) AS ad_purchases,
        SUM(ads.ad_revenue) AS ad_revenue,
        SUM(ads.ad_spend) AS ad_spend,
        SUM(ads.campaigns) AS campaigns,
        SUM(ads.keywords) AS keywords,
        SUM(ads.keywords_adopted) AS keywords_adopted
    FROM ads
    INNER JOIN advertisers ON ads.campaign_id = advertisers.campaign_id
    GROUP BY advertisers.unit, advertisers.unit_id
)

SELECT
    COALESCE(acts.unit, changed.unit, adverts.unit) AS unit,
    COALESCE(acts.unit_id, changed.unit_id, adverts.unit_id) AS unit_id,
    COALESCE(acts.event_date, changed.event_date, adverts.event_date) AS event_date,
    IF(adverts.unit = 'campaign', adverts.ad_impressions, COALESCE(acts.impressions, 0)) AS impressions,
    IF(adverts.unit = 'campaign', adverts.ad_clicks, COALESCE(acts.clicks, 0)) AS clicks,
    COALESCE(acts.views, 0) AS views,
    COALESCE(acts.likes, 0) AS likes,
    COALESCE(acts.carts, 0) AS carts,
    COALESCE(changed.sessions, 0) AS sessions,
    COALESCE(changed.bounces, 0) AS bounces,
    IF(adverts.unit = 'campaign', adverts.ad_purchases, COALESCE(acts.purchases, 0)) AS purchases,
    COALESCE(acts.cancels, 0) AS cancels,
    IF(adverts.unit = 'campaign', adverts.ad_revenue, COALESCE(acts.gmv, 0)) AS gmv,
    IF(adverts.unit = 'campaign', adverts.ad_spend, COALESCE(acts.revenue, 0)) AS revenue,
    COALESCE(changed.listings_sold, 0) AS listings_sold,
    CAST(COALESCE(changed.minutes_to_sale, 0) AS NUMERIC) / 60 AS hours_to_sale,
    COALESCE(changed.new_sellers, 0) AS new_sellers,
    COALESCE(changed.first_sales, 0) AS first_sales,
    @ds AS ds,
    COALESCE(adverts.ad_impressions, 0) AS ad_impressions,
    COALESCE(adverts.ad_clicks, 0) AS ad_clicks,
    COALESCE(adverts.ad_purchases, 0) AS ad_purchases,
    COALESCE(adverts.ad_revenue, 0) AS ad_revenue,
    COALESCE(adverts.ad_spend, 0) AS ad_spend,
    COALESCE(adverts.campaigns, 0) AS campaigns,
    COALESCE(adverts.keywords, 0) AS keywords,
    COALESCE(adverts.keywords_adopted, 0) AS keywords_adopted
FROM acts
FULL JOIN changed
    ON acts.unit = changed.unit AND acts.unit_id = changed.unit_id AND acts.event_date = changed.event_date
FULL JOIN adverts
    ON
        COALESCE(acts.unit, changed.unit) = adverts.unit
        AND COALESCE(acts.unit_id, changed.unit_id) = adverts.unit_id
        AND COALESCE(acts.event_date, changed.event_date) = adverts.event_date
