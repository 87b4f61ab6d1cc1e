-- What a user did with a listing on a day, as it became known on ds. Impressions are those of recommendation lists;
-- a click is a view that came from one; revenue is gross.
-- grain: user_id, item_id, event_date
-- partition: ds
-- cluster: user_id, item_id
-- upstream: staging.events
WITH item_events AS (
    SELECT
        *,
        COALESCE(surface, '') = 'recommendation' AND request_id IS NOT NULL AS is_recommended
    FROM staging.events
    WHERE
        ds = @ds
        AND event_type NOT IN ('search', 'follow')
)

SELECT
    user_id,
    item_id,
    event_date,
    COUNTIF(event_type = 'impression') AS impressions,
    COUNTIF(event_type = 'view' AND is_recommended) AS clicks,
    COUNTIF(event_type = 'view') AS views,
    COUNTIF(event_type = 'like') AS likes,
    COUNTIF(event_type = 'offer') AS offers,
    COUNTIF(event_type = 'cart') AS carts,
    COUNTIF(event_type = 'bid') AS bids,
    COUNTIF(event_type = 'purchase') AS purchases,
    COUNTIF(event_type = 'cancel') AS cancels,
    SUM(IF(event_type = 'purchase', COALESCE(quantity, 1), 0)) AS quantity,
    COALESCE(SUM(IF(event_type = 'purchase', amount, NULL)), 0) AS revenue,
    COALESCE(SUM(IF(event_type = 'cancel', amount, NULL)), 0) AS cancelled_revenue,
    MIN(IF(event_type = 'impression', position, NULL)) AS first_position,
    MAX(event_ts) AS last_ts,
    @ds AS ds
FROM item_events
WHERE event_type != 'impression' OR is_recommended
GROUP BY user_id, item_id, event_date
