-- What a unit did on a day, as it became known on ds: the measures that metrics are made of. Units of all kinds, whether
-- an experiment has them or not, so that days before an experiment are there as covariates. A day without an act has no
-- row. What came late is a row of its own day in the partition of the day it came, and rows of a unit and day add up.
-- gmv is gross; revenue is the marketplace's take of it. A session bounces when nothing but impressions and searches is
-- known of it; a session of which more became known is taken back and counted again, so a sum counts it once.
-- grain: unit, unit_id, event_date
-- partition: ds
-- cluster: unit, unit_id
-- upstream: staging.events, staging.items, staging.user_item_daily
-- params: late_days
WITH acts AS (
    SELECT
        'user' AS unit,
        days.user_id AS unit_id,
        days.event_date,
        SUM(days.impressions) AS impressions,
        SUM(days.clicks) AS clicks,
        SUM(days.views) AS views,
        SUM(days.likes) AS likes,
        SUM(days.carts) AS carts,
        SUM(days.purchases) AS purchases,
        SUM(days.cancels) AS cancels,
        SUM(days.revenue) AS gmv,
        SUM(days.revenue * CAST(COALESCE(items.take_rate, 0) AS NUMERIC)) AS revenue
    FROM staging.user_item_daily AS days
    LEFT JOIN staging.items AS items
        ON days.item_id = items.item_id AND items.ds = @ds
    WHERE days.ds = @ds
    GROUP BY days.user_id, days.event_date
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

sessions AS (
    SELECT
        user_id,
        event_date,
        1 AS sessions,
        IF(bounced, 1, 0) AS bounces
    FROM visits
    UNION ALL
    SELECT
        user_id,
        date_before AS event_date,
        -1 AS sessions,
        IF(bounced_before, -1, 0) AS bounces
    FROM visits
    WHERE date_before IS NOT NULL
),

visited AS (
    SELECT
        'user' AS unit,
        user_id AS unit_id,
        event_date,
        SUM(sessions) AS sessions,
        SUM(bounces) AS bounces
    FROM sessions
    GROUP BY user_id, event_date
    HAVING SUM(sessions) <> 0 OR SUM(bounces) <> 0
)

SELECT
    COALESCE(acts.unit, visited.unit) AS unit,
    COALESCE(acts.unit_id, visited.unit_id) AS unit_id,
    COALESCE(acts.event_date, visited.event_date) AS event_date,
    COALESCE(acts.impressions, 0) AS impressions,
    COALESCE(acts.clicks, 0) AS clicks,
    COALESCE(acts.views, 0) AS views,
    COALESCE(acts.likes, 0) AS likes,
    COALESCE(acts.carts, 0) AS carts,
    COALESCE(visited.sessions, 0) AS sessions,
    COALESCE(visited.bounces, 0) AS bounces,
    COALESCE(acts.purchases, 0) AS purchases,
    COALESCE(acts.cancels, 0) AS cancels,
    COALESCE(acts.gmv, 0) AS gmv,
    COALESCE(acts.revenue, 0) AS revenue,
    0 AS listings_sold,
    CAST(0 AS NUMERIC) AS hours_to_sale,
    0 AS new_sellers,
    0 AS first_sales,
    @ds AS ds
FROM acts
FULL JOIN visited
    ON acts.unit_id = visited.unit_id AND acts.event_date = visited.event_date
