-- A user as the end of ds knows them: recency, frequency and money over 7, 30 and 90 days, price habits, hours and
-- weekdays. Users who acted (being shown a list is acting: they came) or registered within @active_days; of those,
-- users without any event are new. Prices are those of the listings at the end of ds, weighted by what the user did
-- with them (view 1, like 3, purchase 8). purchase_power is the typical price of a user: the geometric mean of those
-- prices, drawn towards the market's as if they had seen ten views at it. Hours and weekdays (Monday 1, Sunday 7) are the
-- marketplace's; of equally frequent ones the earliest counts.
-- grain: user_id
-- partition: ds
-- cluster: user_id
-- upstream: staging.user_item_daily, staging.users, features.item_group
-- params: timezone, active_days
WITH actions AS (
    SELECT
        actions.user_id,
        DATE_DIFF(@ds, actions.event_date, DAY) AS age,
        actions.views,
        actions.likes,
        actions.purchases,
        actions.cancels,
        actions.revenue,
        IF(items.price > 0, actions.views + 3 * actions.likes + 8 * actions.purchases, 0) AS points,
        IF(actions.purchases > 0, items.price, NULL) AS paid_price,
        IF(items.price > 0, LN(CAST(items.price AS FLOAT64)), 0) AS log_price
    FROM staging.user_item_daily AS actions
    LEFT JOIN features.item_group AS items
        ON actions.item_id = items.item_id AND items.ds = @ds
    WHERE
        actions.ds BETWEEN DATE_SUB(@ds, INTERVAL GREATEST(@active_days, 90) - 1 DAY) AND @ds
        AND actions.event_date >= DATE_SUB(@ds, INTERVAL GREATEST(@active_days, 90) - 1 DAY)
),

windows AS (
    SELECT
        user_id,
        MIN(age) AS days_since_active,
        MIN(IF(purchases > 0, age, NULL)) AS days_since_purchase,
        SUM(IF(age < 7, views, 0)) AS views_7d,
        SUM(IF(age < 30, views, 0)) AS views_30d,
        SUM(IF(age < 90, views, 0)) AS views_90d,
        SUM(IF(age < 7, likes, 0)) AS likes_7d,
        SUM(IF(age < 30, likes, 0)) AS likes_30d,
        SUM(IF(age < 90, likes, 0)) AS likes_90d,
        SUM(IF(age < 7, purchases, 0)) AS purchases_7d,
        SUM(IF(age < 30, purchases, 0)) AS purchases_30d,
        SUM(IF(age < 90, purchases, 0)) AS purchases_90d,
        SUM(IF(age < 7, revenue, 0)) AS spend_7d,
        SUM(IF(age < 30, revenue, 0)) AS spend_30d,
        SUM(IF(age < 90, revenue, 0)) AS spend_90d,
        SUM(IF(age < 90, cancels, 0)) AS cancels_90d,
        MAX(IF(age < 90, paid_price, NULL)) AS max_price_90d,
        SUM(IF(age < 90, points, 0)) AS points,
        SUM(IF(age < 90, points * log_price, 0)) AS log_sum,
        SUM(IF(age < 90, points * log_price * log_price, 0)) AS log_square_sum
    FROM actions
    GROUP BY user_id
),

days AS (
    SELECT
        user_id,
        event_date,
        MOD(DATE_DIFF(event_date, DATE '2000-01-03', DAY), 7) + 1 AS weekday,
        COUNT(*) AS actions
    FROM staging.user_item_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL 89 DAY) AND @ds
        AND event_date >= DATE_SUB(@ds, INTERVAL 89 DAY)
    GROUP BY user_id, event_date
),

weekdays AS (
    SELECT
        user_id,
        weekday,
        SUM(actions) AS actions,
        COUNT(*) AS days
    FROM days
    GROUP BY user_id, weekday
),

habits AS (
    SELECT
        user_id,
        SUM(days) AS active_days,
        SUM(IF(weekday >= 6, days, 0)) / SUM(days) AS weekend_share
    FROM weekdays
    GROUP BY user_id
),

top_weekdays AS (
    SELECT
        user_id,
        weekday
    FROM weekdays
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY actions DESC, weekday ASC) = 1
),

hours AS (
    SELECT
        user_id,
        EXTRACT(HOUR FROM last_ts AT TIME ZONE @timezone) AS hour_of_day,
        COUNT(*) AS actions
    FROM staging.user_item_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL 89 DAY) AND @ds
        AND event_date >= DATE_SUB(@ds, INTERVAL 89 DAY)
    GROUP BY user_id, hour_of_day
),

top_hours AS (
    SELECT
        user_id,
        hour_of_day
    FROM hours
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY actions DESC, hour_of_day ASC) = 1
),

market AS (
    SELECT COALESCE(SAFE_DIVIDE(SUM(log_sum), SUM(points)), 0) AS mean_log_price
    FROM windows
)

SELECT
    users.user_id,
    users.region,
    users.gender,
    users.birth_year,
    DATE_DIFF(@ds, DATE(users.registered_at, @timezone), DAY) AS tenure_days,
    windows.user_id IS NULL AS is_new,
    windows.days_since_active,
    windows.days_since_purchase,
    COALESCE(habits.active_days, 0) AS active_days_90d,
    COALESCE(windows.views_7d, 0) AS views_7d,
    COALESCE(windows.views_30d, 0) AS views_30d,
    COALESCE(windows.views_90d, 0) AS views_90d,
    COALESCE(windows.likes_7d, 0) AS likes_7d,
    COALESCE(windows.likes_30d, 0) AS likes_30d,
    COALESCE(windows.likes_90d, 0) AS likes_90d,
    COALESCE(windows.purchases_7d, 0) AS purchases_7d,
    COALESCE(windows.purchases_30d, 0) AS purchases_30d,
    COALESCE(windows.purchases_90d, 0) AS purchases_90d,
    COALESCE(windows.spend_7d, 0) AS spend_7d,
    COALESCE(windows.spend_30d, 0) AS spend_30d,
    COALESCE(windows.spend_90d, 0) AS spend_90d,
    COALESCE(windows.cancels_90d, 0) AS cancels_90d,
    SAFE_DIVIDE(windows.log_sum, windows.points) AS mean_log_price,
    SQRT(
        GREATEST(
            SAFE_DIVIDE(windows.log_square_sum, windows.points)
            - POW(SAFE_DIVIDE(windows.log_sum, windows.points), 2),
            0
        )
    ) AS std_log_price,
    windows.max_price_90d,
    EXP(
        (COALESCE(windows.log_sum, 0) + 10 * market.mean_log_price) / (COALESCE(windows.points, 0) + 10)
    ) AS purchase_power,
    top_hours.hour_of_day AS top_hour,
    top_weekdays.weekday AS top_weekday,
    habits.weekend_share,
    @ds AS ds
FROM staging.users AS users
CROSS JOIN market
LEFT JOIN windows ON users.user_id = windows.user_id
LEFT JOIN habits ON users.user_id = habits.user_id
LEFT JOIN top_hours ON users.user_id = top_hours.user_id
LEFT JOIN top_weekdays ON users.user_id = top_weekdays.user_id
WHERE
    users.ds = @ds
    AND (
        windows.days_since_active < @active_days
        OR DATE(users.registered_at, @timezone) > DATE_SUB(@ds, INTERVAL @active_days DAY)
    )
