-- What the lists of one day promised and what came of it, by price: of the pairs of user and listing that were on screen,
-- how many purchases were expected and how many happened that day. The day is the newest whose events are all in, late
-- ones included: ds - late_days. A price band is a third of a unit of the natural logarithm.
-- grain: policy, price_band
-- partition: ds
-- cluster: policy
-- upstream: marts.recommendations, staging.user_item_daily
-- params: late_days
WITH lists AS (
    SELECT
        user_id,
        item_id,
        policy,
        COALESCE(p_judged, p_purchase) AS p,
        CAST(FLOOR(3 * LN(GREATEST(CAST(price AS FLOAT64), 1))) AS INT64) AS price_band
    FROM marts.recommendations
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @late_days + 1 DAY) AND @ds
        AND ds < DATE_SUB(@ds, INTERVAL @late_days DAY)
),

seen AS (
    SELECT
        user_id,
        item_id,
        SUM(purchases) > 0 AS is_bought
    FROM staging.user_item_daily
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL @late_days DAY) AND @ds
        AND event_date = DATE_SUB(@ds, INTERVAL @late_days DAY)
    GROUP BY user_id, item_id
    HAVING SUM(impressions) > 0
)

SELECT
    lists.policy,
    lists.price_band,
    COUNT(*) AS pairs,
    SUM(lists.p) AS expected,
    COUNTIF(seen.is_bought) AS purchases,
    @ds AS ds
FROM lists
INNER JOIN seen ON lists.user_id = seen.user_id AND lists.item_id = seen.item_id
GROUP BY lists.policy, lists.price_band
