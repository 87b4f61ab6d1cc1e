-- What a user had to do with a seller over @history_days: counts, and one weight in which a view counts 1, a like 3, an
-- offer, cart or bid 4, a follow 5 and a purchase 8, halved every 30 days. There is no event for the end of a follow: it
-- is forgotten with the day it began on.
-- grain: user_id, seller_id
-- partition: ds
-- cluster: user_id, seller_id
-- upstream: staging.user_seller_daily
-- params: history_days
SELECT
    user_id,
    seller_id,
    SUM(
        (views + 3 * likes + 4 * intents + 5 * follows + 8 * purchases)
        * POW(0.5, DATE_DIFF(@ds, event_date, DAY) / 30)
    ) AS weight,
    SUM(views) AS views,
    SUM(likes) AS likes,
    SUM(purchases) AS purchases,
    SUM(follows) AS follows,
    MIN(event_date) AS first_date,
    MAX(event_date) AS last_date,
    MIN(IF(follows > 0, event_date, NULL)) AS followed_on,
    MIN(IF(purchases > 0, event_date, NULL)) AS first_purchase_date,
    @ds AS ds
FROM staging.user_seller_daily
WHERE
    ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days - 1 DAY) AND @ds
    AND event_date >= DATE_SUB(@ds, INTERVAL @history_days - 1 DAY)
GROUP BY user_id, seller_id
