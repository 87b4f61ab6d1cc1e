-- What the lists seen on ds promised and what came of it, by price: of the pairs of user and listing that were on screen, how
-- many purchases were expected and how many happened that day. What becomes known of the day later is left out: it is little,
-- and a new model that promises too much is set right a day after its first lists. A price band is a third of a unit of the
-- natural logarithm.
-- grain: policy, model, price_band
-- partition: ds
-- cluster: policy
-- upstream: marts.recommendations, staging.user_item_daily
WITH lists AS (
    SELECT
        user_id,
        item_id,
        policy,
        model,
        COALESCE(p_judged, p_purchase) AS p,
        CAST(FLOOR(3 * LN(GREATEST(CAST(price AS FLOAT64), 1))) AS INT64) AS price_band
    FROM marts.recommendations
    WHERE
        ds BETWEEN DATE_SUB(@ds, INTERVAL 1 DAY) AND @ds
        AND ds < @ds
),

seen AS (
    SELECT
        user_id,
        item_id,
        purchases > 0 AS is_bought
    FROM staging.user_item_daily
    WHERE
        ds = @ds
        AND event_date = @ds
        AND impressions > 0
)

SELECT
    lists.policy,
    lists.price_band,
    COUNT(*) AS pairs,
    SUM(lists.p) AS expected,
    COUNTIF(seen.is_bought) AS purchases,
    @ds AS ds,
    lists.model
FROM lists
INNER JOIN seen ON lists.user_id = seen.user_id AND lists.item_id = seen.item_id
GROUP BY lists.policy, lists.model, lists.price_band
