-- How a category sells now against usual: the last 7 days against the 4 weeks before. trend = 1 is as usual; small
-- categories are drawn there as if 5 sales had come exactly as usual. seasonal_index = how much the weekday of ds + 1,
-- when the lists are served, sells against an average day over the last 4 weeks, drawn to 1 by 3 such sales. Where
-- the marketplace is younger than that, both compare by the days there are.
-- grain: category_id
-- partition: ds
-- cluster: category_id
-- upstream: staging.item_daily, features.item_group
WITH days AS (
    SELECT
        groups_.category_id,
        DATE_DIFF(@ds, item_days.event_date, DAY) AS age,
        SUM(item_days.views) AS views,
        SUM(item_days.purchases) AS purchases
    FROM staging.item_daily AS item_days
    INNER JOIN features.item_group AS groups_
        ON item_days.item_id = groups_.item_id AND groups_.ds = @ds
    WHERE
        item_days.ds BETWEEN DATE_SUB(@ds, INTERVAL 34 DAY) AND @ds
        AND item_days.event_date >= DATE_SUB(@ds, INTERVAL 34 DAY)
        AND item_days.views + item_days.purchases > 0
    GROUP BY groups_.category_id, age
),

windows AS (
    SELECT
        category_id,
        SUM(IF(age < 7, views, 0)) AS views_7d,
        SUM(IF(age < 7, purchases, 0)) AS purchases_7d,
        SUM(IF(age >= 7, purchases, 0)) AS purchases_before,
        -- ds + 1 lies a week after age 6: its weekday had the ages 6, 13, 20 and 27.
        SUM(IF(age < 28 AND MOD(age, 7) = 6, purchases, 0)) AS weekday_purchases,
        SUM(IF(age < 28, purchases, 0)) AS purchases_28d
    FROM days
    GROUP BY category_id
),

history AS (
    SELECT
        COALESCE(MAX(age) + 1, 0) AS days,
        LEAST(COALESCE(MAX(age) + 1, 0), 28) AS recent_days,
        LEAST(FLOOR(COALESCE(MAX(age) + 1, 0) / 7), 4) AS weekdays
    FROM days
),

categories AS (
    SELECT DISTINCT category_id
    FROM features.item_group
    WHERE ds = @ds
),

compared AS (
    SELECT
        categories.category_id,
        COALESCE(windows.views_7d, 0) AS views_7d,
        COALESCE(windows.purchases_7d, 0) AS purchases_7d,
        IF(
            history.days > 7,
            COALESCE(windows.purchases_before, 0) * SAFE_DIVIDE(7, history.days - 7),
            CAST(COALESCE(windows.purchases_7d, 0) AS FLOAT64)
        ) AS usual_purchases_7d,
        COALESCE(windows.weekday_purchases, 0) AS weekday_purchases,
        COALESCE(windows.purchases_28d * SAFE_DIVIDE(history.weekdays, history.recent_days), 0) AS usual_purchases_weekday
    FROM categories
    CROSS JOIN history
    LEFT JOIN windows ON categories.category_id = windows.category_id
)

SELECT
    category_id,
    views_7d,
    purchases_7d,
    usual_purchases_7d,
    (purchases_7d + 5) / (usual_purchases_7d + 5) AS trend,
    (weekday_purchases + 3) / (usual_purchases_weekday + 3) AS seasonal_index,
    @ds AS ds
FROM compared
