-- What a user did with a group of listings over @history_days: counts, and one weight in which a view counts 1, a like
-- 3, an offer, cart or bid 4 and a purchase 8, halved every 30 days. Being shown a listing is no interaction. A cancel
-- takes nothing away: the wish to buy was there.
-- grain: user_id, group_id
-- partition: ds
-- cluster: user_id, group_id
-- upstream: staging.user_item_daily, features.item_group
-- params: history_days
WITH actions AS (
    SELECT
        user_id,
        item_id,
        event_date,
        views,
        likes,
        purchases,
        quantity,
        revenue,
        views + 3 * likes + 4 * (offers + carts + bids) + 8 * purchases AS points
    FROM staging.user_item_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds
        AND event_date >= DATE_SUB(@ds, INTERVAL @history_days - 1 DAY)
        AND views + likes + offers + carts + bids + purchases > 0
),

days AS (
    SELECT
        actions.user_id,
        groups_.group_id,
        actions.event_date,
        SUM(actions.points) AS points,
        SUM(actions.views) AS views,
        SUM(actions.likes) AS likes,
        SUM(actions.purchases) AS purchases,
        SUM(actions.quantity) AS quantity,
        SUM(actions.revenue) AS revenue
    FROM actions
    INNER JOIN features.item_group AS groups_
        ON actions.item_id = groups_.item_id AND groups_.ds = @ds
    GROUP BY actions.user_id, groups_.group_id, actions.event_date
)

SELECT
    user_id,
    group_id,
    SUM(points * POW(0.5, DATE_DIFF(@ds, event_date, DAY) / 30)) AS weight,
    SUM(views) AS views,
    SUM(likes) AS likes,
    SUM(purchases) AS purchases,
    COUNTIF(purchases > 0) AS purchase_days,
    SUM(quantity) AS quantity,
    SUM(revenue) AS revenue,
    MIN(event_date) AS first_date,
    MAX(event_date) AS last_date,
    MAX(IF(purchases > 0, event_date, NULL)) AS last_purchase_date,
    @ds AS ds
FROM days
GROUP BY user_id, group_id
